"""Checks before the first epoch: wrong kinds of arguments and wrong estimates raise errors of one sentence."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Iterable, Sequence
from numbers import Real
from typing import Any

import keras
import tensorflow as tf

from common.checks import is_whole, require
from common.data.load import Dataset
from common.estimators.estimator import GradientEstimate, GradientEstimator
from common.tasks.task import Task

_KINDS = {
    "task": (Task, "a Task, such as Network('lenet5').task(dataset, seed=0)"),
    "estimator": (GradientEstimator, "a GradientEstimator, such as Backpropagation()"),
    "optimizer": (keras.optimizers.Optimizer, "a Keras optimizer, such as SGD(0.1)"),
    "dataset": (Dataset, "a Dataset, such as load('digits')"),
}


def check_kinds(**arguments: Any) -> None:
    """Raise a ValueError if a task, estimator, optimizer or data set has the wrong kind, or if they do not fit."""
    for name, value in arguments.items():
        kind, allowed = _KINDS[name]
        if not isinstance(value, kind):
            got = f"the class {value.__name__}" if inspect.isclass(value) else f"{type(value).__name__} {value!r}"
            hint = f": write {value.__name__}(...)" if inspect.isclass(value) and issubclass(value, kind) else ""
            raise ValueError(f"{name} must be {allowed}, got {got}{hint}")
    rate = getattr(arguments.get("optimizer"), "_learning_rate", None)
    if isinstance(rate, keras.Variable):
        require(float(rate) >= 0, "learning_rate", "≥ 0, as gradients point uphill and are subtracted", float(rate))
    if {"task", "dataset"} <= arguments.keys():
        check_fit(arguments["task"], arguments["dataset"])


def check_fit(task: Task, dataset: Dataset) -> None:
    """Raise a ValueError if the network does not take the data set's examples."""
    takes, has = getattr(task.network, "input_shape", None), dataset.train.x.shape[1:]
    if isinstance(takes, tuple) and not tf.TensorShape(takes[1:]).is_compatible_with(has):
        name = task.network.name
        raise ValueError(f"dataset must have examples of shape {takes[1:]}, as {name!r} takes, got {dataset!r}")


def check_seed(seed: Any) -> None:
    """Raise a ValueError if the seed is not a whole number."""
    require(is_whole(seed), "seed", "a whole number", seed)


def check_attached(callbacks: Any, diagnostics: Any, checkpoint_dir: Any) -> None:
    """Raise a ValueError if callbacks, diagnostics or the folder have the wrong kind, before any is used."""
    listed = isinstance(callbacks, Iterable) and not isinstance(callbacks, str)
    require(listed, "callbacks", "a list of Keras callbacks", callbacks)
    for callback in callbacks:
        instance = isinstance(callback, keras.callbacks.Callback)
        require(instance, "each of callbacks", f"a Keras callback{_written(callback)}", callback)
    listed = isinstance(diagnostics, Iterable) and not isinstance(diagnostics, str)
    require(listed, "diagnostics", "a list of diagnostics", diagnostics)
    for diagnostic in diagnostics:
        function = callable(diagnostic) and not inspect.isclass(diagnostic)
        require(function, "each of diagnostics", f"a function of a Moment{_written(diagnostic)}", diagnostic)
    path = checkpoint_dir is None or isinstance(checkpoint_dir, str | os.PathLike)
    require(path, "checkpoint_dir", "a path, or None", checkpoint_dir)


def _written(value: Any) -> str:
    return f", {value.__name__}(...)" if inspect.isclass(value) else ""


def check_cost(estimator: GradientEstimator, batch_sizes: Sequence[int], steps: int) -> None:
    """Raise a ValueError if a cost of an update, its message or the setup is not a finite number ≥ 0."""
    costs = {f"cost({size})": estimator.cost(size) for size in batch_sizes}
    costs |= {f"bytes_sent({size})": estimator.bytes_sent(size) for size in batch_sizes}
    costs[f"setup_cost({batch_sizes[0]}, {steps})"] = estimator.setup_cost(batch_sizes[0], steps)
    for call, cost in costs.items():
        number = isinstance(cost, Real) and not isinstance(cost, bool)
        if not number or not math.isfinite(cost) or cost < 0:
            raise ValueError(f"{_name(estimator)}.{call} must be a finite number ≥ 0, got {cost!r}")


def check_estimate(estimate: GradientEstimate, estimator: GradientEstimator, task: Task) -> None:
    """Compare an estimate with the weights; the loop does so when it traces its first step.

    Raises:
        ValueError: too few or too many gradients, or a gradient that is missing or does not have its weight's shape and
            type.
    """
    name, weights = _name(estimator), task.weights
    if not isinstance(estimate, GradientEstimate):
        raise ValueError(f"{name}.estimate must return a GradientEstimate, got {type(estimate).__name__}")
    if len(estimate.gradients) != len(weights):
        kind = "few" if len(estimate.gradients) < len(weights) else "many"
        raise ValueError(
            f"{name} gives too {kind} gradients: {len(estimate.gradients)} for the {len(weights)} trainable weights of "
            "the network"
        )
    for gradient, weight in zip(estimate.gradients, weights, strict=True):
        _check_gradient(name, gradient, weight)
    _check_tensor(f"the loss of {name}", estimate.loss, (), tf.float32)


def _check_gradient(name: str, gradient: Any, weight: keras.Variable) -> None:
    if gradient is None:
        raise ValueError(f"{name} gives no gradient for {weight.path}, but None: return zeros to leave a weight alone")
    _check_tensor(f"the gradient that {name} gives for {weight.path}", gradient, weight.shape, tf.float32)


def _check_tensor(what: str, tensor: Any, shape: Sequence[int], dtype: tf.DType) -> None:
    if not isinstance(tensor, tf.Tensor | tf.IndexedSlices):
        raise ValueError(f"{what} must be a tensor, got {type(tensor).__name__}")
    if not tensor.shape.is_compatible_with(shape):
        raise ValueError(f"{what} must have shape {tuple(shape)}, got {tuple(tensor.shape)}")
    if tensor.dtype != dtype:
        raise ValueError(f"{what} must be {dtype.name}, got {tensor.dtype.name}")


def _name(estimator: GradientEstimator) -> str:
    return type(estimator).__name__
