"""What rows say of their training, without TensorFlow; the real records of old among them."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from common import results
from common.experiments.stored_settings import SAME_IN_TRAINING, CannotRebuildError, settings_of
from common.results.stored_runs import StoredRun, stored_runs
from common.tasks import networks


def stored(epochs=4, steps=40, *, every=1, status="finished", **columns):
    """Make a run of old: columns without an identity."""
    rows = [{"epoch": epoch, "step": epoch * steps // epochs} for epoch in range(every, epochs + 1, every)]
    settings = {"dataset": "digits", "train_examples": 1257, "network": "mlp", "precision": "float32",
                "batch_size": 128, "estimator": "Backpropagation()", "optimizer": "SGD(0.1)",
                "Network.hidden": "[8, 8]"}  # fmt: skip
    frame = results.run_frame(
        rows, experiment="mine", method="Backpropagation", seed=3, status=status, metric="accuracy",
        **settings | {"run": "one"} | columns,
    )  # fmt: skip
    return StoredRun(Path("f.parquet"), 0, frame)


def test_columns_of_old_say_how_a_run_was_trained():
    settings = settings_of(stored())
    assert settings.network == "Network(name='mlp', precision='float32', hidden=[8, 8])"
    assert (settings.estimator, settings.optimizer) == ("Backpropagation()", "SGD(0.1)")
    assert (settings.epochs, settings.batch_size, settings.seed) == (4, 128, 3)
    assert settings.options == {"record_every": 1}
    assert (settings.data_digest, settings.callbacks, settings.identity) == (None, (), {})


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ({"steps": 36}, {"record_every": 1, "drop_remainder": True}),  # 1257 = 9 × 128 + 105
        ({"steps": 20}, {"record_every": 1, "steps_per_epoch": 5}),
        ({"every": 2}, {"record_every": 2}),
        ({"option.record_every": 4, "option.jit_compile": True}, {"record_every": 4, "jit_compile": True}),
        ({"option.record_every": "4"}, {"record_every": 4}),  # a column that has texts, too
    ],
)
def test_the_number_of_updates_says_how_epochs_were_divided(arguments, options):
    assert settings_of(stored(**arguments)).options == options


def test_settings_of_what_stands_in_a_networks_place():
    columns = {"network": "SaddleSurface", "dataset": "saddle", "train_examples": 2, "batch_size": 2,
               "SaddleSurface.mu": 0.02, "SaddleSurface.start": "[1.0, 0.01]", "Network.hidden": None}  # fmt: skip
    assert settings_of(stored(steps=4, **columns)).network == "SaddleSurface(mu=0.02, start=[1.0, 0.01])"


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"estimator": None}, "its record has no estimator"),
        ({"train_examples": None}, "its record has no train_examples"),
        ({"steps": 44}, "its 44 updates in 4 epochs are not those of 1,257 examples in batches of 128"),
        ({"steps": 39}, "its 39 updates in 4 epochs are not those of"),
        ({"network": "mnist_convnet"}, "its record does not say whether mnist_convnet was trained with dropout"),
        ({"Network.hidden": None}, "its record does not say the hidden layers of its mlp (Network.hidden)"),
        ({"status": "stopped"}, "it stopped, and how many epochs it was to have is not stored"),
        ({"experiment": "01_baseline_sgd", "group": "Keras fit"}, "it was trained by another loop, Keras' own fit"),
        ({"dataset": "digitz"}, "its data set 'digitz' is none of digits, mnist"),
        ({"dataset": "digits, blurred"}, "its record does not say what 'blurred' did to its data set 'digits'"),
        ({"dataset": "diabetes, raw, one feature"}, "its record does not say which feature of its data set it was"),
        ({"train_examples": 600}, "its record does not say which 600 of 1,257 training examples it had"),
    ],
)
def test_what_the_columns_do_not_say_is_refused_by_name(columns, sentence):
    experiment = columns.pop("experiment", None)
    run = stored(**columns)
    if experiment:
        run.frame["experiment"] = experiment
    with pytest.raises(CannotRebuildError) as error:
        settings_of(run)
    assert str(error.value).startswith(sentence)
    assert "\n" not in str(error.value)


def test_an_identity_that_is_not_that_of_the_digest_is_refused():
    run = stored()
    frame = run.frame.assign(identity='{"seed": 0}', digest=results.identity_digest({"seed": 1}))
    with pytest.raises(CannotRebuildError, match="its identity is not that of its digest"):
        settings_of(StoredRun(run.path, 0, frame))


def test_networks_that_are_the_same_in_training_have_neither_dropout_nor_batch_norm():
    for name in networks.NETWORKS:
        hidden = [4] if name in networks.OF_HIDDEN_LAYERS else None
        layers = {type(layer).__name__ for layer in networks.build(name, (28, 28, 1), 10, seed=0, hidden=hidden).layers}
        assert layers.isdisjoint({"Dropout", "BatchNormalization"}) == (name in SAME_IN_TRAINING)


def test_of_every_committed_run_it_is_known_whether_it_can_be_made_again():
    reasons = Counter()
    for run in stored_runs(results.PAPER)[0]:
        try:
            settings_of(run)
        except CannotRebuildError as error:
            reasons[str(run.value("experiment")), "\n" in str(error)] += 1
        else:
            reasons[str(run.value("experiment"))] += 1
    assert min(reasons[name] for name in ("01_baseline_sgd", "03_optimizers_from_scratch")) > 0
    assert not any(several for _, several in (reason for reason in reasons if isinstance(reason, tuple)))


def test_settings_are_read_without_tensorflow():
    code = (
        "import sys, common.experiments.stored_settings, workflow.reproduce\n"
        "sys.exit(any(name in sys.modules for name in ('tensorflow', 'keras')))"
    )
    root = Path(results.__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
