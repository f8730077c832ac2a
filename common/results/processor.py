"""The processor: on its instructions depend the last bits of a training, and how fast bfloat16 is."""

from __future__ import annotations

import functools
import platform
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_VECTORS = {"avx512f": "AVX-512", "avx2": "AVX2", "avx": "AVX", "sve": "SVE", "asimd": "NEON"}  # the widest first


def instructions(cpuinfo: Path = _CPUINFO) -> frozenset[str]:
    """Return the instruction sets by Linux' names, such as "avx2"; empty on other systems."""
    values = _values(cpuinfo)
    return frozenset(values.get("flags", values.get("Features", "")).split())


def processor(cpuinfo: Path = _CPUINFO) -> str:
    """Return the model with its widest vector instructions, "AMD EPYC with AVX2"; elsewhere what Python knows of it."""
    model = _values(cpuinfo).get("model name") or platform.processor() or platform.machine() or "unknown processor"
    widest = next((name for flag, name in _VECTORS.items() if flag in instructions(cpuinfo)), "")
    return " ".join(model.replace(",", " ").split()) + (f" with {widest}" if widest else "")


@functools.cache
def _values(cpuinfo: Path) -> dict[str, str]:
    """Return what the file says of the first processor; empty without the file."""
    try:
        first = cpuinfo.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}
