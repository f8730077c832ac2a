"""Longer steps within the span of public gradients, beside projections in numpy of gradients computed one by one."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from common import training
from common.data import Dataset, Split
from common.estimators.backpropagation import Backpropagation
from common.estimators.estimator import RunContext
from common.estimators.noise import public_subspace
from common.estimators.noise.noisy_gradient import ConstantNoise, NoisyGradient
from common.estimators.noise.over_the_air import OverTheAir
from common.estimators.noise.public_subspace import PublicSubspace
from common.tasks import networks as models
from common.tasks import task as tasks

PUBLIC, GROUPS = 8, 4


def _data(examples, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(examples, 6)).astype(np.float32), rng.integers(0, 3, examples).astype(np.int32)


def _batch(examples=24):
    return [tf.constant(part) for part in _data(examples)]


def _seed(run=0, step=0):
    return tf.constant([run, step], tf.int64)


def _task():
    return tasks.classification(models.build("mlp", (6,), 3, seed=0, hidden=(5,)))  # 53 parameters


def _built(estimator, task=None, public=None):
    estimator.build(task or _task(), RunContext(split=Split(*(public or _data(PUBLIC, 9)))))
    return estimator


def _subspace(inner=None, **options):
    options = {"examples": PUBLIC, "dimensions": GROUPS, "amplification": 3.0, "refresh_every": 1} | options
    return PublicSubspace(inner or Backpropagation(), **options)


def _as_vector(gradients):
    return np.concatenate([np.ravel(part) for part in gradients]).astype(np.float64)


def _direction(estimator, run=0, step=0):
    return _as_vector(estimator.estimate(*_batch(), _seed(run, step)).gradients)


def _basis(estimator, run=0, step=0):
    _direction(estimator, run, step)
    return estimator.basis.numpy().astype(np.float64)


@pytest.fixture
def dealt(monkeypatch):
    """The public examples in the order in which each refresh deals them out."""
    seen = []

    def spy(estimator, x, y, *rest):
        seen.append((x.numpy(), y.numpy()))
        return share_estimates(estimator, x, y, *rest)

    share_estimates = public_subspace.share_estimates
    monkeypatch.setattr(public_subspace, "share_estimates", spy)
    return seen


def _projection(task, x, y, groups=GROUPS):
    """Q Qᵀ, (P, P) float64, onto the span of the groups' gradients, each computed by a call of its own."""
    exact = _built(Backpropagation(), task)
    parts = zip(np.split(x, groups), np.split(y, groups), strict=True)
    columns = [_as_vector(exact.estimate(tf.constant(a), tf.constant(b), _seed()).gradients) for a, b in parts]
    q, _ = np.linalg.qr(np.stack(columns, 1))
    return q @ q.T


@pytest.mark.parametrize(("dimensions", "step"), [(GROUPS, 0), (GROUPS, 5), (1, 0), (PUBLIC, 3)])
def test_the_basis_is_orthonormal_and_spans_the_groups_gradients(dealt, dimensions, step):
    estimator = _built(_subspace(dimensions=dimensions))
    basis = _basis(estimator, 2, step)
    ((x, y),) = dealt
    assert basis.shape == (53, dimensions)
    np.testing.assert_allclose(basis.T @ basis, np.eye(dimensions), atol=1e-5)
    np.testing.assert_allclose(basis @ basis.T, _projection(estimator.task, x, y, dimensions), atol=1e-4)


def test_the_first_training_examples_are_dealt_out_once_each_with_their_labels(dealt):
    public = _data(PUBLIC + 5, 9)
    _basis(_built(_subspace(), public=public))
    public = tuple(part[:PUBLIC] for part in public)
    ((x, y),) = dealt
    assert not np.array_equal(x, public[0])
    places = [np.flatnonzero((public[0] == row).all(1)).item() for row in x]
    assert sorted(places) == list(range(PUBLIC))
    np.testing.assert_array_equal(y, public[1][places])


def test_gradients_of_very_different_lengths_all_count():
    """Two groups whose gradients are a million times shorter: examples that the network is almost sure of."""
    task = _task()
    rng = np.random.default_rng(3)
    columns = rng.normal(size=(53, GROUPS)) * [1, 1e-6, 1, 1e-6]
    estimator = _built(_subspace(), task)
    parts = [
        np.split(column, np.cumsum([weight.shape.num_elements() for weight in task.weights])[:-1])
        for column in columns.T
    ]
    stacked = [
        tf.constant(np.stack([group[i].reshape(weight.shape) for group in parts]), tf.float32)
        for i, weight in enumerate(task.weights)
    ]
    estimate = Backpropagation.estimate(estimator._exact, *_batch(), _seed())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(public_subspace, "share_estimates", lambda *_: estimate._replace(gradients=stacked))
        basis = _basis(estimator)
    q, _ = np.linalg.qr(columns / np.linalg.norm(columns, axis=0))
    np.testing.assert_allclose(basis @ basis.T, q @ q.T, atol=1e-4)


