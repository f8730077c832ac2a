"""Users' own sweeps: a file names a notebook, parameter values and seeds; a job is a point × a seed.

    notebook: 00_one_direction
    parameters: {epochs: 5}              # the same at every point
    grid:                                # the product of everything here
      estimator: ["NoisyGradient(Backpropagation(), ConstantNoise({sigma}))"]
      sigma: [0.1, 1]                    # not a parameter of the notebook: it fills the field {sigma}
      zip:                               # values that vary together; a list of such lists for several groups
        - {batch_size: 32, optimizer: SGD(0.05)}
        - {batch_size: 128, optimizer: SGD(0.1)}
      random: {count: 20, seed: 0, epochs: {low: 1, high: 9}}
    seeds: 0-4
    name: mine                           # by default the file's name without its ending

Everything is checked before the first job starts: names, values, and each point with each seed, by the notebook's own
check of its parameters.
"""

import hashlib
import itertools
import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from common.atomic import replacing
from common.notebook_parameters import FILES
from common.numbers import parse_numbers
from workflow.experiments import NOTEBOOK, RESULT, Job, WorkflowError, read_yaml, unknown
from workflow.grid import (
    MOST,
    NAME,
    Assignment,
    Axis,
    MistakeError,
    axes_of,
    fields_in,
    filled,
    refuse_circles,
    require_plain,
)
from workflow.plain_yaml import PlainValues
from workflow.stored import defaults_of

PRESET = "sweeps"  # stands in the paths where a preset's name does
RESULTS = "results/sweeps/{name}"
LOGS = "logs/sweeps/{name}"
# What the file asked for, told to other processes: they may see no more than the repository's folder.
POINTS = "results/sweeps/{name}/sweep.json"
# Results of points that the file no longer has. Reading the folder of results passes over it.
GONE = "results/sweeps/{name}/.gone"
MANY_JOBS = 10_000
_SWEEP_NAME = re.compile(r"\w[\w.+-]{0,99}")
_EXAMPLES = {
    "notebook": "notebook: 00_one_direction",
    "grid": "grid: {sigma: [0.1, 1]}",
    "seeds": "seeds: 0-4",
}


@dataclass(frozen=True)
class Point:
    """One setting of a sweep.

    Attributes:
        id: the first ten hexadecimal digits of the digest of notebook and parameters.
        values: the swept values, with fields filled in, in the order of the file.
        parameters: the notebook's parameters: shared and swept ones, without seeds.
    """

    id: str
    values: dict[str, Any]
    parameters: dict[str, Any]

    def __str__(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self.values.items())


@dataclass(frozen=True)
class Sweep:
    """A file's points and seeds.

    Attributes:
        name: the name of the folders of results and logs.
        file: its path within the repository; elsewhere its name without the folder.
        notebook: its name without folder and extension.
        swept: the names that vary, in the order of the file.
        filled: the names whose values contain fields, so that other names already show how they vary.
        seeds: the seeds; each gives one job at every point.
        points: the points in the order of the file; the last name varies fastest.
    """

    name: str
    file: str
    notebook: str
    swept: list[str]
    filled: list[str]
    seeds: list[int]
    points: list[Point]

    def jobs(self) -> list[Job]:
        """List the jobs, all seeds of a point before the next point."""
        return [self._job(point, seed) for point in self.points for seed in self.seeds]

    def _job(self, point: Point, seed: int) -> Job:
        parameters = {**point.parameters, "seeds": [seed]}
        return Job(PRESET, self.name, f"{point.id}-seed{seed}", parameters, self.notebook, point.values)

    def path(self, pattern: str) -> Path:
        """Fill one of this module's path patterns."""
        return Path(pattern.format(name=self.name))

    def write(self) -> None:
        """Write sweep.json, completely or not at all."""
        with replacing(self.path(POINTS)) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


def read(name: str) -> Sweep:
    """Return a sweep as stored by its last run.

    Raises:
        WorkflowError: there is no sweep of this name, or its sweep.json cannot be read.
    """
    path = Path(POINTS.format(name=name))
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        points = [Point(**point) for point in about.pop("points")]
        return Sweep(**about, points=points)
    except FileNotFoundError:
        known = sorted(file.parent.name for file in Path(RESULTS.format(name="")).glob("*/sweep.json"))
        raise WorkflowError(unknown(f"there is no sweep {name!r} in results/sweeps", name, known)) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WorkflowError(f"{path} cannot be read ({error}); run the sweep again") from None


