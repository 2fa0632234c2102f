"""The tables of the state file, and the seal on each of their rows that tells what we wrote from what a broken disk made of it."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TypeAlias

import msgspec

from pvectl.core.hold import Hold
from pvectl.store.entries import DecisionEntry, Ending, Intent, as_written

Value: TypeAlias = "str | int | float | bytes | None"
Parameters: TypeAlias = Sequence[Value] | Mapping[str, Value]

_OF_INTENT = (
    "(id TEXT PRIMARY KEY NOT NULL, decision_id TEXT NOT NULL REFERENCES decisions (id), run_id TEXT NOT NULL, at TEXT NOT NULL, "
    "boottime REAL NOT NULL, boot_id TEXT, job TEXT NOT NULL, verb TEXT NOT NULL, subject TEXT NOT NULL, details TEXT NOT NULL, "
    "status TEXT, ended_at TEXT, upid TEXT, error TEXT, took REAL, seal TEXT NOT NULL) WITHOUT ROWID"
)
_INTENT_COLUMNS = (
    *("id", "decision_id", "run_id", "at", "boottime", "boot_id", "job", "verb", "subject", "details"),
    *("status", "ended_at", "upid", "error", "took"),
)
# no row ids and no further indexes: what a query finds is what the seals were checked on
TABLES: Mapping[str, str] = {
    "meta": "CREATE TABLE meta (name TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL, seal TEXT NOT NULL) WITHOUT ROWID",
    "kept": (
        "CREATE TABLE kept (kind TEXT NOT NULL, name TEXT NOT NULL, kept_at TEXT NOT NULL, payload TEXT NOT NULL, seal TEXT NOT NULL, "
        "PRIMARY KEY (kind, name)) WITHOUT ROWID"
    ),
    "holds": (
        "CREATE TABLE holds (id TEXT PRIMARY KEY NOT NULL, subject TEXT NOT NULL, until TEXT NOT NULL, reason TEXT NOT NULL, "
        "who TEXT NOT NULL, made_at TEXT NOT NULL, removed_at TEXT, seal TEXT NOT NULL) WITHOUT ROWID"
    ),
    "decisions": (
        "CREATE TABLE decisions (id TEXT PRIMARY KEY NOT NULL, at TEXT NOT NULL, job TEXT NOT NULL, run_id TEXT NOT NULL, "
        "subject TEXT NOT NULL, verdict TEXT NOT NULL, reason TEXT NOT NULL, phase TEXT, acted INTEGER NOT NULL, detail TEXT NOT NULL, "
        "payload TEXT NOT NULL, seal TEXT NOT NULL) WITHOUT ROWID"
    ),
    # those whose end nobody knows; they are few, so all are looked at whenever the file is opened
    "intents": f"CREATE TABLE intents {_OF_INTENT}",
    "actions": f"CREATE TABLE actions {_OF_INTENT}",
    "losses": "CREATE TABLE losses (file TEXT PRIMARY KEY NOT NULL, at TEXT NOT NULL, why TEXT NOT NULL, seal TEXT NOT NULL) WITHOUT ROWID",
    # thousands of rows of a few KiB: under a number as their key they lie in whole pages, and their seals are found without their payload
    "alerts": (
        "CREATE TABLE alerts (place INTEGER PRIMARY KEY NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, kept_at TEXT NOT NULL, "
        "seal TEXT NOT NULL, payload BLOB NOT NULL)"
    ),
    "looks": "CREATE TABLE looks (at INTEGER PRIMARY KEY NOT NULL, size INTEGER NOT NULL, seal TEXT NOT NULL, payload BLOB NOT NULL)",
}
_ADDED_IN = {"alerts": 2, "looks": 2}
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "meta": ("name", "value"),
    "kept": ("kind", "name", "kept_at", "payload"),
    "holds": ("id", "subject", "until", "reason", "who", "made_at", "removed_at"),
    "decisions": ("id", "at", "job", "run_id", "subject", "verdict", "reason", "phase", "acted", "detail", "payload"),
    "intents": _INTENT_COLUMNS,
    "actions": _INTENT_COLUMNS,
    "losses": ("file", "at", "why"),
    "alerts": ("place", "kind", "name", "kept_at", "payload"),
    "looks": ("at", "size", "payload"),
}  # fmt: skip


BEGINS = "(substr(id, 1, length(:typed)) = :typed OR substr(id, 1, length(:meant)) = :meant)"
ACTED_ON = "SELECT decision_id FROM intents WHERE {0} UNION ALL SELECT decision_id FROM actions WHERE {0}"
# what only alerts are about is large, and looked at by those who use it
SUMMED = tuple(table for table in TABLES if table not in ("meta", "alerts", "looks"))
_KEY_LENGTHS = {"kept": 2}
_SUM = "sum of "
_AT_ONCE = 500


class BrokenSeal(Exception):
    """A row is not as we wrote it, or is no longer there."""


def put(connection: sqlite3.Connection, table: str, values: Sequence[Value], *, replace: bool = False) -> None:
    """Write one row, sealed; `values` in the order of `COLUMNS`. Replaced is a row with the same key, if that is asked for."""
    row = _sealed(table, values)
    if replace:
        key = COLUMNS[table][: _KEY_LENGTHS.get(table, 1)]
        take_out(connection, table, " AND ".join(f"{name} = ?" for name in key), row[: len(key)])
    _insert(connection, table, [row])


def put_all(connection: sqlite3.Connection, table: str, many: Iterable[Sequence[Value]]) -> None:
    """Write many rows of a table with a single key, each in the place of the one that has its key."""
    sealed = [_sealed(table, values) for values in many]
    replaced = [
        seal
        for which, keys in _with_keys(table, [row[0] for row in sealed])
        for (seal,) in connection.execute(f"SELECT seal FROM {table} WHERE {which}", keys).fetchall()  # noqa: S608
    ]
    _insert(connection, table, sealed, instead_of=replaced)


def take_out_all(connection: sqlite3.Connection, table: str, keys: Sequence[Value]) -> None:
    """Delete the rows with these keys, as far as they are there."""
    for which, some in _with_keys(table, keys):
        take_out(connection, table, which, some)


def begin_again(connection: sqlite3.Connection, table: str, whole: Iterable[Sequence[Value]]) -> None:
    """Nothing but these rows, and their sum, whatever the table held."""
    connection.execute(f"DELETE FROM {table}")  # noqa: S608
    put(connection, "meta", (_SUM + table, _sum(0, 0)), replace=True)
    put_all(connection, table, whole)


def _insert(
    connection: sqlite3.Connection, table: str, sealed: Sequence[Sequence[Value]], *, instead_of: Sequence[str] | None = None
) -> None:
    """Write these; `instead_of` are the seals of the rows in whose place they come, None where there must be none."""
    verb = "INSERT" if instead_of is None else "REPLACE"
    marks = ", ".join("?" * (len(COLUMNS[table]) + 1))
    names = ", ".join((*COLUMNS[table], "seal"))
    connection.executemany(f"{verb} INTO {table} ({names}) VALUES ({marks})", sealed)
    _count(connection, table, new=[str(row[-1]) for row in sealed], gone=instead_of or ())


def _with_keys(table: str, keys: Sequence[Value]) -> Iterator[tuple[str, Sequence[Value]]]:
    """The conditions that find the rows with these keys, each with its parameters."""
    for start in range(0, len(keys), _AT_ONCE):
        some = keys[start : start + _AT_ONCE]
        yield f"{COLUMNS[table][0]} IN ({', '.join('?' * len(some))})", some


def take_out(connection: sqlite3.Connection, table: str, where: str, parameters: Parameters = ()) -> None:
    """Delete the rows that match."""
    seals = [seal for (seal,) in connection.execute(f"SELECT seal FROM {table} WHERE {where}", parameters).fetchall()]  # noqa: S608
    if seals:
        connection.execute(f"DELETE FROM {table} WHERE {where}", parameters)  # noqa: S608
        _count(connection, table, gone=seals)


def tables_of(form: int) -> dict[str, str]:
    """The tables of a file of this form, and how they were made."""
    return {table: made for table, made in TABLES.items() if _ADDED_IN.get(table, 1) <= form}


def lay_out(connection: sqlite3.Connection, *, after: int = 0) -> None:
    """Empty tables with their sums: those that a file of the form `after` has not."""
    there = tables_of(after)
    new = {table: made for table, made in TABLES.items() if table not in there}
    for made in new.values():
        connection.execute(made)
    for table in new:
        if table != "meta":
            put(connection, "meta", (_SUM + table, _sum(0, 0)))


def check_sum(connection: sqlite3.Connection, table: str) -> None:
    """Notice rows that are gone: a page that the disk wrote in the place of another one is whole in itself.

    Raises:
        BrokenSeal: there are not the rows that were written.
    """
    seals = [seal for (seal,) in connection.execute(f"SELECT seal FROM {table}").fetchall()]  # noqa: S608
    if _sum(len(seals), _mixed(seals, table)) != _sum_of(connection, table):
        raise BrokenSeal(f"rows of {table} are not there")


def rows(
    connection: sqlite3.Connection, table: str, where: str = "1", parameters: Parameters = (), *, limit: int | None = None
) -> Iterator[tuple[Value, ...]]:
    """Every row that matches, in the order of its key; at most `limit`.

    Raises:
        BrokenSeal: one is not as it was written.
    """
    names = ", ".join((*COLUMNS[table], "seal"))
    cursor = connection.execute(f"SELECT {names} FROM {table} WHERE {where} ORDER BY 1, 2", parameters)  # noqa: S608
    # at once: a cursor left open would keep others from writing
    for row in cursor.fetchall() if limit is None else cursor.fetchmany(limit):
        if not _is_whole(table, row):
            raise BrokenSeal(f"a row of {table} is not as it was written")
        yield row[:-1]


def whole_rows(connection: sqlite3.Connection, table: str) -> Iterator[tuple[Value, ...]]:
    """Of a file that is broken, the rows that are as they were written, as far as they can be reached."""
    names = ", ".join((*COLUMNS[table], "seal"))
    with suppress(sqlite3.Error, UnicodeDecodeError):
        for row in connection.execute(f"SELECT {names} FROM {table}"):  # noqa: S608
            if _is_whole(table, row):
                yield row[:-1]


def beginning(typed: str) -> dict[str, Value]:
    """What `BEGINS` asks for; nothing at all is the beginning of no id."""
    return {"typed": typed.strip() or None, "meant": as_written(typed) or None}


def in_words(moment: datetime) -> str:
    """A time as it is stored: ISO 8601 in UTC and of one width, so that text sorts as time."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def moment(words: Value) -> datetime:
    return datetime.fromisoformat(str(words))


