"""Calls of Snakemake: in this process, or as `python -m workflow.engine` in a process that ends with its parent."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from workflow import cluster
from workflow.processes import heed_interrupts, stop_with_parent

SNAKEFILE = "workflow/Snakefile"


def call(targets: Sequence[str], cores: int | None, profile: str, extra: Sequence[str] = ()) -> list[str]:
    """Return Snakemake's command line, without its name.

    Args:
        targets: the files to make.
        cores: number of cores to use; None: all. On a cluster, the number of jobs with one core each; None: as in its
            profile.
        profile: a folder of workflow/profiles.
        extra: further options.
    """
    options = [
        f"--snakefile={SNAKEFILE}",
        "--profile=none",  # the user's general Snakemake profile is for other projects
        f"--workflow-profile=workflow/profiles/{profile}",
        *extra,
    ]
    if cluster.is_cluster(profile):
        options += [f"--jobs={cores}"] if cores else []
    else:
        options += [f"--cores={cores or 'all'}"] + (["--resources=gpu=1"] if has_gpu() else [])
    return [*options, "--", *targets]


def has_gpu() -> bool:
    """Return whether this machine has a GPU, on which jobs take turns."""
    return Path("/dev/nvidia0").exists()


def start(arguments: Sequence[str], stdout: IO | int | None, stderr: IO | int) -> subprocess.Popen:
    """Start Snakemake in a separate process, which leads a group and ends with this process.

    Only this process receives Ctrl-C, and it ends the group in order; see `processes.end_group`.

    Args:
        arguments: the result of `call`.
        stdout: the output of the jobs; as for subprocess.
        stderr: the output of Snakemake.
    """
    return subprocess.Popen(
        [sys.executable, "-m", "workflow.engine", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        text=True,
        errors="replace",
        start_new_session=True,
    )


def snakemake(arguments: Sequence[str]) -> bool:
    """Run Snakemake in this process; return whether all targets were made."""
    from snakemake.cli import main as snakemake_main  # takes a second; wrong names are told before

    try:
        snakemake_main(list(arguments))
    except SystemExit as end:
        return end.code == 0
    return True


if __name__ == "__main__":
    stop_with_parent()
    heed_interrupts()
    sys.exit(not snakemake(sys.argv[1:]))
