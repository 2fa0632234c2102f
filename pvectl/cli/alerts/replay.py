"""`pvectl alert replay`: what other rules would have sent, and how that compares with what was sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from pvectl.cli.alerts.words import TRIAL
from pvectl.cli.layout import Column, Table, Terminal, text_of
from pvectl.cli.options import duration
from pvectl.cli.output import Report
from pvectl.core.alerts.incident import Kind
from pvectl.core.alerts.message import written
from pvectl.core.alerts.notification import Notification
from pvectl.core.alerts.outbox import Row, State
from pvectl.core.alerts.replay import Replay, Replayed, replayed
from pvectl.core.amounts import many
from pvectl.core.monitor.finding import Severity
from pvectl.core.text import clean
from pvectl.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from pvectl.cli.context import Run
    from pvectl.config.schema.alerting import Alert

_BEFORE = timedelta(days=1)
"""So much earlier the rules begin, so that what was bad already is not taken for new."""
_LARGEST = 256 * 1024
_WORDED = 10


class MessageRow(Struct, frozen=True, kw_only=True):
    """One message as JSON shows it. `findings` are what it is about; `template` is the one its rule names."""

    at: datetime
    receiver: str
    kind: Kind
    severity: Severity
    subject: str
    text: str
    findings: tuple[str, ...]
    template: str | None


class ReceiverRow(Struct, frozen=True, kw_only=True):
    """How many messages one receiver would have got, and how many were sent to it; `alike` of both say the same of the same."""

    receiver: str
    would_get: int
    was_sent: int
    alike: int


class ReplayData(Struct, frozen=True, kw_only=True):
    """`current`: the rules of the file are those in force. `runs` were judged once more, `unreadable` ones could not be."""

    rules: str
    current: bool
    since: datetime
    until: datetime
    zone: str
    runs: int
    unreadable: int
    messages: tuple[MessageRow, ...]
    receivers: tuple[ReceiverRow, ...]


def report(run: Run, *, rules: str, since: str) -> Report:
    """What the rules of this file would have sent since then. Nobody is asked, nothing is locked or written.

    Raises:
        ConfigProblems: everything wrong with the file, with places.
        ConfigError: it cannot be read.
        UsageError: that is no time.
    """
    from pvectl.cli.alerts.setup import zone_of
    from pvectl.config.receivers import limits_of, rules_of
    from pvectl.store.alerts import Alerts

    now = run.clock.now()
    begin = _moment(since, now)
    asked = section_of(Path(rules))
    in_force = run.jobs().alert
    taken = asked if asked.receivers else replace(asked, receivers=in_force.receivers)
    cluster = run.cluster_name()
    alerts = Alerts(run.store("read"))
    looks = tuple(alerts.looks(begin - _BEFORE))
    found = replayed(looks, rules_of(taken, cluster), alerts.silences(), limits_of(taken))
    zone = zone_of(run, taken)
    shown = [each for each in found.messages if each.at >= begin]
    data = ReplayData(
        rules=rules,
        current=_meaning(taken) == _meaning(in_force),
        since=begin,
        until=now,
        zone=zone.key,
        runs=sum(at >= begin for at, _look in looks),
        unreadable=found.unreadable,
        messages=_rows(shown, taken, zone),
        receivers=_compared(tuple(limits_of(taken)), [each.notification for each in shown], _really_sent(alerts.rows(), begin)),
    )
    return Report(
        schema="alert-replay",
        data=data,
        text=lambda: _page(data, zone, Terminal.of(run.stdout, run.env)),
        csv=lambda: _table(data.messages, zone, whole=True),
        cluster=cluster,
        remarks=tuple(_remarks(asked, taken, data, found, zone)),
    )


def section_of(path: Path) -> Alert:
    """The section `alert:` of a file like pvectl.yml, or of one that holds nothing else.

    Raises:
        ConfigProblems: everything wrong with it, with places.
        ConfigError: it cannot be read.
    """
    from msgspec.structs import fields

    from pvectl.config.check import check
    from pvectl.config.document import Mapping as Map
    from pvectl.config.load import read_document
    from pvectl.config.problems import ConfigProblems
    from pvectl.config.schema import PvectlFile
    from pvectl.config.schema.alerting import Alert

    document = read_document(_content(path), str(path))
    if document is None:
        return Alert()
    keys = {entry.key for entry in document.entries} if isinstance(document, Map) else set()
    sections = {info.encode_name for info in fields(PvectlFile)}
    alone = not keys & sections and bool(keys & {info.encode_name for info in fields(Alert)})
    checked = check(document, Alert if alone else PvectlFile, str(path))
    if checked.problems:
        raise ConfigProblems(checked.problems)
    section: Alert = checked.value if alone else checked.value.alert
    return section


def _content(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise ConfigError(
                f"there is no file {clean(str(path))}", hint="a pvectl.yml, or only its alert section", subject=f"file/{path}"
            )
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise ConfigError(f"{clean(str(path))} cannot be read: {error.strerror}", subject=f"file/{path}") from None
    if len(content) > _LARGEST:
        raise ConfigError(f"{clean(str(path))} is larger than {_LARGEST // 1024} KiB; that is no configuration", subject=f"file/{path}")
    return content


def _moment(since: str, now: datetime) -> datetime:
    """A duration before now, or a moment by this machine's clock."""
    try:
        begin = datetime.fromisoformat(since).astimezone()
    except (ValueError, OverflowError):
        return now - timedelta(seconds=duration("--since", since, at_least=1))
    if begin >= now:
        raise UsageError(f"--since: {since} is not in the past")
    return begin


