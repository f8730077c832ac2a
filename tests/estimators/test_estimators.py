"""The table in estimator_cases.py holds every estimator; how they are written and read, and what wraps one."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from estimator_cases import ESTIMATORS

from common import estimators
from common.data import Split
from common.estimators import GradientEstimator, NoisyGradient, RunContext, SyntheticGradients
from common.tasks import networks as models
from common.tasks import task as tasks


def _batch(examples=24, seed=0):
    rng = np.random.default_rng(seed)
    return tf.constant(rng.random((examples, 12, 12, 1), dtype=np.float32)), tf.constant(rng.integers(0, 4, examples))


def _run(**options):
    return RunContext(
        steps=6, steps_per_epoch=3, batch_size=24, split=Split(*(part.numpy() for part in _batch(seed=1))), **options
    )


def _task():
    return tasks.classification(models.build("mnist_convnet", (12, 12, 1), 4, seed=0))


def _built(make, task=None):
    estimator = make()
    estimator.build(task or _task(), _run())
    return estimator


def test_every_public_estimator_is_in_the_table():
    def kinds(estimator):
        inner = [value for value in estimator.settings.values() if isinstance(value, GradientEstimator)]
        return {type(estimator)}.union(*map(kinds, inner))

    assert set.union(*(kinds(make()) for make in ESTIMATORS.values())) == set(estimators.ESTIMATORS)


@pytest.mark.parametrize("make", ESTIMATORS.values(), ids=list(ESTIMATORS))
def test_the_text_of_an_estimator_makes_it_again_by_public_names(make):
    assert estimators.parse(repr(make())) == make()


@pytest.mark.parametrize("make", ESTIMATORS.values(), ids=list(ESTIMATORS))
def test_arrays_give_the_estimate_of_tensors(make):
    batch, seed = _batch(), tf.constant([0, 0], tf.int64)
    given = [batch, [part.numpy() for part in batch]]
    tensors, arrays = (_built(make).estimate(*parts, seed) for parts in given)
    for expected, got in zip(tf.nest.flatten(tensors), tf.nest.flatten(arrays), strict=True):
        assert isinstance(got, tf.Tensor)
        np.testing.assert_array_equal(got, expected)


def test_wrappers_build_what_they_wrap():
    class Doubled(GradientEstimator):
        def __init__(self, teacher):
            super().__init__()
            self.teacher = teacher

        def estimate(self, x, y, seed):
            estimate = self.teacher.estimate(x, y, seed)
            return estimate._replace(gradients=[2.0 * part for part in estimate.gradients])

    estimator = _built(lambda: Doubled(Doubled(SyntheticGradients())))
    assert estimator.teacher.teacher.task is estimator.task
    assert estimator.setup_cost(24, 6) == 0.0


def test_the_run_s_seed_decides_what_is_drawn_once():
    for make in (ESTIMATORS["direct feedback alignment"], ESTIMATORS["weight regression"]):
        state = []
        for seed in (0, 0, 1):
            estimator = make()
            estimator.build(_task(), RunContext(seed=seed))
            parts = tf.train.TrackableView(estimator).descendants()
            variables = [part for part in parts if isinstance(part, tf.Variable | keras.Variable)]
            own = [part for part in variables if not any(part is weight for weight in estimator.task.weights)]
            state.append(np.concatenate([np.ravel(tf.cast(tf.convert_to_tensor(part), tf.float64)) for part in own]))
        np.testing.assert_array_equal(state[0], state[1])
        assert np.any(state[0] != state[2])


def test_a_list_stays_a_list_and_an_optimizer_is_no_state():
    estimator = SyntheticGradients(boundaries=["conv_1"], optimizer=keras.optimizers.Adam(0.01))
    assert type(estimator.boundaries) is list
    assert len(tf.train.TrackableView(estimator).descendants()) == 1
    assert repr(estimator) == "SyntheticGradients(boundaries=['conv_1'], optimizer=keras.Adam(0.01))"


def test_an_unfinished_estimator_says_what_it_lacks():
    class Unfinished(GradientEstimator):
        pass

    with pytest.raises(NotImplementedError, match="Unfinished does not implement estimate"):
        Unfinished().estimate(None, None, None)
    with pytest.raises(NotImplementedError, match="Unfinished does not say what one estimate costs"):
        Unfinished().cost(1)
    assert repr(Unfinished()) == "Unfinished()"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Backprop()", r"unknown name 'Backprop'; did you mean 'Backpropagation'\?"),
        ("Backpropagation", r"no constructor call.*; write Backpropagation\(\)"),
        ("ConstantNoise(0.1)", "must be the constructor call of a gradient estimator, .*got 'ConstantNoise"),
        (
            "NoisyGradient(Backpropagation(), 0.1)",
            r"level must be a noise level, such as ConstantNoise\(0.1\), got 0.1",
        ),
        ("NoisyGradient(0.1, ConstantNoise(0.1))", "inner must be a gradient estimator, .*got 0.1"),
        ("NoisyGradient(Backpropagation(), ConstantNoise(-1))", "ConstantNoise: sigma must be ≥ 0"),
        ("WeightRegression(optimiser=SGD(0.1))", "no argument 'optimiser'; did you mean 'optimizer'"),
        ("WeightRegression(optimizer=0.1)", "optimizer must be a Keras optimizer, .*got 0.1"),
        ("LogitEvolution(1.0, 1.0)", r"objective must be SmoothedAccuracy\(\), Likelihood\(\) or MovedTarget.*got 1.0"),
        ("NewtonCG(Backpropagation(), line_search=True)", "line_search must be a line search, .*got True"),
        ("SaddleFreeNewton(Backpropagation(), damping='tied')", "damping must be a number > 0, or a damping .*'tied'"),
        ("NoisyGradient(Backpropagation(), ConstantNoise(0.1), sketch=20)", "sketch must be a SignSketch, or None"),
    ],
)
def test_a_text_that_makes_no_estimator_is_refused_in_one_sentence(text, words):
    with pytest.raises(ValueError, match=words) as refused:
        estimators.parse(text)
    assert "\n" not in str(refused.value)


def test_noise_within_noise_is_written_within():
    text = "NoisyGradient(NoisyGradient(Backpropagation(), ConstantNoise(0.1)), AnnealedNoise(1.0), clip_norm=2.0)"
    assert repr(estimators.parse(text)) == text
    assert isinstance(estimators.parse(text).inner, NoisyGradient)
