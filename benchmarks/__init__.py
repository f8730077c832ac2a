"""Benchmarks of the loop against its alternatives: `python -m benchmarks`, or `make benchmark`."""
