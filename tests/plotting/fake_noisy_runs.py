"""Result files that look like those of 02_noisy_gradients on MNIST, made from formulas in milliseconds."""

import math
import zlib
from itertools import product

import numpy as np
from fake_runs import ended, run_frame

from common import results

EXPERIMENT = "02_noisy_gradients"
TRAIN, COORDINATES = 55_000, 34_826
CONSTANT_COLUMNS = {"dataset": "mnist", "network": "mnist_convnet", "precision": "float32", "train_examples": TRAIN}

REFERENCE = {"noise": "constant", "sigma": 1.0, "eta": 0.0, "ratio": 0.0, "learning_rate": 0.01, "schedule": "constant"}
REFERENCE |= {"momentum": 0.0, "averaging": 0.0, "sketch": "none", "dimensions": 0, "redraw_every": 0}
REFERENCE |= {"trained_on": "all", "devices": 0, "decibels": 0.0, "label_skewed": False}
FULL = REFERENCE | {"group": "full", "batch_size": 500, "epochs": 15}
SWEEP = REFERENCE | {"group": "sweep", "batch_size": 32, "epochs": 1}
RECOVERY = {"schedule": "LinearDecay", "learning_rate": 0.005, "sketch": "public", "dimensions": 20, "redraw_every": 10}


def make_plan():
    """Return every setting of the notebook by its name, with how many times the error is that of plain SGD."""
    linear = {"schedule": "LinearDecay"}
    public = SWEEP | RECOVERY
    plan = {"full: σ = 1": (FULL, 0.8), "nothing done": (SWEEP, 1.0)}
    plan |= {f"σ = {sigma:g}": (SWEEP | {"sigma": sigma}, 1.0) for sigma in (0, 0.01, 0.03, 0.1, 0.3, 2, 5, 10)}
    plan |= {f"batch {size}": (SWEEP | {"batch_size": size}, 1 + size / 300) for size in (128, 512)}
    plan |= {"rate 0.003": (SWEEP | {"learning_rate": 0.003}, 0.85)}
    plan |= {f"rate {rate:g} → 0": (SWEEP | linear | {"learning_rate": rate}, 0.55 + rate) for rate in (0.003, 0.01)}
    for eta in (0.01, 0.3, 1):
        plan[f"annealed, η = {eta:g}"] = (SWEEP | {"noise": "annealed", "sigma": 0.0, "eta": eta}, 1.7 + eta)
    plan["relative, ratio 0.001"] = (SWEEP | {"noise": "relative", "sigma": 0.0, "ratio": 0.001}, 2.2)
    plan["momentum 0.9"] = (SWEEP | {"momentum": 0.9, "learning_rate": 0.001}, 1.02)
    plan["average 0.99"] = (SWEEP | {"averaging": 0.99}, 0.7)
    plan["average 0.99, rate → 0"] = (SWEEP | linear | {"averaging": 0.99}, 0.54)
    inside = SWEEP | linear | {"sketch": "random"}
    for size, factor in ((100, 1.6), (10_000, 0.57), (1000, 0.9)):
        plan[f"subspace d = {size}, rate → 0"] = (inside | {"dimensions": size}, factor)
    plan["subspace d = 1000, redrawn, rate → 0"] = (inside | {"dimensions": 1000, "redraw_every": 1}, 1.3)
    for count, level, skewed in product((1, 4, 16), (-20, 0), (False, True)):
        if not skewed or count == 16:
            air = {"noise": "channel", "sigma": 0.0, "devices": count, "decibels": float(level), "label_skewed": skewed}
            factor = (1.2 + 3 * 10 ** (-level / 20) / count / 2) * (1.3 if skewed else 1)
            plan[f"{count} over the air, {level} dB{', skewed' if skewed else ''}"] = (SWEEP | air, factor)
    plan |= {
        f"public gradients d = {size}, rate → 0": (public | {"dimensions": size}, 0.4 + 1 / size) for size in (5, 20)
    }
    plan["server alone: 200 examples, no noise"] = (SWEEP | {"sigma": 0.0, "trained_on": "public"}, 2.6)
    plan["full: σ = 1, recovered"] = (FULL | RECOVERY, 0.4)
    tuned = SWEEP | linear | {"group": "tuned"}
    plan["tuned: nothing done"] = (SWEEP | {"group": "tuned"}, 0.9)
    plan["tuned: rate 0.01 → 0"] = (tuned, 0.5)
    plan["tuned: public gradients d = 5, rate → 0"] = (tuned | RECOVERY | {"dimensions": 5}, 0.4)
    plan["tuned: server alone, rate → 0"] = (tuned | {"sigma": 0.0, "trained_on": "public"}, 1.6)
    return plan


