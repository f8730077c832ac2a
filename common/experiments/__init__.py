"""One folder per notebook: its allowed parameters, its figures and its tables.

A notebook's second code cell calls `check`. It sees every name that the parameter cells defined, including the cell
that papermill injects. A misspelt `papermill -p learning_rat 0.1`, for which papermill only warns, thus ends the run
before TensorFlow starts.
"""

from common.experiments.parameters import NOTEBOOKS, ParameterError, check, validate

__all__ = ["NOTEBOOKS", "ParameterError", "check", "validate"]


def __dir__() -> list[str]:
    return __all__
