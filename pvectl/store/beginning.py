"""How a state file begins: the first one, and the one after a file that cannot be believed."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from pvectl.core.hold import Hold
from pvectl.store import file, rows
from pvectl.store.places import JOURNAL, STATE, refuse_unsafe_file, sync_directory
from pvectl.store.state import UNREPORTED

_DRAFT = "state.db.new"
_BROKEN = "state.db.broken-"
# what SQLite may have put beside a file, in our mode or in one that somebody else gave it
_COMPANIONS = ("-journal", "-wal", "-shm")


def begin(folder: Path, cluster: str, now: datetime) -> None:
    """The first file, or the one after a file that a run has renamed without coming further."""
    lost = newest_broken(folder)
    orphan = refuse_unsafe_file(folder / JOURNAL) is not None
    if lost is None and orphan:
        # the unfinished transaction of a file that is gone must not be played into a new one
        lost = _broken_name(folder, now)
    if lost is None:
        _create(folder, cluster, now)
        return
    _move_companions(folder, lost)
    why = "was gone: only the journal of an unfinished transaction was left" if orphan else "was set aside by a run that did not end well"
    _create(folder, cluster, now, losses={lost: why}, saved=_saved_from(folder / lost, cluster))


def set_aside(folder: Path, cluster: str, *, why: str, now: datetime) -> None:
    """Rename a file that cannot be believed, and begin a new one with the holds of the old that are whole, and with its alerts.

    A hold only keeps things on, and what somebody was told he is not told again.

    Cut short at any point, the next run finds either the old file or a `state.db.broken-…` without a `state.db`: it goes on from there.
    """
    path = folder / STATE
    saved = _saved_from(path, cluster)
    target = _broken_name(folder, now)
    path.rename(folder / target)
    _move_companions(folder, target)
    sync_directory(folder)
    _create(folder, cluster, now, losses={target: why}, saved=saved)


def sweep(folder: Path) -> None:
    """Drafts of runs that died before they gave them their name."""
    for name in (_DRAFT, *(_DRAFT + companion for companion in _COMPANIONS)):
        with suppress(FileNotFoundError):
            (folder / name).unlink()


def newest_broken(folder: Path) -> str | None:
    try:
        names = [entry.name for entry in os.scandir(folder)]
    except FileNotFoundError:
        return None
    return max((name for name in names if name.startswith(_BROKEN) and not name.endswith(_COMPANIONS)), default=None)


class _Saved(NamedTuple):
    """What a new file takes over from one that was set aside."""

    holds: Sequence[Hold] = ()
    alerts: Sequence[Sequence[rows.Value]] = ()


_NOTHING = _Saved()


def _create(folder: Path, cluster: str, now: datetime, *, losses: Mapping[str, str] | None = None, saved: _Saved = _NOTHING) -> None:
    """A new state file, whole from the moment it has its name."""
    draft = folder / _DRAFT
    connection = file.create(draft)
    try:
        rows.put(connection, "meta", ("cluster", cluster))
        rows.put(connection, "meta", ("begun", rows.in_words(now)))
        for name, why in (losses or {}).items():
            rows.put(connection, "losses", (name, rows.in_words(now), why))
            for unreported in UNREPORTED.values():
                rows.put(connection, "meta", (unreported, f"{why}; it was set aside as {name}"))
        for hold in saved.holds:
            rows.put(connection, "holds", rows.of_hold(hold))
        rows.put_all(connection, "alerts", saved.alerts)
        connection.execute("COMMIT")
    finally:
        connection.close()
    draft.rename(folder / STATE)
    sync_directory(folder)


def _saved_from(path: Path, cluster: str) -> _Saved:
    """Of a file that is not believed as a whole, the holds and the alerts' rows that are, unless it is another cluster's."""
    if os.path.lexists(path.with_name(path.name + "-wal")):
        return _Saved()
    try:
        connection = file.connect(path, "rw")
    except (sqlite3.Error, UnicodeDecodeError):
        return _Saved()
    try:
        if any(value != cluster for name, value in rows.whole_rows(connection, "meta") if name == "cluster"):
            return _Saved()
        # by key: a page that stands in two places shows its rows twice
        holds = {row[0]: rows.hold(row) for row in rows.whole_rows(connection, "holds") if row[-1] is None}
        alerts = {row[0]: row for row in rows.whole_rows(connection, "alerts")}
        return _Saved(tuple(holds.values()), tuple(alerts.values()))
    finally:
        connection.close()


def _broken_name(folder: Path, now: datetime) -> str:
    name = f"{_BROKEN}{now:%Y%m%dT%H%M%SZ}"
    names = (name, *(f"{name}-{count}" for count in range(2, 1000)))
    return next(free for free in names if not any(os.path.lexists(folder / (free + more)) for more in ("", *_COMPANIONS)))


def _move_companions(folder: Path, target: str) -> None:
    for companion in _COMPANIONS:
        with suppress(FileNotFoundError):
            (folder / (STATE + companion)).rename(folder / (target + companion))
