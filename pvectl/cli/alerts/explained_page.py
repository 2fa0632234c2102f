"""One incident at length as a person reads it: what it is, the rule, who was told what, and its history."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from pvectl.cli.alerts import words as alert_words
from pvectl.cli.alerts.words import SEVERITY_STYLES
from pvectl.cli.layout import Terminal, folded, paint
from pvectl.cli.words import moment, percent, size, span
from pvectl.core.alerts.incident import Incident, Phase, is_acknowledged
from pvectl.core.alerts.outbox import State
from pvectl.core.alerts.telling import Why
from pvectl.core.amounts import many
from pvectl.core.monitor.checks.look import COVERAGE
from pvectl.core.monitor.checks.registry import CHECKS
from pvectl.core.monitor.finding import Finding, Severity, Unit
from pvectl.core.text import clean

if TYPE_CHECKING:
    from pvectl.cli.alerts.explained import IncidentPage, ReceiverRow, RuleRow
    from pvectl.cli.alerts.words import Remembered
    from pvectl.cli.context import Run

_MARGIN = 15
_NAMED = 5


def text_of(run: Run, incident: Incident, page: IncidentPage, memory: Remembered) -> str:
    """The whole page, for a terminal or a pipe."""
    terminal, now = Terminal.of(run.stdout, run.env), run.clock.now()
    severity = incident.severity if incident.phase is not Phase.OK else Severity.OK
    word = paint(severity.value, SEVERITY_STYLES[severity.value], terminal)
    state = "over" if incident.phase is Phase.OK else alert_words.phase_of(incident)
    length = f"{'after' if incident.phase is Phase.OK else 'for'} {span(alert_words.lasted(incident, now))}"
    lines = [f"incident {paint(incident.id, 'bold', terminal)}: {word}, {state} {length}", ""]
    lines += [folded(clean(incident.finding.message), terminal, margin=0), ""]
    lines += [_fact(name, value, terminal) for name, value in _facts(incident, page, memory, now)]
    if page.rule is not None:
        lines += ["", paint("rule", "bold", terminal), *(_fact(name, value, terminal) for name, value in _rule_facts(page.rule))]
    lines += ["", paint("receivers", "bold", terminal)]
    lines += [_fact(row.receiver, _receiver_words(row, now), terminal) for row in page.receivers]
    lines += [_fact(name, "shown to it by every run, which tells whom it wants", terminal) for name in page.incident.shown_to]
    if not page.receivers and not page.incident.shown_to:
        lines.append("  nobody is told of it")
    lines += ["", f"{paint('history', 'bold', terminal)}  ({now.astimezone():%Z})"]
    width = max((len(line.what) for line in incident.timeline), default=0)
    for line in incident.timeline:
        told = alert_words.in_local_time(line.detail, now)
        lines.append(f"  {line.at.astimezone():%Y-%m-%d %H:%M:%S}  {folded(f'{line.what:<{width}}  {told}'.rstrip(), terminal, margin=23)}")
    return "\n".join(lines)


def _facts(incident: Incident, page: IncidentPage, memory: Remembered, now: datetime) -> Iterator[tuple[str, str]]:
    finding = incident.finding
    node = f" on node {clean(finding.node)}" if finding.node and finding.object != f"node/{finding.node}" else ""
    yield "what", f"{clean(finding.object)}{node}" + (f": {', '.join(page.objects[:_NAMED])}" if page.objects else "")
    title = CHECKS[finding.check].title if finding.check in CHECKS else "everything can be looked at" if finding.check == COVERAGE else ""
    yield "check", clean(finding.check) + (f", which looks whether {title}" if title else "")
    yield "since", moment(incident.since, now)
    if incident.ended_at is not None:
        yield "until", moment(incident.ended_at, now) + (f": {clean(incident.ending)}" if incident.ending else "")
    if finding.value is not None:
        yield "value", "; ".join(part for part in (amount(finding.value, finding.unit), levels_of(finding)) if part)
    if finding.key is not None:
        yield "event", clean(finding.key)
    for each in finding.evidence:
        age = f", {span(each.age)} old" if each.age is not None and each.age >= 1 else ""
        yield "rests on", clean(f"{each.path} {each.field or ''}".rstrip()) + age
    if finding.hint and incident.phase is not Phase.OK:
        yield "to do", clean(finding.hint)
    if incident.inhibited_by is not None:
        yield "follows from", clean(incident.inhibited_by)
    if page.explains:
        more = f" and {len(page.explains) - _NAMED} more" if len(page.explains) > _NAMED else ""
        yield "explains", f"{many(len(page.explains), 'further problem')}: {', '.join(page.explains[:_NAMED])}{more}"
    if (word := incident.acknowledged) is not None:
        note = f": {clean(word.note)}" if word.note else ""
        worse = "" if word.severity is Severity.CRITICAL else f", unless it gets worse than {word.severity.value}"
        yield "known", f"to {clean(word.by)} since {moment(word.at, now)}{worse}{note}"
    said = incident.phase is Phase.OK or incident.inhibited_by is not None or (is_acknowledged(incident) and not memory.silence(incident))
    if not said and (told := alert_words.reason(incident, memory, now)):
        yield "now", told


def _rule_facts(rule: RuleRow) -> Iterator[tuple[str, str]]:
    yield "name", f"{clean(rule.name)}" + (" (no rule in pvectl.yml fits)" if rule.name == "default" else "")
    yield "told", f"once it has lasted {span(rule.for_s)}" if rule.for_s else "at once"
    yield "over", f"once it has been fine for {span(rule.keep_firing_for_s)}" if rule.keep_firing_for_s else "at once"
    yield "repeated", f"every {span(rule.repeat_s)} while it lasts" if rule.repeat_s else "never"
    if rule.template is not None:
        yield "template", clean(rule.template)


def _receiver_words(row: ReceiverRow, now: datetime) -> str:
    """What it was told, what waits for it, and what comes next."""
    parts = []
    if row.told is not None:
        told = row.told
        if told.delivered_at is not None:
            parts.append(f"told {moment(told.delivered_at, now)}" + ("" if told.on_its_way else f" ({told.kind.value})"))
        if told.on_its_way and row.waiting is None:
            parts.append(f"{told.kind.value} is on its way since {moment(told.queued_at, now)}")
        if told.given_up_at is not None:
            parts.append(f"{told.kind.value} was given up {moment(told.given_up_at, now)}")
    elif row.why is not None:
        parts.append("not told")
    if row.waiting is not None:
        which = "a message" if row.told is None else row.told.kind.value
        parts.append(f"{which} {'waits' if row.waiting.state is State.PENDING else 'was not taken'}: {row.waiting.in_words(now)}")
    parts.append(_next(row, now))
    return "; ".join(part for part in parts if part)


def _next(row: ReceiverRow, now: datetime) -> str:
    until = moment(row.until, now) if row.until is not None else ""
    match row.why:
        case None:
            return "the next run tells it"
        case Why.KNOWN | Why.GIVEN_UP:
            return f"again {until}" if until else "not told again"
        case Why.NOBODY:
            return "the rule does not name it"
        case Why.OVER | Why.ON_ITS_WAY | Why.TOLD:
            return ""
        case Why.PENDING:
            return f"when it still lasts at {until}"
        case Why.RECOVERING:
            return f"that it is over, when it is still fine at {until}"
        case Why.HOLDS:
            return "nobody can look at it"
        case Why.INHIBITED:
            return "it follows from another incident"
        case Why.SILENCED | Why.ACKNOWLEDGED:
            return row.why.value


def amount(value: float, unit: Unit | None) -> str:
    """A value with its unit, as people read it."""
    match unit:
        case Unit.RATIO:
            return percent(value)
        case Unit.SECONDS:
            return span(value)
        case Unit.BYTES:
            return size(int(value))
        case Unit.DAYS:
            return f"{round(value, 1):g} days"
        case Unit.COUNT | None:
            return f"{value:g}"


def levels_of(finding: Finding) -> str:
    """From where on its value is bad, and where it is good again."""
    if finding.levels is None:
        return ""
    levels, falling = finding.levels, finding.falling
    bad = "from" if finding.unit is Unit.COUNT else "down from" if falling else "above"
    good = "above" if falling else "below" if finding.unit is Unit.COUNT else "down to"
    told = [(f"warning {bad}", levels.warn), (f"critical {bad}", levels.crit), (f"good again {good}", levels.clear)]
    return ", ".join(f"{words} {amount(level, finding.unit)}" for words, level in told if level is not None)


def _fact(name: str, value: str, terminal: Terminal) -> str:
    return f"  {clean(name):<{_MARGIN - 3}} {folded(value, terminal, margin=_MARGIN)}"
