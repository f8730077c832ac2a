"""Notebook 06_synthetic_gradients: its parameters, figures and tables."""
