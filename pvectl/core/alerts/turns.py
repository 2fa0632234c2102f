"""In which order messages leave the outbox, which of them wait for others, and what is summed up."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from msgspec.structs import replace

from pvectl.core.alerts.incident import Kind
from pvectl.core.alerts.notification import digest, urgency
from pvectl.core.alerts.row import Channel, Row, State

REJECTIONS = 3


def unblocked(after: dict[str, Row], rows: Iterable[Row], now: datetime) -> list[Row]:
    """The rows that need not wait for a digest which has the earlier word on their incident.

    A digest that fails again and again holds up nothing, and leaves out what there is a newer word on: it might arrive after that.
    """
    rows = list(rows)
    newer = {row.notification.incident for row in rows}
    blocked: set[str] = set()
    left = []
    for row in rows:
        stories = tuple(story for story in row.notification.stories if story.incident not in newer)
        if not row.notification.is_digest:
            left.append(row)
        elif not is_stuck_digest(row) or len(stories) == len(row.notification.stories):
            blocked |= {story.incident for story in row.notification.stories}
            left.append(row)
        else:
            after[row.id] = replace(row, state=State.REPLACED, ended_at=now)
            if stories:
                old = row.notification
                kept = digest(stories, old.receiver, old.kind, cluster=old.cluster, made_at=old.made_at)
                after[kept.id] = replace(row, notification=kept, sending=False, uncertain=row.may_have_arrived)
                left.append(after[kept.id])
    return [row for row in left if row.notification.incident not in blocked]


def in_turn(rows: Iterable[Row]) -> list[Row]:
    """The same order, but nobody hears that something began before the word that it was over the last time: many go by the object."""
    by_object: dict[str, list[tuple[datetime, Row]]] = {}
    rows = list(rows)
    for row in rows:
        for story in row.notification.stories:
            by_object.setdefault(story.fingerprint, []).append((story.since, row))
    placed: dict[str, Row] = {}
    for row in rows:
        for story in row.notification.stories:
            same = by_object[story.fingerprint]
            earlier = sorted((each for each in same if each[0] < story.since), key=_since) if len(same) > 1 else []
            for _, before in earlier:
                placed.setdefault(before.id, before)
        placed.setdefault(row.id, row)
    return list(placed.values())


def _since(told: tuple[datetime, Row]) -> datetime:
    return told[0]


def pressing(row: Row) -> tuple[int, int, datetime, str, str]:
    """What presses most sorts first; a message that makes its receiver fail again and again lets the others pass."""
    notification = row.notification
    name = notification.stories[0].name if notification.stories else notification.subject
    return row.attempts // REJECTIONS, -urgency(notification), row.queued_at, name, row.id


def digested(after: dict[str, Row], ready: list[Row], channel: Channel, room: int, now: datetime) -> list[Row]:
    """As many messages as there is room for, the last of them a digest of all that would exceed it.

    What may have arrived keeps its id, and notices are about no incident: both keep their place, and where the last place is theirs, the
    digest waits for the next time.
    """
    single, rest = ready[: room - 1], ready[room - 1 :]
    fit = [row for row in rest if not row.may_have_arrived and row.notification.stories and not _stands_alone(row, channel, room)]
    if len(fit) < 2 or fit[0] is not rest[0]:
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


def _stands_alone(row: Row, channel: Channel, room: int) -> bool:
    """Whether it is the message that is at fault, not the receiver: where something arrived since, or nothing else could show it."""
    arrived = channel.succeeded_at is not None and channel.succeeded_at > row.queued_at
    return is_stuck_digest(row) and (arrived or room == 1)


def is_stuck_digest(row: Row) -> bool:
    """Whether it is a digest that has failed so often that no other message is to share its lot."""
    return row.attempts >= REJECTIONS and row.notification.is_digest
