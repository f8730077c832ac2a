"""Notebook 08_comparison: its sources of a direction, parameters, figures and tables."""
