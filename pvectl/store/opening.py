"""The ways into the store: as the one run that acts, beside it to place a hold, and to look only."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from pvectl.clock import Clock, SystemClock
from pvectl.core.hold import Hold
from pvectl.errors import CannotWrite, Locked
from pvectl.store import file, rows
from pvectl.store.file import Broken
from pvectl.store.lock import RunLock
from pvectl.store.places import (
    JOURNAL,
    LOCK,
    STATE,
    FilesystemOf,
    cannot_write,
    cluster_dir,
    filesystem_of,
    is_there,
    prepare,
    refuse_pmxcfs,
    refuse_unsafe_directory,
    refuse_unsafe_file,
    sync_directory,
)
from pvectl.store.state import Store

_DRAFT = "state.db.new"
_BROKEN = "state.db.broken-"
# what SQLite may have put beside a file, in our mode or in one that somebody else gave it
_COMPANIONS = ("-journal", "-wal", "-shm")
_ROOM = 256 * 1024
_NAP_S = 0.05
_NAPS = 100


def open_to_write(directory: Path, cluster: str, clock: Clock, *, filesystem_of: FilesystemOf = filesystem_of) -> Store:
    """The store of the one run that may act: the lock is held until it is closed, and the disk has proven that it takes a write.

    A file that cannot be believed is renamed, a new one begun, and `set_aside` of the store says why.

    Raises:
        Locked: another run holds the lock.
        UnsafeFile: others can read, change or replace what lies there, or it is not ours.
        CannotWrite: nothing can be kept there.
    """
    folder = cluster_dir(directory, cluster)
    warnings = prepare(folder, filesystem_of=filesystem_of)
    lock = RunLock.take(folder / LOCK, now=clock.now())
    try:
        return _opened(folder, cluster, clock, lock, warnings)
    except OSError as error:
        lock.release()
        raise cannot_write(folder, error) from None
    except sqlite3.Error as error:
        lock.release()
        raise file.error_of(error, folder / STATE, writing=True) or error from None
    except BaseException:
        lock.release()
        raise


def open_beside(directory: Path, cluster: str, clock: Clock, *, filesystem_of: FilesystemOf = filesystem_of) -> Store:
    """The store for placing and lifting holds, also while a run holds the lock: that run sees them the next time it looks.

    Raises:
        BadState: the file cannot be believed; it is left to the next run to set it aside.
        UnsafeFile, CannotWrite: as for the run.
    """
    folder = cluster_dir(directory, cluster)
    path = folder / STATE
    warnings = prepare(folder, filesystem_of=filesystem_of)
    try:
        _begin_beside(folder, cluster, clock)
        connection = file.open_believed(path, cluster)
    except Broken as broken:
        raise file.bad_state(path, str(broken)) from None
    except OSError as error:
        raise cannot_write(folder, error) from None
    except sqlite3.Error as error:
        raise file.error_of(error, path, writing=True) or error from None
    return Store(connection, path=path, clock=clock, role="beside", warnings=warnings)


def open_to_read(directory: Path, cluster: str, clock: Clock | None = None) -> Store:
    """The store for looking: needs no lock, changes nothing, and is empty where nothing was ever kept.

    Raises:
        BadState: the file cannot be believed; it is left as it is.
        UnsafeFile: others could have written it.
        NotPermitted: it is not open to this user.
    """
    clock = clock or SystemClock()
    folder = cluster_dir(directory, cluster)
    path = folder / STATE
    refuse_pmxcfs(folder)
    if not is_there(folder):
        return Store(file.nothing(), path=path, clock=clock, role="read")
    try:
        refuse_unsafe_directory(folder, to_read=True)
        if refuse_unsafe_file(path, to_read=True) is None:
            lost = _newest_broken(folder)
            warnings = (f"the state file was set aside as {lost}, and none was begun since",) if lost else ()
            return Store(file.nothing(), path=path, clock=clock, role="read", warnings=warnings)
        connection = file.open_seen(path, cluster)
    except Broken as broken:
        raise file.bad_state(path, str(broken)) from None
    except OSError as error:
        raise file.bad_state(path, f"cannot be read: {error.strerror}") from None
    except sqlite3.Error as error:
        raise file.error_of(error, path, writing=False) or error from None
    return Store(connection, path=path, clock=clock, role="read")


def _opened(folder: Path, cluster: str, clock: Clock, lock: RunLock, warnings: tuple[str, ...]) -> Store:
    path, now = folder / STATE, clock.now()
    _refuse_without_room(folder)
    _sweep(folder)
    why: str | None = None
    if refuse_unsafe_file(path) is None:
        _begin(folder, cluster, now)
    connection: sqlite3.Connection | None = None
    try:
        connection = file.open_believed(path, cluster)
        _prove_writable(connection, path, now)
    except Broken as broken:
        if connection is not None:
            connection.close()
        why = str(broken)
    except BaseException:
        if connection is not None:
            connection.close()
        raise
    if why is not None:
        _set_aside(folder, cluster, why=why, now=now)
        connection = file.open_believed(path, cluster)
    assert connection is not None
    return Store(
        connection,
        path=path,
        clock=clock,
        role="run",
        warnings=warnings,
        lock=lock,
    )


def _set_aside(folder: Path, cluster: str, *, why: str, now: datetime) -> None:
    """Rename a file that cannot be believed, and begin a new one with the holds of the old that are whole: a hold only keeps things on.

    Cut short at any point, the next run finds either the old file or a `state.db.broken-…` without a `state.db`: it goes on from there.
    """
    path = folder / STATE
    holds = _holds_in(path, cluster)
    target = _broken_name(folder, now)
    path.rename(folder / target)
    _move_companions(folder, target)
    sync_directory(folder)
    _create(folder, cluster, now, losses={target: why}, holds=holds)


def _begin(folder: Path, cluster: str, now: datetime) -> None:
    """The first file, or the one after a file that a run has renamed without coming further."""
    lost = _newest_broken(folder)
    orphan = refuse_unsafe_file(folder / JOURNAL) is not None
    if lost is None and orphan:
        # the unfinished transaction of a file that is gone must not be played into a new one
        lost = _broken_name(folder, now)
    if lost is None:
        _create(folder, cluster, now)
        return
    _move_companions(folder, lost)
    why = "was gone: only the journal of an unfinished transaction was left" if orphan else "was set aside by a run that did not end well"
    _create(folder, cluster, now, losses={lost: why}, holds=_holds_in(folder / lost, cluster))


def _create(folder: Path, cluster: str, now: datetime, *, losses: Mapping[str, str] | None = None, holds: Iterable[Hold] = ()) -> None:
    """A new state file, whole from the moment it has its name."""
    draft = folder / _DRAFT
    connection = file.create(draft)
    try:
        rows.put(connection, "meta", ("cluster", cluster))
        rows.put(connection, "meta", ("begun", rows.in_words(now)))
        for name, why in (losses or {}).items():
            rows.put(connection, "losses", (name, rows.in_words(now), why))
            rows.put(connection, "meta", ("unreported", f"{why}; it was set aside as {name}"))
        for hold in holds:
            rows.put(connection, "holds", rows.of_hold(hold))
        connection.execute("COMMIT")
    finally:
        connection.close()
    draft.rename(folder / STATE)
    sync_directory(folder)


def _begin_beside(folder: Path, cluster: str, clock: Clock) -> None:
    """Have a state file, made under the run lock when there is none; a run that holds the lock is making it right now."""
    for _ in range(_NAPS):
        if refuse_unsafe_file(folder / STATE) is not None:
            return
        try:
            lock = RunLock.take(folder / LOCK, now=clock.now())
        except Locked:
            clock.sleep(_NAP_S)
            continue
        try:
            if refuse_unsafe_file(folder / STATE) is None:
                _sweep(folder)
                _begin(folder, cluster, clock.now())
        finally:
            lock.release()
    if refuse_unsafe_file(folder / STATE) is None:
        raise Locked("another run holds the lock and has not begun its state file", hint="try again", subject=f"file/{folder / STATE}")


def _prove_writable(connection: sqlite3.Connection, path: Path, now: datetime) -> None:
    """One write that reaches the disk, before anything is decided."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        rows.put(connection, "meta", ("last_run", rows.in_words(now)), replace=True)
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        if file.name_of(error) == "SQLITE_READONLY" and os.access(path, os.W_OK):
            # a byte of its header says so
            raise Broken("is broken: it says of itself that it may not be written") from None
        raise


