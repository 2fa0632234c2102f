"""Incidents, messages and silences as an alert run leaves them in the state file."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from msgspec.structs import replace

from pvectl.core.alerts.incident import Incident, Kind, Phase, Records, Told, began, noted
from pvectl.core.alerts.notification import about, story
from pvectl.core.alerts.outbox import Row
from pvectl.core.alerts.silence import Silence
from pvectl.core.alerts.telling import Explanation, Why
from pvectl.core.monitor.finding import Evidence, Finding, Levels, Severity, Unit
from tests.store.stage import LAB, NOON


def an_incident(number: int = 100, *, seq: int = 1, delivered: int = 0, **changed: Any) -> Incident:
    """A backup that is too old, of which the receiver "mail" was told `seq` times; `delivered` of these arrived."""
    finding = Finding(
        check="backup.age",
        object=f"guest/{number}",
        severity=Severity.WARNING,
        message=f"guest {number} (größe) has had no backup for 3 days",
        value=3.2,
        unit=Unit.DAYS,
        levels=Levels(warn=2, crit=7),
        node="pve1",
        tags=("lab",),
        evidence=(Evidence(path="/nodes/pve1/storage/nfs/content", field="ctime"),),
    )
    told = Told(seq=seq, kind=Kind.FIRING, severity=Severity.WARNING, queued_at=NOON, delivered=delivered)
    given = {"phase": Phase.FIRING, "fired_at": NOON, "told": {"mail": told}}
    return replace(noted(began(LAB, finding, NOON), NOON, "firing"), **{**given, **changed})


def records_of(incidents: Iterable[Incident], **changed: Any) -> Records:
    return Records(**{"incidents": {incident.name: incident for incident in incidents}, "run_at": NOON, "gaps": (300.0,), **changed})


def a_row(incident: Incident, receiver: str = "mail", **changed: Any) -> Row:
    """The message to this receiver that it fires."""
    told = incident.told[receiver]
    notification = about(story(incident, told.seq, Kind.FIRING), receiver, cluster=LAB, made_at=NOON)
    return Row(**{"notification": notification, "queued_at": NOON, "waiting_since": NOON, **changed})


def a_silence(name: str = "s1", **changed: Any) -> Silence:
    given = {"checks": ("backup.*",), "until": NOON + timedelta(hours=2), "author": "anna", "reason": "the tape is full", "made_at": NOON}
    return Silence(**{"id": name, **given, **changed})


def an_explanation(incident: Incident, why: Why = Why.TOLD) -> Explanation:
    return Explanation(
        name=incident.name, incident=incident.id, phase=incident.phase, severity=incident.severity, why=why, rule="default", told=("mail",)
    )
