"""`pvectl alert test`: a made-up incident on the way a real one goes, to one receiver alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from pvectl.cli.alerts.setup import receivers_of, words_of, zone_of
from pvectl.cli.alerts.words import HOW_TO_TELL, TRIAL, nearest_check
from pvectl.cli.output import Problem, Report
from pvectl.cli.words import span
from pvectl.core.alerts.incident import Kind, Records
from pvectl.core.alerts.notification import Notification
from pvectl.core.alerts.outbox import Channel, Limit, Row, State, dropped, enqueued
from pvectl.core.alerts.rules import Book, Rules, Treatment
from pvectl.core.alerts.step import step
from pvectl.core.alerts.telling import delivered
from pvectl.core.monitor.checks.check import Verdict
from pvectl.core.monitor.checks.evaluation import Evaluation
from pvectl.core.monitor.checks.registry import IDS
from pvectl.core.monitor.finding import Finding, Severity
from pvectl.core.monitor.monitored import MonitorView
from pvectl.core.text import clean
from pvectl.errors import ConfigError, ExitCode, UsageError

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from pvectl.cli.context import Run
    from pvectl.config.schema.alerting import Alert
    from pvectl.notify.alertmanager import Alertmanager
    from pvectl.notify.deliver import Receiver
    from pvectl.notify.message import Message
    from pvectl.notify.result import TimeLeft
    from pvectl.store.alerts import Alerts

_CHECK = "self.test"
_DEADLINE_S = 60
_PATIENCE_S = 20.0
_EXPIRES = timedelta(minutes=10)
_LIMIT = Limit(per_hour=3600, burst=2)


class SentRow(Struct, frozen=True, kw_only=True):
    """One message of the trial: what it said, and what the receiver answered (`error`, None when it took it)."""

    id: str
    kind: Kind
    subject: str
    text: str
    fields: tuple[tuple[str, str], ...]
    delivered: bool
    error: str | None
    trouble: str | None


class Trial(Struct, frozen=True, kw_only=True):
    """What came of it. `rule` is the one that would treat such a finding, `receivers` are those it tells."""

    receiver: str
    type: str
    check: str
    rule: str
    for_s: int
    receivers: tuple[str, ...]
    template: str | None
    delivered: bool
    messages: tuple[SentRow, ...]


def tried(run: Run, name: str, *, check: str | None) -> Report:
    """Make something up, let the rules treat it, and send it to this receiver.

    Raises:
        UsageError: there is no such receiver, or no such check.
        ConfigError: something about the receiver is wrong, or one of its secrets is not there.
        Locked: an alert run is at work.
    """
    from pvectl.config.receivers import rules_of
    from pvectl.notify.alertmanager import Alertmanager

    section = run.jobs().alert
    type_ = _type_of(name, section)
    finding = _made_up(check)
    rules = rules_of(section, run.cluster_name())
    treatment = Book(rules).treatment(finding)
    # what is wrong with it is told before anything is written
    receiver = receivers_of(run, section)(name)
    life = _Life(finding, _alone(rules, name))
    if isinstance(receiver, Alertmanager):
        messages = tuple(_mirrored(run, receiver, life, zone_of(run, section)))
    else:
        messages = tuple(_through_the_outbox(run, receiver, life, words_of(run, section)))
    trial = Trial(
        receiver=name,
        type=type_,
        check=finding.check,
        rule=treatment.rule,
        for_s=treatment.hold,
        receivers=treatment.receivers,
        template=treatment.template,
        delivered=all(message.delivered for message in messages),
        messages=messages,
    )
    problems = tuple(
        Problem(code="not-delivered", message=f"receiver {name} did not take the message: {message.error}", subject=f"receiver/{name}")
        for message in messages
        if not message.delivered
    )
    return Report(
        schema="alert-test",
        data=trial,
        text=_page(trial, treatment, mirrors=isinstance(receiver, Alertmanager)),
        exit_code=ExitCode.OK if trial.delivered else ExitCode.FAILED,
        cluster=run.cluster_name(),
        problems=problems,
        remarks=() if section.enabled else ("alert.enabled is false in pvectl.yml: real findings are told to nobody",),
    )


class _Life:
    """The made-up incident: how it begins, and how it is over."""

    def __init__(self, finding: Finding, rules: Rules) -> None:
        self._finding = finding
        self.rules = rules
        self.records = Records()

    def begins(self, now: datetime) -> tuple[Notification, ...]:
        return self._step(self._seen(now, findings=(self._finding,)), now)

    def arrived(self, notifications: Iterable[Notification], now: datetime) -> None:
        for notification in notifications:
            self.records = delivered(self.records, notification, now)

    def ends(self, now: datetime) -> tuple[Notification, ...]:
        fine = Verdict(check=self._finding.check, examined=frozenset({self._finding.object}))
        return self._step(self._seen(now, verdicts=(fine,)), now)

    def _seen(self, now: datetime, *, findings: tuple[Finding, ...] = (), verdicts: tuple[Verdict, ...] = ()) -> Evaluation:
        return Evaluation(taken_at=now, view=MonitorView(taken_at=now), findings=findings, verdicts=verdicts)

    def _step(self, evaluation: Evaluation, now: datetime) -> tuple[Notification, ...]:
        self.records, told, _why = step(self.records, evaluation, self.rules, (), now)
        # a run that finds it after this one has died sends no trial any more
        return tuple(replace(each, expires_at=now + _EXPIRES) for each in told)


class _Alone:
    """The outbox as if it held nothing but these messages, and their receiver had never failed: a trial is made at once.

    That their receiver took one is kept, that it did not is not: the trial says so to the person who made it.
    """

    def __init__(self, alerts: Alerts, name: str) -> None:
        self.ids: set[str] = set()
        self._alerts = alerts
        self._channel = Channel(receiver=name)

    def transaction(self) -> AbstractContextManager[None]:
        return self._alerts.transaction()

    def records(self, names: Collection[str] | None = None) -> Records:  # noqa: ARG002 - the trial's incident is nobody else's
        return Records()

    def write_records(self, before: Records, after: Records) -> None:
        """There are none."""

    def rows(self) -> tuple[Row, ...]:
        return tuple(row for row in self._alerts.rows() if row.id in self.ids)

    def put_rows(self, *rows: Row) -> None:
        self._alerts.put_rows(*rows)

    def channels(self) -> Mapping[str, Channel]:
        return {self._channel.receiver: self._channel}

    def put_channels(self, *channels: Channel) -> None:
        for channel in channels:
            known = self._alerts.channels().get(channel.receiver)
            if known is not None and channel.succeeded_at is not None:
                well = replace(known, failures=0, failed_at=None, not_before=None, broken=None, succeeded_at=channel.succeeded_at)
                self._alerts.put_channels(well)
            self._channel = channel


def _through_the_outbox(run: Run, receiver: Receiver, life: _Life, words: Callable[[Notification], Message]) -> list[SentRow]:
    """Queue it, drain it, and leave nothing of it waiting; whoever keeps incidents open is told that it is over, too."""
    from pvectl.notify.pagerduty import PagerDuty
    from pvectl.notify.webhook import Webhook
    from pvectl.store.alerts import Alerts

    alerts = Alerts(run.store("alert", patience=_PATIENCE_S))
    book = _Alone(alerts, receiver.name)
    deadline = run.time_for(_DEADLINE_S)
    begins = life.begins(run.clock.now())
    sent = [_sent(run, book, receiver, each, words, deadline) for each in begins]
    if isinstance(receiver, Webhook | PagerDuty) and all(row.delivered for row in sent):
        life.arrived(begins, run.clock.now())
        sent += [_sent(run, book, receiver, each, words, deadline) for each in life.ends(run.clock.now())]
    return sent


def _sent(
    run: Run, book: _Alone, receiver: Receiver, notification: Notification, words: Callable[[Notification], Message], deadline: TimeLeft
) -> SentRow:
    from pvectl.notify.outbox import drain

    shown: dict[str, Message] = {}

    def worded(each: Notification) -> Message:
        shown[each.id] = words(each)
        return shown[each.id]

    now = run.clock.now()
    book.ids = {notification.id}
    with book.transaction():
        book.put_rows(*enqueued((), (notification,), now))
    try:
        drained = drain(
            book, lambda _: receiver, {receiver.name: _LIMIT}, words=worded, clock=run.clock, deadline=deadline, jitter=random.random
        )
    finally:
        with book.transaction():
            row = next(iter(book.rows()), None)
            if row is not None and row.state in (State.PENDING, State.DEAD):
                book.put_rows(dropped(row, run.clock.now()))
    error = None if drained.sent else (row.error if row is not None else None) or "time was up"
    return _told(shown.get(notification.id) or words(notification), notification.kind, error, "; ".join(drained.troubles))


def _mirrored(run: Run, receiver: Alertmanager, life: _Life, zone: ZoneInfo) -> list[SentRow]:
    """An Alertmanager is shown how things are, without an outbox: first that it fires, then that it is over."""
    from pvectl.notify.alertmanager import push
    from pvectl.notify.mirror import mirrored
    from pvectl.notify.result import Delivered

    deadline = run.time_for(_DEADLINE_S)
    sent: list[SentRow] = []
    for kind, happens in ((Kind.FIRING, life.begins), (Kind.RESOLVED, life.ends)):
        now = run.clock.now()
        told = happens(now)
        life.arrived(told, now)
        messages = mirrored(life.records, life.rules, receiver.name, now, zone)
        result = push(messages, receiver, deadline=deadline, clock=run.clock)
        sent += [_told(each, kind, None if isinstance(result, Delivered) else result.reason, "") for each in messages]
        if not sent[-1].delivered:
            break
    return sent


def _told(message: Message, kind: Kind, error: str | None, trouble: str) -> SentRow:
    shown = message.cleaned()
    return SentRow(
        id=shown.id,
        kind=kind,
        subject=shown.subject,
        text=shown.text,
        fields=shown.fields,
        delivered=error is None,
        error=clean(error) if error is not None else None,
        trouble=clean(trouble) or None,
    )


def _type_of(name: str, section: Alert) -> str:
    from difflib import get_close_matches

    if not section.receivers:
        raise ConfigError("no receiver is configured, so nobody is told of anything", hint=HOW_TO_TELL)
    if name not in section.receivers:
        close = get_close_matches(name, section.receivers, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(section.receivers)}"
        raise UsageError(f"there is no receiver '{clean(name)}' in pvectl.yml", hint=hint)
    return str(section.receivers[name].__struct_config__.tag)


def _made_up(check: str | None) -> Finding:
    if check is not None and check not in IDS:
        raise UsageError(f"there is no check {clean(check)}", hint=nearest_check(check))
    message = f"this is a test by pvectl{f' as if by {check}' if check is not None else ''}, nothing is wrong"
    return Finding(check=check or _CHECK, object=TRIAL, severity=Severity.CRITICAL, message=message)


def _alone(rules: Rules, name: str) -> Rules:
    """The same rules with nobody to tell but this receiver, and over as soon as it is fine."""
    ours = tuple(replace(rule, receivers=None, keep_firing_for=0) for rule in rules.rules)
    return replace(rules, receivers=(name,), rules=ours, keep_firing_for=0)


def _page(trial: Trial, treatment: Treatment, *, mirrors: bool) -> str:
    """Which rule would treat it and whom it would tell, then each message and what became of it."""
    rule = "no rule fits it, so the default" if trial.rule == "default" else f"rule {clean(trial.rule)}"
    whom = ", ".join(treatment.receivers) or "nobody"
    when = f"once it has lasted {span(trial.for_s)}" if trial.for_s else "at once"
    lines = [f"{rule} would treat this: {whom} would be told, {when}"]
    if not mirrors and trial.receiver not in treatment.receivers:
        lines.append(f"it does not name {trial.receiver}, which is told all the same: this is a test")
    for message in trial.messages:
        lines += ["", f"  {message.subject}", *(f"  {line}".rstrip() for line in message.text.splitlines())]
        width = max((len(name) for name, _value in message.fields), default=0) + 1
        lines += [f"  {f'{name}:':<{width}} {value}" for name, value in message.fields]
        came_of = f"{trial.receiver} ({trial.type}) took it" if message.delivered else f"NOT delivered: {message.error}"
        lines.append(came_of + (f"; {message.trouble}" if message.trouble else ""))
    return "\n".join(lines)
