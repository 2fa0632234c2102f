"""What happened, told from what is kept: actions with their outcome, decisions that changed, holds, and what was lost."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import datetime
from operator import attrgetter

from pvectl.store import rows
from pvectl.store.entries import HistoryEntry, What

# a job that says the same of the same subject every five minutes has nothing to tell
_CHANGED = """
    id IN (
        SELECT id FROM (
            SELECT id, at, verdict, reason, phase,
                lag(verdict) OVER before AS old_verdict, lag(reason) OVER before AS old_reason, lag(phase) OVER before AS old_phase
            FROM decisions WHERE subject = :subject OR :subject IS NULL
            WINDOW before AS (PARTITION BY job, subject ORDER BY at, id)
        ) WHERE at >= :since AND (verdict, reason, phase) IS NOT (old_verdict, old_reason, old_phase)
    )
"""


def told(connection: sqlite3.Connection, *, since: datetime, subject: str | None, now: datetime) -> tuple[HistoryEntry, ...]:
    """The newest first."""
    entries = [
        *_actions(connection, since, subject),
        *_decisions(connection, since, subject),
        *_holds(connection, since, subject, now),
        *(_losses(connection, since) if subject is None else ()),
    ]
    return tuple(sorted(entries, key=attrgetter("at", "id"), reverse=True))


def _actions(connection: sqlite3.Connection, since: datetime, subject: str | None) -> Iterator[HistoryEntry]:
    rows.check_sum(connection, "actions")
    for row in (*rows.rows(connection, "intents"), *rows.rows(connection, "actions")):
        intent, ending = rows.intent(row)
        if intent.at < since or subject not in (None, intent.subject):
            continue
        yield HistoryEntry(
            at=intent.at,
            what="action",
            subject=intent.subject,
            id=intent.id,
            job=intent.job,
            run_id=intent.run_id,
            decision_id=intent.decision_id,
            verb=intent.verb,
            status=ending.status if ending else None,
            upid=ending.upid if ending else None,
            error=ending.error if ending else None,
            took=ending.took if ending else None,
            ended_at=ending.at if ending else None,
        )


def _decisions(connection: sqlite3.Connection, since: datetime, subject: str | None) -> Iterator[HistoryEntry]:
    for row in rows.rows(connection, "decisions", _CHANGED, {"since": rows.in_words(since), "subject": subject}):
        entry = rows.decision(row)
        yield HistoryEntry(
            at=entry.at,
            what="decision",
            subject=entry.subject,
            id=entry.id,
            job=entry.job,
            run_id=entry.run_id,
            decision_id=entry.id,
            verdict=entry.verdict,
            reason=entry.reason,
            detail=entry.detail,
            phase=entry.phase,
        )


def _holds(connection: sqlite3.Connection, since: datetime, subject: str | None, now: datetime) -> Iterator[HistoryEntry]:
    for row in rows.rows(connection, "holds", "subject = :subject OR :subject IS NULL", {"subject": subject}):
        hold, removed = rows.hold(row), row[-1]
        events: dict[What, datetime] = {"hold-added": hold.made_at}
        if removed is not None:
            events["hold-removed"] = rows.moment(removed)
        elif not hold.in_force(now):
            events["hold-expired"] = hold.until
        for what, at in events.items():
            if at >= since:
                yield HistoryEntry(
                    at=at,
                    what=what,
                    subject=hold.subject,
                    id=hold.id,
                    reason=hold.reason,
                    until=hold.until,
                    who=hold.who,
                )


def _losses(connection: sqlite3.Connection, since: datetime) -> Iterator[HistoryEntry]:
    for name, at, why in rows.rows(connection, "losses", "at >= ?", (rows.in_words(since),)):
        yield HistoryEntry(at=rows.moment(at), what="set-aside", subject="state", id=str(name), detail=str(why))