def find(name: str, job_name: str) -> Job:
    """Return the one job of this name in a sweep that was run; raise WorkflowError if there is none."""
    jobs = {job.name: job for job in read(name).jobs()}
    if job_name not in jobs:
        raise WorkflowError(f"{job_name!r} is no job of the sweep {name!r}")
    return jobs[job_name]


def result_files(name: str) -> list[Path]:
    """List the results of a sweep, for the points and seeds that its file had at the last run."""
    paths = [Path(job.path(RESULT)) for job in read(name).jobs()]
    return [path for path in paths if path.exists()]


def load(path: Path, *, many: bool = False) -> Sweep:
    """Read a sweep's file and check all its settings.

    Args:
        path: the file, in any folder.
        many: whether more than `MANY_JOBS` jobs are intended.

    Raises:
        WorkflowError: the file is wrong. The message is one sentence with the place, the mistake and the nearest valid
            name.
    """
    if not path.exists():
        near = [file.name for file in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        raise WorkflowError(unknown(f"the sweep file {path} does not exist", path.name, near))
    content = read_yaml(path, PlainValues)
    try:
        return _resolved(_File.parsed(content, path.stem), path, many)
    except MistakeError as mistake:
        raise WorkflowError(f"{path}: {mistake}") from None


def _seeds(value: Any) -> list[int]:
    listed = value if isinstance(value, list) else [value]
    if isinstance(value, str):
        return parse_numbers(value, "seeds")
    for seed in listed:
        if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
            raise ValueError(f"must be whole numbers ≥ 0 and ranges of them, such as 0-4 or 0,2,5-7, got {seed!r}")
    return parse_numbers(" ".join(map(str, listed)), "seeds")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"must be a text, got {value!r}")
    return value


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"must be a mapping of names to values, got {value!r}")
    for name in value:
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise ValueError(f"must be a mapping of names to values; {name!r} is no name")
    return value


def _filled_mapping(value: Any) -> dict[str, Any]:
    if not _mapping(value):
        raise ValueError("must be a mapping with at least one name, such as {sigma: [0.1, 1]}; the product is empty")
    return value


def _sweep_name(value: Any) -> str:
    if not isinstance(value, str) or not _SWEEP_NAME.fullmatch(value):
        allowed = "up to 100 letters, digits, _, -, + and ., with a letter, digit or _ in front"
        raise ValueError(f"must be {allowed}, got {value!r}")
    return value


class _File(BaseModel):
    """The keys of a sweep's file."""

    model_config = ConfigDict(extra="forbid")

    notebook: Annotated[str, BeforeValidator(_text)]
    parameters: Annotated[dict[str, Any], BeforeValidator(_mapping)] = Field(default_factory=dict)
    grid: Annotated[dict[str, Any], BeforeValidator(_filled_mapping)]
    seeds: Annotated[list[int], BeforeValidator(_seeds)]
    name: Annotated[str, BeforeValidator(_sweep_name)]

    @classmethod
    def parsed(cls, content: Any, stem: str) -> Self:
        """Check the keys and the types of their values; the file's name without extension names the sweep."""
        if not isinstance(content, dict):
            raise MistakeError(f"it must be a mapping with {', '.join(cls.model_fields)}, got {content!r}")
        try:
            # Spaces are usual in names of files, and a nuisance in those of folders.
            named = {"name": re.sub(r"\s+", "_", stem), **{str(key): value for key, value in content.items()}}
            return cls.model_validate(named)
        except ValidationError as error:
            first = error.errors()[0]
        key = str(first["loc"][0])
        if first["type"] == "extra_forbidden":
            raise MistakeError(unknown(f"{key} is unknown", key, cls.model_fields)) from None
        if first["type"] == "missing":
            raise MistakeError(f"{key} is missing; write such as {_EXAMPLES[key]}") from None
        if key == "name" and "name" not in content:
            raise MistakeError(f"its name {stem!r} can be no sweep's; give it one, such as name: mine") from None
        words = first["msg"].removeprefix("Value error, ").removeprefix(f"{key} ")
        raise MistakeError(f"{key} {words}" if words.startswith("must") else f"{key}: {words}") from None


def _require_notebook(notebook: str) -> None:
    from common.experiments.parameters import NOTEBOOKS

    known = [name for name in NOTEBOOKS if Path(NOTEBOOK.format(notebook=name)).is_file()]
    if notebook not in known:
        raise MistakeError(unknown(f"notebook {notebook!r} does not exist", notebook, known))


