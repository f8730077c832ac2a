"""Noise on a gradient, and what fights it: channels, sketches, public gradients."""
