from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec import structs

from pvectl.core import idle
from pvectl.core.evidence import (
    BackupJob,
    CephService,
    Device,
    HaService,
    HaStatus,
    Member,
    NodeEvidence,
    Peer,
    Place,
    ReplicationJob,
    ServedStorage,
    Signal,
    SignalState,
    Whereabouts,
)
from pvectl.core.idle import NodeRecord, Now, Phase, Policy, Step, WakeProof
from pvectl.core.idle.record import Blocker
from pvectl.core.model import BlindSpot, Guest, Unknown
from pvectl.core.plan import Reason, Verdict
from tests.core.idle_cases import (
    BOOT,
    BOOTTIME,
    POLICY,
    REFUSED,
    WALL,
    Watch,
    about_to_act,
    evidence,
    hold,
    in_cluster,
    members,
    tagged,
    task,
    untagged,
)

NOW = Now(wall=WALL, boottime=BOOTTIME, boot_id=BOOT)
EPOCH = int(WALL.timestamp())


def looked(*guests: Guest, policy: Policy = POLICY, **facts: Any) -> Step:
    return idle.step(None, evidence(*guests, **facts), policy, NOW)


def only(step: Step) -> Blocker:
    (blocker,) = step.decision.blockers
    return blocker


def clear(step: Step) -> bool:
    return step.decision.verdict is Verdict.WAIT and step.decision.blockers == ()


def record(node: str, phase: Phase) -> NodeRecord:
    return NodeRecord(node=node, phase=phase, since=WALL, wall=WALL)


# guests


def test_a_node_without_guests_is_idle() -> None:
    assert clear(looked())


def test_a_node_with_tagged_guests_only_is_idle() -> None:
    assert clear(looked(tagged(), tagged(201, type="lxc"), untagged(status="stopped")))


def test_s09_an_untagged_guest_keeps_its_node_on_and_is_named() -> None:
    step = looked(tagged(), untagged())
    assert (step.decision.verdict, step.decision.phase, step.decision.reason) == (Verdict.KEEP, Phase.BUSY, Reason.NOT_TAGGED)
    assert only(step).subject == "guest/110"
    assert idle.told(step.decision) == (
        "pve2 stays on because 110 (db) has no tag safe-shutdown; if it stopped now, off at 20:35 UTC at the earliest"
    )


def test_s09_exclusion_beats_the_tag() -> None:
    step = looked(tagged(), policy=structs.replace(POLICY, exclude=(200,)))
    assert step.decision.subject == "node/pve2"
    assert (only(step).reason, only(step).detail) == (Reason.EXCLUDED, "200 (guest200) runs, and the configuration excludes it")


def test_s09_an_excluded_guest_that_is_off_is_no_veto() -> None:
    assert clear(looked(tagged(status="stopped"), policy=structs.replace(POLICY, exclude=(200,))))


@pytest.mark.parametrize("subject", ["guest/200", "node/pve2"])
def test_s09_a_hold_beats_everything(subject: str) -> None:
    step = looked(tagged(), holds=(hold(subject),))
    assert (step.decision.verdict, step.decision.phase, step.decision.reason) == (Verdict.KEEP, Phase.HELD, Reason.HELD)
    assert "anna" in only(step).detail
    assert "a demo" in only(step).detail
    assert step.decision.due == WALL + timedelta(hours=3, minutes=35)
    assert idle.told(step.decision).endswith("; until 23:00 UTC, then off at 23:35 UTC at the earliest")


def test_with_other_reasons_beside_a_hold_nothing_is_promised_for_now() -> None:
    step = looked(tagged(), untagged(), holds=(hold("node/pve2"),))
    assert idle.told(step.decision) == (
        "pve2 stays on because it is held by anna: a demo (and 1 more); once all that is over, off at 23:35 UTC at the earliest"
    )


@pytest.mark.parametrize("subject", ["guest/200", "node/pve2"])
def test_s25_a_hold_no_longer_counts_from_the_second_it_ends(subject: str) -> None:
    assert clear(looked(tagged(), holds=(hold(subject, until=WALL),)))
    assert not clear(looked(tagged(), holds=(hold(subject, until=WALL + timedelta(seconds=1)),)))


