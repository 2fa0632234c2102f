"""Runs pvectl in this process at an hour of one's choice: `python clocked.py WALL BOOTTIME BOOT_ID SPEED MARK WORD…`.

MARK is the reading of CLOCK_MONOTONIC at which the other clocks stood as given; it is the same for all processes of a machine.
"""

import sys
import time
from datetime import UTC, datetime
from pathlib import Path


class ClockedFrom:
    """Goes on from the given moment at `speed` times our own pace; at speed 0 it stands still but for its own sleeps."""

    def __init__(self, wall: float, boottime: float, boot_id: str, speed: float, mark: float) -> None:
        self._wall, self._boottime, self._boot_id, self._speed, self._mark = wall, boottime, boot_id, speed, mark
        self._slept = 0.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._wall + self._gone(), UTC)

    def boottime(self) -> float:
        return self._boottime + self._gone()

    def boot_id(self) -> str | None:
        return self._boot_id

    def sleep(self, seconds: float) -> None:
        if self._speed:
            time.sleep(seconds / self._speed)
        else:
            self._slept += seconds

    def _gone(self) -> float:
        return self._slept + (time.monotonic() - self._mark) * self._speed


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    from pvectl.cli.app import main
    from pvectl.cli.context import Run

    wall, boottime, boot_id, speed, mark = sys.argv[1:6]
    clock = ClockedFrom(float(wall), float(boottime), boot_id, float(speed), float(mark))
    sys.exit(main(sys.argv[6:], run=Run(clock=clock)))
