"""Values that were bad stay so until they are back where they count as good again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from msgspec.structs import replace

from pvectl.core.monitor.checks.evaluation import Evaluation, ranked
from pvectl.core.monitor.finding import Finding, Severity, lingering

Before: TypeAlias = Mapping[str, Severity]
"""How bad the findings of the last run were, by their id; what was fine is not in it."""

_RANK = {Severity.OK: 0, Severity.WARNING: 1, Severity.CRITICAL: 2}


def held(evaluation: Evaluation, before: Before) -> Evaluation:
    """The same evaluation, with what was bad in the last run and has not recovered as bad as it was."""
    findings = [_held(finding, before.get(finding.id)) for finding in evaluation.findings]
    if all(new is old for new, old in zip(findings, evaluation.findings, strict=True)):
        return evaluation
    return replace(evaluation, findings=ranked(findings))


def bad(evaluation: Evaluation) -> dict[str, Severity]:
    """What the next run has to know of this one: the findings with a level at which they end, and how bad they are."""
    return {
        finding.id: finding.severity
        for finding in evaluation.findings
        if finding.severity in (Severity.WARNING, Severity.CRITICAL) and finding.levels is not None
    }


def _held(finding: Finding, was: Severity | None) -> Finding:
    if was is None or finding.value is None or finding.levels is None or finding.severity is Severity.UNKNOWN:
        return finding
    stays = _stays(finding, was)
    if _RANK[stays] <= _RANK[finding.severity]:
        return finding
    return replace(finding, severity=stays, lingers=True)


def _stays(finding: Finding, was: Severity) -> Severity:
    """How bad a value counts that was `was` in the last run."""
    assert finding.value is not None
    assert finding.levels is not None
    levels = finding.levels
    ends = replace(levels, clear=levels.clear_crit)
    if was is Severity.CRITICAL and lingering(finding.value, ends, unit=finding.unit, falling=finding.falling):
        return Severity.CRITICAL
    if lingering(finding.value, levels, unit=finding.unit, falling=finding.falling):
        return Severity.WARNING
    return Severity.OK
