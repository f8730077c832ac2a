"""Figures and tables at final print size, drawn from stored results only: no module here needs TensorFlow.

`python -m common.experiments 01_baseline_sgd --results results/quick --figures figures/quick` redraws an experiment;
a notebook says `from common.experiments.baseline_sgd import figures`. Importing this package imports no matplotlib.

Every figure is made by a function of one frame: that of `results.read`, in a notebook of `results.combine`, with rows
of one experiment on one data set, network and precision, several settings and seeds. It returns the figure, which the
last line of a notebook's cell shows, and raises NothingToDraw when the frame holds nothing of what the figure shows, or
ValueError when the frame mixes data sets, networks or precisions, or holds a seed twice.
"""
