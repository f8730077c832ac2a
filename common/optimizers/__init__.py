"""Optimizers from their formulas: one method, one file, each a Keras optimizer. Read `gradient_descent.py` first.

An optimizer gets a gradient g (it points uphill) and changes the weights w; all state is in tensors u, m, v of the
shape of w, created in `build`. What all have in common, norm clipping above all, is what Keras' base class offers:

    clipnorm c:   g ← g · min(1, c / ‖g‖)   for each variable by itself, before `update_step` sees it

Sparse gradients (of an embedding) are made dense first: rows without a gradient have the gradient zero, so that
momentum and moments move them as the formula says.
"""
