"""What a veto is judged by, and how it is spelled."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from msgspec import Struct

from pvectl.core import tags
from pvectl.core.evidence import Fact, NodeEvidence, T
from pvectl.core.idle.policy import Now, Policy
from pvectl.core.idle.record import Blocker, NodeRecord
from pvectl.core.model import Guest, Known, Unknown
from pvectl.core.plan import Reason


class Case(Struct, frozen=True, kw_only=True):
    """One node before the vetoes: what was seen of it, what is wanted, what is remembered of it and of the other nodes.

    `ours` are the UPIDs of tasks this very run started, `draining` the guests it may have asked to shut down.
    """

    evidence: NodeEvidence
    policy: Policy
    record: NodeRecord
    now: Now
    others: Mapping[str, NodeRecord] = {}
    ours: frozenset[str] = frozenset()
    draining: frozenset[int] | None = None

    @property
    def node(self) -> str:
        return self.evidence.node

    @property
    def subject(self) -> str:
        return f"node/{self.node}"


def value(fact: Fact[T]) -> T | None:
    """What a fact says, or None where it is unknown; the veto of the unknown facts speaks for those."""
    return fact.value if isinstance(fact, Known) else None


def each(fact: Fact[tuple[T, ...]]) -> tuple[T, ...]:
    """The members of what a fact says, none where it is unknown."""
    return fact.value if isinstance(fact, Known) else ()


def unseen(subject: str, detail: str) -> Blocker:
    """A veto that is no more than something that could not be seen."""
    return Blocker(reason=Reason.UNSEEN, subject=subject, detail=detail, blind=True)


def why(unknown: Unknown) -> str:
    return f"{unknown.source}: {unknown.reason}" if unknown.source else unknown.reason


def permits(guest: Guest, case: Case) -> bool:
    """Whether the guest carries the tag that waives its own veto, as PVE compares tags; excluded guests never do (safety rule S9)."""
    if guest.vmid in case.policy.exclude:
        return False
    return carries(guest, case.policy.tag, case.evidence.tags_case_sensitive) and tag_counts(case)


def carries(guest: Guest, tag: str, case_sensitive: Fact[bool]) -> bool:
    sensitive = value(case_sensitive) is True
    wanted = tags.fold(tag, case_sensitive=sensitive)
    return any(tags.fold(own, case_sensitive=sensitive) == wanted for own in guest.tags)


def tag_counts(case: Case) -> bool:
    """Whether the cluster has the tag among its registered ones, where that is asked for (safety rule S10)."""
    if not case.policy.require_registered:
        return True
    if isinstance(case.evidence.registered_tags, Unknown):
        return True  # not for the guest to answer for: the veto of what is unknown does
    registered = case.evidence.registered_tags.value or ()
    sensitive = value(case.evidence.tags_case_sensitive) is True
    return tags.fold(case.policy.tag, case_sensitive=sensitive) in tags.normalise(registered, case_sensitive=sensitive)


def at(moment: datetime) -> str:
    """A moment in a stored sentence: "2026-11-22 22:41 UTC"."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