def of_hold(hold: Hold, removed_at: datetime | None = None) -> tuple[Value, ...]:
    removed = in_words(removed_at) if removed_at else None
    return (hold.id, hold.subject, in_words(hold.until), hold.reason, hold.who, in_words(hold.made_at), removed)


def hold(row: tuple[Value, ...]) -> Hold:
    id_, subject, until, reason, who, made_at, _ = row
    return Hold(id=str(id_), subject=str(subject), until=moment(until), reason=str(reason), who=str(who), made_at=moment(made_at))


def of_decision(entry: DecisionEntry) -> tuple[Value, ...]:
    head = (entry.id, in_words(entry.at), entry.job, entry.run_id, entry.subject, entry.verdict, entry.reason, entry.phase)
    return (*head, int(entry.acted), entry.detail, _json(entry.payload))


def decision(row: tuple[Value, ...]) -> DecisionEntry:
    id_, at, job, run_id, subject, verdict, reason, phase, acted, detail, payload = row
    return DecisionEntry(
        id=str(id_),
        job=str(job),
        run_id=str(run_id),
        at=moment(at),
        subject=str(subject),
        verdict=str(verdict),
        reason=str(reason),
        detail=str(detail),
        phase=None if phase is None else str(phase),
        acted=bool(acted),
        payload=msgspec.Raw(str(payload).encode()),
    )


