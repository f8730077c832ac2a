"""What a user has set for Keras, TensorFlow, NumPy and Python changes no number; packages that only look like them."""

import io
import os
import subprocess
import sys
import textwrap
import types
from pathlib import Path

import pandas as pd
import pytest

from common import user_settings

ROOT = Path(__file__).resolve().parents[1]
OWN = ("KERAS_BACKEND", "KERAS_HOME", "TF_CPP_MIN_LOG_LEVEL", "PYTHONPATH")
KERAS = """
import os, types
{end}
values = {{"backend": os.environ["KERAS_BACKEND"]}}
def _set(name):
    return lambda value: values.__setitem__(name, value)
names = ("floatx", "epsilon", "image_data_format", "max_epochs", "max_steps_per_epoch")
config = types.SimpleNamespace(backend=lambda: values["backend"], **{{f"set_{{name}}": _set(name) for name in names}})
"""
TENSORFLOW = """
import contextlib, os
with contextlib.suppress(OSError):
    os.write(2, b"no GPU here\\n")
"""
STATED = {
    "backend": "tensorflow",
    "floatx": "float32",
    "epsilon": 1e-7,
    "image_data_format": "channels_last",
    "max_epochs": None,
    "max_steps_per_epoch": None,
}


def _python(code, folder, **variables):
    environment = {name: value for name, value in os.environ.items() if name not in OWN}
    environment |= {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])} | variables
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def packages(tmp_path):
    """A folder with a Keras and a TensorFlow that only do what these tests look at."""

    def packages(keras_end="", tensorflow_end=""):
        (tmp_path / "keras.py").write_text(KERAS.format(end=keras_end))
        (tmp_path / "tensorflow.py").write_text(TENSORFLOW + tensorflow_end)
        return tmp_path

    return packages


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_keras_is_told_all_that_its_file_and_the_environment_may_say_otherwise(packages, backend):
    done = _python("import common, keras; print(keras.values)", packages(), KERAS_BACKEND=backend)
    assert done.stdout.strip() == str(STATED), done.stderr


def test_keras_that_was_imported_before_is_told_too(packages):
    code = "import keras, common; print(keras.values)"
    assert _python(code, packages(), KERAS_BACKEND="tensorflow").stdout.strip() == str(STATED)


def test_keras_that_runs_on_another_backend_already_is_refused_in_one_sentence(packages):
    done = _python("import keras, common", packages(), KERAS_BACKEND="jax")
    assert done.stderr.splitlines()[-1] == (
        "ImportError: Keras was imported with the backend 'jax', and this project needs 'tensorflow': import common "
        "first, or set KERAS_BACKEND=tensorflow"
    )


def test_a_value_that_keras_does_not_know_is_told_with_the_file(packages):
    done = _python("import common, keras", packages(keras_end="assert False"), KERAS_HOME="/some/folder")
    sentence = "ImportError: Keras cannot be imported: /some/folder/keras.json has a value that it does not know"
    assert done.stderr.splitlines()[-1] == sentence


def test_what_tensorflow_says_while_it_is_imported_is_not_shown(packages):
    done = _python("import common, tensorflow, os; os.write(2, b'later')", packages())
    assert (done.returncode, done.stderr) == (0, "later")


@pytest.mark.parametrize("level", ["0", "2"])
def test_who_asks_for_tensorflows_messages_gets_them(packages, level):
    code = "import common, tensorflow, os; print(os.environ['TF_CPP_MIN_LOG_LEVEL'])"
    done = _python(code, packages(), TF_CPP_MIN_LOG_LEVEL=level)
    assert (done.stdout.strip(), done.stderr) == (level, "no GPU here\n")


def test_what_tensorflow_says_is_shown_if_it_cannot_be_imported(packages):
    done = _python("import common, tensorflow", packages(tensorflow_end="raise ImportError('no such library')"))
    assert done.stderr.startswith("no GPU here\n")
    assert done.stderr.endswith("ImportError: no such library\n")


