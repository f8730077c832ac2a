"""Every gradient estimator, by name: one line more and all the shared tests run over it."""

from common.estimators.backpropagation import Backpropagation

ESTIMATORS = {
    "backpropagation": Backpropagation,
}
