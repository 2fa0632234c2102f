"""What was found bad, from the first sight until it is over, and what each receiver has been told of it.

What is kept by the thousand, here and in the rooms beside, leaves out of its JSON what has its default: such a default is for ever.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from pvectl.core.monitor.finding import Finding, Severity

_LONGEST_TIMELINE = 20
_BLIND = "#blind"


class Phase(StrEnum):
    """Where an incident stands. `pending` lasts as long as its rule's `for`, `recovering` as long as its `keep_firing_for`."""

    PENDING = "pending"
    FIRING = "firing"
    RECOVERING = "recovering"
    OK = "ok"


# until Python 3.12 every `Phase.OK` is a call, and each of thousands of incidents is asked a dozen times where it stands
PENDING, FIRING, RECOVERING, OK = Phase
ACTIVE = frozenset({PENDING, FIRING, RECOVERING})
URGENCY: Mapping[Severity, int] = {Severity.OK: 0, Severity.UNKNOWN: 1, Severity.WARNING: 1, Severity.CRITICAL: 2}


class Kind(StrEnum):
    """What a message says of an incident."""

    FIRING = "firing"
    WORSE = "worse"
    AGAIN = "again"
    FLAPPING = "flapping"
    REPEAT = "repeat"
    RESOLVED = "resolved"
    PASSED = "passed"
    BASELINE = "baseline"
    DIGEST = "digest"
    NOTICE = "notice"


class Told(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one receiver was told of an incident: the last message, its number `seq`, and up to which number all of it arrived.

    `severity` is the worst it was told, under which programs know it, and `latest` what the last message said (None: as `severity`);
    `event` is the last event (a task's UPID). `given_up_at`: the last message could not be delivered.
    """

    seq: int
    kind: Kind
    severity: Severity
    latest: Severity | None = None
    event: str | None = None
    queued_at: datetime
    delivered: int = 0
    delivered_at: datetime | None = None
    given_up_at: datetime | None = None

    @property
    def is_on_its_way(self) -> bool:
        return self.seq > self.delivered and self.given_up_at is None


class Acknowledgement(Struct, frozen=True, kw_only=True):
    """Somebody's word that an incident is known; it holds for as long as it does not get worse than `severity`."""

    by: str
    at: datetime
    severity: Severity
    note: str = ""


class Moment(Struct, frozen=True, kw_only=True):
    """A line of an incident's history."""

    at: datetime
    what: str
    detail: str = ""


class Incident(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`finding` is the last one that was bad; `since` when it was first seen, `counts_from` from when on the time in its phase counts.

    `fingerprint` stays the same for one check of one object, whatever its value, its words, or a guest's node; `id` is new each time it
    begins. `held`: in the last run nobody could look. `blind`: the incident is that nobody can look. `inhibited_by` names the incident
    that explains this one. `fires` are the moments it fired within the last hour.
    """

    fingerprint: str
    id: str
    blind: bool = False
    phase: Phase
    finding: Finding
    since: datetime
    counts_from: datetime
    fired_at: datetime | None = None
    ended_at: datetime | None = None
    ending: str = ""
    held: bool = False
    flapping: bool = False
    inhibited_by: str | None = None
    acknowledged: Acknowledgement | None = None
    told: Mapping[str, Told] = {}
    fires: tuple[datetime, ...] = ()
    timeline: tuple[Moment, ...] = ()

    @property
    def name(self) -> str:
        """The key of its record."""
        return name_of(self.finding, blind=self.blind)

    @property
    def severity(self) -> Severity:
        return self.finding.severity

    @property
    def is_event(self) -> bool:
        """Whether it happened once, as a task fails, instead of lasting."""
        return self.finding.key is not None


class Records(Struct, frozen=True, kw_only=True):
    """Everything the next run has to know: the incidents by their names, when the last run was, and the seconds between the last ones.

    `looked`: some run has seen the cluster. `maintained` are the nodes in HA maintenance, and when that was last seen.
    """

    incidents: Mapping[str, Incident] = {}
    run_at: datetime | None = None
    gaps: tuple[float, ...] = ()
    looked: bool = True
    maintained: Mapping[str, datetime] = {}


def name_of(finding: Finding, *, blind: bool = False) -> str:
    return finding.id + _BLIND if blind else finding.id


def began(cluster: str, finding: Finding, now: datetime, *, blind: bool = False, after: datetime | None = None) -> Incident:
    """An incident at its first sight. `after` is the last run that could be kept: one that could not be has given it the same id."""
    fingerprint = digest_of(cluster, name_of(finding, blind=blind))
    return Incident(
        fingerprint=fingerprint,
        id=digest_of(fingerprint, (after or now).isoformat())[:16],
        blind=blind,
        phase=Phase.PENDING,
        finding=finding,
        since=now,
        counts_from=now,
        timeline=(Moment(at=now, what="seen", detail=finding.severity.value),),
    )


def noted(incident: Incident, at: datetime, what: str, detail: str = "", **changed: object) -> Incident:
    """The incident with what changed, and one more line in its history, of which the first and the latest lines are kept."""
    lines = (*incident.timeline, Moment(at=at, what=what, detail=detail))
    if len(lines) > _LONGEST_TIMELINE:
        lines = (lines[0], *lines[2 - _LONGEST_TIMELINE - 1 :])
    return replace(incident, timeline=lines, **changed)


def acknowledged(incident: Incident, *, by: str, at: datetime, note: str = "") -> Incident:
    """The incident with somebody's word that it is known: it is not repeated until it gets worse."""
    word = Acknowledgement(by=by, at=at, severity=incident.severity, note=note)
    return noted(incident, at, "acknowledged", f"{by}: {note}" if note else by, acknowledged=word)


def is_acknowledged(incident: Incident) -> bool:
    word = incident.acknowledged
    return word is not None and URGENCY[incident.severity] <= URGENCY[word.severity]


def find(records: Records, incident_id: str) -> Incident | None:
    """The incident whose id begins so; None when there is none, or more than one."""
    found = [incident for incident in records.incidents.values() if incident.id.startswith(incident_id)]
    return found[0] if len(found) == 1 and incident_id else None


def changed(before: Records, after: Records) -> tuple[tuple[Incident, ...], tuple[str, ...]]:
    """What has to be written, and the names of what has to be removed, so that the one record becomes the other."""
    new = tuple(each for name, each in after.incidents.items() if before.incidents.get(name) is not each)
    return new, tuple(name for name in before.incidents if name not in after.incidents)


def digest_of(*parts: str) -> str:
    """The same text for the same parts, for ever."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]
