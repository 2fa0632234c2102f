"""What was done and decided, as a table."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from pvectl.cli.hold_pages import named
from pvectl.cli.layout import Column, Table
from pvectl.cli.options import duration
from pvectl.cli.output import Report
from pvectl.cli.words import span
from pvectl.core.text import clean

if TYPE_CHECKING:
    from pvectl.cli.context import Run
    from pvectl.store import HistoryEntry

_GOOD = ("done", "started", "act")
_BAD = ("failed", "timed-out", "unknown", "no outcome", "blind")
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
        text=table_of(entries, header=header) if entries else what,
        csv=lambda: table_of(entries, header=header),
        cluster=run.cluster_name(),
    )


def table_of(entries: tuple[HistoryEntry, ...], *, header: bool = True) -> Table:
    columns = (
        Column(title="WHEN"),
        Column(title="SUBJECT", need=8),
        Column(title="WHAT"),
        Column(title="RESULT", style=_STYLES.get),
        Column(title="TOOK", right=True, need=3),
        Column(title="JOB", need=4),
        Column(title="ID", need=7),
        Column(title="WHY", flexible=True, least=20, wrap=True),
    )
    return Table(columns=columns, rows=[_cells(entry) for entry in entries], header=header)


def _cells(entry: HistoryEntry) -> tuple[str, ...]:
    when = entry.at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    if entry.what == "action":
        what, result, why = entry.verb or "", entry.status or "no outcome", entry.error or ""
    elif entry.what == "decision":
        what = f"decided ({entry.phase})" if entry.phase else "decided"
        result, why = entry.verdict or "", entry.detail or entry.reason or ""
    else:
        what, result, why = entry.what.replace("-", " "), "", _of_hold(entry) if entry.until else entry.detail or ""
    took = span(entry.took) if entry.took is not None else "-"
    return (when, clean(named(entry.subject)), what, result, took, entry.job or "-", entry.decision_id or entry.id, clean(why))


def _of_hold(entry: HistoryEntry) -> str:
    until = f", until {entry.until.astimezone():%Y-%m-%d %H:%M}" if entry.until and entry.what == "hold-added" else ""
    return f"{entry.reason or '-'} (by {entry.who or 'somebody'}{until})"
