"""Trains saddle-free Newton on a tenth of MNIST's size, for a memory measurement: rank 40 on whole minibatches."""

import keras

from benchmarks.baseline import images
from benchmarks.curvature import BATCH, RANK
from common import training
from common.estimators.backpropagation import Backpropagation
from common.estimators.newton.saddle_free_newton import SaddleFreeNewton
from common.tasks import networks
from common.tasks import task as tasks

if __name__ == "__main__":
    task = tasks.classification(networks.build("leaky_convnet", (28, 28, 1), 10, seed=0))
    estimator = SaddleFreeNewton(Backpropagation(), RANK, hessian_batch=BATCH)
    training.one_epoch(task, estimator, keras.optimizers.SGD(0.05), images(6_400), batch_size=BATCH, seed=0)()
