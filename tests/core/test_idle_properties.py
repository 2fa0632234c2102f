from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from pvectl.core import idle
from pvectl.core.evidence import (
    CephService,
    Device,
    HaService,
    HaStatus,
    Member,
    NodeEvidence,
    Peer,
    Place,
    Signal,
    SignalState,
    Whereabouts,
)
from pvectl.core.idle import NodeRecord, Now, Phase, Policy, Step
from pvectl.core.model import BlindSpot, Guest, Known, Unknown
from pvectl.core.plan import Verdict
from tests.core.guests import guests
from tests.core.idle_cases import POLICY, REFUSED, WALL, Watch, about_to_act, evidence, hold, in_cluster, tagged, task, untagged

EPOCH = int((WALL + timedelta(seconds=2100)).timestamp())
READY = about_to_act(POLICY, **in_cluster())
READY.wait(300)
RECORD, NOW = READY.record, READY.now
assert RECORD is not None

# every fact as it stands when nothing is in the way, and as it may stand otherwise
GOOD: dict[str, Any] = {"guests": (tagged(200), untagged(110, status="stopped")), **in_cluster()}
OTHER: dict[str, st.SearchStrategy[Any]] = {
    "guests": guests(max_size=3).map(tuple),
    "tags_case_sensitive": st.booleans(),
    "uptime": st.sampled_from([0, 300, 21_800, 22_100, 22_500]),
    "node_time_off": st.sampled_from([0.0, 59.0, 61.0, -3600.0]),
    "tasks": st.sampled_from([(), (task(started=EPOCH - 30),), (task("qmstop", 110, started=EPOCH - 90, ended=EPOCH - 80),)]),
    "incoming": st.sampled_from([(), (task("qmigrate", 110, started=EPOCH),)]),
    "quorate": st.booleans(),
    "members": st.lists(
        st.builds(Member, name=st.sampled_from(["pve1", "pve2", "pve3"]), online=st.booleans(), votes=st.sampled_from([1, None, 3])),
        max_size=3,
        unique_by=lambda member: member.name,
    ).map(tuple),
    "device": st.sampled_from([None, Device(connected=True), Device(connected=True, algorithm="ffsplit")]),
    "ha": st.builds(
        HaStatus,
        quorate=st.sampled_from([True, True, False, None]),
        services=st.sampled_from([(), (HaService(sid="vm:200", node="pve2", state="started"),), (HaService(sid="vm:1", state="migrate"),)]),
    ),
    "ceph": st.sampled_from([(), (CephService(kind="mon", id="pve2"),)]),
    "whereabouts": st.sampled_from([Whereabouts(place=Place.ELSEWHERE), Whereabouts(place=Place.GUEST, vmid=105)]),
}
AROUND: dict[str, st.SearchStrategy[Any]] = {
    "holds": st.sampled_from([(), (hold(),), (hold(until=WALL),)]),
    "signals": st.lists(st.builds(Signal, name=st.just("cpu"), state=st.sampled_from(SignalState)), max_size=1).map(tuple),
    "blind_spots": st.sampled_from([(), None, (BlindSpot(subject="cluster", reason="hidden"),)]),
    "live": st.sampled_from([True, True, True, False]),
    "status": st.sampled_from(["online", "online", "online", "offline", "unknown"]),
}


@st.composite
def sights(draw: st.DrawFn) -> NodeEvidence:
    """Evidence with up to three things about it that are not as they should be."""
    given_: dict[str, Any] = dict(GOOD)
    for name in draw(st.lists(st.sampled_from([*OTHER, *AROUND]), max_size=3, unique=True)):
        given_[name] = draw({**OTHER, **AROUND}[name])
    return seen(given_)


def seen(facts: dict[str, Any]) -> NodeEvidence:
    facts = {"uptime": READY.uptime, **facts}
    return evidence(*facts.pop("guests"), at=NOW.wall, **facts)


def decided(sight: NodeEvidence, record: NodeRecord | None = RECORD, policy: Policy = POLICY) -> Step:
    return idle.step(record, sight, policy, NOW)


def acts(step: Step) -> bool:
    return step.decision.verdict is Verdict.ACT


FEW = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def test_the_start_of_all_these_is_a_node_about_to_go_off() -> None:
    assert acts(decided(seen(GOOD)))


@FEW
@given(sights(), st.sets(st.sampled_from([*OTHER, "standalone", "served", "backups", "replication", "ha_shutdown_policy"]), min_size=1))
def test_s02_to_know_less_never_switches_anything_off(sight: NodeEvidence, lost: set[str]) -> None:
    less = structs.replace(sight, **dict.fromkeys(lost, REFUSED))
    assert not acts(decided(less))


@FEW
@given(sights())
def test_s21_what_is_switched_off_has_nothing_against_it(sight: NodeEvidence) -> None:
    step = decided(sight)
    assert (step.decision.action is not None) is acts(step)
    assert step.decision.detail
    if not acts(step):
        return
    assert step.decision.blockers == ()
    assert sight.status == "online"
    assert sight.live
    assert sight.blind_spots == ()
    assert isinstance(sight.guests, Known)
    for one in sight.guests.value:
        assert one.is_off or (one.status == "running" and "safe-shutdown" in one.tags and not one.lock and one.hastate in (None, "ignored"))
    assert isinstance(sight.quorate, Known)
    assert sight.quorate.value
    assert isinstance(sight.tasks, Known)
    assert not any(one.runs for one in sight.tasks.value.tasks)
    assert all(one.until <= NOW.wall for one in sight.holds)


