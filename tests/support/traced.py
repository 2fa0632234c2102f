"""What strace saw a process do, by the numbers under which strace can make each of it fail."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple


class Point(NamedTuple):
    """The `number`-th time one of the run's threads makes this call."""

    call: str
    number: int

    def inject(self, how: str, *, on: bool = False) -> str:
        """The expression that does it to this call, or to this and all later ones of its name."""
        return f"inject={self.call}:{how}:when={self.number}{'+' if on else ''}"


def calls(trace: Path, *, of: str = "") -> list[Point]:
    """All that a thread does and the pattern `of` fits, in its order, as strace counts it: each kind of call of each thread by itself."""
    counted: Counter[tuple[str, str]] = Counter()
    points: dict[Point, None] = {}
    for line in trace.read_text(encoding="utf-8", errors="replace").splitlines():
        if (call := re.match(r"(\d+ +|)(\w+)\(", line)) is not None:
            counted[call[1], call[2]] += 1
            if re.search(of, line):
                points[Point(call[2], counted[call[1], call[2]])] = None
    return list(points)
