"""The monitor's verdict as a Nagios plugin says it: one line, performance data, details, and an exit status from 0 to 3."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from math import isfinite
from typing import Literal, TypeAlias

from msgspec import Struct

from pvectl.core.monitor.checks.evaluation import Evaluation
from pvectl.core.monitor.finding import Finding, Levels, Severity, Unit, worst
from pvectl.core.text import clean

Perfdata: TypeAlias = Literal["top", "all", "none"]
LONGEST_FIRST_LINE = 200
MOST_DETAILS = 200
# older stores of performance data keep only this much of a label (RRDtool's data source names)
_LABEL = 19
_HASH = 6


class PluginResult(Struct, frozen=True, kw_only=True):
    """What goes to stdout, without a line end after it, and the exit status."""

    text: str
    status: int


def result(
    evaluation: Evaluation, *, name: str = "PVE", perfdata: Perfdata = "top", unknown_as: Severity = Severity.UNKNOWN
) -> PluginResult:
    """`perfdata`: "top" has the counts and what is measured and not fine, "all" everything that is measured."""
    told = [finding for finding in evaluation.own if finding.severity is not Severity.OK]
    severity = worst([evaluation.severity], unknown_as=unknown_as)
    if unknown_as is not Severity.UNKNOWN:
        severity = worst((finding.severity for finding in evaluation.own), unknown_as=unknown_as)
        # a run that saw nothing is not made fine by taking unknown for ok
        severity = evaluation.severity if not any(verdict.examined for verdict in evaluation.verdicts) else severity
    first = f"{name} {severity.upper()} - {_summary(evaluation, told)}"
    data = "" if perfdata == "none" else " ".join(_perfdata(evaluation, everything=perfdata == "all"))
    lines = [f"{_plain(first)} | {data}" if data else _plain(first)]
    lines += [_plain(f"[{finding.severity.upper()}] {finding.id}: {finding.message}") for finding in told[:MOST_DETAILS]]
    if len(told) > MOST_DETAILS:
        lines.append(f"and {len(told) - MOST_DETAILS} more")
    return PluginResult(text="\n".join(lines), status=severity.code)


def failure(message: str, *, name: str = "PVE") -> PluginResult:
    """What pvectl says when it failed itself: always 3, always one line."""
    return PluginResult(text=_plain(f"{name} UNKNOWN - {message}"), status=Severity.UNKNOWN.code)


def _summary(evaluation: Evaluation, told: list[Finding]) -> str:
    counts = evaluation.counts
    if not told:
        examined = sum(len(verdict.examined) for verdict in evaluation.verdicts)
        return f"{examined} examined, all fine" if examined else "nothing could be examined"
    text = f"{counts.critical} critical, {counts.warning} warning, {counts.unknown} unknown: "
    for number, finding in enumerate(told):
        more = f" (+{len(told) - number} more)" if number else ""
        piece = (", " if number else "") + clean(finding.message)
        if len(text) + len(piece) + len(" (+100000 more)") > LONGEST_FIRST_LINE - len("PVE CRITICAL - ") - _LABEL:
            return text + (more if number else piece[: LONGEST_FIRST_LINE - len(text) - 60] + "…")
        text += piece
    return text


def _perfdata(evaluation: Evaluation, *, everything: bool) -> Iterable[str]:
    counts = evaluation.counts
    examined = sum(len(verdict.examined) for verdict in evaluation.verdicts)
    for label, count in (("critical", counts.critical), ("warning", counts.warning), ("unknown", counts.unknown), ("examined", examined)):
        yield f"'{label}'={count};;;0"
    taken = {"critical", "warning", "unknown", "examined"}
    for finding in evaluation.findings:
        if finding.value is None or (finding.severity is Severity.OK and not everything):
            continue
        label = _label(finding)
        if label not in taken:
            taken.add(label)
            yield _datum(finding, label, finding.value)


def _label(finding: Finding) -> str:
    """What is measured where, within 19 characters that no other label has."""
    where = ".".join(reversed(finding.object.split("/")[1:])) or finding.object
    label = _plain(f"{where} {finding.check.partition('.')[2]}").replace("=", "-")
    if len(label) <= _LABEL and label.isascii():
        return label
    kept = "".join(character if character.isascii() else "_" for character in label[: _LABEL - _HASH - 1])
    return f"{kept}~{sha256(finding.id.encode()).hexdigest()[:_HASH]}"


def _datum(finding: Finding, label: str, value: float) -> str:
    factor, uom, ends = {
        Unit.RATIO: (100.0, "%", ";0;100"),
        Unit.SECONDS: (1.0, "s", ""),
        Unit.BYTES: (1.0, "B", ";0"),
    }.get(finding.unit or Unit.COUNT, (1.0, "", ""))
    told = number(value * factor) if isfinite(value) else "U"
    warn, crit = _ranges(finding, factor)
    quoted = label.replace("'", "''")
    return f"'{quoted}'={told}{uom if told != 'U' else ''};{warn};{crit}{ends}".rstrip(";")


def _ranges(finding: Finding, factor: float) -> tuple[str, str]:
    levels = finding.levels or Levels()

    def one(level: float | None) -> str:
        if level is None:
            return ""
        if finding.falling:
            # bad at or below the level, which only an inside range can say
            return f"@~:{number(level * factor)}"
        return number((level - 1 if finding.unit is Unit.COUNT else level) * factor)

    return one(levels.warn), one(levels.crit)


def number(value: float) -> str:
    """Digits, a dot and perhaps a minus, as the guidelines want it; no exponent."""
    text = f"{value:.6f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _plain(text: str) -> str:
    """Text in which nothing begins performance data, or another line."""
    return clean(text).replace("|", "/")
