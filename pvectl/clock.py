"""What time it is: wall time, time since boot that counts suspend, and which boot this is."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Clock(Protocol):
    """The time as one run sees it; replaced whole in tests and in the demo."""

    def now(self) -> datetime:
        """Wall time, aware UTC."""
        ...

    def boottime(self) -> float:
        """Seconds since this machine booted, suspend included; never steps."""
        ...

    def boot_id(self) -> str | None:
        """Which boot this is; None when the kernel does not say."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let `seconds` of this clock's time pass."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def boottime(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def boot_id(self) -> str | None:
        try:
            return _BOOT_ID.read_text(encoding="ascii").strip()
        except OSError:
            return None

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class ScaledClock(SystemClock):
    """The machine's clock running `speed` times as fast from the moment it was made; for the simulated cluster."""

    def __init__(self, speed: float, *, start: datetime | None = None, sleep: Callable[[float], None] = time.sleep) -> None:
        self._speed = speed
        self._sleep = sleep
        self._born = super().boottime()
        self._start = start or super().now()

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._start.timestamp() + self.boottime() - self._born, UTC)

    def boottime(self) -> float:
        return self._born + (super().boottime() - self._born) * self._speed

    def sleep(self, seconds: float) -> None:
        self._sleep(seconds / self._speed)
