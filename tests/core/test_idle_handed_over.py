"""A node that a schedule wants off: every veto counts, only the grace period and the notice do not."""

from __future__ import annotations

from datetime import timedelta

from pvectl.core import idle
from pvectl.core.evidence import NodeEvidence
from pvectl.core.idle import Now, Phase, Step
from pvectl.core.plan import Reason, Verdict
from tests.core.idle_cases import BOOT, BOOTTIME, POLICY, REFUSED, WALL, evidence, hold, tagged, untagged

NOW = Now(wall=WALL, boottime=BOOTTIME, boot_id=BOOT)


def _handed(seen: NodeEvidence) -> Step:
    return idle.handed_over(None, seen, POLICY, NOW)


def test_an_idle_node_goes_off_at_once_with_its_tagged_guests() -> None:
    step = _handed(evidence(tagged(200)))
    assert (step.decision.verdict, step.decision.reason, step.record.phase) == (Verdict.ACT, Reason.SCHEDULED, Phase.DRAIN)
    assert step.decision.action is not None
    assert [one.guest.vmid for stage in step.decision.action.stages for one in stage] == [200]
    assert step.record.planned == (200,)
    assert "as a schedule says" in step.decision.detail
    assert idle.step(None, evidence(tagged(200)), POLICY, NOW).decision.verdict is Verdict.WAIT


def test_whatever_is_going_on_may_go_on_right_after() -> None:
    seen = evidence(tagged(200))
    step = _handed(seen)
    assert idle.may_go_on(seen, POLICY, step.record, NOW).stop is None


def test_s09_an_untagged_guest_keeps_it_on() -> None:
    step = _handed(evidence(untagged()))
    assert (step.decision.verdict, step.decision.reason, step.record.phase) == (Verdict.KEEP, Reason.NOT_TAGGED, Phase.BUSY)


def test_s25_a_hold_keeps_it_on() -> None:
    step = _handed(evidence(holds=(hold(),)))
    assert (step.decision.verdict, step.decision.reason, step.record.phase) == (Verdict.KEEP, Reason.HELD, Phase.HELD)


def test_s02_what_could_not_be_seen_keeps_it_on() -> None:
    assert _handed(evidence(guests=REFUSED)).decision.verdict is Verdict.BLIND


def test_s15_a_node_that_has_just_booted_stays_on_and_no_time_is_credited() -> None:
    step = _handed(evidence(uptime=60))
    assert (step.decision.verdict, step.decision.reason) == (Verdict.KEEP, Reason.UPTIME_SHORT)
    assert (step.record.credit_s, step.record.observations) == (0, 0)


def test_s08_a_node_that_is_not_listed_or_off_already_is_left_alone() -> None:
    assert _handed(evidence(node="pve9")).decision.reason is Reason.NOT_LISTED
    assert _handed(evidence(status="offline")).decision.reason is Reason.NODE_OFF


def test_s12_a_budget_keeps_it_on() -> None:
    many = tuple(tagged(200 + number) for number in range(POLICY.max_guests_per_run + 1))
    step = _handed(evidence(*many))
    assert (step.decision.verdict, step.decision.reason) == (Verdict.KEEP, Reason.TOO_MANY_GUESTS)
    assert step.decision.due is None or step.decision.due >= WALL - timedelta(seconds=1)


def test_s09_a_guest_that_the_schedule_has_left_alone_keeps_its_node_on_and_others_do_not() -> None:
    seen = evidence(tagged(200), tagged(201))
    step = idle.handed_over(None, seen, POLICY, NOW, spared=(201, 777))
    assert (step.decision.verdict, step.decision.reason, step.decision.action) == (Verdict.KEEP, Reason.LEFT_ALONE, None)
    assert [blocker.subject for blocker in step.decision.blockers] == ["guest/201"]
    assert idle.handed_over(None, evidence(tagged(200), tagged(201, status="stopped")), POLICY, NOW, spared=(201,)).decision.action
