"""Differentially private gradients: each example's gradient is clipped, and noise is added to the sum (DP-SGD).

With g_i the gradient of one example's loss over all weights together, a clipping norm C and a noise multiplier σ,

    ĝ = (1/B) (Σ_i min(1, C / ‖g_i‖) g_i + σ C n)        n ~ N(0, I) in all P coordinates

so that no example changes the sum by more than C. A Rényi accountant (see `privacy`) computes the privacy loss of T
steps. It assumes Poisson sampling: each step sees each of N examples with probability q = B / N, independently of
earlier steps.

- `poisson=False`: the batch is the training loop's, from a shuffled epoch. ε is then that of Poisson sampling at the
  same rate, as in tensorflow/privacy and most published results. It is not a proven bound for shuffled batches, which
  can be less private (arXiv 2403.17673).
- `poisson=True`: the estimator draws its own examples from the run's training split, and ε holds. They fill a batch of
  fixed size. With probability at most 1e-12 per step, more examples are drawn than it holds. Empty places have weight
  zero. Loss and outputs are those of the loop's batch, by one more forward pass; nothing else of that batch is used.

Source: arXiv 1607.00133, algorithm 1; ghost norms, arXiv 1510.01799 and 2009.03106 (see `per_example_gradients`).
Deviations: the accountant is Rényi's (arXiv 1908.10530). With shuffled batches, the sum is divided by the number of
examples in the batch. The noise consists of float32 numbers from a public seed: use it for research, not for private
data.
"""

from __future__ import annotations

import math

import tensorflow as tf
from scipy import stats

from common.checks import require
from common.estimators.decoupled.network_modules import layer_products
from common.estimators.estimator import UNKNOWN_RUN, GradientEstimate, GradientEstimator, RunContext
from common.estimators.noise import privacy
from common.estimators.noise.per_example_gradients import PerExampleGradients, extra_products, require_known_layers
from common.randomness import Stream, standard_normal
from common.tasks.task import Task

OVERFLOW = 1e-12  # probability that a Poisson sample does not fit into its batch, a step


