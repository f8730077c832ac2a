"""AdamW: Adam, and weights that shrink by a fixed part each step."""

from __future__ import annotations

from typing import Any

import keras

from common.optimizers import arguments
from common.optimizers.adam import Adam


@keras.saving.register_keras_serializable(package="common.optimizers")
class AdamW(Adam):
    """Adam with decoupled weight decay.

        w ← w - η λ w                        before Adam's step
        w ← w - α m / (√v + ε)               as in `Adam`

    The decay is no part of g: added to the loss as λ‖w‖²/2 it would be divided by √v like all of the gradient, and
    weights with large gradients would hardly decay. The first line is what Keras' base class does with `weight_decay`,
    for every optimizer; some variables are left out with `exclude_from_weight_decay(var_names=["bias"])`.

    Args:
        learning_rate: η ≥ 0, a number, a Keras schedule or a callable.
        weight_decay: λ ≥ 0; 0.004 is the default of Keras' AdamW.
        beta_1: β₁ in [0, 1).
        beta_2: β₂ in [0, 1).
        epsilon: ε > 0, see `Adam`.
        **options: what every Keras optimizer takes (`clipnorm`, ...).

    Raises:
        ValueError: an argument is not allowed or not known.

    Reference: Loshchilov and Hutter, arXiv 1711.05101, algorithm 2. There the decay is multiplied by the schedule
    alone; here, as in Keras and PyTorch, by the whole learning rate. Equal to keras.optimizers.AdamW where ε is.

    Example:
        >>> import tensorflow as tf
        >>> weight, optimizer = keras.Variable(1.0), AdamW(0.1, weight_decay=0.5)
        >>> optimizer.apply([tf.ones([])], [weight])
        >>> round(float(weight), 4)  # 1 - η λ, and Adam's first step, η
        0.85
    """

    def __init__(
        self,
        learning_rate: arguments.LearningRate = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        **options: Any,
    ):
        decay = arguments.not_negative("weight_decay", weight_decay)
        super().__init__(learning_rate, beta_1, beta_2, epsilon, weight_decay=decay, **options)
