import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from result_runs import records, run

from common import results
from common.plotting.draw import drawable
from common.results.__main__ import main

ROOT = Path(results.__file__).parents[2]
ORIGIN = {"commit": "c" * 40, "dirty": True, "versions": {"tensorflow": "2"}, "data_checksum": "ab",
          "device": "CPU, 4 threads", "started": "2030-01-01T00:00:00+00:00", "parameters": {"epochs": 3}}  # fmt: skip


def record(store, seed, *, commit="a", test_metric=0.9, **parameters):
    """Store a run under the digest of its parameters and seed alone."""
    digest = results.identity_digest({"seed": seed, **parameters})
    provenance = {"commit": commit * 40, "device": "CPU", "begun": "2030", "ended": "2031", "digest": digest}
    epochs = [part | {"picture": np.full((2, 2), seed)} for part in records(test_metric=test_metric)]
    return store.write(digest, run(seed, epochs=epochs, provenance=provenance, **parameters), [], {"s": seed})


@pytest.fixture
def stores(tmp_path):
    return results.Store(tmp_path / "mine"), results.Store(tmp_path / "theirs")


def test_collected_records_keep_their_own_provenance(stores, tmp_path):
    mine = stores[0]
    record(mine, 0, commit="a", sigma=0.1)
    record(mine, 1, commit="b", sigma=1)
    collected = results.collect(mine.folder, tmp_path / "all.parquet")
    frame = results.read(tmp_path / "all.parquet")
    pd.testing.assert_frame_equal(frame, collected, check_dtype=False)
    last = results.last_rows(frame).set_index("seed")
    assert last["commit"].to_dict() == {0: "a" * 40, 1: "b" * 40}
    assert last["digest"].nunique() == 2
    assert last.loc[1, "picture"].tolist() == [[1, 1], [1, 1]]
    assert [origin["commit"][0] for origin in frame.attrs["provenance"]] in (["a", "b"], ["b", "a"])
    assert sorted(measured["s"] for measured in frame.attrs["measurements"]) == [0, 1]


def test_frames_are_collected_too(tmp_path):
    frame = results.collect([run(0), run(1)], tmp_path / "all.parquet")
    assert len(results.last_rows(frame)) == 2
    assert len(results.collect(frame, tmp_path / "again.parquet")) == len(frame)


def test_files_of_several_people_merge_and_the_same_record_is_there_once(stores, tmp_path):
    mine, theirs = stores
    for seed in (0, 1):
        record(mine, seed)
    for seed in (1, 2):
        record(theirs, seed)
    paths = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    results.collect(mine.folder, paths[0])
    results.collect(theirs.folder, paths[1])
    merged = results.merge(paths, paths[0])  # one of the sources may be the target
    assert sorted(results.last_rows(merged)["seed"]) == [0, 1, 2]
    assert len(results.read(paths[0])) == 9
    assert len(results.read(paths)) == 9  # as trials that the jobs of several seeds share


def test_same_record_with_other_numbers_is_refused(stores, tmp_path):
    mine, theirs = stores
    record(mine, 1)
    record(theirs, 1, test_metric=0.8)
    with pytest.raises(
        ValueError, match=r"same record .*seed=1.* differs in 'test_metric' between .*mine.* and .*theirs"
    ):
        results.merge([mine.folder, theirs.folder], tmp_path / "all.parquet")
    assert not (tmp_path / "all.parquet").exists()


def test_same_record_with_another_picture_is_refused(stores, tmp_path):
    frame = record(stores[0], 1).frame
    other = frame.assign(picture=[np.zeros((2, 2))] * len(frame))
    with pytest.raises(ValueError, match="differs in 'picture' between frame 1 and frame 2"):
        results.collect([frame, other], tmp_path / "all.parquet")
    assert len(results.collect([frame, frame], tmp_path / "all.parquet")) == len(frame)


def test_run_of_other_code_is_a_duplicate(stores, tmp_path):
    frame = record(stores[0], 1).frame
    with pytest.raises(ValueError, match=r"the same run \(experiment=01_baseline_sgd.*stored twice, in frame 1 and in"):
        results.collect([frame, frame.assign(digest="0" * 64)], tmp_path / "all.parquet")


