"""Every data set: shapes, ranges, checksums, splits; the cache of decoded images; what errors say."""

import hashlib
import os
import struct
import subprocess
import sys
import types
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from common.data import SPECIFICATIONS, DataUnavailable, boston_housing, folds, load
from common.data import mnist_files as prepared_images

LOADING = sys.modules["common.data.load"]  # `common.data.load` is the function
ROOT = Path(__file__).parents[1]
PREPARED = Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()
needs_mnist = pytest.mark.skipif(
    not list((PREPARED / "mnist").glob("*/dataset_info.json")), reason="no prepared MNIST (set TFDS_DATA_DIR)"
)
needs_boston = pytest.mark.skipif(
    not (PREPARED / "boston_housing.csv").is_file(),
    reason="no boston_housing.csv in the data folder (set TFDS_DATA_DIR)",
)
# name: (x shape, x range, y range, parts, checksum)
INSIDE_THE_WHEEL = {
    "digits": ((28, 28, 1), (0, 1), (0, 9), (1257, 180, 360), "87ff0c9e"),
    "diabetes": ((10,), (1, 301), (25, 346), (310, 44, 88), "e9c1f755"),
}


def parts(dataset):
    return dataset.train, dataset.validation, dataset.test


def everything(dataset):
    return np.concatenate([part.x for part in parts(dataset)]), np.concatenate([part.y for part in parts(dataset)])


# --- shapes, dtypes, ranges, checksums -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", INSIDE_THE_WHEEL)
def test_content_is_as_the_docstring_says(name):
    shape, x_range, y_range, sizes, checksum = INSIDE_THE_WHEEL[name]
    dataset = load(name)
    x, y = everything(dataset)
    assert (x.dtype, x.shape[1:]) == (np.float32, shape)
    assert (y.dtype, y.shape[1:]) == ((np.int32, ()) if dataset.classes else (np.float32, (1,)))
    assert (x.min(), x.max()) == x_range
    assert (y.min(), y.max()) == y_range
    assert tuple(len(part) for part in parts(dataset)) == sizes
    assert dataset.checksum == SPECIFICATIONS[name].checksum
    assert dataset.checksum.startswith(checksum)


def test_the_docstring_names_every_data_set_with_its_checksum():
    for name, specification in SPECIFICATIONS.items():
        row = next(line for line in load.__doc__.splitlines() if line.strip().startswith(name))
        assert (specification.checksum or "MD5")[:8] in row
        train = specification.examples - specification.default_validation
        for size in (train, specification.default_validation, specification.test_examples):
            assert f"{size:,}" in row


def test_specifications_agree_with_what_is_loaded():
    for name in INSIDE_THE_WHEEL:
        dataset, specification = load(name, 0), SPECIFICATIONS[name]
        assert (dataset.kind, dataset.classes) == (specification.kind, specification.classes)
        assert (len(dataset.train), len(dataset.test)) == (specification.examples, specification.test_examples)
        assert dataset.train.x.shape[1:] == specification.input_shape


def test_digits_are_scikit_learns_enlarged_bilinearly():
    from sklearn.datasets import load_digits

    # Independent: the interpolation matrix of 28 half-pixel centres among 8, edges repeated.
    centres = (np.arange(28) + 0.5) / 3.5 - 0.5
    weights = np.stack([np.interp(centres, np.arange(8), row) for row in np.eye(8)], axis=1)
    expected = np.einsum("ip,npq,jq->nij", weights, load_digits().images / 16, weights)
    for part in parts(load("digits")):
        images, labels = part.x[::60, ..., 0], part.y[::60]
        distance = np.abs(images[:, None] - expected[None].astype(np.float32)).max(axis=(2, 3))
        assert distance.min(axis=1).max() < 1e-6
        np.testing.assert_array_equal(labels, load_digits().target[distance.argmin(axis=1)])


def test_altered_content_is_refused(monkeypatch):
    monkeypatch.setitem(SPECIFICATIONS, "digits", replace(SPECIFICATIONS["digits"], checksum="0" * 64))
    with pytest.raises(ValueError, match="digits does not hold the published data: its SHA-256 is 87ff0c9e"):
        load("digits")


# --- splits ----------------------------------------------------------------------------------------------------------


