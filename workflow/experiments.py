"""Reads experiments.yml and says which jobs it asks for: one job is one notebook with one set of parameters."""

import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

PRESETS = ("quick", "paper")
EXPERIMENTS_FILE = Path("workflow/experiments.yml")

# Relative to the repository's root, where every part of the workflow runs: no stored file names a machine's folder.
NOTEBOOK = "notebooks/{experiment}.ipynb"
RESULT = "results/{preset}/{experiment}/{name}.parquet"
EXECUTED = "logs/{preset}/{experiment}/{name}.ipynb"
ERROR = "logs/{preset}/{experiment}/{name}.error.txt"
# Every run that has ended, whatever asked for it, and the checkpoints of those that have not.
STORE = "results/.store"
# Inside the folder of the figures: who deletes that folder gets them drawn again.
FIGURES_DRAWN = "figures/{preset}/.{experiment}.drawn"
FIGURES_LOG = "logs/{preset}/{experiment}/figures.txt"

# A job's error file holds this until it has ended; so a job without an end is known, though its earlier result is kept.
STOPPED = "it was stopped before it could say why, logs/snakemake.txt may tell; started again, it goes on"

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


class WorkflowError(Exception):
    """A mistake in the call or in experiments.yml, told in one sentence."""


class _RepeatedKeyError(Exception):
    """A key stands twice in one mapping."""


class _EachKeyOnce(yaml.SafeLoader):
    """YAML as it is meant: PyYAML silently takes the last of several values of a key."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        first: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if key.value in first:
                raise _RepeatedKeyError(
                    f"{key.value} in line {line} is already in line {first[key.value]}; remove one of them"
                )
            first[str(key.value)] = line
        return super().construct_mapping(node, deep)


@dataclass(frozen=True)
class Job:
    """One notebook with one set of parameters; it makes one result file."""

    preset: str
    experiment: str
    name: str
    parameters: Mapping[str, Any]

    def path(self, pattern: str) -> str:
        """Fill one of this module's path patterns for this job."""
        return pattern.format(preset=self.preset, experiment=self.experiment, name=self.name)

    def __str__(self) -> str:
        return self.experiment if self.name == "all" else f"{self.experiment} {self.name}"


def _set_by_reader(parameters: dict[str, Any]) -> dict[str, Any]:
    for name, value in parameters.items():
        if name in ("result_file", "store"):
            raise ValueError(f"{name} is set by the workflow; remove it")
        if name == "seeds":
            raise ValueError("seeds stand beside `parameters`, not in it")
        if isinstance(value, str) and _NUMBER.fullmatch(value):
            raise ValueError(f"{name} is the text {value!r} to YAML; write the number as {float(value):f}")
    return parameters


def _each_once(seeds: list[int] | None) -> list[int] | None:
    if seeds is not None and len(set(seeds)) < len(seeds):
        raise ValueError("each seed may be there once")
    return seeds


class Experiment(BaseModel):
    """What a preset says about one notebook."""

    model_config = ConfigDict(extra="forbid")

    parameters: Annotated[dict[str, Any], AfterValidator(_set_by_reader)]
    seeds: Annotated[
        list[Annotated[int, Field(ge=0, strict=True)]] | None, Field(min_length=1), AfterValidator(_each_once)
    ] = None

    def jobs(self, preset: str, experiment: str) -> list[Job]:
        """List the jobs: one per seed, or a single one that runs the notebook's default seeds."""
        if self.seeds is None:
            return [Job(preset, experiment, "all", self.parameters)]
        return [Job(preset, experiment, f"seed{seed}", {**self.parameters, "seeds": [seed]}) for seed in self.seeds]


Experiments = dict[Literal["quick", "paper"], dict[str, Experiment]]