def test_a_hold_on_a_guest_elsewhere_or_on_one_that_is_off_or_on_another_node_is_no_veto() -> None:
    holds = (hold("guest/999"), hold("guest/200"), hold("node/pve3"))
    assert clear(looked(tagged(status="stopped"), holds=holds))


@pytest.mark.parametrize("status", ["paused", "prelaunch", "io-error", "suspended", "internal-error", "inmigrate", "something-new", ""])
def test_s04_anything_but_stopped_is_running_and_anything_but_running_cannot_be_shut_down(status: str) -> None:
    assert only(looked(tagged(status=status))).reason is Reason.PAUSED


def test_s02_an_unknown_status_is_blind() -> None:
    step = looked(tagged(status="unknown"))
    assert step.decision.verdict is Verdict.BLIND
    assert only(step).blind


@pytest.mark.parametrize(
    ("status", "lock", "keeps"),
    [
        ("running", "backup", True),
        ("stopped", "backup", True),
        ("stopped", "migrate", True),
        ("running", "something-new", True),
        ("stopped", "suspended", False),
        ("running", "suspended", True),
        ("stopped", None, False),
    ],
)
def test_s05_a_locked_guest_keeps_its_node_on_unless_it_hibernates(status: str, lock: str | None, keeps: bool) -> None:
    step = looked(tagged(status=status, lock=lock))
    assert clear(step) is not keeps
    assert not keeps or only(step).reason is Reason.LOCKED


def test_s10_tags_are_compared_as_the_cluster_compares_them() -> None:
    loud = tagged(tags=("Safe-Shutdown",))
    assert clear(looked(loud))
    assert only(looked(loud, tags_case_sensitive=True)).reason is Reason.NOT_TAGGED


def test_s10_a_tag_the_cluster_has_not_registered_waives_nothing_where_that_is_asked() -> None:
    strict = structs.replace(POLICY, require_registered=True)
    assert only(looked(tagged(), policy=strict)).reason is Reason.TAG_UNREGISTERED
    assert only(looked(tagged(), policy=strict, registered_tags=("other",))).reason is Reason.TAG_UNREGISTERED
    assert clear(looked(tagged(), policy=strict, registered_tags=("other", "Safe-Shutdown")))
    assert clear(looked(tagged(), registered_tags=("other",)))
    assert looked(tagged(), policy=strict, registered_tags=REFUSED).decision.verdict is Verdict.BLIND
    assert clear(looked(tagged(), registered_tags=REFUSED))


# work under way


@pytest.mark.parametrize("kind", ["vzdump", "qmstart", "vncproxy", "vncshell", "qmigrate", "aptupdate", "something-new"])
@pytest.mark.parametrize("user", ["root@pam", "pvectl@pve!ops", None])
def test_s05_any_running_task_keeps_the_node_on_whatever_it_is_and_whose(kind: str, user: str | None) -> None:
    blocker = only(looked(tasks=(task(kind, 200, started=EPOCH - 60, user=user),)))
    assert blocker.reason is Reason.TASK_RUNNING
    assert f"({kind} of {user or 'somebody'})" in blocker.detail


def test_s05_the_words_for_a_task_say_what_goes_on() -> None:
    assert only(looked(tasks=(task(started=EPOCH),))).detail == "a backup runs (vzdump of root@pam)"
    assert only(looked(tasks=(task("vncproxy", 200, started=EPOCH),))).detail.startswith("somebody has a console open for guest 200")


def test_s05_a_task_that_is_over_is_no_veto() -> None:
    assert clear(looked(tasks=(task(started=EPOCH - 600, ended=EPOCH - 400),)))


def test_s05_a_guest_on_its_way_anywhere_may_end_up_here() -> None:
    blocker = only(looked(incoming=(task("qmigrate", 110, started=EPOCH),)))
    assert (blocker.reason, blocker.detail) == (Reason.MOVING_GUEST, "guest 110 is on its way (qmigrate)")