def of_intent(intent: Intent, ending: Ending | None = None) -> tuple[Value, ...]:
    head = (intent.id, intent.decision_id, intent.run_id, in_words(intent.at), float(intent.boottime), intent.boot_id)
    body = (intent.job, intent.verb, intent.subject, _json(intent.details))
    if ending is None:
        return (*head, *body, None, None, None, None, None)
    took = None if ending.took is None else float(ending.took)
    return (*head, *body, ending.status, in_words(ending.at), ending.upid, ending.error, took)


def intent(row: tuple[Value, ...]) -> tuple[Intent, Ending | None]:
    id_, decision_id, run_id, at, boottime, boot_id, job, verb, subject, details, status, ended_at, upid, error, took = row
    begun = {
        "id": id_,
        "decision_id": decision_id,
        "run_id": run_id,
        "at": at,
        "boottime": boottime,
        "boot_id": boot_id,
        "job": job,
        "verb": verb,
        "subject": subject,
    }
    told = msgspec.structs.replace(msgspec.convert(begun, Intent), details=msgspec.Raw(str(details).encode()))
    if ended_at is None:
        return told, None
    return told, msgspec.convert({"status": status, "at": ended_at, "upid": upid, "error": error, "took": took}, Ending)


def _json(raw: msgspec.Raw) -> str:
    """The text of a payload, once it is known to be JSON."""
    content = bytes(raw)
    msgspec.json.decode(content)
    return content.decode()


