"""What a kernel that has run a notebook before does with its cells when a parameter has become wrong."""

import time
from pathlib import Path

import pytest
from jupyter_client.manager import start_new_kernel
from run_all import first_cells, later_cells, with_epochs

PARAMETERS, CHECK = first_cells()
WRONG = with_epochs(PARAMETERS, 0)
SENTENCE = "parameter 'epochs' must be greater than or equal to 1, got 0"


@pytest.fixture(scope="module")
def kernel():
    repository = Path(__file__).resolve().parents[2]
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(repository))
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def _run(client, cells, slow=False, abort=True):
    """Send the cells without waiting for an answer, as Run All does; a slow front end is late with all but two."""
    sent = []
    for number, cell in enumerate(cells):
        if slow and number == 2:
            time.sleep(0.3)
        sent.append(client.execute(cell, stop_on_error=abort))
    replies = {}
    while len(replies) < len(sent):
        reply = client.get_shell_msg(timeout=900)
        # A kernel that starts slowly is asked more than once whether it is there, and answers later.
        if reply["parent_header"].get("msg_id") in sent:
            replies[reply["parent_header"]["msg_id"]] = reply["content"]
    return [replies[name] for name in sent]


def _one_by_one(client, cells):
    # The kernel goes on aborting for a moment after it has replied with an error; a hand is slower than that.
    return [_run(client, [cell], abort=False)[0] for cell in cells]


def _states(replies):
    return [reply["status"] for reply in replies]


@pytest.mark.parametrize("slow", [False, True])
def test_run_all_stops_at_a_wrong_parameter_and_goes_on_once_it_is_mended(kernel, tmp_path, slow):
    saw = tmp_path / "saw"
    later = later_cells(saw)
    assert _states(_run(kernel, [with_epochs(PARAMETERS, 3), CHECK, *later])) == ["ok"] * 8
    saw.unlink()

    replies = _run(kernel, [WRONG, CHECK, *later], slow)
    assert _states(replies) == ["ok", "error"] + ["aborted"] * 6
    assert replies[1]["evalue"] == SENTENCE
    assert not saw.exists()

    assert _states(_run(kernel, [with_epochs(PARAMETERS, 2), CHECK, *later])) == ["ok"] * 8
    assert saw.read_text().split() == ["2", "none"] * 3


def test_cells_run_one_by_one_say_that_the_parameters_were_refused(kernel, tmp_path):
    later = later_cells(tmp_path / "saw", count=1)
    assert _states(_one_by_one(kernel, [PARAMETERS, CHECK, *later])) == ["ok"] * 3
    first, second = _one_by_one(kernel, [WRONG, CHECK, *later])[1:]
    assert first["evalue"] == SENTENCE
    assert second["ename"] == "ParameterError"
    assert second["evalue"] == f"the parameters were refused: {SENTENCE}"
    assert len(second["traceback"]) == 1  # the sentence alone
    assert _states(_one_by_one(kernel, [PARAMETERS, CHECK, *later])) == ["ok"] * 3


def test_cells_of_a_fresh_kernel_say_so_too(kernel, tmp_path):
    _one_by_one(kernel, ["%reset -f", WRONG, CHECK])
    (reply,) = _one_by_one(kernel, later_cells(tmp_path / "saw", count=1))
    assert reply["evalue"] == f"the parameters were refused: {SENTENCE}"


@pytest.mark.parametrize("value", ["three", "(3"])
@pytest.mark.parametrize("slow", [False, True])
def test_a_parameters_cell_that_ends_in_an_error_stops_run_all(kernel, tmp_path, value, slow):
    saw = tmp_path / "saw"
    later = later_cells(saw)
    broken = with_epochs(PARAMETERS, value)
    assert _states(_one_by_one(kernel, [PARAMETERS, CHECK])) == ["ok"] * 2

    assert _states(_run(kernel, [broken, CHECK, *later], slow)) == ["error"] + ["aborted"] * 7
    checked, *asked = _one_by_one(kernel, [CHECK, later[0]])
    assert checked["evalue"].startswith("no parameters: run the cell that begins with")
    assert asked[0]["evalue"].startswith("the parameters were refused: no parameters")
    assert not saw.read_text()

    _one_by_one(kernel, [broken])  # mended without a check in between
    assert _states(_run(kernel, [with_epochs(PARAMETERS, 2), CHECK, *later])) == ["ok"] * 8
