import contextlib
import subprocess
import sys
from unittest import mock

import pytest

from common.data import SPECIFICATIONS
from common.experiments.parameters import NOTEBOOKS, ParameterError, check, validate
from common.tasks import networks as models

GOOD = {
    "dataset": "mnist",
    "validation": None,
    "network": "mnist_convnet",
    "batch_sizes": [64, 128],
    "reference_batch_size": 128,
    "epochs": 15,
    "learning_rate": 0.01,
    "trial_factors": [1],
    "trial_seed": 100,
    "noise_scale_batches": [64, 1024],
    "eager_steps": 10,
    "seeds": [0, 1],
    "result_file": "out.parquet",
}


def _validate(**changes):
    return validate("01_baseline_sgd", GOOD | changes)


def test_numbers_get_their_proper_type():
    assert _validate(learning_rate=1).learning_rate == 1.0
    assert isinstance(_validate(learning_rate=1).learning_rate, float)
    assert _validate(learning_rate="1e-3").learning_rate == 0.001  # what YAML makes of an unquoted 1e-3
    assert _validate(epochs="3").epochs == 3
    assert _validate(epochs="1e1").epochs == 10
    assert _validate(validation=0).validation == 0
    assert _validate(epochs=3.0).epochs == 3


@pytest.mark.parametrize("seeds", [[0, 1], (0, 1), "0,1", "[0, 1]", ["0", "1"]])
def test_lists_as_papermill_may_hand_them_over(seeds):
    assert _validate(seeds=seeds).seeds == [0, 1]


def test_one_value_for_a_list():
    assert _validate(seeds=3).seeds == [3]
    assert _validate(seeds="3").seeds == [3]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"learning_rat": 0.1},
            ["unknown parameter 'learning_rat' (= 0.1)", "did you mean 'learning_rate'?"],
        ),
        ({"learning_rate": 0}, ["'learning_rate' must be greater than 0, got 0"]),
        ({"trial_seed": 1}, ["'trial_seed' must be none of the seeds [0, 1], whose results it must not choose, got 1"]),
        (
            {"trial_factors": [1, 2], "validation": 0},
            ["'trial_factors' must be a single one where validation is 0, for no data are left to choose by"],
        ),
        ({"learning_rate": -0.1}, ["'learning_rate' must be greater than 0, got -0.1"]),
        ({"learning_rate": "fast"}, ["'learning_rate' must be a valid number", "got 'fast'"]),
        ({"learning_rate": float("nan")}, ["'learning_rate' must be a finite number, got nan"]),
        ({"learning_rate": True}, ["parameter 'learning_rate' must be a number, not true or false, got True"]),
        ({"epochs": 2.5}, ["'epochs' must be", "integer", "got 2.5"]),
        ({"epochs": 0}, ["'epochs' must be greater than or equal to 1, got 0"]),
        ({"dataset": "minst"}, ["'dataset' must be", "'digits'", "got 'minst'; did you mean 'mnist'?"]),
        ({"dataset": "diabetes"}, ["'dataset' must be", "got 'diabetes'"]),
        ({"network": "lenet"}, ["'network' must be", "got 'lenet'; did you mean 'lenet5'?"]),
        ({"precision": "bfloat16"}, ["'precision' must be", "did you mean 'mixed_bfloat16'?"]),
        ({"seeds": []}, ["parameter 'seeds' must be a list of at least 1 value, got []"]),
        ({"seeds": [0, 0]}, ["'seeds' must be each seed once, got [0, 0]"]),
        ({"seeds": [-1]}, ["'seeds' must be greater than or equal to 0, got -1"]),
        ({"batch_sizes": [60_000]}, ["'batch_sizes' must be at most the 55,000 training examples", "got [60000]"]),
        ({"dataset": "digits", "batch_sizes": [64, 2048]}, ["at most the 1,257 training examples of 'digits'"]),
        ({"reference_batch_size": 100}, ["'reference_batch_size' must be one of batch_sizes [64, 128], got 100"]),
        ({"validation": 60_000}, ["'validation' must be below the 60,000 examples of 'mnist', got 60000"]),
        ({"noise_scale_batches": [64, 100]}, ["'noise_scale_batches' must be [small, large]", "got [64, 100]"]),
        ({"result_file": "out.csv"}, ["'result_file' must be empty or a file name that ends in .parquet", "'out.csv'"]),
        ({"noise_scale_batches": [64]}, ["'noise_scale_batches' must be a list of at least 2 values, got [64]"]),
        ({"weights_file": "w.h5"}, ["'weights_file' must be empty or a file name that ends in .keras, got 'w.h5'"]),
    ],
)
def test_a_wrong_parameter_gets_one_sentence(changes, words):
    with pytest.raises(ParameterError) as error:
        _validate(**changes)
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


def test_a_missing_parameter_is_named():
    with pytest.raises(ParameterError, match="parameter 'epochs' is missing"):
        validate("01_baseline_sgd", {key: value for key, value in GOOD.items() if key != "epochs"})


def test_several_mistakes_get_a_sentence_each():
    with pytest.raises(ParameterError) as error:
        _validate(epochs=0, network="lenet")
    assert len(str(error.value).splitlines()) == 2


