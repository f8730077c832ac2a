"""Figures and tables at final print size, drawn from stored results only: no module here needs TensorFlow.

`python -m common.plotting 01_baseline_sgd --results results/quick --figures figures/quick` redraws an experiment;
a notebook says `from common.plotting import baseline_sgd`. Importing this package alone imports no matplotlib.
"""

# One line per experiment; its module has FIGURES and TABLES, by file name: functions from the frame to what is drawn.
EXPERIMENTS = {
    "01_baseline_sgd": "common.plotting.baseline_sgd",
    "02_noisy_gradients": "common.plotting.noisy_gradients",
    "03_optimizers_from_scratch": "common.plotting.optimizers",
    "04_evolution_strategies": "common.plotting.evolution_strategies",
    "06_synthetic_gradients": "common.plotting.synthetic_gradients",
}