@pytest.mark.parametrize("amplification", [1.5, 20.0])
def test_the_direction_is_amplified_within_the_span_and_untouched_outside(dealt, amplification):
    estimator = _built(_subspace(amplification=amplification))
    gradient = _direction(_built(Backpropagation(), estimator.task))
    direction = _direction(estimator)
    inside = _projection(estimator.task, *dealt[0]) @ gradient
    assert 0.05 < np.linalg.norm(inside) / np.linalg.norm(gradient) < 0.999  # else the test could not tell
    np.testing.assert_allclose(direction, gradient + (amplification - 1) * inside, atol=1e-4)


def test_amplification_of_one_is_exactly_the_inner_direction():
    estimator = _built(_subspace(amplification=1.0))
    np.testing.assert_array_equal(_direction(estimator), _direction(_built(Backpropagation(), estimator.task)))


def test_loss_and_outputs_stay_untouched():
    estimator = _built(_subspace())
    estimate = estimator.estimate(*_batch(), _seed())
    expected = _built(Backpropagation(), estimator.task).estimate(*_batch(), _seed())
    np.testing.assert_array_equal(estimate.loss, expected.loss)
    np.testing.assert_array_equal(estimate.outputs, expected.outputs)


INNERS = {
    "noisy": lambda: NoisyGradient(Backpropagation(), ConstantNoise(0.5)),
    "over the air": lambda: OverTheAir(Backpropagation(), devices=4, channel_noise=2.0),
}


@pytest.mark.parametrize("make", INNERS.values(), ids=list(INNERS))
def test_it_amplifies_what_a_noisy_estimator_says_noise_included(make, dealt):
    estimator = _built(_subspace(make()))
    noisy = _direction(_built(make(), estimator.task), 4, 2)
    direction = _direction(estimator, 4, 2)
    x, y = next(examples for examples in dealt if len(examples[0]) == PUBLIC)
    np.testing.assert_allclose(direction, noisy + 2 * _projection(estimator.task, x, y) @ noisy, atol=1e-4)


def test_noise_around_it_is_not_amplified():
    task = _task()
    around = _built(NoisyGradient(_subspace(), ConstantNoise(0.5)), task)
    alone = _built(NoisyGradient(Backpropagation(), ConstantNoise(0.5)), task)
    noise = _direction(alone) - _direction(_built(Backpropagation(), task))
    np.testing.assert_allclose(_direction(around) - _direction(_built(_subspace(), task)), noise, atol=1e-5)


def test_the_basis_is_computed_anew_every_few_steps_from_another_grouping(dealt):
    estimator = _built(_subspace(refresh_every=3))
    bases = [_basis(estimator, step=step) for step in range(5)]
    np.testing.assert_array_equal(bases[1], bases[0])
    np.testing.assert_array_equal(bases[2], bases[0])
    assert np.abs(bases[3] @ bases[3].T - bases[0] @ bases[0].T).max() > 0.01
    np.testing.assert_array_equal(bases[4], bases[3])
    assert len(dealt) == 2


def test_the_basis_is_a_function_of_seed_and_step():
    first, again, step, run = (_basis(_built(_subspace()), *seed) for seed in [(1, 2), (1, 2), (1, 3), (2, 2)])
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - step).max() > 0.01
    assert np.abs(first - run).max() > 0.01


def test_the_basis_follows_the_weights():
    estimator = _built(_subspace())
    before = _basis(estimator)
    for weight in estimator.task.weights:
        weight.assign(1.5 * weight + 0.1)
    assert np.abs(_basis(estimator) - before).max() > 0.01


