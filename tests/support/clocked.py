"""Runs pvectl in this process at an hour of one's choice: `python clocked.py CLOCK WORD…`; what CLOCK is, `clock_of` knows."""

import json
import socket
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


class StandingClock:
    """Stands still at the given moment but for its own sleeps."""

    def __init__(self, wall: float, boottime: float, boot_id: str) -> None:
        self._wall, self._boottime, self._boot_id = wall, boottime, boot_id
        self._slept = 0.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._wall + self._slept, UTC)

    def boottime(self) -> float:
        return self._boottime + self._slept

    def boot_id(self) -> str | None:
        return self._boot_id

    def sleep(self, seconds: float) -> None:
        self._slept += seconds


class ClockOfStage:
    """The clock of a stage in another process, asked over loopback: who sleeps by it lets time pass there, however long that takes us."""

    def __init__(self, port: int) -> None:
        self._line = socket.create_connection(("127.0.0.1", port))
        self._answers = self._line.makefile("r", encoding="ascii")
        self._one_by_one = threading.Lock()

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._ask()["wall"], UTC)

    def boottime(self) -> float:
        return float(self._ask()["boottime"])

    def boot_id(self) -> str | None:
        return str(self._ask()["boot_id"])

    def sleep(self, seconds: float) -> None:
        self._ask(seconds)

    def _ask(self, after: float = 0.0) -> Any:
        with self._one_by_one:
            self._line.sendall(f"{after!r}\n".encode())
            return json.loads(self._answers.readline())


def clock_of(told: str) -> StandingClock | ClockOfStage:
    """The clock that a stage has put into words for another process: where to ask for the hour, or an hour at which time stands still."""
    values = json.loads(told)
    if "port" in values:
        return ClockOfStage(values["port"])
    return StandingClock(values["wall"], values["boottime"], values["boot_id"])


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    from pvectl.cli.app import main
    from pvectl.cli.context import Run

    sys.exit(main(sys.argv[2:], run=Run(clock=clock_of(sys.argv[1]))))
