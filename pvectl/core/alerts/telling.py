"""What a receiver still has to be told of an incident, and the reason where it is nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from pvectl.core.alerts.incident import OK, URGENCY, Incident, Kind, Phase, Records, Told, is_acknowledged, noted
from pvectl.core.alerts.notification import Notification, Story
from pvectl.core.alerts.rules import Treatment
from pvectl.core.monitor.finding import Severity


class Why(StrEnum):
    """Why a run told somebody of an incident, or did not."""

    TOLD = "told"
    """A message was queued."""
    PENDING = "pending"
    """It has not lasted long enough."""
    RECOVERING = "recovering"
    """It is fine, but not yet for long enough."""
    HOLDS = "holds"
    """Nobody could look, so it stays as it was."""
    INHIBITED = "inhibited"
    """It follows from another incident."""
    SILENCED = "silenced"
    """A silence, a tag or a maintenance covers it."""
    NOBODY = "nobody"
    """No rule names a receiver for it."""
    ON_ITS_WAY = "on-its-way"
    """The last message has not arrived yet."""
    GIVEN_UP = "given-up"
    """The last message could not be delivered; the next one is made when it would be repeated."""
    ACKNOWLEDGED = "acknowledged"
    """Somebody said that it is known."""
    KNOWN = "known"
    """Everybody has been told, and it is not yet time to repeat it."""
    OVER = "over"
    """It is over, and nobody has to be told."""


class Explanation(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a run made of one incident. `until` is when the reason ends by itself, if that is known; `told` are those a message is for."""

    name: str
    incident: str
    phase: Phase
    severity: Severity
    why: Why
    rule: str
    detail: str = ""
    until: datetime | None = None
    told: tuple[str, ...] = ()


class Explained(Struct, frozen=True, kw_only=True):
    """Why a receiver gets no message, and until when, where that is known."""

    why: Why
    until: datetime | None = None


def still_to_tell(incident: Incident, receiver: str, treatment: Treatment, again_after: int, now: datetime) -> Kind | Explained:
    """The kind of message this receiver has to get now about an incident that lasts; otherwise why it gets none."""
    told = incident.told.get(receiver)
    if told is None:
        return Kind.FLAPPING if incident.flapping else Kind.FIRING
    if URGENCY[incident.severity] > URGENCY[told.latest or told.severity]:
        return Kind.WORSE
    finding = incident.finding
    if told.given_up_at is not None:
        # without a repeat it would be silent for ever
        next_at = told.given_up_at + timedelta(seconds=treatment.repeat or _DAY)
        return _first(told, incident) if now >= next_at else Explained(why=Why.GIVEN_UP, until=next_at)
    if told.is_on_its_way:
        return Explained(why=Why.ON_ITS_WAY)
    if is_acknowledged(incident):
        return Explained(why=Why.ACKNOWLEDGED)
    if incident.is_event:
        next_at = told.queued_at + timedelta(seconds=again_after)
        if finding.key == told.event:
            return Explained(why=Why.KNOWN)
        return Kind.AGAIN if now >= next_at else Explained(why=Why.KNOWN, until=next_at)
    if not treatment.repeat:
        return Explained(why=Why.KNOWN)
    next_at = (told.delivered_at or told.queued_at) + timedelta(seconds=treatment.repeat)
    return Kind.REPEAT if now >= next_at else Explained(why=Why.KNOWN, until=next_at)


def told(incident: Incident, receiver: str, kind: Kind, now: datetime) -> tuple[Incident, int]:
    """The incident with a further message on its way to the receiver, and that message's number."""
    before = incident.told.get(receiver)
    severity = incident.severity
    if before is not None and URGENCY[before.severity] >= URGENCY[severity]:
        severity = before.severity
    new = Told(
        seq=before.seq + 1 if before is not None else 1,
        kind=kind,
        severity=severity,
        latest=incident.severity,
        event=incident.finding.key,
        queued_at=now,
        delivered=before.delivered if before is not None else 0,
        delivered_at=before.delivered_at if before is not None else None,
    )
    return noted(incident, now, "queued", f"{kind} to {receiver}", told={**incident.told, receiver: new}), new.seq


