"""The committed figures are those that today's code draws from the committed results.

Captions and tables are text and must be the same. Pictures are compared pixel by pixel, but for a few: another version
of FreeType or of matplotlib sets letters a fraction of a pixel aside. PDFs hold the same drawing, compressed.
"""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from common.experiments.__main__ import main
from workflow.experiments import RESULT, drawn_apart, load, select

ROOT = Path(__file__).resolve().parents[2]
FIGURES = ROOT / "figures" / "paper"
DIFFERENT = 0.1  # of a channel's range, from which a pixel counts as another
MOST_DIFFERENT = (
    0.01  # share of the pixels; a label elsewhere or a line more has some thousandths, letters set anew less
)


@pytest.fixture(scope="module", params=list(load()["paper"]))
def redrawn(request, tmp_path_factory):
    """The files of an experiment's drawings."""
    apart = drawn_apart("paper", request.param)
    expected = [ROOT / job.path(RESULT) for job in select("paper", [request.param])]
    if apart:  # variants that are not trained yet have no figures
        expected = [path for path in expected if path.exists()]
    if not expected or not all(path.exists() for path in expected):
        pytest.skip(f"results of {request.param} are still to be made")
    folder = tmp_path_factory.mktemp(request.param)
    call = [request.param, "--results", str(ROOT / "results/paper"), "--figures", str(folder)]
    each = ["--each"] if apart else []
    assert main([*call, *each, "--expected", *map(str, expected)]) == 0
    return sorted(folder.iterdir())


def test_captions_and_tables_are_as_committed(redrawn):
    texts = [path for path in redrawn if path.suffix in (".txt", ".tex")]
    assert texts
    stale = [path.name for path in texts if path.read_bytes() != (FIGURES / path.name).read_bytes()]
    assert not stale, f"redraw {', '.join(stale)}"


def test_every_drawing_is_committed_and_none_is_left_over(redrawn):
    prefix = redrawn[0].name.split("_")[0]
    drawings = [path.name for path in redrawn if path.suffix != ".html"]  # pages are on the site, and not committed
    committed = sorted(path.name for path in FIGURES.glob(f"{prefix}_*") if path.suffix != ".html")
    assert drawings == committed


def test_pictures_are_as_committed(redrawn):
    for path in redrawn:
        if path.suffix == ".png":
            ours, theirs = imread(path), imread(FIGURES / path.name)
            assert ours.shape == theirs.shape, path.name
            share = np.mean(np.abs(ours - theirs).max(axis=-1) > DIFFERENT)
            assert share <= MOST_DIFFERENT, f"{path.name}: {share:.2%} of the pixels are others"