def replicated(**more: Any) -> ReplicationJob:
    given: dict[str, Any] = {"source": "pve2", "target": "pve3", "runs": False, "next_sync": WALL + timedelta(days=1), **more}
    return ReplicationJob(id="110-0", guest=110, **given)


@pytest.mark.parametrize(
    ("job", "verdict"),
    [
        ({}, Verdict.WAIT),
        ({"runs": True}, Verdict.KEEP),
        ({"source": "pve1", "target": "pve2", "runs": True}, Verdict.KEEP),
        ({"source": "pve1", "target": "pve3", "runs": True}, Verdict.WAIT),
        ({"source": None, "runs": True}, Verdict.KEEP),
        ({"runs": None}, Verdict.BLIND),
        ({"next_sync": None}, Verdict.BLIND),
    ],
)
def test_s05_a_replication_from_or_to_the_node_keeps_it_on(job: dict[str, Any], verdict: Verdict) -> None:
    assert looked(replication=(replicated(**job),)).decision.verdict is verdict


def service(
    vmid: int = 200, state: str | None = "started", node: str | None = "pve2", wanted: str | None = None, kind: str = "vm"
) -> HaService:
    return HaService(sid=f"{kind}:{vmid}", node=node, state=state, request_state=wanted)


def ha(*services: HaService, **more: Any) -> HaStatus:
    return HaStatus(**{"quorate": True, "services": services, **more})


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (ha(), Verdict.WAIT),
        (ha(service(300, "started", "pve3"), service(301, "error", "pve3"), service(302, "stopped", "pve2")), Verdict.WAIT),
        (ha(service(300, "ignored", "pve2"), service(302, "disabled", "pve2", "disabled")), Verdict.WAIT),
        (ha(service(300, "migrate", "pve3")), Verdict.KEEP),
        (ha(service(300, "queued", "pve3", "started")), Verdict.KEEP),
        (ha(service(300, "started", "pve3", "stopped")), Verdict.KEEP),
        (ha(service(300, "stopped", "pve3", "started")), Verdict.KEEP),
        (ha(service(300, "error", "pve2")), Verdict.KEEP),
        (ha(service(300, "error", None)), Verdict.KEEP),
        (ha(service(300, "something-new", "pve1")), Verdict.KEEP),
        (ha(service(300, None, "pve1")), Verdict.BLIND),
        (ha(lrm=(("pve2", "idle"), ("pve3", "pve3 (active, watchdog standby, Sun Nov 22)"))), Verdict.WAIT),
        (ha(lrm=(("pve2", "maintenance mode"),)), Verdict.KEEP),
        (ha(lrm=(("pve3", "pve3 (restart mode, watchdog standby)"),)), Verdict.KEEP),
        (ha(lrm=(("pve9", "old timestamp - dead?"),)), Verdict.WAIT),
        (ha(armed="armed"), Verdict.WAIT),
        (ha(armed="disarming"), Verdict.KEEP),
        (ha(quorate=None), Verdict.BLIND),
        (ha(quorate=False), Verdict.KEEP),
    ],
)
def test_s05_the_ha_manager_has_to_be_at_rest(status: HaStatus, verdict: Verdict) -> None:
    assert looked(**in_cluster(ha=status)).decision.verdict is verdict


def test_s05_a_node_in_another_state_than_online_for_the_ha_manager_is_busy() -> None:
    cast = tuple(
        Member(name=name, online=True, votes=1, hastate="maintenance" if name == "pve3" else "online") for name in ("pve1", "pve2", "pve3")
    )
    step = looked(**in_cluster(members=cast))
    assert (only(step).reason, only(step).subject) == (Reason.HA_BUSY, "node/pve3")


def test_s20_a_guest_under_ha_keeps_its_node_on_by_default() -> None:
    for facts in ({"ha": ha(service(200))}, {"ha": ha()}):
        step = looked(tagged(hastate="started"), **in_cluster(**facts))
        assert only(step).reason is Reason.HA_MANAGED
    step = looked(tagged(type="lxc"), **in_cluster(ha=ha(service(200, kind="ct"))))
    assert only(step).reason is Reason.HA_MANAGED


