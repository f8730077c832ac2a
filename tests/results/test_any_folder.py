"""`results.read` finds the same files from wherever a user is."""

from pathlib import Path

import pytest

from common import results
from common.results.collection import PAPER

ROOT = PAPER.parents[1]
PLACES = {
    "the repository": (ROOT, "results/paper/02_noisy_gradients"),
    "a trailing slash": (ROOT, "results/paper/02_noisy_gradients/"),
    "a Path": (ROOT, Path("results/paper/02_noisy_gradients")),
    "a notebook's folder": (ROOT / "notebooks", "results/paper/02_noisy_gradients"),
    "above a notebook's folder": (ROOT / "notebooks", "../results/paper/02_noisy_gradients"),
    "another folder": (Path("/"), "results/paper/02_noisy_gradients"),
    "an absolute path": (Path("/"), PAPER / "02_noisy_gradients"),
    "a folder within the results": (PAPER, "02_noisy_gradients"),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_folder_is_found(place, monkeypatch):
    folder, path = PLACES[place]
    monkeypatch.chdir(folder)
    frame = results.read(path)
    assert frame["experiment"].unique().tolist() == ["02_noisy_gradients"]
    assert frame.attrs["missing"] == []


def test_the_working_folder_comes_first(tmp_path, monkeypatch):
    frame = results.read("results/paper/02_noisy_gradients")
    file = frame.attrs["files"][0]
    own = tmp_path / "results" / "paper"
    own.mkdir(parents=True)
    (own / "mine.parquet").write_bytes(Path(file).read_bytes())
    monkeypatch.chdir(tmp_path)
    assert results.read("results/paper").attrs["files"] == ["results/paper/mine.parquet"]


@pytest.mark.parametrize(
    ("path", "nearest"),
    [
        ("results/papr", "results/paper"),
        ("result/paper", "results"),
        ("results/paper/02_noisy_gradient", "results/paper/02_noisy_gradients"),
    ],
)
def test_a_path_that_is_not_there_names_the_nearest(path, nearest, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError) as error:
        results.read(path)
    assert f"{path} is missing; did you mean" in str(error.value)
    assert f"{nearest}'?" in str(error.value)


@pytest.mark.parametrize("paths", [5, [5], None.__class__, b"results"])
def test_what_is_no_path_is_refused(paths):
    with pytest.raises(TypeError, match="path"):
        results.read(paths)