@pytest.mark.parametrize("certain", [GROUPS, 1])
def test_public_gradients_of_zero_give_no_nan_and_amplify_nothing(certain):
    """Examples of class 0, of which the network is so sure that their gradients are exactly zero."""
    x = np.zeros((PUBLIC, 6), np.float32)
    x[:, 0] = np.where(np.arange(PUBLIC) < certain * PUBLIC // GROUPS, 1.0, -1.0)
    task = _task()
    kernel, bias, output, _ = task.weights
    kernel.assign(tf.one_hot([0], 6, axis=0) * tf.ones([1, 5]))
    bias.assign(tf.fill([5], 0.5))
    output.assign(tf.constant([[1e3, 0.0, 0.0]]) * tf.ones([5, 1]))
    estimator = _built(_subspace(), task, public=(x, np.zeros(PUBLIC, np.int32)))
    alone = _direction(_built(Backpropagation(), task))
    direction = _direction(estimator)
    assert np.isfinite(direction).all()
    assert np.linalg.norm(direction) <= 3.001 * np.linalg.norm(alone)
    lengths = np.linalg.norm(estimator.basis.numpy(), axis=0)
    assert set(np.round(lengths, 5)) <= {0.0, 1.0}
    if certain == GROUPS:
        np.testing.assert_allclose(direction, alone, rtol=1e-6)


def test_cost_counts_the_public_examples():
    estimator = _built(_subspace(refresh_every=5))
    assert estimator.cost(16) == pytest.approx(16 + 8 / 5)
    assert estimator.cost(6) == pytest.approx(6 + 8 / 5)


def _train(epochs=2, make=INNERS["noisy"], dimensions=GROUPS, **options):
    """Three steps an epoch and a basis for four, so that the second epoch begins with that of the first."""
    # The server's are the first: their eight gradients are independent, so that their order decides nothing.
    train = Split(*(np.concatenate(parts) for parts in zip(_data(PUBLIC, 9), _data(48 - PUBLIC, 48), strict=True)))
    others = [Split(*_data(count, count)) for count in (8, 9)]
    dataset = Dataset("noise", "classification", train, *others, 3, "", "here")
    task, optimizer = _task(), keras.optimizers.SGD(0.05, momentum=0.9)
    estimator = _subspace(make(), dimensions=dimensions, refresh_every=4)
    history = training.train(task, estimator, optimizer, dataset, epochs=epochs, batch_size=16, seed=5, **options)
    return np.concatenate([np.ravel(part) for part in [*task.weights, estimator.basis]]), history


def test_resuming_is_bit_identical(tmp_path):
    whole, history = _train()
    assert history.epochs[-1]["cost"] == pytest.approx(6 * (16 + 8 / 4))
    _train(epochs=1, checkpoint_dir=tmp_path)
    resumed, history = _train(checkpoint_dir=tmp_path)
    assert history.status == "finished"
    np.testing.assert_array_equal(resumed, whole)


def test_xla_trains_to_about_the_same():
    """What a GPU gets by default. It draws other random numbers: without noise, a group for each example needs none."""
    settings = {"make": Backpropagation, "dimensions": PUBLIC}
    compiled, history = _train(jit_compile=True, **settings)
    assert history.status == "finished"
    weights = 53  # behind them stands the basis, whose columns are those of a shuffled order
    np.testing.assert_allclose(compiled[:weights], _train(**settings)[0][:weights], atol=1e-4)


def test_xla_trains_with_noise():
    assert _train(epochs=1, jit_compile=True)[1].status == "finished"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"dimensions": 3}, "dimensions must be a divisor of the 8 public examples, got 3"),
        ({"dimensions": 16}, "dimensions must be a divisor of the 8 public examples, got 16"),
        ({"dimensions": 0}, "dimensions must be ≥ 1, got 0"),
        ({"amplification": 0.9}, "amplification must be ≥ 1 and finite, got 0.9"),
        ({"amplification": math.inf}, "amplification must be ≥ 1 and finite, got inf"),
        ({"amplification": math.nan}, "amplification must be ≥ 1 and finite, got nan"),
        ({"refresh_every": 0}, "refresh_every must be ≥ 1, got 0"),
        ({"examples": 0}, "examples must be ≥ 1, got 0"),
        ({"examples": 56}, "examples must be at most the run's 55 training examples, got 56"),
        ({"examples": 54, "dimensions": 54}, "dimensions must be at most the network's 53 parameters, got 54"),
    ],
)
def test_wrong_arguments_are_named(wrong, words):
    with pytest.raises(ValueError, match=f"^{words}$"):
        _built(_subspace(**wrong), public=_data(55))


def test_without_training_examples_it_says_what_it_lacks():
    with pytest.raises(ValueError, match=r"^examples must be at most the run's 0 training examples, got 8$"):
        _subspace().build(_task())
