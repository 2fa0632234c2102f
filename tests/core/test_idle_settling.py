from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec import structs

from pvectl.core import idle
from pvectl.core.idle import NodeRecord, Phase, StoppedByUs
from pvectl.core.idle.record import OffMark
from pvectl.core.plan import Outcome, OutcomeStatus, PowerOutcome, Reason, SetTags, Shutdown, SwitchOff, Verdict
from tests.core.idle_cases import BOOT, BOOTTIME, POLICY, REFUSED, WALL, Watch, about_to_act, tagged, task, untagged

GUESTS = (tagged(200, hastate="started"), tagged(201), tagged(202), tagged(203))
ACTION = SwitchOff(node="pve2")


def acting(*guests: Any) -> Watch:
    """A run has decided to switch the node off, and its record is on disk."""
    watch = about_to_act(POLICY, *guests)
    assert watch.look(*guests).decision.verdict is Verdict.ACT
    return watch


def ended(watch: Watch, status: OutcomeStatus, *, sent: bool, error: str | None = None, guests: tuple[Outcome, ...] = ()) -> NodeRecord:
    assert watch.record is not None
    outcome = PowerOutcome(action=ACTION, status=status, sent=sent, error=error, guests=guests)
    watch.record = idle.after(watch.record, outcome, POLICY, watch.now)
    return watch.record


def test_s23_seen_off_is_off_by_our_own_record() -> None:
    watch = acting()
    made = watch.now
    record = ended(watch, OutcomeStatus.DONE, sent=True)
    assert (record.phase, record.credit_s, record.planned, record.failures) == (Phase.OFF_SEEN, 0.0, (), 0)
    assert record.off_history == (OffMark(at=made.wall, boottime=made.boottime, boot_id=BOOT),)
    step = watch.look(status="offline")
    assert (step.decision.verdict, step.decision.reason, step.record.phase) == (Verdict.KEEP, Reason.SWITCHED_OFF, Phase.OFF_SEEN)
    assert step.decision.detail == "pve2 is off: pvectl switched it off"
    assert step.record.off_history == record.off_history


def test_s23_a_node_that_was_seen_off_and_has_not_been_restarted_never_was_off() -> None:
    watch = acting()
    ended(watch, OutcomeStatus.DONE, sent=True)
    watch.look(status="offline")
    step = watch.look()
    assert (step.decision.verdict, step.decision.phase) == (Verdict.KEEP, Phase.COOLDOWN)
    assert "it was seen off, and is on without having been restarted" in step.decision.detail


def test_s02_a_node_that_is_back_since_nobody_knows_when_is_blind() -> None:
    watch = acting()
    before = ended(watch, OutcomeStatus.DONE, sent=True)
    step = watch.look(uptime=REFUSED)
    assert (step.decision.verdict, step.decision.phase, step.record) == (Verdict.BLIND, Phase.OFF_SEEN, before)
    assert step.decision.due is None


def test_a_node_that_is_back_begins_like_any_other() -> None:
    watch = acting()
    ended(watch, OutcomeStatus.DONE, sent=True)
    step = watch.look(uptime=100, after=7200)
    assert (step.decision.verdict, step.decision.phase, step.decision.reason) == (Verdict.KEEP, Phase.IDLE, Reason.UPTIME_SHORT)
    assert (step.decision.credit_s, step.record.observations, step.record.attempt) == (0.0, 1, None)


@pytest.mark.parametrize("status", [OutcomeStatus.STARTED, OutcomeStatus.UNKNOWN, OutcomeStatus.TIMED_OUT])
def test_s23_an_open_end_stays_open_until_somebody_sees_it_off(status: OutcomeStatus) -> None:
    watch = acting()
    record = ended(watch, status, sent=True)
    assert (record.phase, len(record.off_history)) == (Phase.OFF_SENT, 1)
    waiting = watch.look()
    assert (waiting.decision.verdict, waiting.decision.reason) == (Verdict.WAIT, Reason.OFF_SENT)
    assert waiting.decision.action is None
    seen = watch.look(status="offline", after=299)
    assert (seen.record.phase, seen.decision.reason, len(seen.record.off_history)) == (Phase.OFF_SEEN, Reason.SWITCHED_OFF, 1)


