"""What the pages of docs/ and README say of the committed results is what the results say."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from common.experiments.comparison.pages import chosen_settings
from common.experiments.comparison.sources import EQUAL
from common.plotting.markdown import stored

ROOT = Path(__file__).resolve().parents[2]
WRITTEN = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"])
# Words that compare: only the code that computes the interval writes them.
_VERDICTS = re.compile(r"\b(ahead|behind|beats?|outperforms?|better than|worse than|level with)\b", re.IGNORECASE)


def test_what_was_generated_is_what_would_be_generated_now():
    """Tables of comparisons, with their intervals and verdicts; `cog -P -r docs/results/*.md` writes them anew."""
    written = [str(path) for path in WRITTEN if "[[[cog" in path.read_text(encoding="utf-8")]
    assert len(written) >= 7
    call = [sys.executable, "-m", "cogapp", "-P", "--check", *written]
    checked = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "results").glob("*.md")), ids=lambda path: path.stem)
def test_words_of_comparison_stand_where_an_interval_carries_them(path):
    prose = re.sub(r"<!-- \[\[\[cog.*?\[\[\[end\]\]\] -->", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    said = re.sub(r"\*[^*]+\*", "", prose.replace("**", ""))  # in italics are questions, and claims that are withdrawn
    assert not _VERDICTS.findall(said)


@pytest.mark.parametrize("variant", ["mnist_mlp", "fashion_mnist_mlp", "mnist_convnet"])
def test_the_settings_that_trials_chose_are_those_of_the_runs(variant):
    frame = stored("08_comparison", variant)
    chosen, rates = chosen_settings(frame), frame[frame["group"] == EQUAL].groupby("run")["learning_rate"].unique()
    assert set(chosen) == set(rates.index)
    for name, values in chosen.items():
        assert rates[name] == pytest.approx([values["rate"]], rel=1e-6), name
