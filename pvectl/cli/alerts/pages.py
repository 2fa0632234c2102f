"""`pvectl alert list`: what is open, since when, and who was told of it, or why nobody was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from pvectl.cli.alerts.words import (
    SEVERITY_STYLES,
    Remembered,
    lasted,
    length_of_ids,
    open_ones,
    over_ones,
    phase_of,
    reason,
    remarks_on,
    remembered,
    standing,
)
from pvectl.cli.layout import Column, Table, Terminal, folded, text_of
from pvectl.cli.output import Report
from pvectl.cli.words import moment, span
from pvectl.core.alerts.incident import Acknowledgement, Incident, Kind, Phase, Told
from pvectl.core.alerts.telling import Why
from pvectl.core.amounts import many
from pvectl.core.monitor.finding import Severity, Unit
from pvectl.core.text import clean

if TYPE_CHECKING:
    from pvectl.cli.context import Run

_WORDS = {Severity.CRITICAL: ("critical", "critical"), Severity.WARNING: ("warning", "warnings"), Severity.UNKNOWN: ("unknown", "unknown")}


class ToldRow(Struct, frozen=True, kw_only=True):
    """What one receiver was told of an incident. `kind` and `queued_at` are the last message's; `delivered_at` is when one last arrived."""

    receiver: str
    kind: Kind
    queued_at: datetime
    delivered_at: datetime | None
    on_its_way: bool
    given_up_at: datetime | None


class IncidentRow(Struct, frozen=True, kw_only=True):
    """One incident as JSON shows it.

    `why` is what the last run made of it, `until` when that ends by itself; both None when no run has met it. `held`: nobody can look.
    `blind`: the incident is that nobody can look. `shown_to` are the Alertmanagers that every run shows it to.
    """

    id: str
    finding: str
    check: str
    object: str
    node: str | None
    severity: Severity
    phase: Phase
    since: datetime
    fired_at: datetime | None
    ended_at: datetime | None
    message: str
    value: float | None
    unit: Unit | None
    blind: bool
    held: bool
    flapping: bool
    inhibited_by: str | None
    silenced_by: str | None
    acknowledged: Acknowledgement | None
    rule: str | None
    why: Why | None
    detail: str
    until: datetime | None
    told: tuple[ToldRow, ...]
    shown_to: tuple[str, ...]


def listed(run: Run, *, everything: bool, header: bool) -> Report:
    """The open incidents, the most urgent first; with `everything` also those of the last day that are over."""
    memory = remembered(run)
    now = run.clock.now()
    shown = open_ones(memory.records) + (over_ones(memory.records) if everything else ())
    return Report(
        schema="alert-list",
        data=[row_of(incident, memory, now) for incident in shown],
        text=lambda: _page(run, shown, memory, header=header),
        csv=lambda: _for_spreadsheets(shown, memory, now, header=header),
        cluster=run.cluster_name(),
        remarks=remarks_on(run, memory.records),
    )


def row_of(incident: Incident, memory: Remembered, now: datetime) -> IncidentRow:
    finding = incident.finding
    silence, explanation = memory.silence(incident), memory.explanation(incident)
    return IncidentRow(
        id=incident.id,
        finding=clean(finding.id),
        check=clean(finding.check),
        object=clean(finding.object),
        node=finding.node,
        severity=incident.severity,
        phase=incident.phase,
        since=incident.since,
        fired_at=incident.fired_at,
        ended_at=incident.ended_at,
        message=clean(finding.message),
        value=finding.value,
        unit=finding.unit,
        blind=incident.blind,
        held=incident.held,
        flapping=incident.flapping,
        inhibited_by=incident.inhibited_by,
        silenced_by=silence.id if silence is not None else None,
        acknowledged=incident.acknowledged,
        rule=explanation.rule if explanation is not None else None,
        why=explanation.why if explanation is not None else None,
        detail=reason(incident, memory, now),
        until=explanation.until if explanation is not None else None,
        told=told_rows(incident.told),
        shown_to=memory.shown_to(incident),
    )


