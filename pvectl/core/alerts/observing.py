"""What one run says of each incident: that it is bad, that it is fine, or that nobody could look."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from pvectl.core.alerts.incident import FIRING, RECOVERING, Incident, digest_of, name_of
from pvectl.core.model import Known
from pvectl.core.monitor.checks.check import Verdict
from pvectl.core.monitor.checks.evaluation import Evaluation
from pvectl.core.monitor.checks.look import COVERAGE
from pvectl.core.monitor.checks.registry import IDS
from pvectl.core.monitor.finding import Evidence, Finding, Severity
from pvectl.core.monitor.monitored import MonitorView

_BAD = (Severity.WARNING, Severity.CRITICAL)
_DARK = Severity.UNKNOWN
API = "api"
DELIVERY = "self.delivery"
STATE = "self.state"
_OWN = "self."


class Look(StrEnum):
    BAD = "bad"
    GOOD = "good"
    UNKNOWN = "unknown"


class Seen(Struct, frozen=True, kw_only=True):
    """`finding` where it is bad; `why` says why it is fine, where it is not simply so."""

    look: Look
    finding: Finding | None = None
    blind: bool = False
    why: str = ""


HOLDS = Seen(look=Look.UNKNOWN)
FINE = Seen(look=Look.GOOD)
_GONE = Seen(look=Look.GOOD, why="it is no longer among what is checked")
_OFF = Seen(look=Look.GOOD, why="it is no longer checked")
_PAST = Seen(look=Look.GOOD, why="it was told a day ago")
_LOSS_LASTS = timedelta(days=1)
_RECEIVER = "receiver/"


def observed(evaluation: Evaluation, incidents: Mapping[str, Incident], now: datetime) -> dict[str, Seen]:
    """By its name, what is bad now and how each incident that is known stands."""
    own = {finding.id for finding in evaluation.own if finding.severity is _DARK}
    seen: dict[str, Seen] = {}
    found: dict[str, Finding] = {}
    for finding in evaluation.findings:
        id_ = finding.id
        found[id_] = finding
        if finding.severity in _BAD:
            seen[id_] = Seen(look=Look.BAD, finding=finding)
        elif finding.severity is _DARK and id_ in own:
            blind = finding.check != COVERAGE
            seen[name_of(finding, blind=blind)] = Seen(look=Look.BAD, finding=finding, blind=blind)
    verdicts = {verdict.check: verdict for verdict in evaluation.verdicts}
    listed = _is_quorate(evaluation.view)
    for name, incident in incidents.items():
        if name not in seen:
            latest, verdict = found.get(incident.finding.id), verdicts.get(incident.finding.check)
            seen[name] = _ended(incident, verdict, now) or _known(evaluation, incident, latest, verdict, listed=listed)
    return seen


def has_looked(evaluation: Evaluation) -> bool:
    """Whether anything of the cluster was seen."""
    return any(not verdict.check.startswith(_OWN) for verdict in evaluation.verdicts)


def unreachable(view: MonitorView, reason: str) -> Evaluation:
    """A run in which the cluster's API did not answer: that is the one thing known, and everything else stays as it was."""
    finding = Finding(
        check=COVERAGE,
        object=API,
        severity=Severity.CRITICAL,
        message=f"the cluster cannot be looked at: {reason}",
        hint="pvectl doctor",
    )
    return Evaluation(taken_at=view.taken_at, view=view, findings=(finding,), verdicts=())


def state_lost(evaluation: Evaluation, lost: Collection[str], now: datetime) -> Evaluation:
    """The evaluation with what was lost of pvectl's own memory, in sentences: it happened once, and is told once."""
    if not lost:
        return evaluation
    finding = Finding(
        check=STATE,
        object="file",
        severity=Severity.CRITICAL,
        message="; ".join(lost),
        hint="pvectl history; what was open before is told once more",
        key=digest_of(*lost, now.isoformat()),
        since=now,
    )
    return replace(evaluation, findings=(finding, *evaluation.findings))


def watched(evaluation: Evaluation, broken: Mapping[str, str], receivers: Iterable[str]) -> Evaluation:
    """The evaluation with the receivers that do not work, by name and reason, so that the others are told of them."""
    objects = frozenset(f"{_RECEIVER}{name}" for name in receivers)
    findings = failing(broken)
    before = next((each for each in evaluation.verdicts if each.check == DELIVERY), Verdict(check=DELIVERY))
    verdict = replace(before, findings=before.findings + findings, examined=before.examined | objects, off=False)
    others = tuple(each for each in evaluation.verdicts if each.check != DELIVERY)
    return replace(evaluation, findings=findings + evaluation.findings, verdicts=(*others, verdict))


def failing(broken: Mapping[str, str]) -> tuple[Finding, ...]:
    """What is to be told of receivers that do not work."""
    return tuple(
        Finding(
            check=DELIVERY,
            object=f"{_RECEIVER}{name}",
            severity=Severity.CRITICAL,
            message=f"receiver {name} takes no messages: {reason}",
            hint=f"pvectl alert test {name}",
            evidence=(Evidence(path="outbox"),),
        )
        for name, reason in sorted(broken.items())
    )


def out_of_order(evaluation: Evaluation) -> frozenset[str]:
    """The receivers that do not work."""
    return frozenset(
        finding.object.removeprefix(_RECEIVER)
        for finding in evaluation.findings
        if finding.check == DELIVERY and finding.object.startswith(_RECEIVER)
    )


def _ended(incident: Incident, verdict: Verdict | None, now: datetime) -> Seen | None:
    """Why nobody will ever look again, or need to; None: somebody may."""
    finding = incident.finding
    if finding.check == STATE:
        return _PAST if now - (finding.since or incident.since) >= _LOSS_LASTS else None
    if finding.check not in IDS:
        # of another release
        return _OFF
    taken_out = finding.object.startswith(_RECEIVER) and verdict is not None and finding.object not in verdict.examined
    return _OFF if taken_out else None


def _known(evaluation: Evaluation, incident: Incident, now: Finding | None, verdict: Verdict | None, *, listed: bool) -> Seen:
    before = incident.finding
    if now is not None and now.severity is Severity.OK and now.lingers and incident.phase in (FIRING, RECOVERING):
        # the value is between the level at which it is bad and the one at which it is good again
        return Seen(look=Look.BAD, finding=before)
    if before.check == COVERAGE:
        return FINE if has_looked(evaluation) and now is None else HOLDS
    if verdict is None:
        return HOLDS
    if verdict.off:
        return _OFF
    if incident.blind:
        return HOLDS if now is not None and now.severity is Severity.UNKNOWN else FINE
    stands = evaluation.severity_of(before.check, before.object)
    if stands is not None:
        return HOLDS if stands is Severity.UNKNOWN else FINE
    if incident.is_event:
        # a task drops out of the list in time, and its last word stays what it was
        return FINE if incident.phase is RECOVERING else HOLDS
    if not listed:
        return HOLDS
    return _GONE if evaluation.is_gone(before.check, before.object) else HOLDS


def _is_quorate(view: MonitorView) -> bool:
    """Whether what is not on the cluster's lists is really not there."""
    membership = view.membership
    return isinstance(membership, Known) and (membership.value.standalone or membership.value.quorate is True)
