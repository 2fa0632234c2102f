"""A message in the outbox, and the receiver it is for."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from pvectl.core.alerts.notification import Notification


class State(StrEnum):
    """`replaced`: a newer message says it too; `dropped`: an administrator threw it away."""

    PENDING = "pending"
    SENT = "sent"
    DEAD = "dead"
    REPLACED = "replaced"
    DROPPED = "dropped"


class Row(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message in the outbox. `waiting_since`: since when what it says, or what it stands in for, has not arrived.

    `sending`: an attempt began, and nobody wrote down how it ended. `uncertain`: an attempt failed that may have arrived all the same.
    """

    notification: Notification
    queued_at: datetime
    waiting_since: datetime
    state: State = State.PENDING
    attempts: int = 0
    sending: bool = False
    uncertain: bool = False
    tried_at: datetime | None = None
    error: str | None = None
    ended_at: datetime | None = None

    @property
    def id(self) -> str:
        return self.notification.id

    @property
    def may_have_arrived(self) -> bool:
        """Then only the very same message under the same id may be sent for it."""
        return self.sending or self.uncertain

    @property
    def receiver(self) -> str:
        return self.notification.receiver


class Limit(Struct, frozen=True, kw_only=True):
    """How many messages a receiver may get: `burst` at once, `per_hour` in the long run. What exceeds it goes into a digest."""

    per_hour: int = 10
    burst: int = 5


class Channel(Struct, frozen=True, kw_only=True):
    """How a receiver does. `spent` are the tokens taken out of its bucket at `spent_at`; `broken` is why it needs an administrator."""

    receiver: str
    spent: float = 0.0
    spent_at: datetime | None = None
    failures: int = 0
    failed_at: datetime | None = None
    not_before: datetime | None = None
    broken: str | None = None
    succeeded_at: datetime | None = None

    def is_open(self, now: datetime) -> bool:
        """Whether it may be tried; a clock that was set back does not keep it shut."""
        if self.not_before is None or self.failed_at is None:
            return True
        return now >= self.not_before or now < self.failed_at


class Result(StrEnum):
    """What became of an attempt. `misconfigured` lasts until an administrator mends it, `rejected` is about this one message."""

    ARRIVED = "arrived"
    RETRY = "retry"
    MISCONFIGURED = "misconfigured"
    REJECTED = "rejected"


class Answer(Struct, frozen=True, kw_only=True):
    """How a receiver answered; `retry_after` in seconds, where it said so. `uncertain`: it may have taken the message before it failed."""

    result: Result
    uncertain: bool = False
    error: str | None = None
    retry_after: float | None = None
