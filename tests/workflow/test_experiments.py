"""experiments.yml: what it may say, which jobs it makes, how mistakes are told; and the real one."""

import ast
import json
from pathlib import Path

import papermill
import pyarrow.parquet
import pytest
import yaml

from common.experiments.parameters import validate
from workflow.experiments import RESULT, WorkflowError, drawn_apart, find, load, select
from workflow.run import has_other_parameters, main

ROOT = Path(__file__).resolve().parents[2]
GOOD = {
    "quick": {"01_one": {"parameters": {}}, "02_two": {"parameters": {"rate": 0.1}}},
    "paper": {"01_one": {"parameters": {"rate": 0.1}, "seeds": [0, 1, 5]}},
}
VARIED = {
    "parameters": {"rate": 0.1, "units": [8]},
    "variants": {"wide": {"units": [64, 64], "seeds": [0, 1]}, "slow-2": {"rate": 0.01}, "as_before": {}},
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
        text = content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False)
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


def test_seeds_may_be_a_range(write):
    write(
        {
            "paper": {
                "01_one": {"parameters": {}, "seeds": "0-2"},
                "02_two": VARIED | {"variants": {"a": {"seeds": "1,4-5"}}},
            }
        }
    )
    assert [job.parameters["seeds"] for job in select("paper")] == [[0], [1], [2], [1, 4, 5]]


def test_one_job_per_variant_of_its_parameters_laid_over_the_shared_ones(write):
    write({"paper": {"02_two": VARIED}})
    jobs = select("paper")
    assert [job.path(RESULT) for job in jobs] == [
        "results/paper/02_two/wide.parquet",
        "results/paper/02_two/slow-2.parquet",
        "results/paper/02_two/as_before.parquet",
    ]
    assert [job.parameters for job in jobs] == [
        {"rate": 0.1, "units": [64, 64], "seeds": [0, 1]},
        {"rate": 0.01, "units": [8]},
        {"rate": 0.1, "units": [8]},
    ]
    assert find("paper", "02_two", "slow-2") == jobs[1]
    assert str(jobs[1]) == "02_two slow-2"
    with pytest.raises(WorkflowError, match=r"'slow_2' is no job of 02_two .* did you mean 'slow-2'"):
        find("paper", "02_two", "slow_2")


@pytest.mark.parametrize(
    ("choice", "chosen"),
    [
        ({"variants": ["wide"]}, ["02_two wide"]),
        ({"seeds": [1]}, ["01_one seed1"]),  # not the variant whose one job has this seed, too
        ({"seeds": [1], "variants": ["as_before", "wide"]}, ["01_one seed1", "02_two wide", "02_two as_before"]),
        ({"only": ["02_two"]}, ["02_two wide", "02_two slow-2", "02_two as_before"]),
    ],
)
def test_variants_and_seeds_choose_the_jobs_that_they_name(write, choice, chosen):
    write({"paper": GOOD["paper"] | {"02_two": VARIED}})
    assert [str(job) for job in select("paper", **choice)] == chosen


@pytest.mark.parametrize(
    ("choice", "sentence"),
    [
        (
            {"variants": ["wide", "slow"]},
            "'slow' is no variant of 02_two in the preset 'paper'; there is as_before, slow-2, wide; did you mean",
        ),
        (
            {"only": ["01_one"], "variants": ["wide"]},
            "the preset 'paper' has no variants of 01_one, so none can be chosen",
        ),
        (
            {"only": ["02_two"], "seeds": [1]},
            "no job per seed for 02_two, so no seeds can be chosen; there are variants of 02_two",
        ),
        ({"seeds": [2]}, "seed 2 is not in the preset 'paper' for 01_one; there are 0, 1, 5"),
    ],
)
def test_a_wrong_choice_of_variants_or_seeds_is_named(write, choice, sentence):
    write({"paper": GOOD["paper"] | {"02_two": VARIED}})
    with pytest.raises(WorkflowError) as raised:
        select("paper", **choice)
    assert sentence in str(raised.value)


def test_only_results_of_variants_have_figures_of_their_own(write):
    write({"paper": GOOD["paper"] | {"02_two": VARIED}})
    assert [drawn_apart("paper", name) for name in ("01_one", "02_two")] == [False, True]


