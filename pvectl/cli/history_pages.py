"""What was done and decided, as a table."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pvectl.cli.hold_pages import named
from pvectl.cli.layout import Column, Table
from pvectl.cli.options import duration
from pvectl.cli.output import Report
from pvectl.cli.words import here, moment, span
from pvectl.core.text import clean

if TYPE_CHECKING:
    from pvectl.cli.context import Run
    from pvectl.store import HistoryEntry

_GOOD = ("done", "started", "act")
_BAD = ("failed", "timed-out", "unknown", "no outcome", "blind")
# a day and a month tell these apart, and leave a narrow terminal room for the id
_THIS_YEAR = timedelta(days=300)
_STYLES = dict.fromkeys(_GOOD, "good") | dict.fromkeys(_BAD, "bad")


def told(run: Run, subject: str | None, *, since: str, header: bool) -> Report:
    """All that the state file tells of the time since then."""
    now = run.clock.now()
    about = None if subject is None else f"guest/{int(subject)}" if subject.isascii() and subject.isdigit() else f"node/{subject}"
    entries = run.store("read").history(since=now - timedelta(seconds=duration("--since", since, at_least=1)), subject=about)
    what = f"nothing happened in the last {since}" + (f" to {clean(subject)}" if subject else "")
    return Report(
        schema="history",
        data=entries,
        text=table_of(entries, now=now, header=header) if entries else what,
        cluster=run.cluster_name(),
    )


def table_of(entries: tuple[HistoryEntry, ...], *, now: datetime, header: bool = True) -> Table:
    columns = (
        Column(title="WHEN"),
        Column(title="SUBJECT"),
        Column(title="WHAT"),
        Column(title="RESULT", style=_STYLES.get),
        Column(title="TOOK", right=True, need=3),
        Column(title="JOB", need=4),
        Column(title="ID"),
        Column(title="WHY", flexible=True, least=18, wrap=True),
    )
    return Table(columns=columns, rows=[_cells(entry, now) for entry in entries], header=header)


def _cells(entry: HistoryEntry, now: datetime) -> tuple[str, ...]:
    when = entry.at.astimezone().strftime("%m-%d %H:%M:%S" if now - entry.at < _THIS_YEAR else "%Y-%m-%d %H:%M:%S")
    if entry.what == "action":
        what, result, why = entry.verb or "", entry.status or "no outcome", entry.error or ""
    elif entry.what == "decision":
        what = entry.phase or "decided"
        result, why = entry.verdict or "", here(entry.detail or entry.reason or "", entry.at)
    else:
        what, result, why = entry.what.replace("-", " "), "", _of_hold(entry) if entry.until else entry.detail or ""
    took = span(entry.took) if entry.took is not None else "-"
    return (when, clean(named(entry.subject)), what, result, took, entry.job or "-", entry.decision_id or entry.id, clean(why))


def _of_hold(entry: HistoryEntry) -> str:
    until = f", until {moment(entry.until, entry.at)}" if entry.until and entry.what == "hold-added" else ""
    return f"{entry.reason or '-'} (placed by {entry.who or 'somebody'}{until})"