@FEW
@given(sights(), sights())
def test_one_more_veto_never_helps(one: NodeEvidence, other: NodeEvidence) -> None:
    """What keeps a node on in two looks keeps it on in a look that shows both."""
    if acts(decided(one)):
        return
    both = {
        "holds": (*one.holds, *other.holds),
        "signals": (*one.signals, *other.signals),
        "blind_spots": None if None in (one.blind_spots, other.blind_spots) else (*(one.blind_spots or ()), *(other.blind_spots or ())),
        "live": one.live and other.live,
    }
    assert not acts(decided(structs.replace(one, **both)))


@FEW
@given(guests(max_size=6), guests(max_size=2))
def test_s09_only_tagged_guests_that_are_neither_excluded_nor_held_are_ever_asked(cast: list[Guest], more: list[Guest]) -> None:
    policy = structs.replace(POLICY, exclude=tuple(one.vmid for one in more))
    record = structs.replace(RECORD, policy=policy.fingerprint()) if RECORD is not None else None
    step = decided(seen({**GOOD, "guests": tuple(cast)}), record, policy)
    if step.decision.action is None:
        return
    asked = [one.guest for stage in step.decision.action.stages for one in stage]
    assert sorted(one.vmid for one in asked) == sorted(one.vmid for one in cast if not one.is_off)
    assert all("safe-shutdown" in one.tags and one.vmid not in policy.exclude for one in asked)
    assert step.record.planned == tuple(sorted((one.vmid for one in asked), reverse=True))


@st.composite
def records(draw: st.DrawFn) -> NodeRecord:
    """Records that make no sense as well as those that do."""
    assert RECORD is not None
    numbers = st.floats(allow_nan=True, allow_infinity=True) | st.sampled_from([0.0, 2100.0, 1800.0])
    return structs.replace(
        RECORD,
        phase=draw(st.sampled_from(Phase)),
        credit_s=draw(numbers),
        notice_s=draw(numbers),
        boottime=draw(numbers),
        observations=draw(st.integers(-1, 9)),
        boot_id=draw(st.sampled_from([RECORD.boot_id, "another", None])),
        uptime=draw(st.sampled_from([RECORD.uptime, None, 0])),
        cooldown_left_s=draw(numbers),
        quarantine=draw(st.sampled_from([None, "it did not wake up"])),
        failures=draw(st.integers(0, 5)),
        policy=draw(st.sampled_from([RECORD.policy, "another"])),
        node_clock=draw(st.sampled_from([RECORD.node_clock, None, 0.0])),
    )


@FEW
@given(records(), sights())
def test_s31_no_record_authorises_what_the_look_does_not(record: NodeRecord, sight: NodeEvidence) -> None:
    step = decided(sight, record)
    assert not acts(step) or acts(decided(sight))
    assert step.record.node == "pve2"


@FEW
@given(records() | st.none(), sights())
def test_s32_a_decision_is_made_again_from_what_was_stored(record: NodeRecord | None, sight: NodeEvidence) -> None:
    if record is not None and not all(map(math.isfinite, _numbers(record))):
        return  # a store cannot hold these, JSON has no word for them
    peers = (Peer(node="pve1", online=True, busy_with="100 (web)"),)
    given_ = (record, structs.replace(sight, peers=peers), POLICY, NOW, {"pve3": RECORD})
    again = msgspec.json.decode(
        msgspec.json.encode(given_), type=tuple[NodeRecord | None, NodeEvidence, Policy, Now, dict[str, NodeRecord]]
    )
    first, second = idle.step(given_[0], given_[1], POLICY, NOW, {"pve3": RECORD} if RECORD else {}), idle.step(*again)
    assert second.decision == first.decision
    assert second.record == first.record
    assert msgspec.json.decode(msgspec.json.encode(first.decision), type=type(first.decision)) == first.decision


def _numbers(record: NodeRecord) -> tuple[float, ...]:
    return (record.credit_s, record.notice_s, record.boottime, record.cooldown_left_s)


def test_s32_the_answer_right_before_a_call_is_made_again_from_what_was_stored() -> None:
    watch = about_to_act(POLICY, tagged())
    record = watch.look(tagged()).record
    watch.wait(10)
    sight = watch.evidence(tagged(), untagged())
    stored = msgspec.json.encode((record, sight, watch.now))
    again = msgspec.json.decode(stored, type=tuple[NodeRecord, NodeEvidence, Now])
    answer = idle.may_go_on(sight, POLICY, record, watch.now)
    assert answer.stop is not None
    assert idle.may_go_on(again[1], POLICY, again[0], again[2]) == answer


@FEW
@given(st.lists(st.tuples(st.sampled_from([60, 300, 900, 901]), st.sampled_from(["idle", "busy", "blind", "held back"])), max_size=14))
def test_s14_no_row_of_looks_switches_off_before_its_time(looks: list[tuple[int, str]]) -> None:
    watch, idle_for, count = Watch(), 0.0, 0
    for after, what in looks:
        facts: dict[str, Any] = {"ceph": REFUSED} if what == "blind" else {"node_time_off": 99.0} if what == "held back" else {}
        before = watch.boottime
        step = watch.look(*((untagged(),) if what == "busy" else ()), after=after, **facts)
        clean = what in ("idle", "held back")
        gap = watch.boottime - before
        idle_for, count = (idle_for + gap if count and gap <= POLICY.max_gap else 0.0, count + 1) if clean else (0.0, 0)
        count = count if idle_for else min(count, 1)
        assert step.decision.credit_s == idle_for
        if acts(step):
            assert (what, count >= 3, idle_for >= POLICY.grace_period + POLICY.notice) == ("idle", True, True)
            return


def test_unknown_is_a_word_of_its_own() -> None:
    assert isinstance(seen({**GOOD, "ceph": REFUSED}).ceph, Unknown)
