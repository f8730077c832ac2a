"""Timing that compares: every subject takes its turn in every round of one run, and medians are divided.

Absolute seconds swing by a factor of two from run to run on shared machines; ratios within a round do not.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from common.training.timing import turns


@dataclass(frozen=True)
class Timing:
    """Seconds of one subject, a value a round."""

    seconds: list[float]

    @property
    def median(self) -> float:
        """Median over the rounds, in seconds."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Largest less smallest, in seconds."""
        return max(self.seconds) - min(self.seconds)


def race(subjects: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Timing]:
    """Run every subject once as a warm-up (tracing, caches), then `rounds` times in turn.

    Args:
        subjects: name to a function that does the work and waits for its end.
        rounds: ≥ 1; five are a fair median.
    """
    seconds: dict[str, list[float]] = {name: [] for name in subjects}
    for name, taken, _ in turns(subjects, rounds + 1):
        seconds[name].append(taken)
    return {name: Timing(values[1:]) for name, values in seconds.items()}


def median_ratio(timings: Mapping[str, Timing], subject: str, reference: str) -> float:
    """Median over the rounds of subject / reference, each taken within one round."""
    pairs = zip(timings[subject].seconds, timings[reference].seconds, strict=True)
    return statistics.median(a / b for a, b in pairs)
