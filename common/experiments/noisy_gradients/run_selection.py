"""The runs of 02_noisy_gradients that its figures compare with.

Runs of two groups are stored: `full` has the source's batch size and epochs, `sweep` about as many updates of smaller
batches. Every run of the sweep differs in one thing from its run at the reference noise.
"""

import numpy as np
import pandas as pd

from common.plotting import captions as subject
from common.plotting.curves import NothingToDraw, column, select

NOTHING_DONE = "nothing done"  # the notebook's name of the sweep's run at the reference noise
# What a run has unless the figure is about it.
PLAIN = {"noise": "constant", "schedule": "constant", "momentum": 0.0, "averaging": 0.0}
PLAIN |= {"sketch": "none", "trained_on": "all", "devices": 0}
# What the columns of an estimator's or optimizer's arguments are called here, and what holds where there is none.
_ARGUMENTS = {
    "ConstantNoise.sigma": ("sigma", 0.0),
    "SGD.momentum": ("momentum", 0.0),
    "OverTheAir.devices": ("devices", 0),
    "OverTheAir.label_skewed": ("label_skewed", False),
}


def prepared(frame: pd.DataFrame) -> pd.DataFrame:
    """Prepare a frame for the figures: errors, see `captions.prepared`, and what was done about which noise.

    The columns are noise (constant, annealed, relative or channel), sketch (none, random or public), trained_on (all
    or public), sigma, momentum, averaging, devices, label_skewed, decibels, dimensions and redraw_every; where a run
    has none of it, zero.
    """
    frame = subject.prepared(frame)
    derived = {}
    for name, (short, default) in _ARGUMENTS.items():
        values = pd.Series([default if pd.isna(it) else it for it in column(frame, name)], index=frame.index)
        derived[short] = values.astype(type(default))
    decay = pd.to_numeric(column(frame, "SGD.ema_momentum")).fillna(0.99)  # what Keras takes unless told otherwise
    derived["averaging"] = np.where(column(frame, "SGD.use_ema").fillna(False).astype(bool), decay.astype(float), 0.0)
    made_by = frame["estimator"].str
    levels = [made_by.contains(name) for name in ("OverTheAir", "AnnealedNoise", "RelativeNoise")]
    derived["noise"] = np.select(levels, ["channel", "annealed", "relative"], "constant")
    owners = [made_by.contains(name) for name in ("PublicSubspace", "SignSketch")]
    derived["sketch"] = np.select(owners, ["public", "random"], "none")
    for short, names in {
        "dimensions": ("PublicSubspace.dimensions", "SignSketch.dimensions"),
        "redraw_every": ("PublicSubspace.refresh_every", "SignSketch.redraw_every"),
    }.items():
        values = [pd.to_numeric(column(frame, name)).fillna(0) for name in names]
        derived[short] = np.select(owners, values, 0).astype(int)
    channel_noise = pd.to_numeric(column(frame, "OverTheAir.channel_noise")).fillna(1.0)
    derived["decibels"] = (-20 * np.log10(channel_noise)).round(6) + 0.0
    derived["trained_on"] = np.where(frame["run"].str.startswith("server alone"), "public", "all")
    return frame.assign(**derived)


# The arguments that a constructor call of these names by their place.
_PLACES = {
    "NoisyGradient": ("inner", "level"),
    "PublicSubspace": ("inner",),
    "OverTheAir": ("inner", "devices"),
    "ConstantNoise": ("sigma",),
    "AnnealedNoise": ("eta", "gamma"),
    "RelativeNoise": ("signal_to_noise",),
    "SignSketch": ("dimensions", "redraw_every"),
}
_NOTHING = {"noise": "constant", "sigma": 0.0, "eta": 0.0, "ratio": 0.0, "sketch": "none", "dimensions": 0}
_NOTHING |= {"redraw_every": 0, "devices": 0, "decibels": 0.0, "label_skewed": False}


