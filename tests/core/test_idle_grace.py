from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec import structs

from pvectl.core import idle
from pvectl.core.evidence import TaskHistory
from pvectl.core.idle import Phase, Policy
from pvectl.core.model import Guest
from pvectl.core.plan import Reason, SwitchOff, Verdict
from tests.core.idle_cases import POLICY, REFUSED, UPTIME, US, WALL, Watch, about_to_act, hold, known, tagged, task, untagged

HOUR = timedelta(hours=1)


def test_s14_an_idle_node_goes_from_idle_over_notice_to_its_switch_off() -> None:
    watch = Watch()
    story = [watch.look(tagged(201), tagged(200)) for _ in range(8)]
    assert [step.decision.phase for step in story] == [Phase.IDLE] * 6 + [Phase.NOTICE, Phase.DRAIN]
    assert [step.decision.verdict for step in story] == [Verdict.WAIT] * 7 + [Verdict.ACT]
    assert [step.decision.reason for step in story] == [Reason.GRACE_PERIOD] * 6 + [Reason.NOTICE, Reason.GRACE_OVER]
    assert [step.decision.credit_s for step in story] == [300.0 * look for look in range(8)]
    action = story[-1].decision.action
    assert isinstance(action, SwitchOff)
    assert action.node == "pve2"
    assert [[(one.guest.vmid, one.timeout, one.force_stop, one.through_ha) for one in stage] for stage in action.stages] == [
        [(201, 180, False, False), (200, 180, False, False)]
    ]
    assert story[-1].record.planned == (201, 200)
    assert all(step.decision.action is None for step in story[:-1])
    assert all(step.record.idle_since == WALL for step in story)


def test_an_empty_node_has_nobody_to_shut_down_on_the_way() -> None:
    step = Watch().looks_until("act")
    assert step.decision.action == SwitchOff(node="pve2")
    assert step.decision.detail == "pve2 has been idle for 35m: it is powered off"
    unseen = Watch().looks_until("act", way_out=False)
    assert unseen.decision.detail == (
        "pve2 has been idle for 35m: it is powered off, and nobody can see its end, as no API host but itself answers"
    )
    busy = Watch().looks_until("act", tagged())
    assert busy.decision.detail == "pve2 has been idle for 35m: 1 guest shut down, then it is powered off"


@pytest.mark.parametrize(("last", "phase"), [(299, Phase.IDLE), (300, Phase.NOTICE)])
def test_s14_the_grace_period_is_over_with_its_last_second(last: int, phase: Phase) -> None:
    watch = Watch()
    for _ in range(6):
        watch.look()
    assert watch.look(after=last).decision.phase is phase


@pytest.mark.parametrize(("last", "verdict"), [(299, Verdict.WAIT), (300, Verdict.ACT)])
def test_s25_the_notice_is_over_with_its_last_second(last: int, verdict: Verdict) -> None:
    watch = Watch()
    step = [watch.look() for _ in range(7)][-1]
    assert step.decision.phase is Phase.NOTICE
    assert "hold add pve2 --reason WHY" in step.decision.detail
    assert watch.look(after=last).decision.verdict is verdict


def test_without_a_notice_the_end_of_the_grace_period_is_the_switch_off() -> None:
    assert Watch(structs.replace(POLICY, notice=0)).looks_until("act").decision.credit_s == 1800


@pytest.mark.parametrize("grace", [0, 1, 300, 600])
def test_s14_there_are_three_looks_at_least(grace: int) -> None:
    watch = Watch(structs.replace(POLICY, grace_period=grace, notice=0))
    assert [watch.look().decision.verdict for _ in range(3)] == [Verdict.WAIT, Verdict.WAIT, Verdict.ACT]


@pytest.mark.parametrize(("gap", "credit"), [(900, 1200.0), (901, 0.0), (86_400, 0.0)])
def test_s14_a_gap_longer_than_the_longest_that_counts_begins_anew(gap: int, credit: float) -> None:
    watch = Watch()
    watch.look()
    watch.look()
    step = watch.look(after=gap)
    assert step.decision.credit_s == credit
    assert step.record.observations == (3 if credit else 1)
    assert credit or "begins anew: nobody looked for" in step.decision.detail


