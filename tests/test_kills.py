"""Five kills of `ci/kills`, of which a hundred are for the command line."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def _kills(*arguments):
    return subprocess.run(
        [sys.executable, "ci/kills", *arguments],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )


def test_five_kills_change_nothing():
    ended = _kills("5")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    *runs, last = ended.stdout.splitlines()
    lines = [re.fullmatch(r"\w+\(.*\): epochs at its kills ([\d, ]+|none): the same", line) for line in runs]
    assert sum(len(re.findall(r"\d+", line[1])) for line in lines) == 5
    assert re.match(r"5 kills in \d+ s, \d of them before any checkpoint: 0 runs came out otherwise", last)


def test_a_number_that_is_none_is_refused():
    ended = _kills("0")
    assert (ended.returncode, ended.stderr.splitlines()[-1]) == (2, "kills: error: NUMBER must be ≥ 1, got 0")
