"""A folder that Snakemake or JupyterLab wants and cannot have is named, with the variable to set."""

from pathlib import Path

import pytest

from workflow import user_folders
from workflow.experiments import WorkflowError


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home folder, and no variable that leads elsewhere."""
    for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_what_can_be_written_is_made_and_left_empty(home):
    for program in user_folders.FOLDERS:
        user_folders.require(program)
    folders = sorted(
        str(path.relative_to(home)) for path in home.rglob("*") if path.is_dir() and not any(path.iterdir())
    )
    assert folders == [".cache/snakemake", ".jupyter", ".local/share/jupyter/runtime"]
    assert not any(path.is_file() for path in home.rglob("*"))


@pytest.mark.parametrize(
    ("program", "variable", "folder"),
    [
        ("Snakemake", "XDG_CACHE_HOME", ".cache/snakemake"),
        ("JupyterLab", "JUPYTER_RUNTIME_DIR", ".local/share/jupyter"),
    ],
)
def test_a_home_that_is_none_is_told_with_the_variable(home, program, variable, folder):
    home.write_text("a file")
    with pytest.raises(WorkflowError) as error:
        user_folders.require(program)
    sentence = str(error.value)
    assert sentence.startswith(f"{program} needs a folder that it can write to, and {home / folder}")
    assert "is none (not a directory): set " + variable + ", or HOME, to one such as" in sentence


@pytest.mark.parametrize(
    ("program", "variable"),
    [("Snakemake", "XDG_CACHE_HOME"), ("JupyterLab", "JUPYTER_RUNTIME_DIR"), ("JupyterLab", "JUPYTER_CONFIG_DIR")],
)
@pytest.mark.usefixtures("home")
def test_the_variable_itself_may_be_wrong(monkeypatch, tmp_path, program, variable):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(variable, str(tmp_path / "file"))
    with pytest.raises(WorkflowError, match=f"set {variable}, or HOME,"):
        user_folders.require(program)
    monkeypatch.setenv(variable, str(tmp_path / "another"))
    user_folders.require(program)


@pytest.mark.usefixtures("home")
def test_where_programs_write_is_where_they_say():
    """By the rules of the programs themselves."""
    from jupyter_core import paths
    from snakemake.common import get_appdirs

    assert user_folders.FOLDERS["JupyterLab"]["JUPYTER_RUNTIME_DIR"]() == Path(paths.jupyter_runtime_dir())
    assert user_folders.FOLDERS["JupyterLab"]["JUPYTER_CONFIG_DIR"]() == Path(paths.jupyter_config_dir())
    assert user_folders.FOLDERS["Snakemake"]["XDG_CACHE_HOME"]() == Path(get_appdirs().user_cache_dir)


@pytest.mark.usefixtures("home")
def test_the_command_says_it_in_one_line(monkeypatch, capsys):
    assert user_folders.main(["lab", "figures"]) == 0
    monkeypatch.setenv("HOME", "/dev/null/home")
    assert user_folders.main(["lab"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("Error: JupyterLab needs a folder")
    assert said.count("\n") == 1