def test_s20_a_guest_the_ha_manager_ignores_is_like_any_other() -> None:
    assert clear(looked(tagged(hastate="ignored"), **in_cluster(ha=ha(service(200, "ignored")))))
    assert clear(looked(tagged(), **in_cluster(ha=ha(service(200, "started", wanted="ignored"), service(999)))))


def test_s20_where_the_configuration_allows_it_ha_is_asked_to_stop_the_guest() -> None:
    policy = structs.replace(POLICY, ha="request-stop")
    facts = in_cluster(ha=ha(service(200), lrm=(("pve2", "active"),)))
    watch = about_to_act(policy, tagged(hastate="started"), tagged(201), **facts)
    action = watch.look(tagged(hastate="started"), tagged(201), **facts).decision.action
    assert action is not None
    assert [(one.guest.vmid, one.through_ha) for one in action.stages[0]] == [(201, False), (200, True)]


def test_s20_services_that_a_shutdown_would_move_keep_the_node_on() -> None:
    policy = structs.replace(POLICY, ha="request-stop")
    facts = in_cluster(ha=ha(service(200)), ha_shutdown_policy="migrate")
    assert only(looked(tagged(hastate="started"), policy=policy, **facts)).reason is Reason.HA_BUSY
    assert clear(looked(**in_cluster(ha_shutdown_policy="migrate")))
    assert clear(looked(ha_shutdown_policy="migrate"))


@pytest.mark.parametrize(
    ("state", "verdict"), [(SignalState.IDLE, Verdict.WAIT), (SignalState.BUSY, Verdict.KEEP), (SignalState.UNKNOWN, Verdict.BLIND)]
)
@pytest.mark.parametrize("detail", ["", "3 streams"])
def test_s02_an_activity_signal_that_does_not_say_idle_keeps_the_node_on(state: SignalState, verdict: Verdict, detail: str) -> None:
    step = looked(signals=(Signal(name="jellyfin", state=state, detail=detail),))
    assert step.decision.verdict is verdict
    assert verdict is Verdict.WAIT or only(step).detail.startswith("jellyfin ")
    assert verdict is Verdict.WAIT or only(step).detail.endswith(detail)


# the cluster around it


@pytest.mark.parametrize(
    ("kind", "safe", "allowed", "verdict"),
    [
        ("osd", True, False, Verdict.KEEP),
        ("mon", True, True, Verdict.WAIT),
        ("mds", False, True, Verdict.KEEP),
        ("osd", None, True, Verdict.BLIND),
        ("mgr", None, False, Verdict.WAIT),
    ],
)
def test_s07_ceph_on_the_node_needs_the_configuration_and_cephs_own_check(
    kind: str, safe: bool | None, allowed: bool, verdict: Verdict
) -> None:
    policy = structs.replace(POLICY, allow_ceph=("pve2",) if allowed else ())
    assert looked(policy=policy, ceph=(CephService(kind=kind, id="1", safe_to_stop=safe),)).decision.verdict is verdict


def test_s07_a_storage_the_node_serves_keeps_it_on() -> None:
    assert only(looked(served=(ServedStorage(storage="nas", server="pve2.lan"),))).detail == "storage nas is served by it (pve2.lan)"


def test_s13_pvectl_in_a_guest_of_the_node_keeps_it_on_and_pvectl_on_the_node_does_not() -> None:
    assert only(looked(whereabouts=Whereabouts(place=Place.GUEST, vmid=105))).subject == "guest/105"
    assert only(looked(whereabouts=Whereabouts(place=Place.GUEST))).subject == "node/pve2"
    assert clear(looked(whereabouts=Whereabouts(place=Place.NODE)))


def test_s21_the_cluster_has_to_be_quorate_now_by_both_pages() -> None:
    assert clear(looked(**in_cluster()))
    assert only(looked(**in_cluster(quorate=False))).reason is Reason.NOT_QUORATE
    assert only(looked(**in_cluster(ha=HaStatus(quorate=False)))).reason is Reason.NOT_QUORATE