def test_s23_ten_minutes_later_it_counts_as_failed_and_is_not_sent_again_within_the_cooldown() -> None:
    watch = acting()
    ended(watch, OutcomeStatus.UNKNOWN, sent=True)
    assert watch.look(after=599).decision.verdict is Verdict.WAIT
    step = watch.look(after=1)
    assert (step.decision.verdict, step.decision.phase, step.decision.reason) == (Verdict.KEEP, Phase.COOLDOWN, Reason.COOLDOWN)
    assert "it was told to power off and is still there" in step.decision.detail
    assert (step.record.failures, step.record.cooldown_left_s) == (1, 1800.0)


@pytest.mark.parametrize(
    ("boot", "uptime"),
    [
        (BOOT, 250),
        ("another-boot", 250),
        ("another-boot", 20_000),
    ],
)
def test_s23_a_pvectl_on_the_node_itself_completes_its_record_after_the_boot_by_looking(boot: str, uptime: int) -> None:
    watch = acting()
    ended(watch, OutcomeStatus.STARTED, sent=True)
    watch.wait(40_000)
    watch.boot = boot
    if boot != BOOT:
        watch.boottime = float(uptime)
    step = watch.look(uptime=uptime)
    assert step.record.phase in (Phase.BUSY, Phase.IDLE)
    assert (step.record.failures, len(step.record.off_history), step.decision.credit_s) == (0, 1, 0.0)


def test_a_runner_that_was_restarted_meanwhile_waits_on() -> None:
    watch = acting()
    ended(watch, OutcomeStatus.UNKNOWN, sent=True)
    watch.boot, watch.boottime = "another-boot", 10.0
    assert watch.look().decision.verdict is Verdict.WAIT
    watch.change(uptime=None)
    watch.boot = "a-third-boot"
    assert watch.look(after=200).decision.verdict is Verdict.WAIT


def test_s02_without_sight_of_it_the_end_stays_open() -> None:
    watch = acting()
    before = ended(watch, OutcomeStatus.UNKNOWN, sent=True)
    step = watch.look(uptime=REFUSED)
    assert (step.decision.verdict, step.record) == (Verdict.WAIT, before)
    step = watch.look(status="unknown", uptime=REFUSED)
    assert (step.decision.verdict, step.record) == (Verdict.BLIND, before)


@pytest.mark.parametrize("k", [1, 2])
def test_s30_a_run_that_died_half_way_is_settled_by_looking_and_never_repeated(k: int) -> None:
    watch = acting(tagged())
    for _ in range(k):
        step = watch.look(tagged(), after=200)
        assert (step.decision.verdict, step.decision.phase, step.decision.action) == (Verdict.WAIT, Phase.DRAIN, None)
    step = watch.look(tagged(), after=600)
    assert (step.decision.verdict, step.decision.phase) == (Verdict.KEEP, Phase.COOLDOWN)
    assert "the run that switched it off was interrupted" in step.decision.detail
    assert step.record.planned == ()


def test_s30_if_the_node_is_off_after_that_it_was_us() -> None:
    watch = acting()
    step = watch.look(status="offline")
    assert (step.record.phase, len(step.record.off_history)) == (Phase.OFF_SEEN, 1)


def test_s30_if_it_was_off_and_is_back_it_was_us_too() -> None:
    watch = acting()
    watch.look()
    step = watch.look(uptime=50)
    assert (step.record.phase, len(step.record.off_history), step.record.failures) == (Phase.IDLE, 1, 0)


def test_a_record_in_mid_sequence_without_its_beginning_is_a_failed_one() -> None:
    watch = acting()
    watch.change(attempt=None)
    assert watch.look().decision.phase is Phase.COOLDOWN


