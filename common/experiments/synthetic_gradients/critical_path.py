"""Waiting times of layers: chains of matrix products, each of which needs the result of the previous one.

In a network of L layers of one product each, the forward pass to layer l takes l products. Backpropagation continues to
the top, comes back in L - l products, and ends with the product for the weight gradient. A layer with a predictor at
its output needs the predictor's d + 1 products, then its own weight gradient, and no other layer's. (A predictor of
feature maps takes at least two products for its features of the whole map; only fully connected networks are counted.)
Chains end with a layer's update. The predictors' own training is not counted, since no layer waits for it within a
step.

    backpropagation: l + (L - l) + (L - l) + 1          synthetic gradients: l + (d + 1) + 1,  L + 1 for the last layer
"""

from __future__ import annotations

from common.checks import require


def chain(layer: int, layers: int, hidden_layers: int | None) -> int:
    """Count the longest chain of dependent products from the input to the update of one layer.

    Args:
        layer: l, from 1 to `layers`.
        layers: L ≥ 1.
        hidden_layers: d ≥ 0 of each predictor; None: backpropagation.

    Raises:
        ValueError: a value is out of range.
    """
    return layer + wait(layer, layers, hidden_layers)


def wait(layer: int, layers: int, hidden_layers: int | None) -> int:
    """Count the part of `chain` after the layer's own forward pass, while the layer is locked."""
    require(layers >= 1, "layers", "≥ 1", layers)
    require(1 <= layer <= layers, "layer", f"from 1 to {layers}", layer)
    require(hidden_layers is None or hidden_layers >= 0, "hidden_layers", "≥ 0 or None", hidden_layers)
    above = layers - layer
    if hidden_layers is None or above == 0:
        return 2 * above + 1
    return hidden_layers + 2


def critical_path(layers: int, hidden_layers: int | None) -> int:
    """Return the longest `chain` of all layers: 2L by backpropagation, L + d + 1 with synthetic gradients (L ≥ 2)."""
    return max(chain(layer, layers, hidden_layers) for layer in range(1, layers + 1))


def longest_wait(layers: int, hidden_layers: int | None) -> int:
    """Return the longest `wait` of all layers: 2L - 1 by backpropagation, d + 2 with synthetic gradients (L ≥ 2)."""
    return max(wait(layer, layers, hidden_layers) for layer in range(1, layers + 1))
