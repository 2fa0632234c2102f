"""What the parts of the page are made from: the evaluation, what other jobs have to say, and how this page tells moments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import cached_property

from msgspec import Struct

from pvectl.core.amounts import span
from pvectl.core.monitor.checks.evaluation import Evaluation
from pvectl.core.monitor.checks.look import Look
from pvectl.core.monitor.checks.settings import MonitorSettings
from pvectl.core.monitor.finding import Finding, Severity, worst
from pvectl.core.monitor.monitored import Reading, readings
from pvectl.core.monitor.page.markup import Markup, element

WORDS: Mapping[Severity, str] = {
    Severity.OK: "fine",
    Severity.WARNING: "warning",
    Severity.CRITICAL: "critical",
    Severity.UNKNOWN: "not checked",
}
WORST_FIRST: Mapping[Severity, int] = {Severity.CRITICAL: 0, Severity.WARNING: 1, Severity.UNKNOWN: 2, Severity.OK: 3}


class IdleNode(Struct, frozen=True, kw_only=True):
    """Where a node stands for idle-check: `detail` is a whole sentence, `phase` None where nobody has decided yet, `at` when it was so."""

    node: str
    phase: str | None = None
    verdict: str | None = None
    detail: str
    due: datetime | None = None
    at: datetime


class Planned(Struct, frozen=True, kw_only=True):
    """The next time of a schedule: `wall` is what the clocks in its time zone show, `remarks` whatever is special about it.

    `whom` are its stages, or whom it selects; `then_off` the nodes it switches off afterwards.
    """

    schedule: str
    at: datetime
    wall: str
    tz: str
    whom: tuple[str, ...] = ()
    then_off: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


class Beside(Struct, frozen=True, kw_only=True):
    """What stands on the page beside the findings. A note says why there is nothing to list; None for both: the job is not set up."""

    idle: tuple[IdleNode, ...] = ()
    idle_note: str | None = None
    planned: tuple[Planned, ...] = ()
    planned_note: str | None = None


class Seen:
    """One evaluation, ready to be asked by object."""

    def __init__(self, evaluation: Evaluation, settings: MonitorSettings, beside: Beside, local: Callable[[datetime], datetime]) -> None:
        self.evaluation = evaluation
        self.look = Look(evaluation.view, settings)
        self.beside = beside
        self.local = local
        self.now = evaluation.taken_at

    def found(self, check: str, object: str) -> Finding | None:  # noqa: A002 - as findings call it
        return self._by_id.get(f"{check}/{object}")

    def about(self, object: str) -> tuple[Finding, ...]:  # noqa: A002 - as findings call it
        """What is wrong with an object, or could not be checked of it; the worst first."""
        return tuple(self._by_object.get(object, ()))

    def followers(self, finding: Finding) -> int:
        """How many findings merely follow from this one."""
        return self._followers.get(finding.id, 0)

    def moment(self, when: datetime) -> Markup:
        """A moment by the reader's clock, the date with it where that is not today's."""
        local = self.local(when)
        today = local.date() == self.local(self.now).date()
        return element("time", local.strftime("%H:%M" if today else "%Y-%m-%d %H:%M"), datetime=when.isoformat(timespec="seconds"))

    def away(self, when: datetime) -> str:
        """How far a moment lies back, or ahead."""
        seconds = (when - self.now).total_seconds()
        return f"in {span(seconds)}" if seconds > 0 else f"{span(-seconds)} ago"

    @cached_property
    def readings(self) -> tuple[Reading, ...]:
        """How every source did."""
        return readings(self.evaluation.view)

    @cached_property
    def _by_id(self) -> Mapping[str, Finding]:
        return {finding.id: finding for finding in self.evaluation.findings}

    @cached_property
    def _by_object(self) -> Mapping[str, list[Finding]]:
        found: dict[str, list[Finding]] = {}
        for finding in self.evaluation.findings:
            if finding.severity is not Severity.OK:
                for name in finding.objects or (finding.object,):
                    found.setdefault(name, []).append(finding)
        return found

    @cached_property
    def _followers(self) -> Mapping[str, int]:
        counts: dict[str, int] = {}
        for finding in self.evaluation.findings:
            if finding.cause is not None and finding.severity is not Severity.OK:
                counts[finding.cause] = counts.get(finding.cause, 0) + 1
        return counts


def worst_of(findings: Iterable[Finding]) -> Severity:
    return worst(finding.severity for finding in findings)
