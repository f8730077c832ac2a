"""Feedback other than the transposed weights: the error reaches each module by another path."""
