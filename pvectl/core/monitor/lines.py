"""The monitor's answer as a person reads it: the verdict first, then what is wrong, then what nobody could see, then what was checked."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from pvectl.core.monitor.checks.evaluation import Evaluation
from pvectl.core.monitor.checks.look import Look
from pvectl.core.monitor.checks.settings import DAY, HOUR, MINUTE, MonitorSettings
from pvectl.core.monitor.checks.spoken import spoken
from pvectl.core.monitor.finding import Finding, Severity
from pvectl.core.monitor.monitored import readings

_MANY = 8
"""From so many findings of one check on, the page tells the first few and counts the rest."""
_SHOWN = 3


class Line(Struct, frozen=True, kw_only=True):
    """One line. `object` and `text` stand beside each other; `hint` is the next step, mostly a command line."""

    severity: Severity
    object: str
    text: str
    hint: str | None = None


class Page(Struct, frozen=True, kw_only=True):
    """The whole page, in the order in which it is to be read."""

    severity: Severity
    verdict: str
    wrong: tuple[Line, ...] = ()
    blind: tuple[Line, ...] = ()
    summary: str


def page(evaluation: Evaluation, settings: MonitorSettings | None = None, *, took: float | None = None) -> Page:
    """`took` is the whole run in seconds."""
    told = [finding for finding in evaluation.own if finding.severity is not Severity.OK]
    return Page(
        severity=evaluation.severity,
        verdict=_verdict(evaluation),
        wrong=tuple(_lines(finding for finding in told if finding.severity is not Severity.UNKNOWN)),
        blind=tuple(_lines(finding for finding in told if finding.severity is Severity.UNKNOWN)),
        summary=_summary(evaluation, settings or MonitorSettings(), took),
    )


def _verdict(evaluation: Evaluation) -> str:
    counts = evaluation.counts
    examined = any(verdict.examined for verdict in evaluation.verdicts)
    if not examined:
        return "nothing could be checked"
    told = ((counts.critical, f"{counts.critical} critical"), (counts.warning, _many(counts.warning, "warning")))
    wrong = [words for count, words in told if count]
    blind = f"{_many(counts.unknown, 'thing')} could not be checked" if counts.unknown else ""
    if not wrong:
        return f"nothing wrong was seen, but {blind}" if blind else "everything that was checked is fine"
    return ", ".join(wrong) + (f"; {blind}" if blind else "")


def _lines(findings: Iterable[Finding]) -> Iterable[Line]:
    groups: dict[tuple[Severity, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.severity, finding.check), []).append(finding)
    for (severity, check), group in groups.items():
        shown = group if len(group) < _MANY else group[:_SHOWN]
        for finding in shown:
            yield Line(severity=severity, object=finding.object, text=finding.message, hint=finding.hint)
        if len(group) > len(shown):
            yield Line(severity=severity, object=check, text=f"and {len(group) - len(shown)} more like these")


def _summary(evaluation: Evaluation, settings: MonitorSettings, took: float | None) -> str:
    look = Look(evaluation.view, settings)
    made = [verdict for verdict in evaluation.verdicts if not verdict.off]
    examined, eligible = sum(len(verdict.examined) for verdict in made), sum(verdict.eligible for verdict in made)
    what = [_many(len(look.members), "node"), _many(look.guest_count, "guest"), _many(len(look.storages), "storage")]
    looked = f"{examined} of {eligible} looked at" if eligible > examined else f"all {examined} looked at"
    parts = [f"{_many(len(made), 'check')} on {', '.join(what[:2])} and {what[2]}", looked]
    if away := sorted(look.away):
        parts.append(f"{', '.join(away)} switched off by pvectl")
    ages = [(row.age, row.name, row.object) for row in readings(evaluation.view, guests=False) if row.age is not None]
    if ages and (oldest := max(ages))[0] > MINUTE:
        parts.append(f"oldest answer {_span(oldest[0])} ({spoken(oldest[1], oldest[2])})")
    if took is not None:
        parts.append(f"{took:.1f} s")
    return "; ".join(parts)


def _many(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _span(seconds: float) -> str:
    for unit, size in (("days", DAY), ("h", HOUR)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / MINUTE:.0f} min"