def labelled(frame: pd.DataFrame) -> pd.DataFrame:
    """Add what the figures tell apart: kind and strength of the noise, subspace, devices, schedule, averages, data.

    Args:
        frame: a tidy frame of this experiment.

    Returns:
        The frame with the columns budget (the run's group), setting (its name), noise, sigma, eta, ratio, sketch,
        dimensions, redraw_every, devices, decibels, label_skewed, schedule, momentum, averaging and trained_on, and
        with `dataset` without the part that says how much of it is trained on.
    """
    if "noise" in frame:
        return frame
    noise = {text: _noise(ast.parse(text, mode="eval").body) for text in frame["estimator"].unique()}
    steps = {text: _averages(ast.parse(text, mode="eval").body) for text in frame["optimizer"].unique()}
    columns = [
        noise[estimator] | steps[optimizer]
        for estimator, optimizer in zip(frame["estimator"], frame["optimizer"], strict=True)
    ]
    names = frame["dataset"].str.split(", ", n=1)
    marked = frame.assign(
        **{name: [row[name] for row in columns] for name in columns[0]},
        budget=frame["group"],
        setting=frame["run"],
        schedule=frame["schedule"].map({"constant": "constant", "LinearDecay": "linear"}),
        dataset=names.str[0],
        trained_on=(names.str.len() > 1).map({True: "public", False: "all"}),
    )
    marked.attrs = frame.attrs
    return marked


def _noise(call: ast.Call) -> dict[str, Any]:
    """Return what an estimator's text says of noise, over `_NOTHING`."""
    name = ast.unparse(call.func)
    parts = dict(zip(_PLACES.get(name, ()), call.args, strict=False)) | {part.arg: part.value for part in call.keywords}
    literals = {key: ast.literal_eval(node) for key, node in parts.items() if not isinstance(node, ast.Call)}
    inner = _noise(parts["inner"]) if "inner" in parts else dict(_NOTHING)
    match name:
        case "NoisyGradient":
            level = _noise(parts["level"])
            sketch = _noise(parts["sketch"]) if isinstance(parts.get("sketch"), ast.Call) else {}
            return inner | {key: level[key] for key in ("noise", "sigma", "eta", "ratio")} | _changed(sketch)
        case "PublicSubspace":
            public = {"sketch": "public", "dimensions": literals["dimensions"]}
            return inner | public | {"redraw_every": literals.get("refresh_every", 10)}
        case "OverTheAir":
            decibels = -20 * math.log10(literals["channel_noise"])
            skewed = bool(literals.get("label_skewed", False))
            air = {"noise": "channel", "devices": literals["devices"], "decibels": round(decibels, 6) + 0.0}
            return inner | air | {"label_skewed": skewed}
        case "ConstantNoise":
            return _NOTHING | {"sigma": float(literals["sigma"])}
        case "AnnealedNoise":
            return _NOTHING | {"noise": "annealed", "eta": float(literals["eta"])}
        case "RelativeNoise":
            return _NOTHING | {"noise": "relative", "ratio": float(literals["signal_to_noise"])}
        case "SignSketch":
            redrawn = literals.get("redraw_every") or 0
            return _NOTHING | {"sketch": "random", "dimensions": literals["dimensions"], "redraw_every": redrawn}
    return inner


def _changed(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if value != _NOTHING[name]}


def _averages(call: ast.Call) -> dict[str, float]:
    """Return what an optimizer's text says of momentum and of averaged weights, 0 where it has none."""
    given = {part.arg: ast.literal_eval(part.value) for part in call.keywords}
    averaging = given.get("ema_momentum", 0.99) if given.get("use_ema") else 0.0  # 0.99 is Keras' default
    return {"momentum": float(given.get("momentum", 0.0)), "averaging": float(averaging)}


def prepared(frame: pd.DataFrame) -> pd.DataFrame:
    """Add the errors and what the figures tell apart to a frame of one subject; see `captions.prepared`."""
    return captions.prepared(labelled(frame))


def reference(frame: pd.DataFrame) -> pd.Series:
    """Return a row of the sweep's run that does nothing about the reference noise: what the other runs vary.

    Raises:
        NothingToDraw: when there is none.
    """
    rows = select(frame, group="sweep", run=NOTHING_DONE)
    if rows.empty:
        raise NothingToDraw(f"the results hold no run {NOTHING_DONE!r}, to which the others are compared")
    return rows.iloc[0]


def sigma_sweep(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the runs of the sweep that differ from the reference in σ alone, σ = 0 and the reference among them."""
    same = {name: reference(frame)[name] for name in ("batch_size", "learning_rate")}
    return select(frame, group="sweep", **PLAIN, **same)


def budget(runs: pd.DataFrame) -> str:
    """Name batch size and epochs of runs that share them, e.g. "batch 32, 1 epoch"."""
    epochs, batch = int(runs["epoch"].max()), int(runs["batch_size"].iloc[0])
    return f"batch {batch}, {epochs} epoch{'s' if epochs > 1 else ''}"
