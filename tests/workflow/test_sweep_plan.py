"""What a sweep's run takes for stored, and how many batches it expects side by side."""

import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from workflow.experiments import RESULT
from workflow.run_sweep import Plan, listing
from workflow.sweeps import Point, Sweep

ROOT = Path(__file__).resolve().parents[2]
GIVEN = {"hidden": "32, 64", "batch_size": 8.0}
STORED = {"hidden": [32, 64], "batch_size": 8}  # as the notebook reads it


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """A sweep of one point, in a folder with the real notebooks."""
    monkeypatch.chdir(tmp_path)
    Path("notebooks").symlink_to(ROOT / "notebooks")
    points = [Point("0123456789", dict(GIVEN), dict(GIVEN))]
    return Sweep("mine", "mine.yml", "00_one_direction", list(GIVEN), [], [0], points)


def store(job, content):
    """Write a result file of these parameters, or any other content."""
    path = Path(job.path(RESULT))
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        path.write_text(content)
        return
    notes = {"provenance": json.dumps({"parameters": content})}
    pyarrow.parquet.write_table(pyarrow.table({}).replace_schema_metadata(notes), path)


@pytest.mark.parametrize(
    ("content", "missing"),
    [
        (STORED | {"seeds": [0]}, False),
        (STORED | {"seeds": [1]}, True),
        (STORED | {"seeds": [0], "batch_size": 9}, True),
        (STORED | {"seeds": [0], "epochs": 10**6}, True),  # not given, and no longer the notebook's default
        ("torn", True),
    ],
)
def test_what_is_stored_is_known_by_its_parameters_as_the_notebook_reads_them(sweep, content, missing):
    [job] = sweep.jobs()
    assert Plan(sweep).is_missing(job)
    store(job, content)
    assert Plan(sweep).is_missing(job) == missing
    assert Plan(sweep, force=True).is_missing(job)


def test_a_result_that_was_put_aside_counts_as_stored(sweep):
    [job] = sweep.jobs()
    store(job, STORED | {"seeds": [0]})
    path = Path(job.path(RESULT))
    (path.parent / ".gone").mkdir()
    path.rename(path.parent / ".gone" / path.name)
    assert any("  stored  " in line for line in listing(Plan(sweep)))
    assert any("  to run  " in line for line in listing(Plan(sweep, force=True)))


def test_the_profile_says_how_many_batches_run_at_once(sweep, monkeypatch):
    monkeypatch.setattr("workflow.engine.has_gpu", lambda: False)
    assert Plan(sweep, cores=3).lanes == 3
    assert Plan(sweep).lanes >= 1
    profile = Path("workflow/profiles/cluster/config.yaml")
    profile.parent.mkdir(parents=True)
    profile.write_text("executor: slurm\njobs: 40\n")
    assert Plan(sweep, profile="cluster").lanes == 40
    assert Plan(sweep, cores=3, profile="cluster").lanes == 3
    profile.write_text("executor: slurm\n")
    assert Plan(sweep, cores=3, profile="cluster").lanes == 3
    monkeypatch.setattr("workflow.engine.has_gpu", lambda: True)
    assert Plan(sweep, cores=3).lanes == 1
