"""What one run finds of those before it, and leaves to those after it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypeVar

import msgspec
from msgspec import Struct

from pvectl.clock import Clock
from pvectl.core.hold import Hold, in_force
from pvectl.errors import BadState, CannotWrite, Locked, UsageError
from pvectl.store import file, history, rows
from pvectl.store.entries import UNKNOWN, DecisionEntry, Ending, HistoryEntry, Intent, fresh_id
from pvectl.store.lock import RunLock

T = TypeVar("T", bound=Struct)

_KEPT_FOR = timedelta(days=90)
_EVIDENCE_LIMIT = 32 * 2**20
_MOST_CANDIDATES = 20
_INTENDED = ("intents", "actions")
_ACTED_ON = "SELECT decision_id FROM intents WHERE {0} UNION ALL SELECT decision_id FROM actions WHERE {0}"


class Store:
    """One cluster's state. What a store opened beside a run or to read may not do, it refuses with a RuntimeError.

    Threads may share it: each call, and each transaction, has it for itself.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        path: Path,
        clock: Clock,
        role: Literal["run", "beside", "read"],
        warnings: tuple[str, ...] = (),
        lock: RunLock | None = None,
    ) -> None:
        self._connection = connection
        self._path = path
        self._clock = clock
        self._role = role
        self._lock = lock
        self._mutex = threading.RLock()
        self._depth = 0
        self._given: set[str] = set()
        self._undecodable: dict[tuple[str, str], str] = {}
        self._inode = _inode(path)
        self.warnings = warnings
        """What is not as it should be, but does not keep a run from working."""
        self.set_aside: str | None = None
        """Why the state file found was set aside, in words that finish "the state file …"; then this run must switch nothing off and end
        with 65. None normally."""
        if role == "run":
            self.set_aside = next((str(why) for _, why in self._rows("meta", "name = 'unreported'")), None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the lock back. What was set aside counts as reported from now on: the run that found it has ended by itself."""
        with self._mutex:
            try:
                if self._role == "run" and (self.set_aside or self._undecodable):
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
        with self._mutex:
            depth, name = self._depth, f"within_{self._depth}"
            with self._errors(writing=True):
                self._connection.execute(f"SAVEPOINT {name}" if depth else "BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
                self._refuse_when_undone()
                with self._errors(writing=True):
                    self._connection.execute(f"RELEASE {name}" if depth else "COMMIT")
            except BaseException:
                # an error such as a full disk may have ended it already
                with suppress(sqlite3.Error):
                    if self._connection.in_transaction:
                        self._connection.execute(f"ROLLBACK TO {name}" if depth else "ROLLBACK")
                raise
            finally:
                self._depth -= 1

    def keep(self, kind: str, key: str, value: Struct) -> None:
        """Keep this for the next run, in the place of what was kept under the same kind and key."""
        payload = msgspec.json.encode(value).decode()
        with self._writing(), self._errors(writing=True):
            rows.put(self._connection, "kept", (kind, key, rows.in_words(self._clock.now()), payload), replace=True)

    def recall(self, kind: str, key: str, type: type[T]) -> T | None:  # noqa: A002 - the word the callers use
        """What was kept, None when nothing was.

        Raises:
            BadState: what was kept is nothing of this type; it is out of the way for the next run.
        """
        for row in self._rows("kept", "kind = ? AND name = ?", (kind, key)):
            return self._decoded(row, type)
        return None

    def recall_all(self, kind: str, type: type[T]) -> dict[str, T]:  # noqa: A002
        """All of this kind, by key; raises as `recall`."""
        return {str(row[1]): self._decoded(row, type) for row in self._rows("kept", "kind = ?", (kind,))}

    def forget(self, kind: str, key: str) -> None:
        """Whether it was kept or not."""
        with self._writing(), self._errors(writing=True):
            rows.take_out(self._connection, "kept", "kind = ? AND name = ?", (kind, key))

    def new_id(self) -> str:
        """An id for a decision, an intent or a hold that nothing else here has."""
        with self._mutex, self._errors(writing=False):
            tables = ("decisions", *_INTENDED, "holds")
            now = self._clock.now()
            while True:
                id_ = fresh_id(now, self._given)
                self._given.add(id_)
                if not any(self._connection.execute(f"SELECT 1 FROM {table} WHERE id = ?", (id_,)).fetchone() for table in tables):  # noqa: S608
                    return id_

    def add_hold(self, hold: Hold) -> None:
        with self.transaction(), self._errors(writing=True):
            rows.put(self._connection, "holds", rows.of_hold(hold))

    def holds(self, *, at: datetime) -> tuple[Hold, ...]:
        """Those in force at this moment, also those that somebody placed since this store was opened."""
        return in_force((rows.hold(row) for row in self._rows("holds", "removed_at IS NULL")), at)

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
            found = [rows.hold(row) for row in self._rows("holds", wanted, asked | {"now": rows.in_words(now)})]
            hold = _only(id, found, {hold.id: f"{hold.id} ({hold.subject}, {hold.reason})" for hold in found})
            if hold is None:
                return False
            with self._errors(writing=True):
                rows.put(self._connection, "holds", rows.of_hold(hold, removed_at=now), replace=True)
        return True

    def decided(self, entry: DecisionEntry) -> None:
        """Write a decision with its evidence into the audit trail (safety rule S32)."""
        with self._writing(), self._errors(writing=True):
            rows.put(self._connection, "decisions", rows.of_decision(entry))

    def decision(self, id: str) -> DecisionEntry | None:  # noqa: A002
        """By its id, or the id of something that was done because of it; the beginning is enough.

        Raises:
            UsageError: more than one begins so.
        """
        asked = rows.beginning(id)
        found = [rows.decision(row) for row in self._rows("decisions", rows.BEGINS, asked, limit=_MOST_CANDIDATES)]
        if not found:
            through = f"id IN ({_ACTED_ON.format(rows.BEGINS)})"
            found = [rows.decision(row) for row in self._rows("decisions", through, asked, limit=_MOST_CANDIDATES)]
        if not found:
            # that there is none is only said when no damage can have hidden it
            self._rows("decisions")
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
        with self._mutex:
            if self._depth:
                raise RuntimeError("an intent within a transaction is on disk only when that ends")
            self._refuse_when_set_aside()
            self._refuse_when_replaced()
            try:
                with self.transaction():
                    if decision is not None:
                        self.decided(decision)
                    with self._errors(writing=True):
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
            known = [*self._rows("intents", "id = ?", (intent_id,)), *self._rows("actions", "id = ?", (intent_id,))]
            if not known:
                raise ValueError(f"there is no intent {intent_id}")
            intent, before = rows.intent(known[0])
            if before is not None and before.status not in (UNKNOWN, status):
                raise ValueError(f"intent {intent_id} has ended already: {before.status}")
            with self._errors(writing=True):
                rows.take_out(self._connection, "intents", "id = ?", (intent_id,))
                table = "intents" if status == UNKNOWN else "actions"
                rows.put(self._connection, table, rows.of_intent(intent, ending), replace=True)

    def open_intents(self) -> tuple[Intent, ...]:
        """What was intended and of which nobody knows what came: the run died, or saw no outcome. The oldest first."""
        found = [rows.intent(row)[0] for row in self._rows("intents")]
        return tuple(sorted(found, key=lambda intent: (intent.at, intent.id)))

    def actions(self, *, since: datetime) -> tuple[tuple[Intent, Ending | None], ...]:
        """What was intended since then and what came of it, the oldest first: budgets and cooldowns rest on it."""
        # each row is looked at, so that no damage can take one out of the count
        with self._mutex, self._errors(writing=False):
            rows.check_sum(self._connection, "actions")
        found = [rows.intent(row) for table in _INTENDED for row in self._rows(table)]
        return tuple(sorted((pair for pair in found if pair[0].at >= since), key=lambda pair: (pair[0].at, pair[0].id)))

    def history(self, *, since: datetime, subject: str | None = None) -> tuple[HistoryEntry, ...]:
        """What was done, decided anew, held and lost since then, the newest first."""
        with self._mutex, self._errors(writing=False):
            return history.told(self._connection, since=since, subject=subject, now=self._clock.now())

    def prune(self, *, now: datetime) -> None:
        """Let go of what nobody will ask for: old decisions without action, most of them when there are too many, and old holds."""
        old = rows.in_words(now - _KEPT_FOR)
        with self._writing(), self._errors(writing=True):
            idle = f"acted = 0 AND id NOT IN ({_ACTED_ON.format(1)})"
            rows.take_out(self._connection, "holds", "coalesce(removed_at, until) < ?", (old,))
            rows.take_out(self._connection, "decisions", f"at < ? AND {idle}", (old,))
            weighed = f"SELECT at, sum(length(payload)) OVER (ORDER BY at DESC) AS sum FROM decisions WHERE {idle}"  # noqa: S608
            too_many = f"at <= (SELECT max(at) FROM ({weighed}) WHERE sum > ?) AND {idle}"  # noqa: S608
            rows.take_out(self._connection, "decisions", too_many, (_EVIDENCE_LIMIT,))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        if self._role != "run":
            raise RuntimeError("only the run that holds the lock may write this")
        with self.transaction():
            yield

    @contextmanager
    def _errors(self, *, writing: bool) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            told = file.error_of(error, self._path, writing=writing)
            if told is None:
                raise
            raise told from None
        except UnicodeDecodeError:
            # an error message that quotes what stands in the file
            raise file.bad_state(self._path, "is broken") from None
        except rows.BrokenSeal as error:
            raise file.bad_state(self._path, f"is broken: {error}") from None

    def _rows(
        self, table: str, where: str = "1", parameters: rows.Parameters = (), *, limit: int | None = None
    ) -> list[tuple[rows.Value, ...]]:
        with self._mutex, self._errors(writing=False):
            return list(rows.rows(self._connection, table, where, parameters, limit=limit))

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
        with self._writing(), self._errors(writing=True):
            if self.set_aside:
                rows.take_out(self._connection, "meta", "name = 'unreported'")
            for (kind, key), why in self._undecodable.items():
                name = f"{kind} {key} {rows.in_words(self._clock.now())}"
                rows.put(self._connection, "losses", (name, rows.in_words(self._clock.now()), why))
                rows.take_out(self._connection, "kept", "kind = ? AND name = ?", (kind, key))

    def _refuse_when_undone(self) -> None:
        """SQLite ends a transaction by itself where it cannot go on; a caller who went on must not take it for kept."""
        if not self._connection.in_transaction:
            raise CannotWrite(f"the state in {self._path} was not written", subject=f"file/{self._path}")

    def _refuse_when_set_aside(self) -> None:
        """What was lost may be the very thing that would have kept this run from acting."""
        if self.set_aside is not None or self._undecodable:
            why = self.set_aside or "holds a record that cannot be understood"
            raise BadState(
                f"the state file {why}, so nothing is switched off in this run", hint="the next run goes on", subject=f"file/{self._path}"
            )

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
