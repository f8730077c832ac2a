"""The contract of every gradient estimator, as a function that anybody can call, here or in another repository.

    from common.estimators.checks import check_estimator
    check_estimator(lambda: MyEstimator(0.1))

Each check raises an AssertionError of one sentence that names the estimator. The contract lets an estimator refuse a
smaller last batch, mixed_bfloat16 and batch norm. There, a ValueError of one sentence passes the check.
"""

from __future__ import annotations

import copy
import inspect
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from common.data.load import Split
from common.estimators.bench import BATCH, REST, Bench, Run, random_examples, small_task, variables_of
from common.estimators.estimator import GradientEstimate, GradientEstimator
from common.optimizers.notation import KNOWN as KNOWN_OPTIMIZERS
from common.settings import Configured, parse
from common.tasks.task import Task

STEPS = 4  # of training; a checkpoint is written after half of them


def check_estimator(
    make: Callable[[], GradientEstimator],
    *,
    make_task: Callable[..., Task] = small_task,
    examples: Split | None = None,
    known: Mapping[str, Callable] | None = None,
    run_xla: bool = True,
) -> None:
    """Check an estimator against the whole contract; see `estimator`.

    Args:
        make: returns a new estimator at each call, not built.
        make_task: returns the task, given (seed, *, precision="float32", batch_norm=False). The default classifies 8×8
            images into 4 classes with a convolution `conv_1`, a pool `pool_1`, dropout, and two dense layers.
        examples: at least 58 examples that fit the task; None: random examples that fit the default task.
        known: further classes that the estimator's `repr` may name, beside its own parts and all optimizers.
        run_xla: whether to run the epoch that XLA translates. False stops before the compilation to machine code, which
            takes seconds, or half a minute for large loops.

    Raises:
        AssertionError: the estimator breaks the contract; the message is one sentence that says where.
    """
    bench = Bench(make, make_task, random_examples() if examples is None else examples)
    check_settings(bench)
    check_text(bench, known or {})
    with tempfile.TemporaryDirectory() as folder:
        run = Run(bench)
        costs, start = _costs(run.estimator), run.save(Path(folder, "start"))
        check_estimate(run)
        fresh = Run(bench, seed=1)
        fresh_start = fresh.save(Path(folder, "fresh"))
        check_training(bench, run, start, fresh)
        rest = check_smaller_batch(run)
        check_cost(run.estimator, costs)
        check_xla(run, [BATCH, BATCH, REST] if rest else [BATCH, BATCH], run_it=run_xla)
        fresh.restore(fresh_start)
        check_second_task(bench, run, fresh)
        check_copy(run.estimator)
    check_precision(bench)
    check_batch_norm(bench)


def check_settings(bench: Bench) -> None:
    """Check that every constructor argument is stored under its name and makes an equal estimator."""
    estimator = bench.make()
    name = type(estimator).__name__
    for argument in list(inspect.signature(type(estimator).__init__).parameters.values())[1:]:
        if argument.kind in (argument.VAR_POSITIONAL, argument.VAR_KEYWORD):
            raise AssertionError(f"{name}: the constructor must name its arguments, it takes {argument}")
        if not hasattr(estimator, argument.name):
            raise AssertionError(
                f"{name} does not hold its argument {argument.name!r} under that name: the constructor must store "
                "every argument"
            )
    again = type(estimator)(**estimator.settings)
    names = list(inspect.signature(type(estimator)).parameters)
    _require(list(estimator.settings) == names, estimator, f"its settings must be {names}, its constructor's arguments")
    _require(again.settings == estimator.settings, estimator, f"its settings make another one, {again!r}")
    _require(bench.make() is not estimator, estimator, "make() must return another estimator at each call")


def check_text(bench: Bench, known: Mapping[str, Callable]) -> None:
    """Check that the constructor call in an estimator's `repr` makes an equal estimator."""
    estimator = bench.make()
    known = {**KNOWN_OPTIMIZERS, **_classes(estimator), **known}
    try:
        again = parse(repr(estimator), known, "estimator")
    except ValueError as error:
        raise AssertionError(f"{estimator!r} cannot be read back from its text: {error}") from None
    _require(
        type(again) is type(estimator) and repr(again) == repr(estimator), estimator, f"its text is read as {again!r}"
    )


