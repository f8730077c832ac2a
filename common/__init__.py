"""What every notebook imports: data, tasks, curvature, estimators, optimizers, the loop, diagnostics, results, plots.

Importing this package imports none of its modules but one, which imports nothing but Python's own, so that a parameter
check or a plot never waits for TensorFlow.
"""

from common import user_settings

user_settings.state()
