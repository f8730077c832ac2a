"""Over-the-air aggregation: devices transmit their gradients at once, and the channel adds them up (arXiv 1901.00844).

Each of K devices has its own share of the batch and the gradient g_k of its mean loss. All transmit √α g_k at the same
time over a Gaussian multiple-access channel, which adds the signals. The server divides:

    received = Σ_k √α g_k + z,    z ~ N(0, σ_z² I)        ĝ = received / (K √α)

The common factor √α = √(P · power) / max_k ‖g_k‖ limits the transmit power. The device with the largest gradient
transmits at exactly the allowed mean power per coordinate, and no device exceeds it. Then ĝ is the unweighted mean plus
noise of standard deviation σ_z max_k ‖g_k‖ / (K √(P · power)). The noise falls with the number of devices. It rises if
one share has a much larger gradient than the others.

Deviations from the paper's analog scheme: there is no sparsification and no projection to a narrower channel, so each
step uses the channel P times. All devices have one common factor. The paper lets each device use its full power, which
gives small gradients more weight.
"""

from __future__ import annotations

import math

import tensorflow as tf

from common.checks import require
from common.estimators.estimator import (
    UNKNOWN_RUN,
    GradientEstimate,
    GradientEstimator,
    RunContext,
    require_estimator,
)
from common.estimators.noise.data_partition import require_divisor, share_estimates
from common.randomness import Stream, add_noise
from common.tasks.task import Task


class OverTheAir(GradientEstimator):
    """The mean gradient of K devices, received through one noisy channel.

    All devices' gradients come from one batched pass (see `data_partition`). Neither devices nor channel have state.

    Args:
        inner: the estimator of each device on its share. It has no state, and `tf.vectorized_map` supports its
            operations. Its random numbers, such as dropout masks and noise of its own, are the same for all devices.
        devices: K ≥ 1, a divisor of the batch size.
        channel_noise: σ_z ≥ 0, the standard deviation in each coordinate, in units of the transmitted amplitude.
        power: allowed mean power of a device's transmitted coordinates, > 0. The channel's signal-to-noise ratio is
            power / channel_noise².
        label_skewed: whether to sort the batch by label before it is divided, so that each device sees few labels.
            Otherwise the shares are alike.

    Raises:
        ValueError: an argument has the wrong type or is out of range. `build` raises it for a network with batch norm,
            `estimate` for a batch size that K does not divide.

    Example:
        >>> from common.estimators import Backpropagation
        >>> from common.tasks.saddle_task import SaddleSurface, examples
        >>> data, task = examples(), SaddleSurface(mu=1.0, start=(1.0, 0.5)).task(examples(), seed=0)
        >>> estimator = OverTheAir(Backpropagation(), devices=2, channel_noise=0.0)
        >>> estimator.build(task)
        >>> estimate = estimator.estimate(data.train.x, data.train.y, tf.zeros([2], tf.int64))
        >>> estimate.gradients[0].numpy().ravel().tolist()  # a perfect channel
        [1.0, -0.375]
    """

    def __init__(
        self,
        inner: GradientEstimator,
        devices: int,
        *,
        channel_noise: float,
        power: float = 1.0,
        label_skewed: bool = False,
    ):
        super().__init__()
        require_estimator("inner", inner)
        require(devices >= 1, "devices", "≥ 1", devices)
        require(0 <= channel_noise < math.inf, "channel_noise", "≥ 0 and finite", channel_noise)
        require(0 < power < math.inf, "power", "> 0 and finite", power)
        self.inner, self.devices = inner, devices
        self.channel_noise, self.power, self.label_skewed = channel_noise, power, label_skewed

    def build(self, task: Task, run: RunContext = UNKNOWN_RUN) -> None:
        """Attach to the task; see the class for the errors raised."""
        super().build(task, run)
        if task.batch_norms:
            raise ValueError(
                f"OverTheAir gives each device a network of its own, and the averages of layer {task.batch_norms[0]!r} "
                "would be nobody's: take a network without batch norm"
            )

    def estimate(self, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> GradientEstimate:
        """Divide the batch, transmit, receive; see `GradientEstimator.estimate`. Outputs keep the batch's order."""
        require_divisor(x.shape[0], self.devices, "devices")
        if self.label_skewed:
            order = tf.argsort(tf.reshape(y, [-1]), stable=True)
            x, y = tf.gather(x, order), tf.gather(y, order)
        sent = share_estimates(self.inner, x, y, self.devices, seed)
        outputs = tf.reshape(sent.outputs, [x.shape[0], -1])
        if self.label_skewed:
            outputs = tf.gather(outputs, tf.argsort(order))
        return GradientEstimate(tf.reduce_mean(sent.loss), outputs, self._received(sent.gradients, seed))

    def _received(self, gradients: list[tf.Tensor], seed: tf.Tensor) -> list[tf.Tensor]:
        """Return the server's estimate, given the devices' gradients, (K, *shape) each."""
        squares = [tf.reduce_sum(tf.square(tf.reshape(part, [self.devices, -1])), 1) for part in gradients]
        largest = tf.sqrt(tf.reduce_max(tf.add_n(squares)))
        coordinates = sum(part.shape[1:].num_elements() for part in gradients)
        # Where all gradients are zero any factor meets the constraint; a finite one keeps the division below finite.
        amplitude = math.sqrt(coordinates * self.power) / tf.maximum(largest, 1e-30)
        sums = [amplitude * tf.reduce_sum(part, 0) for part in gradients]
        own_seed = tf.random.fold_in(seed, Stream.CHANNEL)
        if self.channel_noise:
            sums = add_noise(sums, self.channel_noise, own_seed)
        return [part / (self.devices * amplitude) for part in sums]

    def cost(self, batch_size: int) -> float:
        """Return the cost of the wrapped estimator: all devices together see the batch once."""
        return self.inner.cost(batch_size)
