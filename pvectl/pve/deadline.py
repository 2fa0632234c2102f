"""How long a run may still take, whatever the server does."""

from __future__ import annotations

import math
import time

from pvectl.errors import DeadlineExceeded


class Deadline:
    """The moment by which everything ends, counted from its making on a clock that never steps."""

    __slots__ = ("_by", "_seconds")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._by = time.monotonic() + seconds

    @classmethod
    def never(cls) -> Deadline:
        return cls(math.inf)

    def left(self) -> float:
        """Seconds still to go; never negative."""
        return max(0.0, self._by - time.monotonic())

    def check(self) -> None:
        """Go on, or end here.

        Raises:
            DeadlineExceeded: no time is left.
        """
        if time.monotonic() >= self._by:
            raise self.exceeded()

    def exceeded(self) -> DeadlineExceeded:
        return DeadlineExceeded(
            f"no answer within the {self._seconds:g} s this run may take",
            hint="give it more time with --deadline 5m, or look at the node's pveproxy",
        )

    def begin_again(self) -> None:
        """Count anew from now: what went by was a person thinking."""
        self._by = time.monotonic() + self._seconds

    def within(self, seconds: float) -> Deadline:
        """A nearer deadline for one part of the work: `seconds` from now, or this one's end if that comes first."""
        part = Deadline(seconds)
        part._by = min(part._by, self._by)
        part._seconds = self._seconds if part._by == self._by else seconds
        return part