def newcomers(records: Records, receivers: Iterable[str]) -> frozenset[str]:
    """The receivers nobody has ever told anything of what is on record."""
    return frozenset(receivers).difference(*(incident.told for incident in records.incidents.values()))


def delivered(records: Records, notification: Notification, at: datetime) -> Records:
    """The records after a message has arrived: from then on the time to its repetition counts."""
    return _marked(records, notification, at, arrived=True)


def given_up(records: Records, notification: Notification, at: datetime) -> Records:
    """The records after a message could not be delivered for good."""
    return _marked(records, notification, at, arrived=False)


def on_its_way_again(records: Records, notification: Notification, at: datetime) -> Records:
    """The records with a message on its way that had been given up, so that its end is told as well."""
    changed: dict[str, Incident] = {}
    receiver = notification.receiver
    for story in notification.stories:
        if is_latest(story, receiver, records):
            incident = records.incidents[story.name]
            told = {**incident.told, receiver: replace(incident.told[receiver], given_up_at=None)}
            changed[story.name] = noted(incident, at, "tried again", f"{story.kind} to {receiver}", told=told)
    return replace(records, incidents={**records.incidents, **changed})


def is_latest(story: Story, receiver: str, records: Records) -> bool:
    """Whether this is the last word a receiver was to get on an incident that still stands as it says."""
    incident = records.incidents.get(story.name)
    if incident is None or incident.id != story.incident or receiver not in incident.told:
        return False
    return incident.told[receiver].seq == story.seq and (incident.phase is OK) == (story.ended_at is not None)


def unfuture(incident: Incident, now: datetime) -> Incident:
    """The incident with no message in the future: a clock that was set back must not put off what is due."""
    ahead = {receiver: told for receiver, told in incident.told.items() if _is_ahead(told, now)}
    if not ahead:
        return incident
    mended = {
        receiver: replace(
            told,
            queued_at=min(told.queued_at, now),
            delivered_at=min(told.delivered_at, now) if told.delivered_at is not None else None,
            given_up_at=min(told.given_up_at, now) if told.given_up_at is not None else None,
        )
        for receiver, told in ahead.items()
    }
    return replace(incident, told={**incident.told, **mended})


_DAY = 86_400


def _first(told: Told, incident: Incident) -> Kind:
    if told.delivered:
        return Kind.REPEAT
    return Kind.FLAPPING if incident.flapping else Kind.FIRING


def _is_ahead(told: Told, now: datetime) -> bool:
    delivered_at, given_up_at = told.delivered_at, told.given_up_at
    return told.queued_at > now or (delivered_at is not None and delivered_at > now) or (given_up_at is not None and given_up_at > now)


def _marked(records: Records, notification: Notification, at: datetime, *, arrived: bool) -> Records:
    changed: dict[str, Incident] = {}
    for story in notification.stories:
        incident = changed.get(story.name) or records.incidents.get(story.name)
        if incident is not None and incident.id == story.incident and notification.receiver in incident.told:
            changed[story.name] = _mark(incident, story, notification.receiver, at, arrived=arrived)
    return replace(records, incidents={**records.incidents, **changed}) if changed else records


def _mark(incident: Incident, story: Story, receiver: str, at: datetime, *, arrived: bool) -> Incident:
    told = incident.told[receiver]
    if arrived and story.seq >= told.delivered:
        new = replace(told, delivered=story.seq, delivered_at=at)
    elif not arrived and story.seq == told.seq:
        new = replace(told, given_up_at=at)
    else:
        return incident
    what = "delivered" if arrived else "given up"
    kept: Mapping[str, Told] = {**incident.told, receiver: new}
    return noted(incident, at, what, f"{story.kind} to {receiver}", told=kept)
