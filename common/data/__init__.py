"""Data sets: `load(name)` gives a `Dataset` of three `Split`s. Real data, inside installed packages or through tfds."""

from common.data.load import SPECIFICATIONS, Dataset, Specification, Split, load
from common.data.mnist_files import DataUnavailable

__all__ = ["SPECIFICATIONS", "DataUnavailable", "Dataset", "Specification", "Split", "load"]


def __dir__() -> list[str]:
    return __all__
