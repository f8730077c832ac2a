"""Resource use of a training, where the machine reports it: energy, and the process's peak memory.

Energy is read from counters. RAPL counts for processors and their memory (Linux's powercap, which on many machines only
root may read). NVML counts for NVIDIA's GPUs (the package nvidia-ml-py, in the extra `energy`). Counters include all
processes of the machine. They give a run's own energy only if nothing else runs.
"""

import contextlib
import functools
import importlib
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

POWERCAP = Path("/sys/class/powercap")
PROCESS = Path("/proc/self")
# RAPL's counters start again at 0 after 65 kJ on some machines, which a server draws in minutes.
SAMPLE_SECONDS = 30.0

Counter = tuple[Callable[[], float], float | None]  # reads joules; at how many it starts again (None: never)


class Consumption:
    """Context manager that measures the resource use of a block.

        with Consumption() as consumption:
            ...
        consumption.energy_joules, consumption.peak_memory

    Args:
        powercap: the folder of RAPL's counters on Linux.
        process: the folder with Linux's facts about this process.

    Attributes:
        energy_joules: energy of all processors and GPUs with a counter, in joules, above 0; None if no readable counter
            moves.
        peak_memory: the largest resident memory of this process within the block, in bytes. It includes Python,
            TensorFlow, the data sets and remains of earlier runs, but not GPU memory. None if the system cannot reset a
            process's peak; only Linux can.
    """

    def __init__(self, powercap: Path = POWERCAP, process: Path = PROCESS):
        self.energy_joules: float | None = None
        self.peak_memory: int | None = None
        self._counters = [*_rapl(powercap), *_nvml()]
        self._process = process

    def __enter__(self) -> "Consumption":
        self._joules = 0.0
        self._last: list[float] | None = None
        self._sample()
        self._ended = threading.Event()
        self._sampler = threading.Thread(target=self._sample_until_the_end, daemon=True)
        if self._counters:
            self._sampler.start()
        self._forgets = _forget_peak(self._process)
        return self

    def __exit__(self, *_: object) -> None:
        if self._sampler.is_alive():
            self._ended.set()
            self._sampler.join()
            self._sample()
        self.energy_joules = self._joules or None  # counters that stand still say nothing
        self.peak_memory = _peak(self._process) if self._forgets else None

    @property
    def columns(self) -> Mapping[str, Any]:
        """Return both numbers as values of a result's provenance, without missing ones."""
        values = {"energy_joules": self.energy_joules, "peak_memory": self.peak_memory}
        return {name: value for name, value in values.items() if value is not None}

    def _sample_until_the_end(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            self._sample()

    def _sample(self) -> None:
        try:
            now = [read() for read, _ in self._counters]
        except Exception:  # of files or of NVML: a counter that is gone must end no training
            self._counters, self._joules = [], 0.0
            return
        for (_, limit), before, after in zip(self._counters, self._last or now, now, strict=True):
            self._joules += after - before + (limit or 0.0) * (after < before)
        self._last = now


def _rapl(powercap: Path) -> Iterator[Counter]:
    """Yield a counter for each processor package, and for memory outside of these."""
    for zone in sorted(powercap.glob("intel-rapl:*")):
        with contextlib.suppress(OSError, ValueError):
            name = (zone / "name").read_text().strip()
            if name.startswith("package") or name == "dram":
                _joules(zone / "energy_uj")  # may not be ours to read
                yield functools.partial(_joules, zone / "energy_uj"), _joules(zone / "max_energy_range_uj")


def _joules(path: Path) -> float:
    return int(path.read_text()) / 1e6


def _nvml() -> Iterator[Counter]:
    """Yield a counter for each GPU that has one, if NVML's Python package and driver are installed."""
    try:
        nvml = importlib.import_module("pynvml")
        nvml.nvmlInit()
    except Exception:  # the package, the driver or the GPU is not there, in as many classes of errors
        return
    for index in range(nvml.nvmlDeviceGetCount()):
        with contextlib.suppress(nvml.NVMLError):
            gpu = nvml.nvmlDeviceGetHandleByIndex(index)
            nvml.nvmlDeviceGetTotalEnergyConsumption(gpu)  # GPUs before Volta have none
            yield functools.partial(_nvml_joules, nvml, gpu), None


def _nvml_joules(nvml: Any, gpu: Any) -> float:
    return nvml.nvmlDeviceGetTotalEnergyConsumption(gpu) / 1e3


def _forget_peak(process: Path) -> bool:
    """Reset the kernel's peak of this process's memory; return whether this worked."""
    try:
        (process / "clear_refs").write_text("5")  # see proc(5): it resets the peak and nothing else
    except OSError:
        return False
    return True


def _peak(process: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        for line in (process / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return None