def test_s21_and_it_has_to_stay_quorate_without_the_node() -> None:
    two = members(pve1=True, pve2=True)
    assert only(looked(**in_cluster(members=two))).detail == "two nodes without a quorum device cannot do without each other"
    assert clear(looked(**in_cluster(members=two, device=Device(connected=True, algorithm="ffsplit"))))
    gone = looked(**in_cluster(members=two, device=Device(connected=False, algorithm="ffsplit")))
    assert only(gone).detail == "1 of 3 votes would be left, and 2 are needed"
    shapeless = looked(**in_cluster(members=two, device=Device(connected=True)))
    assert shapeless.decision.verdict is Verdict.BLIND


def test_s21_every_other_node_is_online_or_off_by_our_own_record() -> None:
    five = members(pve1=True, pve2=True, pve3=False, pve4=True, pve5=True)
    evidence_ = evidence(**in_cluster(members=five))
    generous = structs.replace(POLICY, max_nodes_off=2)

    def reasons(others: dict[str, NodeRecord]) -> list[Reason]:
        return [blocker.reason for blocker in idle.step(None, evidence_, generous, NOW, others).decision.blockers]

    assert reasons({}) == [Reason.NODES_DOWN]
    assert reasons({"pve3": record("pve3", Phase.BUSY)}) == [Reason.NODES_DOWN]
    assert reasons({"pve3": record("pve3", Phase.OFF_SEEN)}) == []
    anothers = structs.replace(record("pve3", Phase.OFF_SEEN), cluster="elsewhere")
    assert reasons({"pve3": anothers}) == [Reason.NODES_DOWN]
    assert reasons({"pve3": record("pve3", Phase.OFF_SENT)}) == [Reason.IN_TRANSITION]
    assert reasons({"pve3": record("pve3", Phase.OFF_SEEN), "pve4": record("pve4", Phase.DRAIN)}) == [Reason.IN_TRANSITION, Reason.BUDGET]


def test_s12_no_more_nodes_are_off_at_once_than_the_configuration_says() -> None:
    five = members(pve1=True, pve2=True, pve3=False, pve4=True, pve5=True)
    others = {"pve2": record("pve2", Phase.OFF_SEEN), "pve3": record("pve3", Phase.OFF_SEEN)}
    step = idle.step(None, evidence(**in_cluster(members=five)), POLICY, NOW, others)
    assert (only(step).reason, only(step).detail) == (Reason.BUDGET, "pve3 is off already, and max_nodes_off is 1")
    back = members(pve1=True, pve2=True, pve3=True)
    assert clear(idle.step(None, evidence(**in_cluster(members=back)), POLICY, NOW, others))
    more = {"pve8": record("pve8", Phase.DRAIN), "pve9": record("pve9", Phase.OFF_SEEN)}
    anothers = {"pve9": structs.replace(record("pve9", Phase.OFF_SEEN), cluster="elsewhere")}
    assert clear(idle.step(None, evidence(**in_cluster()), POLICY, NOW, anothers))
    assert "pve8, pve9 are off already" in only(idle.step(None, evidence(**in_cluster()), POLICY, NOW, more)).detail


@pytest.mark.parametrize(
    ("peers", "verdict"),
    [
        ((Peer(node="pve1", online=True),), Verdict.KEEP),
        ((Peer(node="pve1", online=True, busy_with="100 (web)"),), Verdict.WAIT),
        ((Peer(node="pve1", online=False),), Verdict.WAIT),
        ((), Verdict.BLIND),
    ],
)
def test_s27_with_a_controller_on_each_node_the_list_decides_who_goes_first(peers: tuple[Peer, ...], verdict: Verdict) -> None:
    policy = structs.replace(POLICY, nodes=("pve1", "pve2", "pve3"), controller="per-node")
    assert looked(policy=policy, peers=peers).decision.verdict is verdict
    assert clear(looked(policy=structs.replace(policy, controller="single"), peers=peers))
    assert clear(looked(policy=structs.replace(policy, nodes=("pve2", "pve1")), peers=peers))


