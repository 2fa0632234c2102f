"""A row of small bars: how a value went, at one glance, for terminals."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

_BARS = "▁▂▃▄▅▆▇█"


def sparks(values: Sequence[float], *, most: float, width: int) -> str:
    """The values from 0 to `most` as bars, the oldest first; each bar stands for the average of its share of them."""
    if not values or most <= 0:
        return ""
    width = min(width, len(values))
    edges = [position * len(values) // width for position in range(width + 1)]
    parts = [values[start:end] for start, end in pairwise(edges)]
    return "".join(_bar(sum(part) / len(part) / most) for part in parts)


def _bar(share: float) -> str:
    return _BARS[min(max(int(share * (len(_BARS) - 1) + 0.5), 0), len(_BARS) - 1)]
