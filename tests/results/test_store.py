import errno
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from result_runs import records, run

from common import results
from common.settings import Configured

ROOT = Path(results.__file__).parents[2]
DIGEST = results.identity_digest({"seed": 0})
WEIGHTS = [np.eye(2, dtype=np.float32), np.array(3), np.zeros((0, 4))]
SESSION = {"commit": "a" * 40, "dirty": False, "versions": {"python": "3"}, "device": "CPU", "threads": 2}


def session(commit="a", **values):
    return SESSION | {"commit": commit * 40, "begun": f"2020-01-01T00:00:0{ord(commit) % 10}+00:00"} | values


@pytest.fixture
def store(tmp_path):
    return results.Store(tmp_path / "store")


@pytest.fixture
def process(tmp_path):
    """Starts Python with some code, which has `store`, `digest`, `frame` and a function `reach(name)`."""
    started = []
    prelude = (
        "import os, sys, time\nfrom pathlib import Path\nimport numpy as np\nfrom common import results\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\nfrom result_runs import run\n"
        f"here = Path({str(tmp_path)!r})\nstore, digest = results.Store(here / 'store'), {DIGEST!r}\n"
        "def reach(name):\n    (here / name).touch()\n"
    )

    def start(code):
        started.append(subprocess.Popen([sys.executable, "-c", prelude + code], cwd=ROOT, stderr=subprocess.PIPE))
        return started[-1]

    yield start
    for running in started:
        running.kill()
        running.wait()
        running.stderr.close()


def wait_for(condition):
    """Return once the condition holds; fail after minutes, which no busy machine needs."""
    end = time.monotonic() + 200
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.02)


def finish(process):
    _, error = process.communicate()
    assert process.returncode == 0, error.decode()


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_record_comes_back_as_it_was(store):
    epochs = [record | {"picture": np.eye(2)} for record in records()]
    assert store.find(DIGEST) is None
    provenance = store.begin(DIGEST, session())
    written = store.write(DIGEST, run(epochs=epochs, provenance=provenance), WEIGHTS, {"tracing_seconds": 2.0})
    record = results.Store(store.folder).find(DIGEST)
    pd.testing.assert_frame_equal(record.frame, written.frame)
    assert record.digest == DIGEST
    assert record.measurements == {"tracing_seconds": 2.0}
    for again, weight in zip(record.weights, WEIGHTS, strict=True):
        assert (again.dtype, again.shape, again.tobytes()) == (weight.dtype, weight.shape, weight.tobytes())
    assert len(store.weights(DIGEST)) == 3
    assert store.weights("0" * 64) is None
    assert store.path(DIGEST) == store.folder / DIGEST[:2] / f"{DIGEST}.parquet"
    assert files(store.folder) == [f"{DIGEST[:2]}/{DIGEST}.npz", f"{DIGEST[:2]}/{DIGEST}.parquet"]


def test_record_tells_where_it_comes_from(store):
    store.begin(DIGEST, session(data_checksum="ab"))
    row = store.write(DIGEST, run()).frame.iloc[-1]
    assert row[["commit", "dirty", "device", "threads", "data_checksum"]].tolist() == ["a" * 40, False, "CPU", 2, "ab"]
    assert json.loads(row["versions"]) == {"python": "3"}
    assert (json.loads(row["resumed"]), row["digest"]) == ([], DIGEST)
    assert row["begun"] < row["ended"]
    assert pd.isna(row["note"])
    [origin] = results.read(store.folder).attrs["provenance"]
    assert origin["commit"] == "a" * 40
    assert origin["versions"] == {"python": "3"}
    assert origin["data_checksum"] == "ab"


def test_resumed_run_names_every_commit(store):
    store.begin(DIGEST, session("a"))
    (store.checkpoint_dir(DIGEST) / "ckpt-1.index").touch()
    results.Store(store.folder).begin(DIGEST, session("b", dirty=True))
    provenance = results.Store(store.folder).begin(DIGEST, session("c"))
    assert provenance["commit"] == "a" * 40
    assert provenance["begun"] == session("a")["begun"]
    assert provenance["resumed"] == ["b" * 40, "c" * 40]
    assert provenance["dirty"] is True
    frame = results.Store(store.folder).write(DIGEST, run(provenance=provenance)).frame
    assert frame["resumed"].map(json.loads).iloc[0] == ["b" * 40, "c" * 40]
    assert not store.checkpoint_dir(DIGEST).joinpath("ckpt-1.index").exists()


def test_session_that_left_no_checkpoint_is_not_resumed(store):
    store.begin(DIGEST, session("a"))
    store.checkpoint_dir(DIGEST)
    provenance = store.begin(DIGEST, session("b"))
    assert (provenance["commit"], provenance["resumed"]) == ("b" * 40, [])