@pytest.mark.parametrize("jump", [HOUR, -HOUR, timedelta(days=365), timedelta(days=-10)])
def test_s14_a_jump_of_the_wall_clock_changes_nothing(jump: timedelta) -> None:
    watch = Watch()
    watch.look()
    watch.look()
    watch.wall += jump
    step = watch.look()
    assert (step.decision.credit_s, step.record.observations) == (600.0, 3)


def test_s14_five_minutes_and_a_jump_of_an_hour_are_five_minutes() -> None:
    watch = Watch()
    watch.look()
    watch.wall += HOUR
    assert watch.look().decision.credit_s == 300.0


@pytest.mark.parametrize("boot", ["another-boot", None])
def test_s14_another_boot_of_the_runner_begins_anew(boot: str | None) -> None:
    watch = about_to_act()
    watch.boot = boot
    step = watch.look()
    assert (step.decision.credit_s, step.record.observations, step.decision.phase) == (0.0, 1, Phase.IDLE)
    again = watch.look()
    assert again.decision.credit_s == (300.0 if boot else 0.0)


def test_s14_a_clock_that_ran_back_begins_anew() -> None:
    watch = about_to_act()
    watch.boottime -= 301
    step = watch.look()
    assert (step.decision.credit_s, step.record.observations) == (0.0, 1)


# between two looks 300 s pass; 60 s are the tolerance
@pytest.mark.parametrize(
    ("uptime", "counts"),
    [
        (UPTIME + 300, True),
        (UPTIME + 240, True),
        (UPTIME + 239, False),
        (UPTIME + 360, True),
        (UPTIME + 361, False),
        (20, False),
        (0, False),
    ],
)
def test_s14_the_nodes_uptime_has_to_grow_as_the_time_does(uptime: int, counts: bool) -> None:
    watch = Watch(structs.replace(POLICY, min_uptime=0))
    watch.look()
    assert watch.look(uptime=uptime).decision.credit_s == (300.0 if counts else 0.0)


def test_s14_a_restart_right_after_a_restart_is_seen_too() -> None:
    watch = Watch(structs.replace(POLICY, min_uptime=0))
    watch.look(uptime=30)
    assert watch.look(uptime=290).decision.credit_s == 0.0
    assert watch.look(uptime=590).decision.credit_s == 300.0


@pytest.mark.parametrize(
    "change",
    [
        {"tag": "night-off"},
        {"grace_period": 1801},
        {"exclude": (300,)},
        {"nodes": ("pve2",)},
        {"signals": "cpu"},
        {"cluster": "lab"},
        {"notice": 60},
        {"max_gap": 901},
    ],
)
def test_s14_a_changed_configuration_begins_anew(change: dict[str, Any]) -> None:
    watch = about_to_act()
    watch.policy = structs.replace(POLICY, **change)
    step = watch.look()
    assert (step.decision.credit_s, step.decision.verdict) == (0.0, Verdict.WAIT)
    assert "the configuration was changed" in step.decision.detail


def test_how_often_the_timer_runs_is_no_change_of_it() -> None:
    watch = about_to_act()
    watch.policy = structs.replace(POLICY, interval=60)
    assert watch.look().decision.verdict is Verdict.ACT
    assert Policy(interval=1).fingerprint() == Policy().fingerprint() != Policy(tag="x").fingerprint()


@pytest.mark.parametrize(
    ("guests", "facts"),
    [((untagged(),), {}), ((), {"holds": (hold(until=WALL + 9 * HOUR),)}), ((), {"ceph": REFUSED}), ((), {"live": False})],
)
def test_s14_one_look_that_is_not_idle_or_not_complete_begins_anew(guests: tuple[Guest, ...], facts: dict[str, Any]) -> None:
    watch = about_to_act()
    step = watch.look(*guests, **facts)
    assert (step.record.credit_s, step.record.notice_s, step.record.observations, step.record.idle_since) == (0.0, 0.0, 0, None)
    assert [watch.look().decision.credit_s for _ in range(2)] == [0.0, 300.0]


