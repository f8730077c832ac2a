"""Prints the table of ratios; every row is measured in this run."""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.timing import median_ratio, race

FULL_EPOCH = 60_000

# (what, over what, at most): the limits that this project sets itself on two cores.
LIMITS = [
    ("our loop, float32", "Keras fit, tf.data, no XLA", 1.0),
    ("our loop, float32", "Keras fit as it comes", 0.2),
    ("our loop, mixed_bfloat16", "our loop, float32", 0.65),
    ("our loop, float32", "PyTorch, eager", None),
]
IMPORT_LIMIT = 2.0  # seconds
MEMORY_LIMIT = 1.5  # GB


def main() -> None:
    """Measure and print; exceeding a limit is printed, not an error: timings are no test."""
    arguments = _arguments()
    from benchmarks import baseline

    data = baseline.images(arguments.examples)
    timings = race(baseline.subjects(data, with_xla=not arguments.skip_xla), arguments.rounds)
    scale = FULL_EPOCH / arguments.examples
    print(f"\nmnist_convnet, batch 128, {arguments.examples:,} images, seconds scaled to {FULL_EPOCH:,}; {_machine()}")
    print(f"{'':28} {'median':>8} {'spread':>8}   of {arguments.rounds} rounds")
    for name, timing in timings.items():
        print(f"{name:28} {scale * timing.median:7.1f}s {scale * timing.spread:7.1f}s")
    print()
    for subject, reference, limit in LIMITS:
        if reference in timings:
            _verdict(f"{subject} / {reference}", median_ratio(timings, subject, reference), limit, "")
    _verdict("import common.plotting, common.results", _import_seconds(arguments.rounds), IMPORT_LIMIT, " s")
    _verdict("peak memory, one MNIST-sized run", _peak_memory(), MEMORY_LIMIT, " GB")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--examples", type=int, default=6_400, help="images an epoch; 60000 for the whole of MNIST")
    parser.add_argument("--rounds", type=int, default=5, help="rounds after the warm-up")
    parser.add_argument("--skip-xla", action="store_true", help="leave out Keras' default, which is slow on CPUs")
    return parser.parse_args()


def _verdict(what: str, value: float, limit: float | None, unit: str) -> None:
    verdict = "" if limit is None else f"at most {limit}{unit}: {'holds' if value <= limit else 'DOES NOT HOLD'}"
    print(f"{what:58} {value:6.2f}{unit:3}  {verdict}")


def _import_seconds(rounds: int) -> float:
    code = "import common.plotting, common.results, sys; sys.exit('tensorflow' in sys.modules)"
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def _peak_memory() -> float:
    """Peak resident memory, in GB, of a process that trains one epoch on 60,000 images and evaluates on 10,000."""
    subprocess.run([sys.executable, "-m", "benchmarks.whole_run"], check=True, stderr=subprocess.DEVNULL)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return peak * (1 if platform.system() == "Darwin" else 1024) / 1e9  # macOS counts bytes, Linux KiB


def _machine() -> str:
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    return f"{len(gpus)} GPU" if gpus else f"{os.cpu_count()} CPU cores, {_bfloat16_hardware()}"


def _bfloat16_hardware() -> str:
    """Without the instructions, oneDNN emulates bfloat16 and is far slower than in float32: no fault of the loop."""
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return "bfloat16 instructions unknown"
    found = [flag for flag in ("amx_bf16", "avx512_bf16") if flag in flags]
    return f"bfloat16 instructions: {', '.join(found) or 'none'}"


if __name__ == "__main__":
    main()
