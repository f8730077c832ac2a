"""MNIST and Fashion-MNIST from tensorflow-datasets, decoded once and then read from a cache file.

Decoding 70,000 PNG images needs TensorFlow and takes seconds. The decoded arrays are therefore kept beside the prepared
data, in one uncompressed file: 32 bytes of SHA-256, then the training images, training labels, test images and test
labels as uint8. The layout is fixed, so the checksum is compared before any content of the file is used.

tensorflow-datasets stores the examples sorted by a hash of their number. That order is undone. The result is the
content of the publishers' own four files, in their order, and can be compared with their known checksums.
"""

import contextlib
import hashlib
import io
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common.atomic import replacing

IMAGE_SHAPE = (28, 28, 1)
CACHE_NAME = "decoded_uint8.bin"

# MD5 of the publishers' four uncompressed files: train-images-idx3-ubyte, train-labels-idx1-ubyte, then t10k-…
PUBLISHED_MD5 = {
    "mnist": (
        "6bbc9ace898e44ae57da46a324031adb",
        "a25bea736e30d166cdddb491f175f624",
        "2646ac647ad5339dbf082846283269ea",
        "27ae3e4e09519cfbb04c329615203637",
    ),
    "fashion_mnist": (
        "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "9018921c3c673c538a1fc5bad174d6f9",
        "8181f5470baa50b63fa0f6fddb340f0a",
        "15d484375f8d13e6eb1aabb0c3f46965",
    ),
}
_INFO = "dataset_info.json"
_DESCRIPTION = (_INFO, "features.json")  # without them tensorflow-datasets can't read a folder, and says something else
_KEYS = ("image", "label")
_PARTS = ("training images", "training labels", "test images", "test labels")


class DataUnavailable(OSError):  # noqa: N818 - the sentence matters more than a suffix
    """The data set is not on this machine and could not be downloaded."""

    @classmethod
    def of(cls, name: str, folder: Path, what: str, error: Exception) -> "DataUnavailable":
        """Make the error, with one sentence on what is missing, where, why, and what to do."""
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        return cls(
            f"The data set {name!r} is not in {folder} and could not be downloaded ({reason}): run again with a "
            f"network connection, or put {what} into that folder, or set TFDS_DATA_DIR (or data_dir) to a folder "
            "that holds it; 'digits' works without any of this"
        )


class Images(NamedTuple):
    """Decoded images: (n, 28, 28, 1) uint8 and (n,) uint8 labels, their SHA-256, and the data's version."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    checksum: str
    version: str


def read_images(name: str, data_dir: Path, train: int, test: int, checksum: str | None) -> Images:
    """Read a prepared image data set from the cache if it is valid, else decode it (and download it if missing).

    Args:
        name: "mnist" or "fashion_mnist".
        data_dir: the folder of tensorflow-datasets.
        train: required number of training examples.
        test: required number of test examples.
        checksum: SHA-256 that the content must have, if known.

    Returns:
        The arrays, in the publishers' order.

    Raises:
        DataUnavailable: nothing is prepared in `data_dir` and the download failed, or the data there cannot be decoded.
        ValueError: the prepared data are not the published data set.
    """
    folder = _prepared_folder(data_dir, name)
    if folder is None:
        _refuse_half_prepared(data_dir, name)
        folder = _download(name, data_dir)
    sizes = (train, test)
    content = _read_cache(name, folder, sizes, checksum)
    if content is None:
        arrays = _decode(name, folder)
        _check_published(name, folder, arrays, sizes)
        content = _write_cache(name, folder, arrays)
    return Images(*_unpack(content[32:], sizes), content[:32].tobytes().hex(), folder.name)


def _prepared_folder(data_dir: Path, name: str) -> Path | None:
    """Return the folder of the newest prepared version."""
    versions = [file.parent for file in (data_dir / name).glob(f"*/{_INFO}")]
    return max(
        versions, key=lambda folder: [int(n) if n.isdigit() else -1 for n in folder.name.split(".")], default=None
    )


def _refuse_half_prepared(data_dir: Path, name: str) -> None:
    """Name the file that a copied folder lacks: a download beside it would be for nothing, or fail and not say why."""
    for folder in sorted((data_dir / name).glob("*")):
        if re.fullmatch(r"\d+\.\d+\.\d+", folder.name):
            _refuse_without_description(name, folder)


def _refuse_without_description(name: str, folder: Path) -> None:
    missing = [folder / file for file in _DESCRIPTION if not (folder / file).is_file()]
    if missing and any(folder.glob("*.tfrecord*")):
        raise DataUnavailable(
            f"The data set {name!r} in {folder} is not whole, because {missing[0]} is missing: copy it from where that "
            "folder comes from, or delete that folder and load again with a network connection"
        )


def _download(name: str, data_dir: Path) -> Path:
    from urllib.request import Request, urlopen

    try:
        with quiet():
            import tensorflow_datasets as tfds

            tfds.disable_progress_bar()
            builder = tfds.builder(name, data_dir=data_dir)
            # Asked first, with a time limit, because tensorflow-datasets waits for a silent network without one.
            urlopen(Request(builder.URL + "train-labels-idx1-ubyte.gz", method="HEAD"), timeout=10).close()
            builder.download_and_prepare()
    except Exception as error:
        raise DataUnavailable.of(name, data_dir, f"the prepared folder {name}/3.0.1", error) from None
    return Path(builder.data_dir)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress progress bars, messages and warnings of a library."""
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(action="ignore"),
    ):
        yield


