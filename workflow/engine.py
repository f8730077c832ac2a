"""Calls Snakemake: in this process, or as `python -m workflow.engine` in one of its own that ends with its parent."""

import sys
from collections.abc import Sequence
from pathlib import Path

from workflow.processes import heed_interrupts, stop_with_parent

SNAKEFILE = "workflow/Snakefile"


def call(targets: Sequence[str], cores: int | None, profile: str, extra: Sequence[str] = ()) -> list[str]:
    """Return Snakemake's command line, without its name.

    Args:
        targets: the files to make.
        cores: how many to use; None: all.
        profile: a folder of workflow/profiles.
        extra: further options.
    """
    options = [
        f"--snakefile={SNAKEFILE}",
        f"--cores={cores or 'all'}",
        "--profile=none",  # the user's general Snakemake profile is for other projects
        f"--workflow-profile=workflow/profiles/{profile}",
        *extra,
    ]
    if has_gpu():
        options.append("--resources=gpu=1")
    return [*options, "--", *targets]


def has_gpu() -> bool:
    """Whether this machine has a GPU, at which jobs take turns."""
    return Path("/dev/nvidia0").exists()


def snakemake(arguments: Sequence[str]) -> bool:
    """Run Snakemake in this process; returns whether all targets were made."""
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
