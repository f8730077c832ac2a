"""The allowed parameters of notebook 00_one_direction."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from common.checks import nearest
from common.experiments.fields import (
    Count,
    CountsOrEmpty,
    Images,
    Network,
    Parameters,
    Whole,
    require_at_most,
    require_hidden_for_mlp,
    training_examples,
)

COMMON = Path(__file__).resolve().parents[2]


class OneDirection(Parameters):
    """Parameters of 00_one_direction."""

    notebook = "00_one_direction"

    dataset: Images
    validation: Annotated[Whole, Field(ge=0)] | None
    network: Network
    hidden: CountsOrEmpty
    estimator: str
    optimizer: str
    batch_size: Count
    epochs: Count

    @model_validator(mode="after")
    def _fits(self) -> OneDirection:
        training, fits = training_examples(self.dataset, self.validation)
        require_at_most(self, ("batch_size",), training, fits)
        require_hidden_for_mlp(self)
        require_known_names("estimator", self.estimator, classes_of("estimators", "optimizers"))
        require_known_names("optimizer", self.optimizer, None)
        return self


@cache
def classes_of(*folders: str) -> tuple[str, ...]:
    """Return the public classes of folders of common/, read as text, before TensorFlow starts."""
    files = (path for folder in folders for path in sorted((COMMON / folder).rglob("*.py")))
    statements = (node for path in files for node in ast.parse(path.read_text(encoding="utf-8")).body)
    return tuple(node.name for node in statements if isinstance(node, ast.ClassDef) and node.name[0] != "_")


def require_known_names(parameter: str, expression: str, known: tuple[str, ...] | None) -> None:
    """Raise unless a string is a constructor call with known names, before TensorFlow starts.

    Arguments are checked when the call is made. Only Keras knows its own optimizers.
    """
    try:
        call = ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        call = None
    if not isinstance(call, ast.Call):
        example = "Backpropagation()" if parameter == "estimator" else "SGD(0.1)"
        raise ValueError(f"parameter {parameter!r} must be a constructor call such as {example!r}, got {expression!r}")
    name = ast.unparse(call.func)
    if known is not None and name not in known:
        raise ValueError(f"parameter {parameter!r} names no {parameter}: {name!r}{nearest(name, known)}")
