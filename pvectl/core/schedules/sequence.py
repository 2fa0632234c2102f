"""Who of a stage is asked at its turn: looked at anew right before, and held against the plan that its occurrence was claimed with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from pvectl.core.model import Guest
from pvectl.core.plan import Decision, OutcomeStatus, Reason, Verdict
from pvectl.core.schedules import scheduled
from pvectl.core.schedules.resuming import PlannedGuest, reason_to_leave
from pvectl.core.schedules.scheduled import Chosen, Scope, Surroundings
from pvectl.core.schedules.stages import Standing, standing
from pvectl.core.select import Picked


class Look(Struct, frozen=True, kw_only=True):
    """What one look at the cluster found of a schedule's guests; `seen_at` is right before their nodes were asked.

    `runs_in` is the guest pvectl itself runs in. `tag_counts` False: the tag that would permit is not among the registered ones.
    """

    picked: Picked
    scope: Scope
    around: Surroundings
    seen_at: datetime
    runs_in: int | None = None
    tag_counts: bool = True


class Turn(Struct, frozen=True, kw_only=True):
    """What is decided about one guest at its stage's turn; `standing` None: it is asked now, or was asked and is waited for."""

    vmid: int
    guest: Guest | None
    decision: Decision
    standing: Standing | None = None


def choose(look: Look) -> Chosen:
    """Who may be asked, by what this look found."""
    chosen = scheduled.choose(look.picked, look.scope, look.around)
    return replace(chosen, decisions=tuple(_with_own_doubts(decision, look) for decision in chosen.decisions))


def planned(look: Look, stage_of: Mapping[int, str]) -> tuple[PlannedGuest, ...]:
    """The plan to claim an occurrence with: everybody who may be asked now and is in a stage."""
    return tuple(
        PlannedGuest(
            vmid=action.guest.vmid,
            type=action.guest.type,
            name=action.guest.name,
            stage=stage_of[action.guest.vmid],
            seen_at=look.seen_at,
            uptime=action.guest.uptime,
        )
        for action in choose(look).actions
        if action.guest.vmid in stage_of
    )


def turns(vmids: Iterable[int], look: Look, plan: Sequence[PlannedGuest]) -> tuple[Turn, ...]:
    """What is decided about each guest of a stage: only who was planned for, and still is as it was then, is asked."""
    decisions = {decision.subject: decision for decision in choose(look).decisions}
    guests = {guest.vmid: guest for guest in (*look.picked.guests, *look.picked.excluded)}
    by_vmid = {one.vmid: one for one in plan}
    return tuple(_turn(vmid, guests.get(vmid), decisions.get(f"guest/{vmid}"), by_vmid.get(vmid), look) for vmid in vmids)


def _turn(vmid: int, guest: Guest | None, decision: Decision | None, plan: PlannedGuest | None, look: Look) -> Turn:
    if plan is None:
        kept = decision or _kept(vmid, (Verdict.KEEP, Reason.EXCLUDED, "the selection does not ask for it any more"))
        if kept.verdict is Verdict.ACT:
            kept = _kept(vmid, (Verdict.KEEP, Reason.STARTED_MEANWHILE, "it was not running when this was planned, so it is left alone"))
        return Turn(vmid=vmid, guest=guest, decision=kept, standing=standing(kept, None))
    left = reason_to_leave(plan, guest, seen_at=look.seen_at)
    if left is not None and (plan.asked or plan.result is not None or decision is None or decision.verdict is Verdict.ACT):
        after = _kept(vmid, left)
        return Turn(vmid=vmid, guest=guest, decision=after, standing=_standing_of(plan, guest, after))
    assert decision is not None
    return Turn(vmid=vmid, guest=guest, decision=decision, standing=standing(decision, None))


def _standing_of(plan: PlannedGuest, guest: Guest | None, decision: Decision) -> Standing | None:
    """How a guest stands that an earlier run has dealt with: what is seen counts before what was written down."""
    if guest is not None and guest.is_off:
        return Standing.OFF
    match plan.result:
        case None | OutcomeStatus.STARTED:
            return standing(decision, None)
        case OutcomeStatus.DONE | OutcomeStatus.DRY_RUN | OutcomeStatus.SKIPPED:
            return Standing.KEPT
        case _:
            return Standing(plan.result.value)


def _with_own_doubts(decision: Decision, look: Look) -> Decision:
    """The decision once it is known which guest pvectl runs in, and whether the tag counts (safety rules S10 and S13)."""
    if decision.action is None:
        return decision
    vmid = decision.action.guest.vmid
    if vmid == look.runs_in:
        return _kept(vmid, (Verdict.KEEP, Reason.RUNS_HERE, "pvectl itself runs in it, and would end on the way"))
    if not look.tag_counts and look.scope.require_tag is not None:
        why = f"its tag {look.scope.require_tag} is not among the cluster's registered tags"
        return _kept(vmid, (Verdict.KEEP, Reason.TAG_UNREGISTERED, why))
    return decision


def _kept(vmid: int, why: tuple[Verdict, Reason, str]) -> Decision:
    verdict, reason, detail = why
    return Decision(subject=f"guest/{vmid}", verdict=verdict, reason=reason, detail=detail)
