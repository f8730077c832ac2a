"""The subject of a figure: names of data set and network, and the part whose error it shows."""

import pandas as pd

from common.plotting.curves import require_single, with_errors

DATASETS = {
    "mnist": "MNIST",
    "fashion_mnist": "Fashion-MNIST",
    "digits": "scikit-learn's digits",
    "diabetes": "scikit-learn's diabetes",
    "boston_housing": "Boston housing",
}

NETWORKS = {
    "mlp": "MLP",
    "normalised_mlp": "MLP with batch norm",
    "mnist_convnet": "convnet",
    "lenet5": "LeNet-5",
    "leaky_convnet": "leaky convnet",
    "tiny_convnet": "tiny convnet",
    "normalised_convnet_3": "convnet of 3 layers with batch norm",
    "normalised_convnet_4": "convnet of 4 layers with batch norm",
}


def prepared(frame: pd.DataFrame, *, several_networks: bool = False, sizes_by: str = "") -> pd.DataFrame:
    """Check that a frame has one subject, and add the errors, see `with_errors`.

    Args:
        frame: a tidy frame.
        several_networks: whether the figure compares networks.
        sizes_by: the column of groups that may have training splits of different sizes; empty: all have one size.

    Raises:
        ValueError: the frame mixes data sets, networks, precisions or sizes of the training split.
    """
    require_single(frame, ["dataset", *([] if several_networks else ["network"]), "precision"])
    for _, rows in frame.groupby(sizes_by, dropna=False) if sizes_by else [("", frame)]:
        require_single(rows, ["train_examples"])
    return with_errors(frame)


def part(frame: pd.DataFrame) -> str:
    """Return the part whose error guides choices: "validation", or "train" if no data are held out."""
    return "train" if frame["validation_error"].isna().all() else "validation"


def dataset(frame: pd.DataFrame) -> str:
    """Return the data set's name for a caption, e.g. "Boston housing"."""
    first = frame["dataset"].iloc[0]
    return DATASETS.get(first, first)


def name(frame: pd.DataFrame) -> str:
    """Return the names of data set and networks for a caption, e.g. "MNIST (LeNet-5)"."""
    return f"{dataset(frame)} ({', '.join(map(network, frame['network'].drop_duplicates()))})"


def network(code: str) -> str:
    """Return a network's name in words, e.g. "LeNet-5"; a network that is not listed keeps its name in the code."""
    return NETWORKS.get(code, code)
