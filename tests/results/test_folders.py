import shutil

import numpy as np
import pandas as pd
import pytest
from result_runs import records, run

from common import results
from common.results.folders import merge_folders

ORIGIN = {"commit": "a" * 40, "device": "CPU", "begun": "2030", "ended": "2031"}


def record(folder, seed, *, commit="a", seconds=1.0, loss=0.5, weights=2.0, **parameters):
    """Store a run under the digest of its parameters and seed alone."""
    digest = results.identity_digest({"seed": seed, **parameters})
    epochs = [epoch | {"seconds": seconds, "train_loss": loss, "picture": np.full((2, 2), seed)} for epoch in records()]
    provenance = ORIGIN | {"commit": commit * 40, "digest": digest}
    frame = run(seed, epochs=epochs, provenance=provenance, run="one", **parameters)
    return results.Store(folder).write(digest, frame, [np.array([weights])], {"seed": seed})


def write(path, *frames, **notes):
    results.write(results.combine(frames), path, ORIGIN, notes or None)


@pytest.fixture
def machines(tmp_path):
    return tmp_path / "a", tmp_path / "b", tmp_path / "all"


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def content(folder):
    return {name: (folder / name).read_bytes() for name in files(folder)}


def test_result_files_and_stores_of_two_machines_become_one(machines):
    first, second, into = machines
    write(first / "sweeps" / "x" / "p0.parquet", run(0, run="p"), constant=1.5)
    write(second / "sweeps" / "x" / "p1.parquet", run(1, run="p"))
    kept = [record(first / ".store", 0), record(second / ".store", 0), record(second / ".store", 1)]
    (first / ".other").mkdir()
    shutil.copy(first / "sweeps" / "x" / "p0.parquet", first / ".other")
    merged = merge_folders([first, second], into)
    assert (merged.runs, merged.present, merged.other_times, merged.unreadable) == (4, 1, [], {})
    assert sorted(merged.written) == [name for name in files(into) if name.endswith(".parquet")]
    assert (into / "sweeps" / "x" / "p1.parquet").is_file()
    assert not (into / ".other").exists()
    frame = results.read(into / "sweeps")
    assert sorted(results.last_rows(frame)["seed"]) == [0, 1]
    assert {"constant": 1.5} in frame.attrs["measurements"]
    store = results.Store(into / ".store")
    for each in kept:
        stored = store.find(each.digest)
        pd.testing.assert_frame_equal(stored.frame, each.frame, check_like=True)
        assert [array.tolist() for array in stored.weights] == [[2.0]]
        assert stored.measurements == each.measurements


def test_a_second_merge_changes_nothing_and_a_killed_one_goes_on(machines, monkeypatch):
    first, second, into = machines
    for seed in range(3):
        record(first, seed)
        write(second / f"{seed}.parquet", run(seed, run="p"))
    copied, copy = [], shutil.copyfile

    def killed(source, target):
        copied.append(source)
        if len(copied) == 4:
            raise KeyboardInterrupt
        return copy(source, target)

    monkeypatch.setattr(shutil, "copyfile", killed)
    with pytest.raises(KeyboardInterrupt):
        merge_folders([first, second], into)
    monkeypatch.undo()
    before = content(into)
    assert 0 < len(before) < 9
    merge_folders([first, second], into)
    whole = content(into)
    assert len(whole) == 9
    assert before.items() <= whole.items()
    again = merge_folders([first, second, into], into)
    assert (again.written, again.runs) == ([], 0)
    assert content(into) == whole


def test_one_digest_with_two_results_is_refused_and_nothing_is_written(machines):
    first, second, into = machines
    record(first, 0)
    known, other = record(first, 1), record(second, 1, loss=0.6)
    paths = [str(results.Store(folder).path(each.digest)) for folder, each in ((first, known), (second, other))]
    with pytest.raises(ValueError, match="differ in 'train_loss'") as error:
        merge_folders([first, second], into)
    assert all(path in str(error.value) for path in paths)
    assert "'one', seed 1" in str(error.value)
    assert not into.exists()