def test_a_process_without_a_standard_error_can_import(packages):
    done = _python("import os; os.close(2); import common, tensorflow; print('imported')", packages())
    assert done.stdout.strip() == "imported"


def test_the_loaders_of_the_two_stay_their_own(packages):
    code = (
        "import common, sys, keras, inspect; print(type(keras.__loader__).__name__, len(inspect.getsource(keras)) > 9)"
    )
    assert _python(code, packages()).stdout.split() == ["SourceFileLoader", "True"]


MATPLOTLIB = """
import os
known = ("agg", "tkagg")
class Settings(dict):
    def __setitem__(self, name, value):
        if value not in known:
            raise ValueError(f"Key {name}: {value!r} is not a valid value")
        super().__setitem__(name, value)
rcParams = Settings()
if os.environ.get("MPLBACKEND"):
    rcParams["backend"] = os.environ["MPLBACKEND"]
"""


@pytest.mark.parametrize(
    ("backend", "taken", "says"),
    [
        ("tkagg", "{'backend': 'tkagg'}", ""),
        ("qtagg7", "{}", "MPLBACKEND is 'qtagg7', which Matplotlib does not know: it is passed over"),
        ("", "{}", ""),
    ],
)
def test_a_backend_of_figures_that_does_not_exist_is_passed_over_and_said(tmp_path, backend, taken, says):
    (tmp_path / "matplotlib.py").write_text(MATPLOTLIB)
    code = "import common, matplotlib, os; print(matplotlib.rcParams, os.environ['MPLBACKEND'])"
    done = _python(code, tmp_path, MPLBACKEND=backend)
    assert done.stdout.strip() == f"{taken} {backend}".strip(), done.stderr
    assert says in done.stderr
    assert bool(done.stderr) == bool(says)


def test_tables_of_a_notebook_are_shown_as_pandas_shows_them_by_itself():
    wanted = str(pd.DataFrame({"a": [1.23456] * 5, "b": 2.0}))
    options = ("display.max_rows", 2, "display.max_columns", 1, "display.precision", 0, "styler.format.precision", 0)
    with pd.option_context(*options):
        assert str(pd.DataFrame({"a": [1.23456] * 5, "b": 2.0})) != wanted
        user_settings.show_whole_tables()
        assert str(pd.DataFrame({"a": [1.23456] * 5, "b": 2.0})) == wanted
        assert pd.get_option("styler.format.precision") == 6


def test_who_has_no_pandas_waits_for_none(tmp_path):
    code = "import sys, common.user_settings as s; s.show_whole_tables(); print('pandas' in sys.modules)"
    assert _python(code, tmp_path).stdout.strip() == "False"


@pytest.mark.parametrize(
    "variables",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "POSIX", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "latin-1"},
    ],
    ids=["stream", "locale", "latin"],
)
def test_no_letter_ends_the_output(tmp_path, variables):
    done = _python(r"import common; print('\u03c3 \u2192 1')", tmp_path, **variables)
    assert (done.returncode, done.stdout) == (0, "\\u03c3 \\u2192 1\n"), done.stderr


def test_a_stream_that_has_a_way_of_its_own_keeps_it():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="replace")
    user_settings.print_anything(stream)
    assert stream.errors == "replace"
    for other in (None, types.SimpleNamespace(errors="strict"), io.StringIO()):  # no console, Jupyter's, a test's
        user_settings.print_anything(other)


def test_a_stream_that_cannot_be_changed_stays_as_it_is():
    def refuse(**_):
        raise OSError(29, "Illegal seek")  # a console that shares a file with other processes

    user_settings.print_anything(types.SimpleNamespace(errors="strict", reconfigure=refuse))


def test_many_imports_state_all_once():
    before = list(sys.meta_path)
    user_settings.state()
    assert sys.meta_path == before
