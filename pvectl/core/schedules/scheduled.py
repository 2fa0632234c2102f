"""Whom one occurrence of a schedule is about: selected, tagged, not held, running, and on a node it is for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from datetime import datetime

from msgspec import Struct

from pvectl.core import shutdown, tags
from pvectl.core.hold import Hold, holding
from pvectl.core.model import Guest, Node
from pvectl.core.plan import Decision, Reason, Shutdown, Verdict
from pvectl.core.select import Picked


class Scope(Struct, frozen=True, kw_only=True):
    """Whom a schedule may touch, and how. `require_tag` None lifts the tag, `nodes` None means all; no node named means none.

    `timeout` is what each guest gets to shut down, in seconds; `force_stop` pulls the plug afterwards.
    """

    require_tag: str | None
    nodes: frozenset[str] | None = None
    timeout: int
    force_stop: bool = False
    case_sensitive: bool = False


class Surroundings(Struct, frozen=True, kw_only=True):
    """What counts beside the guests themselves: the nodes as they are now, and the holds there are."""

    nodes: tuple[Node, ...]
    holds: tuple[Hold, ...] = ()
    now: datetime


class Chosen(Struct, frozen=True, kw_only=True):
    """One decision for each guest that was asked for, in vmid order; `warnings` are sentences about what the selection did not find."""

    decisions: tuple[Decision, ...]
    warnings: tuple[str, ...] = ()

    @property
    def actions(self) -> tuple[Shutdown, ...]:
        return tuple(decision.action for decision in self.decisions if isinstance(decision.action, Shutdown))

    @property
    def held(self) -> tuple[Decision, ...]:
        """The guests that only a hold keeps on."""
        return tuple(decision for decision in self.decisions if decision.reason is Reason.HELD)

    @property
    def unseen(self) -> tuple[Decision, ...]:
        """The guests nobody can say anything of: an unwatched failure, not a guest that was spared."""
        return tuple(decision for decision in self.decisions if decision.verdict is Verdict.BLIND)

    @property
    def why_empty(self) -> str | None:
        """Why nobody is asked to shut down, in one sentence; None when somebody is."""
        if self.actions:
            return None
        if not self.decisions:
            return "nothing to shut down: " + ("; ".join(self.warnings) or "the selection asks for nothing")
        counts = Counter(decision.reason for decision in self.decisions)
        parts = (f"{count} because {reason.sentence}" for reason, count in counts.most_common())
        found = len(self.decisions)
        return f"nothing to shut down: of {found} guest{'s' if found > 1 else ''} found, none may be asked: {'; '.join(parts)}"


def choose(picked: Picked, scope: Scope, around: Surroundings) -> Chosen:
    """Who is asked to shut down and who is not, each with the first reason that keeps it: a hold beats all, then what was taken away."""
    excluded = {guest.vmid for guest in picked.excluded}
    guests = {guest.vmid: guest for guest in (*picked.guests, *picked.excluded)}
    online = {node.name for node in around.nodes if node.status == "online"}
    decisions = tuple(_decision(guests[vmid], scope, around, online, excluded=vmid in excluded) for vmid in sorted(guests))
    return Chosen(decisions=decisions, warnings=picked.advice)


def reason_to_keep(guest: Guest, scope: Scope, around: Surroundings, online: Collection[str]) -> tuple[Verdict, Reason, str] | None:
    """Why this guest is not to be asked, with a sentence for people; None when it may be. `online` are the nodes that are."""
    hold = _hold(guest, around)
    if hold is not None:
        why = f"{hold.who} holds {hold.subject} until {hold.until:%Y-%m-%d %H:%M} UTC: {hold.reason}"
        return Verdict.KEEP, Reason.HELD, why
    if scope.nodes is not None and guest.node not in scope.nodes:
        return Verdict.KEEP, Reason.OUT_OF_SCOPE, f"it is on node {guest.node}, and the schedule is for {_listed(scope.nodes)}"
    if scope.require_tag is not None and not _tagged(guest, scope.require_tag, case_sensitive=scope.case_sensitive):
        return Verdict.KEEP, Reason.NOT_TAGGED, f"it does not carry the tag {scope.require_tag}"
    if guest.node not in online:
        return Verdict.BLIND, Reason.NODE_UNSEEN, f"node {guest.node} is not online, and whether it runs there cannot be seen"
    return shutdown.reason_to_keep(guest)


def _decision(guest: Guest, scope: Scope, around: Surroundings, online: Collection[str], *, excluded: bool) -> Decision:
    kept = reason_to_keep(guest, scope, around, online)
    if excluded and (kept is None or kept[1] is not Reason.HELD):
        kept = Verdict.KEEP, Reason.EXCLUDED, "the selection takes it away"
    if kept is not None:
        verdict, reason, detail = kept
        return Decision(subject=guest.subject, verdict=verdict, reason=reason, detail=detail)
    action = Shutdown(guest=guest, timeout=scope.timeout, force_stop=scope.force_stop)
    detail = f"shut down within {action.within}" + (", then stopped by force" if action.force_stop else "")
    return Decision(subject=guest.subject, verdict=Verdict.ACT, reason=Reason.SCHEDULED, detail=detail, action=action)


def _hold(guest: Guest, around: Surroundings) -> Hold | None:
    """A hold on the guest, or on the node it is on: who keeps a node on means what runs there as well."""
    return holding(around.holds, guest.subject, around.now) or holding(around.holds, f"node/{guest.node}", around.now)


def _tagged(guest: Guest, tag: str, *, case_sensitive: bool) -> bool:
    wanted = tags.fold(tag, case_sensitive=case_sensitive)
    return any(tags.fold(carried, case_sensitive=case_sensitive) == wanted for carried in guest.tags)


def _listed(nodes: Iterable[str]) -> str:
    return ", ".join(sorted(nodes)) or "no node"
