"""The committed results of the paper's settings, and what the pages of docs/results/ show of them."""

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


def accuracy(frame: pd.DataFrame, run: str) -> pd.Series:
    """The summary over the seeds of a run's last rows, none of which diverged."""
    rows = results.summarize(frame, ["run"]).set_index("run").loc[run]
    assert rows["diverged"] == 0
    return rows
