"""The idle decision in words, for people."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from pvectl.core.idle.record import Blocker, NodeDecision
from pvectl.core.plan import Reason

_STOPS = frozenset({Reason.NOT_TAGGED, Reason.TAG_UNREGISTERED, Reason.EXCLUDED, Reason.HA_MANAGED})


def told(decision: NodeDecision, at: Callable[[datetime], str] | None = None) -> str:
    """The decision as one sentence; `at` writes a moment in the reader's zone, UTC without it."""
    gone = if_gone(decision.blockers, decision.due, at or utc(decision.at))
    return f"{decision.detail}; {gone}" if gone is not None else decision.detail


def if_gone(blockers: tuple[Blocker, ...], due: datetime | None, at: Callable[[datetime], str]) -> str | None:
    """What would change the verdict: "if it stopped now, off at 22:41 UTC at the earliest"; None where no time can be told."""
    if due is None:
        return None
    off = f"off at {at(due)} at the earliest"
    if not blockers:
        return off
    if all(blocker.blind for blocker in blockers):
        return f"if everything could be seen and nothing needed it, {off}"
    ends = [blocker.until for blocker in blockers if blocker.until is not None]
    if ends:
        return f"until {at(ends[0])}, then {off}" if len(blockers) == 1 else f"once all that is over, {off}"
    if len(blockers) == 1:
        return f"if it stopped now, {off}" if blockers[0].reason in _STOPS else f"if that were over now, {off}"
    return f"if all that were over now, {off}"


def utc(today: datetime) -> Callable[[datetime], str]:
    """Moments in UTC: the time alone on the same day, the date with it otherwise."""

    def written(moment: datetime) -> str:
        moment = moment.astimezone(UTC)
        return f"{moment:%H:%M} UTC" if moment.date() == today.astimezone(UTC).date() else f"{moment:%Y-%m-%d %H:%M} UTC"

    return written


def stays_on(node: str, blockers: tuple[Blocker, ...]) -> str:
    """Why it stays on: the first reason, and how many there are beside it."""
    others = len(blockers) - 1
    more = f" (and {others} more)" if others else ""
    first = blockers[0].detail
    because = f"it{first.removeprefix(node)}" if first.startswith(f"{node} ") else first
    return f"{node} stays on because {because}{more}"
