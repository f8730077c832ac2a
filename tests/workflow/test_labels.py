"""The columns of what a sweep varied: of their own kind, where runs are told apart, and everything else as it was."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from common import results
from workflow.experiments import RESULT, Job
from workflow.labels import has_labels, write_labelled


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder of its own to work in."""
    monkeypatch.chdir(tmp_path)


def job(name, **columns):
    """Return a job of a sweep with these values."""
    return Job("sweeps", "mine", name, {}, "00_one_direction", columns)


def write_points_result(name, **columns):
    """Write a result of two runs, the exact gradient's and another's, and label it; returns its job."""
    frames = [
        results.run_frame(
            [{"epoch": epoch, "step": 9, "test_metric": 0.5, "spectrum": np.ones((2, 3))} for epoch in (1, 2)],
            experiment="00_one_direction",
            method=run,
            seed=0,
            status="finished",
            metric="accuracy",
            run=run,
        )
        for run in ("backpropagation", "this direction")
    ]
    parameters = {"rate": 0.5, "result_file": "elsewhere.parquet"}
    provenance = results.provenance(parameters=parameters, data_checksum="c", device="CPU, 1 thread")
    results.write(results.combine(frames), "unlabelled.parquet", provenance, {"seconds": 3})
    labelled = job(name, **columns)
    write_labelled(Path("unlabelled.parquet"), labelled)
    return labelled


def test_points_are_read_as_one_frame_with_a_column_for_each_swept_name():
    write_points_result("a", sigma=0.1, epochs=2, exact=True, optimizer="SGD(0.1)", hidden=[8, 8], validation=None)
    write_points_result("b", sigma=1, epochs=3, exact=False, optimizer="SGD(0.2)", hidden=[8], validation=100)
    Path("results/sweeps/mine/sweep.json").write_text("{}")
    frame = results.read("results/sweeps/mine")
    assert len(frame) == 8
    assert frame.groupby("run").size().tolist() == [4, 4]
    swept = [name for name in results.run_columns(frame) if name.startswith("sweep.")]
    assert swept == [f"sweep.{name}" for name in ("sigma", "epochs", "exact", "optimizer", "hidden", "validation")]
    last = results.last_rows(frame)
    assert last["sweep.sigma"].tolist() == [0.1, 0.1, 1, 1]
    assert pd.api.types.is_integer_dtype(last["sweep.epochs"])
    assert last["sweep.exact"].tolist() == [True, True, False, False]
    assert last["sweep.optimizer"].tolist() == ["SGD(0.1)"] * 2 + ["SGD(0.2)"] * 2
    assert last["sweep.hidden"].tolist() == ["[8, 8]"] * 2 + ["[8]"] * 2
    assert last["sweep.validation"].isna().tolist() == [True, True, False, False]
    assert results.summarize(frame, ["sweep.sigma", "run"])["n"].tolist() == [1] * 4


def test_numbers_in_one_point_and_texts_in_another_become_texts():
    write_points_result("a", rate=0.1)
    write_points_result("b", rate="fast")
    assert results.last_rows(results.read("results/sweeps/mine"))["sweep.rate"].tolist() == ["0.1"] * 2 + ["fast"] * 2


def test_all_else_is_as_it_was():
    labelled = write_points_result("a", sigma=0.1)
    before, after = (pq.read_table(path) for path in ("unlabelled.parquet", labelled.path(RESULT)))
    assert after.drop_columns(["sweep.sigma"]).equals(before)
    assert after.column_names.index("sweep.sigma") == after.column_names.index("epoch") - 1
    old, new = before.schema.metadata, after.schema.metadata
    assert {key: old[key] for key in old if key != b"provenance"} == {
        key: new[key] for key in new if key not in (b"provenance", b"sweep")
    }
    parameters = json.loads(new[b"provenance"])["parameters"]
    assert parameters == {"rate": 0.5, "result_file": labelled.path(RESULT)}
    frame = results.read("results/sweeps/mine")
    assert all(np.array_equal(array, np.ones((2, 3))) for array in frame["spectrum"])
    assert frame.attrs["measurements"] == [{"seconds": 3}]


def test_columns_of_former_names_are_replaced():
    first = write_points_result("a", sigma=0.1, epochs=3)
    assert has_labels(first)
    for columns in ({"sigma": 0.1}, {"sigma": 0.1, "epochs": 4}, {"epochs": 3, "sigma": 0.1}):
        renamed = job("a", **columns)
        assert not has_labels(renamed)
        write_labelled(Path(renamed.path(RESULT)), renamed)
        assert has_labels(renamed)
        names = [name for name in results.read("results/sweeps/mine") if name.startswith("sweep.")]
        assert names == [f"sweep.{name}" for name in columns]


def test_a_result_that_is_not_there_or_not_readable_has_no_columns():
    assert not has_labels(job("b", sigma=1))
    Path("results/sweeps/mine").mkdir(parents=True)
    Path("results/sweeps/mine/b.parquet").write_text("torn")
    assert not has_labels(job("b", sigma=1))
