"""The SQLite file itself: how it is opened, what it must look like to be believed, and what its errors mean.

One rollback journal that is truncated at each commit (journal_mode=TRUNCATE, synchronous=FULL), no write-ahead log: a commit is one
fsynced truncation, so kill -9 and loss of power leave the old or the new state and nothing in between; readers need no shared memory
file beside it and so can look at a directory they may not write; it needs no more of a network filesystem than locks; and no part of
what was committed lies in a second file whose damage SQLite takes for its end. What a log is good at, many readers beside a busy
writer, is not needed: pvectl writes a few rows per run.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Literal

from pvectl.errors import BadState, CannotWrite, Locked, PvectlError
from pvectl.store.places import JOURNAL, STATE
from pvectl.store.rows import SUMMED, BrokenSeal, check_sum, lay_out, rows, tables_of

SCHEMA_VERSION = 2
APPLICATION_ID = 0x70766563
"""The letters pvec."""
DOUBTED = "doubted"
"""The mark of a run that came across damage: who opens the file next to write looks at all of it."""

_PATIENCE_S = 5.0
_CACHE_KIB = 16 * 1024
_CHECKED_WHOLE = 4 * 2**20
_LARGEST = 4 * 2**30
_DECIDING = ("meta", "kept", "holds", "intents", "losses")
_BROKEN = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_FORMAT", "SQLITE_IOERR_SHORT_READ")
_OCCUPIED = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_PROTOCOL")
_DENIED = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_NOMEM", "SQLITE_NOLFS")
_ATTEMPTS = 5
_WRITE_VERSION_AT = 18
# bytes that are no text belong to a row whose seal tells so
_TEXT = partial(str, encoding="utf-8", errors="replace")


class Broken(Exception):
    """This is no file to go by; the words finish "the state file …"."""


class Unsealed(BadState):
    """Rows are not as they were written, or no longer there; the file as such can be read."""


def connect(path: Path, mode: Literal["rw", "ro"]) -> sqlite3.Connection:
    """Open a file that is there already, not yet believed."""
    # the store hands it to one thread at a time; the statements begin and end transactions themselves
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode={mode}", uri=True, timeout=_PATIENCE_S, isolation_level=None, check_same_thread=False
    )
    connection.text_factory = _TEXT
    try:
        for pragma in ("trusted_schema = OFF", "cell_size_check = ON", "foreign_keys = ON", "temp_store = MEMORY", "mmap_size = 0"):
            connection.execute(f"PRAGMA {pragma}")
        if mode == "ro":
            connection.execute("PRAGMA query_only = ON")
        else:
            connection.execute("PRAGMA synchronous = FULL")
            # pages that go into the file before their transaction ends cost a sync each time, and lock out who looks
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    except BaseException:
        connection.close()
        raise
    return connection


def open_believed(path: Path, cluster: str, *, alerts: bool = False) -> sqlite3.Connection:
    """Open a file to write in it, when all that it says can be believed; an unfinished transaction of a run that died is undone first.

    `alerts`: look at their table as well, whatever its size; whether each of its rows is whole is seen when it is used.

    Raises:
        Broken: it cannot be.
        sqlite3.Error: it cannot be read or written.
    """
    _refuse_log(path)
    with _believing():
        connection = connect(path, "rw")
    try:
        verify(connection, cluster, path, alerts=alerts)
        connection.execute("PRAGMA journal_mode = TRUNCATE")
    except BaseException:
        connection.close()
        raise
    return connection


def open_seen(path: Path, cluster: str) -> sqlite3.Connection:
    """Open a file to look at it: not a byte changes beside it.

    Raises:
        Broken, sqlite3.Error, OSError: as the others.
    """
    _refuse_log(path)
    for _ in range(_ATTEMPTS):
        with _believing():
            connection = connect(path, "ro")
        try:
            verify(connection, cluster, path)
        except sqlite3.Error as error:
            connection.close()
            if name_of(error) != "SQLITE_READONLY_ROLLBACK":
                raise
            # a run died in the middle of a transaction, and undoing that is for the next one that writes
            if (undone := _undone_copy(path)) is not None:
                verify(undone, cluster)
                return undone
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise Locked(f"{path} is being written all the time", hint="try again", subject=f"file/{path}")


def forbids_writing(path: Path) -> bool:
    """Whether the header has a write version that SQLite does not know (https://www.sqlite.org/fileformat2.html, offset 18)."""
    try:
        with path.open("rb") as content:
            return content.read(_WRITE_VERSION_AT + 1)[_WRITE_VERSION_AT:] > b"\x02"
    except OSError:
        return False


def bring_forward(connection: sqlite3.Connection) -> None:
    """Give a believed file of an earlier form what it lacks: all of it or nothing, wherever this ends."""
    if _pragma(connection, "user_version") == SCHEMA_VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # another process may have done so in the meantime
        form = _pragma(connection, "user_version")
        assert isinstance(form, int)
        lay_out(connection, after=form)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def has_alerts(connection: sqlite3.Connection) -> bool:
    """A file of the first form has none, as long as nobody writes in it."""
    form = _pragma(connection, "user_version")
    return isinstance(form, int) and form > 1


def verify(connection: sqlite3.Connection, cluster: str, path: Path | None = None, *, alerts: bool = False) -> None:
    """Believe the file, or raise Broken with the reason; `path` is None for what lies in memory."""
    with _believing():
        connection.execute("BEGIN")
        try:
            _verify(connection, cluster, path, alerts=alerts)
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")


@contextmanager
def _believing() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        # the statements are right: what SQLite cannot make sense of is the file
        if name_of(error).startswith((*_BROKEN, "SQLITE_ERROR")):
            raise Broken(f"is broken: {error}") from None
        raise
    except UnicodeDecodeError:
        # an error message that quotes what stands in the file
        raise Broken("is broken: its tables are not ours") from None
    except BrokenSeal as error:
        raise Broken(f"is broken: {error}") from None


def create(path: Path) -> sqlite3.Connection:
    """A file with our tables, not yet committed: the caller fills in what belongs there from the first moment, and commits."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    os.close(descriptor)
    connection = connect(path, "rw")
    # until it has its name nobody misses it
    connection.execute("PRAGMA journal_mode = MEMORY")
    connection.execute("BEGIN IMMEDIATE")
    _lay_out(connection)
    return connection


def nothing() -> sqlite3.Connection:
    """A store in which nothing was ever kept."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    _lay_out(connection)
    connection.execute("PRAGMA query_only = ON")
    return connection


def error_of(error: sqlite3.Error, path: Path, *, writing: bool) -> PvectlError | None:
    """What an error of SQLite means to the one who runs pvectl; None for a mistake of our own."""
    name, subject = name_of(error), f"file/{path}"
    if name.startswith(_BROKEN):
        return bad_state(path, f"is broken: {error}")
    if name == "SQLITE_READONLY_DBMOVED":
        return Locked(f"{path} was replaced in this moment", hint="try again", subject=subject)
    if name.startswith(_OCCUPIED):
        return Locked(f"another process has been writing {path} for {_PATIENCE_S:.0f} s", hint="try again", subject=subject)
    if not name.startswith(_DENIED):
        return None
    if writing:
        hint = "look at the space and the rights there, or give another directory with --state-dir"
        return CannotWrite(f"the state in {path} cannot be written: {error}", hint=hint, subject=subject)
    return bad_state(path, f"cannot be read: {error}")


def bad_state(path: Path, what: str) -> BadState:
    hint = f"the next run sets it aside and begins anew; what it keeps can be looked at as {path.name}.broken-…"
    return BadState(f"the state file {path} {what}", hint=hint, subject=f"file/{path}")


def name_of(error: sqlite3.Error) -> str:
    return getattr(error, "sqlite_errorname", "") or ""


def _refuse_log(path: Path) -> None:
    """A write-ahead log beside the file is not of our making, and SQLite would play it, or take it away, as soon as it opens the file."""
    if os.path.lexists(path.with_name(STATE + "-wal")):
        raise Broken("was changed by another program, which left a write-ahead log beside it")


def _lay_out(connection: sqlite3.Connection) -> None:
    lay_out(connection)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _verify(connection: sqlite3.Connection, cluster: str, path: Path | None, *, alerts: bool) -> None:
    if _pragma(connection, "application_id") != APPLICATION_ID:
        raise Broken("is not one of pvectl's")
    version = _pragma(connection, "user_version")
    assert isinstance(version, int)
    if not 1 <= version <= SCHEMA_VERSION:
        newer = version > SCHEMA_VERSION
        raise Broken(f"was written by a newer version of pvectl (form {version})" if newer else f"has an unknown form ({version})")
    if _pragma(connection, "encoding") != "UTF-8" or _pragma(connection, "journal_mode") == "wal":
        raise Broken("was changed by another program")
    laid_out = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table' ORDER BY rowid").fetchall()
    ours = list(tables_of(version).items())
    if laid_out != ours or connection.execute("SELECT count(*) FROM sqlite_master").fetchone() != (len(ours),):
        raise Broken("is broken: its tables are not ours")
    pages, page = _pragma(connection, "page_count"), _pragma(connection, "page_size")
    assert isinstance(pages, int)
    assert isinstance(page, int)
    # from the first read on we hold SQLite's shared lock: nobody changes its size now
    size = path.stat().st_size if path else pages * page
    if size != pages * page or size > _LARGEST:
        raise Broken(f"is broken: it has {size} bytes instead of {pages * page}")
    # the evidence of past decisions grows with time, and a run does not rest on it
    told = {str(name): value for name, value in rows(connection, "meta")}
    doubted = DOUBTED in told
    small = pages * page <= _CHECKED_WHOLE or doubted
    deciding = (*_DECIDING, "alerts") if alerts and version > 1 else _DECIDING
    for check in ("quick_check",) if small else tuple(f"quick_check({table})" for table in deciding):
        if (said := _pragma(connection, check)) != "ok":
            raise Broken(f"is broken: {str(said).splitlines()[0]}")
    if (owner := told.get("cluster")) != cluster:
        raise Broken(f"belongs to another cluster ({owner!s})")
    for table in SUMMED if small else _DECIDING[1:]:
        check_sum(connection, table)
    for table in SUMMED if doubted else _DECIDING[1:]:
        for _ in rows(connection, table):
            pass


def _pragma(connection: sqlite3.Connection, name: str) -> object:
    row = connection.execute(f"PRAGMA {name}").fetchone()
    return row[0] if row else None


def _undone_copy(path: Path) -> sqlite3.Connection | None:
    """The state before the unfinished transaction, in memory; None when somebody was writing while we looked."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix="pvectl-") as folder:
        names = (STATE, JOURNAL)
        before = [_mark(path.with_name(name)) for name in names]
        for name in names:
            try:
                content = path.with_name(name).read_bytes()
            except FileNotFoundError:
                return None
            Path(folder, name).write_bytes(content)
        if before != [_mark(path.with_name(name)) for name in names]:
            return None
        copy = connect(Path(folder, STATE), "rw")
        memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        memory.text_factory = _TEXT
        try:
            copy.backup(memory)
        except BaseException:
            memory.close()
            raise
        finally:
            copy.close()
        memory.execute("PRAGMA query_only = ON")
        return memory


def _mark(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return (status.st_ino, status.st_size, status.st_mtime_ns)
