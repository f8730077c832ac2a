"""Data sets: `load(name)` returns one, split into training, validation and test examples.

The same name gives the same examples in the same order, on every machine and for every preparation of the files. The
content is compared with a checksum, and every random split has its own fixed seed.
"""

import dataclasses
import functools
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common.checks import nearest
from common.data.boston_housing import read_boston_housing
from common.data.mnist_files import DataUnavailable, read_images
from common.user_paths import located

__all__ = ["SPECIFICATIONS", "DataUnavailable", "Dataset", "Specification", "Split", "load"]


@dataclass(frozen=True, repr=False)
class Split:
    """Examples and their labels or targets.

    Args:
        x: (examples, ...) float32; images in [0, 1], features in their units or standardized.
        y: (examples,) int32 class labels, or (examples, 1) float32 targets.
    """

    x: np.ndarray
    y: np.ndarray

    def __len__(self) -> int:
        return len(self.x)

    def __repr__(self) -> str:
        return f"<Split: {len(self):,} examples, x {self.x.shape} {self.x.dtype}, y {self.y.shape} {self.y.dtype}>"


@dataclass(frozen=True, repr=False)
class Dataset:
    """A data set in three parts.

    Args:
        name: a key of `SPECIFICATIONS`.
        kind: "classification" or "regression".
        train: the training examples.
        validation: the examples for selection (may be empty).
        test: the examples that are looked at once, at the end.
        classes: number of classes; None for regression.
        checksum: SHA-256 of the whole content as published, before scaling and splitting.
        source: one line that states the origin of the content.
    """

    name: str
    kind: str
    train: Split
    validation: Split
    test: Split
    classes: int | None
    checksum: str
    source: str

    def __repr__(self) -> str:
        return f"<{self}>"

    def __str__(self) -> str:
        splits = {"training": self.train, "validation": self.validation, "test": self.test}
        sizes = ", ".join(f"{len(split):,} {name}" for name, split in splits.items())
        shape = self.train.x.shape[1:]
        return f"{self.name}: {sizes} examples of shape {shape}, content {self.checksum[:12]}"

    def named(self, name: str) -> "Dataset":
        """Return the same data under another name, such as one that describes how they were made."""
        return dataclasses.replace(self, name=name)

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the data for training and evaluation: all splits, as stored here, in their order."""
        digest = hashlib.sha256()
        for split in (self.train, self.validation, self.test):
            for part in (split.x, split.y):
                digest.update(f"{part.shape} {part.dtype}".encode())
                digest.update(np.ascontiguousarray(part).data)
        return digest.hexdigest()


@dataclass(frozen=True)
class Specification:
    """The facts about a data set that are known before it is loaded.

    Args:
        kind: "classification" or "regression".
        input_shape: shape of one example.
        classes: number of classes; None for regression.
        examples: number of training and validation examples together.
        test_examples: number of test examples.
        default_validation: default number of validation examples among `examples`.
        checksum: SHA-256 that the content must have; None: only the publisher's MD5 is known.
    """

    kind: str
    input_shape: tuple[int, ...]
    classes: int | None
    examples: int
    test_examples: int
    default_validation: int
    checksum: str | None


_DIGIT_LIKE = ("classification", (28, 28, 1), 10)
SPECIFICATIONS = {
    "digits": Specification(
        *_DIGIT_LIKE, 1437, 360, 180, "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"
    ),
    "mnist": Specification(
        *_DIGIT_LIKE, 60_000, 10_000, 5_000, "06b0d1f124c4e5fa796686ade41a9b778edacc8622f2195a352ef479ad44fc16"
    ),
    "fashion_mnist": Specification(*_DIGIT_LIKE, 60_000, 10_000, 5_000, None),
    "diabetes": Specification(
        "regression", (10,), None, 354, 88, 44, "e9c1f7559552854a24dc45b41c446ce5f79f96e5da081bcce24b57492720b3f7"
    ),
    "boston_housing": Specification(
        "regression", (13,), None, 404, 102, 40, "fb857230bbf9da3f6d5e8b3168436d67746c312a27428f92bcb4e69690f483d4"
    ),
}


class _Content(NamedTuple):
    """A whole data set before the validation split; uint8 images are not yet scaled."""

    train_x: np.ndarray
    train_y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray
    checksum: str
    source: str


def load(
    name: str,
    validation: int | None = None,
    *,
    standardize: bool = False,
    data_dir: str | os.PathLike | None = None,
    seed: int = 0,
) -> Dataset:
    """Load a data set, with a validation part split off its training part.

    ============== ==================== ================= ============================ ========= =======
    name           x: (n, ...) float32  y                 train / validation / test    checksum  source
    ============== ==================== ================= ============================ ========= =======
    digits         28, 28, 1 in [0, 1]  (n,) int32, 0..9   1,257 /   180 /    360      87ff0c9e… [1]
    mnist          28, 28, 1 in [0, 1]  (n,) int32, 0..9  55,000 / 5,000 / 10,000      06b0d1f1… [2]
    fashion_mnist  28, 28, 1 in [0, 1]  (n,) int32, 0..9  55,000 / 5,000 / 10,000      MD5       [3]
    diabetes       10 in [1, 301]       (n, 1) float32       310 /    44 /     88      e9c1f755… [4]
    boston_housing 13 in [0, 711]       (n, 1) float32       364 /    40 /    102      fb857230… [5]
    ============== ==================== ================= ============================ ========= =======

    Targets: diabetes 25 to 346 (disease progression), boston_housing 5 to 50 (thousand dollars). The checksum is the
    start of the content's SHA-256. MNIST and Fashion-MNIST must also match the MD5 of the publishers' four files. They
    are therefore complete and in the published order (first training labels of MNIST: 5 0 4 1 9 2 1 3 1 4).

    [1] scikit-learn's 8x8 digits (UCI, optical recognition of handwritten digits, CC BY 4.0): levels 0..16 divided by
    16, enlarged bilinearly. [2] LeCun, Cortes, Burges (CC BY-SA 3.0). [3] Xiao, Rasul, Vollgraf, arXiv 1708.07747
    (MIT). [4] Efron et al., Least angle regression, 2004, in scikit-learn (no licence stated). [5] Harrison and
    Rubinfeld 1978, StatLib (no licence stated), Keras' split (seed 113). Its feature B describes towns by race. Use it
    to compare optimizers on a known curve, not for statements about houses.

    Args:
        name: a key of `SPECIFICATIONS`.
        validation: number of training examples that become validation examples, from 0 to all but one; None: as in the
            table.
        standardize: whether to shift and scale features to mean 0 and standard deviation 1 *in the training part*; not
            for images.
        data_dir: folder of prepared data sets and downloads; None: the environment variable TFDS_DATA_DIR, else
            ~/tensorflow_datasets.
        seed: the seed of the validation split, >= 0. It is not a run's seed: all runs share one split.

    Returns:
        The data set. The examples of each part are in the order of the file.

    Raises:
        ValueError: an argument is not allowed, or a file does not hold the published data.
        DataUnavailable: the data set is not on this machine and cannot be downloaded.

    Example:
        >>> digits = load("digits")
        >>> digits.train.x.shape, digits.classes
        ((1257, 28, 28, 1), 10)
    """
    specification = _specification(name)
    validation = _validation_size(name, specification, validation)
    _check_options(name, specification, standardize, seed)
    content = _LOADERS[name](name, specification, _data_folder(data_dir))
    train, held_out = _split_validation(content, validation, seed)
    parts = [train, held_out, Split(_as_float32(content.test_x, np.arange(len(content.test_x))), content.test_y)]
    if standardize:
        parts = _standardized(parts)
    return Dataset(name, specification.kind, *parts, specification.classes, content.checksum, content.source)


def folds(data: Dataset, count: int, *, standardize: bool = False, seed: int = 0) -> list[Dataset]:
    """Divide the training and validation examples for cross-validation.

    Args:
        data: a data set, with features as published.
        count: number of folds, from 2 to the number of examples.
        standardize: whether to shift and scale features to mean 0 and standard deviation 1 in each training part.
        seed: the seed of the random division, ≥ 0.

    Returns:
        One data set per fold: its validation examples are the fold, its training examples all others. The test
        examples are those of `data`.

    Raises:
        ValueError: there are fewer examples than folds, or fewer than two folds.
    """
    from sklearn.model_selection import KFold

    x, y = (np.concatenate([getattr(part, name) for part in (data.train, data.validation)]) for name in ("x", "y"))
    if not 2 <= count <= len(x):
        raise ValueError(f"count must be a number of folds between 2 and the {len(x):,} examples, got {count!r}")
    divided = []
    for number, parts in enumerate(KFold(count, shuffle=True, random_state=seed).split(x), 1):
        splits = [*(Split(x[rows], y[rows]) for rows in parts), data.test]
        splits = _standardized(splits) if standardize else splits
        named = {"train": splits[0], "validation": splits[1], "test": splits[2]}
        divided.append(dataclasses.replace(data, name=f"{data.name}, fold {number} of {count}", **named))
    return divided


def _specification(name: str) -> Specification:
    if isinstance(name, str) and name in SPECIFICATIONS:
        return SPECIFICATIONS[name]
    hint = nearest(name, SPECIFICATIONS)
    raise ValueError(f"There is no data set {name!r}: the names are {', '.join(SPECIFICATIONS)}{hint}")


def _validation_size(name: str, specification: Specification, validation: int | None) -> int:
    if validation is None:
        return specification.default_validation
    largest = specification.examples - 1
    if isinstance(validation, bool) or not isinstance(validation, int | np.integer) or not 0 <= validation <= largest:
        raise ValueError(
            f"validation must be a whole number of examples between 0 and {largest} for {name!r}, got {validation!r}"
        )
    return int(validation)


def _check_options(name: str, specification: Specification, standardize: bool, seed: int) -> None:
    if not isinstance(standardize, bool):
        raise ValueError(f"standardize must be True or False, got {standardize!r}")
    if standardize and specification.kind != "regression":
        raise ValueError(
            f"standardize=True is for features (diabetes, boston_housing): the images of {name!r} are in [0, 1] already"
        )
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"seed must be a whole number >= 0, got {seed!r}")


def _data_folder(data_dir: str | os.PathLike | None) -> Path:
    """Return the folder that tensorflow-datasets would use; one that exists only in this repository is meant, too."""
    named = data_dir or os.environ.get("TFDS_DATA_DIR")
    try:
        return located(named or "~/tensorflow_datasets")
    except ValueError as error:
        where = "data_dir" if data_dir else "TFDS_DATA_DIR"
        raise ValueError(f"{error}; set {where} to the folder of data sets") from None


def _split_validation(content: _Content, validation: int, seed: int) -> tuple[Split, Split]:
    """Move `validation` random examples out of the training part; both parts keep the order of the file."""
    examples = len(content.train_x)
    held_out = np.zeros(examples, bool)
    held_out[np.random.default_rng(seed).permutation(examples)[:validation]] = True
    chosen = (np.flatnonzero(~held_out), np.flatnonzero(held_out))
    return tuple(Split(_as_float32(content.train_x, rows), content.train_y[rows]) for rows in chosen)


def _as_float32(x: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Take some rows, and scale uint8 images to [0, 1]."""
    if x.dtype != np.uint8:
        return x[rows]
    scaled = np.empty((len(rows), *x.shape[1:]), np.float32)
    # Block by block: touching fresh memory is what costs time here, so the result is the only large new array.
    for start in range(0, len(rows), 1000):
        block = slice(start, start + 1000)
        np.divide(x[rows[block]], np.float32(255), out=scaled[block], dtype=np.float32)
    return scaled


