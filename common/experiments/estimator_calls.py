"""The settings in estimators' `repr`s, read without TensorFlow, for runs and for diagnostics' comparisons."""

import ast
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd


def arguments(call: str, required: Sequence[str], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a constructor call by name: literals as values, an object as the name of its class.

    Args:
        call: `repr` of an estimator, such as "LogitEvolution(Likelihood(), 1.0, antithetic=True)".
        required: names of the arguments without a keyword, in order; a call may have fewer.
        defaults: values of arguments that the call may omit, since a `repr` omits defaults.
    """
    parsed = ast.parse(call, mode="eval").body
    if not isinstance(parsed, ast.Call):
        raise ValueError(f"a constructor call is wanted, such as SPSA(0.1), not {call!r}")
    given = dict(zip(required, parsed.args, strict=False))
    given |= {part.arg: part.value for part in parsed.keywords if part.arg is not None}
    return {**defaults, **{name: _value(node) for name, node in given.items()}}


def with_settings(frame: pd.DataFrame, settings: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Add parameter columns, which distinguish runs, to a tidy frame, from one mapping per row."""
    columns = pd.DataFrame(list(settings), index=frame.index)
    place = frame.columns.get_loc("epoch")
    return pd.concat([frame.iloc[:, :place], columns, frame.iloc[:, place:]], axis=1)


def compared(frame: pd.DataFrame, names: str, values: Sequence[str]) -> pd.DataFrame:
    """Return one row for each estimator that a diagnostic compared, with its `repr` and its numbers.

    Args:
        frame: a tidy frame, with arrays in the rows where the diagnostic measured.
        names: the diagnostic's column of strings.
        values: its columns of numbers, with one entry per string; NaN where a record of older code lacks one.
    """
    known = frame.reindex(columns=list(dict.fromkeys([*frame, names, *values])))
    looked = known[np.array([isinstance(cell, np.ndarray) for cell in known[names]], bool)]
    for name in values:
        pairs = zip(looked[name], looked[names], strict=True)
        filled = [value if isinstance(value, np.ndarray) else np.full(len(calls), np.nan) for value, calls in pairs]
        looked = looked.assign(**{name: pd.Series(filled, looked.index, dtype=object)})
    return looked.explode([names, *values], ignore_index=True).astype(dict.fromkeys(values, float))


def _value(node: ast.expr) -> Any:
    return ast.unparse(node.func) if isinstance(node, ast.Call) else ast.literal_eval(node)
