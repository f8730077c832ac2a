"""Data sets: `load(name)` returns a `Dataset` of three `Split`s, from installed packages or tensorflow-datasets."""

from common.data.load import SPECIFICATIONS, Dataset, Specification, Split, folds, load
from common.data.mnist_files import DataUnavailable

__all__ = ["SPECIFICATIONS", "DataUnavailable", "Dataset", "Specification", "Split", "folds", "load"]


def __dir__() -> list[str]:
    return __all__
