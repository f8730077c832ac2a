"""Runs on a Slurm cluster: requirements of its profile, reasons why jobs ended, and cancellation of jobs.

The environment variables of the profile workflow/profiles/slurm:

    CLUSTER_MEMORY     megabytes per job; default 2500
    CLUSTER_RUNTIME    minutes per job; default 120
    CLUSTER_PARTITION  partition; default the cluster's
    CLUSTER_GRES       generic resources per job, such as gpu:1; default none
"""

import difflib
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from workflow.experiments import WorkflowError

PROFILE = "workflow/profiles/{name}/config.yaml"
# Seconds that Snakemake gets to end its Slurm jobs in order: scancel alone may take a minute on a busy cluster.
PATIENCE = 90.0
_PLUGIN = "snakemake_executor_plugin_slurm"
_MEMORY, _RUNTIME = "CLUSTER_MEMORY", "CLUSTER_RUNTIME"
_GRES = re.compile(r"\w+(:[\w.]+)?(:\d+)?")
_PARTITION = re.compile(r"[\w.-]+")
_RUN = re.compile(r"SLURM run ID: ([\w-]+)")
_END = re.compile(r"SLURM-job '(\w+)' failed(?:, SLURM status is: '(\w+)'| due to a node failure)")
_REFUSED = re.compile(r"SLURM sbatch failed.*?The error message was '(.*?)'\.\n", re.DOTALL)
# What slurmd itself writes into a job's log, where the job's state does not tell.
_SIGNS = {
    "OUT_OF_MEMORY": re.compile(r"oom[-_]kill|Exceeded (job|step) memory limit|Out Of Memory"),
    "TIMEOUT": re.compile(r"DUE TO TIME LIMIT"),
}


def _whole(text: str) -> str:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise ValueError("a whole number ≥ 1")
    return str(int(text))


def _matching(pattern: re.Pattern, what: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(what)
        return text

    return check


# The default of each variable, and what checks another value.
_VARIABLES: dict[str, tuple[str, Callable[[str], str]]] = {
    _MEMORY: ("2500", _whole),
    _RUNTIME: ("120", _whole),
    "CLUSTER_PARTITION": ("", _matching(_PARTITION, "the name of a partition, as sinfo lists them")),
    "CLUSTER_GRES": ("", _matching(_GRES, "a resource and how many, such as gpu:1 or gpu:a100:1")),
}


def read_profile(name: str) -> dict[str, Any]:
    """Return the settings of a folder of workflow/profiles; empty if it cannot be read."""
    with suppress(OSError, ValueError, yaml.YAMLError):
        content = yaml.safe_load(Path(PROFILE.format(name=name)).read_text(encoding="utf-8"))
        if isinstance(content, dict):
            return content
    return {}


def is_cluster(profile: str) -> bool:
    """Return whether a profile's jobs run on other machines."""
    return read_profile(profile).get("executor", "local") != "local"


def prepare(profile: str) -> None:
    """Check the requirements of a profile for Slurm, and set its variables that the user left out.

    Raises:
        WorkflowError: a variable's value is wrong, the plugin is not installed, or this machine has no sbatch.
    """
    if read_profile(profile).get("executor") != "slurm":
        return
    for name in os.environ:
        near = difflib.get_close_matches(name, _VARIABLES, n=1, cutoff=0.85)
        if name.startswith("CLUSTER_") and name not in _VARIABLES and near:
            raise WorkflowError(f"the variable {name} is unknown; did you mean {near[0]!r}?")
    for name, (default, check) in _VARIABLES.items():
        value = os.environ.get(name, "").strip()
        try:
            os.environ[name] = check(value) if value else default
        except ValueError as error:
            raise WorkflowError(f"{name} must be {error}, got {value!r}") from None
    if importlib.util.find_spec(_PLUGIN) is None:
        command = '.venv/bin/python -m pip install -e ".[cluster]"'
        raise WorkflowError(f"the profile {profile} needs Snakemake's plugin for Slurm; install it with {command}")
    if shutil.which("sbatch") is None:
        raise WorkflowError(
            f"the profile {profile} needs Slurm's sbatch, which is not on this machine; start the command where it is, "
            "such as the cluster's login node"
        )


@dataclass(frozen=True)
class JobEnd:
    """The end of a job that did not succeed, as Slurm reports it.

    Attributes:
        id: Slurm's number of the job.
        status: Slurm's name for it, such as TIMEOUT.
        files: Snakemake's inputs and outputs of the job.
        log: the output of the job.
    """

    id: str
    status: str
    files: tuple[str, ...]
    log: Path

    def sentence(self) -> str:
        """Return what the job lacked and what to ask for."""
        goes_on = "the same command goes on from what is kept"
        match self._cause():
            case "TIMEOUT":
                minutes = int(os.environ.get(_RUNTIME) or _VARIABLES[_RUNTIME][0])
                had = f"{minutes:,} minute{'s' * (minutes != 1)}"
                what = f"ran out of time: it had {had}; ask for more with {_RUNTIME}={2 * minutes}"
            case "OUT_OF_MEMORY":
                what = f"ran out of memory{asking_for_memory()}"
            case "NODE_FAIL":
                what = "was lost with its machine"
            case "CANCELLED":
                what = "was cancelled by somebody else"
            case "PREEMPTED":
                what = "had to make room for another"
            case status:
                what = f"ended as {status}; what it wrote is in {self.log}"
        return f"its Slurm job {self.id} {what}; {goes_on}"

    def complaint(self) -> str:
        """Return the job's own reason why it could run nothing; empty if it gave none."""
        said = [line[7:].rstrip(".") for line in self._lines() if line.startswith("Error: ")]
        return said[-1] if said else ""

    def _cause(self) -> str:
        if self.status in ("FAILED", "CANCELLED"):
            text = "\n".join(self._lines())
            return next((cause for cause, sign in _SIGNS.items() if sign.search(text)), self.status)
        return self.status

    def _lines(self) -> list[str]:
        try:
            return self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return []


def asking_for_memory() -> str:
    """Return how much memory a Slurm job has and how to ask for more; empty in other processes."""
    megabytes = os.environ.get(_MEMORY, "")
    if not megabytes.isdigit():
        return ""
    return f": it had {int(megabytes):,} MB; ask for more with {_MEMORY}={2 * int(megabytes)}"


def ends_of(lines: Iterable[str]) -> Iterator[JobEnd]:
    """Read the ends of unsuccessful Slurm jobs from Snakemake's output, in the order of their ends."""
    about: re.Match | None = None
    files: list[str] = []
    for line in lines:
        key, _, value = line.strip().partition(": ")
        if found_end := _END.search(line):
            about, files = found_end, []
        elif about and key in ("input", "output"):
            files += value.split(", ")
        elif about and key == "log":
            log = value.partition(" (check log file")[0].split(", ")[-1]
            yield JobEnd(about[1], about[2] or "NODE_FAIL", tuple(files), Path(log))
            about = None


def refusals_of(lines: Iterable[str]) -> list[str]:
    """Read the reasons why Slurm did not take jobs from Snakemake's output, each reason once."""
    reasons = (" ".join(reason.split()) for reason in _REFUSED.findall("\n".join(lines) + "\n"))
    return list(dict.fromkeys(f"Slurm did not take a job: {reason}" for reason in reasons))


def cancel(lines: Sequence[str]) -> None:
    """Cancel the jobs that a Snakemake with this output submitted and did not end, such as after a kill."""
    for name in dict.fromkeys(match[1] for line in lines if (match := _RUN.search(line))):
        with suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(["scancel", f"--name={name}"], check=False, capture_output=True, timeout=60)
