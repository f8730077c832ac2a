"""Under each stored figure stand its records and the command that draws it; a figure without them is a warning."""

import re
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

from workflow.experiments import drawn_apart

_LOG = logging.getLogger(__name__)
ROOT = Path(__file__).resolve().parents[2]
PRESET = "paper"
_ORIGIN = re.compile(r"experiment: (?P<experiment>\w+); seeds: (?P<seeds>[\d, ]+); commit: (?P<commits>[^;]+);")


def caption(name: str) -> list[nodes.Node]:
    """Say which records a figure of `figures/paper` was drawn from, and the command that draws it.

    Args:
        name: its file name without ending.

    Raises:
        ValueError: the text beside the figure does not tell, or no results are stored where it says.
    """
    text = (ROOT / "figures" / PRESET / f"{name}.txt").read_text(encoding="utf-8")
    match = _ORIGIN.search(text)
    if match is None:
        raise ValueError("its text names no experiment, seeds and commit")
    experiment, seeds = match["experiment"], match["seeds"]
    stored = Path("results", PRESET, experiment)
    each = drawn_apart(PRESET, experiment)
    parts = [path for path in (ROOT / stored).glob("*.parquet") if each and name.endswith(f"_{path.stem}")]
    records = stored / parts[0].name if parts else stored
    if not (ROOT / records).exists():
        raise ValueError(f"no results are stored in {records}")
    commits = ", ".join(commit.strip()[:8] for commit in match["commits"].split(","))
    command = f"python -m common.experiments {experiment} --results results/{PRESET} --figures figures/{PRESET}"
    return [
        nodes.Text("Records: "),
        nodes.literal("", str(records)),
        nodes.Text(f", seeds {seeds}, trained at {commits}. Drawn by "),
        nodes.literal("", command + " --each" * each),
        nodes.Text("."),
    ]


def _caption_figures(_app: Sphinx, doctree: nodes.document) -> None:
    """Make figures of the images that are stored ones."""
    for image in list(doctree.findall(nodes.image)):
        place = Path(image["uri"])
        if place.parent.parts[-2:] != ("figures", PRESET):
            continue
        try:
            words = nodes.caption("", "", *caption(place.stem))
        except (OSError, ValueError) as error:
            _LOG.warning("the figure %s has no caption: %s", place.name, error, location=image)
            continue
        paragraph = image.parent
        figure = nodes.figure("", image.deepcopy(), words, ids=[nodes.make_id(f"figure-{place.stem}")])
        paragraph.replace_self(figure) if len(paragraph.children) == 1 else image.replace_self(figure)


def setup(app: Sphinx) -> dict[str, bool]:
    """Caption the figures before Sphinx collects images."""
    app.connect("doctree-read", _caption_figures, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