def test_s27_what_a_node_is_busy_with_is_told_from_the_cheap_look() -> None:
    policy = structs.replace(POLICY, nodes=("pve1", "pve2", "pve3", "pve4"))
    cheap = (
        evidence(untagged(), node="pve1"),
        evidence(tagged(), untagged(status="unknown"), node="pve2"),
        evidence(node="pve3", status="offline"),
        evidence(node="pve4", guests=REFUSED),
    )
    assert idle.peers(cheap, policy, NOW) == (
        Peer(node="pve1", online=True, busy_with="110 (db)"),
        Peer(node="pve2", online=True),
        Peer(node="pve3", online=False),
        Peer(node="pve4", online=True),
    )


# the node itself and our own promises


@pytest.mark.parametrize(("uptime", "kept"), [(1799, True), (1800, False), (-5, True)])
def test_s15_min_uptime_is_the_nodes_own(uptime: int, kept: bool) -> None:
    step = looked(uptime=uptime)
    assert (step.decision.reason is Reason.UPTIME_SHORT) is kept
    assert not kept or only(step).until == WALL + timedelta(seconds=1800 - uptime)


def test_s15_a_missing_uptime_is_not_met() -> None:
    assert looked(uptime=REFUSED).decision.verdict is Verdict.BLIND


@pytest.mark.parametrize(("off", "kept"), [(60.0, False), (60.5, True), (-60.0, False), (-61.0, True), (float("nan"), True)])
def test_s17_a_clock_more_than_a_minute_off_the_nodes_refuses(off: float, kept: bool) -> None:
    assert (looked(node_time_off=off).decision.reason is Reason.CLOCK_WRONG) is kept


def test_s17_a_clock_before_the_build_refuses() -> None:
    long_ago = datetime(2026, 10, 31, 23, 59, 59, tzinfo=UTC)
    step = idle.step(None, evidence(at=long_ago), POLICY, Now(wall=long_ago, boottime=BOOTTIME, boot_id=BOOT))
    assert only(step).reason is Reason.CLOCK_WRONG


def test_s12_more_guests_than_one_run_may_shut_down_refuse_all_of_them() -> None:
    policy = structs.replace(POLICY, max_guests_per_run=2)
    assert clear(looked(tagged(200), tagged(201), policy=policy))
    step = looked(tagged(200), tagged(201), tagged(202), policy=policy)
    assert (only(step).reason, step.decision.verdict) == (Reason.TOO_MANY_GUESTS, Verdict.KEEP)


def test_s26_a_required_way_to_wake_it_must_have_worked_before() -> None:
    policy = structs.replace(POLICY, wake="required")
    assert only(looked(policy=policy)).reason is Reason.WAKE_UNPROVEN
    assert only(looked(policy=policy, wakeonlan=None)).reason is Reason.WAKE_UNPROVEN
    assert looked(policy=policy, wakeonlan=REFUSED).decision.verdict is Verdict.BLIND
    assert clear(looked(wakeonlan=None))
    proven = structs.replace(idle.woken(record("pve2", Phase.BUSY), NOW, ok=True))
    assert proven.wake_proof == WakeProof(method="wakeonlan", at=WALL)
    assert clear(idle.step(proven, evidence(), policy, NOW))
    assert only(idle.step(proven, evidence(wakeonlan=None), policy, NOW)).reason is Reason.WAKE_UNPROVEN


# notice 300 s and boot time 600 s; with guests to shut down, up to 448 s more
@pytest.mark.parametrize(
    ("guests", "seconds", "verdict"),
    [
        ((), 900, Verdict.KEEP),
        ((), 901, Verdict.WAIT),
        ((), -10, Verdict.KEEP),
        ((tagged(),), 901, Verdict.KEEP),
        ((tagged(),), 1350, Verdict.KEEP),
        ((tagged(),), 1351, Verdict.WAIT),
    ],
)
def test_s26_a_backup_that_is_due_before_it_could_be_back_keeps_it_on(guests: tuple[Guest, ...], seconds: int, verdict: Verdict) -> None:
    job = BackupJob(id="nightly", next_run=WALL + timedelta(seconds=seconds))
    assert looked(*guests, backups=(job,)).decision.verdict is verdict


