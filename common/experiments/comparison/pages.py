"""Tables of the ledger's stored results for pages, as Markdown; see `common.plotting.markdown`."""

from collections.abc import Sequence

from common.experiments.comparison import figures
from common.plotting.markdown import as_markdown, stored

# A few of each family, from the exact gradient to two evaluations.
_ROWS = (
    *("backpropagation", "Gauss-Newton pairs", "local losses", "rank 2", "right or wrong, 200 samples"),
    *("direct feedback alignment", "noise, σ 0.1", "evolution, a layer at a time", "SPSA"),
)
_COLUMNS = ("Error (%)", "Difference [95 %]", "Verdict", "Arithm.", "Seconds", "kB sent", "n")


def show_ledger(variant: str) -> None:
    """Print the whole table of a variant of the preset, such as "mnist_mlp"."""
    print(as_markdown(figures.table(stored("08_comparison", variant))))


def show_rows(variant: str, sources: Sequence[str] = _ROWS) -> None:
    """Print some rows of that table, with its main columns."""
    ledger = figures.table(stored("08_comparison", variant)).set_index("Source")
    print(as_markdown(ledger.loc[list(sources), list(_COLUMNS)].reset_index()))


def show_directions(variant: str) -> None:
    """Print the quality of each direction at the weights of backpropagation's run."""
    print(as_markdown(figures.directions_table(stored("08_comparison", variant))))
