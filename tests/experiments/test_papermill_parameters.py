"""What papermill's own options inject is what the check of the parameters takes; without a kernel."""

import base64

import nbformat
import pytest
from click.testing import CliRunner
from papermill.__main__ import papermill

from common.experiments import check, validate
from common.experiments.fields import REPOSITORY
from common.experiments.parameters import ParameterError

NOTEBOOK = "00_one_direction"


@pytest.fixture
def checked(tmp_path):
    """Return a function that gives papermill these options, and the check the cells that come of it."""

    def checked(*options):
        source, prepared = REPOSITORY / "notebooks" / f"{NOTEBOOK}.ipynb", tmp_path / "out.ipynb"
        call = [str(source), str(prepared), "--prepare-only", "--kernel", "python3", *options]
        done = CliRunner().invoke(papermill, call)
        assert done.exit_code == 0, done.output
        cells = [cell.source for cell in nbformat.read(prepared, as_version=4).cells if cell.cell_type == "code"]
        cells = [cell for cell in cells if cell.startswith("# Parameters")]
        assert len(cells) == 2
        namespace = {}
        for cell in cells:
            exec(cell, namespace)
        return check(NOTEBOOK, namespace, cells)

    return checked


def test_seeds_are_a_range_however_they_are_given(checked, tmp_path):
    (tmp_path / "file.yml").write_text('seeds: "0-4"\nepochs: 3\n')
    coded = base64.b64encode(b"seeds: [0-3, 4]").decode()
    wanted = [0, 1, 2, 3, 4]
    assert checked("-p", "seeds", "0-4").seeds == wanted
    assert checked("-r", "seeds", "0-4").seeds == wanted
    assert checked("-y", "seeds: 0-4").seeds == wanted
    assert checked("-y", "{seeds: [0-2, 3, 4]}").seeds == wanted
    assert checked("-b", coded).seeds == wanted
    parameters = checked("-f", str(tmp_path / "file.yml"), "-p", "hidden", "[8, 8]")
    assert (parameters.seeds, parameters.epochs, parameters.hidden) == (wanted, 3, [8, 8])


@pytest.mark.parametrize("option", ["--inject-input-path", "--inject-output-path", "--inject-paths"])
def test_paths_that_papermill_injects_are_no_parameters(checked, option):
    parameters = checked(option, "-p", "epochs", "3")
    assert parameters.epochs == 3
    assert not any("PAPERMILL" in name for name in parameters.model_dump())


def test_a_name_that_only_looks_like_papermills_is_refused(checked):
    with pytest.raises(ParameterError, match=r"^unknown parameter 'PAPERMILL_PATH' \(= 'x'\)"):
        checked("-p", "PAPERMILL_PATH", "x")


@pytest.mark.parametrize(
    ("seeds", "end"),
    [
        ("4-0", "such as 0-4 or 0,2,5-7, got '4-0': write 0-4"),
        (["0-2", "b"], "such as 0-4 or 0,2,5-7, got 'b'"),
        ("1-", "such as 0-4 or 0,2,5-7, got '1-'"),
        ("0,0-2", "must be each seed once, got [0, 0, 1, 2]"),
        ("-1", "must be greater than or equal to 0, got '-1'"),
    ],
)
def test_wrong_seeds_get_one_sentence(seeds, end, checked):
    values = checked("-p", "epochs", "3").model_dump()
    with pytest.raises(ParameterError) as error:
        validate(NOTEBOOK, values | {"seeds": seeds})
    assert str(error.value).startswith("parameter 'seeds' must be ")
    assert str(error.value).endswith(end)
    assert "\n" not in str(error.value)


def test_seeds_that_may_be_none_are_a_range_too():
    from common.experiments.fields import SeedsOrEmpty
    from common.experiments.parameters import NOTEBOOKS

    field = NOTEBOOKS["08_comparison"].model_fields["alignment_seeds"]
    assert field.metadata == list(SeedsOrEmpty.__metadata__)