class DPGradient(GradientEstimator):
    """Clipped and noisy gradients, with their differential privacy.

    Args:
        clip_norm: C > 0, the largest norm of one example's gradient over all weights together; inf: no clipping.
        noise_multiplier: σ ≥ 0, the standard deviation of the noise on the sum, in units of C.
        delta: δ in (0, 1) for the ε that `epsilon` returns; 1e-5 is usual for MNIST's 60,000 examples.
        poisson: whether the estimator draws its own Poisson sample of the run's training examples.

    Raises:
        ValueError: a value is out of range, or there is noise without clipping. `build` raises it for a network with
            batch norm or with weights other than those of dense and convolutional layers in float32. With `poisson`, it
            also raises it if the run's examples or batch size are unknown.

    Example:
        >>> from common.tasks.saddle_task import SaddleSurface, examples
        >>> data, task = examples(), SaddleSurface(mu=1.0, start=(1.0, 0.5)).task(examples(), seed=0)
        >>> estimator = DPGradient(clip_norm=1.0, noise_multiplier=0.0)
        >>> estimator.build(task)
        >>> estimate = estimator.estimate(data.train.x, data.train.y, tf.zeros([2], tf.int64))
        >>> estimate.gradients[0].numpy().ravel().tolist()  # half of (1, 0) and (0, -0.75): (2, 0) was clipped
        [0.5, -0.375]
    """

    def __init__(self, clip_norm: float, noise_multiplier: float, *, delta: float = 1e-5, poisson: bool = False):
        super().__init__()
        require(clip_norm > 0, "clip_norm", "> 0", clip_norm)
        require(0 <= noise_multiplier < math.inf, "noise_multiplier", "≥ 0 and finite", noise_multiplier)
        clipped = clip_norm < math.inf or noise_multiplier == 0
        require(clipped, "clip_norm", "finite where there is noise, which is in its units", clip_norm)
        require(0 < delta < 1, "delta", "in (0, 1)", delta)
        require(isinstance(poisson, bool), "poisson", "True or False", poisson)
        self.clip_norm, self.noise_multiplier, self.delta, self.poisson = clip_norm, noise_multiplier, delta, poisson

    def build(self, task: Task, run: RunContext = UNKNOWN_RUN) -> None:
        """Attach to the task and read the number of examples; a Poisson sample also needs the examples."""
        super().build(task, run)
        require_known_layers(task, type(self).__name__)
        self._examples = None if run.split is None else len(run.split)
        if not self.poisson:
            return
        known = run.split is not None and run.batch_size is not None
        require(known, "poisson", "False in a run whose training examples or batch size are not known", self.poisson)
        self._expected = run.batch_size
        # No variables: checkpoints need not hold the data set, which is the same for all runs of one trace.
        self._x, self._y = tf.convert_to_tensor(run.split.x), tf.convert_to_tensor(run.split.y)
        most = stats.binom.isf(OVERFLOW, self._examples, self._sampling_rate(run.batch_size))
        self._places = min(self._examples, int(most) + 1)

    def estimate(self, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> GradientEstimate:
        """Clip each example's gradient, sum, add noise; see `GradientEstimator.estimate` for shapes."""
        if not self.poisson:
            examples = PerExampleGradients(self.task, x, y, seed)
            gradients = self._private(examples, tf.ones([x.shape[0]]), x.shape[0], seed)
            return GradientEstimate(tf.reduce_mean(examples.losses), examples.outputs, gradients)
        chosen, weights = self._sample(seed)
        examples = PerExampleGradients(self.task, tf.gather(self._x, chosen), tf.gather(self._y, chosen), seed)
        outputs = self.task.outputs(x, seed, update_state=False)
        gradients = self._private(examples, weights, self._expected, seed)
        return GradientEstimate(self.task.loss(y, outputs), outputs, gradients)

    def _sample(self, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Draw each example with probability q: return (places,) indices and weights, 1 if drawn, 0 if empty."""
        numbers = tf.random.stateless_uniform([self._examples], tf.random.fold_in(seed, Stream.SAMPLING))
        least, chosen = tf.math.top_k(-numbers, self._places)
        return chosen, tf.cast(-least < self._sampling_rate(self._expected), tf.float32)

    def _private(
        self, examples: PerExampleGradients, weights: tf.Tensor, divisor: int, seed: tf.Tensor
    ) -> list[tf.Tensor]:
        """Return ĝ from examples with weights 0 or 1."""
        if self.clip_norm < math.inf:
            norms = tf.sqrt(examples.squared_norms())
            weights *= self.clip_norm / tf.maximum(norms, self.clip_norm)
        sums = examples.weighted_sum(weights)
        if self.noise_multiplier:
            sums = self._disturbed(sums, tf.random.fold_in(seed, Stream.PRIVACY))
        return [part / divisor for part in sums]

    def _disturbed(self, sums: list[tf.Tensor], seed: tf.Tensor) -> list[tf.Tensor]:
        sigma = self.noise_multiplier * self.clip_norm
        return [
            part + sigma * standard_normal(part.shape, tf.random.fold_in(seed, index))
            for index, part in enumerate(sums)
        ]

    def _sampling_rate(self, batch_size: int) -> float:
        return min(1.0, batch_size / self._examples)

    def cost(self, batch_size: int) -> float:
        """Return the cost from multiply-accumulates: one backpropagation, and the extra products for the norms.

        A Poisson sample costs as many examples as it has places, and a forward pass of the batch.
        """
        layers = self.task.network.layers
        counts = [count for count in map(layer_products, layers) if count]
        forward, extra = sum(counts), sum(map(extra_products, layers))
        gradient = 3 * forward - counts[0]
        if not self.poisson:
            return batch_size * (gradient + extra) / gradient
        return (self._places * (gradient + extra) + batch_size * forward) / gradient

    def epsilon(self, batch_size: int, steps: int) -> float:
        """Return ε at the estimator's δ after `steps` steps; infinite without noise, or if N is unknown.

        The module docstring states the assumptions about sampling.
        """
        if self._examples is None:
            return math.inf
        expected = self._expected if self.poisson else batch_size
        return privacy.epsilon(self._sampling_rate(expected), self.noise_multiplier, steps, self.delta)