def test_s25_a_hold_in_the_notice_cancels_it() -> None:
    watch = about_to_act()
    assert watch.record is not None
    assert watch.record.phase is Phase.NOTICE
    assert watch.look(holds=(hold(until=watch.wall + HOUR),)).decision.phase is Phase.HELD
    assert watch.look().decision.credit_s == 0.0


def test_what_only_holds_a_node_back_leaves_its_credit_but_not_its_notice() -> None:
    watch = about_to_act()
    kept = watch.look(node_time_off=61.0)
    assert (kept.decision.verdict, kept.decision.phase, kept.decision.credit_s) == (Verdict.KEEP, Phase.IDLE, 2100.0)
    assert kept.record.notice_s == 0.0
    noticed = watch.look()
    assert (noticed.decision.phase, noticed.decision.credit_s) == (Phase.NOTICE, 2400.0)
    assert watch.look().decision.verdict is Verdict.ACT


# what happened in between


def after_two_looks() -> Watch:
    watch = Watch()
    watch.look(tagged(), untagged(status="stopped"))
    watch.look(tagged(), untagged(status="stopped"))
    return watch


@pytest.mark.parametrize("kind", ["qmstart", "qmshutdown", "qmstop", "qmigrate", "vncproxy", "vzdump", "something-new"])
def test_s06_what_an_untagged_guest_did_between_two_looks_begins_anew(kind: str) -> None:
    watch = after_two_looks()
    happened = task(kind, 110, started=watch.epoch + 60, ended=watch.epoch + 200, user=US)
    step = watch.look(tagged(), untagged(status="stopped"), tasks=(happened,))
    assert (step.decision.credit_s, step.record.observations) == (0.0, 1)
    assert f"there was a task {kind} of guest 110 (db) by {US} since the last look" in step.decision.detail
    assert watch.look(tagged(), untagged(status="stopped"), tasks=(happened,)).decision.credit_s == 300.0


def test_s06_so_does_a_guest_that_has_moved_away_or_is_gone() -> None:
    watch = after_two_looks()
    step = watch.look(tagged(), tasks=(task("qmigrate", 999, started=watch.epoch + 60, ended=watch.epoch + 200),))
    assert step.decision.credit_s == 0.0
    assert "task qmigrate of guest 999 by root@pam" in step.decision.detail


@pytest.mark.parametrize(
    ("kind", "vmid", "user", "counts"),
    [
        ("qmstart", 200, US, True),
        ("qmstart", 200, "root@pam", False),
        ("qmstop", 200, None, False),
        ("aptupdate", "", "root@pam", True),
        ("vzdump", "", "root@pam", False),
        ("vzdump", "", US, True),
        ("something-new", "", None, False),
        ("something-new", "200x", "root@pam", False),
    ],
)
def test_s27_only_our_own_work_on_tagged_guests_and_the_nodes_housekeeping_may_happen(
    kind: str, vmid: int | str, user: str | None, counts: bool
) -> None:
    watch = after_two_looks()
    step = watch.look(tagged(), tasks=(task(kind, vmid, started=watch.epoch + 60, ended=watch.epoch + 200, user=user),))
    assert step.decision.credit_s == (600.0 if counts else 0.0)


def test_s27_without_our_own_name_nothing_is_ours() -> None:
    watch = after_two_looks()
    step = watch.look(tagged(), our_user=None, tasks=(task("qmstart", 200, started=watch.epoch + 60, ended=watch.epoch + 200, user=None),))
    assert step.decision.credit_s == 0.0


def test_s06_a_task_the_last_look_knew_as_over_is_no_news_and_one_that_ended_since_is() -> None:
    watch = Watch()
    old = task("qmstop", 110, started=watch.epoch - 90, ended=watch.epoch - 80)
    watch.look(tasks=(old,))
    assert watch.look(tasks=(old,)).decision.credit_s == 300.0
    long = task("vzdump", started=watch.epoch - 7200, ended=watch.epoch + 30)
    assert watch.look(tasks=(long, old)).decision.credit_s == 0.0


