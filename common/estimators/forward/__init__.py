"""Forward gradients: directional derivatives along random tangents, from forward passes only."""