def test_parts_share_nothing_and_lose_nothing():
    from sklearn.datasets import load_diabetes

    x, _ = everything(load("diabetes", 100))
    published = load_diabetes(scaled=False).data.astype(np.float32)
    assert {row.tobytes() for row in x} == {row.tobytes() for row in published}
    assert len({row.tobytes() for row in x}) == 442


def test_validation_split_depends_on_the_seed_only():
    first, again, other = load("diabetes"), load("diabetes"), load("diabetes", seed=1)
    np.testing.assert_array_equal(first.validation.x, again.validation.x)
    assert not np.array_equal(first.validation.x, other.validation.x)
    np.testing.assert_array_equal(first.test.x, other.test.x)
    np.random.seed(5)
    np.testing.assert_array_equal(first.validation.x, load("diabetes").validation.x)


def test_validation_zero_keeps_the_whole_training_part():
    dataset = load("digits", validation=0)
    assert [len(part) for part in parts(dataset)] == [1437, 0, 360]
    assert dataset.validation.x.shape == (0, 28, 28, 1)


def test_standardized_features_use_the_training_part_only():
    raw, dataset = load("diabetes"), load("diabetes", standardize=True)
    np.testing.assert_allclose(dataset.train.x.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(dataset.train.x.std(axis=0), 1, rtol=1e-5)
    expected = (raw.test.x - raw.train.x.mean(axis=0)) / raw.train.x.std(axis=0)
    np.testing.assert_allclose(dataset.test.x, expected, rtol=1e-3, atol=1e-4)
    assert dataset.test.x.dtype == np.float32
    np.testing.assert_array_equal(dataset.test.y, raw.test.y)


# --- wrong arguments -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "options", "sentence"),
    [
        (("mnst",), {}, r"no data set 'mnst': .*; did you mean 'mnist'\?"),
        (("Fashion-MNIST",), {}, r"did you mean 'fashion_mnist'\?"),
        ((3,), {}, r"There is no data set 3: the names are digits, mnist"),
        (("digits", -1), {}, "validation must be a whole number of examples between 0 and 1436 for 'digits', got -1"),
        (("digits", 1437), {}, "between 0 and 1436 for 'digits', got 1437"),
        (("digits", 0.1), {}, "got 0.1"),
        (("digits", True), {}, "got True"),
        (("digits", "180"), {}, "got '180'"),
        (("digits",), {"standardize": True}, "standardize=True is for features .* 'digits' are in"),
        (("diabetes",), {"standardize": 1}, "standardize must be True or False, got 1"),
        (("digits",), {"seed": -1}, "seed must be a whole number >= 0, got -1"),
        (("digits",), {"seed": 1.5}, "seed must be a whole number >= 0, got 1.5"),
    ],
)
def test_wrong_arguments_end_in_one_sentence(arguments, options, sentence):
    with pytest.raises(ValueError, match=sentence) as error:
        load(*arguments, **options)
    assert "\n" not in str(error.value)


# --- Boston housing --------------------------------------------------------------------------------------------------


@needs_boston
def test_boston_housing_is_keras_split():
    dataset = load("boston_housing", 0, data_dir=PREPARED)
    assert (dataset.train.x.shape, dataset.test.x.shape) == ((404, 13), (102, 13))
    first = [1.23247, 0, 8.14, 0, 0.538, 6.142, 91.7, 3.9769, 4, 307, 21, 396.9, 18.72]  # Keras' documentation
    first_test = [18.0846, 0, 18.1, 0, 0.679, 6.434, 100, 1.8347, 24, 666, 20.2, 27.25, 29.05]
    np.testing.assert_array_equal(dataset.train.x[0], np.float32(first))
    np.testing.assert_array_equal(dataset.test.x[0], np.float32(first_test))
    np.testing.assert_array_equal(dataset.train.y[:4], np.float32([[15.2], [42.3], [50], [21.1]]))
    assert dataset.test.y[0] == np.float32(7.2)
    x, y = everything(dataset)
    assert (x.min(), x.max(), y.min(), y.max()) == (0, 711, 5, 50)
    assert dataset.checksum == SPECIFICATIONS["boston_housing"].checksum


