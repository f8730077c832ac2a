"""Boston housing in Keras' order: the first 404 of 506 examples are the training part, the other 102 the test part."""

import hashlib
import socket
from pathlib import Path

import numpy as np

from common.data.mnist_files import DataUnavailable, quiet

FILE_NAME = "boston_housing.csv"


def read_boston_housing(data_dir: Path, checksum: str | None) -> tuple[np.ndarray, np.ndarray, str, str]:
    """Read the table from `boston_housing.csv` in the data folder, or else through Keras.

    Args:
        data_dir: the data folder.
        checksum: SHA-256 that the file's content must have, if known.

    Returns:
        Features (506, 13) float64, targets (506,) float64 in thousand dollars, SHA-256 of both, and the source.

    Raises:
        DataUnavailable: there is no file, and Keras could not download it.
        ValueError: the file does not hold the published data.
    """
    file = data_dir / FILE_NAME
    from_file = file.is_file()
    x, y = _from_file(file) if from_file else _from_keras(data_dir)
    sha256 = hashlib.sha256(x.tobytes() + y.tobytes()).hexdigest()
    # Keras compares its own file's checksum itself.
    if from_file and checksum not in (None, sha256):
        raise ValueError(f"{file} does not hold the published data: its SHA-256 is {sha256}, expected {checksum}")
    return x, y, sha256, f"{FILE_NAME}, Keras' split" if from_file else "keras.datasets.boston_housing"


def _from_file(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read the table (13 features, then the target) and shuffle it as Keras does (seed 113)."""
    try:
        table = np.loadtxt(file, dtype="<f8", delimiter=",", skiprows=1, quotechar='"', ndmin=2)
    except ValueError as error:
        raise ValueError(f"{file} is not a table of numbers below one header line: {error}") from None
    if table.shape != (506, 14):
        raise ValueError(f"{file} must hold 506 rows of 13 features and the target, got {table.shape}")
    order = np.arange(len(table))
    np.random.RandomState(113).shuffle(order)  # as in keras.datasets.boston_housing.load_data
    return np.ascontiguousarray(table[order, :13]), np.ascontiguousarray(table[order, 13])


def _from_keras(data_dir: Path) -> tuple[np.ndarray, np.ndarray]:
    time_limit = socket.getdefaulttimeout()
    socket.setdefaulttimeout(20)  # seconds; Keras itself waits for a silent network without a limit
    try:
        with quiet():
            from keras.datasets import boston_housing

            (train_x, train_y), (test_x, test_y) = boston_housing.load_data()
    except Exception as error:
        raise DataUnavailable.of("boston_housing", data_dir, f"the file {FILE_NAME}", error) from None
    finally:
        socket.setdefaulttimeout(time_limit)
    return np.concatenate([train_x, test_x]).astype("<f8"), np.concatenate([train_y, test_y]).astype("<f8")
