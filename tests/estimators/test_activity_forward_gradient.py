"""Perturbed activities beside backpropagation, which they equal on average, and what their variance grows with."""

import numpy as np
import pytest
import tensorflow as tf
from estimator_checks import random_batch

from common.estimators import ActivityForwardGradient, Backpropagation, RunContext
from common.tasks import networks as models
from common.tasks import task as tasks
from common.vectors import flatten

SEED = tf.constant([0, 0], tf.int64)


def _mlp(hidden=(6, 4), features=5):
    return tasks.classification(models.build("mlp", (features,), 3, seed=0, hidden=hidden))


def _batch(task, examples=6):
    return random_batch(task, examples)


def _exact(task, batch):
    estimator = Backpropagation()
    estimator.build(task)
    return flatten(estimator.estimate(*batch, SEED).gradients).numpy()


def _estimates(task, batch, count, **options):
    """Many estimates on one batch with one dropout mask, (count, D)."""
    estimator = ActivityForwardGradient(**options)
    estimator.build(task, RunContext())

    @tf.function
    def estimates():
        def estimate(step):
            drawn = estimator.along(
                task.network.layers, batch[0], lambda z: task.per_example_loss(batch[1], z), tf.stack([0, step])
            )
            return flatten(drawn.gradients)

        return tf.map_fn(estimate, tf.range(count, dtype=tf.int64), fn_output_signature=tf.float32)

    return estimates().numpy()


@pytest.mark.parametrize("directions", ["gaussian", "signs"])
@pytest.mark.parametrize("network", ["mlp", "lenet5"])
def test_the_mean_is_the_gradient_within_its_standard_error(directions, network):
    """Through dense layers, and through convolutions with the fast pooling."""
    task = _mlp() if network == "mlp" else tasks.classification(models.build(network, (12, 12, 1), 3, seed=0))
    batch = _batch(task, 6 if network == "mlp" else 2)
    estimates, exact = _estimates(task, batch, 600, directions=directions), _exact(task, batch)
    deviations = estimates.std(0, ddof=1)
    seen = deviations > 1e-7  # behind units that are zero for all examples, nothing moves
    np.testing.assert_allclose(exact[~seen], 0, atol=1e-6)
    errors = (estimates.mean(0) - exact)[seen] / (deviations[seen] / np.sqrt(len(estimates)))
    assert 0.6 < np.mean(errors**2) < 1.5
    assert np.abs(errors).max() < 6


def test_the_variance_grows_with_the_units_and_not_with_the_weights():
    """E |d u|² = (n + 2) |g|² for n Gaussian numbers of one example: by hand for a linear network of one layer."""
    for features in (5, 50):
        task = tasks.classification(models.build("mlp", (features,), 3, seed=0, hidden=()))
        batch = _batch(task, 1)
        estimates, exact = _estimates(task, batch, 2_000), _exact(task, batch)
        assert np.mean(np.sum(estimates**2, 1)) == pytest.approx((3 + 2) * np.sum(exact**2), rel=0.15)


def test_a_hidden_layer_of_twice_the_units_doubles_the_variance():
    """Units, and not the weights between them, whose number grows fourfold."""
    ratios = []
    for units in (40, 80):
        task = _mlp(hidden=(units, units))
        batch = _batch(task, 1)
        exact = _exact(task, batch)
        last = slice(-3, None)  # the logits' bias: as many numbers in both networks
        estimates = _estimates(task, batch, 1_500)[:, last]
        ratios.append(np.mean(np.sum((estimates - exact[last]) ** 2, 1)))
    gradient = [np.sum(_derivatives(units) ** 2) for units in (40, 80)]
    expected = [3 * square for square in gradient]  # n/|g|² of the logits: d² is |g|² of all units, times 3 logits
    for ratio, predicted in zip(ratios, expected, strict=True):
        assert 0.5 < ratio / predicted < 2


def _derivatives(units):
    """The gradient with respect to all pre-activations of one example."""
    task = _mlp(hidden=(units, units))
    x, y = _batch(task, 1)
    probes, h = [], x
    with tf.GradientTape() as tape:
        for layer in task.network.layers:
            if layer.weights:
                z = tf.matmul(h, layer.kernel) + layer.bias
                probe = tf.zeros_like(z)
                tape.watch(probe)
                probes.append(probe)
                h = layer.activation(z + probe)
            else:
                h = layer(h)
        loss = task.loss(y, h)
    return flatten(tape.gradient(loss, probes)).numpy()


def test_the_estimate_by_hand():
    """Of one linear layer: d_i = (p_i - y_i) · u_i, and the weights' gradient is the mean of x_i (d_i u_i)ᵀ."""
    task = tasks.classification(models.build("mlp", (5,), 3, seed=0, hidden=()))
    x, y = _batch(task)
    estimator = ActivityForwardGradient()
    estimator.build(task)
    rng = np.random.default_rng(1)
    moved = tf.constant(rng.normal(size=(6, 3)), tf.float32)
    estimator._drawn = lambda z, seed: moved
    estimate = estimator.estimate(x, y, SEED)
    error = tf.nn.softmax(estimate.outputs) - tf.one_hot(y, 3)
    signal = tf.reduce_sum(error * moved, 1, keepdims=True) * moved / 6.0
    np.testing.assert_allclose(estimate.gradients[0], tf.matmul(x, signal, transpose_a=True), atol=1e-6)
    np.testing.assert_allclose(estimate.gradients[1], tf.reduce_sum(signal, 0), atol=1e-6)


def test_batch_norm_is_refused_by_name():
    task = tasks.classification(models.build("normalised_mlp", (5,), 3, seed=0, hidden=(4,)))
    with pytest.raises(ValueError, match="got one with batch norm: norm_1"):
        ActivityForwardGradient().build(task)


def test_cost_is_a_gradient():
    estimator = ActivityForwardGradient()
    estimator.build(_mlp())
    assert estimator.cost(10) == 10.0
