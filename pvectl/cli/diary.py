"""The state file as those who act write into it: an intent before each request, its outcome after, and holds looked up anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pvectl.cli.words import moment
from pvectl.core.hold import holding
from pvectl.core.text import clean

if TYPE_CHECKING:
    from datetime import datetime

    from pvectl.clock import Clock
    from pvectl.core.hold import Hold
    from pvectl.store import Store, Verb


def in_words(hold: Hold, now: datetime) -> str:
    """A hold as one says it of what it holds."""
    return f"held until {moment(hold.until, now)} by {clean(hold.who)}: {clean(hold.reason)}"


class StoredDiary:
    """What one decision leads to, written down under its id."""

    def __init__(self, store: Store, clock: Clock, *, job: str, run_id: str, decision_id: str) -> None:
        self._store = store
        self._clock = clock
        self._job = job
        self._run_id = run_id
        self._decision_id = decision_id

    def held(self, subject: str) -> str | None:
        """Who holds the subject, until when and why; None when nobody does."""
        now = self._clock.now()
        hold = holding(self._store.holds(at=now), subject, now)
        if hold is None:
            return None
        return in_words(hold, now)

    def intend(self, verb: Verb, subject: str, details: Mapping[str, object]) -> str:
        """On disk when this returns.

        Raises:
            CannotWrite: it is not.
        """
        import msgspec

        from pvectl.store import Intent

        intent = Intent(
            id=self._store.new_id(),
            decision_id=self._decision_id,
            run_id=self._run_id,
            at=self._clock.now(),
            boottime=self._clock.boottime(),
            boot_id=self._clock.boot_id(),
            job=self._job,
            verb=verb,
            subject=subject,
            details=msgspec.Raw(msgspec.json.encode(details)),
        )
        self._store.intend(intent)
        return intent.id

    def ended(self, intent: str, status: str, *, upid: str | None = None, error: str | None = None, took: float | None = None) -> None:
        self._store.ended(intent, status=status, at=self._clock.now(), upid=upid, error=error, took=took)