def _meaning(section: Alert) -> tuple[object, ...]:
    """What makes two sections send the same: how a receiver is reached does not."""
    from pvectl.config.receivers import limits_of, rules_of

    return rules_of(section, ""), limits_of(section), section.templates


def _rows(messages: Sequence[Replayed], section: Alert, zone: ZoneInfo) -> tuple[MessageRow, ...]:
    """The messages in words; those of a template, of which each takes a process of its own, for the first of them."""
    rows = []
    worded = 0
    for each in messages:
        notification = each.notification
        text = written(notification, zone)
        subject, body = text.subject, text.body
        template = _template_of(notification, section)
        if template is not None and worded < _WORDED:
            from pvectl.config.receivers import templates_of
            from pvectl.notify.phrasing import message_of

            worded += 1
            message = message_of(notification, zone, templates_of(section)[template])
            subject, body = message.subject, message.text
        rows.append(
            MessageRow(
                at=each.at,
                receiver=notification.receiver,
                kind=notification.kind,
                severity=notification.severity,
                subject=clean(subject),
                text="\n".join(clean(line) for line in body.splitlines()),
                findings=tuple(clean(story.finding.id) for story in notification.stories),
                template=template,
            )
        )
    return tuple(rows)


def _template_of(notification: Notification, section: Alert) -> str | None:
    return notification.template if notification.template in section.templates and not notification.is_digest else None


def _really_sent(rows: Sequence[Row], begin: datetime) -> list[Notification]:
    """What arrived since then and came of rules: no notices of other jobs, and no trials."""
    return [
        row.notification
        for row in rows
        if row.state is State.SENT
        and (row.ended_at or row.queued_at) >= begin
        and row.notification.kind is not Kind.NOTICE
        and all(story.finding.object != TRIAL for story in row.notification.stories)
    ]


def _compared(receivers: Sequence[str], would: Sequence[Notification], sent: Sequence[Notification]) -> tuple[ReceiverRow, ...]:
    names = dict.fromkeys((*receivers, *(each.receiver for each in sent)))
    wanted, real = _by_receiver(would), _by_receiver(sent)
    nothing: Counter[object] = Counter()
    return tuple(
        ReceiverRow(
            receiver=name,
            would_get=wanted.get(name, nothing).total(),
            was_sent=real.get(name, nothing).total(),
            alike=(wanted.get(name, nothing) & real.get(name, nothing)).total(),
        )
        for name in names
    )


def _by_receiver(messages: Sequence[Notification]) -> Mapping[str, Counter[object]]:
    """How often each receiver is told the same kind of thing about the same incidents."""
    found: dict[str, Counter[object]] = {}
    for each in messages:
        what = (each.kind, tuple(sorted(story.name for story in each.stories)))
        found.setdefault(each.receiver, Counter())[what] += 1
    return found


def _remarks(asked: Alert, taken: Alert, data: ReplayData, found: Replay, zone: ZoneInfo) -> list[str]:
    remarks = []
    if not taken.receivers:
        remarks.append(f"{clean(data.rules)} names no receivers, and neither does pvectl.yml, so nobody would be told")
    elif not asked.receivers:
        remarks.append(f"{clean(data.rules)} names no receivers; those of pvectl.yml were taken")
    if found.unreadable:
        remarks.append(f"what {many(found.unreadable, 'run')} saw could not be read, and is left out")
    if found.first is not None and found.first > data.since:
        first = f"{found.first.astimezone(zone):%Y-%m-%d %H:%M}"
        remarks.append(f"nothing older than {first} is kept; what was bad then comes in one message")
    if sum(row.template is not None for row in data.messages) > _WORDED:
        remarks.append(f"of the messages with a template the first {_WORDED} are in its words, the others in pvectl's own")
    if data.current and any(row.alike != row.was_sent for row in data.receivers):
        remarks.append("acknowledgements, receivers that failed, and what was lost of pvectl's memory are not replayed")
    return remarks


def _page(data: ReplayData, zone: ZoneInfo, terminal: Terminal) -> str:
    if not data.runs:
        return "nothing is kept of that time; every pvectl alert run keeps what it saw for 8 days"
    what = "the rules in force" if data.current else "these rules"
    since = data.since.astimezone(zone)
    heading = f"since {since:%Y-%m-%d %H:%M %Z}, by {what}, from {many(data.runs, 'run')}:"
    table = text_of(_table(data.messages, zone, whole=False), terminal) if data.messages else "no message\n"
    totals = "\n".join(map(_total, data.receivers))
    return f"{heading}\n\n{table}\n{totals}"


def _total(row: ReceiverRow) -> str:
    would = many(row.would_get, "message") if row.would_get else "no message"
    if not row.was_sent:
        return f"{row.receiver}: {would}; none was sent"
    if row.alike == row.was_sent == row.would_get:
        return f"{row.receiver}: {would}, just what was sent"
    alike = "all" if row.alike == row.was_sent else f"{row.alike:,}" if row.alike else "none"
    return f"{row.receiver}: {would}; {row.was_sent:,} {'was' if row.was_sent == 1 else 'were'} sent, {alike} of them alike"


def _table(messages: Sequence[MessageRow], zone: ZoneInfo, *, whole: bool) -> Table:
    columns = [Column(title="WHEN"), Column(title="RECEIVER"), Column(title="SUBJECT", flexible=True, least=24, wrap=True)]
    if whole:
        columns[2:2] = [Column(title="KIND"), Column(title="SEVERITY")]
    rows = []
    for each in messages:
        at = each.at.isoformat() if whole else f"{each.at.astimezone(zone):%Y-%m-%d %H:%M}"
        rows.append((at, each.receiver, *((each.kind.value, each.severity.value) if whole else ()), each.subject))
    return Table(columns=tuple(columns), rows=rows)