def test_checkpoints_of_unknown_sessions_are_noted(store):
    (store.checkpoint_dir(DIGEST) / "ckpt-1.index").touch()
    provenance = store.begin(DIGEST, session("b"))
    frame = store.write(DIGEST, run(provenance=provenance)).frame
    assert frame["commit"].isna().all()
    assert frame["resumed"].map(json.loads).iloc[0] == ["b" * 40]
    assert "no session is noted" in frame["note"].iloc[0]


def test_checkpoints_may_lie_on_a_local_disk(store, tmp_path, monkeypatch):
    monkeypatch.setenv("LOCAL_DISK", str(tmp_path / "local"))
    monkeypatch.setenv("RUN_CHECKPOINTS", "$LOCAL_DISK/checkpoints")
    store.begin(DIGEST, session())
    folder = store.checkpoint_dir(DIGEST)
    assert folder == tmp_path / "local" / "checkpoints" / DIGEST
    (folder / "checkpoint").touch()
    assert store.begin(DIGEST, session("b"))["resumed"] == ["b" * 40]
    store.write(DIGEST, run())
    assert not folder.exists()
    assert not (store.folder / ".checkpoints").exists()


def test_local_disk_that_a_machine_does_not_name_is_said(store, monkeypatch):
    monkeypatch.setenv("RUN_CHECKPOINTS", "$NO_SUCH_DISK/checkpoints")
    with pytest.raises(ValueError, match=r"^RUN_CHECKPOINTS cannot be used on this machine: .*variable NO_SUCH_DISK"):
        store.checkpoint_dir(DIGEST)


def test_unknown_provenance_is_refused_before_training(store):
    with pytest.raises(ValueError, match=r"provenance 'comit' is unknown.*did you mean 'commit'"):
        store.begin(DIGEST, {"comit": "a"})  # codespell:ignore


