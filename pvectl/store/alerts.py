"""What alerts keep in the state file: incidents, the messages still to be delivered, how receivers do, silences, and past looks."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from pvectl.core.alerts.incident import Incident, Records
from pvectl.core.alerts.outbox import Channel, Row
from pvectl.core.alerts.silence import Silence
from pvectl.core.alerts.telling import Explanation
from pvectl.errors import UsageError
from pvectl.store import rows as sealed
from pvectl.store.file import has_alerts
from pvectl.store.kinds import place, span
from pvectl.store.mending import Mended, undelivered
from pvectl.store.state import UNREPORTED, Store

T = TypeVar("T")

LOOKS_KEPT_FOR = timedelta(days=8)
LOOKS_LIMIT = 16 * 2**20
_SILENCES_KEPT_FOR = timedelta(days=30)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_AT_ONCE = 50
_TOO_MANY = "at <= (SELECT max(at) FROM (SELECT at, sum(size) OVER (ORDER BY at DESC) AS sum FROM looks) WHERE sum > ?)"


class _Rhythm(Struct, frozen=True, kw_only=True):
    """What the records hold beside the incidents."""

    run_at: datetime | None = None
    gaps: tuple[float, ...] = ()
    looked: bool = True
    maintained: Mapping[str, datetime] = {}


_TYPES: Mapping[str, Any] = {
    "rhythm": _Rhythm,
    "incident": Incident,
    "row": Row,
    "channel": Channel,
    "silence": Silence,
    "explanations": dict[str, Explanation],
    "loss": str,
}


class Alerts:
    """The alerts of one cluster, as an open store shows them; whoever opened it to write may change them.

    What is not as it was written, or not understood, is left out and said in the history; it never keeps the rest from being read.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._tables = Mended(store, self._keep_loss)
        self._summed = False

    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing; nobody else writes until it ends, so what is read within it is still so when it does."""
        return self._store.transaction()

    def records(self, names: Collection[str] | None = None) -> Records:
        """What the last run left, of these incidents or of all."""
        rhythm = self._one("rhythm", _Rhythm())
        return Records(
            incidents=self._all("incident", names),
            run_at=rhythm.run_at,
            gaps=rhythm.gaps,
            looked=rhythm.looked,
            maintained=rhythm.maintained,
        )

    def take_losses(self) -> tuple[str, ...]:
        """What of the state was lost since somebody last asked, in sentences: to be told in the same transaction.

        A message that was on its way and is gone counts as given up long ago, so that the incident is told again.
        """
        with self.transaction():
            losses = self._all("loss")
            with self._store.tables(writing=True) as connection:
                marks = list(sealed.rows(connection, "meta", "name = ?", (UNREPORTED["alert"],)))
                sealed.take_out(connection, "meta", "name = ?", (UNREPORTED["alert"],))
            if losses or marks:
                self._remove("loss", losses)
                records = self.records()
                self.write_records(records, undelivered(records, self.rows()))
        return (*(f"the state file {why!s}" for _, why in marks), *losses.values())

    def write_records(self, before: Records, after: Records) -> None:
        """Write what differs."""
        with self.transaction():
            self._write("incident", before.incidents, after.incidents)
            self._write("rhythm", {"": _rhythm(before)}, {"": _rhythm(after)})
            long_ago = self._store.now() - _SILENCES_KEPT_FOR
            self._remove("silence", [silence.id for silence in self.silences() if silence.until < long_ago])

    def explanations(self) -> dict[str, Explanation]:
        """By the names of the incidents, what the last run made of them."""
        return self._one("explanations", {})

    def write_explanations(self, explanations: Mapping[str, Explanation]) -> None:
        with self.transaction():
            kept = self._tables.work("alerts", lambda connection: self._found(connection, "explanations", ("",)))
            payload = _encoded(explanations)
            if [before for *_, before in kept] != [payload]:
                self._put("explanations", {"": msgspec.Raw(payload)})

    def rows(self) -> tuple[Row, ...]:
        """The outbox, in the order of the queue."""
        return tuple(sorted(self._all("row").values(), key=lambda row: (row.queued_at, row.id)))

    def write_rows(self, before: Iterable[Row], after: Iterable[Row]) -> None:
        """Write what differs, and remove what is gone."""
        self._write("row", {row.id: row for row in before}, {row.id: row for row in after})

    def put_rows(self, *rows: Row) -> None:
        """Write these, whatever else there is."""
        self._put("row", {row.id: row for row in rows})

    def channels(self) -> dict[str, Channel]:
        """By the name of the receiver."""
        return self._all("channel")

    def put_channels(self, *channels: Channel) -> None:
        self._put("channel", {channel.receiver: channel for channel in channels})

    def silences(self) -> tuple[Silence, ...]:
        """Those that are over too, for a while."""
        return tuple(sorted(self._all("silence").values(), key=lambda silence: (silence.made_at, silence.id)))

    def add_silence(self, silence: Silence) -> None:
        self._put("silence", {silence.id: silence})

    def remove_silence(self, id_beginning: str) -> Silence | None:
        """The one that is lifted; None when there is none in force whose id begins so.

        Raises:
            UsageError: more than one begins so.
        """
        typed = tuple(str(each) for each in sealed.beginning(id_beginning).values() if each)
        with self.transaction():
            now = self._store.now()
            found = [each for each in self.silences() if each.id.startswith(typed) and each.in_force(now)]
            if len(found) > 1:
                those = ", ".join(f"{silence.id} ({silence.reason})" for silence in found)
                raise UsageError(f"{id_beginning!r} is the beginning of several ids: {those}", hint="give more of it")
            self._remove("silence", [silence.id for silence in found])
        return found[0] if found else None

    def keep_look(self, at: datetime, payload: str) -> None:
        """Keep what was seen at this moment, and let go of what is too old or too much."""
        oldest = (at - LOOKS_KEPT_FOR - _EPOCH) // _MICROSECOND
        content = payload.encode("utf-8", "surrogatepass")

        def write(connection: sqlite3.Connection) -> None:
            sealed.put_all(connection, "looks", [((at - _EPOCH) // _MICROSECOND, len(content), content)])
            sealed.take_out(connection, "looks", "at < ?", (oldest,))
            if connection.execute("SELECT sum(size) FROM looks").fetchone()[0] > LOOKS_LIMIT:
                sealed.take_out(connection, "looks", _TOO_MANY, (LOOKS_LIMIT,))

        self._tables.work("looks", write, writing=True)

    def looks(self, since: datetime) -> Iterator[tuple[datetime, str]]:
        """What was seen since then, the oldest first."""
        moments = self._tables.work("looks", lambda connection: _moments(connection, since))
        for start in range(0, len(moments), _AT_ONCE):
            for at, payload in self._tables.work("looks", partial(_looks, moments=moments[start : start + _AT_ONCE])):
                yield _EPOCH + at * _MICROSECOND, payload

    def _all(self, kind: str, names: Collection[str] | None = None) -> dict[str, Any]:
        """Of this kind, by name."""
        found = {}
        lost = []
        decoder = _decoder(kind)
        for row in self._tables.work("alerts", lambda connection: self._found(connection, kind, names)):
            _, _, name, _, payload = row
            try:
                found[str(name)] = decoder.decode(_bytes(payload))
            except msgspec.DecodeError as error:
                lost.append((row, f"{kind} {name!s}", str(error)))
        self._tables.leave_out("alerts", lost)
        return found

    def _one(self, kind: str, otherwise: T) -> T:
        found: T = self._all(kind, ("",)).get("", otherwise)
        return found

    def _found(self, connection: sqlite3.Connection, kind: str, names: Collection[str] | None) -> list[tuple[sealed.Value, ...]]:
        if not has_alerts(connection):
            return []
        # whoever reads all incidents acts on what is not there as well; for the rest once is enough
        if not self._summed or (kind == "incident" and names is None):
            sealed.check_sum(connection, "alerts")
            self._summed = True
        if names is None:
            return list(sealed.rows(connection, "alerts", "place BETWEEN ? AND ?", span(kind)))
        return _with_keys(connection, "alerts", [place(kind, name) for name in names])

    def _write(self, kind: str, before: Mapping[str, T], after: Mapping[str, T]) -> None:
        new = {name: each for name, each in after.items() if (old := before.get(name)) is not each and old != each}
        gone = [name for name in before if name not in after]
        if new or gone:
            with self.transaction():
                self._remove(kind, gone)
                self._put(kind, new)

    def _put(self, kind: str, values: Mapping[str, object]) -> None:
        at = sealed.in_words(self._store.now())
        many = [(place(kind, name), kind, name, at, _encoded(value)) for name, value in values.items()]
        if many:
            self._tables.work("alerts", lambda connection: sealed.put_all(connection, "alerts", sorted(many)), writing=True)

    def _remove(self, kind: str, names: Collection[str]) -> None:
        if names:
            places = [place(kind, name) for name in names]
            self._tables.work("alerts", lambda connection: sealed.take_out_all(connection, "alerts", places), writing=True)

    def _keep_loss(self, connection: sqlite3.Connection, loss: str) -> None:
        """For the next run of the alerts, whose business it is to tell."""
        at = sealed.in_words(self._store.now())
        name = f"{at} {loss}"
        sealed.put_all(connection, "alerts", [(place("loss", name), "loss", name, at, _encoded(loss))])


def _rhythm(records: Records) -> _Rhythm:
    return _Rhythm(run_at=records.run_at, gaps=records.gaps, looked=records.looked, maintained=records.maintained)


def _encoded(value: object) -> bytes:
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        # half of a surrogate pair, as it can come with a name, must not silence everything else
        return msgspec.json.encode(_in_unicode(msgspec.to_builtins(value)))


def _in_unicode(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case dict():
            return {_in_unicode(key): _in_unicode(each) for key, each in value.items()}
        case list() | tuple():
            return [_in_unicode(each) for each in value]
        case _:
            return value


def _bytes(payload: sealed.Value) -> bytes:
    assert isinstance(payload, bytes)
    return payload


@cache
def _decoder(kind: str) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(_TYPES[kind])


def _moments(connection: sqlite3.Connection, since: datetime) -> list[int]:
    if not has_alerts(connection):
        return []
    sealed.check_sum(connection, "looks")
    first = (since - _EPOCH) // _MICROSECOND
    return [at for (at,) in connection.execute("SELECT at FROM looks WHERE at >= ? ORDER BY at", (first,)).fetchall()]


def _looks(connection: sqlite3.Connection, moments: Collection[int]) -> list[tuple[int, str]]:
    found = _with_keys(connection, "looks", moments)
    return [(int(str(at)), _bytes(payload).decode("utf-8", "surrogatepass")) for at, _, payload in found]


def _with_keys(connection: sqlite3.Connection, table: str, keys: Collection[int]) -> list[tuple[sealed.Value, ...]]:
    found: list[tuple[sealed.Value, ...]] = []
    listed = list(keys)
    for start in range(0, len(listed), _AT_ONCE):
        some = listed[start : start + _AT_ONCE]
        found += sealed.rows(connection, table, f"{sealed.COLUMNS[table][0]} IN ({', '.join('?' * len(some))})", some)
    return found