@pytest.mark.parametrize(
    ("job", "verdict"),
    [
        ({"node": "pve2"}, Verdict.KEEP),
        ({"node": "pve3"}, Verdict.WAIT),
        ({"guests_here": False}, Verdict.WAIT),
        ({"guests_here": True}, Verdict.KEEP),
        ({"next_run": None}, Verdict.BLIND),
    ],
)
def test_s26_only_jobs_that_may_concern_the_node_count(job: dict[str, Any], verdict: Verdict) -> None:
    due = BackupJob(**{"id": "nightly", "next_run": WALL + timedelta(seconds=60), **job})
    assert looked(backups=(due,)).decision.verdict is verdict


def test_s26_a_replication_that_is_due_keeps_it_on() -> None:
    assert only(looked(replication=(replicated(next_sync=WALL + timedelta(seconds=900)),))).reason is Reason.NEEDED_SOON


# sight


CLUSTER_FACTS = ("quorate", "members", "device", "ha", "ha_shutdown_policy")
NODE_FACTS = (
    "guests",
    "tags_case_sensitive",
    "uptime",
    "node_time_off",
    "tasks",
    "incoming",
    "standalone",
    "ceph",
    "served",
    "backups",
    "replication",
    "whereabouts",
)


@pytest.mark.parametrize("fact", [*NODE_FACTS, *CLUSTER_FACTS])
def test_s02_whatever_could_not_be_read_is_blind_and_named_with_its_source(fact: str) -> None:
    step = looked(tagged(), **in_cluster() | {fact: REFUSED})
    assert (step.decision.verdict, step.decision.phase) == (Verdict.BLIND, Phase.BUSY)
    assert step.record.observations == 0
    assert any(blocker.blind and "/some/path: 500 no" in blocker.detail for blocker in step.decision.blockers)
    bare = looked(tagged(), **in_cluster() | {fact: Unknown(reason="not read")})
    assert any(blocker.detail.endswith("could not be read: not read") for blocker in bare.decision.blockers)


@pytest.mark.parametrize("fact", CLUSTER_FACTS)
def test_a_standalone_host_is_asked_nothing_about_a_cluster(fact: str) -> None:
    unread: dict[str, Any] = {fact: REFUSED}
    assert clear(looked(**unread))


def test_s01_without_the_proof_that_nothing_is_hidden_it_is_blind() -> None:
    assert looked(blind_spots=None).decision.verdict is Verdict.BLIND
    step = looked(blind_spots=(BlindSpot(subject="guest/120", reason="guest 120 runs, but is not shown"),))
    assert (step.decision.verdict, only(step).subject) == (Verdict.BLIND, "guest/120")


def test_s03_the_clusters_list_alone_is_no_ground_to_act() -> None:
    step = looked(live=False)
    assert step.decision.verdict is Verdict.BLIND
    assert "5m old" in only(step).detail


@pytest.mark.parametrize(("age", "clean"), [(60, True), (61, False), (-15, True), (-16, False)])
def test_s03_old_evidence_is_blind_and_so_is_evidence_from_the_future(age: int, clean: bool) -> None:
    step = idle.step(None, evidence(at=WALL - timedelta(seconds=age)), POLICY, NOW)
    assert clear(step) is clean
    assert clean or only(step).reason is Reason.OUT_OF_DATE


def test_s03_one_old_fact_is_enough() -> None:
    old = evidence(at=WALL - timedelta(seconds=61)).guests
    assert only(looked(guests=old)).reason is Reason.OUT_OF_DATE


def test_s02_what_is_known_to_be_busy_is_told_before_what_is_not_known() -> None:
    step = looked(untagged(), tasks=(), ceph=REFUSED)
    assert (step.decision.verdict, step.decision.reason) == (Verdict.KEEP, Reason.NOT_TAGGED)
    assert step.decision.detail == "pve2 stays on because 110 (db) has no tag safe-shutdown (and 1 more)"
    assert idle.told(step.decision).endswith("; if all that were over now, off at 20:35 UTC at the earliest")


def test_blindness_is_told_before_what_only_holds_a_node_back() -> None:
    step = looked(uptime=100, ceph=REFUSED)
    assert (step.decision.verdict, step.decision.reason) == (Verdict.BLIND, Reason.UNSEEN)
    assert step.decision.detail.endswith("(and 1 more)")