def test_one_digest_under_two_names_with_two_results_is_refused(machines):
    first, second, into = machines
    stored = record(first, 0)
    write(second / "x.parquet", stored.frame.assign(run="other", train_loss=0.7))
    with pytest.raises(ValueError, match=r"two runs of one digest, .*'other'.*differ in 'train_loss'.*x\.parquet"):
        merge_folders([first, second], into)
    write(second / "x.parquet", stored.frame.assign(run="other"))
    assert merge_folders([first, second], into).runs == 2  # one training under two names is no contradiction


def test_other_seconds_and_provenance_are_told_and_the_first_is_kept(machines):
    first, second, into = machines
    stored = record(first, 0)
    record(second, 0, commit="b", seconds=9.0)
    record(second, 0, commit="b", seconds=9.0)
    merged = merge_folders([first, second], into)
    [sentence] = merged.other_times
    assert sentence.startswith("01_baseline_sgd, 'one', seed 0 has another seconds in ")
    assert sentence.endswith(": the first is kept")
    frame = results.Store(into).find(stored.digest).frame
    assert frame["seconds"].tolist() == [1.0] * 3
    assert merged.present == 1


def test_the_same_run_of_other_code_is_refused(machines):
    first, second, into = machines
    stored = record(first / ".store", 0)
    write(first / "x.parquet", stored.frame)
    write(second / "y.parquet", stored.frame.assign(digest="0" * 64))
    with pytest.raises(ValueError, match=r"two runs of one name, .* differ in 'digest', in .*x\.parquet and in .*y"):
        merge_folders([first, second], into)


def test_of_a_file_with_some_new_runs_these_are_written(machines):
    first, second, into = machines
    write(first / "x.parquet", run(0, run="p"), run(1, run="p"))
    # As from a column that has a text in another run, and one that not all runs have.
    write(second / "y.parquet", run(1, run="p", batch_size="128"), run(2, run="p", sigma=0.5), second=2)
    merged = merge_folders([first, second], into)
    assert merged.written == ["x.parquet", "y.parquet"]
    assert (merged.runs, merged.present) == (3, 1)
    frame = results.read(into)
    assert sorted(results.last_rows(frame)["seed"]) == [0, 1, 2]
    assert {"second": 2} in frame.attrs["measurements"]


def test_other_runs_under_one_name_stand_side_by_side(machines):
    first, second, into = machines
    for seed, folder in enumerate((into, first, second)):
        write(folder / "own" / "mine.parquet", run(seed, run="p"))
    before = (into / "own" / "mine.parquet").read_bytes()
    merged = merge_folders([first, second], into)
    assert merged.written == ["own/mine-2.parquet", "own/mine-3.parquet"]
    assert (into / "own" / "mine.parquet").read_bytes() == before
    assert merge_folders([first, second], into).written == []


def test_a_folder_inside_a_source_is_no_source(tmp_path):
    write(tmp_path / "x.parquet", run(0, run="p"))
    assert merge_folders([tmp_path], tmp_path / "all").runs == 1
    assert merge_folders([tmp_path], tmp_path / "all").runs == 0
    assert merge_folders([tmp_path], tmp_path).written == []


def test_what_is_missing_or_cannot_be_read_is_named_and_the_rest_is_merged(machines):
    first, second, into = machines
    good, lost, torn, renamed = (record(first, seed) for seed in range(4))
    store = results.Store(first)
    store.path(lost.digest).with_suffix(".npz").unlink()
    store.path(torn.digest).write_bytes(b"PAR1")
    store.path(renamed.digest).rename(first / "mine.parquet")
    merged = merge_folders([first, second], into)
    assert merged.runs == 1
    assert results.Store(into).find(good.digest) is not None
    named = {path.split("/")[-1]: reason for path, reason in merged.unreadable.items()}
    assert named["b"] == "there is no such folder"
    assert named[f"{lost.digest}.parquet"] == f"its weights {lost.digest}.npz are missing"
    assert named[f"{torn.digest}.parquet"]
    assert named["mine.parquet"].startswith(f"it holds the record {renamed.digest[:12]}…, which a store does not find")
    assert len(named) == 4


def test_what_is_there_is_not_overwritten(machines):
    first, _, into = machines
    stored = record(first, 0)
    path = results.Store(into).path(stored.digest)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PAR1")
    with pytest.raises(ValueError, match="is there and cannot be read; remove it"):
        merge_folders([first], into)
    assert path.read_bytes() == b"PAR1"