def _sealed(table: str, values: Sequence[Value]) -> tuple[Value, ...]:
    """The row as it is stored: its values and their seal."""
    seal = _seal(table, values)
    if seal is None:
        # half of a surrogate pair, as a JSON escape can leave it, has no UTF-8
        values = [value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value for value in values]
        seal = _seal(table, values)
        assert seal is not None
    return (*values, seal)


def _is_whole(table: str, row: tuple[Value, ...]) -> bool:
    seal = row[-1]
    return seal is not None and seal == _seal(table, row[:-1])


def _seal(table: str, values: Sequence[Value]) -> str | None:
    last = values[-1]
    try:
        if isinstance(last, bytes):
            seal = hashlib.blake2b(msgspec.json.encode((table, values[:-1], len(last))), digest_size=16)
            seal.update(last)
            return seal.hexdigest()
        return hashlib.blake2b(msgspec.json.encode((table, values)), digest_size=16).hexdigest()
    except (UnicodeError, TypeError):
        # nothing that we have written
        return None


def _count(connection: sqlite3.Connection, table: str, *, new: Sequence[str] = (), gone: Sequence[str] = ()) -> None:
    if table == "meta":
        return
    count, _, mixed = _sum_of(connection, table).partition(" ")
    after = _sum(int(count) + len(new) - len(gone), int(mixed, 16) ^ _mixed(new, table) ^ _mixed(gone, table))
    put(connection, "meta", (_SUM + table, after), replace=True)


def _sum_of(connection: sqlite3.Connection, table: str) -> str:
    for _, value in rows(connection, "meta", "name = ?", (_SUM + table,)):
        return str(value)
    raise BrokenSeal(f"the sum of {table} is not there")


def _sum(count: int, mixed: int) -> str:
    return f"{count} {mixed:032x}"


def _mixed(seals: Sequence[str], table: str) -> int:
    """All seals in one number that does not depend on their order."""
    mixed = 0
    try:
        for seal in seals:
            mixed ^= int(seal, 16)
    except (TypeError, ValueError):
        raise BrokenSeal(f"a row of {table} is not as it was written") from None
    return mixed
