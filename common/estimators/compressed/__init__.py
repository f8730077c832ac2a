"""Gradients in fewer bytes: signs, few levels, few coordinates, low rank. Lost parts may be sent later."""
