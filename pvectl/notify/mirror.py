"""What is wrong at this moment, for a receiver that keeps the list itself: all of it in every run, and what is over a little longer."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, tzinfo

from msgspec.structs import replace

from pvectl.core.alerts.incident import URGENCY, Incident, Phase, Records
from pvectl.core.alerts.rules import Book, Rules
from pvectl.core.monitor.finding import Severity
from pvectl.notify.alertmanager import RESOLVED_FOR
from pvectl.notify.message import Message, Status
from pvectl.notify.phrasing import lasting


def mirrored(records: Records, rules: Rules, name: str, now: datetime, zone: tzinfo) -> tuple[Message, ...]:
    """The incidents the rules have for the mirror `name`, without those that only came up because of another one.

    What was there before what explains it now stays: left out it would look as if it were over. An incident's severity, which is part of
    what Alertmanager knows it by, only ever rises; what it was called before is over then.
    """
    book = Book(replace(rules, receivers=(name,)))
    return tuple(
        message
        for _key, incident in sorted(records.incidents.items())
        if _is_shown(incident, records, now) and name in book.treatment(incident.finding).receivers
        for message in _forms(incident, rules.cluster, now, zone)
    )


def _is_shown(incident: Incident, records: Records, now: datetime) -> bool:
    if incident.phase is Phase.PENDING or incident.fired_at is None:
        return False
    if incident.ended_at is not None:
        return now - incident.ended_at < RESOLVED_FOR
    root = records.incidents.get(incident.inhibited_by or "")
    return incident.inhibited_by is None or (root is not None and incident.fired_at < root.since)


def _forms(incident: Incident, cluster: str, now: datetime, zone: tzinfo) -> Iterator[Message]:
    steps = _risen(incident)
    risen_at, severity = steps[-1]
    yield lasting(incident, severity, cluster=cluster, zone=zone)
    if now - risen_at < RESOLVED_FOR:
        for _at, earlier in steps[:-1]:
            yield replace(lasting(incident, earlier, cluster=cluster, zone=zone), status=Status.RESOLVED, ended=risen_at)


def _risen(incident: Incident) -> list[tuple[datetime, Severity]]:
    """When it became as bad as never before, from its first sight on."""
    known = {severity.value: severity for severity in Severity}
    steps: list[tuple[datetime, Severity]] = []
    for moment in incident.timeline:
        severity = known.get(moment.detail if moment.what == "seen" else moment.what)
        # "ok" is also the word for its end
        if severity not in (None, Severity.OK) and (not steps or URGENCY[severity] > URGENCY[steps[-1][1]]):
            steps.append((moment.at, severity))
    worst = max((incident.severity, *(word.severity for word in incident.told.values())), key=lambda each: URGENCY[each])
    if not steps or URGENCY[worst] > URGENCY[steps[-1][1]]:
        # the history does not reach back so far
        steps = [(incident.since, worst)]
    return steps
