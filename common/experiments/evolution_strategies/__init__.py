"""Notebook 04_evolution_strategies: its parameters, figures and table."""