# what is not judged at all


@pytest.mark.parametrize("node", ["pve9", ""])
def test_s08_a_node_that_is_not_listed_is_never_switched_off(node: str) -> None:
    watch = Watch()
    for _ in range(12):
        step = watch.look(node=node)
        assert (step.decision.verdict, step.decision.reason, step.record.observations) == (Verdict.KEEP, Reason.NOT_LISTED, 0)


def test_s08_an_empty_list_means_none() -> None:
    assert looked(policy=structs.replace(POLICY, nodes=())).decision.reason is Reason.NOT_LISTED


@pytest.mark.parametrize(
    ("status", "verdict", "reason"),
    [
        ("offline", Verdict.KEEP, Reason.NODE_OFF),
        ("missing", Verdict.KEEP, Reason.NODE_MISSING),
        ("unknown", Verdict.BLIND, Reason.STATUS_UNKNOWN),
        ("something-new", Verdict.BLIND, Reason.STATUS_UNKNOWN),
    ],
)
def test_a_node_that_is_not_online_is_left_alone(status: str, verdict: Verdict, reason: Reason) -> None:
    watch = about_to_act()
    step = watch.look(status=status)
    assert (step.decision.verdict, step.decision.reason, step.record.phase) == (verdict, reason, Phase.BUSY)
    assert step.record.credit_s == 0
    assert idle.told(step.decision) == step.decision.detail


# the cheap look


def cheap(*guests: Guest, **facts: Any) -> NodeEvidence:
    seen = {"guests": evidence(*guests).guests, "standalone": evidence().standalone, **facts}
    return NodeEvidence(**{"node": "pve2", "taken_at": WALL, "status": "online", **seen})


def test_a_busy_node_costs_no_deep_reads() -> None:
    look = cheap(untagged(), tagged())
    assert idle.busy_at_a_glance(None, look, POLICY, NOW)
    step = idle.step(None, look, POLICY, NOW)
    assert (step.decision.verdict, only(step).reason) == (Verdict.KEEP, Reason.NOT_TAGGED)


@pytest.mark.parametrize("guests", [(), (tagged(),), (tagged(tags=("Safe-Shutdown",)),), (tagged(status="unknown"),)])
def test_s03_the_cheap_look_never_says_idle(guests: tuple[Guest, ...]) -> None:
    look = cheap(*guests)
    assert not idle.busy_at_a_glance(None, look, POLICY, NOW)
    assert idle.step(about_to_act().record, look, POLICY, NOW).decision.verdict is Verdict.BLIND


def test_a_node_that_is_held_or_cooling_down_or_off_or_not_listed_costs_none_either() -> None:
    assert idle.busy_at_a_glance(None, cheap(holds=(hold(),)), POLICY, NOW)
    assert idle.busy_at_a_glance(structs.replace(record("pve2", Phase.COOLDOWN), cooldown_left_s=1.0), cheap(), POLICY, NOW)
    assert idle.busy_at_a_glance(structs.replace(record("pve2", Phase.QUARANTINE), quarantine="x"), cheap(), POLICY, NOW)
    assert idle.busy_at_a_glance(record("pve2", Phase.OFF_SEEN), cheap(status="offline"), POLICY, NOW)
    assert idle.busy_at_a_glance(None, cheap(node="pve9"), POLICY, NOW)


def test_s30_a_power_off_whose_end_is_open_is_looked_at_closely() -> None:
    for phase in (Phase.DRAIN, Phase.OFF_SENT, Phase.OFF_SEEN):
        assert not idle.busy_at_a_glance(record("pve2", phase), cheap(untagged()), POLICY, NOW)


def test_what_only_holds_a_node_back_is_looked_at_closely() -> None:
    facts = {key: evidence(**in_cluster()).__getattribute__(key) for key in ("members", "standalone", "quorate")}
    down = evidence(**in_cluster(members=members(pve1=True, pve2=True, pve3=False))).members
    assert not idle.busy_at_a_glance(None, cheap(**facts | {"members": down}), POLICY, NOW)
