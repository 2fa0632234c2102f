"""What became of one try to tell somebody, and how long it may take."""

from __future__ import annotations

import time
from typing import Protocol

from msgspec import Struct


class Delivered(Struct, frozen=True, kw_only=True):
    """The receiver took it. `trouble`: not for everyone (a mail address that was refused beside others)."""

    detail: str = ""
    trouble: str | None = None


class Retry(Struct, frozen=True, kw_only=True):
    """Not this time. `after`: seconds the receiver asked to be left alone, None when it did not say.

    `maybe_delivered`: all of it may have left before the failure, so the next try must carry the same id.
    """

    reason: str
    after: float | None = None
    maybe_delivered: bool = False


class Permanent(Struct, frozen=True, kw_only=True):
    """Not until a person does something about it. `of_message`: about this one message; the receiver may well take the next."""

    reason: str
    of_message: bool = False


Result = Delivered | Retry | Permanent


class TimeLeft(Protocol):
    """A deadline, as far as a channel needs it."""

    def left(self) -> float:
        """Seconds still to go; never negative."""
        ...


class Countdown:
    """So many seconds from now, or less when what it lies within ends before."""

    __slots__ = ("_by", "_within", "seconds")

    def __init__(self, seconds: float, *, within: TimeLeft | None = None) -> None:
        self._by = time.monotonic() + seconds
        self._within = within
        self.seconds = seconds if within is None else min(seconds, within.left())

    def left(self) -> float:
        own = max(0.0, self._by - time.monotonic())
        return own if self._within is None else min(own, self._within.left())

    def wait(self) -> float:
        """The time-out of the next wait: never zero, which would mean not to wait at all.

        Raises:
            TimeoutError: it is over.
        """
        left = self.left()
        if left <= 0:
            raise TimeoutError
        return max(left, 0.001)