def test_duplicates_without_a_digest_are_refused(tmp_path):
    results.write(run(), tmp_path / "a.parquet", {})
    results.write(run(), tmp_path / "b.parquet", {})
    with pytest.raises(ValueError, match=r"stored twice, in .*a\.parquet and in .*b\.parquet; remove one"):
        results.merge(tmp_path, tmp_path / "all.parquet")


@pytest.mark.parametrize("join", [results.read, lambda path: results.merge(path, path / "all.parquet")])
def test_name_with_two_meanings_is_refused(tmp_path, join):
    results.write(run(cosine=True), tmp_path / "a.parquet", {})
    results.write(run(1, epochs=records(cosine=0.5)), tmp_path / "b.parquet", {})
    sentence = r"column 'cosine' has two meanings, a parameter in .*a\.parquet and a diagnostic in .*b\.parquet"
    with pytest.raises(ValueError, match=sentence):
        join(tmp_path)


def test_name_with_two_meanings_is_refused_in_memory():
    with pytest.raises(ValueError, match="'cosine' has two meanings, a parameter in 01_baseline_sgd"):
        results.combine([run(cosine=True), run(1, epochs=records(cosine=0.5))])


@pytest.mark.parametrize("name", ["commit", "note", "digest"])
def test_name_of_the_provenance_is_taken(name):
    with pytest.raises(ValueError, match=f"parameter '{name}' has the name of a fixed"):
        run(**{name: 1})
    with pytest.raises(ValueError, match=f"diagnostic '{name}' has the name of a fixed"):
        run(epochs=records(**{name: 1}))


def test_parameter_named_like_a_diagnostic_is_refused():
    with pytest.raises(ValueError, match="parameter 'cosine' has the name of a diagnostic"):
        run(cosine=True, epochs=records(cosine=0.5))


def test_provenance_tells_no_run_from_another(stores):
    frame = results.combine([record(stores[0], seed).frame for seed in range(3)])
    assert results.run_columns(frame) == ["experiment", "method", "seed", "batch_size"]
    assert list(frame.columns)[-len(results.PROVENANCE) :] == list(results.PROVENANCE)
    assert results.summarize(frame, ["batch_size"])["n"].item() == 3


def test_only_one_experiment_is_collected(tmp_path):
    frames = [run(0), run(1).assign(experiment="02_other")]
    assert results.collect(frames, tmp_path / "a.parquet", experiment="02_other")["seed"].unique().tolist() == [1]
    with pytest.raises(ValueError, match=r"no source holds a run of the experiment '03_none', so .*b\.parquet"):
        results.collect(frames, tmp_path / "b.parquet", experiment="03_none")


def test_unreadable_or_missing_source_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing is no result file and no folder that holds one"):
        results.collect(tmp_path / "nothing", tmp_path / "all.parquet")
    (tmp_path / "torn.parquet").write_bytes(b"PAR1")
    with pytest.raises(ValueError, match=r"torn\.parquet cannot be read \(.*\); remove it"):
        results.merge([tmp_path / "torn.parquet"], tmp_path / "all.parquet")


def test_settings_that_only_some_runs_have(tmp_path):
    """One run has None, a number or a text where another has something else, or nothing."""
    runs = [
        run(0, clip=None, steps=3, level=0.1, only_none=None),
        run(1, clip=2.0, steps=None, level="fast"),
        run(2, clip=True, level=1),
    ]
    combined = results.combine(runs)
    assert combined["only_none"].nunique(dropna=False) == 1  # None, and nothing at all
    results.write(combined, tmp_path / "all.parquet", {})
    last = results.last_rows(results.read(tmp_path))
    assert last["clip"].fillna("NA").tolist() == ["NA", "2.0", "True"]
    assert last["steps"].fillna(-1).tolist() == [3, -1, -1]
    assert last["steps"].dtype == "Int64"
    assert last["level"].tolist() == ["0.1", "fast", "1"]
    assert last["only_none"].isna().all()
    assert results.combine([runs[0], run(1, clip=2.0, level=1.0)])["clip"].dtype == float


