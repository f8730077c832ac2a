"""How close a training direction is to the exact gradient, and how noisy the exact minibatch gradient itself is."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from common.checks import require
from common.data.load import Split
from common.estimators.backpropagation import Backpropagation
from common.estimators.decoupled.synthetic_gradients import SyntheticGradients
from common.estimators.estimator import GradientEstimator, state_undone
from common.estimators.evolution.logit_gradient import LogitGradient
from common.estimators.evolution.logit_quadrature import ExactLogitGradient
from common.tasks.task import Task
from common.vectors import flat


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
        require(large_batches >= 1, "large_batches", "≥ 1", large_batches)
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

        def norms(x, y, seed):
            batches = x.shape[0] // self.small
            count = batches // per_large

            def body(i, mean, small_sum, large_sum):
                start = i * self.small
                batch = (x[start : start + self.small], y[start : start + self.small])
                # Negative: no training step has this randomness.
                step_seed = tf.stack([seed[0], -1_000_000 * seed[1] - tf.cast(i, tf.int64)])
                gradient = flat(estimator.estimate(*batch, step_seed).gradients)
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


class GradientAlignment:
    """How an estimate compares with the exact gradient of the same minibatch; a diagnostic for `train`.

    With g the exact minibatch gradient and ĝ the estimate, over `batches` minibatches after every epoch: the norm of g,
    the signal-to-noise ratio Σ‖g‖² / Σ‖ĝ - g‖², and the mean cosine of the angle between g and ĝ. For noise of standard
    deviation σ in each of P coordinates the ratio is ‖g‖²/(σ²P) and the cosine about 1/√(1 + 1/ratio). All that differs
    counts as noise, what a sketch or an amplification does on purpose too: there the cosine says more. What the
    estimator's state learns from these batches is undone.

    Args:
        estimator: a built estimator, the one that trains.
        batch_size: examples in a minibatch, at most the training examples.
        batches: minibatches to average over, ≥ 1; two tell a percent where the noise has thousands of coordinates.

    Raises:
        ValueError: `batches` or `batch_size` below 1; by the call, `batch_size` above the training examples.
    """

    def __init__(self, estimator: GradientEstimator, batch_size: int, batches: int = 2):
        require(batch_size >= 1, "batch_size", "≥ 1", batch_size)
        require(batches >= 1, "batches", "≥ 1", batches)
        self.estimator, self.batch_size, self.batches = estimator, batch_size, batches
        self._exact = Backpropagation()
        self._function = None

    def __call__(self, task: Task, split: Split, seed: int, epoch: int) -> dict[str, float]:
        """Return `gradient_norm`, `signal_to_noise` (infinite where nothing disturbs) and `cosine`."""
        allowed = f"at most the {len(split):,} training examples"
        require(self.batch_size <= len(split), "batch_size", allowed, self.batch_size)
        if self._function is None:
            self._exact.build(task)
            self._function = tf.function(self._compare, jit_compile=False, autograph=False)
        steps = epoch * -(-len(split) // self.batch_size)  # an annealed level is the one that training has reached
        order = tf.random.experimental.stateless_shuffle(tf.range(len(split)), seed=[seed, -2_000_000 - epoch]).numpy()
        measured = []
        with state_undone(self.estimator):
            for number in range(self.batches):
                chosen = np.take(order, range(number * self.batch_size, (number + 1) * self.batch_size), mode="wrap")
                batch = (tf.constant(split.x[chosen]), tf.constant(split.y[chosen]))
                values = self._function(*batch, tf.constant([seed, steps + number], tf.int64))
                measured.append([float(value) for value in values])
        signal, noise, angle = (float(mean) for mean in np.mean(measured, axis=0))
        # Zero alone is noiseless: what is not a number, of a run that diverged, stays so.
        ratio = math.inf if noise == 0 else signal / noise
        return {"gradient_norm": math.sqrt(signal), "signal_to_noise": ratio, "cosine": angle}

    def _compare(self, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """‖g‖², ‖ĝ - g‖² and the cosine on one batch."""
        exact = self._exact.estimate(x, y, seed).gradients
        estimate = self.estimator.estimate(x, y, seed).gradients
        error = [a - b for a, b in zip(estimate, exact, strict=True)]
        return tf.linalg.global_norm(exact) ** 2, tf.linalg.global_norm(error) ** 2, cosine(exact, estimate)


class LogitAlignment:
    """How an estimate of the gradient on the logits compares with the exact one there; a diagnostic for `train`.

    With g the exact gradient of all examples' logits as one vector (by quadrature, see `logit_quadrature`), ĝ one of R
    estimates with noise of its own and m their mean, all relative to ‖g‖:

        variance = Σ ‖ĝ - m‖² / (R - 1) / ‖g‖²        bias² = ‖m - g‖² / ‖g‖² - variance / R, 0 where that is negative

    and the mean cosine of the angle between ĝ and g. The network is run once, as evaluation does.

    Args:
        estimator: a `LogitGradient`; it need not be built.
        examples: how many training examples, ≥ 1; all where there are fewer.
        repeats: R ≥ 2.

    Raises:
        ValueError: a value out of range.
    """

    def __init__(self, estimator: LogitGradient, examples: int = 500, repeats: int = 20):
        require(examples >= 1, "examples", "≥ 1", examples)
        require(repeats >= 2, "repeats", "≥ 2", repeats)
        self.estimator, self.examples, self.repeats = estimator, examples, repeats
        self._exact = ExactLogitGradient(estimator.objective, estimator.sigma)

    def __call__(self, task: Task, split: Split, seed: int, epoch: int) -> dict[str, float]:
        """Return `logit_bias` (a ratio of lengths), `logit_variance` (of their squares) and `logit_cosine`."""
        y = tf.constant(split.y[: self.examples])
        logits = task.predictions(tf.constant(split.x[: self.examples]))
        exact = self._gradients(self._exact, logits, y, [[seed, epoch]])[0]
        # Negative: no training step has this randomness.
        numbers = [[seed, -3_000_000 - epoch * self.repeats - number] for number in range(self.repeats)]
        estimates = self._gradients(self.estimator, logits, y, numbers)
        return self._compare(estimates, exact)

    def _gradients(self, estimator: LogitGradient, logits, y, seeds) -> np.ndarray:
        """Each seed's gradient on all logits, (seeds, examples × classes) float64."""
        known = (estimator.correctness(logits, y, tf.constant(seed, tf.int64)) for seed in seeds)
        return np.array([np.ravel(estimator.objective.logit_gradients(one)) for one in known], np.float64)

    def _compare(self, estimates: np.ndarray, exact: np.ndarray) -> dict[str, float]:
        length, mean = np.linalg.norm(exact), estimates.mean(0)
        variance = np.sum((estimates - mean) ** 2) / (self.repeats - 1) / length**2
        squared_bias = np.sum((mean - exact) ** 2) / length**2 - variance / self.repeats
        cosines = estimates @ exact / (np.linalg.norm(estimates, axis=1) * length)
        bias = math.sqrt(max(0.0, squared_bias))
        return {"logit_bias": bias, "logit_variance": float(variance), "logit_cosine": float(cosines.mean())}


