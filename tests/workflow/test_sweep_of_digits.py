"""A sweep of notebook 00 on digits: a shared kernel gives what separate processes give; one frame holds it all."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from common import results
from workflow import run as driver
from workflow import sweeps
from workflow.experiments import RESULT

ROOT = Path(__file__).resolve().parents[2]
FILE = {
    "notebook": "00_one_direction",
    "parameters": {"epochs": 2, "hidden": [8], "batch_size": 256},
    "grid": {
        "estimator": ["NoisyGradient(Backpropagation(), ConstantNoise({sigma}))"],
        "sigma": [0.1, 2],
        # Another precision and another network come between: nothing of them may stay.
        "zip": [
            {"precision": "float32", "optimizer": "SGD(0.05)"},
            {"precision": "mixed_bfloat16", "optimizer": "Adam(0.01)"},
        ],
    },
    "seeds": [0],
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Run the sweep in a project of its own, with this one's code: once with shared kernels, once job by job."""
    folder = tmp_path_factory.mktemp("a project")
    for name in ("workflow", "common", "notebooks"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "mine.yml").write_text(yaml.safe_dump(FILE, sort_keys=False))
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield folder
    finally:
        os.chdir(before)


def run_batch(folder, name, jobs):
    """Execute jobs of a sweep one after the other in one kernel."""
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"sweep": name, "jobs": [job.name for job in jobs]}))
    command = [sys.executable, "-m", "workflow.execute", "--batch", str(path), "--threads", "1"]
    # make puts the real project before everything else, whose store is another.
    return subprocess.run(command, cwd=folder, check=True, env=os.environ | {"PYTHONPATH": str(folder)})


def test_a_shared_kernel_gives_to_the_bit_what_separate_processes_give(project, capsys):
    measured = ["train_loss", "validation_loss", "test_metric", "sweep.sigma", "cosine"]
    frames = {}
    for name in ("together", "apart"):
        (project / "mine.yml").write_text(yaml.safe_dump(FILE | {"name": name}, sort_keys=False))
        sweep = sweeps.load(Path("mine.yml"))
        sweep.write()
        jobs = sweep.jobs()
        for batch in [jobs] if name == "together" else [[job] for job in jobs]:
            run_batch(project, name, batch)
        # Else the second sweep would find the runs of the first.
        (project / "results" / ".store").rename(project / f"store of {name}")
        frames[name] = {job.name: pq.read_table(job.path(RESULT)) for job in jobs}
    assert frames["together"].keys() == frames["apart"].keys()
    for job, together in frames["together"].items():
        apart = frames["apart"][job]
        assert together.column_names == apart.column_names
        differing = [name for name in together.column_names if not together[name].equals(apart[name])]
        assert set(differing) <= {"seconds", "begun", "ended", "peak_memory", "energy_joules"}, job
        assert not set(measured) & set(differing)
    # Here, since another process of the tests would have to run the sweep again.
    assert_one_frame_with_a_column_for_each_thing_swept()
    assert_a_table_a_figure_and_a_page_beside_the_results(project, capsys)


def assert_one_frame_with_a_column_for_each_thing_swept():
    frame = results.read("results/sweeps/together")
    # Backpropagation is trained beside the estimator at every point: what was swept tells these runs apart.
    assert len(results.last_rows(frame)) == 8
    assert pd.api.types.is_float_dtype(frame["sweep.sigma"])
    assert set(frame["sweep.precision"]) == {"float32", "mixed_bfloat16"}
    summary = results.summarize(frame, ["sweep.sigma", "sweep.optimizer", "run"])
    assert summary["n"].tolist() == [1] * 8
    assert frame.attrs["missing"] == []


def assert_a_table_a_figure_and_a_page_beside_the_results(project, capsys):
    assert driver.summarize_sweep("together") == 0
    printed = capsys.readouterr().out
    assert "test accuracy (%)" in printed
    assert "mixed_bfloat16" in printed
    folder = project / "results" / "sweeps" / "together"
    written = {path.name for path in folder.iterdir() if path.suffix != ".parquet"}
    assert written >= {"table.tex", "table.csv", "figure.pdf", "figure.png", "figure.txt", "index.html"}
    assert len(results.read(folder).attrs["files"]) == 4, "what was drawn is no result"


def test_results_that_cannot_be_summed_up_are_told_in_one_line(project, capsys):
    folder = project / "results" / "sweeps" / "torn"
    folder.mkdir(parents=True)
    (folder / "x.parquet").write_bytes(b"PAR1")
    assert driver.summarize_sweep("torn") == 1
    error = capsys.readouterr().err
    assert error.startswith("The results in results/sweeps/torn/ cannot be summed up: ")
    assert error.count("\n") == 1
