"""Keras optimizers that an estimator has for models of its own."""

from __future__ import annotations

import keras


def copy_of(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """Return another one with the same settings and a state of its own."""
    return type(optimizer).from_config(optimizer.get_config())


def described(optimizer: keras.optimizers.Optimizer) -> dict:
    """Return class and settings as plain data, without the name, which counts on from optimizer to optimizer."""
    config = {key: value for key, value in optimizer.get_config().items() if key != "name"}
    return {"class": type(optimizer).__name__} | config
