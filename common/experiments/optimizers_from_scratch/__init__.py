"""Notebook 03_optimizers_from_scratch: its parameters, figures and tables."""
