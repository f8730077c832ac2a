"""Result files that look like those of 06_synthetic_gradients on MNIST, made from formulas in milliseconds."""

import math
import zlib

import numpy as np

from common import results

EXPERIMENT = "06_synthetic_gradients"
SUBJECT = {"dataset": "mnist", "precision": "float32", "train_examples": 55_000, "metric": "accuracy"}
METHODS = {"no backprop": 0.15, "backprop": 0.018, "DNI": 0.03, "cDNI": 0.017}
LAYERS = {"fully connected": (3, 4, 6), "convolutional": (3, 4)}
SOURCE = ("backprop", "weights regressed", "DNI", "cDNI")
PROBABILITIES = (1.0, 0.5, 0.2)
EPOCHS = 5


def _run(name, seed, setting, final, order, *, diverge=False, boundaries=0):
    generator = np.random.default_rng([zlib.crc32(name.encode()), seed])
    final *= math.exp(generator.normal(0, 0.05))
    records = []
    for epoch in range(1, EPOCHS + 1):
        error = final * (1 + 3 / epoch - 3 / EPOCHS)
        record = {"step": 215 * epoch, "seconds": 4.0 * epoch, "cost": 215.0 * epoch, "train_loss": error}
        record |= {"epoch": epoch, "train_metric": 1 - error, "validation_loss": error, "validation_metric": 1 - error}
        record |= {f"cosine_boundary_{it}": 0.9 - 0.1 * it - 0.01 * epoch for it in range(1, boundaries + 1)}
        records.append(record)
    if diverge:
        records = records[:1]
        records[-1] |= {"train_loss": math.nan, "validation_loss": math.nan, "validation_metric": 0.098}
    else:
        records[-1] |= {"test_loss": error, "test_metric": 1 - 0.97 * final}
    return _frame(records, name, seed, setting, order, diverge)


def _frame(records, name, seed, setting, order, diverge=False):
    ending = {"status": "diverged" if diverge else "finished", "diverged_step": 3 if diverge else None}
    label = {"setting": name, "order": order, "method": "synthetic_gradients", "seed": seed, "experiment": EXPERIMENT}
    records = [{"epoch": number} | record for number, record in enumerate(records)]
    return results.run_frame(records, **SUBJECT, **label, **ending, **setting)


def _beside_the_source(seed, setting, gradient, order):
    """The gradients looked at and the predictions on two images."""
    frames = []
    if gradient != "backprop":
        places = np.ndindex(4, 6)
        actual = np.random.default_rng(seed).normal(size=(4, 6))
        looked = [{"step": 100, "row": i, "column": j, "actual": actual[i, j]} for i, j in places]
        looked = [it | {"synthetic": it["actual"] / 2} for it in looked]
        frames.append(_frame(looked, f"source: {gradient}", seed, setting | {"budget": "source gradients"}, order))
    guessed = [{"step": 100, "digit": it, "label": 7 - it, "predicted": 7} for it in range(2)]
    frames.append(_frame(guessed, f"source: {gradient}", seed, setting | {"budget": "source predictions"}, order))
    return frames


def fake_seed(seed, *, diverge=()):
    """Return the frame of a seed with every kind of row; `diverge`: names of settings that do."""
    frames, order = [], 0
    for gradient in SOURCE:
        setting = {"budget": "source", "family": "source", "gradient": gradient, "network": "mlp", "layers": 2}
        rate = {"backprop": 0.0, "weights regressed": 0.0001}.get(gradient, 0.01)
        setting |= {"batch_size": 10, "learning_rate": 0.02, "predictor_rate": rate}
        name = f"source: {gradient}"
        frames.append(_run(name, seed, setting, 0.4, order, diverge=name in diverge))
        frames += _beside_the_source(seed, setting, gradient, order)
        order += 1
    known = {"batch_size": 256, "learning_rate": 0.001, "predictor_rate": 0.001, "update_probability": 1.0}
    known |= {"predictor_layers": 0}
    for family, counts in LAYERS.items():
        network = "normalised_mlp" if family == "fully connected" else "normalised_convnet_3"
        for layers in counts:
            for gradient, final in METHODS.items():
                setting = known | {"budget": "comparison", "family": family, "gradient": gradient, "layers": layers}
                if gradient == "DNI" and family == "fully connected":
                    setting |= {"predictor_layers": 2, "cut": "norm"}
                name = f"{layers} layers, {family}, {gradient}"
                boundaries = layers - 1 if gradient in ("DNI", "cDNI") else 0
                how = {"boundaries": boundaries, "diverge": name in diverge}
                frames.append(_run(name, seed, setting | {"network": network}, final, order, **how))
                order += 1
    for probability in PROBABILITIES:
        setting = known | {"budget": "unlocked", "family": "fully connected", "gradient": "cDNI", "layers": 4}
        setting |= {"update_probability": probability, "network": "normalised_mlp"}
        frames.append(_run(f"updating with p = {probability:g}", seed, setting, 0.02 / probability, order))
        order += 1
    pixels = [{"step": 0, "digit": it, "row": i, "column": j, "pixel": (i + j) / 4} for it, i, j in np.ndindex(2, 3, 3)]
    frames.append(_frame(pixels, "images", seed, {"budget": "source digits"}, 0))
    for number, (name, added) in enumerate({"backpropagation": None, "linear predictors": 1}.items()):
        counts = [{"step": 0, "depth": it, "chain": it + (added or it), "wait": 2} for it in range(3, 21)]
        frames.append(_frame(counts, name, seed, {"budget": "critical path"}, number))
    return results.combine(frames)
