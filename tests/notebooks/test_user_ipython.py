"""What a user's own IPython does at its start leaves a notebook's parameters and figures as they are."""

import contextlib
import os
from pathlib import Path

import pytest
from jupyter_client.manager import start_new_kernel
from run_all import first_cells, with_epochs

ROOT = Path(__file__).resolve().parents[2]
PARAMETERS, CHECK = first_cells()
AT_START = """
p = "mine"
learning_rat = 3
history = [1, 2]
epochs = 4
import numpy, pandas
numpy.seterr(all="raise")
numpy.set_printoptions(precision=1)
pandas.set_option("display.precision", 1, "display.max_rows", 1, "display.max_columns", 1)
pandas.set_option("styler.render.repr", "latex", "display.notebook_repr_html", False)
get_ipython().run_line_magic("matplotlib", "inline")
get_ipython().run_line_magic("autosave", "0") if False else None
"""
SETTINGS = """
c.InteractiveShell.ast_node_interactivity = "all"
c.InteractiveShell.xmode = "Minimal"
c.InteractiveShellApp.exec_lines = ["dimensions = 12"]
"""
MATPLOTLIB = "text.usetex: True\nfont.size: 30\nsavefig.dpi: 10\nfigure.dpi: 10\n"
DRAW = """
import pandas as pd
from common.plotting import draw, style
def make(frame):
    drawn, (axes,) = style.figure(style.SINGLE_COLUMN, 2.0)
    axes.plot([1, 2, 3], [1, 10, 100], label="a line, σ")
    style.legend(axes)
    style.annotate(drawn, "A note.", "A caption.", frame)
    return drawn
display(*draw.drawable(pd.DataFrame(), make))
"""


@contextlib.contextmanager
def _started(folder):
    (folder / "profile_default" / "startup").mkdir(parents=True)
    (folder / "profile_default" / "startup" / "00-mine.py").write_text(AT_START)
    (folder / "profile_default" / "ipython_kernel_config.py").write_text("c = get_config()" + SETTINGS)
    (folder / "matplotlibrc").write_text(MATPLOTLIB)
    variables = {"IPYTHONDIR": str(folder), "MATPLOTLIBRC": str(folder), "PYTHONIOENCODING": "ascii"}
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(ROOT), env=os.environ | variables)
    try:
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    with _started(tmp_path_factory.mktemp("user")) as client:
        yield client


@pytest.fixture
def new_kernel(tmp_path):
    """A kernel in whose history there is no cell of another test."""
    with _started(tmp_path) as client:
        yield client


def _run(client, source, *, history=True):
    messages = []
    reply = client.execute_interactive(source, store_history=history, output_hook=messages.append, timeout=600)
    return reply["content"], [message for message in messages if message["msg_type"] not in ("status", "execute_input")]


@pytest.mark.parametrize("history", [True, False], ids=["as JupyterLab", "as nbval"])
def test_only_the_notebooks_own_parameters_are_checked(new_kernel, history):
    _run(new_kernel, "p = 'mine'", history=history)
    for source in (PARAMETERS, CHECK):
        reply, _ = _run(new_kernel, source, history=history)
        assert reply["status"] == "ok", reply
    _, (output, *_) = _run(new_kernel, "print(p.epochs, learning_rat)", history=False)
    assert output["content"]["text"].split() == ["4", "3"]


def test_tables_are_shown_whole_after_the_check(kernel):
    for source in (PARAMETERS, CHECK):
        _run(kernel, source)
    _, (output,) = _run(kernel, "pandas.DataFrame({'a': [1.25, 2], 'b': 3})")
    assert output["content"]["data"]["text/plain"] == "      a  b\n0  1.25  3\n1  2.00  3"
    assert "<td>1.25</td>" in output["content"]["data"]["text/html"]


def test_a_wrong_parameter_of_a_client_without_history_is_still_refused(new_kernel):
    _run(new_kernel, with_epochs(PARAMETERS, 0), history=False)
    reply, _ = _run(new_kernel, CHECK, history=False)
    assert reply["evalue"] == "parameter 'epochs' must be greater than or equal to 1, got 0"


def test_figures_are_drawn_and_of_their_own_size(kernel):
    reply, messages = _run(kernel, DRAW)
    assert reply["status"] == "ok", reply
    (shown,) = [message["content"]["data"] for message in messages if message["msg_type"] == "display_data"]
    assert len(shown["image/png"]) > 10_000  # at 10 dots an inch it has a tenth


def test_letters_are_printed_whatever_the_console_can_show(kernel):
    _, (output,) = _run(kernel, "import common; print('σ → é')")
    assert output["content"]["text"] == "σ → é\n"
