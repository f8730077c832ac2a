"""An optimizer that skips variables without a gradient, for modules that do not update at every step."""

from __future__ import annotations

import copy
from typing import Any

import keras
import tensorflow as tf

from common.checks import require


@keras.saving.register_keras_serializable(package="common.optimizers")
class Lazy(keras.optimizers.Optimizer):
    """Wrap another optimizer, with one copy per variable, and apply it only where there is a gradient.

    A variable whose gradient is exactly zero does not change, and neither does its state: moments, and the count of
    updates that corrects their bias. Momentum and Adam alone would move it on. The learning rate depends on the common
    step, so that a schedule has the same meaning for all variables. If no gradient is exactly zero, the result is that
    of the wrapped optimizer.

    Args:
        inner: any Keras optimizer that treats each variable separately.
        name: the name, as for any Keras optimizer.

    Raises:
        ValueError: `inner` is not an optimizer, or it clips by the global norm, averages or accumulates over steps.

    Example:
        >>> from common.optimizers import Momentum
        >>> resting, moving = keras.Variable(1.0), keras.Variable(1.0)
        >>> optimizer = Lazy(Momentum(0.5, momentum=0.5))
        >>> for gradient in (1.0, 0.0):  # momentum alone would move the first one on
        ...     optimizer.apply([tf.constant(gradient), tf.ones([])], [resting, moving])
        >>> float(resting), float(moving)
        (0.5, -0.25)
    """

    def __init__(self, inner: keras.optimizers.Optimizer, name: str = "lazy"):
        # A copy: Keras writes into what it deserializes.
        inner = keras.optimizers.deserialize(copy.deepcopy(inner)) if isinstance(inner, dict) else inner
        require(isinstance(inner, keras.optimizers.Optimizer), "inner", "a Keras optimizer, such as Adam(0.001)", inner)
        for option in ("global_clipnorm", "use_ema", "gradient_accumulation_steps"):
            if getattr(inner, option, None):
                raise ValueError(f"inner must treat each variable and each step by itself, got {option} set")
        config = inner.get_config()
        rate = config["learning_rate"]
        rate = keras.optimizers.schedules.deserialize(copy.deepcopy(rate)) if isinstance(rate, dict) else rate
        super().__init__(learning_rate=rate, name=name)
        # Keras counts its optimizers (adam, adam_1, ...): their names would make a resumed run another one.
        self._inner_config = {key: value for key, value in config.items() if key != "name"}
        self._serialized = keras.optimizers.serialize(inner) | {"config": self._inner_config}
        self._make = type(inner).from_config

    @property
    def inner(self) -> keras.optimizers.Optimizer:
        """The wrapped optimizer, as a new, unbuilt copy."""
        return keras.optimizers.deserialize(copy.deepcopy(self._serialized))

    def build(self, variables: list[keras.Variable]) -> None:
        """Create one copy of the wrapped optimizer, with its state, for each variable."""
        if self.built:
            return
        super().build(variables)
        self._copies = [self._make(self._inner_config | {"learning_rate": self._rate}) for _ in variables]
        for own, variable in zip(self._copies, variables, strict=True):
            own.build([variable])

    def update_step(
        self,
        gradient: tf.Tensor,
        variable: tf.Variable,
        learning_rate: tf.Tensor,  # noqa: ARG002 - Keras' signature; a copy has the rate as its own schedule
    ) -> None:
        """Apply a variable's own copy, unless the gradient is zero."""
        own = self._copies[self._get_variable_index(variable)]

        def act() -> tf.Tensor:
            own.apply([gradient], [variable])
            return tf.constant(True)

        gradient = tf.convert_to_tensor(gradient)
        tf.cond(tf.reduce_any(gradient != 0.0), act, lambda: tf.constant(False))

    def get_config(self) -> dict[str, Any]:
        """Return the wrapped optimizer as plain data."""
        return {"name": self.name, "inner": copy.deepcopy(self._serialized)}

    def _rate(self) -> tf.Tensor:
        return tf.convert_to_tensor(self.learning_rate)
