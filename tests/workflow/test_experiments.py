"""experiments.yml: what it may say, which jobs it makes, how mistakes are told; and the real one."""

import ast
from pathlib import Path

import papermill
import pytest
import yaml

from common.experiments.parameters import validate
from workflow.experiments import RESULT, WorkflowError, find, load, select

ROOT = Path(__file__).resolve().parents[2]
GOOD = {
    "quick": {"01_one": {"parameters": {}}, "02_two": {"parameters": {"rate": 0.1}}},
    "paper": {"01_one": {"parameters": {"rate": 0.1}, "seeds": [0, 1, 5]}},
}


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write an experiments.yml in a folder with the notebooks 01_one and 02_two, and go there."""
    monkeypatch.chdir(tmp_path)
    Path("notebooks").mkdir()
    Path("workflow").mkdir()
    for name in ("01_one", "02_two"):
        Path("notebooks", f"{name}.ipynb").touch()

    def write(content):
        text = content if isinstance(content, str) else yaml.safe_dump(content)
        Path("workflow/experiments.yml").write_text(text)

    return write


def test_one_job_without_seeds_and_one_per_seed_with(write):
    write(GOOD)
    assert [job.path(RESULT) for job in select("quick")] == [
        "results/quick/01_one/all.parquet",
        "results/quick/02_two/all.parquet",
    ]
    jobs = select("paper", ["01_one"], [5, 0])
    assert [job.name for job in jobs] == ["seed0", "seed5"]
    assert jobs[1].parameters == {"rate": 0.1, "seeds": [5]}
    assert find("paper", "01_one", "seed5") == jobs[1]
    assert [str(job) for job in (*select("quick", ["02_two"]), jobs[1])] == ["02_two", "01_one seed5"]


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"parameters": {}, "seed": [0]}, "quick: 01_one: seed is unknown; there is parameters, seeds; did you mean"),
        ({"seeds": [0]}, "quick: 01_one: parameters is missing; write {} for the notebook's defaults"),
        ({"parameters": {"rate": "1e-3"}}, "rate is the text '1e-3' to YAML; write the number as 0.001"),
        ({"parameters": {"result_file": "x"}}, "result_file is set by the workflow; remove it"),
        ({"parameters": {"seeds": [1]}}, "seeds stand beside `parameters`, not in it"),
        ({"parameters": {}, "seeds": [1, 1]}, "seeds: each seed may be there once"),
        ({"parameters": {}, "seeds": []}, "seeds: List should have at least 1 item"),
        ({"parameters": {}, "seeds": [-1]}, "greater than or equal to 0, got -1"),
    ],
)
def test_a_wrong_entry_is_named(write, entry, sentence):
    write({"quick": {"01_one": entry}})
    with pytest.raises(WorkflowError) as raised:
        load()
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"quik": {}}, "quik is no preset; there is paper, quick; did you mean 'quick'?"),
        (
            {"quick": {"01_on": {"parameters": {}}}},
            "notebooks/01_on.ipynb does not exist; there is 01_one, 02_two; did",
        ),
        ("quick: [", "is no valid YAML"),
        (
            "quick:\n  01_one:\n    parameters:\n      rate: 1\n      seeds: []\n      rate: 2\n",
            "workflow/experiments.yml: rate in line 6 is already in line 4; remove one of them",
        ),
        ("quick: {}\nquick: {}\n", "workflow/experiments.yml: quick in line 2 is already in line 1"),
    ],
)
def test_a_wrong_file_is_named(write, content, sentence):
    write(content)
    with pytest.raises(WorkflowError) as raised:
        load()
    assert sentence in str(raised.value)


def test_a_seed_that_is_not_there_is_named(write):
    write(GOOD)
    with pytest.raises(WorkflowError, match="seed 2 is not in the preset 'paper' for 01_one; there are 0, 1, 5"):
        select("paper", seeds=[0, 2])


def test_the_notebooks_accept_what_experiments_yml_gives_them(monkeypatch):
    monkeypatch.chdir(ROOT)
    for preset in load():
        for job in select(preset):
            cell = papermill.inspect_notebook(f"notebooks/{job.experiment}.ipynb")
            values = {name: ast.literal_eval(about["default"]) for name, about in cell.items()}
            unknown = set(job.parameters) - set(values)
            assert not unknown, f"{preset}: {job}: the notebook has no parameter {unknown}"
            validate(job.experiment, values | dict(job.parameters))
