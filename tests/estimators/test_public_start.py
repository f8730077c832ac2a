"""Training on public examples first: the server's gradients, then those of the wrapped estimator."""

import numpy as np
import pytest
import tensorflow as tf
from estimator_checks import assert_resumes_bit_identically, random_batch

from common.data import Split
from common.estimators import Backpropagation, ConstantNoise, NoisyGradient, PublicStart, PublicSubspace
from common.estimators.estimator import RunContext
from common.tasks import networks as models
from common.tasks import task as tasks

PUBLIC, FIRST = 8, 3


def _noisy():
    return NoisyGradient(Backpropagation(), ConstantNoise(0.5))


def _task():
    return tasks.classification(models.build("mlp", (6,), 3, seed=0, hidden=(5,)))


def _examples(count):
    rng = np.random.default_rng(5)
    return rng.random((count, 6), dtype=np.float32), rng.integers(0, 3, count).astype(np.int32)


def _built(estimator, public=PUBLIC):
    estimator.build(_task(), RunContext(split=Split(*_examples(public))))
    return estimator


def _start(**settings):
    return PublicStart(_noisy(), **{"examples": PUBLIC, "steps": FIRST} | settings)


def _estimate(estimator, step, examples=24):
    return estimator.estimate(*random_batch(estimator.task, examples), tf.constant([0, step], tf.int64))


def _vector(gradients):
    return np.concatenate([np.ravel(part) for part in gradients])


def test_the_first_steps_have_the_exact_gradient_of_the_public_examples():
    """A batch of the run that is larger than the public set takes all of it."""
    exact = _built(Backpropagation())
    expected = exact.estimate(*map(tf.constant, _examples(PUBLIC)), tf.constant([0, 0], tf.int64))
    for step in range(FIRST):
        np.testing.assert_allclose(
            _vector(_estimate(_built(_start()), step).gradients), _vector(expected.gradients), atol=1e-6
        )


def test_smaller_batches_are_drawn_anew_at_each_step():
    estimator = _built(_start())
    first, second = (_vector(_estimate(estimator, step, examples=4).gradients) for step in (0, 1))
    assert np.abs(first - second).max() > 1e-3
    exact, estimator = _built(Backpropagation()), _built(_start(steps=1000))
    mean = np.array([_vector(_estimate(estimator, step, examples=4).gradients) for step in range(40)])
    expected = _vector(exact.estimate(*map(tf.constant, _examples(PUBLIC)), tf.constant([0, 0], tf.int64)).gradients)
    error = mean.std(0, ddof=1) / len(mean) ** 0.5
    assert (np.abs(mean.mean(0) - expected) <= 5 * error + 1e-6).all()


def test_afterwards_it_is_the_wrapped_estimator():
    estimate, wrapped = _estimate(_built(_start()), FIRST), _estimate(_built(_noisy()), FIRST)
    np.testing.assert_array_equal(_vector(estimate.gradients), _vector(wrapped.gradients))


@pytest.mark.parametrize("step", [0, FIRST])
def test_loss_and_outputs_are_those_of_the_run_s_batch(step):
    estimate, exact = _estimate(_built(_start()), step), _estimate(_built(Backpropagation()), step)
    np.testing.assert_allclose(estimate.loss, exact.loss, rtol=1e-6)
    np.testing.assert_allclose(estimate.outputs, exact.outputs, rtol=1e-5)


def test_cost_of_the_first_steps():
    """A public gradient of 6 examples and a forward pass of 6, where the wrapped estimator takes a gradient of 6."""
    estimator = _built(_start())
    assert estimator.cost(6) == 6
    assert estimator.setup_cost(6, 2) == pytest.approx(2 * 6 / 3)
    assert estimator.setup_cost(6, 10) == pytest.approx(FIRST * 6 / 3)
    assert estimator.setup_cost(24, 10) == 0  # 8 public gradients and a forward pass of 24 are cheaper than 24


def test_resuming_is_bit_identical(tmp_path):
    def make():
        inner = PublicSubspace(_noisy(), examples=8, dimensions=4, amplification=2.0, refresh_every=2)
        return PublicStart(inner, examples=8, steps=3)

    assert_resumes_bit_identically(make, tmp_path)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"examples": 0}, "examples must be ≥ 1, got 0"),
        ({"steps": 0}, "steps must be ≥ 1, got 0"),
        ({"examples": 9}, "examples must be at most the run's 8 training examples, got 9"),
    ],
)
def test_wrong_arguments_are_named(wrong, words):
    with pytest.raises(ValueError, match=f"^{words}$"):
        _built(_start(**wrong))
