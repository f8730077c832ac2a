import keras
import numpy as np
import pytest

from common import training
from common.data import Dataset, Split
from common.settings import parse
from common.tasks import networks as models
from common.tasks import task as tasks
from common.tasks.networks import Network


@pytest.mark.parametrize(
    ("name", "hidden", "parameters"),
    [
        ("mnist_convnet", None, 34_826),
        ("lenet5", None, 61_706),
        ("leaky_convnet", None, 86_282),
        ("tiny_convnet", None, 6_670),
        ("normalised_convnet_3", None, 62_634),
        ("normalised_convnet_4", None, 131_754),
        ("mlp", (100,), 79_510),
        ("normalised_mlp", (100, 100), 90_210),
    ],
)
def test_parameter_counts_on_mnist(name, hidden, parameters):
    network = models.build(name, (28, 28, 1), 10, seed=0, hidden=hidden)
    assert network.count_params() == parameters
    assert network.output_shape == (None, 10)


@pytest.mark.parametrize("name", models.NETWORKS)
def test_outputs_are_logits(name):
    """A softmax would make them positive and of sum one."""
    network = models.build(name, (28, 28, 1), 10, seed=0, hidden=(8,) if name in models.OF_HIDDEN_LAYERS else None)
    logits = np.asarray(network(np.random.default_rng(0).random((16, 28, 28, 1), dtype=np.float32)))
    assert logits.min() < 0
    assert not np.allclose(logits.sum(1), 1)


def test_the_network_of_the_housing_experiment():
    assert models.build("mlp", (13,), 1, seed=0, hidden=(4,)).count_params() == 13 * 4 + 4 + 4 + 1


def test_initial_weights_are_a_function_of_the_seed_alone():
    keras.utils.set_random_seed(1)
    first = models.build("lenet5", (28, 28, 1), 10, seed=3)
    keras.utils.set_random_seed(2)
    second, other = (models.build("lenet5", (28, 28, 1), 10, seed=seed) for seed in (3, 4))
    for a, b, c in zip(first.trainable_variables, second.trainable_variables, other.trainable_variables, strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.path == b.path
        assert "bias" in a.path or not np.array_equal(a, c)


def test_layers_of_equal_shape_start_different():
    kernels = [
        w.numpy() for w in models.build("mlp", (6,), 6, seed=0, hidden=(6, 6)).trainable_variables if w.ndim == 2
    ]
    assert not np.array_equal(kernels[0], kernels[1])


def test_glorot_uniform_spread():
    kernel = models.build("mlp", (400,), 10, seed=0, hidden=(300,)).trainable_variables[0].numpy()
    limit = np.sqrt(6 / (400 + 300))
    assert np.abs(kernel).max() <= limit
    assert kernel.std() == pytest.approx(limit / np.sqrt(3), rel=0.01)


def test_mixed_precision_reaches_every_layer():
    network = models.build("leaky_convnet", (28, 28, 1), 10, seed=0, precision="mixed_bfloat16")
    assert {layer.compute_dtype for layer in network.layers} == {"bfloat16"}
    assert {layer.variable_dtype for layer in network.layers} == {"float32"}


def test_a_saved_network_evaluates_the_same(tmp_path):
    network = models.build("mnist_convnet", (12, 12, 1), 4, seed=0)
    network.optimizer = keras.optimizers.SGD(0.1)  # as training leaves it
    rng = np.random.default_rng(0)
    split = Split(rng.random((50, 12, 12, 1), dtype=np.float32), rng.integers(0, 4, 50).astype(np.int32))
    models.save(network, tmp_path / "deep" / "network.keras")
    loaded = models.load(tmp_path / "deep" / "network.keras")
    expected = training.evaluate(tasks.classification(network), split)
    assert training.evaluate(tasks.classification(loaded), split) == expected
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["network.keras"]


def test_loading_a_missing_network_names_the_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no network file .*none.keras"):
        models.load(tmp_path / "none.keras")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "lenet"}, r"network must be one of .* got 'lenet'; did you mean 'lenet5'"),
        ({"precision": "bfloat16"}, r"precision must be .* got 'bfloat16'; did you mean 'mixed_bfloat16'"),
        ({"input_shape": (13,)}, r"takes images \(height, width, channels\), got input shape \(13,\)"),
        ({"name": "mlp"}, "hidden gives the layer sizes of 'mlp'"),
        ({"hidden": (4,)}, "hidden gives the layer sizes of 'mlp' and 'normalised_mlp' and of nothing else"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    settings = {"name": "mnist_convnet", "input_shape": (28, 28, 1), "outputs": 10, "seed": 0} | arguments
    with pytest.raises(ValueError, match=message):
        models.build(**settings)


def _dataset(kind, shape, y):
    split = Split(np.zeros((len(y), *shape), np.float32), y)
    return Dataset("made", kind, split, split, split, 4 if kind == "classification" else None, "", "made here")


def test_a_network_as_a_setting_makes_its_task():
    images = _dataset("classification", (12, 12, 1), np.arange(4, dtype=np.int32))
    task = Network("mnist_convnet", dropout=False).task(images, seed=3)
    expected = models.build("mnist_convnet", (12, 12, 1), 4, seed=3)
    for a, b in zip(task.weights, expected.trainable_variables, strict=True):
        np.testing.assert_array_equal(a, b)
    assert (task.metric_name, task.training_mode) == ("accuracy", False)
    features = _dataset("regression", (13,), np.zeros((5, 1), np.float32))
    task = Network("mlp", [4]).task(features, seed=0)
    assert (task.metric_name, task.training_mode) == ("mean_squared_error", True)
    assert [tuple(weight.shape) for weight in task.weights] == [(13, 4), (4,), (4, 1), (1,)]
    assert len(Network("mlp").task(features, seed=0).weights) == 2  # a line


@pytest.mark.parametrize(
    ("network", "written"),
    [
        (Network("lenet5"), "Network('lenet5')"),
        (Network("mlp", (64, 32), dropout=False), "Network('mlp', hidden=[64, 32], dropout=False)"),
        (Network("lenet5", precision="mixed_bfloat16"), "Network('lenet5', precision='mixed_bfloat16')"),
    ],
)
def test_a_network_is_its_text(network, written):
    assert repr(network) == written
    assert parse(written, {"Network": Network}, "network") == network


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Network("lenet"), "did you mean 'lenet5'"),
        (lambda: Network("lenet5", precision="float16"), "precision must be one of"),
        (lambda: Network("mlp", 5), "hidden must be a list of units of each hidden layer, such as [64, 32], got 5"),
        (lambda: Network("mlp", [0]), "such as [64, 32], got [0]"),
        (lambda: Network("lenet5", [5]), "hidden must be empty for 'lenet5'"),
        (lambda: Network("lenet5", dropout=0.5), "dropout must be True or False, got 0.5"),
    ],
)
def test_a_wrong_setting_of_a_network_is_refused_at_once(make, words):
    with pytest.raises(ValueError, match="must be") as error:
        make()
    assert words in str(error.value)
