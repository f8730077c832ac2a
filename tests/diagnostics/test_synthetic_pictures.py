"""What the diagnostics of notebook 06 leave at the end of a run: gradients and predicted classes, as arrays."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from common.data import Dataset, Split
from common.diagnostics import BoundaryGradients, LastWeightGradients, SamplePredictions
from common.estimators import Backpropagation, SyntheticGradients, WeightRegression
from common.estimators.estimator import RunContext
from common.tasks import networks as models
from common.tasks import task as tasks
from common.training import Moment

EPOCHS = 4


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 3, 3, 1)).astype(np.float32), rng.integers(0, 3, 40).astype(np.int32)
    parts = (Split(x[a:b], y[a:b]) for a, b in ((0, 24), (24, 32), (32, 40)))
    return Dataset("made", "classification", *parts, 3, "", "made here")


def at_the_end(images, estimator, epoch=EPOCHS):
    task = tasks.classification(models.build("mlp", (3, 3, 1), 3, seed=0, hidden=(5,)))
    estimator.build(task, RunContext(seed=1))
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build(task.weights)
    return Moment(task, estimator, optimizer, images, 1, epoch, EPOCHS)


def exact_gradients(moment, examples):
    """The gradients of the weights by a tape over the whole network."""
    x, y = moment.dataset.train.x[:examples], moment.dataset.train.y[:examples]
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.keras.losses.sparse_categorical_crossentropy(y, moment.task.network(x), True))
    return tape.gradient(loss, moment.task.network.trainable_variables)


def test_the_last_weights_gradient_and_what_the_models_say(images):
    moment = at_the_end(images, WeightRegression())
    pictures = LastWeightGradients(6)(moment)
    assert {name: picture.shape for name, picture in pictures.items()} == {
        "weight_gradient": (3, 5),
        "synthetic_weight_gradient": (3, 5),
    }
    np.testing.assert_allclose(pictures["weight_gradient"].T, exact_gradients(moment, 6)[-2], atol=1e-6)
    assert np.any(pictures["synthetic_weight_gradient"])


def test_the_gradient_at_the_boundary_and_what_an_untrained_predictor_says(images):
    moment = at_the_end(images, SyntheticGradients())
    pictures = BoundaryGradients(6)(moment)
    x, y = images.train.x[:6], images.train.y[:6]
    probabilities = tf.nn.softmax(moment.task.network(x)).numpy()
    error = (probabilities - np.eye(3)[y]) / 6
    np.testing.assert_allclose(pictures["boundary_gradient"], error @ moment.task.weights[-2].numpy().T, atol=1e-6)
    np.testing.assert_array_equal(pictures["synthetic_boundary_gradient"], np.zeros((6, 5)))


def test_test_images_their_labels_and_the_predicted_classes(images):
    moment = at_the_end(images, Backpropagation())
    pictures = SamplePredictions(2)(moment)
    np.testing.assert_array_equal(pictures["sample_images"], images.test.x[:2, :, :, 0])
    np.testing.assert_array_equal(pictures["sample_labels"], images.test.y[:2])
    outputs = moment.task.network(images.test.x[:2])
    np.testing.assert_array_equal(pictures["sample_predictions"], np.argmax(outputs, -1))


@pytest.mark.parametrize("diagnostic", [LastWeightGradients(6), BoundaryGradients(6), SamplePredictions(6)])
def test_nothing_is_measured_before_the_end(images, diagnostic):
    assert not diagnostic.at_start
    assert diagnostic(at_the_end(images, Backpropagation(), EPOCHS - 1)) == {}


@pytest.mark.parametrize(
    ("diagnostic", "words"),
    [
        (LastWeightGradients(6), r"models of WeightRegression; Backpropagation\(\) has none"),
        (BoundaryGradients(6), r"predictors of SyntheticGradients; Backpropagation\(\) has none"),
    ],
)
def test_an_estimator_without_them_is_refused(images, diagnostic, words):
    with pytest.raises(ValueError, match=words):
        diagnostic(at_the_end(images, Backpropagation()))


@pytest.mark.parametrize("make", [LastWeightGradients, BoundaryGradients, SamplePredictions])
def test_no_examples_are_refused(make):
    with pytest.raises(ValueError, match="examples must be ≥ 1, got 0"):
        make(0)