def _refuse_without_room(folder: Path) -> None:
    space = os.statvfs(folder)
    # some filesystems count nothing
    if space.f_blocks and space.f_bavail * space.f_frsize < _ROOM:
        raise CannotWrite(
            f"the disk under {folder} is full, so what is done could not be recorded and nothing was done",
            hint="it takes room and the right to write there; or give another directory with --state-dir",
            subject=f"file/{folder}",
        )


def _sweep(folder: Path) -> None:
    """Drafts of runs that died before they gave them their name."""
    for name in (_DRAFT, *(_DRAFT + companion for companion in _COMPANIONS)):
        with suppress(FileNotFoundError):
            (folder / name).unlink()


def _holds_in(path: Path, cluster: str) -> tuple[Hold, ...]:
    """The holds of a file that is not believed as a whole: those whose own seal is whole, unless it is another cluster's."""
    if os.path.lexists(path.with_name(path.name + "-wal")):
        return ()
    try:
        connection = file.connect(path, "rw")
    except (sqlite3.Error, UnicodeDecodeError):
        return ()
    try:
        if any(value != cluster for name, value in rows.whole_rows(connection, "meta") if name == "cluster"):
            return ()
        # by id: a page that stands in two places shows its rows twice
        return tuple({row[0]: rows.hold(row) for row in rows.whole_rows(connection, "holds") if row[-1] is None}.values())
    finally:
        connection.close()


def _newest_broken(folder: Path) -> str | None:
    try:
        names = [entry.name for entry in os.scandir(folder)]
    except FileNotFoundError:
        return None
    return max((name for name in names if name.startswith(_BROKEN) and not name.endswith(_COMPANIONS)), default=None)


def _broken_name(folder: Path, now: datetime) -> str:
    name = f"{_BROKEN}{now:%Y%m%dT%H%M%SZ}"
    names = (name, *(f"{name}-{count}" for count in range(2, 1000)))
    return next(free for free in names if not any(os.path.lexists(folder / (free + more)) for more in ("", *_COMPANIONS)))


def _move_companions(folder: Path, target: str) -> None:
    for companion in _COMPANIONS:
        with suppress(FileNotFoundError):
            (folder / (STATE + companion)).rename(folder / (target + companion))
