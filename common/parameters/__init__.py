"""What each notebook's parameters may be; a wrong one is refused before TensorFlow starts.

A notebook's second code cell calls `check`. It sees every name that the parameter cells defined, the one that papermill
injects included, so that a misspelt `papermill -p learning_rat 0.1`, which papermill only warns about, ends the run.
One module per notebook says what is allowed.
"""

from common.parameters.checking import NOTEBOOKS, ParameterError, check, validate

__all__ = ["NOTEBOOKS", "ParameterError", "check", "validate"]
