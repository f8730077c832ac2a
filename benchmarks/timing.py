"""Comparable timing: in one run, every round times every candidate in turn, and ratios are taken within rounds.

Absolute seconds vary by a factor of two from run to run on shared machines; ratios within a round do not.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from common.training.timing import interleaved_runs


@dataclass(frozen=True)
class Timing:
    """Seconds of one candidate, one value per round."""

    seconds: list[float]

    @property
    def median(self) -> float:
        """Median over the rounds, in seconds."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Difference between the largest and the smallest value, in seconds."""
        return max(self.seconds) - min(self.seconds)


def race(candidates: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Timing]:
    """Run every candidate once as a warm-up (tracing, caches), then `rounds` times in turn.

    Args:
        candidates: maps each name to a function that does the work and waits for its end.
        rounds: number of rounds, ≥ 1; five give a fair median.
    """
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for name, taken, _ in interleaved_runs(candidates, rounds + 1):
        seconds[name].append(taken)
    return {name: Timing(values[1:]) for name, values in seconds.items()}


def median_ratio(timings: Mapping[str, Timing], candidate: str, reference: str) -> float:
    """Return the median over the rounds of the ratio candidate / reference within one round."""
    pairs = zip(timings[candidate].seconds, timings[reference].seconds, strict=True)
    return statistics.median(a / b for a, b in pairs)
