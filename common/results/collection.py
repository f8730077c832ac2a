"""Many result files and records become one frame or one file, without duplicates or names with two meanings."""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from common.results.files import files_below, listed, load_all, nearest_path, result_files
from common.results.frame import bare, combine, plain, refuse_two_meanings, run_columns
from common.results.result_file import ResultFile, write_table
from common.user_paths import REPOSITORY, located

PAPER = REPOSITORY / "results" / "paper"
_FILE = "_file"
_NAMED = 3  # files in a sentence

Paths = str | os.PathLike | Iterable[str | os.PathLike]


def read(paths: Paths | None = None, expected: Iterable[str | os.PathLike] | None = None) -> pd.DataFrame:
    """Read result files into one frame; missing and unreadable files are listed.

    Args:
        paths: a result file, a folder (searched with its subfolders), or several of them. Each is relative to the
            working directory or, if it does not exist there, to this repository, as in a notebook. None: this
            repository's results/paper.
        expected: files that should exist; the others are listed in attrs["missing"].

    Returns:
        All rows; parameters that a file does not have are NA in its rows. A record in two files (with the same digest
        and rows) appears once, such as the trials that the jobs of several seeds share. Every run has the columns of
        `PROVENANCE`. An old file gives the provenance of the process that wrote it for all its runs. `attrs` has
        "files" (those read), "missing" (list), "unreadable" (file -> reason), "provenance" and "measurements".
        "provenance" is as `provenance`: one dict per file, or one for each set of runs that share one. "measurements"
        has one dict per notebook or record.

    Raises:
        FileNotFoundError: no file can be read; the message gives the nearest path that exists.
        TypeError: an argument is no path.
        ValueError: two files hold the same run (experiment, method, parameters and seed), and not the same record. Also
            if a name is a parameter in one file and a diagnostic in another.

    Example:
        >>> import tempfile
        >>> from common.results import run_frame
        >>> known = {"experiment": "mine", "method": "SPSA", "status": "finished", "metric": "accuracy"}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for seed, loss in enumerate([0.5, 0.25]):
        ...         frame = run_frame([{"epoch": 1, "step": 40, "train_loss": loss}], seed=seed, **known)
        ...         written = collect(frame, Path(folder, f"{seed}.parquet"))
        ...     read(folder)[["seed", "train_loss"]].values.tolist()
        [[0.0, 0.5], [1.0, 0.25]]
    """
    roots = [located(path) for path in listed(PAPER if paths is None else paths)]
    files = result_files(roots)
    missing = [str(path) for path in dict.fromkeys([*files, *map(located, expected or ())]) if not path.is_file()]
    loaded, unreadable = load_all(path for path in files if path.is_file())
    if not loaded:
        raise FileNotFoundError(_nothing_read(roots, missing, unreadable))
    frame = _united({path: file.frame for path, file in loaded.items()})
    frame.attrs = {
        "files": list(loaded),
        "missing": missing,
        "unreadable": unreadable,
        "provenance": [origin for file in loaded.values() for origin in file.provenance],
        "measurements": [measured for file in loaded.values() for measured in file.measurements],
    }
    return frame


def read_paper(experiment: str, say: Callable[[str], None] = print) -> pd.DataFrame | None:
    """Read the stored results of a notebook's paper preset, for a notebook that shows them beside its own runs.

    Its own runs must not depend on them. While a preset is run again, for instance, old and new records of the same
    run lie side by side, and cannot be read together.

    Args:
        experiment: a notebook, such as "02_noisy_gradients".
        say: function that takes the sentence where they cannot be read.

    Returns:
        The frame of `read`; None where it cannot be read.
    """
    try:
        return read(PAPER / experiment)
    except (FileNotFoundError, ValueError) as problem:
        say(f"the paper's results are not shown: {problem}")
        return None


def collect(
    sources: Paths | pd.DataFrame | Iterable[str | os.PathLike | pd.DataFrame],
    path: str | os.PathLike,
    *,
    experiment: str | None = None,
) -> pd.DataFrame:
    """Write records into one result file, each run with its own provenance.

    Args:
        sources: folders of a store, files, or frames such as that of `train_all`.
        path: the file to write, e.g. results/paper/02_noisy_gradients.parquet.
        experiment: only runs of this experiment; None: all.

    Returns:
        The frame that was written. A record in two sources (with the same digest and rows) appears once.

    Raises:
        FileNotFoundError: a source has no result file.
        ValueError: a file cannot be read, a run occurs twice and is not the same record, or there is no run of the
            experiment. Also if a name is a parameter in one source and a diagnostic in another.

    Example:
        >>> import tempfile
        >>> from common.results import run_frame
        >>> known = {"method": "SPSA", "seed": 0, "status": "finished", "metric": "accuracy"}
        >>> frames = [run_frame([{"epoch": 1, "step": 40}], experiment=name, **known) for name in ("mine", "yours")]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     collect(frames, Path(folder, "mine.parquet"), experiment="mine")["experiment"].tolist()
        ['mine']
    """
    given = [sources] if isinstance(sources, pd.DataFrame) else listed(sources)
    frames = {f"frame {i}": bare(source) for i, source in enumerate(given, 1) if isinstance(source, pd.DataFrame)}
    files = _load_or_refuse([source for source in given if not isinstance(source, pd.DataFrame)])
    frames |= {name: file.frame for name, file in files.items()}
    if experiment is not None:
        frames = {name: frame[frame["experiment"] == experiment] for name, frame in frames.items()}
    frames = {name: frame for name, frame in frames.items() if len(frame)}
    if not frames:
        wanted = "any run" if experiment is None else f"a run of the experiment {experiment!r}"
        raise ValueError(f"no source holds {wanted}, so {os.fspath(path)} is not written")
    whole = _united(frames)
    kept = [file for name, file in files.items() if name in frames]
    write_table(whole, path, {"provenance": {}, "measurements": _measurements(kept, given)})
    return whole


