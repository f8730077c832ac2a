"""What a user writes for a path means the same wherever it is given, and no folder is called ~ or $HOME."""

import numpy as np
import pytest

from common import results
from common.atomic import try_replacing
from common.data import load
from common.data.mnist_files import DataUnavailable
from common.experiments.places import resolved
from common.results.__main__ import main
from common.results.provenance import _versions as versions
from common.results.provenance import run_provenance
from common.training.loop import device
from common.user_paths import REPOSITORY, user_path

RECORD = {"experiment": "mine", "method": "m", "status": "finished", "metric": "accuracy"}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SCRATCH", str(tmp_path / "scratch"))
    monkeypatch.chdir(tmp_path)
    yield tmp_path / "home"
    assert not [path for path in tmp_path.iterdir() if path.name[0] in "~$"]


def frame(seed=0):
    return results.run_frame([{"epoch": 1, "step": 1, "train_loss": 0.5}], seed=seed, **RECORD)


def test_results_and_stores_are_where_a_shell_would_have_them(home, tmp_path):
    results.write(frame(), "~/mine.parquet", {})
    assert len(results.read("~/mine.parquet")) == len(results.read(home / "mine.parquet")) == 1
    digest = results.identity_digest({"a": 1})
    results.Store("$SCRATCH/runs").write(digest, frame(), [np.zeros(2)])
    assert results.Store(tmp_path / "scratch" / "runs").find(digest) is not None
    assert resolved("${SCRATCH}/a.parquet") == tmp_path / "scratch" / "a.parquet"
    assert resolved("a.parquet") == REPOSITORY / "a.parquet"
    (tmp_path / "$odd").mkdir()
    assert user_path(tmp_path / "$odd") == tmp_path / "$odd"  # it exists
    (tmp_path / "$odd").rmdir()


@pytest.mark.parametrize("path", ["$NO_SUCH/a.parquet", "${NO_SUCH}/a.parquet"])
def test_a_variable_that_is_not_set_is_named(path):
    for use in (resolved, results.Store, lambda path: results.write(frame(), path, {})):
        with pytest.raises(ValueError, match=r"names the variable NO_SUCH, which is not set$"):
            use(path)


def test_data_are_found_in_the_repository_and_an_unknown_home_is_said(monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", "~no such user/data")
    with pytest.raises((ValueError, DataUnavailable), match="set TFDS_DATA_DIR to the folder of data sets"):
        load("mnist")


def test_a_name_that_is_too_long_is_said_before_anything_is_trained(tmp_path):
    with pytest.raises(OSError, match="too long"):
        try_replacing(tmp_path / f"{'a' * 246}.parquet")


def test_what_a_merge_replaces_is_said(tmp_path, capsys):
    for seed in (0, 1):
        results.write(frame(seed), tmp_path / f"{seed}.parquet", {})
    target = str(tmp_path / "all.parquet")
    assert main(["merge", str(tmp_path / "0.parquet"), "--to", target]) == 0
    assert main(["merge", str(tmp_path / "1.parquet"), "--to", target]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said == [
        f"wrote {target}: 1 runs, 1 rows",
        f"wrote {target}: 1 runs, 1 rows; it replaced 1 runs that were there",
    ]


@pytest.mark.parametrize(("given", "threads"), [("3", 3), ("0", None), ("abc", None), ("", None)])
def test_threads_are_those_that_a_run_may_use(given, threads, monkeypatch):
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", given)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0}, raising=False)
    monkeypatch.setattr("tensorflow.config.list_physical_devices", lambda _: [])
    assert run_provenance(device())["threads"] == (threads or 1)


def test_variables_that_change_numbers_are_stored(monkeypatch):
    versions.cache_clear()
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    assert run_provenance("CPU, 1 threads")["versions"]["TF_ENABLE_ONEDNN_OPTS"] == "0"
    versions.cache_clear()
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS")
    assert "TF_ENABLE_ONEDNN_OPTS" not in run_provenance("CPU, 1 threads")["versions"]
