"""Notebook 01_baseline_sgd: its parameters, figures and tables."""