def merge(paths: Paths, path: str | os.PathLike) -> pd.DataFrame:
    """Join result files, such as those of several people, into one; like `collect`, for files and folders only.

    Args:
        paths: files or folders; `path` may be one of them.
        path: the file to write.

    Returns:
        The frame that was written.

    Raises:
        FileNotFoundError, ValueError: as `collect`.
    """
    return collect(listed(paths), path)


def _load_or_refuse(roots: list[str | os.PathLike]) -> dict[str, ResultFile]:
    for root in roots:
        if not any(file.is_file() for file in files_below(Path(root))):
            raise FileNotFoundError(f"{os.fspath(root)} is no result file and no folder that holds one")
    loaded, unreadable = load_all(result_files(roots))
    for path, reason in unreadable.items():
        raise ValueError(f"the result file {path} cannot be read ({reason}); remove it, or train its runs again")
    return loaded


def _nothing_read(roots: Iterable[Any], missing: list[str], unreadable: dict[str, str]) -> str:
    places = ", ".join(str(root) for root in roots) or "an empty list of paths"
    reasons = [f"{path} is missing{nearest_path(Path(path))}" for path in missing]
    reasons += [f"{path} is unreadable: {reason}" for path, reason in unreadable.items()]
    return f"no result file could be read from {places}" + (f" ({'; '.join(reasons)})" if reasons else "")


def _united(frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Combine the frames of several files; raise for a name with two meanings and for a duplicate run."""
    refuse_two_meanings(list(frames.items()))
    whole = combine(frame.assign(**{_FILE: name}) for name, frame in frames.items())
    columns = run_columns(whole)
    runs = whole[columns].apply(lambda column: pd.factorize(column, use_na_sentinel=False)[0])
    number = runs.groupby(columns, sort=False).ngroup()
    # The same run twice in one file has an epoch twice.
    again = pd.DataFrame({"run": number, _FILE: whole[_FILE], "epoch": whole["epoch"]}).duplicated()
    several = whole[_FILE].groupby(number).transform("nunique") > 1
    dropped = [_superfluous(whole.loc[rows.index], columns) for _, rows in number[again | several].groupby(number)]
    if dropped:
        whole = whole.drop(index=np.concatenate(dropped)).reset_index(drop=True)
    return whole.drop(columns=_FILE)


def _superfluous(rows: pd.DataFrame, columns: list[str]) -> pd.Index:
    """Return the duplicate rows of a run found in several files; raise if the rows differ."""
    files = list(rows[_FILE].unique())
    digests = rows["digest"].unique() if "digest" in rows else [None]
    run = ", ".join(f"{name}={rows[name].iloc[0]}" for name in columns if pd.notna(rows[name].iloc[0]))
    places = " and in ".join(files[:_NAMED] if len(files) > 1 else files * 2)
    if len(files) > _NAMED:
        places += f" and in {len(files) - _NAMED:,} more"
    if len(files) == 1 or len(digests) > 1 or pd.isna(digests[0]):
        raise ValueError(f"the same run ({run}) is stored twice, in {places}; remove one")
    first = rows[rows[_FILE] == files[0]]
    for file in files[1:]:
        if differing := _first_difference(first, rows[rows[_FILE] == file]):
            raise ValueError(
                f"the same record ({run}) differs in {differing!r} between {files[0]} and {file}; remove one"
            )
    return rows.index[rows[_FILE] != files[0]]


def _first_difference(left: pd.DataFrame, right: pd.DataFrame) -> str | None:
    if len(left) != len(right):
        return "epoch"
    names = (name for name in left if name != _FILE)
    return next((name for name in names if not _equal(left[name], right[name])), None)


def _equal(left: pd.Series, right: pd.Series) -> bool:
    pairs = zip(left, right, strict=True)
    if left.dtype == object:  # arrays, maybe
        return all(np.array_equal(a, b, equal_nan=isinstance(a, np.ndarray)) for a, b in pairs)
    return left.reset_index(drop=True).equals(right.reset_index(drop=True))


def _measurements(files: Iterable[ResultFile], sources: Iterable[Any]) -> list[dict[str, Any]]:
    """List the measurements, each once; frames of `read` have theirs in `attrs`."""
    listed = [measured for file in files for measured in file.measurements]
    listed += [
        measured
        for source in sources
        if isinstance(source, pd.DataFrame)
        for measured in source.attrs.get("measurements", [])
    ]
    distinct: list[dict[str, Any]] = []
    for measured in listed:
        if measured and plain(measured) not in map(plain, distinct):
            distinct.append(measured)
    return distinct
