import pytest

from common.experiments.synthetic_gradients import critical_path


def _brute_force(layers, hidden_layers):
    """The longest path through the graph of products, by recursion over what each one needs."""

    def forward(layer):
        return 0 if layer == 0 else 1 + forward(layer - 1)

    def predicted(layer):
        return forward(layer) + hidden_layers + 1

    def error(layer):
        """Longest chain to the gradient at a layer's output."""
        if layer == layers:
            return forward(layer)
        return 1 + error(layer + 1) if hidden_layers is None else predicted(layer)

    return [1 + error(layer) for layer in range(1, layers + 1)]


@pytest.mark.parametrize("layers", [1, 2, 3, 7, 20])
@pytest.mark.parametrize("hidden_layers", [None, 0, 1, 2])
def test_chains_are_the_longest_paths_of_the_graph(layers, hidden_layers):
    expected = _brute_force(layers, hidden_layers)
    assert [critical_path.chain(layer, layers, hidden_layers) for layer in range(1, layers + 1)] == expected
    assert critical_path.critical_path(layers, hidden_layers) == max(expected)


@pytest.mark.parametrize("layers", range(3, 21))
def test_backpropagation_doubles_what_synthetic_gradients_add_one_to(layers):
    assert critical_path.critical_path(layers, None) == 2 * layers
    assert critical_path.critical_path(layers, 0) == layers + 1
    assert critical_path.longest_wait(layers, None) == 2 * layers - 1
    assert critical_path.longest_wait(layers, 2) == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((0, 3, None), "layer must be from 1 to 3, got 0"),
        ((4, 3, 0), "layer must be from 1 to 3, got 4"),
        ((1, 2, -1), "hidden_layers must be ≥ 0 or None, got -1"),
    ],
)
def test_impossible_layers_are_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        critical_path.chain(*arguments)
