"""The package of all notebooks: data, tasks, curvature, estimators, optimizers, the loop, diagnostics, results, plots.

Importing this package imports only one of its modules, which imports only the standard library. A parameter check or a
plot therefore never waits for TensorFlow.
"""

from common import user_settings

user_settings.state()
