"""A sweep's file: which points and jobs it makes, and how each mistake in it is told. Nothing is run here."""

import json
import time
from pathlib import Path

import pytest

from workflow import sweeps
from workflow.experiments import RESULT, WorkflowError
from workflow.sweeps import MANY_JOBS, load, parse_numbers

ROOT = Path(__file__).resolve().parents[2]
NOISE = '"NoisyGradient(Backpropagation(), ConstantNoise({sigma}))"'


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Write a sweep's file; the working folder is the repository's, whose notebooks it names."""
    monkeypatch.chdir(ROOT)

    def written(text, name="mine.yml"):
        path = tmp_path / name
        if isinstance(text, bytes):
            path.write_bytes(text)
        else:
            path.write_text(text, encoding="utf-8")
        return path

    return written


def with_grid(grid, **others):
    """Return the text of a file with this grid."""
    keys = {"notebook": "00_one_direction", "grid": grid, "seeds": "0"} | others
    return "\n".join(f"{key}: {value}" for key, value in keys.items() if value is not None)


def values_of(sweep):
    """Return what each point's values are, in order."""
    return [tuple(point.values.values()) for point in sweep.points]


# --- What a file means ---


def test_a_product_has_a_point_for_each_combination_and_a_job_for_each_seed(written):
    text = with_grid(f"{{estimator: [{NOISE}], sigma: [0.1, 2], optimizer: [SGD(0.1), SGD(0.2)]}}", seeds="0-2")
    sweep = load(written(text + "\nparameters: {epochs: 3}"))
    assert (sweep.name, sweep.notebook, sweep.seeds) == ("mine", "00_one_direction", [0, 1, 2])
    assert (sweep.swept, sweep.filled) == (["estimator", "sigma", "optimizer"], ["estimator"])
    noisy = "NoisyGradient(Backpropagation(), ConstantNoise({}))"
    assert values_of(sweep) == [
        (noisy.format(sigma), sigma, rate) for sigma in (0.1, 2) for rate in ("SGD(0.1)", "SGD(0.2)")
    ]
    assert sweep.points[0].parameters == {"epochs": 3, "estimator": noisy.format(0.1), "optimizer": "SGD(0.1)"}
    jobs = sweep.jobs()
    assert len(jobs) == 12
    assert jobs[1].path(RESULT) == f"results/sweeps/mine/{sweep.points[0].id}-seed1.parquet"
    assert jobs[1].parameters == {**sweep.points[0].parameters, "seeds": [1]}
    assert (jobs[1].notebook, jobs[1].columns) == ("00_one_direction", sweep.points[0].values)


def test_a_points_name_depends_on_notebook_and_parameters_alone(written):
    first = load(written(with_grid("{epochs: [1, 2], batch_size: [8]}")))
    second = load(written(with_grid("{epochs: [3, 2, 1]}", seeds="5") + "\nparameters: {batch_size: 8}", "other.yml"))
    ids = {point.parameters["epochs"]: point.id for point in second.points}
    assert [point.id for point in first.points] == [ids[1], ids[2]]
    assert all(len(point.id) == 10 and int(point.id, 16) >= 0 for point in first.points)


def test_what_stands_in_a_zip_varies_together(written):
    sweep = load(
        written(
            with_grid(
                "{zip: [{epochs: 1, batch_size: 8}, {batch_size: 16, epochs: 2}], hidden: [[8], []]}".replace(
                    "[8], []", "[8], [8, 8]"
                )
            )
        )
    )
    assert [tuple(point.values[name] for name in ("epochs", "batch_size", "hidden")) for point in sweep.points] == [
        (1, 8, [8]), (1, 8, [8, 8]), (2, 16, [8]), (2, 16, [8, 8]),
    ]  # fmt: skip


