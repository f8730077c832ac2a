from types import SimpleNamespace

import pytest

from common import results
from common.experiments.low_rank_hessian import bands

QUICK = {"dataset": "digits", "validation": 157, "network": "mlp", "batch_size": 64, "epochs": 8, "rank": 8}
QUICK |= {"learning_rate": 0.008, "refresh_every": 20, "precision": "float32", "saddle_steps": 100}
GOOD = {"saddle-free Newton": 0.96, "saddle: gradient descent": 0.0049, "saddle: saddle-free Newton": 1e-6}


def _frame(reached):
    frames = []
    for order, (name, value) in enumerate(reached.items()):
        saddle = name.startswith("saddle:")
        label = {"run": name, "group": "saddle" if saddle else "full", "order": order, "train_examples": 100}
        label |= {"dataset": "any", "network": "any", "precision": "float32", "seed": 0, "status": "finished"}
        label |= {"experiment": "any", "method": "any", "metric": "mean_squared_error" if saddle else "accuracy"}
        record = {"epoch": 8, "step": 160, "test_loss": value, "test_metric": value}
        frames.append(results.run_frame([record], **label))
    return results.combine(frames)


def test_what_is_known_is_said():
    words = bands.check(SimpleNamespace(**QUICK), _frame(GOOD))
    assert "left it: as expected" in words
    assert "within (0.85, 0.98): as expected" in words


def test_other_parameters_have_no_band():
    parameters = SimpleNamespace(**QUICK | {"epochs": 9, "saddle_steps": 5})
    assert bands.check(parameters, _frame(GOOD)) == "no band is known for these parameters"


@pytest.mark.parametrize(
    ("run", "value", "words"),
    [
        ("saddle-free Newton", 0.5, r"test accuracy 0\.5000 of saddle-free Newton is outside \(0\.85, 0\.98\)"),
        ("saddle: saddle-free Newton", 0.004, r"losses 0\.0049, 0\.004; saddle 0\.005"),
    ],
)
def test_a_result_outside_is_an_error(run, value, words):
    with pytest.raises(AssertionError, match=words):
        bands.check(SimpleNamespace(**QUICK), _frame(GOOD | {run: value}))