def test_s06_a_task_from_long_before_the_last_look_is_no_news_even_when_it_was_not_listed_then() -> None:
    watch = after_two_looks()
    ancient = task("qmstop", 110, started=watch.epoch - 7200, ended=watch.epoch - 7100)
    assert watch.look(tagged(), tasks=(ancient,)).decision.credit_s == 600.0
    assert watch.record is not None
    assert watch.record.known_tasks == ()


def test_s06_a_task_list_that_does_not_reach_back_far_enough_begins_anew() -> None:
    for slack, credit in ((120, 300.0), (119, 0.0)):
        watch = Watch()
        watch.look()
        history = TaskHistory(tasks=(), reaches_back_to=watch.epoch - slack)
        assert watch.look(tasks=history).decision.credit_s == credit


@pytest.mark.parametrize("back", [60, 3600, 86_400])
def test_s06_a_clock_that_was_set_back_hides_no_task(back: int) -> None:
    watch = after_two_looks()
    watch.wall -= timedelta(seconds=back)
    happened = task("qmstart", 110, started=watch.epoch + 60, ended=watch.epoch + 200)
    assert watch.look(tagged(), tasks=(happened,)).decision.credit_s == 0.0


@pytest.mark.parametrize("fact", ["uptime", "node_clock"])
def test_s06_a_record_that_lacks_what_the_comparison_needs_begins_anew(fact: str) -> None:
    watch = after_two_looks()
    watch.change(**{fact: None})
    assert watch.look(tagged()).decision.credit_s == 0.0


@pytest.mark.parametrize("jump", [timedelta(0), HOUR, -HOUR])
def test_the_task_list_is_asked_for_from_well_before_the_last_look(jump: timedelta) -> None:
    watch = after_two_looks()
    last = watch.epoch
    watch.wall += jump
    watch.wait(300)
    since = idle.look_back(watch.record, watch.now)
    assert since == min(last, watch.epoch - 300) - 180
    assert watch.look(after=0, tasks=TaskHistory(tasks=(), reaches_back_to=since)).decision.credit_s == 600.0
    assert idle.look_back(None, watch.now) == watch.epoch - 180
    watch.boot = "another-boot"
    assert idle.look_back(watch.record, watch.now) == min(watch.epoch - 180, watch.epoch - 180)


# a record that cannot be


@pytest.mark.parametrize(
    "nonsense",
    [
        {"credit_s": 10_000.0},
        {"credit_s": -1.0},
        {"credit_s": float("inf")},
        {"credit_s": float("nan")},
        {"notice_s": 5_000.0},
        {"notice_s": -1.0},
        {"observations": -3},
        {"node": "pve3"},
        {"cluster": "another"},
        {"boottime": -1.0},
    ],
)
def test_s31_a_record_that_cannot_be_only_delays(nonsense: dict[str, Any]) -> None:
    watch = about_to_act()
    watch.change(**nonsense)
    step = watch.look()
    assert (step.decision.verdict, step.decision.credit_s, step.record.observations) == (Verdict.WAIT, 0.0, 1)
    assert watch.looks_until("act").decision.credit_s == 2100.0


@pytest.mark.parametrize(
    ("state", "phase"),
    [
        ({"quarantine": "it did not wake up when asked to"}, Phase.QUARANTINE),
        ({"cooldown_left_s": 1e9}, Phase.COOLDOWN),
        ({"cooldown_left_s": float("nan")}, Phase.COOLDOWN),
    ],
)
def test_s31_what_a_record_forbids_holds_even_when_it_is_anothers(state: dict[str, Any], phase: Phase) -> None:
    watch = about_to_act()
    watch.change(node="pve3", **state)
    step = watch.look()
    assert (step.decision.verdict, step.decision.phase) == (Verdict.KEEP, phase)
    assert (step.decision.due is None) is (phase is Phase.QUARANTINE)


# one node per run