def test_file_of_old_says_of_its_runs_what_it_knows(tmp_path):
    results.write(results.combine([run(0), run(1)]), tmp_path / "old.parquet", ORIGIN)
    frame = results.read(tmp_path)
    row = frame.iloc[0]
    assert row[["commit", "dirty", "device", "threads", "begun"]].tolist() == [
        "c" * 40, True, "CPU", 4, ORIGIN["started"],
    ]  # fmt: skip
    assert json.loads(row["versions"]) == {"tensorflow": "2"}
    assert row[["resumed", "digest", "note"]].isna().all()
    assert frame.attrs["provenance"][0]["parameters"] == {"epochs": 3}


def test_note_of_a_run_survives(tmp_path):
    note = "collected from checkpoints, commit of training not recorded"
    results.write(run(provenance={"commit": None, "note": note}), tmp_path / "a.parquet", ORIGIN)
    frame = results.read(tmp_path)
    assert frame["note"].unique().tolist() == [note]
    assert frame["commit"].isna().all()  # the run's own, not that of the process that wrote the file
    [origin] = frame.attrs["provenance"]
    assert (origin["commit"], origin["parameters"], origin["data_checksum"]) == (None, {"epochs": 3}, "ab")


# Not every folder: one whose first run is under way is still empty.
COMMITTED = sorted({path.parent.name for path in (ROOT / "results" / "paper").glob("*/*.parquet")})


@pytest.mark.parametrize("experiment", COMMITTED)
def test_committed_results_are_read(experiment):
    frame = results.read(ROOT / "results" / "paper" / experiment)
    assert frame.attrs["unreadable"] == {}
    assert frame[["commit", "device", "begun", "ended", "versions"]].notna().all(axis=None)


def test_without_a_path_the_papers_results_are_read_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("common.results.collection.PAPER", tmp_path / "results" / "paper")
    results.write(run(), tmp_path / "results" / "paper" / "a.parquet", {})
    monkeypatch.chdir("/")
    assert len(results.read()) == 3
    monkeypatch.undo()
    assert results.collection.PAPER == ROOT / "results" / "paper"


def test_command_line_collects_and_merges(stores, tmp_path, capsys):
    mine, theirs = stores
    record(mine, 0)
    record(theirs, 1)
    target = str(tmp_path / "all.parquet")
    assert main(["collect", str(mine.folder), "--experiment", "01_baseline_sgd", "--to", target]) == 0
    assert main(["merge", target, str(theirs.folder), "--to", target]) == 0
    assert capsys.readouterr().out == f"wrote {target}: 1 runs, 3 rows\nwrote {target}: 2 runs, 6 rows\n"
    assert main(["merge", str(tmp_path / "none.parquet"), "--to", target]) == 1
    error = capsys.readouterr().err
    assert error.endswith("none.parquet is no result file and no folder that holds one\n")
    assert error.count("\n") == 1


def test_command_line_runs_without_tensorflow():
    words = [sys.executable, "-X", "importtime", "-m", "common.results", "merge", "nowhere", "--to", "x.parquet"]
    done = subprocess.run(words, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "nowhere is no result file" in done.stderr
    assert "tensorflow" not in done.stderr


def test_a_notebook_goes_on_where_the_paper_s_results_cannot_be_read(tmp_path, monkeypatch):
    monkeypatch.setattr("common.results.collection.PAPER", tmp_path)
    said = []
    assert results.read_paper("mine", said.append) is None
    assert said[0].startswith("the paper's results are not shown: ")
    known = {"commit": "a" * 40, "device": "CPU", "begun": "2030", "ended": "2031", "digest": "d"}
    for name, epochs in {"seed0": records()[:1], "seed1": records()}.items():
        results.write(run(100, epochs=epochs, provenance=known), tmp_path / "mine" / f"{name}.parquet", {})
    assert results.read_paper("mine", said.append) is None
    assert "differs in 'epoch'" in said[-1]
    (tmp_path / "mine" / "seed0.parquet").unlink()
    assert len(results.read_paper("mine", said.append)) == len(records())
    assert len(said) == 2
    assert drawable(None, lambda frame: frame) == []
