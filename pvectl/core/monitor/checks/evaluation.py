"""All checks over one look at the cluster: what is wrong, what is fine, and what nobody could see."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cached_property
from itertools import chain
from operator import attrgetter

from msgspec import Struct

from pvectl.core.model import Known, Unknown
from pvectl.core.monitor.checks.check import Verdict
from pvectl.core.monitor.checks.look import COVERAGE, Blind, Look, Missing, Rules
from pvectl.core.monitor.checks.registry import CHECKS, chosen
from pvectl.core.monitor.checks.settings import MonitorSettings
from pvectl.core.monitor.checks.sources import SOURCES, mends, mends_of, missing, sighted
from pvectl.core.monitor.checks.spoken import spoken_together
from pvectl.core.monitor.finding import Finding, Severity, Subject, worst
from pvectl.core.monitor.monitored import MonitorView
from pvectl.core.text import clean

ON_THE_LIST = ("guest", "storage")
"""What checks are about whose objects Proxmox VE may leave out without a word."""
_NAMED = 4
_OBJECT, _SEVERITY, _CAUSE = attrgetter("object"), attrgetter("severity"), attrgetter("cause")


class Counts(Struct, frozen=True, kw_only=True):
    """How many findings there are of each kind; those that only follow from another one are not counted twice."""

    critical: int = 0
    warning: int = 0
    unknown: int = 0


class Evaluation(Struct, frozen=True, kw_only=True, dict=True):
    """What a run of all checks came to. `findings` are sorted, the worst first; those with severity ok carry a value worth showing."""

    taken_at: datetime
    view: MonitorView
    findings: tuple[Finding, ...]
    verdicts: tuple[Verdict, ...]

    @cached_property
    def own(self) -> tuple[Finding, ...]:
        """The findings that do not merely follow from another one."""
        if not any(map(_CAUSE, self.findings)):
            return self.findings
        return tuple(finding for finding in self.findings if finding.cause is None or finding.cause not in self._by_id)

    @cached_property
    def counts(self) -> Counts:
        found = Counter(map(_SEVERITY, self.own))
        return Counts(critical=found[Severity.CRITICAL], warning=found[Severity.WARNING], unknown=found[Severity.UNKNOWN])

    @cached_property
    def severity(self) -> Severity:
        """The verdict on the whole. A run that examined nothing is no good news."""
        if not any(verdict.examined for verdict in self.verdicts):
            return worst([Severity.UNKNOWN, *map(_SEVERITY, self.findings)])
        return worst(map(_SEVERITY, self.findings))

    def severity_of(self, check: str, object: str) -> Severity | None:  # noqa: A002 - as findings call it
        """How an object stands under a check; None when the check is not about it, or was not made."""
        found = self._by_id.get(f"{check}/{object}")
        if found is not None:
            return found.severity
        verdict = self._by_check.get(check)
        if verdict is None:
            return None
        if object in verdict.examined:
            return Severity.OK
        return Severity.UNKNOWN if object in self._blind[check] else None

    def is_gone(self, check: str, object: str) -> bool:  # noqa: A002 - as findings call it
        """Whether an object a check once told of is there no more, or is left out of it now: only when everything could be looked at."""
        verdict = self._by_check.get(check)
        if verdict is None or verdict.off or verdict.blind or self.severity_of(check, object) is not None:
            return False
        return CHECKS[check].about not in ON_THE_LIST or (isinstance(self.view.sight, Known) and not self.view.sight.value)

    @cached_property
    def _blind(self) -> Mapping[str, frozenset[str]]:
        return {verdict.check: frozenset(spot.subject.object for spot in verdict.blind) for verdict in self.verdicts}

    @cached_property
    def _by_id(self) -> Mapping[str, Finding]:
        return {finding.id: finding for finding in self.findings}

    @cached_property
    def _by_check(self) -> Mapping[str, Verdict]:
        return {verdict.check: verdict for verdict in self.verdicts}


def evaluate(view: MonitorView, settings: MonitorSettings | None = None, *, only: Iterable[str] = ()) -> Evaluation:
    """All checks, or `only` those whose ids fit, over what was seen."""
    settings = settings or MonitorSettings()
    look = Look(sighted(view, settings), settings)
    verdicts = tuple(check.run(look) for check in chosen(only))
    findings = [finding for verdict in verdicts for finding in verdict.findings]
    findings += _coverage(look, (blind for verdict in verdicts for blind in verdict.blind))
    return Evaluation(taken_at=view.taken_at, view=look.view, findings=ranked(findings), verdicts=verdicts)


def ranked(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The worst first, then by check, then by object."""
    groups: dict[tuple[Severity, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.severity, finding.check), []).append(finding)
    order = sorted(groups, key=lambda group: (_ORDER[group[0]], group[1]))
    return tuple(chain.from_iterable(sorted(groups[group], key=_OBJECT) for group in order))


