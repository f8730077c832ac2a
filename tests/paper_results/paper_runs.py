"""The committed results of the paper's settings, and what README shows of them."""

import re
from pathlib import Path

import pandas as pd

from common import results
from workflow.experiments import RESULT, select

ROOT = Path(__file__).resolve().parents[2]


def stored(experiment: str) -> pd.DataFrame:
    expected = [ROOT / job.path(RESULT) for job in select("paper", [experiment])]
    frame = results.read(expected, expected)
    assert not frame.attrs["missing"]
    return frame


def readme_section(title: str) -> str:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    return readme.split(f"### {title}")[1].split("\n## ")[0].split("\n### ")[0]


def shown(section: str) -> list[str]:
    """Every "a ± b" of a section of README."""
    return re.findall(r"\d+\.\d+ ± \d+\.\d+", readme_section(section))


def accuracy(frame: pd.DataFrame, run: str) -> pd.Series:
    """The summary over the seeds of a run's last rows, none of which diverged."""
    rows = results.summarize(frame, ["run"]).set_index("run").loc[run]
    assert rows["diverged"] == 0
    return rows


def assert_readme_rows(section: str, groups: str, tables: list[pd.DataFrame]) -> None:
    """README's rows of these groups, "full|sweep", show each setting as the tables do, and nothing else has a "±"."""
    columns = ["Validation error (%)", "Test error (%)"]
    known = {row["Setting"]: list(row[columns]) for table in tables for _, row in table.iterrows()}
    assert_rows_are(section, groups, known, column=2, at_least=8)


def assert_rows_are(section: str, groups: str, known: dict[str, list[str]], *, column: int, at_least: int) -> None:
    """README's rows of these groups name a setting in this column and then its known values, and no other has a "±"."""
    lines = readme_section(section).splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if re.match(rf"\| ({groups}) \|", line)]
    assert len(rows) >= at_least
    for row in rows:
        pairs = zip(row[column + 1 :], known[row[column]], strict=True)
        assert all(agree(ours, stored) for ours, stored in pairs), row[column]
    assert len(shown(section)) == sum("±" in value for row in rows for value in row)


def agree(shown_cell: str, stored_cell: str) -> bool:
    """Say whether a cell of README is a stored one: the same, or the accuracy to its error, each rounded by itself."""
    if shown_cell == stored_cell:
        return True
    pairs = zip(shown_cell.split(" ± "), stored_cell.split(" ± "), strict=True)
    (accuracy_shown, error), *spreads = pairs
    complement = abs(100 - float(accuracy_shown) - float(error)) < 0.0101
    return complement and all(ours == theirs for ours, theirs in spreads)
