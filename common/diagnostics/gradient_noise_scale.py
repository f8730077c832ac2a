"""The noise of a minibatch's exact gradient: the batch size at which noise and signal have equal length."""

from __future__ import annotations

import math

import tensorflow as tf

from common.checks import require
from common.diagnostics.diagnostic import Diagnostic, Measured
from common.estimators.backpropagation import Backpropagation
from common.randomness import Stream, key
from common.tasks.task import Task
from common.training.history import Moment
from common.vectors import flatten


class GradientNoiseScale(Diagnostic):
    """The simple noise scale B = tr(Σ)/‖G‖² of the exact gradient (arXiv 1812.06162, appendix A.1).

    With g_b the mean gradient over b examples, E‖g_b‖² = ‖G‖² + tr(Σ)/b. Two batch sizes give two equations:

        ‖G‖² ≈ (b₂‖g_b₂‖² - b₁‖g_b₁‖²) / (b₂ - b₁)        tr(Σ) ≈ (‖g_b₁‖² - ‖g_b₂‖²) / (1/b₁ - 1/b₂)

    Each large batch consists of small ones, so that one pass gives both norms. Numerator and denominator are averaged
    over all large batches before the division, because the ratio of single estimates is biased. The estimate of ‖G‖²
    may be negative if the noise dominates; the scale is then NaN. Batches well below the scale B waste no examples;
    batches well above it waste most of them.

    Args:
        small: examples in a small batch, b₁ ≥ 1.
        large: examples in a large batch, b₂: a multiple of `small`, at most the number of training examples.
        large_batches: number of large batches to average over; fewer if the training split is smaller.

    Raises:
        ValueError: sizes out of range.

    Example:
        >>> import numpy as np
        >>> from common.data import Dataset, Split
        >>> from common.tasks.line_task import Line
        >>> split = Split(np.ones([2, 1], np.float32), np.array([[1], [3]], np.float32))
        >>> data = Dataset("two points", "regression", split, split, split, 0, "", "made here")
        >>> task = Line().task(data, seed=0)  # the gradients of the two examples: (-2, -2) and (-6, -6)
        >>> measured = GradientNoiseScale(small=1, large=2).measure(Moment(task, None, None, data, seed=0, epoch=0))
        >>> {name: round(value, 4) for name, value in measured.items()}  # tr Σ: a sample variance of 8 per coordinate
        {'noise_scale': 0.6667, 'gradient_norm_squared': 24.0, 'gradient_variance': 16.0}
    """

    def __init__(self, small: int = 64, large: int = 1024, large_batches: int = 8):
        if small < 1 or large <= small or large % small:
            raise ValueError(
                f"large must be a multiple of small and above it, small ≥ 1; got small {small}, large {large}"
            )
        require(large_batches >= 1, "large_batches", "≥ 1", large_batches)
        self.small, self.large, self.large_batches = small, large, large_batches

    def measure(self, moment: Moment) -> Measured:
        """Return `noise_scale` in examples, `gradient_norm_squared` (‖G‖²) and `gradient_variance` (tr Σ)."""
        split, seed = moment.dataset.train, moment.seed
        count = min(self.large_batches, len(split) // self.large)
        if count == 0:
            raise ValueError(f"large must be at most the {len(split):,} training examples, got {self.large}")
        # The sample is seeded and changes every epoch: a fixed one would measure its own overfitting.
        sampled = key(seed, Stream.NOISE_SCALE, moment.epoch)
        order = tf.random.experimental.stateless_shuffle(tf.range(len(split)), seed=sampled)
        order = order[: count * self.large].numpy()
        first = key(seed, Stream.NOISE_SCALE_BATCHES, moment.epoch * self.large_batches * (self.large // self.small))
        batch = (tf.constant(split.x[order]), tf.constant(split.y[order]), first)
        norms = self._once([moment.task], lambda: self._trace(moment.task, batch))
        small_norm, large_norm = norms(*batch)
        return self._solve(float(small_norm), float(large_norm))

    def _solve(self, small_norm: float, large_norm: float) -> dict[str, float]:
        b1, b2 = self.small, self.large
        signal = (b2 * large_norm - b1 * small_norm) / (b2 - b1)
        noise = (small_norm - large_norm) / (1 / b1 - 1 / b2)
        scale = noise / signal if signal > 0 else math.nan
        return {"noise_scale": scale, "gradient_norm_squared": signal, "gradient_variance": noise}

    def _trace(self, task: Task, batch):
        """Return a traced function from (x, y, first key) to the mean squared norms of small and large batches."""
        estimator = Backpropagation()
        estimator.build(task)
        per_large = self.large // self.small

        def norms(x, y, first):
            batches = x.shape[0] // self.small
            count = batches // per_large

            def body(i, mean, small_sum, large_sum):
                start = i * self.small
                batch = (x[start : start + self.small], y[start : start + self.small])
                number = tf.stack([first[0], first[1] - tf.cast(i, tf.int64)])
                gradient = flatten(estimator.estimate(*batch, number).gradients)
                small_sum += tf.reduce_sum(tf.square(gradient))
                mean += gradient / per_large
                ends = tf.cast((i + 1) % per_large == 0, tf.float32)
                large_sum += ends * tf.reduce_sum(tf.square(mean))
                return i + 1, mean * (1.0 - ends), small_sum, large_sum

            zero = tf.zeros(task.parameter_count)
            state = (tf.constant(0), zero, tf.constant(0.0), tf.constant(0.0))
            state = tf.while_loop(lambda i, *_: i < batches, body, state, parallel_iterations=1)
            return state[2] / batches, state[3] / count

        return tf.function(norms, jit_compile=False, autograph=False).get_concrete_function(*batch)
