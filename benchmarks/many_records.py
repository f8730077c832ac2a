"""The time to read and summarize a sweep of many points, simulated from a sweep that was really run.

    python -m benchmarks.many_records results/sweeps/noise_by_rate --points 10000

Each point is a result file, as a job writes it, with its own numbers and swept value. Nothing is trained.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from common import results
from common.plotting.sweep import write_summary
from common.results import result_file

SEEDS, EPOCHS = 5, 5
CURVES = ("train_loss", "validation_loss", "validation_metric", "test_loss", "test_metric")


def simulate(template: Path, folder: Path, points: int) -> None:
    """Write one result file per point: five epochs of the template's run, five seeds per value of `sweep.sigma`.

    Args:
        template: a result file of a sweep.
        folder: output folder.
        points: number of points.
    """
    loaded = result_file.load(template)
    frame = loaded.frame.loc[loaded.frame["run"] == loaded.frame["run"].iloc[-1]]
    frame = frame[frame["epoch"] <= EPOCHS]
    swept = [name for name in frame if str(name).startswith("sweep.")]
    frame = frame.drop(columns=swept)
    curves = [name for name in CURVES if name in frame]
    frame.insert(frame.columns.get_loc("epoch"), "sweep.sigma", 0.0)  # in this place, it distinguishes runs
    draw = np.random.default_rng(0)
    for point in range(points):
        own = frame.assign(**{"sweep.sigma": 0.001 * (1 + point // SEEDS), "seed": point % SEEDS})
        own[curves] = own[curves] * draw.uniform(0.9, 1.0, (len(own), len(curves)))
        if "identity" in own:
            own["identity"] = f"{point:016x}"
        results.write(own, folder / f"{point:06d}-seed{point % SEEDS}.parquet", loaded.provenance[0])


def main() -> None:
    """Simulate, read and summarize a sweep, and print seconds and bytes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.many_records", description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="the folder of a sweep that was run")
    parser.add_argument("--points", type=int, default=10_000, help="result files to simulate")
    parser.add_argument("--keep", type=Path, help="write into this folder, and leave it there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary) / "many"
        folder.mkdir(parents=True, exist_ok=True)
        simulate(min(arguments.results.glob("*.parquet")), folder, arguments.points)
        moments = [time.perf_counter()]
        frame = results.read(folder)
        moments.append(time.perf_counter())
        write_summary(folder, folder)
        moments.append(time.perf_counter())
        whole = folder.parent / f"{folder.name}.parquet"
        results.collect(folder, whole)
        moments.append(time.perf_counter())
        results.read(whole)
        moments.append(time.perf_counter())
        read, summed, collected, again = np.diff(moments)
        size = (folder / "index.html").stat().st_size
        print(f"{arguments.points:,} result files, {len(frame):,} rows: read in {read:.1f} s,", end=" ")
        print(f"read and summed up in {summed:.1f} s, page of {size / 1e6:.1f} MB;", end=" ")
        print(f"made one file in {collected:.1f} s, that file read in {again:.1f} s")


if __name__ == "__main__":
    main()
