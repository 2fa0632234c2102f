"""Messages between the moment they are due and the moment they have arrived, or have been given up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import reduce

from msgspec import Struct
from msgspec.structs import replace

from pvectl.core.alerts.incident import Kind
from pvectl.core.alerts.notification import Notification, Story, about, digest
from pvectl.core.alerts.row import Answer, Channel, Limit, Result, Row, State
from pvectl.core.alerts.turns import REJECTIONS, digested, in_turn, is_stuck_digest, pressing, unblocked
from pvectl.core.monitor.monitored import Delivery

__all__ = [
    "DEAD_KEPT",
    "GIVE_UP_AFTER",
    "Answer",
    "Channel",
    "Due",
    "Limit",
    "Result",
    "Row",
    "State",
    "backoff",
    "broken",
    "classified",
    "dropped",
    "due",
    "enqueued",
    "kept",
    "retried",
    "settled",
    "standing",
    "tokens",
    "untried",
]

GIVE_UP_AFTER = timedelta(days=3)
DEAD_KEPT = timedelta(days=30)
_REPLACED_KEPT = timedelta(days=1)
_FIRST_BACKOFF = 30
_LONGEST_BACKOFF = 3600
_LONGEST_RETRY_AFTER = 86_400
_JITTER = 0.2
_OPENING = frozenset({Kind.FIRING, Kind.FLAPPING})


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
    # all news for a digest at once: it may sum up thousands
    newer: dict[str, list[Story]] = {}
    for notification in notifications:
        if notification.id in after:
            continue
        key = (notification.receiver, notification.incident)
        if key in waiting:
            older = after[waiting[key]]
            row = _instead(older, notification, now)
            after[older.id] = replace(older, state=State.REPLACED, ended_at=now)
        elif key in summed:
            if not is_stuck_digest(after[summed[key]]):
                newer.setdefault(summed[key], []).append(notification.stories[0])
                continue
            row = _beside(after[summed[key]], notification, now)
        else:
            row = Row(notification=notification, queued_at=now, waiting_since=now)
        after[row.id] = row
        _found(row, waiting, summed)
    for id_, stories in newer.items():
        summary = _within(after[id_], stories)
        after[id_] = replace(after[id_], state=State.REPLACED, ended_at=now)
        after[summary.id] = summary
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
        if not alive or not channel.is_open(now):
            continue
        left = tokens(channel, limits[receiver], now)
        room = max(int(left), 0)
        ready = in_turn(sorted(unblocked(after, alive, now), key=pressing))
        first = digested(after, ready, channel, room, now) if len(ready) > room > 0 else ready[:room]
        # the last notice of what is about to happen cannot wait for the next token: it is paid for afterwards
        debt = max(int(left + limits[receiver].burst) - len(first), 0)
        sent = {row.id for row in first}
        late = [row for row in ready if row.notification.expires_at is not None and row.id not in sent]
        for row in (*first, *late[:debt]):
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
        dead = tried.attempts >= REJECTIONS
        works = replace(paid, failures=0, not_before=None, failed_at=None, broken=None)
        return replace(tried, state=State.DEAD, ended_at=now) if dead else tried, works
    failures = channel.failures + 1
    wait = timedelta(seconds=backoff(failures, jitter, answer))
    # that it cannot be reached now does not mean that it was set right
    broken = answer.error or "it refuses every message" if answer.result is Result.MISCONFIGURED else channel.broken
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
    passed = (now - channel.spent_at).total_seconds()
    if passed < 0:
        # the clock was set back, and nobody knows by how much it had been ahead
        return float(limit.burst)
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
    """The rows without those that ended long ago; thousands may have been replaced by one digest, so they go first."""
    return tuple(
        row for row in rows if row.ended_at is None or now - row.ended_at < (_REPLACED_KEPT if row.state is State.REPLACED else DEAD_KEPT)
    )


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


def _within(summary: Row, newer: Iterable[Story]) -> Row:
    """A digest that was never tried, with the newer words on some of its incidents."""
    old = summary.notification
    words: dict[str, list[Story]] = {}
    for story in newer:
        words.setdefault(story.incident, []).append(story)
    stories = [reduce(_newer, words.get(one.incident, ()), one) for one in old.stories]
    new = digest(stories, old.receiver, old.kind, cluster=old.cluster, made_at=old.made_at)
    return replace(summary, notification=new)


def _beside(summary: Row, notification: Notification, now: datetime) -> Row:
    """The newer word on one of the incidents in a digest that will not get through; the digest leaves it out when it is due."""
    new = notification.stories[0]
    old = next(one for one in summary.notification.stories if one.incident == new.incident)
    told = about(
        _newer(old, new), notification.receiver, cluster=notification.cluster, made_at=notification.made_at, template=notification.template
    )
    return Row(notification=told, queued_at=now, waiting_since=summary.waiting_since)


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
