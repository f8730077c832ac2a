"""What the loop costs beside its alternatives: `python -m benchmarks`, or `make benchmark`."""