@pytest.mark.slow
@needs_boston
def test_boston_housing_csv_and_keras_own_code_split_alike(monkeypatch, tmp_path):
    table = np.loadtxt(PREPARED / "boston_housing.csv", delimiter=",", skiprows=1, quotechar='"')
    np.savez(tmp_path / "boston.npz", x=table[:, :13], y=table[:, 13])
    from keras.src.datasets import boston_housing as keras_code

    monkeypatch.setattr(keras_code, "get_file", lambda *_, **__: tmp_path / "boston.npz")
    through_keras, from_file = load("boston_housing", data_dir=tmp_path), load("boston_housing", data_dir=PREPARED)
    for part, other in zip(parts(through_keras), parts(from_file), strict=True):
        np.testing.assert_array_equal(part.x, other.x)
        np.testing.assert_array_equal(part.y, other.y)
    assert through_keras.checksum == from_file.checksum
    assert through_keras.source == "keras.datasets.boston_housing"


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (['"a","b"', "1,2"], "must hold 506 rows of 13 features and the target, got"),
        (["a,b", "1,x"], "is not a table of numbers below one header line"),
        ([",".join("abcdefghijklmn"), *[",".join("0" * 14)] * 506], "does not hold the published data: its SHA-256 is"),
    ],
)
def test_a_wrong_boston_housing_file_is_refused(tmp_path, rows, sentence):
    (tmp_path / "boston_housing.csv").write_text("\n".join(rows))
    with pytest.raises(ValueError, match=sentence) as error:
        load("boston_housing", data_dir=tmp_path)
    assert str(tmp_path / "boston_housing.csv") in str(error.value)


# --- no data and no network ------------------------------------------------------------------------------------------


def assert_says_what_to_do(message, name, folder, what):
    for expected in (name, str(folder), "network", what, "TFDS_DATA_DIR", "'digits'"):
        assert expected in message
    assert "\n" not in message


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_no_network_and_no_images(monkeypatch, tmp_path, capsys, name):
    def refuse(*_, timeout, **__):
        assert timeout <= 20
        raise OSError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    with pytest.raises(DataUnavailable) as error:
        load(name)
    assert_says_what_to_do(str(error.value), name, tmp_path, f"{name}/3.0.1")
    assert error.value.__suppress_context__
    assert capsys.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_no_network_and_no_boston_housing(monkeypatch, tmp_path, capsys):
    from keras.src.datasets import boston_housing as keras_code

    def refuse(*_, **__):
        print("Downloading data from somewhere")
        raise Exception("URL fetch failure\non somewhere")

    monkeypatch.setattr(keras_code, "get_file", refuse)
    with pytest.raises(DataUnavailable) as error:
        load("boston_housing", data_dir=tmp_path)
    assert_says_what_to_do(str(error.value), "boston_housing", tmp_path, "boston_housing.csv")
    assert capsys.readouterr() == ("", "")


def test_data_folder_is_that_of_tensorflow_datasets(monkeypatch, tmp_path):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    assert LOADING._data_folder(None) == tmp_path
    assert LOADING._data_folder("elsewhere") == Path("elsewhere")
    monkeypatch.delenv("TFDS_DATA_DIR")
    assert LOADING._data_folder(None) == Path.home() / "tensorflow_datasets"


def test_the_environment_is_read_for_one_variable_only():
    sources = [Path(module.__file__).read_text() for module in (LOADING, prepared_images, boston_housing)]
    assert [source.count("os.environ.") for source in sources] == [1, 0, 0]
    assert 'os.environ.get("TFDS_DATA_DIR")' in sources[0]


# --- prepared images: order, cache -----------------------------------------------------------------------------------


def idx(array):
    """The bytes of an IDX file, from its description at yann.lecun.com/exdb/mnist."""
    magic = {3: 2051, 1: 2049}[array.ndim]
    return struct.pack(f">{array.ndim + 1}I", magic, *array.shape) + array.tobytes()