def test_an_unknown_notebook_is_named():
    with pytest.raises(ParameterError, match=r"notebook must be one of .* got '01_baseline'"):
        validate("01_baseline", GOOD)


def _cells(*extra):
    own = "# Parameters\n" + "\n".join(f"{name} = {value!r}" for name, value in GOOD.items())
    return ["", "print('before')", own, *extra]


def test_the_injected_cell_counts():
    injected = "# Parameters\nlearning_rat = 0.1\n"
    with pytest.raises(ParameterError, match="unknown parameter 'learning_rat'"):
        check("01_baseline_sgd", GOOD | {"learning_rat": 0.1}, _cells(injected, "check()"))


def test_other_names_of_the_session_do_not_count():
    cells = _cells("check()", "history = 3")
    assert check("01_baseline_sgd", GOOD | {"history": 3}, [*cells, "check()"]).epochs == 15


def test_a_session_without_the_parameters_cell_is_told_so():
    with pytest.raises(ParameterError, match="no parameters: run the cell that begins with '# Parameters'"):
        check("01_baseline_sgd", {"x": 1}, ["", "x = 1", "check()"])


def test_a_client_without_history_is_served():
    session = GOOD | {"In": [""], "Out": {}, "_": "", "__name__": "__main__", "check": check}
    assert check("01_baseline_sgd", session, [""]).epochs == 15
    with pytest.raises(ParameterError, match="unknown parameter 'learning_rat'"):
        check("01_baseline_sgd", session | {"learning_rat": 0.1}, [""])


def test_results_go_into_the_repository_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    default = _validate(result_file="").result_path
    assert default.parts[-3:] == ("results", "own", "01_baseline_sgd.parquet")
    assert (default.parents[2] / "pyproject.toml").is_file()
    assert _validate().result_path == default.parents[2] / "out.parquet"


def test_a_mistake_mended_in_the_session_is_forgotten():
    cells = [*_cells("# Parameters\nlearning_rat = 0.1", "check()"), *_cells("check()")]
    assert check("01_baseline_sgd", GOOD | {"learning_rat": 0.1}, cells).learning_rate == 0.01


def test_a_wrong_parameter_takes_the_place_of_what_was_checked_before():
    session = GOOD.copy()
    session["p"] = session["q"] = check("01_baseline_sgd", session, _cells())
    with pytest.raises(ParameterError):
        check("01_baseline_sgd", session | {"epochs": 0}, _cells())
    assert session["p"].epochs == 15  # another namespace
    session["epochs"] = 0
    for _ in range(2):
        with pytest.raises(ParameterError, match=r"^parameter 'epochs' must be"):
            check("01_baseline_sgd", session, _cells())
        for name in ("p", "q"):
            with pytest.raises(ParameterError, match=r"^the parameters were refused: parameter 'epochs' must be"):
                _ = session[name].learning_rate
    assert "were refused" in repr(session["p"])
    assert not hasattr(session["p"], "_repr_html_")  # Jupyter asks whatever it shows
    session["epochs"] = 3
    assert check("01_baseline_sgd", session, _cells()).epochs == 3
    assert "p" not in session  # the notebook's own assignment


@pytest.mark.parametrize("cells", [["", "# Parameters\nepochs = '"], ["", "x = 1"], [""]])
def test_whatever_ends_the_check_the_old_parameters_are_gone(cells):
    session = {"p": check("01_baseline_sgd", GOOD, _cells())}
    with pytest.raises(ParameterError, match="no parameters: run the cell"):
        check("01_baseline_sgd", session, cells)
    assert "epochs" not in dir(session.get("p"))


def test_only_a_notebook_with_a_wrong_parameter_waits(monkeypatch):
    waits = []
    monkeypatch.setattr("time.sleep", waits.append)
    shell = mock.Mock()
    for session in (GOOD.copy(), GOOD | {"get_ipython": shell}, GOOD | {"epochs": 0}):
        with contextlib.suppress(ParameterError):
            check("01_baseline_sgd", session, _cells())
    assert waits == []
    with pytest.raises(ParameterError):
        check("01_baseline_sgd", GOOD | {"epochs": 0, "get_ipython": shell}, _cells())
    assert len(waits) == 1


def test_choices_agree_with_what_exists():
    fields = NOTEBOOKS["01_baseline_sgd"].model_fields
    normalised = {name for name in models.NETWORKS if name.startswith("normalised")}  # notebook 06 chooses them itself
    assert set(fields["network"].annotation.__args__) == set(models.NETWORKS) - {"mlp"} - normalised
    assert set(fields["precision"].annotation.__args__) == set(models.PRECISIONS)
    images = {name for name, known in SPECIFICATIONS.items() if known.kind == "classification"}
    assert set(fields["dataset"].annotation.__args__) == images


def test_checking_needs_no_tensorflow():
    code = "import sys, common.experiments; sys.exit(any(name in sys.modules for name in ('tensorflow', 'keras')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_jupyter_shows_the_sentence_and_no_traceback():
    assert ParameterError("epochs must be ≥ 1")._render_traceback_() == ["ParameterError: epochs must be ≥ 1"]