def _resolved(file: _File, path: Path, many: bool) -> Sweep:
    _require_notebook(file.notebook)
    axes = axes_of(file.grid)
    swept = [name for axis in axes for name in axis[0]]
    _require_size(axes, len(file.seeds), many)
    _check_names(file, swept)
    values = {name: [entry[name] for axis in axes for entry in axis if name in entry] for name in swept}
    used = fields_in(values | {name: [value] for name, value in file.parameters.items()}, swept)
    _check_use(file.notebook, swept, set().union(*used.values()))
    refuse_circles({name: used[name] for name in swept})
    points = [_point(file, assignment) for assignment in _product(axes)]
    _check_points(file, points)
    return Sweep(
        name=file.name,
        file=_portable(path),
        notebook=file.notebook,
        swept=swept,
        filled=[name for name in swept if used[name]],
        seeds=file.seeds,
        points=points,
    )


def _require_size(axes: Sequence[Axis], seeds: int, many: bool) -> None:
    count = math.prod(map(len, axes)) * seeds
    if count > MOST:
        raise MistakeError(f"it asks for {count:,} jobs; {MOST:,} is the most that one sweep can have")
    if count > MANY_JOBS and not many:
        raise MistakeError(f"it asks for {count:,} jobs, more than {MANY_JOBS:,}; if they are meant, add --yes (YES=1)")


def _product(axes: Sequence[Axis]) -> Iterator[Assignment]:
    for entries in itertools.product(*axes):
        yield {name: value for entry in entries for name, value in entry.items()}


def _check_names(file: _File, swept: Sequence[str]) -> None:
    known = _parameters_of(file.notebook)
    for place, names in (("parameters", file.parameters), ("grid", swept)):
        for name in names:
            if name == "seeds":
                raise MistakeError(f"{place}: seeds stand beside the grid and the parameters, not in them")
            if name in ("result_file", "store"):
                raise MistakeError(f"{place}: {name} is set by the workflow; remove it")
            if name in FILES:
                raise MistakeError(f"{place}: all jobs would write the same {name}; remove it")
    for name, value in file.parameters.items():
        if name not in known:
            raise MistakeError(unknown(f"parameters: {name} is no parameter of {file.notebook}", name, known))
        if name in swept:
            raise MistakeError(f"{name} stands in the parameters and in the grid; remove one of them")
        require_plain(f"parameters: {name}", value)


def _check_use(notebook: str, swept: Sequence[str], used: set[str]) -> None:
    known = _parameters_of(notebook)
    for name in swept:
        if name not in known and name not in used:
            problem = f"grid: {name} is no parameter of {notebook}, and no field {{{name}}} uses it"
            raise MistakeError(unknown(problem, name, known))


def _parameters_of(notebook: str) -> list[str]:
    from common.experiments.parameters import NOTEBOOKS

    own = set(FILES) | {"seeds"}
    return [name for name in NOTEBOOKS[notebook].model_fields if name not in own]


def _point(file: _File, assignment: Assignment) -> Point:
    known = _parameters_of(file.notebook)
    values = {name: filled(value, assignment) for name, value in assignment.items()}
    shared = {name: filled(value, assignment) for name, value in file.parameters.items()}
    parameters = shared | {name: value for name, value in values.items() if name in known}
    identity = json.dumps({"notebook": file.notebook, "parameters": parameters}, sort_keys=True)
    return Point(hashlib.sha256(identity.encode()).hexdigest()[:10], values, parameters)


def _check_points(file: _File, points: Sequence[Point]) -> None:
    """Check every point with every seed as the notebook itself does, and check that no two are the same."""
    from common.experiments.parameters import ParameterError, validate

    defaults = defaults_of(Job(PRESET, file.name, "", {}, file.notebook))
    first: dict[str, int] = {}
    for number, point in enumerate(points, 1):
        for seed in file.seeds:
            try:
                checked = validate(file.notebook, {**defaults, **point.parameters, "seeds": [seed]})
            except ParameterError as error:
                place = f"point {number} of {len(points)} ({point}), seed {seed}"
                raise MistakeError(f"{place}: {'; '.join(str(error).splitlines())}") from None
        # As checked: 1 and 1.0 are the same rate.
        for key in (point.id, json.dumps(checked.model_dump(), sort_keys=True, default=str)):
            if first.setdefault(key, number) != number:
                places = f"point {first[key]} ({points[first[key] - 1]}) and point {number} ({point})"
                raise MistakeError(f"{places} give {file.notebook} the same parameters")


def _portable(path: Path) -> str:
    """Return a file's name without a folder of this machine."""
    resolved, root = path.resolve(), Path.cwd()
    return str(resolved.relative_to(root)) if resolved.is_relative_to(root) else resolved.name
