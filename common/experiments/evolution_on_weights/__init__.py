"""Notebook 07_evolution_on_weights: its parameters, figures and table."""
