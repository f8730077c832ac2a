"""One folder for each notebook: what its parameters may be, its figures and tables.

A notebook's second code cell calls `check`. It sees every name that the parameter cells defined, the one that papermill
injects included, so that a misspelt `papermill -p learning_rat 0.1`, which papermill only warns about, ends the run
before TensorFlow starts.
"""

from common.experiments.parameters import NOTEBOOKS, ParameterError, check, validate

__all__ = ["NOTEBOOKS", "ParameterError", "check", "validate"]


def __dir__() -> list[str]:
    return __all__