def _standardized(parts: list[Split]) -> list[Split]:
    """Subtract the mean and divide by the standard deviation of the training part's features."""
    mean = parts[0].x.mean(axis=0, dtype=np.float64)
    deviation = parts[0].x.std(axis=0, dtype=np.float64)
    deviation[deviation == 0] = 1  # a feature that never varies in the training part becomes 0, not nan
    return [Split(((part.x - mean) / deviation).astype(np.float32), part.y) for part in parts]


def _checked_sha256(what: str, expected: str | None, *arrays: np.ndarray) -> str:
    sha256 = hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()
    if expected not in (None, sha256):
        raise ValueError(f"{what} does not hold the published data: its SHA-256 is {sha256}, expected {expected}")
    return sha256


def _hold_out_test(x: np.ndarray, y: np.ndarray, test_examples: int) -> tuple[np.ndarray, ...]:
    """Split off the test examples, which do not depend on the seed of the validation split."""
    is_test = np.zeros(len(x), bool)
    is_test[np.random.default_rng(0).permutation(len(x))[:test_examples]] = True
    return x[~is_test], y[~is_test], x[is_test], y[is_test]


def _digits(name: str, specification: Specification, folder: Path) -> _Content:  # noqa: ARG001 - the signature of _LOADERS
    """Return scikit-learn's 8x8 digits, enlarged bilinearly by 3.5 around the centres of the source pixels."""
    from scipy.ndimage import zoom
    from sklearn.datasets import load_digits

    digits = load_digits()
    levels, labels = digits.images.astype(np.uint8), digits.target.astype(np.uint8)  # levels 0..16
    checksum = _checked_sha256("scikit-learn's digits", specification.checksum, levels, labels)
    small = levels.astype(np.float32) / np.float32(16)
    large = zoom(small, (1, 3.5, 3.5), order=1, mode="nearest", grid_mode=True)
    x = np.clip(large, 0, 1)[..., np.newaxis]
    parts = _hold_out_test(x, labels.astype(np.int32), specification.test_examples)
    return _Content(*parts, checksum, "scikit-learn load_digits, enlarged to 28x28")


