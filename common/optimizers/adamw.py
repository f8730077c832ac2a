"""AdamW: Adam with weights that shrink by a fixed fraction at each step."""

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

    The decay is not part of g. Added to the loss as λ‖w‖²/2, it would be divided by √v like the rest of the gradient.
    Weights with large gradients would then hardly decay. Keras' base class applies the first line for every optimizer
    with `weight_decay`. `exclude_from_weight_decay(var_names=["bias"])` excludes some variables.

    Args:
        learning_rate: η ≥ 0, a number, a Keras schedule or a callable.
        weight_decay: λ ≥ 0; 0.004 is the default of Keras' AdamW.
        beta_1: β₁ in [0, 1).
        beta_2: β₂ in [0, 1).
        epsilon: ε > 0; see `Adam`.
        **options: options of every Keras optimizer (`clipnorm`, ...).

    Raises:
        ValueError: an argument has a wrong value or an unknown name.

    Reference: Loshchilov and Hutter, arXiv 1711.05101, algorithm 2. There the decay is multiplied only by the schedule;
    here, as in Keras and PyTorch, by the whole learning rate. With the same ε, this is keras.optimizers.AdamW.

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