def _decode(name: str, folder: Path) -> list[np.ndarray]:
    """Decode both parts, and undo the storage order of tensorflow-datasets."""
    _refuse_without_description(name, folder)
    arrays = []
    try:
        with quiet():
            import tensorflow_datasets as tfds

            builder = tfds.builder_from_directory(folder)
            for split in ("train", "test"):
                # In batches: all at once would hold several copies of everything.
                batches = list(tfds.as_numpy(builder.as_dataset(split=split, shuffle_files=False, batch_size=1000)))
                arrays += [np.concatenate([b[key] for b in batches], dtype=np.uint8, casting="unsafe") for key in _KEYS]
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise DataUnavailable(
            f"The data set {name!r} in {folder} cannot be decoded ({reason}): delete that folder and load again with "
            "a network connection, or use 'digits', which works without"
        ) from None
    return _in_published_order(name, arrays)


def _in_published_order(name: str, arrays: list[np.ndarray]) -> list[np.ndarray]:
    for first, split in ((0, "train"), (2, "test")):
        if _idx_md5(arrays[first + 1]) != PUBLISHED_MD5[name][first + 1]:
            order = _stored_order(split, len(arrays[first]))
            arrays[first : first + 2] = [_inverted(array, order) for array in arrays[first : first + 2]]
    return arrays


def _stored_order(split: str, examples: int) -> np.ndarray:
    """Return the published number of each stored example: tensorflow-datasets sorts by MD5(split + number)."""
    return np.array(
        sorted(range(examples), key=lambda number: hashlib.md5(f"{split}{number}".encode()).digest()), np.intp
    )


def _inverted(array: np.ndarray, order: np.ndarray) -> np.ndarray:
    restored = np.empty_like(array)
    restored[order] = array
    return restored


def _idx_md5(array: np.ndarray) -> str:
    """Return the MD5 of the array as an IDX file (yann.lecun.com/exdb/mnist): magic number, sizes, bytes."""
    shape = array.shape[:3]
    header = bytes([0, 0, 8, len(shape)]) + b"".join(size.to_bytes(4, "big") for size in shape)
    return hashlib.md5(header + array.tobytes()).hexdigest()


def _check_published(name: str, folder: Path, arrays: list[np.ndarray], sizes: tuple[int, int]) -> None:
    for part, array, size, published in zip(_PARTS, arrays, np.repeat(sizes, 2), PUBLISHED_MD5[name], strict=True):
        if len(array) != size:
            difference = f"it has {len(array):,} {part} instead of {size:,}"
        elif _idx_md5(array) != published:
            difference = f"its {part}, or their order, differ (MD5 {_idx_md5(array)} instead of {published})"
        else:
            continue
        raise ValueError(
            f"The data set {name!r} in {folder} is not the published one: {difference}; delete that folder to have it "
            "downloaded again"
        )


def _unpack(content: np.ndarray, sizes: tuple[int, int]) -> list[np.ndarray]:
    """Return views of the four arrays in the flat content."""
    arrays, start = [], 0
    for size in sizes:
        for shape in ((size, *IMAGE_SHAPE), (size,)):
            stop = start + int(np.prod(shape))
            arrays.append(content[start:stop].reshape(shape))
            start = stop
    return arrays


def _cache_files(name: str, folder: Path) -> list[Path]:
    """Return the cache file beside the data, and the one in the user's cache, for a folder that cannot be written."""
    from platformdirs import user_cache_path

    key = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    return [folder / CACHE_NAME, user_cache_path("gradient-estimators") / f"{name}-{folder.name}-{key}.bin"]


def _read_cache(name: str, folder: Path, sizes: tuple[int, int], checksum: str | None) -> np.ndarray | None:
    for file in _cache_files(name, folder):
        if not file.is_file():
            continue
        try:
            problem = _cache_problem(file, sizes, checksum)
        except OSError as error:
            problem = f"cannot be read ({error.strerror})"
        if problem is None:
            return np.memmap(file, np.uint8, "r")
        warnings.warn(f"The cache file {file} {problem}, so it is rebuilt from the prepared data", stacklevel=5)
    return None


def _cache_problem(file: Path, sizes: tuple[int, int], checksum: str | None) -> str | None:
    size, expected = file.stat().st_size, 32 + sum(sizes) * (int(np.prod(IMAGE_SHAPE)) + 1)
    if size != expected:
        return f"has {size:,} bytes instead of {expected:,}"
    content = np.memmap(file, np.uint8, "r")
    sha256 = hashlib.sha256(content[32:]).hexdigest()
    if content[:32].tobytes().hex() != sha256 or checksum not in (None, sha256):
        return "was altered (its SHA-256 is wrong)"
    return None


def _write_cache(name: str, folder: Path, arrays: list[np.ndarray]) -> np.ndarray:
    """Write the checksum, then the content, to the first path that can be written."""
    content = np.concatenate([np.zeros(32, np.uint8), *(array.ravel() for array in arrays)])
    content[:32] = np.frombuffer(hashlib.sha256(content[32:]).digest(), np.uint8)
    beside, in_user_cache = _cache_files(name, folder)
    for file in [beside, in_user_cache] if _may_write(folder) else [in_user_cache]:
        try:
            with replacing(file) as temporary:
                content.tofile(temporary)
            return content
        except OSError as error:
            problem = f"{file} ({error.strerror or error})"
    warnings.warn(
        f"The decoded images could not be kept in {problem}, so they are decoded again next time", stacklevel=5
    )
    return content


def _may_write(folder: Path) -> bool:
    """Return whether the folder's permissions allow writing; for root, os.access ignores them and returns True."""
    return bool(folder.stat().st_mode & 0o222) and os.access(folder, os.W_OK)
