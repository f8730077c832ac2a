"""Notebook 00_one_direction: its parameters, figures and tables."""
