import numpy as np
import pytest
import tensorflow as tf

from common.tasks import networks as models
from common.tasks import task as tasks


def test_classification_by_hand():
    task = tasks.classification(models.build("mlp", (2,), 3, seed=0, hidden=()))
    logits, labels = tf.constant([[0.0, 0.0, 0.0], [1.0, 3.0, 2.0]]), tf.constant([2, 1])
    losses = task.per_example_loss(labels, logits)
    np.testing.assert_allclose(losses, [np.log(3), np.log(np.exp(-2) + 1 + np.exp(-1))], rtol=1e-6)
    np.testing.assert_array_equal(task.per_example_metric(labels, logits), [0.0, 1.0])
    assert float(task.loss(labels, logits)) == pytest.approx(float(np.mean(losses)))


def test_regression_by_hand():
    task = tasks.regression(models.build("mlp", (2,), 1, seed=0, hidden=()))
    targets, predictions = tf.constant([[1.0], [5.0]]), tf.constant([[3.0], [4.0]])
    np.testing.assert_array_equal(task.per_example_loss(targets, predictions), [4.0, 1.0])
    assert task.metric_name == "mean_squared_error"


def test_outputs_are_float32_in_mixed_precision():
    task = tasks.classification(models.build("mlp", (2,), 3, seed=0, hidden=(4,), precision="mixed_bfloat16"))
    seed = tf.constant([0, 0], tf.int64)
    assert task.outputs(tf.zeros((5, 2)), seed).dtype == tf.float32
    assert task.predictions(tf.zeros((5, 2))).dtype == tf.float32


def test_dropout_keeps_half_and_varies_with_each_word_of_the_seed():
    task = tasks.classification(models.build("mnist_convnet", (12, 12, 1), 4, seed=0))
    dropout = next(layer for layer in task.network.layers if "dropout" in layer.name)
    masks = []
    for seed in ([0, 0], [0, 1], [1, 0], [0, 0]):
        task.outputs(tf.zeros((1, 12, 12, 1)), tf.constant(seed, tf.int64))
        masks.append(np.asarray(dropout(tf.ones((1, 10_000)), training=True)) > 0)
    np.testing.assert_array_equal(masks[0], masks[3])
    assert np.mean(masks[0]) == pytest.approx(0.5, abs=0.02)  # four standard errors
    assert np.mean(masks[0] == masks[1]) == pytest.approx(0.5, abs=0.02)
    assert np.mean(masks[0] == masks[2]) == pytest.approx(0.5, abs=0.02)
