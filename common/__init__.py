"""What every notebook imports: data, tasks, curvature, estimators, optimizers, the loop, diagnostics, results, plots.

Importing this package imports none of its modules, so that a parameter check or a plot never waits for TensorFlow.
"""

import os

# TensorFlow's C++ start-up messages would land in every stored notebook. 3 hides errors of that layer too (a machine
# without a GPU reports one at every start); whoever sets up a GPU sets the variable to 0 and reads them.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
