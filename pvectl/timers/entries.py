"""What is to be written where, and how that differs from what is there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Literal, TypeAlias

from msgspec import Struct

from pvectl.errors import ConfigError

Kind: TypeAlias = Literal["systemd", "cron"]

MARKER = "# Written by pvectl timers install, which also overwrites it; pvectl timers remove takes it away."
"""The first line of every file of ours; a file without it belongs to somebody else and is never touched."""

_PLAIN_PATH = re.compile(r"/[A-Za-z0-9/._@+=,~-]*")


class Job(Struct, frozen=True, kw_only=True):
    """A job that is to run by itself: its command, how often, and how long a run may take; times in seconds.

    `words` stand behind the command, `writes` are the directories it writes to. One that only looks (`only_looks`) may be made up for
    after it was missed, and runs as soon as the machine does. One that `talks` prints news; what another one prints is nobody's.

    Of its own it may need more than all jobs do: `credentials` by the names it finds them under (None: from systemd's own store), and
    `addresses` it speaks to, None when they cannot be said. `mails`: it hands mail to the machine's sendmail.
    """

    name: str
    sentence: str
    interval: int
    longest_run: int
    words: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    only_looks: bool = False
    talks: bool = True
    credentials: Mapping[str, str | None] = {}
    addresses: tuple[str, ...] | None = ()
    mails: bool = False


class Setting(Struct, frozen=True, kw_only=True):
    """What every entry on one machine shares.

    `program` are the absolute words that start pvectl. `credentials` are the files every service is handed, by the name it finds them
    under. `addresses` are all every run speaks to; None when some are names, which no packet filter knows.
    """

    program: tuple[str, ...]
    config_dir: str
    user: str = "root"
    cluster: str | None = None
    credentials: Mapping[str, str] = {}
    addresses: tuple[str, ...] | None = None


class Entry(Struct, frozen=True, kw_only=True):
    """A file that is to be there, with this text."""

    kind: Kind
    path: str
    text: str


class Found(Struct, frozen=True, kw_only=True):
    """A file that is there; `ours` when it begins with the marker."""

    kind: Kind
    path: str
    text: str
    ours: bool


class State(StrEnum):
    """How a file that is there, or should be, compares with the configuration."""

    CURRENT = "current"
    """as the configuration has it"""
    STALE = "stale"
    """ours, and not as the configuration has it now"""
    MISSING = "missing"
    """the configuration has it, and it is not there"""
    LEFT_OVER = "left-over"
    """ours, and not in the configuration any more"""
    FOREIGN = "foreign"
    """somebody else's file in its place"""


class Compared(Struct, frozen=True, kw_only=True):
    """One file, as it is and as it should be."""

    kind: Kind
    path: str
    state: State
    wanted: str | None = None


def compare(wanted: Iterable[Entry], found: Iterable[Found]) -> tuple[Compared, ...]:
    """Every file that is wanted or ours, sorted by path; files of others count only where they stand in our way."""
    there = {one.path: one for one in found}
    compared = []
    for entry in wanted:
        old = there.pop(entry.path, None)
        if old is None:
            state = State.MISSING
        elif not old.ours:
            state = State.FOREIGN
        else:
            state = State.CURRENT if old.text == entry.text else State.STALE
        compared.append(Compared(kind=entry.kind, path=entry.path, state=state, wanted=entry.text))
    compared += [Compared(kind=old.kind, path=old.path, state=State.LEFT_OVER) for old in there.values() if old.ours]
    return tuple(sorted(compared, key=lambda one: one.path))


def plain(path: str) -> str:
    """A path as it may stand in a unit and in cron's table, where %, $, quotes, colons and spaces mean something.

    Raises:
        ConfigError: it holds one of those.
    """
    if not _PLAIN_PATH.fullmatch(path):
        raise ConfigError(
            f"the path {path!r} cannot stand in a timer's entry",
            hint="move it to a path of letters, digits and ._@+=,~- only, for example /etc/pvectl",
        )
    return path
