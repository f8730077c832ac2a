import os
import subprocess
import sys
from pathlib import Path

import pytest

from common import atomic


def test_content_appears_when_the_block_succeeds(tmp_path):
    path = tmp_path / "deep" / "network.keras"
    with atomic.replacing(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
        assert temporary.name.startswith(".")
        assert temporary.suffix == ".keras"
    assert path.read_text() == "new"
    assert os.listdir(path.parent) == ["network.keras"]


@pytest.mark.parametrize("failure", [OSError, KeyboardInterrupt])
def test_failed_block_leaves_the_old_content_and_no_other_file(tmp_path, failure):
    path = tmp_path / "all.parquet"
    path.write_text("old")

    def fail():
        with atomic.replacing(path) as temporary:
            temporary.write_text("half")
            raise failure

    with pytest.raises(failure):
        fail()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["all.parquet"]


def test_block_that_writes_nothing_is_an_error(tmp_path):
    def write_nothing():
        with atomic.replacing(tmp_path / "all.parquet"):
            pass

    with pytest.raises(FileNotFoundError):
        write_nothing()
    assert os.listdir(tmp_path) == []


def test_atomic_and_names_import_no_package():
    code = (
        "import sys, common.atomic, common.checks\n"
        "print([name for name in ('tensorflow', 'keras', 'numpy') if name in sys.modules])"
    )
    root = Path(atomic.__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
