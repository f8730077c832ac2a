"""Figures look the same for every user: what stands in a matplotlibrc of theirs does not reach them."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DRAW = """
import sys
import pandas as pd
from common.plotting import draw, style

def make(frame):
    drawn, (axes,) = style.figure(style.SINGLE_COLUMN, 2.0)
    axes.plot([1, 2, 3], [1, 10, 100], label="a line")
    axes.set_yscale("log")
    axes.set_xlabel("an axis, σ")
    style.legend(axes)
    style.annotate(drawn, "A note.", "A caption.", frame)
    return drawn

(drawn,) = draw.drawable(pd.DataFrame(), make)
drawn.savefig(sys.argv[1], metadata={"Software": None})
"""
HOSTILE = """
text.usetex: True
font.size: 30
font.family: serif
axes.facecolor: red
axes.prop_cycle: cycler(color=["lime"])
lines.linewidth: 9
figure.constrained_layout.use: False
savefig.bbox: tight
savefig.transparent: True
figure.autolayout: True
axes.formatter.use_locale: True
axes.unicode_minus: False
"""


def _drawn(path, **environment):
    call = [sys.executable, "-c", DRAW, str(path)]
    subprocess.run(call, cwd=ROOT, env={"PYTHONPATH": str(ROOT), "HOME": str(path.parent)} | environment, check=True)
    return path.read_bytes()


def test_a_users_matplotlibrc_changes_no_figure(tmp_path):
    settings = tmp_path / "matplotlibrc"
    settings.write_text(HOSTILE, encoding="utf-8")
    plain = _drawn(tmp_path / "plain.png")
    assert _drawn(tmp_path / "hostile.png", MATPLOTLIBRC=str(settings)) == plain
