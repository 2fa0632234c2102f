"""`pvectl alert ack` and `unack`: somebody's word that an incident is known, given and taken back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from shlex import quote
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from pvectl.cli.alerts.words import incident_of
from pvectl.cli.output import Report
from pvectl.cli.placing import who
from pvectl.core.alerts.incident import ACTIVE, Acknowledgement, Incident, noted
from pvectl.core.alerts.incident import acknowledged as with_word
from pvectl.core.monitor.finding import Severity
from pvectl.core.text import clean
from pvectl.errors import UsageError

if TYPE_CHECKING:
    from pvectl.cli.context import Run

_LONGEST_NOTE = 200


class KnownRow(Struct, frozen=True, kw_only=True):
    """An incident and whether it is known, as JSON shows it."""

    id: str
    finding: str
    severity: Severity
    message: str
    acknowledged: Acknowledgement | None


def acknowledged(run: Run, words: Sequence[str], *, note: str) -> Report:
    """Say of these that they are known.

    Raises:
        UsageError: there is no such incident, it is over, or the note is too long.
    """
    said = clean(" ".join(note.split()))
    if len(said) > _LONGEST_NOTE:
        raise UsageError(f"--note: up to {_LONGEST_NOTE} characters")
    by, now = who(run.env), run.clock.now()
    changed = _changed(run, words, lambda incident: with_word(_open(incident), by=by, at=now, note=said))
    return Report(
        schema="alert-ack",
        data=[_row(incident) for incident in changed],
        text="\n".join(_known(incident) for incident in changed),
        cluster=run.cluster_name(),
    )


def unacknowledged(run: Run, words: Sequence[str]) -> Report:
    """Take that back.

    Raises:
        UsageError: there is no such incident, or nobody said that it is known.
    """
    by, now = who(run.env), run.clock.now()
    changed = _changed(run, words, lambda incident: _without_word(incident, by, now))
    text = "\n".join(f"{clean(incident.name)} is not known any more: it is repeated as its rule has it" for incident in changed)
    return Report(schema="alert-unack", data=[_row(incident) for incident in changed], text=text, cluster=run.cluster_name())


def _changed(run: Run, words: Sequence[str], change: Callable[[Incident], Incident]) -> list[Incident]:
    """The incidents these words mean, each changed once; all of them or none."""
    from pvectl.store.alerts import Alerts

    alerts = Alerts(run.store("hold"))
    with alerts.transaction():
        before = alerts.records()
        changed = {incident.name: change(incident) for incident in (incident_of(before, word) for word in words)}
        alerts.write_records(before, replace(before, incidents={**before.incidents, **changed}))
    return list(changed.values())


def _open(incident: Incident) -> Incident:
    if incident.phase not in ACTIVE:
        raise UsageError(f"{clean(incident.name)} is over", hint="pvectl alert list shows what is open")
    return incident


def _without_word(incident: Incident, by: str, now: datetime) -> Incident:
    if incident.acknowledged is None:
        raise UsageError(f"nobody has said that {clean(incident.name)} is known")
    return noted(replace(incident, acknowledged=None), now, "not acknowledged", by)


def _known(incident: Incident) -> str:
    head = f"{clean(incident.name)} is known: {clean(incident.finding.message)}"
    if incident.told:
        worse = "" if incident.severity is Severity.CRITICAL else f"when it gets worse than {incident.severity.value}, and "
        return f"{head}\nit is told again {worse}when it is over"
    check, object_ = (quote(clean(part)) for part in (incident.finding.check, incident.finding.object))
    silence = f"pvectl alert silence add --check {check} --object {object_} --for 8h"
    return f"{head}\nnobody has been told yet, and the first message still comes; this keeps it back: {silence} --reason …"


def _row(incident: Incident) -> KnownRow:
    return KnownRow(
        id=incident.id,
        finding=clean(incident.finding.id),
        severity=incident.severity,
        message=clean(incident.finding.message),
        acknowledged=incident.acknowledged,
    )
