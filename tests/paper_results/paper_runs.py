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
