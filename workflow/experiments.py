"""Read experiments.yml and list its jobs: one job is one notebook with one set of parameters."""

import difflib
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from common.numbers import parse_numbers

PRESETS = ("quick", "paper")
EXPERIMENTS_FILE = Path("workflow/experiments.yml")

# Relative to the repository's root, where every part of the workflow runs: no stored file names a machine's folder.
NOTEBOOK = "notebooks/{notebook}.ipynb"
RESULT = "results/{preset}/{experiment}/{name}.parquet"
EXECUTED = "logs/{preset}/{experiment}/{name}.ipynb"
ERROR = "logs/{preset}/{experiment}/{name}.error.txt"
SECONDS = "logs/{preset}/{experiment}/.{name}.seconds"
# Every run that has ended, whatever asked for it, and the checkpoints of those that have not.
STORE = "results/.store"
# Inside the folder of the figures: who deletes that folder gets them drawn again.
FIGURES_DRAWN = "figures/{preset}/.{experiment}.drawn"
FIGURES_LOG = "logs/{preset}/{experiment}/figures.txt"
# Seconds until a file that another machine wrote is seen on this one, at most; as in the profiles.
LATENCY = 30.0

# A job's error file holds this until it has ended; so a job without an end is known, though its earlier result is kept.
# From there it goes on; a store that cannot be written holds nothing, and then nothing is promised.
STOPPED = f"it was stopped before it could say why; started again, it goes on from what {STORE} holds"
# The same of a job that is to run and has not begun: whatever kept it from that is told by something else.
NOT_STARTED = "it has not been started since a run asked for it"

# The one job of a notebook without seeds or variants; the jobs that run a seed each.
_ALL, _SEED = "all", "seed{}"
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
# No hyphen in front: a command line would take the name for an option.
_VARIANT_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")


class WorkflowError(Exception):
    """Error for a mistake in the call or in experiments.yml, with a message of one sentence."""


def option(parse: Callable[[str, str], Any], name: str) -> Callable[[str], Any]:
    """Return a function that reads an option of a command line, for argparse.

    Args:
        parse: a function from the string and the option's name to the value; it raises ValueError with one sentence.
        name: the option, such as "--seeds".

    Returns:
        A function that raises WorkflowError, for which argparse prints no usage of many lines.
    """

    def read(text: str) -> Any:
        try:
            return parse(text, name)
        except ValueError as error:
            raise WorkflowError(error) from None

    return read


class NotMeantError(Exception):
    """Error for YAML that says something else than its writer meant, with a message of one sentence."""


class EachKeyOnce(yaml.SafeLoader):
    """YAML loader that raises for a repeated key: PyYAML silently takes the last of several values."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        """Make a mapping; raise if a key occurs twice or is not a name."""
        first: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise NotMeantError(f"the key in line {line} is a list or a mapping; a key is a name")
            if key.value in first:
                raise NotMeantError(
                    f"{key.value} in line {line} is already in line {first[key.value]}; remove one of them"
                )
            first[str(key.value)] = line
        return super().construct_mapping(node, deep)


@dataclass(frozen=True)
class Job:
    """One notebook with one set of parameters; it makes one result file.

    Attributes:
        preset: "quick" or "paper"; "sweeps" for a job of a user's own file.
        experiment: the notebook, or the name of the sweep.
        name: the name of the job within them.
        parameters: the values that replace the notebook's defaults.
        notebook: the file notebooks/{notebook}.ipynb; by default the experiment's name.
        columns: the swept values; each gets a column `sweep.{name}` in the result file.
    """

    preset: str
    experiment: str
    name: str
    parameters: Mapping[str, Any]
    notebook: str = ""
    columns: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "notebook", self.notebook or self.experiment)

    def path(self, pattern: str) -> str:
        """Fill one of this module's path patterns for this job."""
        return pattern.format(preset=self.preset, experiment=self.experiment, name=self.name, notebook=self.notebook)

    def __str__(self) -> str:
        return self.experiment if self.name == _ALL else f"{self.experiment} {self.name}"


def _set_by_reader(parameters: dict[str, Any]) -> dict[str, Any]:
    for name, value in parameters.items():
        if name in ("result_file", "store"):
            raise ValueError(f"{name} is set by the workflow; remove it")
        if name == "seeds":
            raise ValueError("seeds stand beside `parameters`, not in it")
        if isinstance(value, str) and NUMBER.fullmatch(value):
            raise ValueError(f"{name} is the text {value!r} to YAML; write the number as {written_out(value)}")
    return parameters


def _spelled_out(seeds: Any) -> Any:
    """Convert the string "0-4" to the seeds that it names; YAML also reads an unquoted 0-4 as a string."""
    return parse_numbers(seeds, "they") if isinstance(seeds, str) else seeds


def _each_once(seeds: list[int]) -> list[int]:
    if len(set(seeds)) < len(seeds):
        raise ValueError("each seed may be there once")
    return seeds


