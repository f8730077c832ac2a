import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from common import training
from common.data import Dataset, Split
from common.estimators import AnnealedNoise, Backpropagation, NoisyGradient
from common.tasks import networks as models
from common.tasks import task as tasks
from common.training.tensorboard import TensorBoard


def test_scalars_graph_and_histograms_are_written(tmp_path):
    rng = np.random.default_rng(0)
    parts = [
        Split(rng.random((n, 12, 12, 1), dtype=np.float32), rng.integers(0, 4, n).astype(np.int32)) for n in (64, 16, 8)
    ]
    dataset = Dataset("noise", "classification", *parts, 4, "abc", "made here")
    task = tasks.classification(models.build("mnist_convnet", (12, 12, 1), 4, seed=0))
    estimator = Backpropagation()
    board = TensorBoard(tmp_path, task, estimator, dataset.train)
    training.train(
        task, estimator, keras.optimizers.SGD(0.1), dataset, epochs=2, batch_size=32, seed=0, callbacks=[board]
    )
    train = EventAccumulator(str(tmp_path / "train")).Reload()
    tags = train.Tags()
    assert tags["graph"]
    names = set(tags["tensors"]) | set(tags["histograms"])
    assert {"epoch_loss", "epoch_accuracy", "epoch_learning_rate"} <= names
    assert any("conv_1/kernel/gradient" in name for name in names)
    assert any("conv_1" in name and "gradient" not in name for name in names)
    validation = EventAccumulator(str(tmp_path / "validation")).Reload()
    assert {"epoch_loss", "epoch_accuracy"} <= set(validation.Tags()["tensors"])


def test_annealed_noise_is_drawn_at_the_level_that_training_has_reached(tmp_path):
    rng = np.random.default_rng(0)
    parts = [Split(rng.random((n, 6), dtype=np.float32), rng.integers(0, 3, n).astype(np.int32)) for n in (32, 8, 8)]
    dataset = Dataset("noise", "classification", *parts, 3, "abc", "made here")
    task = tasks.classification(models.build("mlp", (6,), 3, seed=0, hidden=(40,)))
    estimator = NoisyGradient(Backpropagation(), AnnealedNoise(1e4, 2.0))  # σ = 100 / (1 + t)
    board = TensorBoard(tmp_path, task, estimator, dataset.train)
    still = keras.optimizers.SGD(0.0)
    training.train(task, estimator, still, dataset, epochs=3, batch_size=16, seed=0, callbacks=[board])
    drawn = EventAccumulator(str(tmp_path / "train"), {"tensors": 0}).Reload()
    (name,) = [name for name in drawn.Tags()["tensors"] if name.endswith("dense_1/kernel/gradient")]
    for event, steps in zip(drawn.Tensors(name), (2, 4, 6), strict=True):
        buckets = tf.make_ndarray(event.tensor_proto)  # from, to, how many
        deviation = np.sqrt(np.average(buckets[:, :2].mean(1) ** 2, weights=buckets[:, 2]))
        assert deviation == pytest.approx(100 / (1 + steps), rel=0.2)


def test_attaching_it_changes_no_bit_of_a_run_with_batch_norm(tmp_path):
    rng = np.random.default_rng(0)
    parts = [Split(rng.random((n, 6), dtype=np.float32), rng.integers(0, 3, n).astype(np.int32)) for n in (32, 8, 8)]
    dataset = Dataset("noise", "classification", *parts, 3, "abc", "made here")
    weights = []
    for attached in (False, True):
        task = tasks.classification(models.build("normalised_mlp", (6,), 3, seed=0, hidden=(5,)))
        estimator = Backpropagation()
        boards = [TensorBoard(tmp_path, task, estimator, dataset.train)] if attached else []
        adam = keras.optimizers.Adam(0.01)
        training.train(task, estimator, adam, dataset, epochs=2, batch_size=16, seed=0, callbacks=boards)
        weights.append(task.network.get_weights())
    for without, attached in zip(*weights, strict=True):
        np.testing.assert_array_equal(without, attached)