def test_several_zips_are_a_product(written):
    blocks = "[[{epochs: 1, batch_size: 8}, {epochs: 2, batch_size: 16}], [{optimizer: SGD(1)}, {optimizer: SGD(2)}]]"
    assert values_of(load(written(with_grid(f"{{zip: {blocks}}}")))) == [
        (1, 8, "SGD(1)"), (1, 8, "SGD(2)"), (2, 16, "SGD(1)"), (2, 16, "SGD(2)"),
    ]  # fmt: skip


RANGES = (
    "{{random: {{count: {count}, seed: {seed}, sigma: {{low: 0.01, high: 1, log: true}}, "
    "batch_size: {{low: 8, high: 11}}, rate: {{low: 0.5, high: 1.0}}}}}}"
)
DRAWN = f"\nparameters: {{estimator: {NOISE}, optimizer: 'SGD({{rate}})'}}"


def test_random_points_fill_their_ranges_evenly(written):
    sweep = load(written(with_grid(RANGES.format(count=64, seed=0)) + DRAWN))
    sigmas, sizes, rates = zip(*values_of(sweep), strict=True)
    assert len(sigmas) == 64
    assert all(0.01 <= sigma <= 1 and float(f"{sigma:.3g}") == sigma for sigma in sigmas)
    assert all(0.5 <= rate <= 1 and float(f"{rate:.3g}") == rate for rate in rates)
    # On a logarithmic scale half of them are below the middle; each whole number is as likely as the others.
    assert sum(sigma < 0.1 for sigma in sigmas) == pytest.approx(32, abs=3)
    assert [sizes.count(size) for size in (8, 9, 10, 11)] == pytest.approx([16] * 4, abs=3)
    assert all(isinstance(size, int) for size in sizes)


def test_more_random_points_go_on_where_fewer_ended_and_another_seed_draws_others(written):
    few, many, others = (
        values_of(load(written(with_grid(RANGES.format(count=count, seed=seed)) + DRAWN)))
        for count, seed in ((5, 0), (12, 0), (5, 1))
    )
    assert many[:5] == few
    assert not set(few) & set(others)


def test_rounded_random_points_are_different_from_each_other(written):
    sweep = load(written(with_grid("{random: {count: 3, epochs: {low: 1, high: 3}}}")))
    assert sorted(values_of(sweep)) == [(1,), (2,), (3,)]


def test_fields_are_filled_in_parameters_in_lists_and_from_values_that_have_fields_themselves(written):
    grid = (
        "{estimator: ['NoisyGradient({inner}, {noise})'], inner: [Backpropagation()], "
        "noise: ['ConstantNoise({sigma})'], sigma: [1.0e-05, 3], units: [8]}"
    )
    sweep = load(written(with_grid(grid) + "\nparameters: {hidden: ['{units}', 4], batch_size: '{units}'}"))
    assert [point.parameters["estimator"] for point in sweep.points] == [
        "NoisyGradient(Backpropagation(), ConstantNoise(1e-05))",
        "NoisyGradient(Backpropagation(), ConstantNoise(3))",
    ]
    # A text that is one field and nothing else becomes the value itself: a number stays a number.
    assert sweep.points[0].parameters["hidden"] == [8, 4]
    assert sweep.points[0].parameters["batch_size"] == 8
    assert sweep.filled == ["estimator", "noise"]


@pytest.mark.parametrize("text", ["F({})", "F({'a': 1})", "F({1, 2})", "F({0})", "F({x.y})", "F({'sigma'})"])
def test_braces_that_are_no_field_stay(written, text, monkeypatch):
    monkeypatch.setattr("common.experiments.one_direction.parameters.classes_of", lambda *_: ("F",))
    quoted = json.dumps(text)
    sweep = load(written(with_grid(f"{{estimator: [{quoted}], sigma: [1], optimizer: ['SGD({{sigma}})']}}")))
    assert sweep.points[0].parameters["estimator"] == text


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("0-4", [0, 1, 2, 3, 4]), ("0,2,5-7", [0, 2, 5, 6, 7]), ("3", [3]), (" 1 , 0 ", [1, 0]), ("2-2", [2])],
)
def test_numbers_and_ranges(text, numbers):
    assert parse_numbers(text) == numbers


