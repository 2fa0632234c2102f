"""What other rules would have told, from what the runs of the last days saw."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from msgspec import Struct

from pvectl.core.alerts.incident import Records
from pvectl.core.alerts.looks import seen_again
from pvectl.core.alerts.notification import Notification
from pvectl.core.alerts.outbox import Answer, Channel, Limit, Result, Row, State, due, enqueued, settled
from pvectl.core.alerts.rules import Rules
from pvectl.core.alerts.silence import Silence
from pvectl.core.alerts.step import step
from pvectl.core.alerts.telling import delivered

_ARRIVED = Answer(result=Result.ARRIVED)


class Replayed(Struct, frozen=True, kw_only=True):
    """A message that would have been sent at this moment."""

    at: datetime
    notification: Notification


class Replay(Struct, frozen=True, kw_only=True):
    """The messages, the oldest first, and from how many looks they come; `unreadable` ones are left out as if no run had been there."""

    messages: tuple[Replayed, ...]
    looks: int
    unreadable: int = 0
    first: datetime | None = None
    last: datetime | None = None


def replayed(
    looks: Iterable[tuple[datetime, str]], rules: Rules, silences: Iterable[Silence] = (), limits: Mapping[str, Limit] | None = None
) -> Replay:
    """Judge what was seen by these rules, with receivers that always work and nobody who acknowledges anything.

    The first look is like that of a first run: what was bad then comes in one message. `silences` hold from when they were made.
    """
    outbox = _Outbox({name: (limits or {}).get(name, Limit()) for name in rules.receivers})
    silences = tuple(silences)
    records = Records()
    messages: list[Replayed] = []
    moments: list[datetime] = []
    unreadable = 0
    for at, evaluation in seen_again(looks):
        if evaluation is None:
            unreadable += 1
            continue
        moments.append(at)
        known = tuple(silence for silence in silences if silence.made_at <= at)
        records, notifications, _why = step(records, evaluation, rules, known, at)
        for sent in outbox.sent(notifications, at):
            records = delivered(records, sent, at)
            messages.append(Replayed(at=at, notification=sent))
    return Replay(
        messages=tuple(messages),
        looks=len(moments),
        unreadable=unreadable,
        first=moments[0] if moments else None,
        last=moments[-1] if moments else None,
    )


class _Outbox:
    """The outbox of receivers that take whatever their limits allow."""

    def __init__(self, limits: Mapping[str, Limit]) -> None:
        self._limits = limits
        self._rows: tuple[Row, ...] = ()
        self._channels: dict[str, Channel] = {}

    def sent(self, notifications: Iterable[Notification], at: datetime) -> Iterable[Notification]:
        rows = enqueued(self._rows, notifications, at)
        found = due(rows, self._channels, self._limits, at)
        sent = []
        for row in found.now:
            channel = self._channels.get(row.receiver, Channel(receiver=row.receiver))
            _row, self._channels[row.receiver] = settled(row, channel, _ARRIVED, self._limits[row.receiver], at, 0.0)
            sent.append(row.notification)
        gone = {row.id for row in found.now}
        self._rows = tuple(row for row in found.rows if row.state is State.PENDING and row.id not in gone)
        return sent
