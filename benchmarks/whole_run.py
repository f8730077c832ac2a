"""A run of MNIST's size in a separate process, for a measurement of its peak memory."""

import keras

from benchmarks import baseline
from common import training
from common.data import Dataset
from common.estimators.backpropagation import Backpropagation
from common.tasks import networks
from common.tasks import task as tasks

if __name__ == "__main__":
    parts = baseline.images(55_000), baseline.images(5_000), baseline.images(10_000)
    dataset = Dataset("random images", "classification", *parts, 10, "", "made here")
    task = tasks.classification(networks.build("mnist_convnet", (28, 28, 1), 10, seed=0))
    optimizer = keras.optimizers.SGD(baseline.LEARNING_RATE)
    training.train(task, Backpropagation(), optimizer, dataset, epochs=1, batch_size=baseline.BATCH, seed=0)