class FakePreparation:
    """Stands in for tensorflow_datasets: 60 + 20 small examples, stored in its order; counts how often it decodes."""

    def __init__(self, folder):
        from tensorflow_datasets.core.hashing import Hasher  # the real one, as the oracle of the order

        random = np.random.default_rng(3)
        self.folder, self.decoded, self.published, self.stored = folder, 0, {}, {}
        for split, examples in (("train", 60), ("test", 20)):
            images = random.integers(0, 256, (examples, 28, 28, 1), np.uint8)
            labels = random.integers(0, 10, examples)
            order = sorted(range(examples), key=Hasher(split).hash_key)
            self.published[split] = images, labels.astype(np.uint8)
            self.stored[split] = {"image": images[order], "label": labels[order]}

    def md5(self):
        files = [f for x, y in self.published.values() for f in (idx(x[..., 0]), idx(y))]
        return tuple(hashlib.md5(file).hexdigest() for file in files)

    def sha256(self):
        return hashlib.sha256(b"".join(a.tobytes() for pair in self.published.values() for a in pair)).hexdigest()

    def module(self):
        def as_dataset(split, shuffle_files, batch_size):
            assert not shuffle_files
            assert batch_size > 0
            print("a progress bar")
            print("a warning", file=sys.stderr)
            self.decoded += split == "train"
            batches = range(0, len(self.stored[split]["label"]), 7)
            return [{key: value[i : i + 7] for key, value in self.stored[split].items()} for i in batches]

        return types.SimpleNamespace(
            builder_from_directory=lambda folder: types.SimpleNamespace(as_dataset=as_dataset),
            as_numpy=lambda dataset: dataset,
        )


@pytest.fixture
def fake(monkeypatch, tmp_path):
    folder = tmp_path / "data" / "fashion_mnist" / "3.0.1"
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").write_text("{}")
    preparation = FakePreparation(folder)
    small = replace(SPECIFICATIONS["fashion_mnist"], examples=60, test_examples=20, default_validation=10)
    monkeypatch.setitem(SPECIFICATIONS, "fashion_mnist", small)
    monkeypatch.setitem(prepared_images.PUBLISHED_MD5, "fashion_mnist", preparation.md5())
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", preparation.module())
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / "cache" / name)
    return preparation


