import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from result_runs import diverged, records, run

from common import results
from common.results.provenance import _git_state, commit_of

PROVENANCE_FILE = Path(results.__file__).with_name("provenance.py")

FIXED = [
    "epoch", "step", "seconds", "cost", "train_loss", "train_metric", "validation_loss", "validation_metric",
    "test_loss", "test_metric", "status", "diverged_step", "metric",
]  # fmt: skip


def test_run_frame_has_the_fixed_column_order():
    frame = run(learning_rate=0.01, dropout=False, epochs=records(noise_scale=12))
    leading = ["experiment", "method", "seed", "batch_size", "learning_rate", "dropout"]
    assert list(frame.columns) == [*leading, *FIXED, "noise_scale"]
    assert frame["test_metric"].isna().tolist() == [True, True, False]
    assert frame["diverged_step"].dtype == "Int64"


def test_run_without_an_epoch_is_kept():
    frame = results.run_frame(
        [], experiment="e", method="m", seed=0, status="diverged", diverged_step=3, metric="accuracy"
    )
    assert frame[["epoch", "step", "diverged_step"]].to_numpy().tolist() == [[0, 3, 3]]


def test_logged_value_does_not_replace_the_parameter_of_its_name():
    frame = run(learning_rate=0.1, epochs=records(learning_rate=0.05))
    assert frame["learning_rate"].unique() == [0.1]
    assert frame["logged_learning_rate"].unique() == [0.05]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"status": "divergd"}, "status 'divergd'.*did you mean 'diverged'"),
        ({"metric": "acuracy"}, "metric 'acuracy'.*did you mean 'accuracy'"),
        ({"cost": 3}, "parameter 'cost'"),
    ],
)
def test_run_frame_refuses_with_one_sentence(wrong, sentence):
    good = {"experiment": "e", "method": "m", "seed": 0, "status": "finished", "metric": "accuracy"}
    with pytest.raises((ValueError, TypeError), match=sentence):
        results.run_frame(records(), **(good | wrong)) if "cost" not in wrong else results.run_frame(
            records(), **good, **wrong
        )


def test_round_trip_keeps_types_nan_and_divergence(tmp_path):
    written = results.combine([run(dropout=True, rule="fixed"), diverged(1, dropout=False, rule="scaled")])
    results.write(written, tmp_path / "all.parquet", {}, {"tracing_seconds": np.float32(0.5)})
    again = results.read(tmp_path / "all.parquet")
    pd.testing.assert_frame_equal(again[written.columns], written)
    last = again.iloc[-1]
    assert (last["status"], last["diverged_step"], last["validation_loss"]) == ("diverged", 27, np.inf)
    assert np.isnan(last["train_loss"])
    assert again["dropout"].dtype == bool
    assert again.attrs["measurements"] == [{"tracing_seconds": 0.5}]


def test_provenance_is_json_in_the_schema_metadata(tmp_path):
    provenance = results.provenance(parameters={"epochs": 3}, data_checksum="ab", device="CPU")
    results.write(run(), tmp_path / "all.parquet", provenance)
    stored = json.loads(pq.read_schema(tmp_path / "all.parquet").metadata[b"provenance"])
    assert datetime.fromisoformat(stored["ended"]) >= datetime.fromisoformat(stored["started"])
    assert {key: value for key, value in stored.items() if key != "ended"} == provenance
    assert results.read(tmp_path).attrs["provenance"] == [stored]