def test_s22_a_failed_guest_keeps_the_node_on_and_begins_a_cooldown() -> None:
    watch = acting()
    record = ended(watch, OutcomeStatus.TIMED_OUT, sent=False, error="guest 200 did not shut down")
    assert (record.phase, record.failures, record.cooldown_left_s) == (Phase.COOLDOWN, 1, 1800.0)
    step = watch.look()
    assert (step.decision.verdict, step.decision.phase) == (Verdict.KEEP, Phase.COOLDOWN)
    assert step.decision.detail == "pve2 stays on because the last attempt to switch pve2 off failed (guest 200 did not shut down)"
    assert step.decision.due == watch.wall + timedelta(seconds=1500 + 1800 + 300)


def test_s22_the_cooldown_ends_with_its_last_second_and_the_grace_period_begins_then() -> None:
    watch = acting()
    ended(watch, OutcomeStatus.FAILED, sent=False)
    assert watch.look(after=1799).decision.phase is Phase.COOLDOWN
    step = watch.look(after=1)
    assert (step.decision.phase, step.decision.credit_s, step.record.observations) == (Phase.IDLE, 0.0, 1)


def test_the_cooldown_is_not_shortened_by_a_jump_of_the_clock_or_a_restart_of_the_runner() -> None:
    watch = acting()
    ended(watch, OutcomeStatus.FAILED, sent=False)
    watch.wall += timedelta(days=9)
    assert watch.look().record.cooldown_left_s == 1500.0
    watch.boot = "another-boot"
    watch.boottime = 5.0
    assert watch.look(after=86_400).record.cooldown_left_s == 1500.0
    assert watch.look().record.cooldown_left_s == 1200.0


def test_every_failure_in_a_row_doubles_the_cooldown_up_to_a_day() -> None:
    watch = acting()
    patient = structs.replace(POLICY, max_failures=1000)
    assert watch.record is not None
    record, lengths = watch.record, []
    for _ in range(8):
        record = idle.after(record, PowerOutcome(action=ACTION, status=OutcomeStatus.FAILED), patient, watch.now)
        lengths.append(record.cooldown_left_s)
    assert lengths == [1800, 3600, 7200, 14400, 28800, 57600, 86400, 86400]
    for _ in range(100):
        record = idle.after(record, PowerOutcome(action=ACTION, status=OutcomeStatus.FAILED), patient, watch.now)
    assert record.cooldown_left_s == 86400


def test_three_failures_in_a_row_are_quarantine_until_a_person_has_looked() -> None:
    watch = acting()
    records = [ended(watch, OutcomeStatus.FAILED, sent=False, error="no") for _ in range(3)]
    assert [record.phase for record in records] == [Phase.COOLDOWN, Phase.COOLDOWN, Phase.QUARANTINE]
    assert records[-1].phase is Phase.QUARANTINE
    step = watch.look(after=10 * 86_400)
    assert (step.decision.verdict, step.decision.phase, step.decision.due) == (Verdict.KEEP, Phase.QUARANTINE, None)
    assert "3 attempts in a row failed, the last one: no" in step.decision.detail
    assert watch.record is not None
    watch.record = idle.reset(watch.record, watch.now)
    assert (watch.record.failures, watch.record.cooldown_left_s) == (0, 0.0)
    assert watch.look().decision.phase is Phase.IDLE


def test_a_person_who_wants_a_node_awake_that_is_on_ends_a_quarantine_but_not_one_for_sleeping_on() -> None:
    watch = acting()
    records = [ended(watch, OutcomeStatus.FAILED, sent=False, error="no") for _ in range(3)]
    freed = idle.looked_after(records[-1], watch.now)
    assert (freed.phase, freed.quarantine, freed.failures, freed.credit_s) == (Phase.BUSY, None, 0, 0.0)
    assert idle.looked_after(freed, watch.now) == freed
    asleep = idle.woken(freed, watch.now, ok=False)
    assert idle.looked_after(asleep, watch.now) == asleep


