"""Runs of pvectl as processes of their own, each a fork of one that has everything loaded: `python nursery.py`, one JSON line for each.

{"words": […], "clock": [WALL, BOOTTIME, BOOT_ID], "env": {…}, "out": FILE, "watched": "main"} begins a run whose streams go to FILE and
FILE.err. One that is watched says the number of its thread when that is about to begin, and waits for an empty line: "main" is the
whole run, "lane" the thread that tells the receiver. At the end comes the exit code, or minus the signal that ended it.
The first run shows what there is to load.
"""

import importlib
import json
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any


def main() -> None:
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    import pvectl.cli.app  # noqa: F401 - so that the first fork has not to load it

    modules: list[str] = []
    # unbuffered: what comes after a line is the child's
    while line := _line():
        told = json.loads(line)
        show, shown = os.pipe()
        child = os.fork()
        if not child:
            os.close(show)
            os._exit(_run(told, None if modules else shown))
        os.close(shown)
        with os.fdopen(show, encoding="utf-8") as listed:
            if not modules:
                modules = listed.read().split()
        _, status = os.waitpid(child, 0)
        for name in modules:
            if name not in sys.modules:
                with suppress(ImportError):
                    importlib.import_module(name)
        _say(os.waitstatus_to_exitcode(status))


def _run(told: dict[str, Any], shown: int | None) -> int:
    from pvectl.cli.app import main
    from pvectl.cli.context import Run
    from tests.support.clocked import StandingClock

    answers = os.dup(1)
    for number, name in ((1, told["out"]), (2, told["out"] + ".err")):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
    if told["watched"] == "main":
        _wait_for_a_tracer(answers)
    elif told["watched"] == "lane":
        _gate(answers)
    wall, boottime, boot_id = told["clock"]
    code = main(told["words"], run=Run(env=told["env"], clock=StandingClock(wall, boottime, boot_id)))
    if shown is not None:
        os.write(shown, "\n".join(sys.modules).encode())
    return code


def _gate(answers: int) -> None:
    """Let the thread that tells the receiver wait in front of its first message."""
    from pvectl.notify.lanes import Lanes

    tell = Lanes._tried

    def tell_watched(lanes: Lanes, *given: Any) -> Any:
        _wait_for_a_tracer(answers)
        return tell(lanes, *given)

    Lanes._tried = tell_watched  # type: ignore[method-assign, assignment]


def _wait_for_a_tracer(answers: int) -> None:
    os.write(answers, f"watch {threading.get_native_id()}\n".encode())
    # only whoever traces it lets it go on; a pipe, so that what it does here is always the same
    os.read(0, 1)


def _line() -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        if not (read := os.read(0, 1)):
            return b""
        line += read
    return line


def _say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
