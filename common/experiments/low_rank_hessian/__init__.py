"""Notebook 05_low_rank_hessian: its parameters, figures and tables."""
