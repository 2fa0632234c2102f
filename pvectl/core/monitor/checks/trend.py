"""When a storage will be full if it goes on as in the last month."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

from pvectl.core.monitor.checks.settings import DAY
from pvectl.core.monitor.monitored import Sample

MOST_POINTS = 70
LEAST_POINTS = 12
LEAST_SPAN = 3 * DAY


def points(samples: Iterable[Sample]) -> list[tuple[float, float]]:
    """At most 70 (time, used) points: the median of each stretch of equal length, so that neither gaps nor spikes weigh more."""
    told = sorted((float(sample.time), sample.used) for sample in samples if sample.used is not None)
    if len(told) <= MOST_POINTS:
        return told
    first, last = told[0][0], told[-1][0]
    stretches: dict[int, list[tuple[float, float]]] = {}
    for time, used in told:
        stretches.setdefault(min(int((time - first) / (last - first) * MOST_POINTS), MOST_POINTS - 1), []).append((time, used))
    return [(median(time for time, _used in stretch), median(used for _time, used in stretch)) for stretch in stretches.values()]


def growth(line: Sequence[tuple[float, float]]) -> float | None:
    """Bytes a second, after Theil and Sen: the median of the slopes between all pairs, which a third of wild points cannot move.

    None when there are too few points, or too short a time, to say anything.
    """
    if len(line) < LEAST_POINTS or line[-1][0] - line[0][0] < LEAST_SPAN:
        return None
    return median([(after - before) / (later - earlier) for (earlier, before), (later, after) in combinations(line, 2) if later > earlier])


def median(values: Iterable[float]) -> float:
    """The middle one of at least one value; of two in the middle their mean. Python's own costs 15 ms to import."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def is_young(samples: Sequence[Sample]) -> bool:
    """Whether the storage has not been there for long enough to say anything: PVE's rows before its first day are left out or empty."""
    told = [sample.time for sample in samples if sample.total is not None]
    return bool(told) and max(told) - min(told) < LEAST_SPAN


def days_to_full(samples: Iterable[Sample], *, used: float, total: float) -> float | None:
    """Days from now until `total` is reached; infinite when it does not grow, None when the past tells too little."""
    slope = growth(points(samples))
    if slope is None:
        return None
    if used >= total:
        return 0.0
    return (total - used) / slope / DAY if slope > 0 else float("inf")
