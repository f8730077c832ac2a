"""Notebook 02_noisy_gradients: its parameters, figures and tables."""
