import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from result_runs import diverged, records, run

from common import results
from common.results import arrays

PICTURE = np.arange(6, dtype=np.float32).reshape(2, 3) / 7
SHAPES = {
    "vector": np.array([0.1, np.nan, np.inf, -0.0]),
    "matrix": PICTURE,
    "cube": np.arange(24).reshape(2, 3, 4),
    "no rows": np.zeros((0, 3)),
    "no columns": np.zeros((2, 0)),
    "flags": np.array([True, False]),
}


def equal(left, right):
    return left.shape == right.shape and left.dtype == right.dtype == np.float64 and left.tobytes() == right.tobytes()


def with_last(count=3, **values):
    """Records whose last epoch has arrays, and the others nothing of that name."""
    epochs = records(count)
    epochs[-1] |= values
    return epochs


@pytest.mark.parametrize("array", SHAPES.values(), ids=SHAPES)
def test_arrays_survive_a_file_exactly(array, tmp_path):
    results.write(run(epochs=with_last(picture=array, noise_scale=2)), tmp_path / "a.parquet", {})
    frame = results.read(tmp_path)
    assert frame["picture"].iloc[:2].tolist() == [None, None]
    assert equal(frame["picture"].iloc[2], array.astype(np.float64))
    assert frame["noise_scale"].iloc[2] == 2.0


def test_arrays_of_different_shapes_share_a_column(tmp_path):
    arrays = [np.eye(2), None, np.arange(3.0), np.zeros((1, 2, 2)), np.zeros((0,)), np.ones((3, 3))]
    epochs = [record | {"spectrum": array} for record, array in zip(records(6), arrays, strict=True)]
    results.write(run(epochs=epochs), tmp_path / "a.parquet", {})
    again = list(results.read(tmp_path)["spectrum"])
    assert [array is None for array in again] == [array is None for array in arrays]
    assert all(equal(left, right) for left, right in zip(again, arrays, strict=True) if right is not None)


def test_lists_and_numbers_among_arrays_are_arrays():
    epochs = [record | {"x": value} for record, value in zip(records(3), [[1, 2], 3, None], strict=True)]
    vector, number, nothing = run(epochs=epochs)["x"]
    assert (vector.shape, number.shape, nothing) == ((2,), (), None)


def test_frames_with_arrays_are_combined_compared_and_summarized(tmp_path):
    frames = [run(0, epochs=with_last(picture=PICTURE)), run(1), diverged(2)]
    frame = results.combine(frames)
    assert list(frame.columns) == list(frames[0].columns)
    last = results.last_rows(frame)
    assert [value is None for value in last["picture"]] == [False, True, True]
    assert results.summarize(frame, ["batch_size"])["n"].item() == 2
    assert not frame.duplicated([*results.run_columns(frame), "epoch"]).any()
    results.write(frame, tmp_path / "a.parquet", {})
    pd.testing.assert_frame_equal(results.read(tmp_path)[frame.columns], frame)


def test_texts_stay_beside_the_numbers_that_they_name(tmp_path):
    names = np.array(["Likelihood()", "σ"])
    results.write(run(epochs=with_last(names=names, cosine=np.ones(2))), tmp_path / "a.parquet", {})
    frame = results.combine([results.read(tmp_path), run(1)])
    again = frame["names"].iloc[2]
    assert again.dtype.kind == "U"
    assert again.tolist() == names.tolist()
    assert frame["names"].isna().sum() == len(frame) - 1
    assert equal(frame["cosine"].iloc[2], np.ones(2))


def test_mean_of_arrays_is_refused():
    with pytest.raises(ValueError, match="column 'picture' holds arrays"):
        results.summarize(run(epochs=with_last(picture=PICTURE)), ["method"], "picture")


def test_array_parameter_is_text():
    assert run(sigmas=np.array([0.1, 1]))["sigmas"].unique().tolist() == ["[0.1, 1.0]"]


def test_tables_turned_into_frames_together_are_what_each_gives():
    plain = pd.DataFrame({"a": [1, 2], "b": [True, False], "c": ["x", None], "d": [0.5, np.nan]})
    with_gaps = pd.DataFrame({"a": pd.array([1, None], "Int64"), "b": [True, None], "c": [None, None], "d": [1.0, 2.0]})
    with_arrays = pd.DataFrame({"a": [3, 4], "e": arrays.cells([np.eye(2), np.zeros((0, 3))])})
    frames = [
        plain,
        plain.assign(a=[3, 4], c=["y", "z"]),
        plain.assign(c=None),
        with_gaps,
        with_gaps,
        with_arrays,
        plain,
    ]
    tables = [arrays.to_table(frame) for frame in frames]
    # A column of integers or of truth values with gaps, written by other programs, has no kind of its own in pandas.
    tables.append(tables[0].set_column(0, "a", pa.array([None, 7])).set_column(1, "b", pa.array([None, True])))
    together = arrays.to_frames(tables)
    for table, frame in zip(tables, together, strict=True):
        pd.testing.assert_frame_equal(frame, arrays.to_frame(table))
