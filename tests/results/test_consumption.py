import sys
import types

import numpy as np
import pytest

from common import results
from common.results import consumption
from common.results.consumption import Consumption


@pytest.fixture
def powercap(tmp_path):
    """Make counters of two packages, of the memory of one, and of zones that are parts or wholes of these."""

    def set_joules(**zones):
        for name, (kind, joules) in zones.items():
            zone = tmp_path / "powercap" / name.replace("_", ":").replace("rapl:", "intel-rapl:", 1)
            zone.mkdir(parents=True, exist_ok=True)
            (zone / "name").write_text(f"{kind}\n")
            (zone / "energy_uj").write_text(f"{round(joules * 1e6)}\n")
            (zone / "max_energy_range_uj").write_text("100000000\n")
        return tmp_path / "powercap"

    return set_joules


@pytest.fixture
def process(tmp_path):
    """Make a process that has had more memory than it has."""
    (tmp_path / "status").write_text("Name:\tpython\nVmHWM:\t    2048 kB\nVmRSS:\t 512 kB\n")
    (tmp_path / "clear_refs").touch()
    return tmp_path


@pytest.fixture(autouse=True)
def _without_gpus(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)


def test_energy_is_that_of_packages_and_memory_also_when_a_counter_starts_again(powercap, process):
    start = {"rapl_0": ("package-0", 10), "rapl_0_0": ("core", 5), "rapl_0_1": ("dram", 1), "rapl_1": ("package-1", 99)}
    folder = powercap(**start, rapl_2=("psys", 0))
    with Consumption(folder, process) as used:
        powercap(rapl_0=("package-0", 14), rapl_0_0=("core", 8), rapl_0_1=("dram", 1.5), rapl_1=("package-1", 2))
        powercap(rapl_2=("psys", 50))
    assert used.energy_joules == pytest.approx(4 + 0.5 + 3)
    assert used.columns["energy_joules"] == used.energy_joules


def test_samples_count_every_new_start_of_a_counter(powercap, process, monkeypatch):
    folder = powercap(rapl_0=("package-0", 90))
    monkeypatch.setattr(consumption, "SAMPLE_SECONDS", 3600.0)
    with Consumption(folder, process) as used:
        for joules in (10, 95, 5):
            powercap(rapl_0=("package-0", joules))
            used._sample()
    assert used.energy_joules == pytest.approx(20 + 85 + 10)


def test_nothing_is_said_where_nothing_is_known(powercap, process, tmp_path):
    with Consumption(tmp_path / "nothing", tmp_path / "nothing") as used:
        pass
    assert (used.energy_joules, used.peak_memory, used.columns) == (None, None, {})
    still = powercap(rapl_0=("package-0", 7))
    with Consumption(still, process) as used:
        pass
    assert used.energy_joules is None  # never zero


def test_a_counter_that_is_gone_ends_nothing(powercap, process):
    folder = powercap(rapl_0=("package-0", 7), rapl_1=("package-1", 7))
    with Consumption(folder, process) as used:
        powercap(rapl_0=("package-0", 9))
        (folder / "intel-rapl:1" / "energy_uj").unlink()
    assert used.energy_joules is None


def test_energy_of_gpus(monkeypatch, tmp_path):
    class NVMLError(Exception):
        pass

    millijoules = {0: 1000, 1: None}

    def energy(gpu):
        if millijoules[gpu] is None:
            raise NVMLError
        return millijoules[gpu]

    known = {"nvmlInit": lambda: None, "nvmlDeviceGetCount": lambda: 2, "nvmlDeviceGetHandleByIndex": lambda i: i}
    fake = types.SimpleNamespace(**known, nvmlDeviceGetTotalEnergyConsumption=energy, NVMLError=NVMLError)
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    with Consumption(tmp_path / "nothing", tmp_path) as used:
        millijoules[0] = 3500
    assert used.energy_joules == 2.5


def test_peak_memory_is_counted_anew(process):
    with Consumption(process / "nothing", process) as used:
        assert (process / "clear_refs").read_text() == "5"
    assert used.peak_memory == 2048 * 1024


@pytest.mark.skipif(not consumption.PROCESS.joinpath("clear_refs").exists(), reason="Linux alone counts it anew")
def test_peak_memory_of_a_block_is_not_that_of_the_one_before(tmp_path):
    peaks = []
    for megabytes in (200, 0):
        with Consumption(tmp_path) as used:
            np.ones(megabytes * 2**17).sum()
        peaks.append(used.peak_memory)
    if peaks[0] is not None:
        assert peaks[0] - peaks[1] > 150 * 2**20


def test_the_columns_are_provenance_and_come_back(tmp_path):
    from result_runs import run

    known = {"digest": "ab", "energy_joules": 1.5, "peak_memory": 2**33}
    results.write(results.combine([run(0, provenance=known), run(1)]), tmp_path / "f.parquet", {})
    last = results.last_rows(results.read(tmp_path)).set_index("seed")
    assert last["energy_joules"].tolist()[:1] == [1.5]
    assert last["peak_memory"].tolist()[:1] == [2**33]
    assert last.loc[1, ["energy_joules", "peak_memory"]].isna().all()
    assert not {"energy_joules", "peak_memory"} & set(results.run_columns(last.reset_index()))
    again = results.Store(tmp_path / "store").write("ab" * 32, run(0, provenance=known)).frame
    assert (again["energy_joules"].iloc[0], again["peak_memory"].iloc[0]) == (1.5, 2**33)
