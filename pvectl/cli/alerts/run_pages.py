"""What one run of the alerts did, in every form."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from pvectl.cli.alerts.run import failing_of
from pvectl.cli.alerts.words import open_ones
from pvectl.cli.layout import Column, Table
from pvectl.cli.output import Problem, Report
from pvectl.core.alerts.incident import Kind, Phase
from pvectl.core.alerts.message import written
from pvectl.core.amounts import many
from pvectl.core.monitor.finding import Severity
from pvectl.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import tzinfo

    from pvectl.cli.alerts.run import Ran
    from pvectl.cli.context import Run
    from pvectl.core.alerts.notification import Notification
    from pvectl.core.alerts.outbox import Row

_STYLES = {"sent": "good", "waiting": "warn", "given-up": "bad"}


class MessageRow(Struct, frozen=True, kw_only=True):
    """One message of this run; `error` is why it has not arrived, `incidents` are the ids it is about."""

    id: str
    receiver: str
    kind: Kind
    severity: Severity
    subject: str
    status: Literal["sent", "waiting", "given-up", "planned"]
    attempts: int = 0
    error: str | None = None
    incidents: tuple[str, ...] = ()


class AlertRun(Struct, frozen=True, kw_only=True):
    """What one run came to: the incidents that are firing by severity, those `pending` and those `recovering`.

    `waiting` counts all messages still to be delivered, also those of earlier runs; `broken` says why a receiver takes none.
    """

    looked: bool
    critical: int
    warning: int
    unknown: int
    pending: int
    recovering: int
    messages: tuple[MessageRow, ...]
    waiting: int
    broken: dict[str, str]


def report(run: Run, *, dry_run: bool) -> Report:
    """Look, tell, and report what was told."""
    from pvectl.cli.alerts import run as alert_run
    from pvectl.cli.alerts.setup import zone_of

    section = run.jobs().alert
    if not section.enabled:
        return Report(
            schema="alert-run", data=None, text="alert.enabled is false in pvectl.yml: nobody is told", cluster=run.cluster, news=False
        )
    ran = alert_run.ran(run, dry_run=dry_run)
    rows = tuple(_rows(ran, zone_of(run, section)))
    failures = [each for each in (ran.unkept, ran.error) if each is not None]
    told = _told(ran, rows)
    return Report(
        schema="alert-run",
        data=told,
        text=lambda: _page(ran, told),
        csv=lambda: _table(rows),
        exit_code=_exit_code(ran),
        complete=ran.error is None,
        cluster=run.cluster,
        problems=tuple(Problem.of(each) for each in failures),
        news=bool(rows or failures or told.broken),
        remarks=_remarks(ran),
    )


def _exit_code(ran: Ran) -> ExitCode:
    drained, unkept = ran.drained, ran.sent_unkept
    if failing_of(ran) or (drained is not None and (drained.failed or drained.dead)) or (unkept is not None and unkept.failed):
        return ExitCode.FAILED
    failure = ran.unkept or ran.error
    return ExitCode.OK if failure is None else failure.exit_code


def _rows(ran: Ran, zone: tzinfo) -> Iterator[MessageRow]:
    if ran.rehearsal:
        yield from (_row(each, "planned", zone) for each in ran.planned)
    if ran.drained is not None:
        yield from (_of_row(row, "sent", zone) for row in ran.drained.sent)
        yield from (_of_row(row, "waiting", zone) for row in ran.drained.failed)
        yield from (_of_row(row, "given-up", zone) for row in ran.drained.dead)
    if ran.sent_unkept is not None:
        yield from (_row(each, "sent", zone) for each in ran.sent_unkept.sent)


def _of_row(row: Row, status: Literal["sent", "waiting", "given-up"], zone: tzinfo) -> MessageRow:
    return _row(row.notification, status, zone, attempts=row.attempts, error=row.error)


def _row(
    notification: Notification,
    status: Literal["sent", "waiting", "given-up", "planned"],
    zone: tzinfo,
    *,
    attempts: int = 0,
    error: str | None = None,
) -> MessageRow:
    return MessageRow(
        id=notification.id,
        receiver=notification.receiver,
        kind=notification.kind,
        severity=notification.severity,
        subject=written(notification, zone).subject,
        status=status,
        attempts=attempts,
        error=error,
        incidents=tuple(dict.fromkeys(story.incident for story in notification.stories)),
    )


def _told(ran: Ran, rows: tuple[MessageRow, ...]) -> AlertRun:
    phases = Counter(each.phase for each in ran.records.incidents.values())
    counts = Counter(each.severity for each in open_ones(ran.records) if each.phase is Phase.FIRING and each.inhibited_by is None)
    return AlertRun(
        looked=ran.error is None,
        critical=counts[Severity.CRITICAL],
        warning=counts[Severity.WARNING],
        unknown=counts[Severity.UNKNOWN],
        pending=phases[Phase.PENDING],
        recovering=phases[Phase.RECOVERING],
        messages=rows,
        waiting=ran.drained.waiting if ran.drained is not None else ran.waiting,
        broken=failing_of(ran),
    )


def _page(ran: Ran, told: AlertRun) -> str:
    return "".join(f"{line}\n" for line in _lines(ran, told))


def _lines(ran: Ran, told: AlertRun) -> Iterator[str]:
    for row in told.messages:
        match row.status:
            case "planned":
                yield f"would tell {row.receiver}: {row.subject}"
            case "sent":
                yield f"told {row.receiver}: {row.subject}"
            case "waiting":
                yield f"not delivered to {row.receiver} yet: {row.subject} ({row.error or 'no answer'})"
            case "given-up":
                yield f"given up for {row.receiver}: {row.subject} ({row.error or 'no answer'})"
    for name, why in sorted(told.broken.items()):
        yield f"receiver {name} takes no messages: {why}"
    if summary := _summary(ran, told):
        yield summary


def _summary(ran: Ran, told: AlertRun) -> str:
    counts = ((told.critical, "critical"), (told.warning, "warning" if told.warning == 1 else "warnings"), (told.unknown, "unknown"))
    open_now = ", ".join(f"{count} {word}" for count, word in counts if count)
    parts = [f"open: {open_now}" if open_now else "nothing is wrong"] if ran.error is None else []
    parts += [f"{told.pending} not for long enough yet"] if told.pending else []
    parts += [f"{told.recovering} fine, but not for long enough yet"] if told.recovering else []
    if not told.messages:
        parts.append("nobody had to be told" if not ran.rehearsal else "nobody would be told")
    parts += [f"{many(told.waiting, 'message')} wait{'s' if told.waiting == 1 else ''}"] if told.waiting else []
    return "; ".join(parts)


def _remarks(ran: Ran) -> tuple[str, ...]:
    remarks = list(ran.remarks)
    for outcome in (ran.drained, ran.sent_unkept):
        remarks += outcome.troubles if outcome is not None else ()
    if ran.sent_unkept is not None:
        remarks += [f"receiver {name} was not told: {why}" for name, why in sorted(ran.sent_unkept.failed.items())]
    return tuple(remarks)


def _table(rows: tuple[MessageRow, ...]) -> Table:
    columns = (
        Column(title="RECEIVER"),
        Column(title="STATUS", style=_STYLES.get),
        Column(title="KIND"),
        Column(title="SEVERITY"),
        Column(title="SUBJECT", flexible=True),
        Column(title="ERROR", flexible=True),
        Column(title="ID"),
    )
    cells = tuple((row.receiver, row.status, row.kind.value, row.severity.value, row.subject, row.error or "", row.id) for row in rows)
    return Table(columns=columns, rows=cells)