def load(path: Path = EXPERIMENTS_FILE) -> Experiments:
    """Read and check experiments.yml.

    Args:
        path: the file, by default workflow/experiments.yml.

    Returns:
        Preset -> notebook -> `Experiment`.

    Raises:
        WorkflowError: one sentence that names the entry, what is wrong with it and the nearest valid name.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_EachKeyOnce)
    except FileNotFoundError:
        raise WorkflowError(f"{path} does not exist; it says which notebooks a preset runs") from None
    except _RepeatedKeyError as error:
        raise WorkflowError(f"{path}: {error}") from None
    except yaml.YAMLError as error:
        raise WorkflowError(f"{path} is no valid YAML: {' '.join(str(error).split())}") from None
    try:
        experiments = TypeAdapter(Experiments).validate_python(content)
    except ValidationError as error:
        raise WorkflowError(f"{path}: {_sentence(error)}") from None
    for preset, entries in experiments.items():
        for experiment in entries:
            _require_notebook(path, preset, experiment)
    return experiments


def select(
    preset: str, only: Collection[str] = (), seeds: Collection[int] = (), experiments: Experiments | None = None
) -> list[Job]:
    """List the jobs of a preset, or a part of them.

    Args:
        preset: "quick" or "paper".
        only: names of notebooks, without ending; empty: all of the preset.
        seeds: the seeds to run; empty: all. Only for notebooks that have one job per seed.
        experiments: what `load` returns; None: load it.

    Returns:
        At least one job, in the order of the file.

    Raises:
        WorkflowError: for a name or a seed that the preset does not have.
    """
    entries = (load() if experiments is None else experiments).get(preset, {})
    if not entries:
        raise WorkflowError(f"the preset {preset!r} has no notebooks in {EXPERIMENTS_FILE}")
    for name in only:
        if name not in entries:
            raise WorkflowError(_unknown(f"{name!r} is no notebook of the preset {preset!r}", name, entries))
    chosen = {name: entry for name, entry in entries.items() if not only or name in only}
    if seeds:
        _require_seeds(preset, chosen, seeds)
    jobs = [job for name, entry in chosen.items() for job in entry.jobs(preset, name)]
    return [job for job in jobs if not seeds or set(job.parameters.get("seeds", ())) & set(seeds)]


def find(preset: str, experiment: str, name: str) -> Job:
    """Return the one job of these names; raises WorkflowError when there is none."""
    jobs = {job.name: job for job in select(preset, [experiment])}
    if name not in jobs:
        raise WorkflowError(_unknown(f"{name!r} is no job of {experiment} in the preset {preset!r}", name, jobs))
    return jobs[name]


def code_files() -> list[Path]:
    """List the code that decides a result: common/ without what draws results that are there."""
    drawing = set(drawing_files())
    return sorted(path for path in Path("common").rglob("*.py") if path not in drawing)


def drawing_files() -> list[Path]:
    """List the code that draws figures and tables from results: common/plotting and the experiments' figures."""
    experiments = Path("common/experiments")
    figures = [*experiments.rglob("*figures.py"), *experiments.glob("__main__.py")]
    return sorted([*Path("common/plotting").rglob("*.py"), *figures])


def _require_seeds(preset: str, chosen: Mapping[str, Experiment], seeds: Collection[int]) -> None:
    allowed = sorted({seed for entry in chosen.values() for seed in entry.seeds or ()})
    if not allowed:
        raise WorkflowError(
            f"the preset {preset!r} runs {', '.join(chosen)} in one job each, so no seeds can be chosen"
        )
    for seed in seeds:
        if seed not in allowed:
            raise WorkflowError(
                f"seed {seed} is not in the preset {preset!r} for {', '.join(chosen)}; "
                f"there are {', '.join(map(str, allowed))}"
            )


def _require_notebook(path: Path, preset: str, experiment: str) -> None:
    notebook = Path(NOTEBOOK.format(experiment=experiment))
    if not notebook.is_file():
        present = [file.stem for file in notebook.parent.glob("*.ipynb")]
        raise WorkflowError(_unknown(f"{path}: {preset}: {notebook} does not exist", experiment, present))


def _unknown(problem: str, name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    listed = f"; there is {', '.join(sorted(known))}" if known else ""
    return problem + listed + (f"; did you mean {near[0]!r}?" if near else "")


def _sentence(error: ValidationError) -> str:
    """Say the first mistake of experiments.yml in one sentence."""
    first = error.errors()[0]
    place = ": ".join(str(part) for part in first["loc"] if part != "[key]")
    if first["type"] == "extra_forbidden":
        return _unknown(f"{place} is unknown", str(first["loc"][-1]), Experiment.model_fields)
    if first["type"] == "literal_error":
        return _unknown(f"{place} is no preset", str(first["loc"][0]), PRESETS)
    if first["type"] == "missing":
        return f"{place} is missing; write {{}} for the notebook's defaults"
    message = first["msg"].removeprefix("Value error, ")
    return f"{place}: {message}" if first["type"] == "value_error" else f"{place}: {message}, got {first['input']!r}"
