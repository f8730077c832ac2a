"""Made-up runs for the tests of results."""

from common import results


def records(count=3, *, test_metric=0.9, **extra):
    epochs = [
        {"epoch": i, "step": 10 * i, "seconds": 0.5 * i, "cost": 10.0 * i, "train_loss": 1 / i, "train_metric": 0.7,
         "validation_loss": 1.1 / i, "validation_metric": 0.6, **extra}
        for i in range(1, count + 1)
    ]  # fmt: skip
    epochs[-1] |= {"test_loss": 0.3, "test_metric": test_metric}
    return epochs


def run(seed=0, *, method="backpropagation", status="finished", diverged_step=None, epochs=None, **parameters):
    return results.run_frame(
        epochs or records(), experiment="01_baseline_sgd", method=method, seed=seed, status=status,
        diverged_step=diverged_step, metric="accuracy", **({"batch_size": 128} | parameters),
    )  # fmt: skip


def diverged(seed=0, **parameters):
    epochs = records()
    epochs[-1] |= {"train_loss": float("nan"), "validation_loss": float("inf"), "test_metric": 0.1}
    return run(seed, status="diverged", diverged_step=27, epochs=epochs, **parameters)
