import pytest
from result_runs import run

from common import results
from common.results.stored_runs import stored_runs


def test_runs_come_one_by_one_from_files_and_stores(tmp_path):
    results.write(
        results.combine([run(0, run="a"), run(1, run="a"), run(0, run="b", sigma=1.0)]), tmp_path / "f.parquet", {}
    )
    digest = results.identity_digest({"seed": 2})
    results.Store(tmp_path / "store").write(digest, run(2, run="c"))
    runs, unreadable = stored_runs(tmp_path)
    assert unreadable == {}
    assert [(each.name, each.seed, each.number) for each in runs] == [
        ("a", 0, 0),
        ("a", 1, 1),
        ("b", 0, 2),
        ("c", 2, 0),
    ]
    assert [each.digest for each in runs] == ["", "", "", digest]
    assert [len(each.frame) for each in runs] == [3] * 4
    assert (runs[0].value("sigma"), runs[2].value("sigma"), runs[0].value("nothing")) == (None, 1.0, None)
    assert str(runs[2]) == "01_baseline_sgd, 'b', seed 0"
    assert runs[3].path.parent.parent == tmp_path / "store"


def test_what_is_missing_or_cannot_be_read_is_named(tmp_path):
    (tmp_path / "torn.parquet").write_bytes(b"PAR1")
    runs, unreadable = stored_runs([tmp_path])
    assert runs == []
    assert list(unreadable) == [str(tmp_path / "torn.parquet")]
    with pytest.raises(FileNotFoundError, match="elsewhere does not exist"):
        stored_runs([tmp_path, tmp_path / "elsewhere"])
