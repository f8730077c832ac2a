"""Checkpoints that are cut, altered, of another version or that cannot be written: an older one serves, or a sentence.

Each test begins with the same run of four epochs, of which the last two checkpoints are there.
"""

import contextlib
import random
import re
import shutil
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from common import training
from common.data import Dataset, Split
from common.estimators import Backpropagation
from common.tasks import networks as models
from common.tasks import task as tasks
from common.training.checkpoint import CheckpointWarning

INDEX, VALUES, LIST = "ckpt-4.index", "ckpt-4.data-00000-of-00001", "checkpoint"


def _split(examples, seed):
    rng = np.random.default_rng(seed)
    return Split(rng.normal(size=(examples, 6)).astype(np.float32), rng.integers(0, 3, examples).astype(np.int32))


DATASET = Dataset("noise", "classification", _split(20, 0), _split(8, 1), _split(8, 2), 3, "abc", "made here")


class _Killed(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 4:
            raise KeyboardInterrupt


def _run(folder, *callbacks, epochs=6):
    task = tasks.classification(models.build("mlp", (6,), 3, seed=0, hidden=(5,)))
    options = {"epochs": epochs, "batch_size": 10, "seed": 3, "checkpoint_dir": folder, "callbacks": callbacks}
    return task, training.train(task, Backpropagation(), keras.optimizers.Adam(0.01), DATASET, **options)


def _weights(task):
    return np.concatenate([weight.numpy().ravel() for weight in task.weights])


@pytest.fixture(scope="module")
def whole():
    return _weights(_run(None)[0])


@pytest.fixture(scope="module")
def killed_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("killed")
    with pytest.raises(KeyboardInterrupt):
        _run(folder, _Killed())
    return folder


@pytest.fixture
def folder(killed_run, tmp_path):
    return shutil.copytree(killed_run, tmp_path / "run")


def _cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _alter(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0x10
    path.write_bytes(content)


DAMAGES = {"cut": _cut, "altered": _alter, "emptied": lambda path: path.write_bytes(b""), "lost": lambda p: p.unlink()}
OLDER = "the newest checkpoint in {!r} is cut or altered: the run goes on from an older one, after epoch 3"
NONE = "checkpoint_dir {!r} holds no checkpoint that is whole, .*: delete that folder to start afresh"


@pytest.mark.parametrize("damage", ["cut", "altered", "emptied"])
@pytest.mark.parametrize("file", [INDEX, VALUES])
def test_an_older_checkpoint_serves_and_says_so(folder, whole, file, damage):
    DAMAGES[damage](folder / file)
    with pytest.warns(CheckpointWarning, match=f"^{re.escape(OLDER.format(str(folder)))}$"):
        resumed, history = _run(folder)
    np.testing.assert_array_equal(_weights(resumed), whole)
    assert [record["epoch"] for record in history.epochs] == [1, 2, 3, 4, 5, 6]
    with warnings.catch_warnings(action="error", category=CheckpointWarning):
        again, _ = _run(folder)  # what was damaged is replaced
    np.testing.assert_array_equal(_weights(again), whole)


@pytest.mark.parametrize("damage", DAMAGES)
def test_without_a_whole_list_the_newest_serves(folder, whole, damage, capfd):
    DAMAGES[damage](folder / LIST)
    with warnings.catch_warnings(action="error", category=CheckpointWarning):
        resumed, _ = _run(folder)
    np.testing.assert_array_equal(_weights(resumed), whole)
    assert "heckpoint" not in "".join(capfd.readouterr())


@pytest.mark.parametrize("pattern", ["*.index", "*.data*"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_where_none_is_whole_the_folder_to_delete_is_named(folder, whole, damage, pattern):
    for path in folder.glob(pattern):
        DAMAGES[damage](path)
    for _ in range(2):  # started again, it says the same
        with pytest.raises(ValueError, match=f"^{NONE.format(str(folder))}$"):
            _run(folder)
    shutil.rmtree(folder)
    np.testing.assert_array_equal(_weights(_run(folder)[0]), whole)


def test_a_kill_while_the_first_is_being_written_is_no_damage(tmp_path, killed_run, whole):
    """The values are there, the index is empty, the list is not there."""
    shutil.copy(killed_run / "ckpt-3.data-00000-of-00001", tmp_path / "ckpt-1.data-00000-of-00001")
    (tmp_path / "ckpt-1.index").write_bytes(b"")
    with warnings.catch_warnings(action="error", category=CheckpointWarning):
        np.testing.assert_array_equal(_weights(_run(tmp_path)[0]), whole)


def test_a_kill_while_the_next_is_being_written_is_none_either(folder, whole):
    shutil.copy(folder / VALUES, folder / "ckpt-5.data-00000-of-00001")
    (folder / "ckpt-5.index").write_bytes((folder / INDEX).read_bytes()[:100])
    with warnings.catch_warnings(action="error", category=CheckpointWarning):
        np.testing.assert_array_equal(_weights(_run(folder)[0]), whole)


def test_whatever_is_altered_the_run_is_the_same_or_a_sentence_is_said(folder, killed_run, whole):
    rng = random.Random(0)
    for _ in range(12):
        shutil.rmtree(folder)
        shutil.copytree(killed_run, folder)
        for path in rng.sample(sorted(folder.iterdir()), 2):
            content = bytearray(path.read_bytes())
            start = rng.randrange(len(content))
            content[start : start + rng.choice([1, 8, len(content)])] = rng.randbytes(rng.choice([0, 1, 8]))
            path.write_bytes(content)
        with warnings.catch_warnings(action="ignore", category=CheckpointWarning), contextlib.suppress(ValueError):
            resumed, _ = _run(folder)
            np.testing.assert_array_equal(_weights(resumed), whole)
            continue
        with pytest.raises(ValueError, match=NONE.format(str(folder))):
            _run(folder)


def test_a_checkpoint_of_another_version_is_refused_in_a_sentence(tmp_path, folder):
    other = tf.train.Checkpoint(network=tf.Variable(1.0))
    tf.train.CheckpointManager(other, str(tmp_path / "other"), max_to_keep=2).save()
    words = r"^checkpoint_dir '.*other' holds a checkpoint of another version of this code, .* to start afresh$"
    with pytest.raises(ValueError, match=words):
        _run(tmp_path / "other")
    kept = keras.callbacks.Callback()
    kept.kept = tf.Module()
    kept.kept.weight = tf.Variable([1.0])
    with pytest.raises(ValueError, match=r"^checkpoint_dir '.*run' holds .* or with other callbacks, that this one"):
        _run(folder, kept)


def test_a_folder_that_cannot_be_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "folder"):
        with pytest.raises(ValueError, match=rf"^checkpoint_dir {str(folder)!r} cannot be made: "):
            _run(folder)


def test_what_cannot_be_written_is_said_once_with_the_folder_and_training_goes_on(tmp_path):
    class Lost(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if (tmp_path / "run").is_dir():
                shutil.rmtree(tmp_path / "run")
                (tmp_path / "run").write_text("")

    words = r"^checkpoints cannot be written to '.*run' \([^{}]+\); training goes on"
    with pytest.warns(CheckpointWarning, match=words) as warned:
        _, history = _run(tmp_path / "run", Lost())
    assert len(warned) == 1
    assert history.status == "finished"
