import numpy as np
import tensorflow as tf

from common.estimators.backpropagation import Backpropagation
from common.tasks import networks as models
from common.tasks import task as tasks


def test_equals_central_differences_in_float64():
    """The oracle knows nothing of TensorFlow: a two-layer network in numpy, differentiated by differences."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(7, 5)), rng.integers(0, 3, 7)
    task = tasks.classification(models.build("mlp", (5,), 3, seed=0, hidden=(4,)))
    values = [weight.numpy().astype(np.float64) for weight in task.weights]

    def loss(values):
        w1, b1, w2, b2 = values
        logits = np.maximum(x @ w1 + b1, 0) @ w2 + b2
        return np.mean(np.log(np.exp(logits).sum(1)) - logits[np.arange(7), y])

    estimator = Backpropagation()
    estimator.build(task)
    estimate = estimator.estimate(tf.constant(x, tf.float32), tf.constant(y), tf.constant([0, 0], tf.int64))
    np.testing.assert_allclose(estimate.loss, loss(values), rtol=1e-5)
    for position, gradient in enumerate(estimate.gradients):
        expected = np.zeros_like(values[position])
        for index in np.ndindex(expected.shape):
            shifted = [[value.copy() for value in values] for _ in range(2)]
            shifted[0][position][index] += 1e-6
            shifted[1][position][index] -= 1e-6
            expected[index] = (loss(shifted[0]) - loss(shifted[1])) / 2e-6
        np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6)
