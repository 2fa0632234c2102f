from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from pvectl.core import idle
from pvectl.core.evidence import NodeEvidence
from pvectl.core.idle import NodeRecord, Phase
from pvectl.core.plan import Reason, Verdict
from tests.core.idle_cases import POLICY, REFUSED, WALL, Watch, hold, in_cluster, members, tagged, untagged


def handed_over(evidence: NodeEvidence, watch: Watch, record: NodeRecord | None = None) -> idle.Step:
    return idle.handed_over(record, evidence, POLICY, watch.now)


def test_what_a_schedule_wants_off_needs_no_grace_period_and_no_notice() -> None:
    watch = Watch()
    step = handed_over(watch.evidence(tagged()), watch)
    assert (step.decision.verdict, step.decision.reason, step.record.phase) == (Verdict.ACT, Reason.SCHEDULED, Phase.DRAIN)
    assert (step.record.planned, step.record.credit_s) == ((200,), 0.0)
    watch.wait(10)
    assert idle.may_go_on(watch.evidence(tagged(status="stopped")), POLICY, step.record, watch.now, last=True).stop is None


@pytest.mark.parametrize(
    ("guests", "facts", "verdict"),
    [
        ((untagged(),), {}, Verdict.KEEP),
        ((), {"holds": (hold(),)}, Verdict.KEEP),
        ((), {"uptime": 5}, Verdict.KEEP),
        ((), in_cluster(members=members(pve2=True, pve3=True)), Verdict.KEEP),
        ((), {"ceph": REFUSED}, Verdict.BLIND),
        ((), {"live": False}, Verdict.BLIND),
        ((), {"node": "pve9"}, Verdict.KEEP),
        ((), {"status": "offline"}, Verdict.KEEP),
    ],
)
def test_s09_but_every_veto_counts(guests: tuple[Any, ...], facts: dict[str, Any], verdict: Verdict) -> None:
    watch = Watch()
    step = handed_over(watch.evidence(*guests, **facts), watch)
    assert (step.decision.verdict, step.decision.action) == (verdict, None)
    assert step.record.observations == 0


@pytest.mark.parametrize(
    "state", [{"cooldown_left_s": 1.0}, {"cooldown_left_s": float("nan")}, {"quarantine": "it did not wake up when asked to"}]
)
def test_s23_and_so_do_a_cooldown_and_a_quarantine(state: dict[str, Any]) -> None:
    watch = Watch()
    record = structs.replace(NodeRecord(node="pve2", since=WALL, wall=WALL), **state)
    assert handed_over(watch.evidence(), watch, record).decision.verdict is Verdict.KEEP


def test_s30_a_power_off_whose_end_is_open_is_not_begun_again() -> None:
    watch = Watch()
    begun = handed_over(watch.evidence(), watch)
    watch.wait(60)
    again = handed_over(watch.evidence(), watch, begun.record)
    assert (again.decision.verdict, again.decision.action) == (Verdict.WAIT, None)