def check_estimate(run: Run) -> None:
    """Check shapes and types of loss, outputs and gradients, and that only variables change."""
    estimator, weights = run.estimator, [weight.numpy() for weight in run.task.weights]
    text, attributes = repr(run.bench.make()), _python_state(estimator)
    _check_shapes(estimator, run.task, run.estimate(step=0), BATCH)
    for weight, before in zip(run.task.weights, weights, strict=True):
        same = np.array_equal(weight.numpy(), before)
        _require(same, estimator, f"estimate changes the network's weight {weight.path!r}: only the optimizer may")
    _require(repr(estimator) == text, estimator, f"build or estimate changes its settings to {estimator!r}")
    for name, value in _python_state(estimator).items():
        _require(
            name in attributes and _same(value, attributes[name]),
            estimator,
            f"estimate sets the attribute {name!r}: what changes is a variable, which build creates",
        )


def check_training(bench: Bench, run: Run, start: Path, fresh: Run) -> None:
    """Check that state and seed determine every estimate: a resumed run and a repeated run give the same bits.

    Args:
        bench: how everything is made.
        run: the run without interruption.
        start: the path of its first checkpoint.
        fresh: a run made anew, with another seed; it continues from the middle of `run`.
    """
    run.restore(start)
    whole = run.train(range(STEPS // 2))
    middle = run.save(start.with_name("middle"))
    rest = [*run.train(range(STEPS // 2, STEPS)), run.state()]
    if _first_difference(_resumed(fresh, middle), rest) is not None:
        raise AssertionError(_why_not_resumed(bench, run, middle, rest))
    run.restore(start)
    again = run.train(range(STEPS // 2))
    _require(
        _first_difference(again, whole) is None,
        run.estimator,
        "the same state and seed give another estimate: all that is random must come from estimate's seed",
    )


def check_smaller_batch(run: Run) -> bool:
    """Check that an epoch's smaller last batch works or is refused; return which."""

    def estimate() -> None:
        _check_shapes(run.estimator, run.task, run.estimate(step=STEPS, size=REST), REST)

    return _refusal(run.estimator, estimate, f"a last batch of {REST} after batches of {BATCH}") is None


def check_cost(estimator: GradientEstimator, before: Mapping[str, float]) -> None:
    """Check that costs are finite floats, > 0 except the set-up cost, and independent of earlier estimates."""
    for call, cost in before.items():
        once = call.startswith("setup_cost")
        fits = type(cost) is float and math.isfinite(cost) and (cost > 0 or (once and cost == 0))
        _require(fits, estimator, f"{call} must be a finite float {'≥' if once else '>'} 0, got {cost!r}")
    for call, cost in _costs(estimator).items():
        _require(
            cost == before[call],
            estimator,
            f"{call} is {before[call]!r} before and {cost!r} after estimate: a cost may depend on settings, task and "
            "batch size alone",
        )


def check_xla(run: Run, sizes: Sequence[int], *, run_it: bool) -> None:
    """Check that XLA translates and runs one epoch of full batches in a loop and a smaller last batch."""
    losses = np.zeros(1)
    try:
        run.translated_epoch(sizes)
        if run_it:
            losses = run.compiled_epoch(sizes)
    except Exception as error:
        raise AssertionError(f"{run.estimator!r}: an epoch fails under XLA: {_first_line(error)}") from error
    _require(bool(np.isfinite(losses).all()), run.estimator, f"under XLA the losses of an epoch are {losses}")


def check_precision(bench: Bench) -> None:
    """Check that estimates on a network in mixed_bfloat16 are float32 and finite, or refused."""
    _refusal(bench.make(), lambda: _estimated(bench, precision="mixed_bfloat16"), "a network in mixed_bfloat16")


def check_batch_norm(bench: Bench) -> None:
    """Check that batch norm's averages move as in one training pass or not at all, or that the network is refused."""
    runs: list[Run] = []
    refusal = _refusal(
        bench.make(), lambda: runs.append(_estimated(bench, batch_norm=True)), "a network with batch norm"
    )
    if refusal is not None:
        return
    run, reference = runs[0], bench.task(0, batch_norm=True)
    before = _averages(reference)
    reference.outputs(*bench.inputs(step=0))
    for name, value in _averages(run.task).items():
        moved = np.allclose(value, _averages(reference)[name], rtol=1e-3, atol=1e-5)
        _require(
            moved or np.array_equal(value, before[name]),
            run.estimator,
            f"estimate moves batch norm's {name!r} otherwise than one pass of training does: passes that only look "
            "take Task.outputs(..., update_state=False)",
        )


def check_second_task(bench: Bench, run: Run, fresh: Run) -> None:
    """Check that an estimator built again on another task belongs only to that task.

    Args:
        bench: how everything is made.
        run: the run whose estimator is built again; do not use it afterwards.
        fresh: a run of another seed at its start, whose estimator was built once.
    """
    other, weights = bench.task(1), [weight.numpy() for weight in run.task.weights]
    try:
        run.estimator.build(other, bench.context(1))
    except Exception as error:
        raise AssertionError(f"{run.estimator!r}: cannot be built on a second task: {_first_line(error)}") from error
    again = Run(bench, task=other, estimator=run.estimator)
    _require(
        _first_difference(again.train([0]), fresh.train([0])) is None,
        run.estimator,
        "built on a second task, it estimates otherwise than one that is built there first",
    )
    now = [weight.numpy() for weight in run.task.weights]
    unmoved = all(np.array_equal(value, before) for value, before in zip(now, weights, strict=True))
    _require(unmoved, run.estimator, "built on a second task, it still changes the first one's weights")


def check_copy(estimator: GradientEstimator) -> None:
    """Check that a deep copy of a built estimator has the same settings, copies its parts and is not built."""
    twin = copy.deepcopy(estimator)
    _require(repr(twin) == repr(estimator), estimator, f"its copy is another one, {twin!r}")
    _require(not hasattr(twin, "task"), estimator, "a copy of it is built: state is an attribute that only build sets")
    for name, value in twin.settings.items():
        wraps = isinstance(value, GradientEstimator)
        _require(
            (value is estimator.settings[name]) != wraps,
            estimator,
            f"a copy of it {'shares' if wraps else 'does not keep'} its setting {name!r}: what it wraps is copied, all "
            "other settings are kept as they are",
        )


def _require(condition: bool, estimator: GradientEstimator, sentence: str) -> None:
    if not condition:
        raise AssertionError(f"{estimator!r}: {sentence}")


def _classes(value: Any) -> dict[str, type]:
    """Return the classes of an object and of everything in its settings, by name."""
    if isinstance(value, list | tuple):
        return {name: cls for part in value for name, cls in _classes(part).items()}
    if not isinstance(value, Configured):
        return {}
    return {type(value).__name__: type(value)} | _classes(list(value.settings.values()))


def _check_shapes(estimator: GradientEstimator, task: Task, estimate: GradientEstimate, examples: int) -> None:
    _require(isinstance(estimate, GradientEstimate), estimator, "estimate must return a GradientEstimate")
    shapes = {"loss": (estimate.loss, ()), "outputs": (estimate.outputs, (examples, task.network.output_shape[-1]))}
    count, weights = len(estimate.gradients), task.weights
    _require(count == len(weights), estimator, f"estimate gives {count} gradients for {len(weights)} weights")
    for gradient, weight in zip(estimate.gradients, weights, strict=True):
        shapes[f"the gradient of {weight.path!r}"] = gradient, tuple(weight.shape)
    for name, (tensor, shape) in shapes.items():
        fits = tensor is not None and tuple(tensor.shape) == shape and tensor.dtype == tf.float32
        got = "None" if tensor is None else f"{tensor.dtype.name} of shape {tuple(tensor.shape)}"
        _require(fits, estimator, f"{name} must be float32 of shape {shape}, got {got}")
        finite = bool(tf.reduce_all(tf.math.is_finite(tensor)))
        _require(finite, estimator, f"{name} must be finite on random examples")


def _costs(estimator: GradientEstimator) -> dict[str, float]:
    costs = {}
    for ask in (estimator.cost, estimator.bytes_sent):
        first = ask(REST)
        costs |= {f"{ask.__name__}({size})": ask(size) for size in (BATCH, REST)}
        again = costs[f"{ask.__name__}({REST})"]
        _require(
            again == first or math.isnan(first),  # what is not a number is refused by its own sentence
            estimator,
            f"{ask.__name__}({REST}) is {first!r}, and {again!r} after {ask.__name__}({BATCH}): it may depend on "
            "settings, task and batch size alone",
        )
    return costs | {f"setup_cost({BATCH}, 100)": estimator.setup_cost(BATCH, 100)}


def _python_state(estimator: GradientEstimator, prefix: str = "") -> dict[str, Any]:
    """Return the attributes of an estimator and of its inner estimators, with plain values as text."""
    state = {}
    for name, value in vars(estimator).items():
        if isinstance(value, GradientEstimator):
            state |= _python_state(value, f"{prefix}{name}.")
        elif not name.startswith("_self_") and name != "task":  # what TensorFlow keeps about its tracking
            plain = isinstance(value, int | float | str | list | tuple | dict | set | np.ndarray | None)
            state[f"{prefix}{name}"] = _text(value) if plain else value
    return state


def _text(value: Any) -> str:
    """Write a plain value as text; write a variable in a list by its identity, since its value may change."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_text, value))}]"
    return f"the variable {id(value)}" if isinstance(value, tf.Variable) else repr(value)


def _same(first: Any, second: Any) -> bool:
    return first is second or (isinstance(first, str) and first == second)


def _resumed(fresh: Run, path: Path) -> list[list[np.ndarray]]:
    """Return steps and state of a run that is made anew and restored here."""
    try:
        fresh.restore(path)
    except Exception as error:
        raise AssertionError(f"{fresh.estimator!r}: its checkpoint cannot be restored: {_first_line(error)}") from error
    return [*fresh.train(range(STEPS // 2, STEPS)), fresh.state()]


def _first_difference(first: Sequence[list[np.ndarray]], second: Sequence[list[np.ndarray]]) -> int | None:
    for number, (these, those) in enumerate(zip(first, second, strict=True)):
        same = len(these) == len(those) and all(np.array_equal(a, b) for a, b in zip(these, those, strict=True))
        if not same:
            return number
    return None


def _why_not_resumed(bench: Bench, run: Run, path: Path, expected: list[list[np.ndarray]]) -> str:
    """Return why a resumed run ends differently; the surest cause comes first."""
    stateful, hidden = run.stateful_random_operations(), run.hidden_variables()
    end = "a run that is resumed from a checkpoint does not end in the same bits"
    if stateful:
        return f"{run.estimator!r}: {end}: {stateful[0]} draws from a hidden state, not from estimate's seed"
    if hidden:
        return f"{run.estimator!r}: {end}: estimate uses {hidden[0]!r}, a variable that no checkpoint of it holds"
    if _first_difference(_resumed(Run(bench), path), expected) is None:
        return (
            f"{run.estimator!r}: {end} if it was built for another seed: what depends on the run's seed must be a "
            "variable or come from estimate's seed"
        )
    return f"{run.estimator!r}: {end}: some state of it is in no variable that a checkpoint holds"


def _refusal(estimator: GradientEstimator, action: Callable[[], None], what: str) -> str | None:
    """Return the message with which an estimator refuses something; None: it accepts."""
    try:
        action()
    except ValueError as error:
        sentence = str(error)
        if sentence and "\n" not in sentence and "{{node" not in sentence:
            return sentence
        raise AssertionError(f"{estimator!r}: {what} fails without a sentence: {_first_line(error)}") from error
    except AssertionError as error:
        raise AssertionError(f"{error}, on {what}") from None
    except Exception as error:
        raise AssertionError(f"{estimator!r}: {what} fails: {_first_line(error)}") from error
    return None


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"


def _estimated(bench: Bench, **options) -> Run:
    """Return a run after one eager estimate: an estimator also works eagerly, and that takes half as long."""
    run = Run(bench, **options)
    _check_shapes(run.estimator, run.task, run.estimator.estimate(*bench.batch(step=0)), BATCH)
    return run


def _averages(task: Task) -> dict[str, np.ndarray]:
    """Return batch norm's averages by their path below the network; dropout's state is excluded."""
    return {
        variable.path.split("/", 1)[-1]: variable.numpy()
        for variable in variables_of(task.network)
        if "moving" in variable.path
    }