@pytest.mark.parametrize(
    ("phase", "status", "after", "becomes"),
    [
        (Phase.DRAIN, "offline", 30, Phase.OFF_SEEN),
        (Phase.OFF_SENT, "offline", 30, Phase.OFF_SEEN),
        (Phase.OFF_SENT, "online", 599, Phase.OFF_SENT),
        (Phase.OFF_SENT, "online", 600, Phase.BUSY),
        (Phase.DRAIN, "unknown", 10_000, Phase.DRAIN),
        (Phase.DRAIN, "missing", 30, Phase.BUSY),
        (Phase.OFF_SEEN, "online", 30, Phase.BUSY),
        (Phase.OFF_SEEN, "offline", 30, Phase.OFF_SEEN),
        (Phase.OFF_SEEN, "missing", 30, Phase.BUSY),
        (Phase.COOLDOWN, "online", 30, Phase.COOLDOWN),
    ],
)
def test_s30_a_node_that_was_taken_off_the_list_holds_up_nobody_for_ever(phase: Phase, status: str, after: float, becomes: Phase) -> None:
    watch = acting()
    watch.change(phase=phase)
    watch.wait(after)
    assert watch.record is not None
    assert idle.let_go(watch.record, status, watch.now).phase is becomes


def test_s30_an_unsettled_record_without_a_beginning_is_over_when_its_node_is_seen_on() -> None:
    watch = acting()
    watch.change(attempt=None)
    assert watch.record is not None
    assert idle.let_go(watch.record, "online", watch.now).phase is Phase.BUSY


def test_a_success_ends_the_row_of_failures() -> None:
    watch = acting()
    ended(watch, OutcomeStatus.FAILED, sent=False)
    record = ended(watch, OutcomeStatus.DONE, sent=True)
    assert (record.failures, record.last_failure, record.cooldown_left_s) == (0, None, 0.0)


def test_a_request_the_node_refused_is_a_failure() -> None:
    watch = acting()
    record = ended(watch, OutcomeStatus.FAILED, sent=True)
    assert (record.phase, record.last_failure, record.failures) == (Phase.COOLDOWN, "the node refused to power off", 1)


def test_something_that_came_in_between_is_no_failure_and_begins_anew() -> None:
    watch = acting()
    record = ended(watch, OutcomeStatus.SKIPPED, sent=False)
    assert (record.phase, record.failures, record.credit_s, record.attempt, record.planned) == (Phase.BUSY, 0, 0.0, None, ())


def test_s18_a_rehearsal_leaves_no_trace() -> None:
    watch = acting()
    before = watch.record
    assert ended(watch, OutcomeStatus.DRY_RUN, sent=False) == before


def test_s20_what_was_stopped_is_remembered_with_its_ha_state_and_forgotten_once_it_runs_again() -> None:
    watch = acting(*(structs.replace(one, hastate=None) for one in GUESTS))
    actions = [Shutdown(guest=one, timeout=180) for one in GUESTS]
    outcomes = (
        Outcome(action=actions[0], status=OutcomeStatus.DONE, upid="UPID:1"),
        Outcome(action=actions[1], status=OutcomeStatus.TIMED_OUT, upid="UPID:2"),
        Outcome(action=actions[2], status=OutcomeStatus.FAILED),
        Outcome(action=actions[3], status=OutcomeStatus.SKIPPED),
        Outcome(action=SetTags(guest=GUESTS[0]), status=OutcomeStatus.DONE),
    )
    record = ended(watch, OutcomeStatus.TIMED_OUT, sent=False, guests=outcomes)
    assert record.stopped_by_us == (
        StoppedByUs(vmid=200, type="qemu", at=watch.wall, upid="UPID:1", hastate="started"),
        StoppedByUs(vmid=201, type="qemu", at=watch.wall, upid="UPID:2", pending=True),
    )
    again = ended(watch, OutcomeStatus.TIMED_OUT, sent=False, guests=outcomes[:1])
    assert [one.vmid for one in again.stopped_by_us] == [200, 201]
    step = watch.look(tagged(201), tagged(200, status="stopped"))
    assert [one.vmid for one in step.record.stopped_by_us] == [200]


# power-offs of a day


def marked(*marks: OffMark) -> Watch:
    watch = Watch()
    watch.look()
    watch.change(off_history=marks)
    return watch


def mark(ago: float, boot: str = BOOT, *, needed: bool = False) -> OffMark:
    """A power-off so many seconds before the second look."""
    return OffMark(at=WALL + timedelta(seconds=300 - ago), boottime=BOOTTIME + 300 - ago, boot_id=boot, needed_since=needed)


