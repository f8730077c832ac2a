"""Timing that compares: every candidate takes its turn in every round of one run, and medians are divided.

Absolute seconds swing by a factor of two from run to run on shared machines; ratios within a round do not.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from common.training.timing import interleaved_runs


@dataclass(frozen=True)
class Timing:
    """Seconds of one candidate, a value a round."""

    seconds: list[float]

    @property
    def median(self) -> float:
        """Median over the rounds, in seconds."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Largest less smallest, in seconds."""
        return max(self.seconds) - min(self.seconds)


def race(candidates: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Timing]:
    """Run every candidate once as a warm-up (tracing, caches), then `rounds` times in turn.

    Args:
        candidates: name to a function that does the work and waits for its end.
        rounds: ≥ 1; five are a fair median.
    """
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for name, taken, _ in interleaved_runs(candidates, rounds + 1):
        seconds[name].append(taken)
    return {name: Timing(values[1:]) for name, values in seconds.items()}


def median_ratio(timings: Mapping[str, Timing], candidate: str, reference: str) -> float:
    """Median over the rounds of candidate / reference, each taken within one round."""
    pairs = zip(timings[candidate].seconds, timings[reference].seconds, strict=True)
    return statistics.median(a / b for a, b in pairs)
