"""`pvectl alert explain`: one incident with the rule it falls under, what it rests on, its history, and who was told what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from pvectl.cli.alerts import explained_page
from pvectl.cli.alerts import words as alert_words
from pvectl.cli.alerts.outbox import Waiting, waiting_for
from pvectl.cli.alerts.pages import IncidentRow, ToldRow, row_of, told_rows
from pvectl.cli.alerts.words import Remembered
from pvectl.cli.output import Report
from pvectl.core.alerts.incident import Incident, Moment, Phase, Told
from pvectl.core.alerts.outbox import State
from pvectl.core.alerts.rules import Book, Rules, Treatment
from pvectl.core.alerts.telling import Explained, Why, still_to_tell
from pvectl.core.monitor.data import EvidenceData, ThresholdData
from pvectl.core.text import clean
from pvectl.errors import PvectlError, UsageError

if TYPE_CHECKING:
    from pvectl.cli.context import Run
    from pvectl.core.alerts.outbox import Channel, Row


class RuleRow(Struct, frozen=True, kw_only=True):
    """What the rules come to for it: how long it has to last, how long to be fine, how often it is repeated (0: never), in seconds."""

    name: str
    for_s: int
    keep_firing_for_s: int
    repeat_s: int
    receivers: tuple[str, ...]
    template: str | None


class ReceiverRow(Struct, frozen=True, kw_only=True):
    """One receiver: what it was told, which message waits for it, why it gets none now (None: it is told by the next run), until when."""

    receiver: str
    told: ToldRow | None
    waiting: Waiting | None
    why: Why | None
    until: datetime | None


class IncidentPage(Struct, frozen=True, kw_only=True):
    """One incident at length, as JSON tells it. `rule` is None where pvectl.yml cannot be read; `explains` are what follows from it."""

    incident: IncidentRow
    hint: str | None
    thresholds: ThresholdData | None
    evidence: tuple[EvidenceData, ...]
    objects: tuple[str, ...]
    explains: tuple[str, ...]
    rule: RuleRow | None
    receivers: tuple[ReceiverRow, ...]
    timeline: tuple[Moment, ...]


def explained(run: Run, word: str) -> Report:
    """Look it up and lay it out.

    Raises:
        UsageError: there is no such incident, or several; or it is a message about several, or about none.
    """
    from pvectl.store.alerts import Alerts

    memory = alert_words.remembered(run)
    alerts = Alerts(run.store("read"))
    rows = alerts.rows()
    word = _about(word, memory, rows)
    incident = _of_old(word, memory, rows) or alert_words.incident_of(memory.records, word)
    now = run.clock.now()
    rules, remarks = _rules(run)
    treatment = Book(rules).treatment(incident.finding) if rules is not None else None
    receivers = tuple(_receivers(incident, treatment, rules, memory, rows, alerts.channels(), now))
    page = _page_of(incident, memory, treatment, receivers, now)
    return Report(
        schema="alert-explain",
        data=page,
        text=lambda: explained_page.text_of(run, incident, page, memory),
        cluster=run.cluster_name(),
        remarks=(*remarks, *alert_words.remarks_on(run, memory.records)) if rules is not None else remarks,
    )


def _about(word: str, memory: Remembered, rows: tuple[Row, ...]) -> str:
    """What a message is about, where somebody gives its id, as mails and webhooks have it; otherwise the word itself.

    Raises:
        UsageError: it is about several incidents, or about none.
    """
    asked = word.strip().lower()
    found = [row.notification for row in rows if len(asked) >= alert_words.SHORTEST_ID and row.id.startswith(asked)]
    if len(found) != 1 or any(incident.id.startswith(asked) for incident in memory.records.incidents.values()):
        return word
    told = tuple(dict.fromkeys(story.incident for story in found[0].stories))
    if not told:
        raise UsageError(f"this is no incident but a message: {clean(found[0].subject)}", hint="pvectl alert outbox list --all shows it")
    if len(told) > 1:
        hint = "pvectl alert list --all shows them, each with its own id"
        raise UsageError(f"this is a message about {len(told)} incidents", hint=hint)
    return told[0]


def _of_old(word: str, memory: Remembered, rows: tuple[Row, ...]) -> Incident | None:
    """An incident nobody remembers but the messages about it, which tell its id to whoever still has them."""
    asked = word.strip().lower()
    told = [(row, story) for row in rows for story in row.notification.stories if story.incident.startswith(asked)] if asked else []
    ids = {story.incident for _row, story in told}
    known = {incident.id for incident in memory.records.incidents.values()}
    if len(ids) != 1 or any(id_.startswith(asked) for id_ in known):
        return None
    last_row, last = max(told, key=lambda each: (each[0].queued_at, each[1].seq))
    words: dict[str, Told] = {}
    lines = [Moment(at=last.since, what="seen", detail="by its messages; the rest is no longer known")]
    for row, story in told:
        before = words.get(row.receiver)
        arrived = row.state is State.SENT
        words[row.receiver] = Told(
            seq=story.seq,
            kind=story.kind,
            severity=story.finding.severity,
            queued_at=row.queued_at,
            delivered=story.seq if arrived else 0,
            delivered_at=row.ended_at if arrived else before.delivered_at if before is not None else None,
            given_up_at=row.ended_at if row.state in (State.DEAD, State.DROPPED) else None,
        )
        lines.append(Moment(at=row.ended_at or row.queued_at, what=row.state.value, detail=f"{story.kind.value} to {row.receiver}"))
    return Incident(
        fingerprint=last.fingerprint,
        id=last.incident,
        blind=last.name != last.finding.id,
        phase=Phase.OK,
        finding=last.finding,
        since=last.since,
        counts_from=last.since,
        ended_at=last.ended_at or last_row.queued_at,
        ending=last.ending,
        told=words,
        timeline=tuple(sorted(lines, key=lambda line: line.at)),
    )


def _rules(run: Run) -> tuple[Rules | None, tuple[str, ...]]:
    """The rules as they are now; what is remembered can be told without them."""
    from pvectl.config.receivers import rules_of

    try:
        return rules_of(run.jobs().alert, run.cluster_name()), ()
    except PvectlError as error:
        return None, (f"which rule applies is not known: {error.message}",)


def _receivers(
    incident: Incident,
    treatment: Treatment | None,
    rules: Rules | None,
    memory: Remembered,
    rows: tuple[Row, ...],
    channels: Mapping[str, Channel],
    now: datetime,
) -> Iterator[ReceiverRow]:
    """Those the rule names first, then those that were told by another rule."""
    named = treatment.receivers if treatment is not None else ()
    for receiver in (*named, *(other for other in incident.told if other not in named)):
        told: Mapping[str, Told] = {receiver: incident.told[receiver]} if receiver in incident.told else {}
        why, until = None, None
        if treatment is not None and rules is not None and receiver in named:
            found = _kept_back(incident, receiver, treatment, rules, memory, now)
            why, until = (found.why, found.until) if found is not None else (None, None)
        yield ReceiverRow(
            receiver=receiver,
            told=next(iter(told_rows(told)), None),
            waiting=waiting_for(incident, receiver, rows, channels, now),
            why=why if receiver in named else Why.NOBODY,
            until=until,
        )


def _kept_back(
    incident: Incident, receiver: str, treatment: Treatment, rules: Rules, memory: Remembered, now: datetime
) -> Explained | None:
    """Why this receiver gets no message now; None when the next run makes one."""
    if incident.phase is Phase.OK:
        return Explained(why=Why.OVER)
    if incident.inhibited_by is not None:
        return Explained(why=Why.INHIBITED)
    if incident.phase is not Phase.RECOVERING and memory.silence(incident) is not None:
        return Explained(why=Why.SILENCED)
    last = memory.explanation(incident)
    general = (Why.PENDING, Why.RECOVERING, Why.HOLDS, Why.SILENCED)
    if last is not None and last.why in general and not alert_words.by_hand(last):
        return Explained(why=last.why, until=last.until)
    found = still_to_tell(incident, receiver, treatment, rules.again_after, now)
    return found if isinstance(found, Explained) else None


def _page_of(
    incident: Incident, memory: Remembered, treatment: Treatment | None, receivers: tuple[ReceiverRow, ...], now: datetime
) -> IncidentPage:
    finding = incident.finding
    levels = finding.levels
    return IncidentPage(
        incident=row_of(incident, memory, now),
        hint=clean(finding.hint) if finding.hint else None,
        thresholds=None
        if levels is None
        else ThresholdData(warn=levels.warn, crit=levels.crit, clear=levels.clear, clear_crit=levels.clear_crit, falling=finding.falling),
        evidence=tuple(EvidenceData(path=each.path, field=each.field, age_s=each.age) for each in finding.evidence),
        objects=tuple(clean(each) for each in finding.objects),
        explains=tuple(clean(each.name) for each in memory.followers(incident)),
        rule=None
        if treatment is None
        else RuleRow(
            name=treatment.rule,
            for_s=treatment.hold,
            keep_firing_for_s=treatment.keep,
            repeat_s=treatment.repeat,
            receivers=treatment.receivers,
            template=treatment.template,
        ),
        receivers=receivers,
        timeline=tuple(Moment(at=line.at, what=line.what, detail=clean(line.detail)) for line in incident.timeline),
    )
