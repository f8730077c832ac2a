"""Noise on a gradient and remedies against it: channels, sketches, public gradients."""
