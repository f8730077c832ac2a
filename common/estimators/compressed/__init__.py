"""Gradients in fewer bytes: signs, few levels, few coordinates, low rank; what is lost may be sent later."""
