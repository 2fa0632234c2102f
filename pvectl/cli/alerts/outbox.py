"""`pvectl alert outbox`: what waits, what was given up, and what a person can do about it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from pvectl.cli.alerts.words import length_of_ids
from pvectl.cli.layout import Column, Table, Terminal, text_of
from pvectl.cli.output import Report
from pvectl.cli.words import moment, span
from pvectl.core.alerts.incident import Incident, Kind, Records
from pvectl.core.alerts.message import written
from pvectl.core.alerts.notification import Notification
from pvectl.core.alerts.outbox import GIVE_UP_AFTER, Channel, Limit, Row, State, tokens
from pvectl.core.alerts.outbox import dropped as dropped_row
from pvectl.core.alerts.outbox import retried as retried_row
from pvectl.core.alerts.telling import given_up, is_latest, on_its_way_again
from pvectl.core.amounts import many
from pvectl.core.monitor.finding import Severity
from pvectl.core.text import clean
from pvectl.errors import PvectlError, UsageError

if TYPE_CHECKING:
    from pvectl.cli.context import Run
    from pvectl.store.alerts import Alerts

_UNDELIVERED = (State.PENDING, State.DEAD)
_WORDS = {State.PENDING: "waiting", State.DEAD: "given up"}
_STYLES = {"waiting": "warn", "given up": "bad", "sent": "good"}
_CANDIDATES = 6


class Waiting(Struct, frozen=True, kw_only=True):
    """How a message does that has not arrived. `next_try_at` None: the next run tries it, or, once it was given up, nobody does.

    `may_have_arrived`: an attempt failed, or was never finished, that its receiver may have taken all the same.
    """

    id: str
    state: State
    queued_at: datetime
    waiting_since: datetime
    attempts: int
    tried_at: datetime | None
    error: str | None
    next_try_at: datetime | None
    may_have_arrived: bool

    def in_words(self, now: datetime) -> str:
        """How often it was tried, why it did not arrive, and when it is tried again."""
        parts = []
        if self.attempts:
            last = f", last {moment(self.tried_at, now)}" if self.tried_at is not None else ""
            parts.append(f"{self.attempts} {'try' if self.attempts == 1 else 'tries'}{last}: {self.error or 'no answer'}")
        if self.state is State.PENDING:
            parts.append(f"tried again {moment(self.next_try_at, now)}" if self.next_try_at is not None else "tried by the next run")
        return "; ".join(parts)


class OutboxRow(Struct, frozen=True, kw_only=True):
    """One message as JSON shows it. `incidents` are what it is about: several in a digest, none in a notice."""

    id: str
    receiver: str
    state: State
    kind: Kind
    severity: Severity
    subject: str
    incidents: tuple[str, ...]
    age_s: int
    queued_at: datetime
    waiting_since: datetime
    attempts: int
    tried_at: datetime | None
    error: str | None
    next_try_at: datetime | None
    may_have_arrived: bool
    ended_at: datetime | None


def waiting_for(incident: Incident, receiver: str, rows: Iterable[Row], channels: Mapping[str, Channel], now: datetime) -> Waiting | None:
    """The message about this incident that has not arrived at this receiver; of several the newest."""
    about = [
        row
        for row in rows
        if row.receiver == receiver
        and row.state in _UNDELIVERED
        and any(story.incident == incident.id for story in row.notification.stories)
    ]
    return _waiting(max(about, key=lambda row: row.queued_at), channels, {}, now) if about else None


def listed(run: Run, *, everything: bool, header: bool) -> Report:
    """What waits, in the order of the queue, and what was given up; with `everything` what has left the outbox as well."""
    alerts, now = _alerts(run, "read"), run.clock.now()
    rows, channels, limits = alerts.rows(), alerts.channels(), _limits(run)
    shown = [row for row in rows if row.state is State.PENDING] + [row for row in rows if row.state is State.DEAD]
    if everything:
        shown += [row for row in rows if row.state not in _UNDELIVERED]
    data = [_row(row, channels, limits or {}, now) for row in shown]
    broken = [f"receiver {name} takes no messages: {clean(each.broken)}" for name, each in sorted(channels.items()) if each.broken]
    gone = sorted({row.receiver for row in shown if limits is not None and row.receiver not in limits and row.state is State.PENDING})
    return Report(
        schema="alert-outbox-list",
        data=data,
        text=lambda: _page(run, data, header=header),
        cluster=run.cluster_name(),
        remarks=(*broken, *(f"there is no receiver {clean(name)} any more: the next run drops what waits for it" for name in gone)),
    )


def retried(run: Run, words: Sequence[str], *, dead: bool) -> Report:
    """Put messages that were given up back into the queue, and let their receivers be tried at once.

    Raises:
        UsageError: there are no such messages, or one tells of what is past.
    """
    if bool(words) == dead:
        raise UsageError("say which messages: their ids, or --dead for all that were given up", hint="pvectl alert outbox list shows them")
    alerts, now = _alerts(run, "hold"), run.clock.now()
    with alerts.transaction():
        rows = alerts.rows()
        chosen = _chosen(words, rows, (*_UNDELIVERED, State.DROPPED)) if words else [row for row in rows if row.state is State.DEAD]
        records = alerts.records(_names(chosen))
        past = {row.id for row in chosen if row.state is not State.PENDING and not _is_news(row, records, now)}
        if words and past:
            told = ", ".join(f"{row.id[:8]} ({_subject(row.notification)})" for row in chosen if row.id in past)
            raise UsageError(f"this is past, or a newer message tells of it: {told}", hint="pvectl alert outbox drop throws it away")
        again = [row for row in chosen if row.id not in past]
        after = records
        for row in again:
            after = on_its_way_again(after, row.notification, now) if row.state is not State.PENDING else after
        queued = [row if row.state is State.PENDING else retried_row(row, now) for row in again]
        channels = alerts.channels()
        opened = {row.receiver: replace(channels[row.receiver], not_before=None) for row in again if row.receiver in channels}
        alerts.put_rows(*queued)
        alerts.put_channels(*opened.values())
        alerts.write_records(records, after)
    data = [_row(row, alerts.channels(), {}, now) for row in queued]
    told = f"{many(len(data), 'message')} for {', '.join(sorted({row.receiver for row in again}))}: the next alert run tries {_them(data)}"
    lines = [told if data else "no message was given up" if not past else "nothing is tried again"]
    if past:
        lines.append(f"{many(len(past), 'message')} left alone: what {_it(past)} of is past, or a newer message tells of it")
    return Report(schema="alert-outbox-retry", data=data, text="\n".join(lines), cluster=run.cluster_name())


def dropped(run: Run, words: Sequence[str], *, yes: bool) -> Report:
    """Throw messages away, once a person has seen which.

    Raises:
        UsageError: there are no such messages, or nobody can be asked.
    """
    alerts, now = _alerts(run, "hold"), run.clock.now()
    channels = alerts.channels()
    chosen = _chosen(words, alerts.rows(), _UNDELIVERED)
    if not yes:
        run.show(_table([_row(row, channels, {}, now) for row in chosen], now, Terminal.of(run.stderr, run.env)))
    if not run.confirm(f"Throw {_them(chosen)} away?", yes=yes, hint="add --yes to go ahead"):
        return Report(schema="alert-outbox-drop", data=[], text="nothing was thrown away", cluster=run.cluster_name())
    ids = {row.id for row in chosen}
    with alerts.transaction():
        # a run may have sent it while the person was asked
        still = [row for row in alerts.rows() if row.id in ids and row.state in _UNDELIVERED]
        records = after = alerts.records(_names(still))
        for row in still:
            after = given_up(after, row.notification, now) if row.state is State.PENDING else after
        gone = [dropped_row(row, now) for row in still]
        alerts.put_rows(*gone)
        alerts.write_records(records, after)
    data = [_row(row, channels, {}, now) for row in gone]
    lines = [f"thrown away: {row.id[:8]} for {row.receiver}: {row.subject}" for row in data]
    lines += [f"{row.id[:8]} is not waiting any more" for row in chosen if row.id not in {each.id for each in gone}]
    return Report(schema="alert-outbox-drop", data=data, text="\n".join(lines), cluster=run.cluster_name())


def _alerts(run: Run, purpose: str) -> Alerts:
    from pvectl.store.alerts import Alerts

    return Alerts(run.store("hold" if purpose == "hold" else "read"))


def _limits(run: Run) -> Mapping[str, Limit] | None:
    """The receivers there are; None where pvectl.yml cannot be read."""
    from pvectl.config.receivers import limits_of

    try:
        return limits_of(run.jobs().alert)
    except PvectlError:
        return None


def _chosen(words: Sequence[str], rows: Iterable[Row], states: Collection[State]) -> list[Row]:
    """The messages somebody means by the beginnings of their ids, each once.

    Raises:
        UsageError: one of the words means none, or several.
    """
    among = [row for row in rows if row.state in states]
    chosen: dict[str, Row] = {}
    for word in words:
        asked = word.strip().lower()
        found = [row for row in among if asked and row.id.startswith(asked)]
        if not found:
            raise UsageError(f"there is no undelivered message '{clean(word)}'", hint="pvectl alert outbox list shows the ids")
        if len(found) > 1:
            told = ", ".join(f"{row.id} ({row.receiver})" for row in found[:_CANDIDATES])
            raise UsageError(f"'{clean(word)}' is the beginning of several ids: {told}", hint="give more of it")
        chosen[found[0].id] = found[0]
    return list(chosen.values())


def _is_news(row: Row, records: Records, now: datetime) -> bool:
    """Whether what it says is still so, and nothing newer says it."""
    notification = row.notification
    if not notification.stories:
        return notification.expires_at is None or now < notification.expires_at
    return any(is_latest(story, row.receiver, records) for story in notification.stories)


def _names(rows: Iterable[Row]) -> set[str]:
    return {story.name for row in rows for story in row.notification.stories}


def _waiting(row: Row, channels: Mapping[str, Channel], limits: Mapping[str, Limit], now: datetime) -> Waiting:
    channel, limit = channels.get(row.receiver), limits.get(row.receiver)
    return Waiting(
        id=row.id,
        state=row.state,
        queued_at=row.queued_at,
        waiting_since=row.waiting_since,
        attempts=row.attempts,
        tried_at=row.tried_at,
        error=clean(row.error) if row.error else None,
        next_try_at=_next_try(channel, limit, now) if row.state is State.PENDING and channel is not None else None,
        may_have_arrived=row.may_have_arrived,
    )


def _next_try(channel: Channel, limit: Limit | None, now: datetime) -> datetime | None:
    """When its receiver may be tried again; None: by the next run."""
    if not channel.is_open(now):
        return channel.not_before
    left = tokens(channel, limit, now) if limit is not None else 1.0
    return now + timedelta(hours=(1 - left) / limit.per_hour) if limit is not None and left < 1 else None


def _row(row: Row, channels: Mapping[str, Channel], limits: Mapping[str, Limit], now: datetime) -> OutboxRow:
    waiting, notification = _waiting(row, channels, limits, now), row.notification
    return OutboxRow(
        id=row.id,
        receiver=row.receiver,
        state=row.state,
        kind=notification.kind,
        severity=notification.severity,
        subject=_subject(notification),
        incidents=tuple(story.incident for story in notification.stories),
        age_s=max(int((now - row.waiting_since).total_seconds()), 0),
        queued_at=row.queued_at,
        waiting_since=row.waiting_since,
        attempts=row.attempts,
        tried_at=row.tried_at,
        error=waiting.error,
        next_try_at=waiting.next_try_at,
        may_have_arrived=row.may_have_arrived,
        ended_at=row.ended_at,
    )


def _subject(notification: Notification) -> str:
    # no subject has a date in it, so any zone will do
    return written(notification, UTC).subject


def _page(run: Run, rows: Sequence[OutboxRow], *, header: bool) -> str:
    if not rows:
        return "nothing waits, and nothing was given up" if header else ""
    terminal, now = Terminal.of(run.stdout, run.env), run.clock.now()
    page = text_of(_table(rows, now, terminal, header=header), terminal)
    if header and any(row.state is State.DEAD for row in rows):
        page += f"\nafter {span(GIVE_UP_AFTER.total_seconds())} a message is given up: pvectl alert outbox retry ID has it tried again\n"
    return page


def _table(rows: Sequence[OutboxRow], now: datetime, terminal: Terminal, *, header: bool = True) -> Table:
    length = length_of_ids([row.id for row in rows])
    columns = (
        Column(title="ID"),
        Column(title="RECEIVER", flexible=True, least=8),
        Column(title="STATE", style=_STYLES.get),
        Column(title="AGE", right=True, need=6),
    )
    subject = Column(title="SUBJECT", flexible=True, least=24, wrap=True)
    cells = [
        (row.id[:length], clean(row.receiver), _WORDS.get(row.state, row.state.value), span(row.age_s), row.subject, _tried(row, now))
        for row in rows
    ]
    if terminal.width is None:
        return Table(columns=(*columns, subject, Column(title="TRIED")), rows=cells, header=header)
    # on a screen, how it was tried stands below
    under = [each for *cell, tried in cells for each in (tuple(cell), ("", "", "", "", tried)) if any(each)]
    return Table(columns=(*columns, subject), rows=under, header=header)


def _tried(row: OutboxRow, now: datetime) -> str:
    if row.state not in _UNDELIVERED:
        return f"{row.state.value} {moment(row.ended_at, now)}" if row.ended_at is not None else ""
    return Waiting(**{name: getattr(row, name) for name in Waiting.__struct_fields__}).in_words(now)


def _them(rows: Sequence[object]) -> str:
    return "it" if len(rows) == 1 else "them"


def _it(rows: Collection[object]) -> str:
    return "it tells" if len(rows) == 1 else "they tell"