def load_fake(**options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return load("fashion_mnist", 0, **options)


def assert_is_published(dataset, fake):
    for part, (images, labels) in zip((dataset.train, dataset.test), fake.published.values(), strict=True):
        np.testing.assert_array_equal(part.x, images.astype(np.float32) / np.float32(255))
        np.testing.assert_array_equal(part.y, labels)
    assert dataset.checksum == fake.sha256()


def test_images_come_in_the_published_order_and_are_decoded_once(fake, capsys):
    for _ in range(2):
        dataset = load_fake()
        assert_is_published(dataset, fake)
        assert fake.decoded == 1
    assert capsys.readouterr() == ("", "")
    assert (dataset.train.x.dtype, dataset.train.y.dtype) == (np.float32, np.int32)
    assert dataset.source == "tensorflow-datasets fashion_mnist 3.0.1"
    assert sorted(file.name for file in fake.folder.iterdir()) == ["dataset_info.json", prepared_images.CACHE_NAME]


def test_a_preparation_in_the_published_order_is_left_so(fake):
    fake.stored = {split: {"image": x, "label": y.astype(np.int64)} for split, (x, y) in fake.published.items()}
    assert_is_published(load_fake(), fake)


def test_the_newest_prepared_version_is_taken(fake):
    for version in ("1.0.0", "3.0.0", "10.0.0"):
        (fake.folder.parent / version).mkdir()
    (fake.folder.parent / "3.0.0" / "dataset_info.json").write_text("{}")
    assert load_fake().source.endswith("3.0.1")
    (fake.folder.parent / "10.0.0" / "dataset_info.json").write_text("{}")
    assert load_fake().source.endswith("10.0.0")


def truncate(file):
    file.write_bytes(file.read_bytes()[:-1000])
    return "has 61,832 bytes instead of 62,832"


def alter(file):
    content = bytearray(file.read_bytes())
    content[5000] ^= 1
    file.write_bytes(content)
    return "was altered"


def empty(file):
    file.write_bytes(b"")
    return "has 0 bytes"


@pytest.mark.parametrize("damage", [truncate, alter, empty])
def test_a_damaged_cache_is_noticed_said_and_rebuilt(fake, damage):
    load_fake()
    file = fake.folder / prepared_images.CACHE_NAME
    good = file.read_bytes()
    problem = damage(file)
    with pytest.warns(UserWarning, match="so it is rebuilt") as warned:
        dataset = load("fashion_mnist", 0)
    message = str(warned[0].message)
    assert len(warned) == 1
    assert str(file) in message
    assert problem in message
    assert warned[0].filename == __file__  # the user's own line, not one inside
    assert_is_published(dataset, fake)
    assert (fake.decoded, file.read_bytes()) == (2, good)
    assert_is_published(load_fake(), fake)
    assert fake.decoded == 2


def test_a_cache_of_other_content_is_noticed_where_the_checksum_is_known(fake, monkeypatch):
    load_fake()
    file = fake.folder / prepared_images.CACHE_NAME
    body = np.zeros(80 * 785, np.uint8).tobytes()
    file.write_bytes(hashlib.sha256(body).digest() + body)
    known = replace(SPECIFICATIONS["fashion_mnist"], checksum=fake.sha256())
    monkeypatch.setitem(SPECIFICATIONS, "fashion_mnist", known)
    with pytest.warns(UserWarning, match="was altered"):
        dataset = load("fashion_mnist", 0)
    assert_is_published(dataset, fake)


def test_a_read_only_folder_is_left_alone(fake, tmp_path):
    fake.folder.chmod(0o555)
    for _ in range(2):
        assert_is_published(load_fake(), fake)
    fake.folder.chmod(0o755)
    assert fake.decoded == 1
    assert [file.name for file in fake.folder.iterdir()] == ["dataset_info.json"]
    (cached,) = (tmp_path / "cache" / "gradient-estimators").iterdir()
    assert cached.name.startswith("fashion_mnist-3.0.1-")


def test_two_read_only_folders_do_not_share_a_cache_file(fake, tmp_path):
    other = tmp_path / "other" / "fashion_mnist" / "3.0.1"
    other.mkdir(parents=True)
    (other / "dataset_info.json").write_text("{}")
    for folder in (fake.folder, other):
        folder.chmod(0o555)
        load_fake(data_dir=folder.parents[1])
        folder.chmod(0o755)
    assert fake.decoded == 2
    assert len(list((tmp_path / "cache" / "gradient-estimators").iterdir())) == 2


def test_an_interrupted_write_leaves_nothing_behind(fake, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load_fake()
    assert [file.name for file in fake.folder.iterdir()] == ["dataset_info.json"]


def test_a_full_disk_is_said_and_the_data_are_returned_all_the_same(fake, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(prepared_images, "replacing", full)
    with pytest.warns(UserWarning, match=r"could not be kept in .*No space left on device"):
        dataset = load("fashion_mnist", 0)
    assert_is_published(dataset, fake)


def drop_an_example(stored):
    stored["train"] = {key: value[:-1] for key, value in stored["train"].items()}
    return "it has 59 training images instead of 60"


def change_a_pixel(stored):
    stored["test"]["image"][3, 4, 5] ^= 1
    return r"its test images, or their order, differ \(MD5 \w+ instead of \w+\)"


def change_a_label(stored):
    stored["train"]["label"][3] = (stored["train"]["label"][3] + 1) % 10
    return "its training labels, or their order, differ"


@pytest.mark.parametrize("change", [drop_an_example, change_a_pixel, change_a_label])
def test_a_preparation_that_is_not_the_published_data_is_refused(fake, change):
    difference = change(fake.stored)
    with pytest.raises(ValueError, match=f"is not the published one: {difference}") as error:
        load_fake()
    assert str(fake.folder) in str(error.value)
    assert not (fake.folder / prepared_images.CACHE_NAME).exists()


def test_a_preparation_that_cannot_be_decoded_is_said_in_one_sentence(fake):
    fake.stored = {}
    with pytest.raises(DataUnavailable, match=r"cannot be decoded \(KeyError: 'train'\): delete that folder") as error:
        load_fake()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("missing", ["dataset_info.json", "features.json"])
def test_the_file_that_a_prepared_folder_lacks_is_named(fake, missing):
    for name in ("features.json", "fashion_mnist-train.tfrecord-00000-of-00001", "dataset_info.json"):
        (fake.folder / name).write_text("{}")
    (fake.folder / missing).unlink()
    with pytest.raises(DataUnavailable, match=rf"because {fake.folder}/{missing} is missing: copy it") as error:
        load_fake()
    assert "\n" not in str(error.value)


# --- the real MNIST --------------------------------------------------------------------------------------------------

LOAD = """
import sys
from common.data import load
dataset = load("mnist")
assert not {"tensorflow", "tensorflow_datasets"} & set(sys.modules)
print(len(dataset.train), len(dataset.validation), len(dataset.test), dataset.train.x.dtype)
"""


@pytest.fixture(scope="module")
def mnist():
    """All of MNIST, decoded (only the first time on a machine) or from the cache."""
    return load("mnist", 0, data_dir=PREPARED)


@needs_mnist
def test_mnist_is_the_published_one(mnist):
    counts = np.bincount(mnist.train.y).tolist(), np.bincount(mnist.test.y).tolist()
    assert counts[0] == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert counts[1] == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert mnist.train.y[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert mnist.test.y[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert (mnist.train.x.shape, mnist.test.x.shape) == ((60_000, 28, 28, 1), (10_000, 28, 28, 1))
    assert (mnist.train.x.dtype, mnist.train.x.min(), mnist.train.x.max()) == (np.float32, 0, 1)
    assert mnist.checksum == SPECIFICATIONS["mnist"].checksum


@pytest.mark.slow
@needs_mnist
def test_mnist_has_the_checksums_of_the_publishers_files(mnist):
    files = []
    for part in (mnist.train, mnist.test):
        files += [idx(np.rint(part.x[..., 0] * 255).astype(np.uint8)), idx(part.y.astype(np.uint8))]
    checksums = tuple(hashlib.md5(file).hexdigest() for file in files)
    assert checksums == prepared_images.PUBLISHED_MD5["mnist"]


@needs_mnist
def test_mnist_is_split_55000_5000_10000(mnist):
    dataset = load("mnist", data_dir=PREPARED)
    assert [len(part) for part in parts(dataset)] == [55_000, 5_000, 10_000]
    assert np.bincount(dataset.train.y).sum() + np.bincount(dataset.validation.y).sum() == 60_000
    np.testing.assert_array_equal(dataset.test.y, mnist.test.y)


@needs_mnist
@pytest.mark.usefixtures("mnist")
def test_the_second_load_of_mnist_in_a_new_process_starts_no_tensorflow():
    """It reads the cache that the first one left; `make benchmark` measures its seconds."""
    run = subprocess.run(
        [sys.executable, "-c", LOAD],
        cwd=ROOT,
        env={**os.environ, "TFDS_DATA_DIR": str(PREPARED)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.split() == ["55000", "5000", "10000", "float32"]
    assert run.stderr == ""


def test_importing_the_specifications_is_light():
    code = (
        "import sys, common.data; print([m for m in ('tensorflow', 'keras', 'sklearn', 'scipy') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("standardize", [False, True])
def test_folds_hold_each_example_out_once(standardize):
    whole = load("diabetes")
    divided = folds(whole, 3, standardize=standardize)
    assert [len(fold.validation) for fold in divided] == [118] * 3
    assert [fold.name for fold in divided] == [f"diabetes, fold {number} of 3" for number in (1, 2, 3)]
    for fold in divided:
        targets = np.concatenate([fold.train.y, fold.validation.y])
        np.testing.assert_array_equal(np.sort(targets, axis=0), np.sort(load("diabetes", 0).train.y, axis=0))
        if standardize:  # by the training part alone
            np.testing.assert_allclose(fold.train.x.mean(0), 0, atol=1e-5)
            np.testing.assert_allclose(fold.train.x.std(0), 1, atol=1e-4)
            assert np.abs(fold.validation.x.mean(0)).max() > 1e-3
        else:
            np.testing.assert_array_equal(fold.test.x, whole.test.x)
    held_out = np.concatenate([fold.validation.y for fold in divided])
    np.testing.assert_array_equal(np.sort(held_out, axis=0), np.sort(load("diabetes", 0).train.y, axis=0))


def test_folds_depend_on_their_seed_alone():
    first, again, other = (folds(load("diabetes"), 2, seed=seed)[0].digest for seed in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize("count", [0, 1, 355])
def test_a_wrong_number_of_folds_is_refused(count):
    with pytest.raises(
        ValueError, match=f"count must be a number of folds between 2 and the 354 examples, got {count}"
    ):
        folds(load("diabetes"), count)
