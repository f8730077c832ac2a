"""Figures and tables at final print size, drawn from stored results only: no module here needs TensorFlow.

`python -m common.experiments 01_baseline_sgd --results results/quick --figures figures/quick` redraws an experiment;
a notebook uses `from common.experiments.baseline_sgd import figures`. Importing this package imports no matplotlib.

A function of one frame makes each figure. The frame comes from `results.read`, or from `results.combine` in a notebook.
Its rows belong to one experiment on one data set, network and precision, with several settings and seeds. The function
returns the figure, which the last line of a notebook's cell shows. It raises NothingToDraw if the frame has no data for
the figure. It raises ValueError if the frame mixes data sets, networks or precisions, or has a seed twice.
"""
