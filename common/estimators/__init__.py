"""Gradient estimators: one method, one file. Read `estimator.py` first."""
