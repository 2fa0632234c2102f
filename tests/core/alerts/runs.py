"""Runs of alerting over findings written down by hand: what a check said about an object, one run after the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from pvectl.core.alerts.incident import Incident, Kind, Records
from pvectl.core.alerts.notification import Notification
from pvectl.core.alerts.rules import Rules
from pvectl.core.alerts.silence import Silence
from pvectl.core.alerts.step import step
from pvectl.core.alerts.telling import Explanation, delivered
from pvectl.core.evidence import HaStatus
from pvectl.core.model import Known
from pvectl.core.monitor.checks.check import Verdict
from pvectl.core.monitor.checks.evaluation import Evaluation
from pvectl.core.monitor.checks.look import Blind
from pvectl.core.monitor.checks.registry import CHECKS
from pvectl.core.monitor.finding import Finding, Severity, Subject
from pvectl.core.monitor.monitored import Membership, MonitorView

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
RULES = Rules(cluster="lab", receivers=("mail",))
WARNING, CRITICAL, UNKNOWN, OK = Severity.WARNING, Severity.CRITICAL, Severity.UNKNOWN, Severity.OK


def bad(check: str = "disk.smart", object: str = "disk/pve1/sda", severity: Severity = CRITICAL, **told: Any) -> Finding:  # noqa: A002
    return Finding(check=check, object=object, severity=severity, **{"message": f"{object} is bad", **told})


def view(*, quorate: bool = True, standalone: bool = False, maintained: Iterable[str] = (), proven: bool = True) -> MonitorView:
    return MonitorView(
        taken_at=NOW,
        membership=known(Membership(name="lab", standalone=standalone, quorate=quorate)),
        ha=known(HaStatus(lrm=tuple((node, f"{node} (maintenance mode, Sun Nov 22 12:00:00 2026)") for node in maintained))),
        sight=known(() if proven else (object(),)),
    )


def known(value: Any) -> Known[Any]:
    return Known(value=value, source="/path", taken_at=NOW)


def saw(
    *findings: Finding,
    fine: Mapping[str, Iterable[str]] | None = None,
    dark: Mapping[str, Iterable[str]] | None = None,
    off: Iterable[str] = (),
    seen: MonitorView | None = None,
) -> Evaluation:
    """All checks were made; `fine` and `dark` are the objects that were examined without a finding, and that could not be, by check."""
    verdicts = []
    for check in CHECKS:
        told = tuple(finding for finding in findings if finding.check == check)
        examined = {finding.object for finding in told if finding.severity is not UNKNOWN} | set((fine or {}).get(check, ()))
        blind = tuple(Blind(subject=Subject(object=name), reason="no answer") for name in (dark or {}).get(check, ()))
        verdicts.append(Verdict(check=check, findings=told, examined=frozenset(examined), blind=blind, off=check in off))
    return Evaluation(taken_at=NOW, view=seen or view(), findings=findings, verdicts=tuple(verdicts))


class Runs:
    """A timer's runs, one after the other; what is queued arrives at once unless a test says otherwise."""

    def __init__(self, rules: Rules = RULES, *, used: bool = True) -> None:
        self.rules = rules
        self.records = Records(run_at=NOW - timedelta(seconds=60), gaps=(60.0,)) if used else Records()
        self.silences: tuple[Silence, ...] = ()
        self.told: tuple[Notification, ...] = ()
        self.why: dict[str, Explanation] = {}
        self.arrives = True
        self.messages: list[tuple[int, Kind]] = []

    def at(self, seconds: float, evaluation: Evaluation) -> list[Kind]:
        """The kinds of messages of a run so many seconds after noon."""
        now = NOW + timedelta(seconds=seconds)
        self.records, self.told, explanations = step(self.records, evaluation, self.rules, self.silences, now)
        self.why = {explanation.name: explanation for explanation in explanations}
        for notification in self.told if self.arrives else ():
            self.records = delivered(self.records, notification, now)
        self.messages += [(int(seconds), notification.kind) for notification in self.told]
        return [notification.kind for notification in self.told]

    def incident(self, name: str = "disk.smart/disk/pve1/sda") -> Incident:
        return self.records.incidents[name]

    def change(self, name: str, **told: Any) -> None:
        self.records = replace(self.records, incidents={**self.records.incidents, name: replace(self.incident(name), **told)})


FINE = saw(fine={"disk.smart": ["disk/pve1/sda"], "node.offline": ["node/pve1"], "task.failed": ["task/pve1/vzdump/100"]})
BAD = saw(bad())
DARK = saw(
    bad(severity=UNKNOWN, cause="self.coverage/node/pve1"),
    bad("self.coverage", "node/pve1", UNKNOWN),
    dark={"disk.smart": ["disk/pve1/sda"]},
)
NODE_DOWN = saw(bad("node.offline", "node/pve1", node="pve1", message="node pve1 is offline"))