def _names_a_job(name: str) -> str:
    if not _VARIANT_NAME.fullmatch(name):
        raise ValueError("the name of a variant is of letters, digits, _ and -, with no - in front")
    if name == _ALL or re.fullmatch(_SEED.format(r"\d+"), name):
        raise ValueError("jobs without variants are called so; give the variant another name")
    return name


Seeds = Annotated[
    list[Annotated[int, Field(ge=0, strict=True)]],
    Field(min_length=1),
    AfterValidator(_each_once),
    BeforeValidator(_spelled_out),
]


class Variant(BaseModel):
    """One job's changes to the parameters that a notebook's variants share: any parameters, and `seeds`."""

    model_config = ConfigDict(extra="allow")

    # The notebook's own parameter, not a job per seed: what all seeds share, such as trials, is then made once.
    # Not None in the file, as the variants below: it is what stands for none given.
    seeds: Seeds = Field(default=None)  # type: ignore[arg-type]  # pydantic does not check defaults

    @model_validator(mode="after")
    def _parameters_may_be_given(self) -> Self:
        _set_by_reader(self.model_extra or {})
        return self

    def over(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return these parameters, updated by the variant's."""
        return {**parameters, **(self.model_extra or {}), **({} if self.seeds is None else {"seeds": self.seeds})}


class Experiment(BaseModel):
    """The entry of a preset for one notebook."""

    model_config = ConfigDict(extra="forbid")

    parameters: Annotated[dict[str, Any], AfterValidator(_set_by_reader)]
    seeds: Seeds | None = None
    # Not None in the file: a mapping that somebody forgot to fill would silently be no variants.
    variants: Annotated[dict[Annotated[str, AfterValidator(_names_a_job)], Variant], Field(min_length=1)] = Field(
        default=None  # type: ignore[arg-type]  # pydantic does not check defaults
    )

    @model_validator(mode="after")
    def _a_job_per_seed_or_per_variant(self) -> Self:
        if self.seeds is not None and self.variants is not None:
            raise ValueError("seeds and variants exclude each other; give each variant seeds of its own")
        return self

    def jobs(self, preset: str, experiment: str) -> list[Job]:
        """List the jobs: one per variant or per seed, or a single one that runs the notebook's default seeds."""
        if self.variants is not None:
            parameters = {name: variant.over(self.parameters) for name, variant in self.variants.items()}
        elif self.seeds is not None:
            parameters = {_SEED.format(seed): {**self.parameters, "seeds": [seed]} for seed in self.seeds}
        else:
            parameters = {_ALL: self.parameters}
        return [Job(preset, experiment, name, values) for name, values in parameters.items()]


Preset = Literal["quick", "paper"]
Experiments = dict[Preset, dict[str, Experiment]]


def load(path: Path = EXPERIMENTS_FILE) -> Experiments:
    """Read and check experiments.yml.

    Args:
        path: the file, by default workflow/experiments.yml.

    Returns:
        Preset -> notebook -> `Experiment`.

    Raises:
        WorkflowError: an entry is wrong. The message is one sentence with the entry, the mistake and the nearest valid
            name.
    """
    if not path.exists():
        raise WorkflowError(f"{path} does not exist; it says which notebooks a preset runs")
    content = read_yaml(path)
    try:
        experiments = TypeAdapter(Experiments).validate_python(content)
    except ValidationError as error:
        raise WorkflowError(f"{path}: {_sentence(error)}") from None
    for preset, entries in experiments.items():
        for experiment in entries:
            _require_notebook(path, preset, experiment)
    return experiments


def read_yaml(path: Path, loader: type[yaml.SafeLoader] = EachKeyOnce) -> Any:
    """Read a YAML file.

    Raises:
        WorkflowError: the file cannot be read, is not YAML, or says something else than it seems to.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8-sig"), Loader=loader)
    except OSError as error:
        raise WorkflowError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise WorkflowError(f"{path} is no text in UTF-8") from None
    except NotMeantError as error:
        raise WorkflowError(f"{path}: {error}") from None
    except RecursionError:
        raise WorkflowError(f"{path} is no valid YAML: it is nested too deeply") from None
    except (yaml.YAMLError, ValueError) as error:
        raise WorkflowError(f"{path} is no valid YAML: {' '.join(str(error).split())}") from None


def select(
    preset: str,
    only: Collection[str] = (),
    seeds: Collection[int] = (),
    variants: Collection[str] = (),
    experiments: Experiments | None = None,
) -> list[Job]:
    """List the jobs of a preset, or a part of them.

    Args:
        preset: "quick" or "paper".
        only: names of notebooks, without extension; empty: all of the preset.
        seeds: selects the jobs of these seeds, for notebooks that have one job per seed.
        variants: selects the jobs of these variants, for notebooks that have variants. Without seeds and variants, all
            jobs are listed; with either, only those that they name.
        experiments: the result of `load`; None: it is loaded.

    Returns:
        At least one job, in the order of the file.

    Raises:
        WorkflowError: the preset does not have a name, a seed or a variant.
    """
    entries = (load() if experiments is None else experiments).get(cast(Preset, preset), {})
    if not entries:
        raise WorkflowError(f"the preset {preset!r} has no notebooks in {EXPERIMENTS_FILE}")
    for name in only:
        if name not in entries:
            raise WorkflowError(unknown(f"{name!r} is no notebook of the preset {preset!r}", name, entries))
    chosen = {name: entry for name, entry in entries.items() if not only or name in only}
    if seeds:
        _require_seeds(preset, chosen, seeds)
    if variants:
        _require_variants(preset, chosen, variants)
    jobs = [job for name, entry in chosen.items() for job in entry.jobs(preset, name)]
    wanted = {*map(_SEED.format, seeds), *variants}
    return [job for job in jobs if not wanted or job.name in wanted]


def find(preset: str, experiment: str, name: str) -> Job:
    """Return the one job of these names; raise WorkflowError if there is none."""
    jobs = {job.name: job for job in select(preset, [experiment])}
    if name not in jobs:
        raise WorkflowError(unknown(f"{name!r} is no job of {experiment} in the preset {preset!r}", name, jobs))
    return jobs[name]


def drawn_apart(preset: str, experiment: str) -> bool:
    """Return whether each result has its own figures: variants differ in data or network, seeds do not."""
    return load()[cast(Preset, preset)][experiment].variants is not None


def code_files() -> list[Path]:
    """List the code that determines a result: common/ without the code that draws existing results."""
    drawing = set(drawing_files())
    return sorted(path for path in Path("common").rglob("*.py") if path not in drawing)


def drawing_files() -> list[Path]:
    """List the code that draws figures and tables from results: common/plotting and the experiments' figures."""
    experiments = Path("common/experiments")
    figures = [*experiments.rglob("*figures.py"), *experiments.glob("__main__.py")]
    return sorted([*Path("common/plotting").rglob("*.py"), *figures])


def _require_seeds(preset: str, chosen: Mapping[str, Experiment], seeds: Collection[int]) -> None:
    seeded = [name for name, entry in chosen.items() if entry.seeds]
    allowed = sorted({seed for name in seeded for seed in chosen[name].seeds or ()})
    if not allowed:
        varied = [name for name, entry in chosen.items() if entry.variants]
        hint = f"; there are variants of {', '.join(varied)}" if varied else ""
        raise WorkflowError(
            f"the preset {preset!r} has no job per seed for {', '.join(chosen)}, so no seeds can be chosen{hint}"
        )
    for seed in seeds:
        if seed not in allowed:
            raise WorkflowError(
                f"seed {seed} is not in the preset {preset!r} for {', '.join(seeded)}; "
                f"there are {', '.join(map(str, allowed))}"
            )


def _require_variants(preset: str, chosen: Mapping[str, Experiment], variants: Collection[str]) -> None:
    varied = [name for name, entry in chosen.items() if entry.variants]
    if not varied:
        raise WorkflowError(f"the preset {preset!r} has no variants of {', '.join(chosen)}, so none can be chosen")
    known = {variant for name in varied for variant in chosen[name].variants or ()}
    for name in variants:
        if name not in known:
            problem = f"{name!r} is no variant of {', '.join(varied)} in the preset {preset!r}"
            raise WorkflowError(unknown(problem, name, known))


def _require_notebook(path: Path, preset: str, experiment: str) -> None:
    notebook = Path(NOTEBOOK.format(notebook=experiment))
    if not notebook.is_file():
        present = [file.stem for file in notebook.parent.glob("*.ipynb")]
        raise WorkflowError(unknown(f"{path}: {preset}: {notebook} does not exist", experiment, present))


def written_out(number: str) -> str:
    """Write a number without an exponent, so that YAML reads it as a number."""
    return f"{Decimal(number):f}"


def unknown(problem: str, name: str, known: Collection[str]) -> str:
    """Return a sentence on an unknown name, with the valid names and the nearest of them."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    listed = f"; there is {', '.join(sorted(known))}" if known else ""
    return problem + listed + (f"; did you mean {near[0]!r}?" if near else "")


def _sentence(error: ValidationError) -> str:
    """Return the first mistake of experiments.yml in one sentence."""
    first = error.errors()[0]
    place = ": ".join(str(part) for part in first["loc"] if part != "[key]")
    if first["type"] == "extra_forbidden":
        return unknown(f"{place} is unknown", str(first["loc"][-1]), Experiment.model_fields)
    if first["type"] == "literal_error":
        return unknown(f"{place} is no preset", str(first["loc"][0]), PRESETS)
    if first["type"] == "missing":
        return f"{place} is missing; write {{}} for the notebook's defaults"
    if first["type"] in ("model_type", "dict_type"):
        return f"{place} must be a mapping of names to values, got {first['input']!r}"
    message = first["msg"].removeprefix("Value error, ")
    return f"{place}: {message}" if first["type"] == "value_error" else f"{place}: {message}, got {first['input']!r}"