@pytest.mark.parametrize(
    ("marks", "kept"),
    [
        ((mark(10),), False),
        ((mark(10), mark(86_399)), True),
        ((mark(10), mark(86_400)), False),
        ((mark(10, "old"), mark(86_399, "old")), True),
        ((mark(10, "old"), mark(86_400, "old")), False),
        ((mark(10, "old"), mark(-5_000, "old")), True),
        ((mark(10), mark(20, needed=True), mark(30, needed=True)), False),
        ((mark(10), mark(20), mark(30, needed=True)), True),
    ],
)
def test_s12_a_node_is_switched_off_twice_in_a_day_at_most_unless_somebody_needed_it(marks: tuple[OffMark, ...], kept: bool) -> None:
    step = marked(*marks).look()
    assert (step.decision.reason is Reason.BUDGET) is kept


def test_s12_a_guest_that_needs_the_node_clears_the_count() -> None:
    watch = marked(mark(10), mark(20))
    assert all(one.needed_since for one in watch.look(untagged()).record.off_history)
    assert watch.look().decision.reason is Reason.GRACE_PERIOD
    watch = marked(mark(10), mark(20))
    watch.policy = structs.replace(POLICY, exclude=(200,))
    assert all(one.needed_since for one in watch.look(tagged()).record.off_history)
    watch = marked(mark(10), mark(20))
    watch.look(tagged())
    assert watch.look().decision.reason is Reason.BUDGET


@pytest.mark.parametrize("jump", [86_400, -86_400])
def test_s12_a_jump_of_the_clock_makes_no_power_off_older(jump: int) -> None:
    watch = marked(mark(10, "old"), mark(20, "old"), mark(30))
    watch.wall += timedelta(seconds=jump)
    step = watch.look()
    assert step.decision.reason is Reason.BUDGET
    assert [one.at for one in step.record.off_history[:2]] == [mark(10).at + timedelta(seconds=jump), mark(20).at + timedelta(seconds=jump)]
    assert step.record.off_history[2] == mark(30)


@pytest.mark.parametrize(
    ("phase", "while_it_is", "moved"),
    [
        (Phase.OFF_SEEN, {"status": "offline"}, 1),
        (Phase.DRAIN, {"status": "offline"}, 1),
        (Phase.OFF_SENT, {"status": "online"}, 1),
        (Phase.OFF_SENT, {"status": "online", "uptime": REFUSED}, 0),
        (Phase.OFF_SEEN, {"status": "unknown", "uptime": REFUSED}, 0),
    ],
)
@pytest.mark.parametrize("jump", [86_400, -86_400])
def test_s12_a_jump_of_the_clock_while_the_node_is_off_makes_no_power_off_older(
    phase: Phase, while_it_is: dict[str, Any], moved: int, jump: int
) -> None:
    watch = marked(mark(10, "old"), mark(20, "old"))
    watch.change(
        phase=phase, attempt=OffMark(at=watch.wall, boottime=watch.boottime, boot_id=BOOT), boottime=watch.boottime, wall=watch.wall
    )
    watch.wall += timedelta(seconds=jump)
    first = watch.look(**while_it_is).record
    assert first.off_history[0].at == mark(10, "old").at + timedelta(seconds=jump) * moved
    # the jump is told once: either the clocks of the record have it, or the power-offs have it yet to come
    for _ in range(2):
        later = watch.look(status="offline").record
        assert later.off_history[0].at == mark(10, "old").at + timedelta(seconds=jump)


def test_s12_no_power_off_is_moved_into_the_future() -> None:
    watch = marked(mark(-100_000, "old"))
    watch.wall += timedelta(seconds=3600)
    assert watch.look().record.off_history[0].at == watch.wall


def test_the_history_does_not_grow_for_ever() -> None:
    watch = acting()
    watch.change(off_history=tuple(mark(float(10**6 + index), "old") for index in range(50)))
    record = ended(watch, OutcomeStatus.DONE, sent=True)
    assert len(record.off_history) == 20
    assert record.off_history[-1].boot_id == BOOT


