"""Feedback other than the transposed weights: the error reaches each module on a way of its own."""
