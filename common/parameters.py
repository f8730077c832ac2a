"""What each notebook's parameters may be; a wrong one is refused before TensorFlow starts.

A notebook's second code cell calls `check`. It sees every name that the parameter cells defined, the one that papermill
injects included, so that a misspelt `papermill -p learning_rat 0.1`, which papermill only warns about, ends the run.
"""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from common.data import SPECIFICATIONS
from common.names import nearest

PARAMETER_CELL_MARK = "# Parameters"  # how papermill begins the cell that it injects; our own cells begin so too


class ParameterError(ValueError):
    """A wrong parameter. Jupyter shows its sentence and no traceback: the mistake is in the call, not in the code."""

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


def _no_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a number, not true or false")
    return value


def _spelled_whole(value: Any) -> Any:
    """Take a text such as "1e1", which YAML makes of an unquoted 1e1, for the whole number it spells."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError, OverflowError):
            return int(float(value)) if float(value).is_integer() else value
    return value


def _as_list(value: Any) -> Any:
    """Take `-p seeds 3` and `-p seeds 0,1` for the lists they mean."""
    if isinstance(value, str):
        return [part.strip() for part in value.strip("[]() ").split(",") if part.strip()]
    return value if isinstance(value, list | tuple) else [value]


Real = Annotated[float, BeforeValidator(_no_boolean), Field(allow_inf_nan=False)]
Whole = Annotated[int, BeforeValidator(_no_boolean), BeforeValidator(_spelled_whole)]
Positive = Annotated[Real, Field(gt=0)]
Count = Annotated[Whole, Field(ge=1)]
Seed = Annotated[Whole, Field(ge=0, lt=2**31)]
Seeds = Annotated[list[Seed], BeforeValidator(_as_list), Field(min_length=1)]
Counts = Annotated[list[Count], BeforeValidator(_as_list), Field(min_length=1)]


class Parameters(BaseModel):
    """What every notebook has in common; a subclass each names the rest."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    notebook: ClassVar[str]

    seeds: Seeds
    precision: Literal["float32", "mixed_bfloat16"] = "float32"
    result_file: str = ""
    checkpoint_dir: str = ""
    tensorboard_dir: str = ""
    weights_file: str = ""

    @model_validator(mode="after")
    def _files(self) -> Parameters:
        _require(len(set(self.seeds)) == len(self.seeds), "seeds", self.seeds, "each seed once")
        good = not self.result_file or self.result_file.endswith(".parquet")
        _require(good, "result_file", self.result_file, "empty or a file name that ends in .parquet")
        good = not self.weights_file or self.weights_file.endswith(".keras")
        _require(good, "weights_file", self.weights_file, "empty or a file name that ends in .keras")
        return self

    @property
    def result_path(self) -> Path:
        """Where the last cell writes: `result_file`, or results/own/ of this repository from any working folder."""
        own = Path(__file__).resolve().parents[1] / "results" / "own"
        return Path(self.result_file) if self.result_file else own / f"{self.notebook}.parquet"


class BaselineSGD(Parameters):
    """Parameters of 01_baseline_sgd."""

    notebook = "01_baseline_sgd"

    dataset: Literal["digits", "mnist", "fashion_mnist"]
    validation: Annotated[Whole, Field(ge=0)] | None
    network: Literal["mnist_convnet", "lenet5", "leaky_convnet"]
    batch_sizes: Counts
    reference_batch_size: Count
    epochs: Count
    learning_rate: Positive
    noise_scale_batches: Annotated[list[Count], BeforeValidator(_as_list), Field(min_length=2, max_length=2)]
    eager_steps: Count

    @model_validator(mode="after")
    def _batches(self) -> BaselineSGD:
        known = SPECIFICATIONS[self.dataset]
        validation = known.default_validation if self.validation is None else self.validation
        below = f"below the {known.examples:,} examples of {self.dataset!r}"
        _require(validation < known.examples, "validation", validation, below)
        training = known.examples - validation
        fits = f"at most the {training:,} training examples of {self.dataset!r}"
        _require(max(self.batch_sizes) <= training, "batch_sizes", self.batch_sizes, fits)
        _require(
            len(set(self.batch_sizes)) == len(self.batch_sizes),
            "batch_sizes",
            self.batch_sizes,
            "each size once",
        )
        listed = f"one of batch_sizes {self.batch_sizes}"
        _require(
            self.reference_batch_size in self.batch_sizes,
            "reference_batch_size",
            self.reference_batch_size,
            listed,
        )
        small, large = self.noise_scale_batches
        wanted = f"[small, large] with large a multiple of small, above it, and {fits}"
        multiple = large > small and large % small == 0 and large <= training
        _require(multiple, "noise_scale_batches", self.noise_scale_batches, wanted)
        return self