# waking


def test_s26_a_failed_wake_is_quarantine_and_a_successful_one_ends_it() -> None:
    watch = acting()
    record = ended(watch, OutcomeStatus.DONE, sent=True)
    bad = idle.woken(record, watch.now, ok=False)
    assert (bad.phase, bad.quarantine, bad.wake_proof) == (Phase.QUARANTINE, "it did not wake up when asked to", None)
    watch.record = bad
    assert watch.look(status="offline").record.phase is Phase.QUARANTINE
    step = watch.look(uptime=10)
    assert (step.decision.verdict, step.decision.phase) == (Verdict.KEEP, Phase.QUARANTINE)
    good = idle.woken(step.record, watch.now, ok=True)
    assert (good.phase, good.quarantine, good.failures) == (Phase.BUSY, None, 0)
    assert good.wake_proof is not None


def asked_to_wake() -> Watch:
    watch = acting()
    record = ended(watch, OutcomeStatus.DONE, sent=True)
    watch.record = idle.woken(record, watch.now, ok=None)
    assert watch.record.wake_proof is None
    return watch


def test_s26_a_node_that_boots_after_it_was_asked_to_proves_the_way() -> None:
    watch = asked_to_wake()
    assert watch.look(uptime=REFUSED).record.wake_asked is not None
    record = watch.look(uptime=100).record
    assert record.wake_proof is not None
    assert (record.wake_asked, record.phase) == (None, Phase.IDLE)


def test_s26_a_node_that_was_on_all_along_proves_nothing() -> None:
    watch = Watch()
    watch.look()
    assert watch.record is not None
    watch.record = idle.woken(watch.record, watch.now, ok=None)
    record = watch.look().record
    assert (record.wake_proof, record.wake_asked) == (None, None)


@pytest.mark.parametrize(("after", "phase"), [(1499, Phase.OFF_SEEN), (1500, Phase.QUARANTINE)])
def test_s26_a_node_that_does_not_wake_in_time_is_quarantined(after: int, phase: Phase) -> None:
    assert asked_to_wake().look(status="offline", after=after).record.phase is phase


def test_a_node_nobody_can_see_has_not_failed_to_wake() -> None:
    assert asked_to_wake().look(status="unknown", after=5000).record.phase is Phase.OFF_SEEN


@pytest.mark.parametrize("phase", [Phase.DRAIN, Phase.OFF_SENT, Phase.OFF_SEEN])
def test_s30_a_reset_does_not_close_an_open_end(phase: Phase) -> None:
    watch = acting()
    watch.change(phase=phase, quarantine="x")
    assert watch.record is not None
    record = idle.reset(watch.record, watch.now)
    assert (record.phase, record.quarantine, record.attempt) == (phase, None, watch.record.attempt)


# right before each call


def test_s03_nothing_new_may_go_on() -> None:
    watch = acting(tagged(200), tagged(201))
    assert watch.record is not None
    watch.wait(10)
    for guests in ((tagged(200), tagged(201)), (tagged(200, status="stopped"), tagged(201)), ()):
        answer = idle.may_go_on(watch.evidence(*guests), POLICY, watch.record, watch.now)
        assert (answer.stop, answer.reason, answer.blockers) == (None, None, ())
        assert answer.running == tuple(one for one in guests if not one.is_off)


def going_on(watch: Watch, *guests: Any, ours: frozenset[str] = frozenset(), last: bool = False, **facts: Any) -> idle.GoOn:
    assert watch.record is not None
    watch.wait(10)
    return idle.may_go_on(watch.evidence(*guests, **facts), watch.policy, watch.record, watch.now, ours=ours, last=last)