def test_s12_one_node_is_switched_off_per_run_the_first_on_the_list() -> None:
    steps = []
    for node in ("pve3", "pve2"):
        watch = Watch()
        steps.append([watch.look(node=node) for _ in range(8)][-1])
    third, second = idle.choose(steps, POLICY)
    assert second is steps[1]
    assert (third.decision.verdict, third.decision.reason, third.decision.action) == (Verdict.WAIT, Reason.ANOTHER_FIRST, None)
    assert third.decision.detail == "pve3 waits: pve2 goes first, and one node is switched off per run"
    assert (third.record.phase, third.record.planned, third.record.attempt) == (Phase.NOTICE, (), None)
    assert third.record.credit_s == steps[0].record.credit_s
    watch = Watch(record=third.record)
    watch.looks, watch.wall, watch.boottime, watch.uptime = 8, WALL + timedelta(seconds=2100), 7100.0, UPTIME + 2100
    assert watch.look(node="pve3").decision.verdict is Verdict.ACT


def test_s12_too_many_guests_on_one_node_stop_the_whole_run() -> None:
    policy = structs.replace(POLICY, max_guests_per_run=1)
    crowded, quiet = Watch(policy), Watch(policy)
    steps = [(crowded.look(tagged(200), tagged(201)), quiet.look(node="pve3")) for _ in range(8)][-1]
    assert [step.decision.verdict for step in steps] == [Verdict.KEEP, Verdict.ACT]
    chosen = idle.choose(steps, policy)
    assert [step.decision.verdict for step in chosen] == [Verdict.KEEP, Verdict.WAIT]
    assert chosen[1].decision.reason is Reason.TOO_MANY_GUESTS


def test_s12_a_node_that_would_not_go_off_anyway_stops_nobody() -> None:
    policy = structs.replace(POLICY, max_guests_per_run=1)
    crowded, quiet = Watch(policy), Watch(policy)
    steps = [(crowded.look(tagged(200), tagged(201), untagged()), quiet.look(node="pve3")) for _ in range(8)][-1]
    assert idle.choose(steps, policy)[1].decision.verdict is Verdict.ACT


def test_nobody_to_choose_from_is_nobody_chosen() -> None:
    assert idle.choose((), POLICY) == ()
    step = Watch().look()
    assert idle.choose((step,), POLICY) == (step,)


# in words


def test_the_earliest_moment_it_could_go_off_is_told_and_kept() -> None:
    watch = Watch()
    dues = [step.decision.due for step in (watch.look() for _ in range(8))]
    assert dues == [WALL + timedelta(seconds=2100)] * 7 + [None]


def test_it_never_goes_off_before_the_moment_that_was_told() -> None:
    watch = Watch(structs.replace(POLICY, grace_period=60, interval=300, notice=0))
    due = watch.look().decision.due
    assert due == WALL + timedelta(seconds=600)
    watch.looks_until("act")
    assert watch.wall == due


def test_a_short_uptime_moves_that_moment() -> None:
    watch = Watch(structs.replace(POLICY, min_uptime=UPTIME + 4000))
    step = watch.look()
    assert step.decision.due == WALL + timedelta(seconds=4300)
    assert idle.told(step.decision).endswith("; until 21:06 UTC, then off at 21:11 UTC at the earliest")
    assert step.decision.if_gone == "until 21:06 UTC, then off at 21:11 UTC at the earliest"


def test_a_moment_on_another_day_is_told_with_its_date_and_in_any_zone() -> None:
    watch = Watch(structs.replace(POLICY, grace_period=4 * 3600))
    decision = watch.look().decision
    assert idle.told(decision).endswith("off at 2026-11-23 00:05 UTC at the earliest")
    assert idle.told(decision, at=lambda _: "five past midnight").endswith("; off at five past midnight at the earliest")


def test_what_would_change_a_blind_verdict_is_told() -> None:
    step = Watch().look(ceph=known((), WALL), blind_spots=None)
    assert idle.told(step.decision).endswith("; if everything could be seen and nothing needed it, off at 20:35 UTC at the earliest")
    busy = Watch().look(tasks=(task(started=int(WALL.timestamp())),))
    assert idle.told(busy.decision).endswith("; if that were over now, off at 20:35 UTC at the earliest")
