"""Decoupled modules: layers that do not wait for the layers above them."""
