"""`python -m workflow.reproduce`: which runs it draws, what it says of them, and how it ends."""

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from common import results
from common.results.agreement import agreement
from common.results.stored_runs import StoredRun, stored_runs
from workflow.reproduce import chosen, main, report

ROOT = Path(__file__).resolve().parents[2]
TRAIN = """
import sys
from common.data import load
from common.estimators import Backpropagation
from common.experiments.run import Run, train_all
from common.optimizers import SGD
from common.tasks.networks import Network
run = Run("sgd", Backpropagation(), SGD(0.1), 2, 64)
plan = [run, run.but("slow", optimizer=SGD(0.01))]
train_all(plan, load("digits"), network=Network("mlp", [4]), seeds=[0], experiment="mine", store=sys.argv[1])
"""


def environment(threads):
    names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
    return {**os.environ, **dict.fromkeys(names, str(threads)), "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Two runs that a process with one thread has trained."""
    folder = tmp_path_factory.mktemp("a store")
    call = [sys.executable, "-c", TRAIN, str(folder)]
    subprocess.run(call, cwd=ROOT, env=environment(1), capture_output=True, check=True)
    return folder


def reproduce(*arguments):
    call = [sys.executable, "-m", "workflow.reproduce", *map(str, arguments)]
    done = subprocess.run(call, cwd=ROOT, env=environment(2), capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_runs_come_out_identical_with_the_threads_of_then(store):
    before = sorted(store.rglob("*"))
    code, said, error = reproduce("--results", store)
    assert (code, error) == (0, ""), said
    assert said.count("identical to the bit: 10 numbers compared") == 2
    assert len(re.findall(r"(then|now): +commit \w{7}.*, CPU, .+, 1 thread; the same versions", said)) == 4
    assert said.count("the code that decides its numbers is the same") == 2
    assert said.endswith(
        "2 trained again: 2 identical to the bit, 0 equal as printed, 0 different; 0 could not be trained again\n"
    )
    assert sorted(store.rglob("*")) == before


def test_another_result_is_told_and_ends_with_code_1(store, tmp_path):
    frame = results.read(store)
    wrong = frame["run"] == "slow"
    frame.loc[wrong, "train_loss"] += 0.5
    frame.loc[wrong & frame["test_metric"].notna(), "test_metric"] = 0.0
    lost = frame[frame["run"] == "sgd"].assign(run="lost", seed=5, identity=None, estimator=None)
    results.write(results.combine([frame, lost]), tmp_path / "changed.parquet", {})
    code, said, _ = reproduce("--results", tmp_path, "--seed", "3")
    assert code == 1
    assert "mine, 'lost', seed 5" in said
    assert "not trained again: its record has no estimator" in said
    assert "different: 10 numbers compared" in said
    assert re.search(r"largest differences: train_loss 0\.5 \(epoch \d\), validation_metric 0 \(epoch 1\), test_", said)
    assert said.endswith("1 identical to the bit, 0 equal as printed, 1 different; 1 could not be trained again\n")


def options(**values):
    known = {"run": None, "of_seed": None, "digest": None, "at_most": None, "seed": 0, "count": 1}
    return argparse.Namespace(**known | values)


def test_named_runs_and_a_drawing_that_can_be_repeated():
    paper = {"results": [results.PAPER / "03_optimizers_from_scratch"]}
    runs = chosen(options(**paper, run="momentum", of_seed=[1, 4]))
    assert sorted(run.seed for run in runs) == [1, 4]
    assert {run.name for run in runs} == {"momentum"}
    short = chosen(options(**paper, at_most=1.0))
    assert short
    assert all(run.value("seconds") <= 1 for run in short)
    drawn = [[str(run) for run in chosen(options(**paper, seed=seed))] for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_record_is_named_by_the_beginning_of_its_digest(store):
    digests = sorted(run.digest for run in stored_runs(store)[0])
    [run] = chosen(options(results=[store], digest=digests[0][:12]))
    assert run.digest == digests[0]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--count", "0"], "Error: --count must be a whole number ≥ 1, got '0'."),
        (["--seed", "x"], "Error: --seed must be a whole number ≥ 0, got 'x'."),
        (["--of-seed", "4-0"], "Error: --of-seed must be whole numbers ≥ 0 and ranges of them"),
        (["--run", "momentun"], "Error: no stored run is called 'momentun'; did you mean 'momentum'?"),
        (["--run", "momentum", "--of-seed", "9999"], "runs is one that --run and --of-seed allow."),
        (["--digest", "abc" * 8], "runs is one that --digest allows."),
        (["--results", "elsewhere"], "Error: elsewhere does not exist."),
    ],
)
def test_a_wrong_call_is_one_sentence(arguments, sentence, capsys):
    paper = ["--results", str(results.PAPER / "03_optimizers_from_scratch")]
    assert main([*paper, *arguments]) == 2
    said = capsys.readouterr()
    assert sentence in said.err
    assert said.err.count("\n") == 1


def test_what_cannot_be_read_is_named_and_the_rest_is_tried(tmp_path, capsys):
    (tmp_path / "torn.parquet").write_bytes(b"PAR1")
    assert main(["--results", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "torn.parquet cannot be read: " in said
    assert "Error: no stored run can be read from" in said


def run_with(**columns):
    """A run of made-up provenance."""
    values = {"commit": "a" * 40, "dirty": False, "versions": {"tensorflow": "2.20"}, "device": "CPU", "threads": 1}
    epochs = [{"epoch": 1, "step": 1, "train_loss": 0.5, "validation_metric": 0.5, "test_metric": 0.5}]
    frame = results.run_frame(
        epochs, experiment="mine", method="m", seed=0, status="finished", metric="accuracy",
        provenance=values | columns, run="one",
    )  # fmt: skip
    return StoredRun(Path("f.parquet"), 0, frame)


def test_both_trainings_are_told_apart():
    then = run_with(note="a note", identity={"code": "a"})
    now = run_with(
        commit="b" * 40,
        dirty=True,
        versions={"tensorflow": "2.21"},
        device="GPU, A100",
        threads=None,
        identity={"code": "b"},
    )
    lines = list(report(then, now, agreement(then.frame, now.frame)))
    assert lines == [
        "identical to the bit: 3 numbers compared",
        "then: commit aaaaaaa, CPU, 1 thread; tensorflow 2.20",
        "now:  commit bbbbbbb, with changes, GPU, A100, threads unknown; tensorflow 2.21",
        "the code that decides its numbers is another",
        "of the stored run: a note",
        "another device: the last bits may differ",
    ]
    unknown = list(report(run_with(threads=None), now, agreement(then.frame, now.frame)))
    assert unknown[3].startswith("its record does not say its threads, on whose number the last bits depend")
    on_this = run_with(device="CPU, AMD EPYC with AVX2")
    unnamed = list(report(run_with(), on_this, agreement(then.frame, on_this.frame)))
    assert unnamed[-1].startswith("its record does not say which processor")
    assert "another device" not in "".join(report(on_this, on_this, agreement(on_this.frame, on_this.frame)))
    many = list(report(run_with(threads=999), now, agreement(then.frame, now.frame)))
    assert re.fullmatch(r"999 threads shared \d+ cores?", many[3])


def test_a_child_says_why_it_failed(tmp_path):
    from workflow.reproduce import NotRebuiltError, retrained

    run = run_with()
    results.write(run.frame, tmp_path / "f.parquet", {})
    with pytest.raises(NotRebuiltError, match=r"^its record has no dataset$"):
        retrained(StoredRun(tmp_path / "f.parquet", 0, run.frame), 1)
    with pytest.raises(NotRebuiltError, match=r"^its process ended with code 1: .*"):
        retrained(StoredRun(tmp_path / "f.parquet", 7, run.frame), 1)


def test_versions_are_those_of_the_record(store):
    [first, _] = stored_runs(store)[0]
    assert json.loads(first.value("versions"))["tensorflow"]