class BoundaryAlignment:
    """How synthetic gradients compare with exact ones at each boundary; a diagnostic for `train`.

    The cosine of the angle between what the predictor says and the gradient backpropagated from the loss, as vectors
    over all activations of the boundary and all examples of one minibatch. What is looked at is not learned from.

    Args:
        estimator: the one that trains.
        batch_size: examples in the minibatch, ≥ 1; all training examples where there are fewer.

    Raises:
        ValueError: `batch_size` below 1.
    """

    def __init__(self, estimator: SyntheticGradients, batch_size: int):
        require(batch_size >= 1, "batch_size", "≥ 1", batch_size)
        self.estimator, self.batch_size = estimator, batch_size
        self._function = None

    def __call__(self, task: Task, split: Split, seed: int, epoch: int) -> dict[str, float]:
        """Return `cosine_boundary_1` and so on, from the input up; NaN while a predictor says zero."""
        if self._function is None:
            self._function = tf.function(self._cosines, jit_compile=False, autograph=False)
        order = tf.random.experimental.stateless_shuffle(tf.range(len(split)), seed=[seed, -4_000_000 - epoch])
        chosen = order[: self.batch_size].numpy()
        # Negative: no training step has this randomness.
        number = tf.constant([seed, -4_000_000 - epoch], tf.int64)
        with state_undone(self.estimator):
            found = self._function(tf.constant(split.x[chosen]), tf.constant(split.y[chosen]), number)
        return {f"cosine_boundary_{place}": float(value) for place, value in enumerate(found, 1)}

    def _cosines(self, x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor) -> list[tf.Tensor]:
        pairs = self.estimator.boundary_gradients(x, y, seed)
        return [cosine([exact], [synthetic]) for exact, synthetic in pairs]


def cosine(first: list[tf.Tensor], second: list[tf.Tensor]) -> tf.Tensor:
    """Return the cosine of the angle between two directions, each a list of tensors; scalar float32 in [-1, 1].

    NaN where one of them is zero: no direction has no angle.
    """
    inner = tf.add_n([tf.reduce_sum(a * b) for a, b in zip(first, second, strict=True)])
    return inner / (tf.linalg.global_norm(first) * tf.linalg.global_norm(second))