@pytest.mark.parametrize(
    ("seeds", "numbers"), [("3", [3]), ("[0, 2]", [0, 2]), ("0-2", [0, 1, 2]), ("'0,4-5'", [0, 4, 5]), ("'7'", [7])]
)
def test_seeds_are_a_number_a_list_or_ranges(written, seeds, numbers):
    assert load(written(with_grid("{epochs: [1]}", seeds=seeds))).seeds == numbers


def test_the_name_is_the_files_or_the_one_that_is_given(written):
    text = with_grid("{epochs: [1]}")
    assert load(written(text, "noise by rate.yml")).name == "noise_by_rate"
    assert load(written(text + "\nname: Größe-2.b", "(1).yml")).name == "Größe-2.b"


def test_anchors_and_merge_keys_are_yaml_too(written):
    text = "x: &shared {epochs: 2}\n".replace("x: ", "parameters: ") + with_grid("{batch_size: &sizes [8, 16]}")
    assert values_of(load(written(text))) == [(8,), (16,)]
    merged = "parameters: {<<: {epochs: 2}, batch_size: 8}\n" + with_grid("{hidden: [[8]]}")
    assert load(written(merged)).points[0].parameters == {"epochs": 2, "batch_size": 8, "hidden": [8]}


@pytest.mark.parametrize("name", ["noise_by_rate", "batch_with_rate", "random_search"])
def test_the_examples_are_right(monkeypatch, name):
    monkeypatch.chdir(ROOT)
    sweep = load(Path(f"sweeps/{name}.yml"))
    assert sweep.file == f"sweeps/{name}.yml"
    assert 4 <= len(sweep.jobs()) <= 30


def test_every_job_of_ten_thousand_is_checked_in_seconds(written):
    text = with_grid("{random: {count: 10000, sigma: {low: 0.01, high: 1.0}, batch_size: {low: 8, high: 900}}}")
    path = written(text + f"\nparameters: {{estimator: {NOISE}}}")
    begun = time.process_time()
    assert len(load(path).points) == MANY_JOBS
    assert time.process_time() - begun < 30  # 4 s where nothing else runs


def test_more_jobs_than_that_have_to_be_meant(written):
    path = written(with_grid("{random: {count: 101, epochs: {low: 1, high: 999}}}", seeds="0-99"))
    with pytest.raises(WorkflowError, match=r"it asks for 10,100 jobs, more than 10,000; if they are meant, add --yes"):
        load(path)
    assert len(load(path, many=True).jobs()) == 10_100


# --- sweep.json ---


def test_what_was_resolved_is_read_back_without_the_file(written, tmp_path, monkeypatch):
    path = written(with_grid("{hidden: [[8], [8, 8]], validation: [null, 100]}", seeds="0-1"))
    sweep = load(path)
    monkeypatch.chdir(tmp_path)
    sweep.write()
    path.unlink()
    assert sweeps.read("mine") == sweep
    job = sweep.jobs()[3]
    assert sweeps.find("mine", job.name) == job
    assert sweeps.result_files("mine") == []
    Path(job.path(RESULT)).touch()
    Path("results/sweeps/mine/0000000000-seed0.parquet").touch()  # of a point of former times
    assert sweeps.result_files("mine") == [Path(job.path(RESULT))]
    assert str(tmp_path) not in Path("results/sweeps/mine/sweep.json").read_text()


def test_a_sweep_or_job_that_is_not_there_is_named(written, tmp_path, monkeypatch):
    sweep = load(written(with_grid("{epochs: [1]}")))
    monkeypatch.chdir(tmp_path)
    sweep.write()
    with pytest.raises(WorkflowError, match="there is no sweep 'mind' in results/sweeps; there is mine; did you mean"):
        sweeps.read("mind")
    with pytest.raises(WorkflowError, match="'x-seed0' is no job of the sweep 'mine'"):
        sweeps.find("mine", "x-seed0")
    Path("results/sweeps/mine/sweep.json").write_text("{")
    with pytest.raises(WorkflowError, match=r"results/sweeps/mine/sweep.json cannot be read .*; run the sweep again"):
        sweeps.read("mine")


