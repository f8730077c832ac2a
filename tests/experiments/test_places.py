"""Every place that a notebook writes to is resolved, made and tried before anything is trained."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from common.experiments.parameters import ParameterError, check, validate
from common.experiments.places import REPOSITORY, resolved

DIRECTION = {
    "dataset": "digits",
    "validation": None,
    "network": "mlp",
    "hidden": [16],
    "estimator": "Backpropagation()",
    "optimizer": "SGD(0.1)",
    "batch_size": 32,
    "epochs": 1,
    "seeds": [0],
}
CELLS = ["", "# Parameters\n" + "".join(f"{name} = {value!r}\n" for name, value in DIRECTION.items())]


def _check(tmp_path, **values):
    places = {"result_file": str(tmp_path / "r.parquet")} | values
    cells = [*CELLS, "# Parameters\n" + "".join(f"{name} = {value!r}\n" for name, value in places.items())]
    namespace = {}
    for cell in cells:
        exec(cell, namespace)
    return check("00_one_direction", namespace, cells)


def test_paths_are_relative_to_the_repository_from_every_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert resolved("results/own/a.parquet") == REPOSITORY / "results/own/a.parquet"
    assert resolved("/somewhere/a.parquet") == Path("/somewhere/a.parquet")
    assert resolved("~/mine.parquet") == tmp_path / "home" / "mine.parquet"
    with pytest.raises(ValueError, match=r"no home folder is known for '~nobody-of-this-name/a\.parquet'"):
        resolved("~nobody-of-this-name/a.parquet")


def test_all_places_are_resolved_alike(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    checked = validate(
        "00_one_direction",
        DIRECTION
        | {"result_file": "~/r.parquet", "weights_file": "~/w.keras", "store": "~/s", "tensorboard_dir": "~/t"},
    )
    assert [checked.result_path, checked.weights_path] == [tmp_path / "r.parquet", tmp_path / "w.keras"]
    assert [checked.store_path, checked.tensorboard_path] == [tmp_path / "s", tmp_path / "t"]
    empty = validate("00_one_direction", DIRECTION)
    assert empty.weights_path is None
    assert empty.tensorboard_path == ""


def test_folders_are_made_and_nothing_is_left_in_them(tmp_path):
    new = tmp_path / "new folder"
    _check(new, weights_file=str(new / "w" / "w.keras"), store=str(new / "s"), tensorboard_dir=str(new / "t"))
    assert sorted(path.name for path in new.rglob("*")) == ["s", "t", "w"]


@pytest.mark.parametrize("name", ["result_file", "weights_file", "store", "tensorboard_dir"])
def test_a_file_where_a_folder_is_meant_is_named(tmp_path, name):
    blocking = tmp_path / "file"
    blocking.write_text("")
    path = blocking / {"result_file": "r.parquet", "weights_file": "w.keras"}.get(name, "folder")
    with pytest.raises(ParameterError, match=rf"^parameter '{name}' must be in a folder where files can be written"):
        _check(tmp_path, **{name: str(path)})
    assert blocking.read_text() == ""


@pytest.mark.parametrize(("name", "file"), [("result_file", "r.parquet"), ("weights_file", "w.keras")])
def test_a_folder_where_a_file_is_meant_is_named(tmp_path, name, file):
    (tmp_path / file).mkdir()
    with pytest.raises(ParameterError, match=rf"^parameter '{name}' must be a file that can be written, not a folder"):
        _check(tmp_path, **{name: str(tmp_path / file)})


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no users here")
def test_a_folder_that_may_only_be_read_is_named(tmp_path):
    """In a process of another user where this one may write everywhere."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    code = (
        "import os, sys\n"
        "from common.experiments.places import prepare_folder\n"
        "if os.geteuid() == 0: os.setuid(65534)\n"
        "try:\n    prepare_folder('tensorboard_dir', __import__('pathlib').Path(sys.argv[1]) / 'logs')\n"
        "except ValueError as error:\n    print(error)\n"
    )
    for folder in (tmp_path, *list(tmp_path.parents)[:3]):
        folder.chmod(folder.stat().st_mode | 0o055)
    call = [sys.executable, "-c", code, str(closed)]
    done = subprocess.run(call, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (
        "parameter 'tensorboard_dir' must be in a folder where files can be written (permission denied:" in done.stdout
    )


def test_a_result_with_other_parameters_is_told_before_it_is_replaced(tmp_path, capsys):
    from common import results

    path = tmp_path / "r.parquet"
    record = {"epoch": 1, "step": 1, "seconds": 1.0, "cost": 1.0, "train_metric": 0.5}
    label = {"experiment": "e", "method": "m", "seed": 0, "metric": "accuracy", "status": "finished"}
    frame = results.run_frame([record], **label)
    checked = _check(tmp_path)
    assert capsys.readouterr().out == ""
    results.write(frame, path, {"parameters": checked.model_dump()})
    _check(tmp_path, weights_file=str(tmp_path / "w.keras"))
    assert capsys.readouterr().out == ""
    _check(tmp_path, epochs=3, seeds=[0, 1])
    said = capsys.readouterr().out
    assert "which has seeds [0] (now [0, 1]), epochs 1 (now 3)." in said
