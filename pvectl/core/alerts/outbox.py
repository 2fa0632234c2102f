"""Messages between the moment they are due and the moment they have arrived, or have been given up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from pvectl.core.alerts.incident import Kind
from pvectl.core.alerts.notification import Notification, Story, about, digest, urgency
from pvectl.core.monitor.monitored import Delivery

GIVE_UP_AFTER = timedelta(days=3)
DEAD_KEPT = timedelta(days=30)
_FIRST_BACKOFF = 30
_LONGEST_BACKOFF = 3600
_LONGEST_RETRY_AFTER = 86_400
_JITTER = 0.2
_REJECTIONS = 3
_OPENING = frozenset({Kind.FIRING, Kind.FLAPPING})


class State(StrEnum):
    """`replaced`: a newer message says it too; `dropped`: an administrator threw it away."""

    PENDING = "pending"
    SENT = "sent"
    DEAD = "dead"
    REPLACED = "replaced"
    DROPPED = "dropped"


class Row(Struct, frozen=True, kw_only=True):
    """A message in the outbox. `waiting_since`: since when what it says, or what it stands in for, has not arrived.

    `sending`: an attempt began, and nobody wrote down how it ended. `uncertain`: an attempt failed that may have arrived all the same.
    """

    notification: Notification
    queued_at: datetime
    waiting_since: datetime
    state: State = State.PENDING
    attempts: int = 0
    sending: bool = False
    uncertain: bool = False
    tried_at: datetime | None = None
    error: str | None = None
    ended_at: datetime | None = None

    @property
    def id(self) -> str:
        return self.notification.id

    @property
    def may_have_arrived(self) -> bool:
        """Then only the very same message under the same id may be sent for it."""
        return self.sending or self.uncertain

    @property
    def receiver(self) -> str:
        return self.notification.receiver


class Limit(Struct, frozen=True, kw_only=True):
    """How many messages a receiver may get: `burst` at once, `per_hour` in the long run. What exceeds it goes into a digest."""

    per_hour: int = 10
    burst: int = 5


class Channel(Struct, frozen=True, kw_only=True):
    """How a receiver does. `spent` are the tokens taken out of its bucket at `spent_at`; `broken` is why it needs an administrator."""

    receiver: str
    spent: float = 0.0
    spent_at: datetime | None = None
    failures: int = 0
    failed_at: datetime | None = None
    not_before: datetime | None = None
    broken: str | None = None
    succeeded_at: datetime | None = None

    def is_open(self, now: datetime) -> bool:
        """Whether it may be tried; a clock that was set back does not keep it shut."""
        if self.not_before is None or self.failed_at is None:
            return True
        return now >= self.not_before or now < self.failed_at


class Result(StrEnum):
    """What became of an attempt. `misconfigured` lasts until an administrator mends it, `rejected` is about this one message."""

    ARRIVED = "arrived"
    RETRY = "retry"
    MISCONFIGURED = "misconfigured"
    REJECTED = "rejected"


class Answer(Struct, frozen=True, kw_only=True):
    """How a receiver answered; `retry_after` in seconds, where it said so. `uncertain`: it may have taken the message before it failed."""

    result: Result
    uncertain: bool = False
    error: str | None = None
    retry_after: float | None = None


def classified(status: int) -> Result:
    """What an HTTP status means for a message."""
    if 200 <= status < 300:
        return Result.ARRIVED
    if status in (401, 403, 404, 410):
        return Result.MISCONFIGURED
    if status in (408, 425, 429) or not 400 <= status < 500:
        return Result.RETRY
    return Result.REJECTED


def enqueued(rows: Iterable[Row], notifications: Iterable[Notification], now: datetime) -> tuple[Row, ...]:
    """The rows with these messages: of one incident a receiver has at most one waiting, and the newest word replaces an older one."""
    after = {row.id: row for row in rows}
    waiting: dict[tuple[str, str | None], str] = {}
    summed: dict[tuple[str, str | None], str] = {}
    for row in after.values():
        if row.state is State.PENDING:
            _found(row, waiting, summed)
    for notification in notifications:
        if notification.id in after:
            continue
        key = (notification.receiver, notification.incident)
        if key in waiting:
            older = after[waiting[key]]
            row = _instead(older, notification, now)
            after[older.id] = replace(older, state=State.REPLACED, ended_at=now)
        elif key in summed:
            older = after[summed[key]]
            row = _within(older, notification.stories[0])
            after[older.id] = replace(older, state=State.REPLACED, ended_at=now)
        else:
            row = Row(notification=notification, queued_at=now, waiting_since=now)
        after[row.id] = row
        _found(row, waiting, summed)
    return tuple(after.values())


def _found(row: Row, waiting: dict[tuple[str, str | None], str], summed: dict[tuple[str, str | None], str]) -> None:
    """Where the newest word on an incident is that still waits."""
    if not row.notification.is_digest:
        waiting[row.receiver, row.notification.incident] = row.id
    elif not row.may_have_arrived:
        for story in row.notification.stories:
            summed[row.receiver, story.incident] = row.id


class Due(Struct, frozen=True, kw_only=True):
    """`rows` as they are to be written before anything is sent; `now` what is to be sent then, in this order; `dead` what was given up."""

    rows: tuple[Row, ...]
    now: tuple[Row, ...]
    dead: tuple[Row, ...]


def due(rows: Iterable[Row], channels: Mapping[str, Channel], limits: Mapping[str, Limit], now: datetime) -> Due:
    """What may be sent now: what presses most first, and what exceeds a receiver's limit as a digest.

    `limits` has an entry for each receiver there is; what waits for another one is dropped.
    """
    after = {row.id: row for row in rows}
    send: list[Row] = []
    dead: list[Row] = []
    for receiver, waiting in _by_receiver(after.values()).items():
        channel = channels.get(receiver, Channel(receiver=receiver))
        alive = []
        for row in waiting:
            if receiver not in limits or _is_stale(row, now):
                after[row.id] = replace(row, state=State.DROPPED, ended_at=now)
            elif _is_too_old(row, channel):
                after[row.id] = replace(row, state=State.DEAD, ended_at=now)
                dead.append(after[row.id])
            else:
                alive.append(row)
        room = int(tokens(channel, limits[receiver], now)) if alive and channel.is_open(now) else 0
        ready = sorted(_unblocked(alive), key=_pressing)
        if len(ready) > room > 0:
            ready = _summed(after, ready, room, now)
        for row in ready[:room]:
            # if this is still so in the next run, nobody knows whether it arrived
            begun = replace(row, sending=True, uncertain=row.may_have_arrived)
            after[row.id] = begun
            send.append(begun)
    return Due(rows=tuple(after.values()), now=tuple(send), dead=tuple(dead))


def untried(row: Row) -> Row:
    """A message that was due and could not be tried, because its receiver had failed meanwhile or time was up."""
    return replace(row, sending=False)


def settled(row: Row, channel: Channel, answer: Answer, limit: Limit, now: datetime, jitter: float) -> tuple[Row, Channel]:
    """The row and its receiver after an attempt; `jitter` from 0 to 1 spreads the next one."""
    uncertain = row.uncertain or answer.uncertain
    tried = replace(row, attempts=row.attempts + 1, tried_at=now, error=answer.error, sending=False, uncertain=uncertain)
    spent = limit.burst - tokens(channel, limit, now) + 1
    paid = replace(channel, spent=spent, spent_at=now)
    if answer.result is Result.ARRIVED:
        well = replace(paid, failures=0, failed_at=None, not_before=None, broken=None, succeeded_at=now)
        return replace(tried, state=State.SENT, ended_at=now, error=None), well
    if answer.result is Result.REJECTED:
        # the receiver works, so that what it does not take is about the message
        dead = tried.attempts >= _REJECTIONS
        return replace(tried, state=State.DEAD, ended_at=now) if dead else tried, replace(paid, failures=0, not_before=None, failed_at=None)
    failures = channel.failures + 1
    wait = timedelta(seconds=backoff(failures, jitter, answer))
    broken = answer.error or "it refuses every message" if answer.result is Result.MISCONFIGURED else None
    # what never arrived costs nothing of the limit
    return tried, replace(channel, failures=failures, failed_at=now, not_before=now + wait, broken=broken)


def backoff(failures: int, jitter: float, answer: Answer) -> float:
    """Seconds until a receiver is tried again after so many failures in a row."""
    if answer.retry_after is not None:
        return min(max(answer.retry_after, 1.0), _LONGEST_RETRY_AFTER) * (1 + _JITTER * jitter)
    if answer.result is Result.MISCONFIGURED:
        return float(_LONGEST_BACKOFF)
    doubled = _FIRST_BACKOFF * 2.0 ** min(failures - 1, 16)
    return float(min(max(doubled * (1 - _JITTER + 2 * _JITTER * jitter), _FIRST_BACKOFF), _LONGEST_BACKOFF))


def tokens(channel: Channel, limit: Limit, now: datetime) -> float:
    """How many messages a receiver may get at this moment."""
    if channel.spent_at is None:
        return float(limit.burst)
    passed = max((now - channel.spent_at).total_seconds(), 0.0)
    return min(limit.burst - channel.spent + passed * limit.per_hour / 3600, float(limit.burst))


def retried(row: Row, now: datetime) -> Row:
    """A dead or dropped message, to be tried again as if it were new."""
    return replace(row, state=State.PENDING, queued_at=now, ended_at=None)


def dropped(row: Row, now: datetime) -> Row:
    return replace(row, state=State.DROPPED, ended_at=now)


def standing(rows: Iterable[Row]) -> Delivery:
    """What the check `self.delivery` has to know."""
    kept = tuple(rows)
    oldest = min((row.waiting_since for row in kept if row.state is State.PENDING), default=None)
    return Delivery(oldest=oldest, dead=sum(row.state is State.DEAD for row in kept))


def broken(channels: Iterable[Channel]) -> dict[str, str]:
    """The receivers that need an administrator, and why."""
    return {channel.receiver: channel.broken for channel in channels if channel.broken is not None}


def kept(rows: Iterable[Row], now: datetime) -> tuple[Row, ...]:
    """The rows without those that ended long ago."""
    return tuple(row for row in rows if row.ended_at is None or now - row.ended_at < DEAD_KEPT)


def _instead(older: Row, notification: Notification, now: datetime) -> Row:
    """What is sent instead of an older message that has not arrived."""
    new, old = notification, older.notification
    if not older.may_have_arrived and old.kind in _OPENING:
        # nobody has heard of it yet: that it is over, or worse, is the first they hear
        kind = Kind.PASSED if new.kind is Kind.RESOLVED else old.kind
        new = about(
            replace(new.stories[0], kind=kind),
            new.receiver,
            cluster=new.cluster,
            made_at=new.made_at,
            template=new.template,
        )
    return Row(notification=new, queued_at=now, waiting_since=older.waiting_since)


def _within(summary: Row, newer: Story) -> Row:
    """A digest that was never tried, with the newer word on one of its incidents."""
    old = summary.notification
    stories = tuple(_newer(one, newer) if one.incident == newer.incident else one for one in old.stories)
    new = digest(stories, old.receiver, old.kind, cluster=old.cluster, made_at=old.made_at)
    return replace(summary, notification=new)


def _newer(old: Story, new: Story) -> Story:
    if old.kind not in _OPENING:
        return new
    return replace(new, kind=Kind.PASSED if new.kind is Kind.RESOLVED else old.kind)


def _by_receiver(rows: Iterable[Row]) -> dict[str, list[Row]]:
    waiting: dict[str, list[Row]] = {}
    for row in rows:
        if row.state is State.PENDING:
            waiting.setdefault(row.receiver, []).append(row)
    return waiting


def _is_stale(row: Row, now: datetime) -> bool:
    expires_at = row.notification.expires_at
    return expires_at is not None and now >= expires_at


def _is_too_old(row: Row, channel: Channel) -> bool:
    """Only an attempt that failed so late ends it: time in which nobody tried does not."""
    return channel.failed_at is not None and channel.failed_at - row.queued_at >= GIVE_UP_AFTER


def _unblocked(rows: Iterable[Row]) -> list[Row]:
    """The rows that need not wait for a digest which has the earlier word on their incident."""
    rows = list(rows)
    summed = {story.incident for row in rows if row.notification.is_digest for story in row.notification.stories}
    return [row for row in rows if row.notification.incident not in summed]


def _pressing(row: Row) -> tuple[int, int, datetime, str]:
    # a message that makes its receiver fail again and again lets the others pass
    return row.attempts // 3, -urgency(row.notification), row.queued_at, row.id


def _summed(after: dict[str, Row], ready: list[Row], room: int, now: datetime) -> list[Row]:
    """As many messages as there is room for, the last of them a digest of all that would exceed it.

    What may have arrived keeps its id, and notices are about no incident: both wait for the next time instead.
    """
    single, rest = ready[: room - 1], ready[room - 1 :]
    fit = [row for row in rest if not row.may_have_arrived and row.notification.stories]
    if len(fit) < 2:
        return ready[:room]
    first = fit[0].notification
    stories = [story for row in fit for story in row.notification.stories]
    summary = Row(
        notification=digest(stories, first.receiver, Kind.DIGEST, cluster=first.cluster, made_at=now),
        queued_at=min(row.queued_at for row in fit),
        waiting_since=min(row.waiting_since for row in fit),
    )
    for row in fit:
        after[row.id] = replace(row, state=State.REPLACED, ended_at=now)
    after[summary.id] = summary
    return [*single, summary]
