"""The committed results of the paper's settings, and what the pages of docs/results/ show of them."""

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


def page(experiment: str) -> str:
    return (ROOT / "docs" / "results" / f"{experiment}.md").read_text(encoding="utf-8")


def shown(experiment: str) -> list[str]:
    """Every "a ± b" of a page."""
    return re.findall(r"\d+\.\d+ ± \d+\.\d+", page(experiment))


def accuracy(frame: pd.DataFrame, run: str) -> pd.Series:
    """The summary over the seeds of a run's last rows, none of which diverged."""
    rows = results.summarize(frame, ["run"]).set_index("run").loc[run]
    assert rows["diverged"] == 0
    return rows


def assert_rows_are(experiment: str, groups: str, known: dict[str, list[str]], *, column: int, at_least: int) -> None:
    """A page's rows of these groups name a setting in this column and then its known values, and no other has a "±"."""
    lines = page(experiment).splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if re.match(rf"\| ({groups}) \|", line)]
    assert len(rows) >= at_least
    for row in rows:
        assert row[column + 1 :] == known[row[column]], row[column]
    assert len(shown(experiment)) == sum("±" in value for row in rows for value in row)
