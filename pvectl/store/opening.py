"""The ways into the store: as the one run that acts, as the one that alerts, beside them to place a hold, and to look only."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from pvectl.clock import Clock, SystemClock
from pvectl.errors import CannotWrite, Locked
from pvectl.store import file, rows
from pvectl.store.beginning import begin, newest_broken, set_aside, sweep
from pvectl.store.file import Broken
from pvectl.store.lock import RunLock
from pvectl.store.places import (
    ALERT_LOCK,
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
)
from pvectl.store.state import Store
from pvectl.store.unkept import forget_unkept

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
    with _opening(folder, lock):
        return _opened(folder, cluster, clock, lock, warnings)


def open_to_alert(
    directory: Path, cluster: str, clock: Clock, *, patience: float = 0.0, filesystem_of: FilesystemOf = filesystem_of
) -> Store:
    """The store of the one run that tells people; other jobs go on beside it. `patience`: how many seconds it waits for another such run.

    A file that cannot be believed is set aside as by a run that acts, and what of the alerts in it is whole goes on.

    Raises:
        Locked: another alert run is at work; or the file has to be set aside, and a run that acts is at work.
        UnsafeFile, CannotWrite: as for the run that acts.
    """
    folder = cluster_dir(directory, cluster)
    path = folder / STATE
    warnings = prepare(folder, filesystem_of=filesystem_of)
    lock = _taken_with_patience(folder / ALERT_LOCK, clock, patience)
    with _opening(folder, lock):
        _refuse_without_room(folder)
        _begin_beside(folder, cluster, clock)
        try:
            connection = _opened_to_alert(path, cluster)
        except Broken:
            connection = _opened_anew_to_alert(folder, cluster, clock)
        with _closed_on_failure(connection):
            forget_unkept(folder, now=clock.now())
            return Store(connection, path=path, clock=clock, role="alert", warnings=warnings, lock=lock)


def open_beside(directory: Path, cluster: str, clock: Clock, *, filesystem_of: FilesystemOf = filesystem_of) -> Store:
    """The store for placing and lifting holds, also while a run holds the lock: that run sees them the next time it looks.

    Raises:
        BadState: the file cannot be believed; it is left to the next run to set it aside.
        UnsafeFile, CannotWrite: as for the run.
    """
    folder = cluster_dir(directory, cluster)
    path = folder / STATE
    warnings = prepare(folder, filesystem_of=filesystem_of)
    with _opening(folder):
        _begin_beside(folder, cluster, clock)
        connection = file.open_believed(path, cluster)
        with _closed_on_failure(connection):
            file.bring_forward(connection)
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
            lost = newest_broken(folder)
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


@contextmanager
def _opening(folder: Path, lock: RunLock | None = None) -> Iterator[None]:
    """What keeps the file from being opened to write, told to who runs pvectl; the lock is free again then."""
    try:
        yield
    except BaseException as error:
        if lock is not None:
            lock.release()
        if isinstance(error, OSError):
            raise cannot_write(folder, error) from None
        if isinstance(error, sqlite3.Error):
            raise file.error_of(error, folder / STATE, writing=True) or error from None
        if isinstance(error, Broken):
            raise file.bad_state(folder / STATE, str(error)) from None
        raise


@contextmanager
def _closed_on_failure(connection: sqlite3.Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.close()
        raise


def _opened(folder: Path, cluster: str, clock: Clock, lock: RunLock, warnings: tuple[str, ...]) -> Store:
    path, now = folder / STATE, clock.now()
    _refuse_without_room(folder)
    sweep(folder)
    if refuse_unsafe_file(path) is None:
        begin(folder, cluster, now)
    try:
        connection = _opened_to_act(path, cluster, now)
    except Broken as broken:
        set_aside(folder, cluster, why=str(broken), now=now)
        connection = file.open_believed(path, cluster)
    with _closed_on_failure(connection):
        return Store(connection, path=path, clock=clock, role="run", warnings=warnings, lock=lock)


def _opened_to_act(path: Path, cluster: str, now: datetime) -> sqlite3.Connection:
    connection = file.open_believed(path, cluster)
    with _closed_on_failure(connection):
        _prove_writable(connection, path, now)
        file.bring_forward(connection)
    return connection


def _taken_with_patience(path: Path, clock: Clock, patience: float) -> RunLock:
    until = clock.boottime() + patience
    while True:
        try:
            return RunLock.take(path, now=clock.now(), taken="another alert run is at work")
        except Locked:
            if clock.boottime() + _NAP_S > until:
                raise
        clock.sleep(_NAP_S)


def _opened_to_alert(path: Path, cluster: str) -> sqlite3.Connection:
    connection = file.open_believed(path, cluster, alerts=True)
    with _closed_on_failure(connection):
        _allay(connection, path)
        file.bring_forward(connection)
    return connection


def _opened_anew_to_alert(folder: Path, cluster: str, clock: Clock) -> sqlite3.Connection:
    """After the file that is there was set aside, unless somebody else has done so: that takes the lock of the run that acts."""
    lock = RunLock.take(folder / LOCK, now=clock.now())
    try:
        sweep(folder)
        try:
            return _opened_to_alert(folder / STATE, cluster)
        except Broken as broken:
            set_aside(folder, cluster, why=str(broken), now=clock.now())
        return _opened_to_alert(folder / STATE, cluster)
    finally:
        lock.release()


def _allay(connection: sqlite3.Connection, path: Path) -> None:
    """Take away the mark of a doubt that all of the file has just answered, which shows as well that it may be written."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        rows.take_out(connection, "meta", "name = ?", (file.DOUBTED,))
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise _of_header(error, path) from None


def _of_header(error: sqlite3.Error, path: Path) -> Exception:
    # SQLite says the same when the file could be opened to read only, which is no reason to begin anew
    if file.name_of(error) == "SQLITE_READONLY" and file.forbids_writing(path):
        return Broken("is broken: it says of itself that it may not be written")
    return error


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
                sweep(folder)
                begin(folder, cluster, clock.now())
        finally:
            lock.release()
    if refuse_unsafe_file(folder / STATE) is None:
        raise Locked("another run holds the lock and has not begun its state file", hint="try again", subject=f"file/{folder / STATE}")


def _prove_writable(connection: sqlite3.Connection, path: Path, now: datetime) -> None:
    """One write that reaches the disk, before anything is decided."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        rows.put(connection, "meta", ("last_run", rows.in_words(now)), replace=True)
        rows.take_out(connection, "meta", "name = ?", (file.DOUBTED,))
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise _of_header(error, path) from None


def _refuse_without_room(folder: Path) -> None:
    space = os.statvfs(folder)
    # some filesystems count nothing
    if space.f_blocks and space.f_bavail * space.f_frsize < _ROOM:
        raise CannotWrite(
            f"the disk under {folder} is full, so what is done could not be recorded and nothing was done",
            hint="it takes room and the right to write there; or give another directory with --state-dir",
            subject=f"file/{folder}",
        )
