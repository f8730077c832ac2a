"""What the presets' parameters of 04 and 07 are known to give."""

from types import SimpleNamespace

import pytest

from common import results
from common.experiments.evolution_on_weights import bands as bands_of_weights
from common.experiments.evolution_strategies import bands as bands_of_logits

LOGITS = {"dataset": "digits", "validation": 157, "network": "mlp", "batch_size": 32, "epochs": 6}
LOGITS |= {"learning_rate": 0.002, "sigma": 1.0, "samples": 200, "precision": "float32"}
WEIGHTS = {"dataset": "digits", "validation": 157, "network": "tiny_convnet", "batch_size": 256, "keep": 0.25}
WEIGHTS |= {"pairs": [1, 4, 16], "sigma": 0.02, "learning_rate": 0.02, "weight_decay": 0.0003}
WEIGHTS |= {"epochs": 24}
CASES = [
    (bands_of_logits, LOGITS, "full: likelihood", "source: smoothed accuracy"),
    (bands_of_weights, WEIGHTS, "a layer at a time, longer", "at once, alike"),
]


def _frame(reached):
    frames = []
    for name, value in reached.items():
        label = {"run": name, "seed": 0, "status": "finished", "experiment": "any", "method": "any"}
        record = {"epoch": 6, "step": 160, "test_metric": value}
        frames.append(results.run_frame([record], metric="accuracy", **label))
    return results.combine(frames)


@pytest.mark.parametrize(("bands", "quick", "best", "worse"), CASES)
def test_bands_are_said_and_asserted(bands, quick, best, worse):
    parameters = SimpleNamespace(**quick)
    assert "within (0.8, 1.0)" in bands.check(parameters, _frame({best: 0.95, worse: 0.5}))
    with pytest.raises(AssertionError, match=r"test accuracy 0\.7000 .*is outside \(0\.8, 1\.0\)"):
        bands.check(parameters, _frame({best: 0.7, worse: 0.5}))
    with pytest.raises(AssertionError, match=r"0\.9700, .* 0\.9500"):
        bands.check(parameters, _frame({best: 0.95, worse: 0.97}))
    other = SimpleNamespace(**quick | {"epochs": 7})
    assert bands.check(other, _frame({best: 0.1})) == "no band is known for these parameters"
