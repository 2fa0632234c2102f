"""What is let go of after a while, so that the file does not grow for ever."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta

from pvectl.store import rows

_KEPT_FOR = timedelta(days=90)
_EVIDENCE_LIMIT = 32 * 2**20


def let_go(connection: sqlite3.Connection, now: datetime) -> None:
    """Old decisions without action, most of them when there are too many, and old holds."""
    old = rows.in_words(now - _KEPT_FOR)
    idle = f"acted = 0 AND id NOT IN ({rows.ACTED_ON.format(1)})"
    rows.take_out(connection, "holds", "coalesce(removed_at, until) < ?", (old,))
    rows.take_out(connection, "decisions", f"at < ? AND {idle}", (old,))
    weighed = f"SELECT at, sum(length(payload)) OVER (ORDER BY at DESC) AS sum FROM decisions WHERE {idle}"  # noqa: S608
    too_many = f"at <= (SELECT max(at) FROM ({weighed}) WHERE sum > ?) AND {idle}"  # noqa: S608
    rows.take_out(connection, "decisions", too_many, (_EVIDENCE_LIMIT,))
