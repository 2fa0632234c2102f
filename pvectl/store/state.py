"""What one run finds of those before it, and leaves to those after it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypeAlias, TypeVar

import msgspec
from msgspec import Struct

from pvectl.clock import Clock
from pvectl.core.hold import Hold, in_force
from pvectl.errors import BadState, CannotWrite, Locked, UsageError
from pvectl.store import file, history, pruning, rows
from pvectl.store.entries import UNKNOWN, DecisionEntry, Ending, HistoryEntry, Intent, fresh_id
from pvectl.store.kinds import span
from pvectl.store.lock import RunLock
from pvectl.store.session import Session

T = TypeVar("T", bound=Struct)
Role: TypeAlias = Literal["run", "alert", "beside", "read"]

_MOST_CANDIDATES = 20
_INTENDED = ("intents", "actions")
_OF_ALERTS = ("monitor", "alert")
# what each of them has still to say of a file that was set aside
UNREPORTED = {"run": "unreported", "alert": "unreported by alerts"}


class Store:
    """One cluster's state. What a store opened otherwise than for the run that acts may not do, it refuses with a RuntimeError.

    Threads may share it: each call, and each transaction, has it for itself.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        path: Path,
        clock: Clock,
        role: Role,
        warnings: tuple[str, ...] = (),
        lock: RunLock | None = None,
    ) -> None:
        self._connection = connection
        self._path = path
        self._clock = clock
        self._role = role
        self._lock = lock
        self._session = Session(connection, path)
        self._given: set[str] = set()
        self._undecodable: dict[tuple[str, str], str] = {}
        self._inode = _inode(path)
        self.warnings = warnings
        """What is not as it should be, but does not keep a run from working."""
        self.set_aside: str | None = None
        """Why the state file found was set aside, in words that finish "the state file …"; then this run must switch nothing off and end
        with 65. A run of the alerts learns it too, until it has told it, and leaves the rest to the run that acts. None normally."""
        if role in UNREPORTED:
            self.set_aside = next((str(why) for _, why in self._session.rows("meta", "name = ?", (UNREPORTED[role],))), None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the lock back. What was set aside counts as reported from now on: the run that found it has ended by itself."""
        with self._session.mutex:
            try:
                if self._role != "read" and (self.set_aside or self._undecodable or self._session.is_doubted):
                    with suppress(sqlite3.Error, BadState, CannotWrite, Locked):
                        self._clear_away()
            finally:
                self._role = "read"
                self._connection.close()
                if self._lock is not None:
                    self._lock.release()
                    self._lock = None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing of what is written within, on disk when it ends; one within another is all or nothing for itself.

        Raises:
            CannotWrite: it is not kept; what was there before is.
        """
        if self._role == "read":
            raise RuntimeError("this store was opened to read")
        with self._session.transaction(first=self._refuse_alerts_when_replaced):
            yield

    def keep(self, kind: str, key: str, value: Struct) -> None:
        """Keep this for the next run, in the place of what was kept under the same kind and key."""
        payload = msgspec.json.encode(value).decode()
        with self._writing(kind), self._session.errors(writing=True):
            rows.put(self._connection, "kept", (kind, key, rows.in_words(self._clock.now()), payload), replace=True)

    def recall(self, kind: str, key: str, type: type[T]) -> T | None:  # noqa: A002 - the word the callers use
        """What was kept, None when nothing was.

        Raises:
            BadState: what was kept is nothing of this type; it is out of the way for the next run.
        """
        for row in self._session.rows("kept", "kind = ? AND name = ?", (kind, key)):
            return self._decoded(row, type)
        return None

    def recall_all(self, kind: str, type: type[T]) -> dict[str, T]:  # noqa: A002
        """All of this kind, by key; raises as `recall`."""
        return {str(row[1]): self._decoded(row, type) for row in self._session.rows("kept", "kind = ?", (kind,))}

    def forget(self, kind: str, key: str) -> None:
        """Whether it was kept or not."""
        with self._writing(kind), self._session.errors(writing=True):
            rows.take_out(self._connection, "kept", "kind = ? AND name = ?", (kind, key))

    def new_id(self) -> str:
        """An id for a decision, an intent, a hold or a silence that nothing else here has.

        Beside a run, ask and write in one transaction, or somebody else may be given the same one in between.
        """
        with self._session.reading():
            given = [f"SELECT 1 FROM {table} WHERE id = ?" for table in ("decisions", *_INTENDED, "holds")]  # noqa: S608
            if file.has_alerts(self._connection):
                first, last = span("silence")
                given.append(f"SELECT 1 FROM alerts WHERE name = ? AND place BETWEEN {first} AND {last}")  # noqa: S608
            now = self._clock.now()
            while True:
                id_ = fresh_id(now, self._given)
                self._given.add(id_)
                if not any(self._connection.execute(asked, (id_,)).fetchone() for asked in given):
                    return id_

    def add_hold(self, hold: Hold) -> None:
        with self.transaction(), self._session.errors(writing=True):
            rows.put(self._connection, "holds", rows.of_hold(hold))

    def holds(self, *, at: datetime) -> tuple[Hold, ...]:
        """Those in force at this moment, also those that somebody placed since this store was opened."""
        return in_force((rows.hold(row) for row in self._session.rows("holds", "removed_at IS NULL")), at)

    def remove_hold(self, id: str) -> bool:  # noqa: A002
        """Whether there was one that was not removed yet; the beginning of its id is enough.

        Raises:
            UsageError: more than one begins so.
        """
        now = self._clock.now()
        asked = rows.beginning(id)
        with self.transaction():
            # one that is over already cannot be meant
            wanted = f"{rows.BEGINS} AND removed_at IS NULL AND until > :now"
            found = [rows.hold(row) for row in self._session.rows("holds", wanted, asked | {"now": rows.in_words(now)})]
            hold = _only(id, found, {hold.id: f"{hold.id} ({hold.subject}, {hold.reason})" for hold in found})
            if hold is None:
                return False
            with self._session.errors(writing=True):
                rows.put(self._connection, "holds", rows.of_hold(hold, removed_at=now), replace=True)
        return True

    def decided(self, entry: DecisionEntry) -> None:
        """Write a decision with its evidence into the audit trail (safety rule S32)."""
        with self._writing(), self._session.errors(writing=True):
            rows.put(self._connection, "decisions", rows.of_decision(entry))

    def decision(self, id: str) -> DecisionEntry | None:  # noqa: A002
        """By its id, or the id of something that was done because of it; the beginning is enough.

        Raises:
            UsageError: more than one begins so.
        """
        asked = rows.beginning(id)
        found = [rows.decision(row) for row in self._session.rows("decisions", rows.BEGINS, asked, limit=_MOST_CANDIDATES)]
        if not found:
            through = f"id IN ({rows.ACTED_ON.format(rows.BEGINS)})"
            found = [rows.decision(row) for row in self._session.rows("decisions", through, asked, limit=_MOST_CANDIDATES)]
        if not found:
            # that there is none is only said when no damage can have hidden it
            self._session.rows("decisions")
        return _only(id, found, {entry.id: f"{entry.id} ({entry.subject}, {entry.at:%Y-%m-%d %H:%M} UTC)" for entry in found})

    def intend(self, *intents: Intent, decision: DecisionEntry | None = None) -> None:
        """Write on disk what is about to be sent; when this returns it is there, whatever happens next (safety rule S24).

        The decision behind it must have been written, or is given to be written with it.

        Raises:
            CannotWrite: it is not there, so nothing may be sent.
            BadState: this run found the state broken, so it does nothing (safety rule S31).
        """
        if self._role != "run":
            raise RuntimeError("only the run that holds the lock may act")
        with self._session.mutex:
            if self._session.is_within_transaction:
                raise RuntimeError("an intent within a transaction is on disk only when that ends")
            self._refuse_when_set_aside()
            self._refuse_when_replaced()
            try:
                with self.transaction():
                    if decision is not None:
                        self.decided(decision)
                    with self._session.errors(writing=True):
                        for intent in intents:
                            rows.put(self._connection, "intents", rows.of_intent(intent))
            except (Locked, BadState) as error:
                raise CannotWrite(error.message, hint=error.hint, subject=error.subject) from None

    def ended(
        self, intent_id: str, *, status: str, at: datetime, upid: str | None = None, error: str | None = None, took: float | None = None
    ) -> None:
        """What came of an intent. "unknown" leaves it open, to be ended once somebody has seen what became of it.

        Raises:
            ValueError: there is no such intent, or it has ended otherwise.
        """
        ending = Ending(status=status, at=at, upid=upid, error=error, took=took)
        with self._writing():
            known = [*self._session.rows("intents", "id = ?", (intent_id,)), *self._session.rows("actions", "id = ?", (intent_id,))]
            if not known:
                raise ValueError(f"there is no intent {intent_id}")
            intent, before = rows.intent(known[0])
            if before is not None and before.status not in (UNKNOWN, status):
                raise ValueError(f"intent {intent_id} has ended already: {before.status}")
            with self._session.errors(writing=True):
                rows.take_out(self._connection, "intents", "id = ?", (intent_id,))
                table = "intents" if status == UNKNOWN else "actions"
                rows.put(self._connection, table, rows.of_intent(intent, ending), replace=True)

    def open_intents(self) -> tuple[Intent, ...]:
        """What was intended and of which nobody knows what came: the run died, or saw no outcome. The oldest first."""
        found = [rows.intent(row)[0] for row in self._session.rows("intents")]
        return tuple(sorted(found, key=lambda intent: (intent.at, intent.id)))

    def actions(self, *, since: datetime) -> tuple[tuple[Intent, Ending | None], ...]:
        """What was intended since then and what came of it, the oldest first: budgets and cooldowns rest on it."""
        # each row is looked at, so that no damage can take one out of the count
        with self._session.reading():
            rows.check_sum(self._connection, "actions")
        found = [rows.intent(row) for table in _INTENDED for row in self._session.rows(table)]
        return tuple(sorted((pair for pair in found if pair[0].at >= since), key=lambda pair: (pair[0].at, pair[0].id)))

    def history(self, *, since: datetime, subject: str | None = None) -> tuple[HistoryEntry, ...]:
        """What was done, decided anew, held and lost since then, the newest first."""
        with self._session.reading():
            return history.told(self._connection, since=since, subject=subject, now=self._clock.now())

    def prune(self, *, now: datetime) -> None:
        """Let go of what nobody will ask for: old decisions without action, most of them when there are too many, and old holds."""
        with self._writing(), self._session.errors(writing=True):
            pruning.let_go(self._connection, now)

    def now(self) -> datetime:
        """The time on the clock this was opened with."""
        return self._clock.now()

    @property
    def is_to_read(self) -> bool:
        return self._role == "read"

    @contextmanager
    def tables(self, *, writing: bool) -> Iterator[sqlite3.Connection]:
        """The file itself, for what in this package looks at it in another way; `writing` is a transaction.

        Raises:
            Unsealed: rows are not as they were written.
            BadState, CannotWrite, Locked: as everywhere.
        """
        with self.transaction() if writing else self._session.mutex, self._session.errors(writing=writing):
            try:
                yield self._connection
            except rows.BrokenSeal as error:
                told = file.bad_state(self._path, f"is broken: {error}")
                raise file.Unsealed(told.message, hint=told.hint, subject=told.subject) from None

    @contextmanager
    def _writing(self, kind: str = "") -> Iterator[None]:
        if not self._may_keep(kind):
            raise RuntimeError("only the run that holds the lock may write this")
        with self.transaction():
            yield

    def _decoded(self, row: tuple[rows.Value, ...], type: type[T]) -> T:  # noqa: A002
        kind, key, kept_at, payload = map(str, row)
        try:
            return msgspec.json.decode(payload, type=type)
        except msgspec.DecodeError as error:
            self._undecodable[kind, key] = f"{error} in: {payload}"
            what = f"holds a record that this version does not understand ({kind} {key}, kept {kept_at[:16]}Z): {error}"
            raise BadState(
                f"the state file {self._path} {what}",
                hint="the next run begins this record anew; was another version of pvectl here?",
                subject=f"file/{self._path}",
            ) from None

    def _clear_away(self) -> None:
        mine = {key: why for key, why in self._undecodable.items() if self._may_keep(key[0])}
        reported = self.set_aside is not None and self._role == "run"
        with self.transaction(), self._session.errors(writing=True):
            if self._session.is_doubted:
                rows.put(self._connection, "meta", (file.DOUBTED, rows.in_words(self._clock.now())), replace=True)
            if reported:
                rows.take_out(self._connection, "meta", "name = ?", (UNREPORTED["run"],))
            for (kind, key), why in mine.items():
                name = f"{kind} {key} {rows.in_words(self._clock.now())}"
                rows.put(self._connection, "losses", (name, rows.in_words(self._clock.now()), why))
                rows.take_out(self._connection, "kept", "kind = ? AND name = ?", (kind, key))

    def _may_keep(self, kind: str) -> bool:
        return self._role == "run" or (self._role == "alert" and kind.startswith(_OF_ALERTS))

    def _refuse_when_set_aside(self) -> None:
        """What was lost may be the very thing that would have kept this run from acting."""
        if self.set_aside is not None or self._undecodable:
            why = self.set_aside or "holds a record that cannot be understood"
            raise BadState(
                f"the state file {why}, so nothing is switched off in this run", hint="the next run goes on", subject=f"file/{self._path}"
            )

    def _refuse_alerts_when_replaced(self) -> None:
        if self._role == "alert":
            self._refuse_when_replaced()

    def _refuse_when_replaced(self) -> None:
        """Where somebody took our lock file or state file away, another run may be at work, or nobody would find what we write."""
        if self._lock is None or not self._lock.still_held() or _inode(self._path) != self._inode:
            raise CannotWrite(
                f"the state in {self._path.parent} was replaced while this run was at work, so nothing more is done",
                hint="let no other program touch that directory",
                subject=f"file/{self._path}",
            )


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        status = path.lstat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino)


def _only(asked: str, found: Sequence[T], words: dict[str, str]) -> T | None:
    if len(found) > 1:
        raise UsageError(f"{asked!r} is the beginning of several ids: {', '.join(words.values())}", hint="give more of it")
    return found[0] if found else None