def _images(name: str, specification: Specification, folder: Path) -> _Content:
    train_x, train_y, test_x, test_y, checksum, version = read_images(
        name, folder, specification.examples, specification.test_examples, specification.checksum
    )
    train_y, test_y = train_y.astype(np.int32), test_y.astype(np.int32)
    return _Content(train_x, train_y, test_x, test_y, checksum, f"tensorflow-datasets {name} {version}")


def _diabetes(name: str, specification: Specification, folder: Path) -> _Content:  # noqa: ARG001 - the signature of _LOADERS
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True, scaled=False)
    checksum = _checked_sha256("scikit-learn's diabetes", specification.checksum, x.astype("<f8"), y.astype("<f8"))
    parts = _hold_out_test(x.astype(np.float32), y.astype(np.float32)[:, np.newaxis], specification.test_examples)
    return _Content(*parts, checksum, "scikit-learn load_diabetes, unscaled")


def _boston_housing(name: str, specification: Specification, folder: Path) -> _Content:  # noqa: ARG001 - the signature of _LOADERS
    x, y, checksum, source = read_boston_housing(folder, specification.checksum)
    x, y = x.astype(np.float32), y.astype(np.float32)[:, np.newaxis]
    n = specification.examples
    return _Content(x[:n], y[:n], x[n:], y[n:], checksum, source)


_LOADERS: dict[str, Callable[[str, Specification, Path], _Content]] = {
    "digits": _digits,
    "mnist": _images,
    "fashion_mnist": _images,
    "diabetes": _diabetes,
    "boston_housing": _boston_housing,
}
