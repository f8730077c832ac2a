"""Newton directions: the gradient divided by curvature."""
