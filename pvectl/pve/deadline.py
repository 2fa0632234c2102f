"""How long a run may still take, whatever the server does."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pvectl.errors import DeadlineExceeded


class Deadline:
    """The moment by which everything ends, counted from its making on a clock that never steps."""

    __slots__ = ("_by", "_own", "_seconds")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._by = time.monotonic() + seconds
        self._own = _Own()

    @classmethod
    def never(cls) -> Deadline:
        return cls(math.inf)

    def left(self) -> float:
        """Seconds still to go; never negative."""
        return max(0.0, min(self._by, self._own.by) - time.monotonic())

    def check(self) -> None:
        """Go on, or end here.

        Raises:
            DeadlineExceeded: no time is left.
        """
        if time.monotonic() >= min(self._by, self._own.by):
            raise self.exceeded()

    @contextmanager
    def in_this_thread(self, seconds: float) -> Iterator[None]:
        """A nearer deadline for all this thread does within: one question must not take the time of those that wait behind it."""
        before = self._own.by, self._own.seconds
        self._own.by, self._own.seconds = min(before[0], time.monotonic() + seconds), seconds
        try:
            yield
        finally:
            self._own.by, self._own.seconds = before

    @contextmanager
    def impatient(self, seconds: float) -> Iterator[None]:
        """A host that is silent for so long counts as broken for what this thread asks within, so that another one is asked instead."""
        before, self._own.patience = self._own.patience, seconds
        try:
            yield
        finally:
            self._own.patience = before

    @property
    def patience(self) -> float:
        """Seconds of silence after which a host is given up."""
        return self._own.patience

    def exceeded(self) -> DeadlineExceeded:
        if self._own.by < self._by:
            return DeadlineExceeded(f"no answer within {round(self._own.seconds, 1):g} s")
        return DeadlineExceeded(
            f"no answer within the {self._seconds:g} s this run may take",
            hint="give it more time with --deadline 5m, or look at the node's pveproxy",
        )

    def begin_again(self, seconds: float | None = None) -> None:
        """Count anew from now: what went by was a person thinking, or what is to come has its own length in `seconds`."""
        self._seconds = self._seconds if seconds is None else seconds
        self._by = time.monotonic() + self._seconds

    def within(self, seconds: float) -> Deadline:
        """A nearer deadline for one part of the work: `seconds` from now, or this one's end if that comes first."""
        part = Deadline(seconds)
        part._by = min(part._by, self._by, self._own.by)
        part._seconds = self._seconds if part._by == self._by else seconds
        part._own.patience = self._own.patience
        return part


class _Own(threading.local):
    """What one thread may take, where that is less than the whole run."""

    by = math.inf
    seconds = math.inf
    patience = math.inf