def told_rows(told: Mapping[str, Told]) -> tuple[ToldRow, ...]:
    return tuple(
        ToldRow(
            receiver=receiver,
            kind=word.kind,
            queued_at=word.queued_at,
            delivered_at=word.delivered_at,
            on_its_way=word.is_on_its_way,
            given_up_at=word.given_up_at,
        )
        for receiver, word in sorted(told.items())
    )


def _page(run: Run, shown: Sequence[Incident], memory: Remembered, *, header: bool) -> str:
    terminal, now = Terminal.of(run.stdout, run.env), run.clock.now()
    length = length_of_ids([incident.id for incident in shown])
    lines = [(_cells(incident, length, now), standing(incident, memory, now)) for incident in shown]
    below = {told for _cells_of, told in lines}
    columns = (
        Column(title="ID"),
        Column(title="SEVERITY", style=SEVERITY_STYLES.get),
        Column(title="PHASE"),
        Column(title="FOR", right=True, need=6),
        Column(title="WHAT", flexible=True, least=24, wrap=True, style=lambda cell: "dim" if cell in below else None),
    )
    if terminal.width is None:
        rows: list[tuple[str, ...]] = [(*cells, told) for cells, told in lines]
        table = Table(columns=(*columns, Column(title="TOLD")), rows=rows, header=header)
    else:
        # on a screen, who was told of it stands below
        under = [row for cells, told in lines for row in (cells, ("", "", "", "", told))]
        table = Table(columns=columns, rows=under, header=header)
    page = text_of(table, terminal)
    return page + ("\n" if page else "") + f"{folded(_summary(memory, now), terminal, margin=0)}\n" if header or not shown else page


def _cells(incident: Incident, length: int, now: datetime) -> tuple[str, ...]:
    what = clean(incident.finding.message)
    return (incident.id[:length], _word_of(incident), phase_of(incident), span(lasted(incident, now)), what)


def _word_of(incident: Incident) -> str:
    return incident.severity.value if incident.phase is not Phase.OK else Severity.OK.value


def _summary(memory: Remembered, now: datetime) -> str:
    """How many are open, and when somebody last looked."""
    if memory.records.run_at is None:
        return "no alert run has looked yet: pvectl alert run --dry-run shows what it would tell"
    open_now = open_ones(memory.records)
    own = [incident for incident in open_now if incident.inhibited_by is None]
    phases = Counter(incident.phase for incident in own)
    # as `alert run` counts them
    counts = Counter(incident.severity for incident in own if incident.phase is Phase.FIRING)
    told = [f"{counts[severity]} {words[counts[severity] > 1]}" for severity, words in _WORDS.items() if counts[severity]]
    follow = len(open_now) - len(own)
    opened = f"{', '.join(told)} open" if told else "nothing is open"
    also = [f"{phases[phase]} {phase.value}" for phase in (Phase.PENDING, Phase.RECOVERING) if phases[phase]]
    also += [f"{many(follow, 'incident')} that merely {'follows' if follow == 1 else 'follow'}"] if follow else []
    return "; ".join([opened, *also, f"last run {moment(memory.records.run_at, now)}"])


def _for_spreadsheets(shown: Sequence[Incident], memory: Remembered, now: datetime, *, header: bool) -> Table:
    titles = ("ID", "SEVERITY", "PHASE", "SINCE", "ENDED_AT", "CHECK", "OBJECT", "NODE", "VALUE", "MESSAGE", "RULE", "TOLD", "WHY")
    rows = []
    for row in (row_of(incident, memory, now) for incident in shown):
        told = ";".join(one.receiver for one in row.told if one.delivered_at is not None)
        value = "" if row.value is None else f"{row.value:g}"
        when = (row.since.isoformat(), row.ended_at.isoformat() if row.ended_at is not None else "")
        about = (row.check, row.object, row.node or "", value, row.message)
        rows.append((row.id, row.severity.value, row.phase.value, *when, *about, row.rule or "", told, row.detail))
    return Table(columns=tuple(Column(title=title) for title in titles), rows=rows, header=header)