class OptimizersFromScratch(Parameters):
    """Parameters of 03_optimizers_from_scratch."""

    notebook = "03_optimizers_from_scratch"

    dataset: Literal["diabetes", "boston_housing"]
    validation: Annotated[Whole, Field(ge=1)] | None
    hidden: Counts
    learning_rates: Annotated[list[Positive], BeforeValidator(_as_list), Field(min_length=1)]
    learning_rate: Positive
    clipnorm: Positive
    momentum: Annotated[Real, Field(ge=0, lt=1)]
    batch_size: Count
    full_batch_epochs: Count
    minibatch_epochs: Count
    epochs: Count
    full_batch_record_every: Count
    record_every: Count
    newer_methods: Annotated[list[Literal["Nesterov", "RMSprop", "AdamW", "Muon"]], BeforeValidator(_as_list)]
    nothing_held_out: bool
    adaptive_learning_rate: Positive
    networks: Annotated[list[Counts], Field(min_length=1)]
    network_learning_rate: Positive
    network_epochs: Count
    line_feature: Annotated[Whole, Field(ge=0)]
    line_epochs: Count

    @model_validator(mode="after")
    def _sizes(self) -> OptimizersFromScratch:
        known = SPECIFICATIONS[self.dataset]
        validation = known.default_validation if self.validation is None else self.validation
        below = f"below the {known.examples:,} examples of {self.dataset!r}"
        _require(validation < known.examples, "validation", validation, below)
        training = known.examples - validation
        fits = f"at most the {training:,} training examples of {self.dataset!r}"
        _require(self.batch_size <= training, "batch_size", self.batch_size, fits)
        features = known.input_shape[0]
        columns = f"below the {features} features of {self.dataset!r}"
        _require(self.line_feature < features, "line_feature", self.line_feature, columns)
        for name in ("learning_rates", "newer_methods", "networks"):
            values = [str(value) for value in getattr(self, name)]
            _require(len(set(values)) == len(values), name, getattr(self, name), "each value once")
        return self


NOTEBOOKS: dict[str, type[Parameters]] = {model.notebook: model for model in (BaselineSGD, OptimizersFromScratch)}


def check(notebook: str, cells: Sequence[str], namespace: Mapping[str, Any]) -> Parameters:
    """Check a notebook's parameters; call it as `check("01_baseline_sgd", In, globals())`.

    Args:
        notebook: one of `NOTEBOOKS`.
        cells: the sources of the cells run so far (IPython's `In`). The last parameter cell and those directly before
            it, all of which begin with "# Parameters", say which names are parameters.
        namespace: where their values are.

    Returns:
        The checked parameters, frozen, with every number in its proper type: 1 where a float is meant becomes 1.0, and
        the text "1e-3", which YAML makes of an unquoted 1e-3, becomes 0.001.

    Raises:
        ParameterError: a sentence for each wrong parameter: name, value, what is allowed, the nearest valid name.
    """
    if any(cell.strip() for cell in cells):
        names = _parameter_names(cells)
    else:  # a client that keeps no history, such as nbval: then all plain values defined so far are parameters
        names = [name for name, value in namespace.items() if _is_plain(name, value)]
    if not names:
        raise ParameterError(f"no parameters: run the cell that begins with {PARAMETER_CELL_MARK!r} before this one")
    return validate(notebook, {name: namespace[name] for name in names if name in namespace})


def validate(notebook: str, values: Mapping[str, Any]) -> Parameters:
    """Check the values given for a notebook's parameters; see `check`."""
    if notebook not in NOTEBOOKS:
        raise ParameterError(f"notebook must be one of {sorted(NOTEBOOKS)}, got {notebook!r}")
    model = NOTEBOOKS[notebook]
    try:
        return model(**values)
    except ValidationError as error:
        sentences = [_sentence(entry, model) for entry in error.errors()]
        # A union or a list reports one mistake several times; say it once.
        raise ParameterError("\n".join(dict.fromkeys(sentences))) from None


def _is_plain(name: str, value: Any) -> bool:
    known_to_ipython = name.startswith("_") or name in ("In", "Out")
    return not known_to_ipython and (value is None or isinstance(value, bool | int | float | str | list | tuple))


def _parameter_names(cells: Sequence[str]) -> list[str]:
    """Names assigned in the latest run of consecutive parameter cells, in order."""
    run: list[str] = []
    for source in reversed([cell for cell in cells if cell.strip()]):
        if source.lstrip().startswith(PARAMETER_CELL_MARK):
            run.append(source)
        elif run:
            break
    names: list[str] = []
    for source in reversed(run):
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.append(node.id)
    return list(dict.fromkeys(names))


def _sentence(entry: Mapping[str, Any], model: type[Parameters]) -> str:
    """Put one pydantic error into the user's words."""
    name = str(entry["loc"][0]) if entry["loc"] else ""
    value = entry["input"]
    if entry["type"] == "extra_forbidden":
        return (
            f"unknown parameter {name!r} (= {value!r}){nearest(name, model.model_fields)}; known are {_listed(model)}"
        )
    if entry["type"] == "missing":
        return f"parameter {name!r} is missing: the parameters cell must define it"
    if not name:  # a combination, worded by _require
        return str(entry["ctx"]["error"])
    if entry["type"] == "literal_error":
        allowed = entry["ctx"]["expected"]
        return f"parameter {name!r} must be {allowed}, got {value!r}{nearest(str(value), _quoted(allowed))}"
    if entry["type"] in ("too_short", "too_long"):
        length = entry["ctx"].get("min_length") or entry["ctx"]["max_length"]
        bound = "at least" if entry["type"] == "too_short" else "at most"
        return f"parameter {name!r} must be a list of {bound} {length} value{'s' * (length > 1)}, got {value!r}"
    message = entry["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return f"parameter {name!r} must be {message}, got {value!r}"


def _require(condition: bool, name: str, value: Any, allowed: str) -> None:
    if not condition:
        raise ValueError(f"parameter {name!r} must be {allowed}, got {value!r}")


def _quoted(text: str) -> list[str]:
    return text.split("'")[1::2]


def _listed(model: type[Parameters]) -> str:
    return ", ".join(sorted(model.model_fields))
