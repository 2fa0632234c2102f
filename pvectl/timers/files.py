"""Our entries on the disk: found by their marker, written whole or not at all, and taken away."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from pvectl.errors import CannotWrite
from pvectl.timers.cron import TABLE
from pvectl.timers.entries import MARKER, Compared, Found, Kind, State
from pvectl.timers.systemd import SYSUSERS, UNITS

_LONGEST = 64 * 1024
_PLACES: tuple[tuple[Kind, str, str], ...] = (
    ("cron", TABLE, ""),
    ("systemd", SYSUSERS, ""),
    ("systemd", UNITS, "pvectl-*.service"),
    ("systemd", UNITS, "pvectl-*.timer"),
)


def find(root: Path) -> tuple[Found, ...]:
    """Every file at a place of ours, whoever wrote it; paths are told as they are below `root`.

    Raises:
        CannotWrite: one cannot be read.
    """
    return tuple(
        Found(kind=kind, path=f"/{path.relative_to(root)}", text=text, ours=text.startswith(MARKER))
        for kind, path in _there(root)
        for text in [_read(path)]
    )


def _there(root: Path) -> Iterator[tuple[Kind, Path]]:
    for kind, place, pattern in _PLACES:
        below = root / place[1:]
        # a mask (a link to /dev/null) and a link of somebody's are there as well
        for path in sorted(below.glob(pattern)) if pattern else [below]:
            if os.path.lexists(path):
                yield kind, path


def _read(path: Path) -> str:
    """Its text, at most so much that a comparison fails; nothing for what is no plain file."""
    try:
        if path.is_symlink() or not path.is_file():
            return ""
        with path.open("rb") as file:
            return file.read(_LONGEST).decode("utf-8", "replace")
    except OSError as error:
        raise _cannot("read", path, error) from None


def refuse_foreign(compared: Iterable[Compared], root: Path) -> None:
    """Before anything is written: nobody else's file may stand in our way.

    Raises:
        CannotWrite: one does.
    """
    for one in compared:
        if one.state is State.FOREIGN:
            raise CannotWrite(
                f"{root / one.path[1:]} was not written by pvectl, so it stays as it is, and nothing was written",
                hint="move it away, then run this again",
                subject=f"file/{one.path}",
            )


def write(one: Compared, root: Path) -> None:
    """Put the file there with the text that is wanted, in one step.

    Raises:
        CannotWrite: with what stands in the way.
    """
    path = root / one.path[1:]
    assert one.wanted is not None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=".pvectl-")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                # cron and systemd read them as root, everybody may look: there is no secret in them
                os.fchmod(descriptor, 0o644)
                file.write(one.wanted)
                file.flush()
                os.fsync(descriptor)
            Path(draft).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(draft).unlink()
            raise
    except OSError as error:
        raise _cannot("write", path, error) from None


def remove(path: str, root: Path) -> None:
    """Take one file away, and with a timer the link that makes systemd start it.

    Raises:
        CannotWrite: with what stands in the way.
    """
    link = root / UNITS[1:] / "timers.target.wants" / Path(path).name
    try:
        if path.endswith(".timer") and link.is_symlink():
            link.unlink()
        (root / path[1:]).unlink(missing_ok=True)
    except OSError as error:
        raise _cannot("remove", root / path[1:], error) from None


def _cannot(verb: str, path: Path, error: OSError) -> CannotWrite:
    return CannotWrite(f"cannot {verb} {path}: {error.strerror}", hint="run it as root, or see pvectl timers print", subject=f"file/{path}")
