"""Which stored numbers two commits differ in: a conversion changes none, a new training does."""

import os
import subprocess

import pandas as pd
import pytest

from common import results
from workflow.changed_numbers import change, lines, main, stored

LOSSES = {"train_loss": 0.1, "train_metric": 0.99, "validation_loss": 0.2, "validation_metric": 0.98, "test_loss": 0.3}


def frame(accuracies, **columns):
    """Return records of runs with these test accuracies, a seed each, two epochs long."""
    return results.combine(
        [
            results.run_frame(
                [{"epoch": epoch, "step": epoch, **LOSSES, "test_metric": accuracy} for epoch in (1, 2)],
                experiment="01_one",
                method="SGD",
                seed=seed,
                status="finished",
                metric="accuracy",
                run=run,
                dataset="digits",
                network="mlp",
                order=0,
                **columns,
            )
            for run, tested in accuracies.items()
            for seed, accuracy in enumerate(tested)
        ]
    )


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository without a commit, as the current folder; returns what commits results."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    subprocess.run(["git", "init", "-q"], check=True)
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]

    def commit(content):
        results.write(content, "results/paper/01_one/all.parquet", {})
        subprocess.run(["git", "add", "."], check=True)
        subprocess.run(["git", *identity, "commit", "-qm", "results"], check=True)

    return commit


def test_a_conversion_changes_no_number(repository, capsys):
    repository(frame({"plain": [0.9, 0.8]}))
    repository(frame({"renamed": [0.9, 0.8]}, sigma=0.5))
    assert main(["HEAD~1"]) == 0
    assert capsys.readouterr().out == ""


def test_old_and_new_means_of_what_changed_are_printed(repository, capsys):
    repository(frame({"plain": [0.9, 0.8], "noise": [0.5, 0.7], "left out": [0.1, 0.1]}))
    repository(frame({"plain": [0.9, 0.8], "noise": [0.7, 0.9], "added": [0.6, 0.6]}))
    assert main(["HEAD~1", "HEAD"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "- `01_one`: 2 records the same, 4 gone, 4 new.",
        "  - noise, test error (%): 40 (n = 2) → 20 (n = 2)",
        "  - gone: left out, test error (%): 90 (n = 2)",
        "  - new: added, test error (%): 40 (n = 2)",
    ]


def test_two_records_with_the_same_numbers_count_twice():
    rows = results.last_rows(frame({"plain": [0.9]}))
    changed = change("01_one", rows, pd.concat([rows, rows], ignore_index=True))
    assert (changed.same, len(changed.gone), len(changed.new)) == (1, 0, 1)
    assert next(lines(changed)) == "- `01_one`: 1 records the same, 0 gone, 1 new."


def test_an_experiment_that_was_not_there_is_all_new(repository):
    repository(frame({"plain": [0.9]}))
    assert stored("HEAD", "02_two").empty
    changed = change("01_one", stored("HEAD", "02_two"), stored("HEAD", "01_one"))
    assert (changed.same, len(changed.gone), len(changed.new)) == (0, 0, 1)


def test_an_unknown_commit_is_said(repository, capsys):
    repository(frame({"plain": [0.9]}))
    assert main(["nowhere"]) == 1
    assert "git cannot tell: fatal: Not a valid object name nowhere" in capsys.readouterr().err