@pytest.mark.parametrize(
    ("guests", "facts", "reason"),
    [
        ((untagged(),), {}, Reason.NOT_TAGGED),
        ((tagged(200, tags=()),), {}, Reason.NOT_TAGGED),
        ((tagged(200, lock="backup"),), {}, Reason.LOCKED),
        ((tagged(200, status="paused"),), {}, Reason.PAUSED),
        ((tagged(299),), {}, Reason.STARTED_MEANWHILE),
        ((tagged(200),), {"status": "offline"}, Reason.UNSEEN),
        ((tagged(200),), {"node": "pve3"}, Reason.UNSEEN),
        ((tagged(200),), {"node": "pve9"}, Reason.NOT_LISTED),
        ((tagged(200),), {"guests": REFUSED}, Reason.UNSEEN),
        ((tagged(200),), {"tasks": REFUSED}, Reason.UNSEEN),
        ((tagged(200),), {"live": False}, Reason.UNSEEN),
        ((tagged(200),), {"uptime": 5}, Reason.UPTIME_SHORT),
        ((tagged(200),), {"uptime": 20_000}, Reason.UNSEEN_BETWEEN),
        ((tagged(200),), {"tasks": (task("vzdump", started=1_795_379_000),)}, Reason.TASK_RUNNING),
    ],
)
def test_s03_whatever_came_in_between_stops_it(guests: tuple[Any, ...], facts: dict[str, Any], reason: Reason) -> None:
    answer = going_on(acting(tagged(200)), *guests, **facts)
    assert answer.reason is reason
    assert answer.stop is not None
    assert answer.stop.startswith(f"{facts.get('node', 'pve2')} stays on because ")


@pytest.mark.parametrize(("age", "stops"), [(15, False), (16, True)])
def test_s03_fifteen_seconds_are_the_most(age: int, stops: bool) -> None:
    watch = acting()
    seen = watch.evidence()
    watch.wait(age)
    assert watch.record is not None
    answer = idle.may_go_on(seen, POLICY, watch.record, watch.now)
    assert (answer.reason is Reason.OUT_OF_DATE) is stops


def test_our_own_tasks_are_no_veto_while_the_guests_go_down_and_one_before_the_power_off() -> None:
    watch = acting(tagged(200))
    ours = task("qmshutdown", 200, started=watch.epoch, user=US_HERE)
    assert going_on(watch, tagged(200), tasks=(ours,), ours=frozenset({ours.upid})).stop is None
    assert going_on(watch, tagged(200), tasks=(ours,)).reason is Reason.TASK_RUNNING
    assert going_on(watch, tasks=(ours,), ours=frozenset({ours.upid}), last=True).reason is Reason.TASK_RUNNING
    over = structs.replace(ours, ended=watch.epoch)
    assert going_on(watch, tagged(200, status="stopped"), tasks=(over,), ours=frozenset({ours.upid}), last=True).stop is None


def test_s21_nothing_at_all_may_run_at_the_power_off() -> None:
    assert going_on(acting(tagged(200)), tagged(200), last=True).reason is Reason.STARTED_MEANWHILE
    assert going_on(acting(tagged(200)), tagged(200, status="stopped"), last=True).stop is None
    assert going_on(acting(), tasks=REFUSED, last=True).stop is not None


def test_s27_a_guest_somebody_else_stopped_meanwhile_stops_it() -> None:
    watch = acting(tagged(200))
    foreign = task("qmstop", 200, started=watch.epoch + 1, ended=watch.epoch + 2)
    assert going_on(watch, tagged(200, status="stopped"), tasks=(foreign,)).reason is Reason.FOREIGN_TASK


def test_s14_another_boot_or_another_configuration_stops_it() -> None:
    watch = acting()
    watch.boot = "another-boot"
    assert going_on(watch).reason is Reason.UNSEEN
    watch = acting()
    watch.policy = structs.replace(POLICY, notice=1)
    assert going_on(watch).reason is Reason.UNSEEN


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.DRAIN])
def test_s24_what_nobody_has_decided_does_not_go_on(phase: Phase) -> None:
    watch = acting()
    watch.change(phase=phase)
    assert "nobody has decided to switch pve2 off" in (going_on(watch).stop or "")


def test_a_budget_of_guests_is_not_asked_again_half_way() -> None:
    watch = acting(tagged(200))
    watch.policy = structs.replace(POLICY, max_guests_per_run=0)
    watch.change(policy=watch.policy.fingerprint())
    assert going_on(watch, tagged(200)).stop is None


US_HERE = "pvectl@pve!ops"
