"""Tables that outlive damage to some of their rows: what is whole goes on, and what is lost is said."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TypeVar

from msgspec.structs import replace

from pvectl.core.alerts.incident import Records
from pvectl.core.alerts.outbox import Row, State
from pvectl.store import rows
from pvectl.store.file import Unsealed
from pvectl.store.state import Store

R = TypeVar("R")

_LONGEST = 2000
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class Mended:
    """The tables of a store, mended by the first one who finds damage and may write; who only looks is told that it is broken."""

    def __init__(self, store: Store, on_loss: Callable[[sqlite3.Connection, str], None]) -> None:
        self._store = store
        self._on_loss = on_loss

    def work(self, table: str, work: Callable[[sqlite3.Connection], R], *, writing: bool = False) -> R:
        """Do this; where rows turn out to be damaged, once more with those that are whole.

        Raises:
            BadState: the file is broken beyond its rows, or nothing may be written here.
        """
        try:
            with self._store.tables(writing=writing) as connection:
                return work(connection)
        except Unsealed:
            if self._store.is_to_read:
                raise
        with self._store.tables(writing=True) as connection:
            # somebody else may have mended it before it was our turn
            if not _is_whole(connection, table):
                whole = {row[0]: row for row in rows.whole_rows(connection, table)}
                rows.begin_again(connection, table, whole.values())
                self._lost(connection, table, f"rows of it were gone or not as they were written; {len(whole)} were whole")
            return work(connection)

    def leave_out(self, table: str, lost: Iterable[tuple[Sequence[rows.Value], str, str]]) -> None:
        """Take out rows that nobody understands, each with its name and why; who only looks leaves them."""
        lost = list(lost)
        if not lost or self._store.is_to_read:
            return
        with self._store.tables(writing=True) as connection:
            rows.take_out_all(connection, table, [row[0] for row, _, _ in lost])
            for row, name, why in lost:
                self._lost(connection, name, f"{why} in: {_shown(row[-1])}")

    def _lost(self, connection: sqlite3.Connection, what: str, why: str) -> None:
        now = rows.in_words(self._store.now())
        rows.put(connection, "losses", (f"{what} {now}", now, why), replace=True)
        self._on_loss(connection, f"{what}: {why}")


def undelivered(records: Records, outbox: Iterable[Row]) -> Records:
    """The records after the loss of messages: what was on its way and waits nowhere was given up so long ago that it is told again."""
    waiting = {(row.receiver, told.incident) for row in outbox if row.state is State.PENDING for told in row.notification.stories}
    changed = {}
    for name, incident in records.incidents.items():
        gone = {
            receiver: replace(told, given_up_at=_LONG_AGO)
            for receiver, told in incident.told.items()
            if told.is_on_its_way and (receiver, incident.id) not in waiting
        }
        if gone:
            changed[name] = replace(incident, told={**incident.told, **gone})
    return replace(records, incidents={**records.incidents, **changed})


def _is_whole(connection: sqlite3.Connection, table: str) -> bool:
    with suppress(rows.BrokenSeal):
        rows.check_sum(connection, table)
        for _ in rows.rows(connection, table):
            pass
        return True
    return False


def _shown(payload: rows.Value) -> str:
    text = payload.decode("utf-8", "replace") if isinstance(payload, bytes) else str(payload)
    return text[:_LONGEST]
