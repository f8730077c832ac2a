"""Result files that look like those of 06_synthetic_gradients on MNIST, made from formulas in milliseconds."""

import math
import zlib

import numpy as np

from common import results

EXPERIMENT = "06_synthetic_gradients"
CONSTANT_COLUMNS = {"dataset": "mnist", "precision": "float32", "train_examples": 55_000, "metric": "accuracy"}
METHODS = {"no backprop": 0.15, "backprop": 0.018, "DNI": 0.03, "cDNI": 0.017}
LAYERS = {"fully connected": (3, 4, 6), "convolutional": (3, 4)}
SOURCE = ("backprop", "weights regressed", "DNI", "cDNI")
PROBABILITIES = (1.0, 0.5, 0.2)
CONTROLS = {"backprop, batches of DNI": ("backprop", 0.019), "labels alone": ("cDNI", 0.1), "λ = 0.5": ("cDNI", 0.016)}
EPOCHS = 5
CLASSES = {"no backprop": "LastModuleOnly", "backprop": "Backpropagation", "weights regressed": "WeightRegression"}
ADAM = "keras.Adam(CosineDecay(0.001))"


def run_name(layers, family, method):
    """The name of a run of the comparison."""
    return ", ".join([f"{layers} layers", *([family] if family == "convolutional" else []), method])


def _records(name, seed, final, boundaries=0):
    generator = np.random.default_rng([zlib.crc32(name.encode()), seed])
    final *= math.exp(generator.normal(0, 0.05))
    records = []
    for epoch in range(1, EPOCHS + 1):
        error = final * (1 + 3 / epoch - 3 / EPOCHS)
        record = {"step": 215 * epoch, "seconds": 4.0 * epoch, "cost": 55_000.0 * epoch, "train_loss": error}
        record |= {"epoch": epoch, "train_metric": 1 - error, "validation_loss": error, "validation_metric": 1 - error}
        record |= {f"cosine_boundary_{place}": 0.9 - 0.1 * place - 0.01 * epoch for place in range(1, boundaries + 1)}
        records.append(record)
    records[-1] |= {"test_loss": error, "test_metric": 1 - 0.97 * final}
    return records


def _frame(records, name, seed, order, method, *, diverge=(), **settings):
    """The frame of a run of one method, its predictors' settings among the columns."""
    ending = {"status": "finished"}
    if name in diverge:
        ending = {"status": "diverged", "diverged_step": 3}
        lost = {"train_loss": math.nan, "validation_loss": math.nan, "validation_metric": 0.098}
        records = [records[0] | lost]
    if method in ("DNI", "cDNI"):
        predictors = {"optimizer": ADAM, "labels": method == "cDNI", "hidden_layers": 0, "boundaries": None}
        predictors = {f"SyntheticGradients.{key}": value for key, value in predictors.items()}
        settings = predictors | settings
    settings = {"run": name, "order": order, "method": CLASSES.get(method, "SyntheticGradients")} | settings
    return results.run_frame(records, experiment=EXPERIMENT, seed=seed, **CONSTANT_COLUMNS, **ending, **settings)


def _pictures(seed, method):
    """What the diagnostics of the source's runs leave in the last record."""
    actual = np.random.default_rng(seed).normal(size=(4, 6))
    images = np.add.outer(np.zeros(2), np.add.outer(np.arange(3), np.arange(3)) / 4)
    pictures = {"sample_images": images, "sample_labels": np.array([7, 6]), "sample_predictions": np.array([7, 7])}
    name = {"weights regressed": "weight_gradient", "DNI": "boundary_gradient", "cDNI": "boundary_gradient"}.get(method)
    return pictures | ({name: actual, f"synthetic_{name}": actual / 2} if name else {})


def fake_seed(seed, *, diverge=()):
    """Return the frame of a seed with every kind of run; `diverge`: names of runs that do."""
    frames, shared = [], {"diverge": diverge}
    known = {"group": "source", "network": "mlp", "Network.hidden": "[100]", "batch_size": 10, "learning_rate": 0.02}
    for method in SOURCE:
        records = _records(f"source: {method}", seed, 0.4)
        records[-1] |= _pictures(seed, method)
        predictors = {"WeightRegression.optimizer": "SGD(0.0001)"} if method == "weights regressed" else {}
        predictors |= {"SyntheticGradients.optimizer": "SGD(0.01)"} if method.endswith("DNI") else {}
        settings = known | predictors | shared
        frames.append(_frame(records, f"source: {method}", seed, len(frames), method, **settings))
    known = {"batch_size": 256, "learning_rate": 0.001, "optimizer": ADAM}
    for family, counts in LAYERS.items():
        for layers in counts:
            of_maps = {"network": f"normalised_convnet_{layers}", "Network.hidden": "[]"}
            dense = {"network": "normalised_mlp", "Network.hidden": str([256] * (layers - 1))}
            for method, final in METHODS.items():
                name = run_name(layers, family, method)
                settings = known | {"group": "comparison"} | (dense if family == "fully connected" else of_maps)
                if method == "DNI" and family == "fully connected":
                    cuts = str([f"norm_{number}" for number in range(1, layers)])
                    settings |= {"SyntheticGradients.hidden_layers": 2, "SyntheticGradients.boundaries": cuts}
                records = _records(name, seed, final, layers - 1 if method in ("DNI", "cDNI") else 0)
                frames.append(_frame(records, name, seed, len(frames), method, **settings | shared))
    dense = {"group": "control", "network": "normalised_mlp", "Network.hidden": str([256] * 5)}
    for control, (method, final) in CONTROLS.items():
        name = f"6 layers, {control}"
        frames.append(_frame(_records(name, seed, final), name, seed, len(frames), method, **known | dense | shared))
    for share in PROBABILITIES:
        settings = known | {"group": "unlocked", "network": "normalised_mlp", "Network.hidden": "[256, 256, 256]"}
        settings |= {"SyntheticGradients.update_probability": share} | shared
        name = f"updating with p = {share:g}"
        records = _records(name, seed, 0.02 / share)
        frames.append(_frame(records, name, seed, len(frames), "cDNI", **settings))
        settings |= {"group": "control", "SyntheticGradients.mixing": 1.0}
        records = _records(f"backprop, {name}", seed, 0.015 / share)
        frames.append(_frame(records, f"backprop, {name}", seed, len(frames), "cDNI", **settings))
    return results.combine(frames)