def varied(**variants):
    """Return an entry with these variants."""
    return {"parameters": {}, "variants": variants}


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (
            {"parameters": {}, "seed": [0]},
            "quick: 01_one: seed is unknown; there is parameters, seeds, variants; did you mean",
        ),
        ({"seeds": [0]}, "quick: 01_one: parameters is missing; write {} for the notebook's defaults"),
        ({"parameters": {"rate": "1e-3"}}, "rate is the text '1e-3' to YAML; write the number as 0.001"),
        ({"parameters": {"result_file": "x"}}, "result_file is set by the workflow; remove it"),
        ({"parameters": {"seeds": [1]}}, "seeds stand beside `parameters`, not in it"),
        ({"parameters": {}, "seeds": [1, 1]}, "seeds: each seed may be there once"),
        (
            {"parameters": {}, "seeds": "4-0"},
            "01_one: seeds: they must be whole numbers ≥ 0 and ranges of them, such as 0-4 or 0,2,5-7, got '4-0'",
        ),
        ({"parameters": {}, "seeds": []}, "seeds: List should have at least 1 item"),
        ({"parameters": {}, "seeds": [-1]}, "greater than or equal to 0, got -1"),
        (
            varied(mlp={}) | {"seeds": [0]},
            "quick: 01_one: seeds and variants exclude each other; give each variant seeds of its own",
        ),
        (varied(), "quick: 01_one: variants: Dictionary should have at least 1 item"),
        (
            {"parameters": {}, "variants": None},
            "quick: 01_one: variants must be a mapping of names to values, got None",
        ),
        (varied(mlp=None), "quick: 01_one: variants: mlp must be a mapping of names to values, got None"),
        (varied(mlp=[1]), "quick: 01_one: variants: mlp must be a mapping of names to values, got [1]"),
        (
            varied(**{"an mlp": {}}),
            "quick: 01_one: variants: an mlp: the name of a variant is of letters, digits, _ and -, with no - in front",
        ),
        (varied(**{"-mlp": {}}), "variants: -mlp: the name of a variant is of letters"),
        (varied(**{"mlp/2": {}}), "variants: mlp/2: the name of a variant is of letters"),
        (varied(seed3={}), "variants: seed3: jobs without variants are called so; give the variant another name"),
        (varied(all={}), "variants: all: jobs without variants are called so"),
        (varied(mlp={"rate": "1e-3"}), "variants: mlp: rate is the text '1e-3' to YAML; write the number as 0.001"),
        (varied(mlp={"store": "x"}), "variants: mlp: store is set by the workflow; remove it"),
        (varied(mlp={"seeds": [1, 1]}), "variants: mlp: seeds: each seed may be there once"),
        (varied(mlp={"seeds": 3}), "variants: mlp: seeds: Input should be a valid list, got 3"),
        (varied(mlp={"seeds": None}), "variants: mlp: seeds: Input should be a valid list, got None"),
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
        (
            "quick:\n  01_one:\n    parameters: {}\n    variants:\n      mlp: {}\n      mlp: {}\n",
            "workflow/experiments.yml: mlp in line 6 is already in line 5; remove one of them",
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


@pytest.fixture
def checked(monkeypatch):
    """Return every job of the real experiments.yml with its parameters as its notebook checks them."""
    monkeypatch.chdir(ROOT)
    pairs = []
    for preset in load():
        for job in select(preset):
            cell = papermill.inspect_notebook(f"notebooks/{job.experiment}.ipynb")
            values = {name: ast.literal_eval(about["default"]) for name, about in cell.items()}
            unknown = set(job.parameters) - set(values)
            assert not unknown, f"{preset}: {job}: the notebook has no parameter {unknown}"
            pairs.append((job, validate(job.experiment, values | dict(job.parameters))))
    return pairs


def test_the_notebooks_accept_what_experiments_yml_gives_them(checked):
    names = {(job.preset, str(job)) for job, _ in checked}
    assert {
        ("quick", "08_comparison"),
        ("paper", "01_baseline_sgd seed0"),
        ("paper", "08_comparison mnist_mlp"),
    } <= names


def test_a_result_of_these_parameters_is_not_made_again(checked, tmp_path, monkeypatch):
    """Notebooks store them as they are checked: a number as a list, "all" as what there is."""
    monkeypatch.chdir(tmp_path)
    Path("notebooks").symlink_to(ROOT / "notebooks")
    for job, parameters in checked:
        path = Path(job.path(RESULT))
        path.parent.mkdir(parents=True, exist_ok=True)
        notes = {"provenance": json.dumps({"parameters": parameters.model_dump()})}
        pyarrow.parquet.write_table(pyarrow.table({}).replace_schema_metadata(notes), path)
        assert not has_other_parameters(job), f"{job.preset}: {job}"


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (["--seeds", "4-0"], "--seeds must be whole numbers ≥ 0 and ranges of them, such as 0-4 or 0,2,5-7, got '4-0'"),
        (["--seeds=-1"], "got '-1'"),
        (["--cores", "0"], "--cores must be 'all' or a whole number ≥ 1, got '0'"),
        (["--cores", "many"], "--cores must be 'all' or a whole number ≥ 1, got 'many'"),
        (["--seeds", "0,99"], "seed 99 is not in the preset 'paper' for 01_baseline_sgd; there are 0, 1"),
    ],
)
def test_wrong_seeds_and_cores_on_the_command_line_are_one_sentence(option, words, capsys):
    assert main(["--preset", "paper", "--only", "01_baseline_sgd", *option]) == 2
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err.startswith("Error: ")
    assert words in written.err
    assert written.err.count("\n") == 1