PLAN = make_plan()


def fake_run(name, seed, *, diverge=None):
    """Return the frame of one setting's run; `diverge`: the epoch in which it ends."""
    setting, factor = PLAN[name]
    estimator, arguments = _made_of(setting)
    generator = np.random.default_rng([zlib.crc32(name.encode()), seed])
    strength = (setting["sigma"] / 2) ** 1.8
    final = min(0.9, (0.06 + 0.84 * strength / (1 + strength)) * factor) * math.exp(generator.normal(0, 0.05))
    records = []
    for epoch in range(1, setting["epochs"] + 1):
        error = min(0.9, final * (1 + 1.5 / epoch**1.3 - 1.5 / setting["epochs"] ** 1.3))
        steps = epoch * math.ceil(TRAIN / setting["batch_size"])
        record = {"epoch": epoch, "step": steps, "seconds": 9.5 * epoch, "cost": float(epoch * TRAIN)}
        record |= {"train_loss": 3.4 * error, "train_metric": 1 - error}
        record |= {"validation_loss": 3.3 * error, "validation_metric": 1 - error}
        records.append(record | _alignment(setting, epoch, generator))
        if name == "σ = 0":
            records[-1] |= {"noise_scale": 400.0 + 100 * seed, "gradient_variance": 40.0 + 10 * seed}
    return run_frame(
        ended(records, diverge, test_loss=3.2 * error, test_metric=1 - error * 0.97),
        diverge,
        experiment=EXPERIMENT,
        method=estimator.split("(")[0],
        seed=seed,
        run=name,
        order=list(PLAN).index(name),
        coordinates=COORDINATES,
        estimator=estimator,
        **{key: setting[key] for key in ("group", "batch_size", "learning_rate", "schedule")},
        **arguments,
        **CONSTANT_COLUMNS,
    )


def fake_seed(seed, *, without=(), diverge=()):
    """Return the frame of a seed: every setting but those whose name holds a word of `without`."""
    names = [name for name in PLAN if not any(word in name for word in without)]
    return results.combine([fake_run(name, seed, diverge=1 if name in diverge else None) for name in names])


def _made_of(setting):
    """Return the text of a setting's estimator, and the columns of its arguments and of the optimizer's."""
    averaging = setting["averaging"]  # 0.99 is Keras' default, which has no column
    arguments = {"SGD.momentum": setting["momentum"] or None, "SGD.use_ema": bool(averaging) or None}
    if setting["devices"]:
        air = {"devices": setting["devices"], "label_skewed": setting["label_skewed"]}
        air["channel_noise"] = 10 ** (-setting["decibels"] / 20)
        return "OverTheAir(Backpropagation())", arguments | {f"OverTheAir.{key}": value for key, value in air.items()}
    if setting["noise"] == "constant":
        arguments["ConstantNoise.sigma"] = setting["sigma"]
    estimator = f"NoisyGradient(Backpropagation(), {setting['noise'].capitalize()}Noise())"
    if setting["sketch"] == "random":
        arguments["SignSketch.dimensions"] = setting["dimensions"]
        arguments["SignSketch.redraw_every"] = setting["redraw_every"] or None
        return estimator.replace("Noise())", "Noise(), sketch=SignSketch())"), arguments
    if setting["sketch"] == "public":
        arguments["PublicSubspace.dimensions"] = setting["dimensions"]
        arguments["PublicSubspace.refresh_every"] = setting["redraw_every"]
        return f"PublicSubspace({estimator})", arguments
    return estimator, arguments


def _alignment(setting, epoch, generator):
    """What is measured of a run with the full budget, and of one with constant noise in all coordinates."""
    if (
        setting["noise"] != "constant"
        or setting["group"] == "tuned"
        or (setting["group"] == "sweep" and setting["sketch"] != "none")
    ):
        return {}
    signal = 1.2 / math.sqrt(epoch) * math.exp(generator.normal(0, 0.1))
    if setting["sigma"] == 0:
        return {"gradient_norm": math.sqrt(signal), "signal_to_noise": math.inf, "cosine": 1.0}
    ratio = signal / (setting["sigma"] ** 2 * COORDINATES)
    gain = 6.0 if setting["sketch"] == "public" else 1.0
    measured = {"gradient_norm": math.sqrt(signal), "signal_to_noise": ratio / gain}
    return measured | {"cosine": gain / math.sqrt(1 + 1 / ratio)}
