"""Helpers that every notebook imports: data, tasks, gradient estimators, the training loop, results and plots.

Importing this package imports none of its modules, so that a parameter check or a plot never waits for TensorFlow.
"""

import os

# TensorFlow's C++ start-up messages would land in every stored notebook; errors still show.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
