"""How close a training direction is to the exact gradient, and how noisy the exact minibatch gradient itself is."""

from __future__ import annotations

import math

import tensorflow as tf

from common.data import Split
from common.estimators.backpropagation import Backpropagation
from common.tasks import Task


class GradientNoiseScale:
    """The simple noise scale B = tr(Σ)/‖G‖², a diagnostic for `train` (arXiv 1812.06162, appendix A.1).

    With g_b the mean gradient over b examples, E‖g_b‖² = ‖G‖² + tr(Σ)/b. Two batch sizes give two equations:

        ‖G‖² ≈ (b₂‖g_b₂‖² - b₁‖g_b₁‖²) / (b₂ - b₁)        tr(Σ) ≈ (‖g_b₁‖² - ‖g_b₂‖²) / (1/b₁ - 1/b₂)

    Each large batch is made of small ones, so that one pass gives both norms; numerator and denominator are averaged
    over all large batches before they are divided, because the ratio of single estimates is biased (and the estimate of
    ‖G‖² may be negative where the noise dominates: then the scale is reported as NaN). Batches well below B waste no
    examples; batches well above it waste most of them.

    Args:
        small: b₁, examples in a small batch, ≥ 1.
        large: b₂, a multiple of `small`, at most the training examples.
        large_batches: how many large batches to average over; fewer where the training split is smaller.

    Raises:
        ValueError: sizes out of range.
    """

    def __init__(self, small: int = 64, large: int = 1024, large_batches: int = 8):
        if small < 1 or large <= small or large % small:
            raise ValueError(
                f"large must be a multiple of small and above it, small ≥ 1; got small {small}, large {large}"
            )
        if large_batches < 1:
            raise ValueError(f"large_batches must be ≥ 1, got {large_batches}")
        self.small, self.large, self.large_batches = small, large, large_batches
        self._function = None
        self._task = None

    def __call__(self, task: Task, split: Split, seed: int, epoch: int) -> dict[str, float]:
        """Return `noise_scale` in examples, `gradient_norm_squared` (‖G‖²) and `gradient_variance` (tr Σ)."""
        count = min(self.large_batches, len(split) // self.large)
        if count == 0:
            raise ValueError(f"large must be at most the {len(split):,} training examples, got {self.large}")
        # Seeded, and another sample every epoch: a fixed one would be an estimate of its own overfitting.
        order = tf.random.experimental.stateless_shuffle(tf.range(len(split)), seed=[seed, -1_000_000 - epoch])
        order = order[: count * self.large].numpy()
        batch = (tf.constant(split.x[order]), tf.constant(split.y[order]), tf.constant([seed, epoch], tf.int64))
        if self._task is not task:
            self._task, self._function = task, self._trace(task, batch)
        small_norm, large_norm = self._function(*batch)
        return self._solve(float(small_norm), float(large_norm))

    def _solve(self, small_norm: float, large_norm: float) -> dict[str, float]:
        b1, b2 = self.small, self.large
        signal = (b2 * large_norm - b1 * small_norm) / (b2 - b1)
        noise = (small_norm - large_norm) / (1 / b1 - 1 / b2)
        scale = noise / signal if signal > 0 else math.nan
        return {"noise_scale": scale, "gradient_norm_squared": signal, "gradient_variance": noise}

    def _trace(self, task: Task, batch):
        """Trace a function from (x, y, seed) to the mean squared norms of small and of large batches."""
        estimator = Backpropagation()
        estimator.build(task)
        per_large = self.large // self.small

        def flat_gradient(x, y, seed):
            return tf.concat([tf.reshape(g, [-1]) for g in estimator.estimate(x, y, seed).gradients], 0)

        def norms(x, y, seed):
            batches = x.shape[0] // self.small
            count = batches // per_large

            def body(i, mean, small_sum, large_sum):
                start = i * self.small
                batch = (x[start : start + self.small], y[start : start + self.small])
                # Negative: no training step has this randomness.
                gradient = flat_gradient(*batch, tf.stack([seed[0], -1_000_000 * seed[1] - tf.cast(i, tf.int64)]))
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


def cosine(first: list[tf.Tensor], second: list[tf.Tensor]) -> tf.Tensor:
    """Return the cosine of the angle between two directions, each a list of tensors; scalar float32 in [-1, 1].

    NaN where one of them is zero: no direction has no angle.
    """
    inner = tf.add_n([tf.reduce_sum(a * b) for a, b in zip(first, second, strict=True)])
    return inner / (tf.linalg.global_norm(first) * tf.linalg.global_norm(second))