def test_provenance_tells_the_code_and_no_name_or_path_of_the_machine():
    root = PROVENANCE_FILE.parents[2]
    parameters = {"result_file": root / "results/quick/all.parquet", "weights": "/somewhere/else/w.keras", "epochs": 3}
    begin = datetime.now(UTC)
    provenance = results.provenance(parameters=parameters, data_checksum="ab", device="CPU")
    assert provenance["parameters"] == {"result_file": "results/quick/all.parquet", "weights": "w.keras", "epochs": 3}
    assert {"python", "tensorflow", "keras", "numpy"} <= provenance["versions"].keys()
    assert datetime.fromisoformat(provenance["started"]) >= begin.replace(microsecond=0)
    text = json.dumps(provenance)
    assert os.uname().nodename not in text
    assert str(root) not in text
    assert not re.search(r'"/', text)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A git repository with a copy of the module and a committed result file."""
    git = lambda *words: subprocess.run(["git", "-C", tmp_path, *words], check=True, capture_output=True)  # noqa: E731
    source = PROVENANCE_FILE
    (tmp_path / "common").mkdir()
    (tmp_path / "results").mkdir()
    (tmp_path / "common" / source.name).write_text(source.read_text())
    (tmp_path / "results" / "a.txt").write_text("old")
    git("init", "-q")
    git("add", ".")
    git("-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "first")
    monkeypatch.setenv("GIT_DIR", "/nowhere")  # as inside a hook
    return tmp_path


def test_git_state_names_commit_and_changes_of_code_only(checkout):
    folder = checkout / "common"
    commit, dirty = _git_state(folder)
    assert re.fullmatch("[0-9a-f]{40}", commit)
    assert dirty is False
    (checkout / "results" / "a.txt").write_text("new")
    (checkout / "untracked.txt").write_text("x")
    assert _git_state(folder) == (commit, False)
    (folder / PROVENANCE_FILE.name).write_text("changed")
    assert _git_state(folder) == (commit, True)


def test_untracked_files_of_the_package_are_changes(checkout):
    (checkout / "common" / "estimators").mkdir()
    (checkout / "common" / "estimators" / "new.py").write_text("x = 1")
    assert _git_state(checkout / "common")[1] is True


@pytest.mark.parametrize("file", ["notebooks/mine.ipynb", "workflow/mine.py", "common/mine.py", "common/x/y/mine.py"])
def test_what_git_does_not_track_but_python_may_run_is_a_change(checkout, file):
    (checkout / file).parent.mkdir(parents=True, exist_ok=True)
    (checkout / file).write_text("x = 1")
    assert _git_state(checkout / "common")[1] is True


def test_a_module_that_git_is_told_to_ignore_is_a_change(checkout):
    (checkout / ".git" / "info" / "exclude").write_text("*_mine.py\n")
    assert _git_state(checkout / "common")[1] is False
    (checkout / "common" / "__pycache__").mkdir()
    (checkout / "common" / "__pycache__" / "a.cpython-311.pyc").write_text("x")
    (checkout / "results" / "mine.py").write_text("x = 1")
    (checkout / ".git" / "info" / "exclude").write_text("*_mine.py\n*.pyc\n")
    assert _git_state(checkout / "common")[1] is False
    (checkout / "common" / "a_mine.py").write_text("x = 1")
    assert _git_state(checkout / "common")[1] is True


def _git_program(folder, script):
    folder.mkdir()
    (folder / "git").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "git").chmod(0o755)


def test_the_commit_of_another_users_clone_is_known(checkout, tmp_path, monkeypatch):
    state = _git_state(checkout / "common")
    git = shutil.which("git")
    # git's own variable for such tests: whoever owns the folder, it is somebody else
    _git_program(tmp_path / "programs", f'GIT_TEST_ASSUME_DIFFERENT_OWNER=1 exec "{git}" "$@"')
    monkeypatch.setenv("PATH", f"{tmp_path / 'programs'}{os.pathsep}{os.environ['PATH']}")
    assert _git_state(checkout / "common") == state


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("git", ["echo 'fatal: detected dubious ownership in repository' >&2; exit 128", None])
def test_where_git_refuses_or_is_missing_the_commit_is_read(checkout, tmp_path, monkeypatch, capsys, git, packed):
    commit, _ = _git_state(checkout / "common")
    if packed:
        subprocess.run(["git", "--git-dir", checkout / ".git", "pack-refs", "--all"], check=True)
    _git_program(tmp_path / "programs", git) if git else (tmp_path / "programs").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "programs"))
    assert _git_state(checkout / "common") == (commit, None)
    assert capsys.readouterr().err.count("\n") == 1


def test_the_commit_of_a_worktree_and_of_a_detached_head_is_read(checkout, tmp_path):
    commit = commit_of(checkout)
    environment = {name: value for name, value in os.environ.items() if name != "GIT_DIR"}
    git = ["git", "-C", checkout]
    for way in (["--detach"], ["-b", "other"]):
        folder = tmp_path / way[0].strip("-")
        call = [*git, "worktree", "add", "-q", *way, folder]
        subprocess.run(call, check=True, capture_output=True, env=environment)
        assert commit_of(folder) == commit
    (checkout / ".git" / "HEAD").write_text("nonsense")
    assert commit_of(checkout) is None


def test_git_state_outside_a_checkout_is_unknown(tmp_path):
    assert _git_state(tmp_path) == (None, None)


def test_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "all.parquet"
    results.write(run(), path, {})
    before = path.read_bytes()

    def half(_table, where, **_options):
        Path(where).write_bytes(b"PAR1 half")
        raise OSError("disk full")

    monkeypatch.setattr(pq, "write_table", half)
    with pytest.raises(OSError, match="disk full"):
        results.write(run(seed=5), path, {})
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["all.parquet"]


def test_killed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "all.parquet"
    results.write(run(), path, {})
    code = (
        "import os, signal, sys\nfrom common.atomic import replacing\n"
        "with replacing(sys.argv[1]) as new:\n"
        "    new.write_bytes(b'PAR1 half')\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = Path(results.__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code, path], cwd=root, check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(os.listdir(tmp_path)) == 2  # the torn file is still there
    frame = results.read(tmp_path)
    assert frame.attrs["files"] == [str(path)]
    assert frame.attrs["unreadable"] == {}


def test_written_file_obeys_the_umask(tmp_path):
    results.write(run(), tmp_path / "all.parquet", {})
    mask = os.umask(0)
    os.umask(mask)
    assert (tmp_path / "all.parquet").stat().st_mode & 0o777 == 0o666 & ~mask


def test_write_names_a_lacking_column(tmp_path):
    with pytest.raises(ValueError, match="lacks the column 'status'"):
        results.write(run().drop(columns="status"), tmp_path / "all.parquet", {})


def test_read_names_missing_and_unreadable(tmp_path):
    results.write(run(), tmp_path / "seed0.parquet", {})
    torn, foreign, absent = (tmp_path / f"{name}.parquet" for name in ("torn", "foreign", "seed1"))
    torn.write_bytes((tmp_path / "seed0.parquet").read_bytes()[:900])
    pd.DataFrame({"a": [1]}).to_parquet(foreign)
    frame = results.read(tmp_path, expected=[tmp_path / "seed0.parquet", absent])
    assert len(frame) == 3
    assert frame.attrs["missing"] == [str(absent)]
    assert frame.attrs["unreadable"].keys() == {str(torn), str(foreign)}
    assert "no provenance" in frame.attrs["unreadable"][str(foreign)]


def test_read_of_nothing_names_the_folder_and_what_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"quick.*seed0\.parquet is missing"):
        results.read(tmp_path / "quick", expected=[tmp_path / "seed0.parquet"])


def test_read_tolerates_mixed_columns(tmp_path):
    results.write(run(dropout=True, epochs=records(noise_scale=3.5)), tmp_path / "a.parquet", {})
    results.write(run(1, sigma=1, hidden=[64, 32]).drop(columns="batch_size"), tmp_path / "b.parquet", {})
    frame = results.read(tmp_path)
    assert results.parameter_columns(frame) == ["batch_size", "dropout", "sigma", "hidden"]
    assert frame["batch_size"].dtype == "Int64"
    assert frame["dropout"].dtype == "boolean"
    assert frame["hidden"].iloc[-1] == "[64, 32]"
    assert list(frame.columns)[-len(results.PROVENANCE) - 1 :] == ["noise_scale", *results.PROVENANCE]


def test_same_run_in_two_files_is_refused(tmp_path):
    results.write(results.combine([run(0), run(1)]), tmp_path / "a.parquet", {})
    results.write(results.combine([run(1), run(2)]), tmp_path / "b.parquet", {})
    with pytest.raises(ValueError, match=r"batch_size=128.*twice.*a\.parquet and .*b\.parquet") as error:
        results.read(tmp_path)
    assert "seed=1" in str(error.value)


def test_same_run_in_two_files_is_refused_when_it_ended_elsewhere(tmp_path):
    results.write(run(), tmp_path / "a.parquet", {})
    results.write(run(epochs=[{"epoch": 9, "step": 90}]), tmp_path / "b.parquet", {})
    with pytest.raises(ValueError, match="stored twice"):
        results.read(tmp_path)


def test_same_seed_with_another_parameter_is_another_run(tmp_path):
    results.write(run(batch_size=64), tmp_path / "a.parquet", {})
    results.write(run(batch_size=128), tmp_path / "b.parquet", {})
    assert len(results.last_rows(results.read(tmp_path))) == 2


def test_a_frame_without_columns_is_left_out():
    pd.testing.assert_frame_equal(results.combine([run(0), pd.DataFrame()]), results.combine([run(0)]))
    assert results.combine([pd.DataFrame(), run(0)]).shape == run(0).shape
    assert results.combine([pd.DataFrame(), pd.DataFrame()]).empty


def test_summary_counts_diverged_runs_and_never_averages_them():
    values = [0.91, 0.93, 0.98]
    runs = [run(seed, epochs=records(test_metric=value)) for seed, value in enumerate(values)]
    frame = results.combine([*runs, diverged(3), diverged(0, batch_size=500), run(0, batch_size=64)])
    summary = results.summarize(frame, ["batch_size"]).set_index("batch_size")
    assert summary.loc[128, "mean"] == pytest.approx(statistics.mean(values))
    assert summary.loc[128, "std"] == pytest.approx(statistics.stdev(values))
    assert summary.loc[128, ["n", "diverged"]].tolist() == [3, 1]
    assert summary.loc[500, ["n", "diverged"]].tolist() == [0, 1]
    assert np.isnan(summary.loc[500, "mean"])
    assert np.isnan(summary.loc[64, "std"])


def test_summary_names_the_nearest_column():
    with pytest.raises(ValueError, match="did you mean 'test_metric'"):
        results.summarize(run(), ["batch_size"], "test_metrc")