# --- Mistakes ---

MANY_ANCHORS = "\n".join(
    ["a0: &a0 [1]"] + [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 9)]
)

MISTAKES = {
    # YAML itself
    "no YAML": ("grid: [", "is no valid YAML"),
    "two documents": (with_grid("{epochs: [1]}") + "\n---\na: 1", "is no valid YAML: expected a single document"),
    "an unknown anchor": (with_grid("{epochs: *many}"), "is no valid YAML: found undefined alias 'many'"),
    "an anchor within itself": (with_grid("{epochs: &a [*a]}"), "the anchor in line 2 holds itself"),
    "anchors without end": (MANY_ANCHORS, "its anchors stand for more than 1,000,000 values"),
    "deep nesting": ("a: " + "[" * 5000, "is no valid YAML: it is nested too deeply"),
    "a key twice": (with_grid("{epochs: [1], epochs: [2]}"), "epochs in line 2 is already in line 2; remove one"),
    "a list as a key": (with_grid("{? [a] : [1]}"), "the key in line 2 is a list or a mapping; a key is a name"),
    "an object": (with_grid("{epochs: !!python/object:os.system [1]}"), "in line 2 is no kind of plain value"),
    "a tag": (with_grid("{epochs: !mine [1]}"), "!mine in line 2 is no kind of plain value; remove it"),
    "an exponent": (with_grid("{sigma: [1e-3]}"), "1e-3 in line 2 is a text to YAML; write the number as 0.001"),
    "a small exponent": (with_grid("{sigma: [1E-8]}"), "is a text to YAML; write the number as 0.00000001"),
    "yes": (with_grid("{epochs: [yes]}"), "yes in line 2 is true to YAML; write true, or 'yes' in quotes for the text"),
    "off": (with_grid("{optimizer: [off]}"), "off in line 2 is false to YAML; write false, or 'off' in quotes"),
    "a date": (with_grid("{sigma: [2024-01-01]}"), "2024-01-01 in line 2 is a date to YAML; if it is a text"),
    "a set": (with_grid("{epochs: !!set {1, 2}}"), "a set (!!set) in line 2 can be no parameter; write a list"),
    "bytes": (with_grid("{epochs: [!!binary aGk=]}"), "bytes (!!binary) in line 2 can be no parameter"),
    "an ordered mapping": (with_grid("{epochs: !!omap [a: 1]}"), "an ordered mapping (!!omap) in line 2 can be no"),
    "octal": (with_grid("{batch_size: [010]}"), "010 in line 2 is octal to YAML, so 8; write the number that is meant"),
    "base 60": (with_grid("{epochs: [1:30]}"), "1:30 in line 2 is a number to the base 60 to YAML; put it in quotes"),
    "infinity": (with_grid("{sigma: [.inf]}"), ".inf in line 2 is no finite number"),
    "not a number": (with_grid("{sigma: [.NaN]}"), ".NaN in line 2 is no finite number"),
    "too large": (with_grid("{sigma: [1.0e+999]}"), "grid: sigma: inf is no finite number"),
    "no UTF-8": (b"notebook: \xff\xfe", "is no text in UTF-8"),
    "empty": ("", "it must be a mapping with notebook, parameters, grid, seeds, name, got None"),
    "a list": ("- a", "it must be a mapping with notebook, parameters, grid, seeds, name, got ['a']"),
    # The keys
    "an unknown key": (
        with_grid("{epochs: [1]}") + "\nparameter: {}",
        "parameter is unknown; there is grid, name, notebook, parameters, seeds; did you mean 'parameters'?",
    ),
    "no notebook": (with_grid("{epochs: [1]}", notebook=None), "notebook is missing; write such as notebook: 00_one"),
    "no grid": (with_grid(None), "grid is missing; write such as grid: {sigma: [0.1, 1]}"),
    "no seeds": (with_grid("{epochs: [1]}", seeds=None), "seeds is missing; write such as seeds: 0-4"),
    "an unknown notebook": (
        with_grid("{epochs: [1]}", notebook="00_one_dirction"),
        "notebook '00_one_dirction' does not exist; there is",
    ),
    "a notebook's number": (with_grid("{epochs: [1]}", notebook="0"), "notebook must be a text, got 0"),
    "parameters without values": (
        with_grid("{epochs: [1]}") + "\nparameters:",
        "parameters must be a mapping of names to values, got None",
    ),
    "a name that is none": (
        with_grid("{epochs: [1]}") + "\nname: a/b",
        "name must be up to 100 letters, digits, _, -, + and ., with a letter, digit or _ in front, got 'a/b'",
    ),
    "a hidden name": (with_grid("{epochs: [1]}") + "\nname: .a", "name must be up to 100 letters"),
    "a number as a name": (with_grid("{epochs: [1]}") + "\nname: 7", "in front, got 7"),
    # Seeds
    "a range backwards": (with_grid("{epochs: [1]}", seeds="4-0"), "2,5-7, got '4-0': write 0-4"),
    "words as seeds": (
        with_grid("{epochs: [1]}", seeds="all"),
        "seeds must be whole numbers ≥ 0 and ranges of them, such as 0-4 or 0,2,5-7, got 'all'",
    ),
    "a negative seed": (with_grid("{epochs: [1]}", seeds="-1"), "seeds must be whole numbers ≥ 0 and ranges of them"),
    "a seed twice": (with_grid("{epochs: [1]}", seeds="[1, 1]"), "got '1 1': 1 is there twice"),
    "seeds in two ranges": (with_grid("{epochs: [1]}", seeds="0-3,2"), "got '0-3,2': 2 is there twice"),
    "no seed": (
        with_grid("{epochs: [1]}", seeds="[]"),
        "seeds must be whole numbers ≥ 0 and ranges of them, such as 0-4 or 0,2,5-7, got ''",
    ),
    "a fraction as a seed": (with_grid("{epochs: [1]}", seeds="0.5"), "such as 0-4 or 0,2,5-7, got 0.5"),
    "a truth as a seed": (with_grid("{epochs: [1]}", seeds="true"), "such as 0-4 or 0,2,5-7, got True"),
    "endless seeds": (with_grid("{epochs: [1]}", seeds="0-99999999999"), "would make them more than 100,000"),
    "too large a seed": (with_grid("{epochs: [1]}", seeds="2147483648"), "seed 2147483648: parameter 'seeds' must be"),
    "seeds in the grid": (with_grid("{seeds: [[0], [1]]}"), "grid: seeds stand beside the grid and the parameters"),
    # Names and values
    "an unknown parameter": (
        with_grid("{epochs: [1]}") + "\nparameters: {epoch: 3}",
        "parameters: epoch is no parameter of 00_one_direction; there is batch_size, dataset",
    ),
    "an unknown swept name": (
        with_grid("{epoch: [1]}"),
        "grid: epoch is no parameter of 00_one_direction, and no field {epoch} uses it; there is batch_size",
    ),
    "a name in both": (
        with_grid("{epochs: [1]}") + "\nparameters: {epochs: 3}",
        "epochs stands in the parameters and in the grid; remove one of them",
    ),
    "a file that the workflow sets": (with_grid("{result_file: [a.parquet]}"), "result_file is set by the workflow"),
    "a file of all jobs": (
        with_grid("{epochs: [1]}") + "\nparameters: {weights_file: w.keras}",
        "parameters: all jobs would write the same weights_file; remove it",
    ),
    "a value without a list": (
        with_grid("{epochs: 3}"),
        "grid: epochs must be a list of values, such as [3], got 3",
    ),
    "no value": (with_grid("{epochs: }"), "grid: epochs must be a list of values, got None"),
    "a mapping as values": (with_grid("{epochs: {a: 1}}"), "grid: epochs must be a list of values, got {'a': 1}"),
    "a mapping as a value": (with_grid("{epochs: [{a: 1}]}"), "grid: epochs: {'a': 1} is a mapping, which no"),
    "a number in quotes": (
        with_grid("{epochs: ['3']}"),
        "grid: epochs: '3' is a text; write the number without quotes, as 3",
    ),
    "no values at all": (with_grid("{epochs: [1], batch_size: []}"), "has no values, so the product is empty"),
    "an empty grid": (with_grid("{}"), "grid must be a mapping with at least one name"),
    "a grid that is a list": (with_grid("[epochs]"), "grid must be a mapping of names to values, got ['epochs']"),
    "a number as a swept name": (with_grid("{1: [2]}"), "grid must be a mapping of names to values; 1 is no name"),
    # Points
    "a value out of range": (
        with_grid("{epochs: [3, 0]}"),
        "point 2 of 2 (epochs=0), seed 0: parameter 'epochs' must be greater than or equal to 1, got 0",
    ),
    "a wrong type": (with_grid("{epochs: [many]}"), "point 1 of 1 (epochs=many), seed 0: parameter 'epochs' must be"),
    "a nested list": (with_grid("{batch_size: [[8, 16]]}"), "point 1 of 1 (batch_size=[8, 16]), seed 0: parameter 'b"),
    "a deeper list": (with_grid("{hidden: [[[8]]]}"), "point 1 of 1 (hidden=[[8]]), seed 0: parameter 'hidden' must"),
    "true for a number": (with_grid("{epochs: [true]}"), "must be a number, not true or false, got True"),
    "an unknown choice": (with_grid("{dataset: [mnits]}"), "got 'mnits'; did you mean 'mnist'?"),
    "an unknown estimator": (
        with_grid("{estimator: [Backpropagatoin()]}"),
        "names no estimator: 'Backpropagatoin'; did you mean 'Backpropagation'?",
    ),
    "a wrong combination": (with_grid("{network: [mlp, lenet5]}"), "point 2 of 2 (network=lenet5), seed 0: parameter"),
    "the same point twice": (
        with_grid("{epochs: [1, 2, 1]}"),
        "point 1 (epochs=1) and point 3 (epochs=1) give 00_one_direction the same parameters",
    ),
    "the same number twice": (with_grid("{epochs: [1, 1.0]}"), "point 1 (epochs=1) and point 2 (epochs=1.0) give"),
    "too many jobs": (
        with_grid("{random: {count: 20000, epochs: {low: 1, high: 90000}}}"),
        "it asks for 20,000 jobs, more than 10,000; if they are meant, add --yes (YES=1)",
    ),
    "far too many jobs": (
        with_grid(f"{{epochs: {list(range(1, 1002))}, batch_size: {list(range(1, 1001))}}}"),
        "it asks for 1,001,000 jobs; 1,000,000 is the most that one sweep can have",
    ),
    # Fields
    "a field that nothing fills": (
        with_grid(f"{{estimator: [{NOISE}], sgima: [1]}}"),
        "estimator: nothing that is swept fills {sigma}; there is estimator, sgima; did you mean 'sgima'?",
    ),
    "an attribute": (
        with_grid(f"{{estimator: [{NOISE.replace('sigma', 'sigma.real')}], sigma: [1]}}"),
        "estimator: a field is a name alone, {sigma}, got {sigma.real}",
    ),
    "an index": (
        with_grid("{optimizer: ['SGD({rates[0]})'], rates: [[1, 2]]}"),
        "optimizer: a field is a name alone, {rates}, got {rates[0]}",
    ),
    "a format": (
        with_grid("{optimizer: ['SGD({rate:.3f})'], rate: [1]}"),
        "optimizer: a field is a name alone, {rate}, got {rate:.3f}",
    ),
    "a circle": (
        with_grid("{optimizer: ['SGD({a})'], a: ['{b}'], b: ['{a}']}"),
        "fill each other",
    ),
    # zip
    "a zip that is no list": (with_grid("{zip: {epochs: 1}}"), "grid: zip must be a list of mappings, such as"),
    "a zip without mappings": (with_grid("{zip: [1]}"), "grid: zip must be a list of mappings, such as"),
    "an empty zip": (with_grid("{zip: []}"), "grid: zip has a list without mappings, so the product is empty"),
    "a zip of lists and mappings": (with_grid("{zip: [[{epochs: 1}], {epochs: 2}]}"), "or a list of such lists, got"),
    "other names in a zip": (
        with_grid("{zip: [{epochs: 1, batch_size: 8}, {epochs: 2}]}"),
        "grid: zip: every mapping has the same names, but one has epochs, batch_size and another epochs",
    ),
    "a name beside a zip": (
        with_grid("{zip: [{epochs: 1}], epochs: [2]}"),
        "grid: epochs is there twice; what varies together stands in one zip, all else once",
    ),
    # random
    "random without a count": (
        with_grid("{random: {epochs: {low: 1, high: 2}}}"),
        "grid: random: count must be a whole number from 1 to 1,000,000, got None",
    ),
    "random without ranges": (with_grid("{random: {count: 2}}"), "grid: random has no ranges; write such as sigma:"),
    "random as a list": (with_grid("{random: [1]}"), "grid: random must be a mapping such as {count: 20, seed: 0"),
    "a range as a list": (
        with_grid("{random: {count: 2, epochs: [1, 2]}}"),
        "grid: random: epochs must be a range such as {low: 0.01, high: 1, log: true}, got [1, 2]",
    ),
    "a range's unknown key": (
        with_grid("{random: {count: 2, epochs: {low: 1, hihg: 2}}}"),
        "grid: random: epochs: hihg is unknown; there is high, log, low; did you mean 'high'?",
    ),
    "a range without an end": (
        with_grid("{random: {count: 2, epochs: {low: 1}}}"),
        "grid: random: epochs: high must be a number, got None",
    ),
    "a range backwards within random": (
        with_grid("{random: {count: 2, epochs: {low: 3, high: 1}}}"),
        "grid: random: epochs: low must be below high, got 3 and 1",
    ),
    "a logarithm of zero": (
        with_grid("{random: {count: 2, epochs: {low: 0, high: 1, log: true}}}"),
        "grid: random: epochs: on a logarithmic scale low must be above 0, got 0",
    ),
    "a logarithm that is no truth": (
        with_grid("{random: {count: 2, epochs: {low: 1, high: 2, log: 10}}}"),
        "grid: random: epochs: log must be true or false, got 10",
    ),
    "a seed of random": (
        with_grid("{random: {count: 2, seed: -1, epochs: {low: 1, high: 9}}}"),
        "grid: random: seed must be a whole number ≥ 0, got -1",
    ),
    "more random points than there are": (
        with_grid("{random: {count: 9, epochs: {low: 1, high: 3}}}"),
        "grid: random: 9 different points are more than the ranges hold (3)",
    ),
}


@pytest.mark.parametrize(("text", "sentence"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_in_one_sentence(written, text, sentence):
    path = written(text)
    with pytest.raises(WorkflowError) as raised:
        load(path)
    message = str(raised.value)
    assert sentence in message
    assert message.startswith(f"{path}")
    assert "\n" not in message
    assert len(message) < 700


def test_a_file_that_cannot_be_a_sweep_is_named(written, tmp_path):
    written(with_grid("{epochs: [1]}"), "noise.yml")
    with pytest.raises(WorkflowError, match=r"nois.yml does not exist; there is noise.yml; did you mean 'noise.yml'"):
        load(tmp_path / "nois.yml")
    with pytest.raises(WorkflowError, match="cannot be read: Is a directory"):
        load(tmp_path)
    with pytest.raises(WorkflowError, match="its name '-x' can be no sweep's; give it one, such as name: mine"):
        load(written(with_grid("{epochs: [1]}"), "-x.yml"))
