"""What is decided, what is to be done, and what came of it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Self, TypeAlias

from msgspec import Struct

from pvectl.core.model import Guest

_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


class Reason(StrEnum):
    """Why a decision fell as it did; closed, and each member's sentence is what `pvectl explain` prints."""

    def __new__(cls, value: str, sentence: str) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.__doc__ = sentence
        return member

    @property
    def sentence(self) -> str:
        """The reason in words that finish "because …"."""
        return self.__doc__ or self.value

    REQUESTED = "requested", "somebody asked for it"
    ALREADY_OFF = "already-off", "it is stopped already"
    TEMPLATE = "template", "a template never runs"
    PAUSED = "paused", "it is paused, and PVE does not shut a paused guest down"
    LOCKED = "locked", "a lock says that other work is going on with it"
    HA_MANAGED = "ha-managed", "the HA manager owns its state"
    STATUS_UNKNOWN = "status-unknown", "its status is not known, and unknown is never permission"
    EXCLUDED = "excluded", "the selection takes it away"
    TAGS_DIFFER = "tags-differ", "its tags are not yet as asked"
    TAGS_UNCHANGED = "tags-unchanged", "its tags are as asked already"


class Verdict(StrEnum):
    ACT = "act"
    WAIT = "wait"
    KEEP = "keep"
    BLIND = "blind"


class Shutdown(Struct, frozen=True, kw_only=True, tag="shutdown", tag_field="action"):
    """Ask the guest to shut down and give it `timeout` seconds; `force_stop` pulls the plug afterwards and is only ever explicit."""

    guest: Guest
    timeout: int
    force_stop: bool = False

    @property
    def within(self) -> str:
        """The timeout as one writes it: 5400 -> "1h30m"."""
        left, words = self.timeout, ""
        for unit, size in _UNITS:
            count, left = divmod(left, size)
            words += f"{count}{unit}" if count else ""
        return words


class SetTags(Struct, frozen=True, kw_only=True, tag="set-tags", tag_field="action"):
    """Take `remove` away from the guest's tags and put `add` to them; with `replace`, `add` becomes the whole list."""

    guest: Guest
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    replace: bool = False
    after: tuple[str, ...] = ()


Action: TypeAlias = Shutdown | SetTags


class Decision(Struct, frozen=True, kw_only=True):
    """The verdict on one subject. An action stands here exactly when the verdict is ACT."""

    subject: str
    verdict: Verdict
    reason: Reason
    detail: str = ""
    action: Action | None = None
    since: datetime | None = None
    due: datetime | None = None


class Plan(Struct, frozen=True, kw_only=True):
    """All decisions of one run, in the order they will be carried out."""

    made_at: datetime
    decisions: tuple[Decision, ...]

    @property
    def actions(self) -> tuple[Action, ...]:
        return tuple(decision.action for decision in self.decisions if decision.action is not None)


class OutcomeStatus(StrEnum):
    DONE = "done"
    STARTED = "started"
    DRY_RUN = "dry-run"
    SKIPPED = "skipped"
    TIMED_OUT = "timed-out"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Outcome(Struct, frozen=True, kw_only=True):
    """What came of one action. `error` holds PVE's own words; `took` is in seconds.

    `forced` says of a guest that was shut down whether the plug was pulled in the end; None where nobody can tell, and where it is not off.
    """

    action: Action
    status: OutcomeStatus
    upid: str | None = None
    error: str | None = None
    hint: str | None = None
    took: float | None = None
    forced: bool | None = None