@pytest.mark.parametrize("ending", [".parquet", ".npz"])
@pytest.mark.parametrize("damage", ["torn", "flipped", "empty"])
def test_unreadable_record_is_named_and_written_again(store, ending, damage):
    store.write(DIGEST, run(), [np.arange(1000.0)])
    path = store.path(DIGEST).with_suffix(ending)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2 if ending == ".npz" else 60
    content[middle] ^= 0xFF
    path.write_bytes({"torn": content[: len(content) // 2], "flipped": content, "empty": b""}[damage])
    with pytest.warns(results.StoreWarning, match=rf"the record .*{DIGEST}\.parquet cannot be read \(.*trained again"):
        assert store.find(DIGEST) is None
    store.write(DIGEST, run(), [np.arange(1000.0)])
    assert store.find(DIGEST).weights[0][-1] == 999


def test_record_without_its_weights_or_under_another_name_is_no_record(store):
    store.write(DIGEST, run(), WEIGHTS)
    other = "f" * 64
    store.path(other).parent.mkdir()
    store.path(DIGEST).rename(store.path(other))
    with pytest.warns(results.StoreWarning, match="it is the record"):
        assert store.find(other) is None
    store.path(other).rename(store.path(DIGEST))
    store.path(DIGEST).with_suffix(".npz").unlink()
    with pytest.warns(results.StoreWarning, match="No such file"):
        assert store.find(DIGEST) is None


RACE = """
with store.lock(digest, on_wait=lambda: reach("waited")):
    record = store.find(digest)
    if record is None:
        (here / f"trained{os.getpid()}").touch()
        reach("training")
        while not (here / "go").exists():
            time.sleep(0.01)
        store.write(digest, run(), [np.ones(3)])
    assert store.find(digest).weights[0].sum() == 3
"""


def test_second_process_waits_and_finds_the_record(process, tmp_path):
    first = process(RACE)
    wait_for((tmp_path / "training").exists)
    second = process(RACE)
    wait_for((tmp_path / "waited").exists)
    (tmp_path / "go").touch()
    finish(first)
    finish(second)
    assert len(list(tmp_path.glob("trained*"))) == 1


def test_killed_process_leaves_no_lock(process, store, tmp_path):
    first = process("with store.lock(digest):\n    reach('locked')\n    time.sleep(600)\n")
    wait_for((tmp_path / "locked").exists)
    first.send_signal(signal.SIGKILL)
    first.wait()
    waited = []
    with store.lock(DIGEST, on_wait=lambda: waited.append(True)):
        assert store.find(DIGEST) is None


TORN = """
import pyarrow.parquet as pq
def half(*content_and_place, **options):
    Path(content_and_place[-1]).write_bytes(b"PAR1 half")
    os.kill(os.getpid(), 9)
other = results.identity_digest({"seed": 1})
store.write(other, run(), [np.ones(3)])
%s = half
with store.lock(digest):
    store.write(digest, run(1), [np.ones(3)])
"""


@pytest.mark.parametrize("function", ["np.savez", "pq.write_table"])
def test_kill_in_the_middle_of_a_write_leaves_whole_records_only(process, store, function):
    killed = process(TORN % function)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert store.find(DIGEST) is None
        assert store.find(results.identity_digest({"seed": 1})) is not None
        assert len(results.read(store.folder).attrs["files"]) == 1
        assert any(".tmp." in name for name in files(store.folder))
        with store.lock(DIGEST):
            store.write(DIGEST, run(1), [np.ones(3)])
    assert not any(".tmp." in name for name in files(store.folder))
    assert len(results.read(store.folder).attrs["files"]) == 2


def test_kill_at_any_moment_loses_no_finished_record(process, store, tmp_path):
    code = (
        "for seed in range(10**6):\n    digest = results.identity_digest({'seed': seed})\n"
        "    with store.lock(digest):\n"
        "        store.begin(digest, {})\n        store.write(digest, run(seed), [np.ones(30)])\n"
        "    reach(f'done{seed}')\n"
    )
    for wanted in (3, 11):
        writer = process(code)
        wait_for(lambda wanted=wanted: (tmp_path / f"done{wanted}").exists())
        writer.kill()
        writer.wait()
    done = [int(path.name.removeprefix("done")) for path in tmp_path.glob("done*")]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for seed in done:
            assert store.find(results.identity_digest({"seed": seed})).frame["seed"].iloc[0] == seed
        assert results.read(store.folder).attrs["unreadable"] == {}


FULL = """
import resource, warnings
caught = []
warnings.showwarning = lambda message, *rest: caught.append(str(message))
store.write("a" * 64, run(), [np.ones(3)])
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
for digest in ("b" * 64, "c" * 64):
    with store.lock(digest):
        provenance = store.begin(digest, {"commit": "x"})
        record = store.write(digest, run(5, provenance=provenance), [np.ones(300)])
        assert record.frame["seed"].iloc[0] == 5 and record.frame["commit"].iloc[0] == "x"
        assert store.find(digest) is None
assert store.find("a" * 64) is not None
assert len(caught) == 1, caught
assert str(store.folder) in caught[0] and "cannot be written (File too large)" in caught[0], caught
"""


def test_full_disk_is_said_once_and_loses_no_result(process, store):
    finish(process(FULL))
    assert not any("tmp" in name or "bbbb.parquet" in name for name in files(store.folder))


def test_full_disk_while_the_frame_is_written(store, monkeypatch):
    def full(*_arguments, **_options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.warns(results.StoreWarning, match=r"the store .*store cannot be written \(No space left on device\)"):
        record = store.write(DIGEST, run(), WEIGHTS)
    assert len(record.weights) == 3
    assert store.find(DIGEST) is None


def test_folder_that_cannot_be_made_is_said_once(tmp_path):
    (tmp_path / "file").touch()
    store = results.Store(tmp_path / "file" / "store")
    sentence = r"the store .*file/store cannot be written \(Not a directory\)"
    with pytest.warns(results.StoreWarning, match=sentence), store.lock(DIGEST):
        assert store.find(DIGEST) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it is said once
        provenance = store.begin(DIGEST, session())
        assert store.checkpoint_dir(DIGEST) is None
        frame = store.write(DIGEST, run(provenance=provenance)).frame
    assert frame["commit"].iloc[0] == "a" * 40


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_store_is_read(store):
    store.write(DIGEST, run(), WEIGHTS)
    folders = [store.folder, store.path(DIGEST).parent, *store.folder.glob(".*")]
    for folder in folders:
        folder.chmod(0o555)
    with pytest.warns(results.StoreWarning, match=r"cannot be written \(Permission denied\)"), store.lock(DIGEST):
        assert store.find(DIGEST) is not None
    assert store.checkpoint_dir(DIGEST) is None
    for folder in folders:
        folder.chmod(0o755)


def test_identity_counts_content_alone():
    class Part(Configured):
        def __init__(self, size):
            self.size = size

    digest = results.identity_digest({"a": 1, "b": [0.1, None], "part": Part(3)})
    assert digest == results.identity_digest({"part": "Part(3)", "b": (np.float64(0.1), None), "a": np.int64(1)})
    assert digest != results.identity_digest({"a": 2, "b": [0.1, None], "part": Part(3)})
    assert len(digest) == 64
    with pytest.raises(TypeError, match=r"must be plain data, got <object .* of type object"):
        results.identity_digest({"a": object()})
