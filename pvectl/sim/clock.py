"""Virtual time: a clock that runs at any multiple of real time, and the queue of what is due when."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable


class VirtualClock:
    """Epoch seconds that pass `speed` times as fast as real ones; speed 0 stands still until `advance`."""

    def __init__(self, speed: float = 1.0, *, start: float | None = None) -> None:
        if speed < 0:
            raise ValueError("time does not run backwards")
        self._speed = speed
        self._moved = threading.Condition()
        self._started = start is not None
        self._base = time.time() if start is None else start
        self._mark = time.monotonic()

    @property
    def speed(self) -> float:
        """Virtual seconds per real second."""
        return self._speed

    def now(self) -> float:
        """Virtual epoch seconds."""
        with self._moved:
            return self._now()

    def _now(self) -> float:
        return self._base + (time.monotonic() - self._mark) * self._speed

    def begin(self, epoch: float) -> None:
        """Set the hour, unless the clock was made with a start of its own."""
        with self._moved:
            if not self._started:
                self._base, self._mark, self._started = epoch, time.monotonic(), True

    def advance(self, seconds: float) -> None:
        """Jump ahead; whoever waits for a moment that has now passed goes on."""
        if seconds < 0:
            raise ValueError("time does not run backwards")
        with self._moved:
            self._base += seconds
            self._moved.notify_all()

    def set_speed(self, speed: float) -> None:
        """Go on from the present moment at another speed."""
        if speed < 0:
            raise ValueError("time does not run backwards")
        with self._moved:
            self._base, self._mark, self._speed = self._now(), time.monotonic(), speed
            self._moved.notify_all()

    def wait(self, seconds: float) -> None:
        """Return once that many virtual seconds have passed; at speed 0 at once, for nobody would wake the sleeper."""
        with self._moved:
            until = self._now() + seconds
            while self._speed > 0 and (left := until - self._now()) > 0:
                self._moved.wait(left / self._speed)


class Timeline:
    """What will happen when, in virtual time; nothing happens until `catch_up` is called."""

    def __init__(self, now: float) -> None:
        self.now = now
        self._queue: list[tuple[float, int, Callable[[], object]]] = []
        self._order = itertools.count()

    def at(self, when: float, event: Callable[[], object]) -> None:
        """Let `event` happen at `when`, or at once on the next catch-up when that has passed."""
        heapq.heappush(self._queue, (max(when, self.now), next(self._order), event))

    def after(self, seconds: float, event: Callable[[], object]) -> None:
        """Let `event` happen that many virtual seconds from now."""
        self.at(self.now + seconds, event)

    def catch_up(self, target: float) -> None:
        """Let everything due up to `target` happen, each at its own time."""
        while self._queue and self._queue[0][0] <= target:
            when, _, event = heapq.heappop(self._queue)
            self.now = max(self.now, when)
            event()
        self.now = max(self.now, target)