_ORDER = {Severity.CRITICAL: 0, Severity.WARNING: 1, Severity.UNKNOWN: 2, Severity.OK: 3}


def _coverage(look: Look, blind: Iterable[Blind]) -> Iterable[Finding]:
    """One finding for each object of which something could not be read, with the lines that mend it where rights are what is missing."""
    rules = Rules(COVERAGE, look.settings, on=True)
    dark: dict[str, dict[Missing, None]] = {}
    for spot in blind:
        for each in spot.missing:
            dark.setdefault(each.of, {})[each] = None
    hidden = _hidden(look)
    for name in sorted({*dark, *hidden}):
        subject = _subject(name)
        if rules.apply_to(subject) is None:
            continue
        told = [*_told(name, tuple(dark.get(name, ()))), *(reason for reason, _mend in hidden.get(name, ()))]
        sources = dict.fromkeys(each.source for each in dark.get(name, ()))
        lines = dict.fromkeys(line for source in sources for line in mends_of(look.view, source, name))
        lines |= dict.fromkeys(line for _reason, mend in hidden.get(name, ()) if mend for line in mend.split(" && "))
        yield Finding(
            check=COVERAGE,
            object=name,
            severity=Severity.UNKNOWN,
            message=clean("; ".join(told)),
            hint=" && ".join(lines) or None,
            node=subject.node,
        )


def _subject(name: str) -> Subject:
    return Subject(object=name, node=name.removeprefix("node/") if name.startswith("node/") else None)


def _told(name: str, spots: tuple[Missing, ...]) -> Iterable[str]:
    """The sources by the reason they are missing."""
    by_reason: dict[str, list[str]] = {}
    for spot in spots:
        by_reason.setdefault(spot.reason, []).append(spot.source)
    if name == "guests" and len(by_reason) > _NAMED:
        sources = list(dict.fromkeys(spot.source for spot in spots))
        by_reason = {f"{spots[0].reason} (and {len(by_reason) - 1} other reasons)": sources}
    for reason, sources in by_reason.items():
        yield f"{spoken_together(dict.fromkeys(sources), name)} could not be read: {reason}"


def _hidden(look: Look) -> dict[str, list[tuple[str, str | None]]]:
    """What keeps the list of guests and storages from being proven whole, by subject: reasons and their mends."""
    view = look.view
    spots: dict[str, list[tuple[str, str | None]]] = {}
    if isinstance(view.sight, Unknown):
        spots.setdefault("cluster", []).append((f"whether all guests are seen is not proven: {view.sight.reason}", None))
    else:
        for spot in view.sight.value:
            spots.setdefault(spot.subject, []).append((spot.reason, spot.mend))
    if isinstance(view.resources, Known) and isinstance(view.rights, Known):
        lacks = (("Datastore.Audit", "/storage"),)
        if missing(SOURCES["node-storages"], view.rights.value):
            reason = "the token lacks Datastore.Audit on /storage, so Proxmox VE may leave out storages without a word"
            spots.setdefault("cluster", []).append((reason, " && ".join(mends(view, lacks))))
    return spots
