"""Importance sampling of minibatch examples, reweighted so that the batch mean stays unbiased.

With scores s_i, example i of N is drawn with probability p_i = (1 - floor) s_i / Σ s + floor / N at each of n draws.
Its weight is 1/(N n p_i), so that sums of weighted values estimate the batch mean without bias. The variance is least
for scores in proportion to the norms of the values (arXiv 1803.00942, section 3).
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from common.tasks.task import Task

FLOOR = 0.2  # of the draws go to all examples alike, which bounds each weight by 1/(FLOOR n)
SMALLEST_SCORE = 1e-6  # where all scores are zero, all examples are drawn alike


class Drawn(NamedTuple):
    """Examples of a batch that were drawn, and what the network says of all examples.

    Attributes:
        outputs: of the network on the whole batch, (batch, outputs) float32.
        x: inputs of the drawn examples, (count, ...).
        y: their labels or targets.
        weights: (count,) float32; sums of weighted values estimate the mean over the batch without bias.
    """

    outputs: tf.Tensor
    x: tf.Tensor
    y: tf.Tensor
    weights: tf.Tensor


def draw_where_wrong(task: Task, x: tf.Tensor, y: tf.Tensor, count: int, seed: tf.Tensor) -> Drawn:
    """Run the network on a batch and draw examples in proportion to 1 - exp(-loss).

    For cross-entropy, this is the probability that the network gives to the wrong classes.

    Args:
        task: the network and its loss.
        x: the batch's inputs.
        y: its labels or targets.
        count: number of examples to draw, ≥ 1.
        seed: (2,) int64.
    """
    outputs = task.predictions(x)
    wrong = 1.0 - tf.exp(-task.per_example_loss(y, outputs))
    chosen, weights = draw(wrong, count, seed)
    return Drawn(outputs, tf.gather(x, chosen), tf.gather(y, chosen), weights)


def draw(scores: tf.Tensor, count: int, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Draw examples, with replacement, one from each of `count` equal parts of the cumulative probability.

    Args:
        scores: (N,) float32, ≥ 0.
        count: n ≥ 1.
        seed: (2,) int64.

    Returns:
        The indices of the drawn examples, (n,) int32, ascending, and their weights, (n,) float32.
    """
    scores = tf.maximum(scores, SMALLEST_SCORE)
    examples = scores.shape[0]
    probabilities = (1.0 - FLOOR) * scores / tf.reduce_sum(scores) + FLOOR / examples
    cumulative = tf.cumsum(probabilities)
    places = (tf.range(count, dtype=tf.float32) + tf.random.stateless_uniform([count], seed)) / count
    chosen = tf.searchsorted(cumulative, places * cumulative[-1], side="right")
    chosen = tf.minimum(chosen, examples - 1)  # by rounding, or where scores are not finite
    return chosen, 1.0 / (examples * count * tf.gather(probabilities, chosen))
