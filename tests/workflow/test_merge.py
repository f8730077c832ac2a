"""`python -m workflow.merge`: what it says, and how it ends."""

import os
import shutil
from pathlib import Path

import pytest

from common import results
from workflow.merge import main


def write(path, seed, loss=0.5):
    epochs = [{"epoch": 1, "step": 3, "train_loss": loss, "test_metric": 0.9}]
    frame = results.run_frame(
        epochs, experiment="mine", method="m", seed=seed, status="finished", metric="accuracy",
        provenance={"digest": results.identity_digest({"seed": seed}), "commit": str(path.parent)}, run="one",
    )  # fmt: skip
    results.write(frame, path, {})


def test_what_was_merged_and_what_was_not_is_said(tmp_path, capsys):
    for folder, seeds in (("a", (0, 1)), ("b b", (1, 2))):
        for seed in seeds:
            write(tmp_path / folder / f"{seed}.parquet", seed)
    (tmp_path / "a" / "torn.parquet").write_bytes(b"PAR1")
    into = tmp_path / "all"
    assert main([str(tmp_path / "a"), str(tmp_path / "b b"), "--into", str(into)]) == 1
    said = capsys.readouterr()
    assert said.err.startswith(f"{tmp_path / 'a' / 'torn.parquet'} is left out: ")
    assert said.out.splitlines()[0].startswith("mine, 'one', seed 1 has another commit in ")
    assert said.out.splitlines()[1:] == [f"{into}: 3 runs added in 3 files, 1 there already"]
    assert len(results.last_rows(results.read(into))) == 3
    (tmp_path / "a" / "torn.parquet").unlink()
    assert main([str(tmp_path / "a"), "--into", str(into)]) == 0
    assert capsys.readouterr().out == f"{into}: 0 runs added in 0 files, 2 there already\n"


def test_a_contradiction_is_one_sentence(tmp_path, capsys):
    write(tmp_path / "a" / "x.parquet", 0)
    write(tmp_path / "b" / "y.parquet", 0, loss=0.6)
    assert main([str(tmp_path / "a"), str(tmp_path / "b"), "--into", str(tmp_path / "all")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("Error: two runs of one name, mine, 'one', seed 0, differ in 'train_loss', in ")
    assert "x.parquet and in " in error
    assert error.endswith("y.parquet; remove one.\n")


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path, capsys):
    write(tmp_path / "a" / "x.parquet", 0)
    (tmp_path / "file").touch()
    assert main([str(tmp_path / "a"), "--into", str(tmp_path / "file" / "all")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_one_sentence(tmp_path, capsys):
    write(tmp_path / "a" / "x.parquet", 0)
    (tmp_path / "all").mkdir(mode=0o500)
    assert main([str(tmp_path / "a"), "--into", str(tmp_path / "all")]) == 2
    assert capsys.readouterr().err.startswith("Error: ")


def test_a_full_disk_is_one_sentence_and_leaves_no_half_file(tmp_path, capsys, monkeypatch):
    write(tmp_path / "a" / "x.parquet", 0)

    def full(_, target):
        Path(target).write_bytes(b"PAR1")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    assert main([str(tmp_path / "a"), "--into", str(tmp_path / "all")]) == 2
    assert capsys.readouterr().err == "Error: [Errno 28] No space left on device.\n"
    assert list((tmp_path / "all").rglob("*.parquet")) == []
