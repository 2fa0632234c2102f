from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from pvectl.core.plan import OutcomeStatus, Reason
from pvectl.core.schedules.ledger import (
    Blocker,
    Entry,
    Ledger,
    State,
    Step,
    answered,
    asked,
    claim,
    disarm,
    fingerprint,
    finish,
    open_windows,
    recorded,
    step,
)
from pvectl.core.schedules.resuming import PlannedGuest
from pvectl.core.schedules.schedule import Schedule, StayUp
from tests.core.schedules import schedule, utc

AT = utc("2026-11-21 21:30")
DEADLINE = utc("2026-11-21 22:00")
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
OLD = Ledger(schedule="night", config_hash="a", armed_at=utc("2026-11-21 12:00"))
HOLD = Blocker(reason=Reason.HELD, detail="ann holds the cluster", until=utc("2026-11-21 21:45"))


def look(now: datetime, ledger: Ledger | None = OLD, *, of: Schedule | None = None, config_hash: str = "a", **known: Any) -> Step:
    return step(ledger, of or schedule(), config_hash=config_hash, now=now, **known)


def guests(*vmids: int, at: datetime = AT) -> tuple[PlannedGuest, ...]:
    return tuple(PlannedGuest(vmid=vmid, type="qemu", seen_at=at, uptime=5000) for vmid in vmids)


def claimed(now: datetime = AT, **known: Any) -> Ledger:
    due = look(now, **known).due
    assert due is not None
    return recorded(known.get("ledger", OLD), claim(due, run_id="r1", guests=guests(100, 101), now=now))


def states(of: Iterable[Entry]) -> list[tuple[str, State]]:
    return [(entry.occurrence.wall, entry.state) for entry in of]


@pytest.mark.parametrize(
    ("now", "state"),
    [
        (AT - SECOND, None),
        (AT, State.DUE),
        (AT + SECOND, State.DUE),
        (DEADLINE - SECOND, State.DUE),
        (DEADLINE, State.MISSED),
        (DEADLINE + SECOND, State.MISSED),
    ],
)
def test_s16_an_occurrence_is_due_from_its_instant_to_before_its_deadline(now: datetime, state: State | None) -> None:
    found = look(now)
    assert (found.due.state if found.due else None) is (state if state is State.DUE else None)
    assert states(found.changed) == ([("2026-11-21 22:30", State.MISSED)] if state is State.MISSED else [])
    assert found.next.wall == ("2026-11-21 22:30" if now < AT else "2026-11-22 22:30")
    assert not found.armed


def test_what_is_due_says_what_it_is_and_until_when() -> None:
    due = look(AT).due
    assert due is not None
    assert (due.occurrence.wall, due.deadline, due.config_hash, due.reason) == ("2026-11-21 22:30", DEADLINE, "a", Reason.SCHEDULED)


def test_d28_nothing_begins_before_its_time() -> None:
    assert look(AT - timedelta(minutes=5)).due is None


def test_d37_what_was_claimed_is_never_due_again_however_often_one_looks() -> None:
    ledger = claimed()
    for minutes in range(30):
        assert look(AT + timedelta(minutes=minutes), ledger).due is None
    (entry,) = ledger.entries
    for state in (State.DONE, State.PARTIAL, State.FAILED, State.SKIPPED):
        ended = recorded(ledger, finish(entry, state, reason=Reason.SCHEDULED, detail="", now=AT))
        after = look(AT + SECOND, ended)
        assert (after.due, after.resume, after.deferred, after.changed) == (None, None, None, ())


def test_a_ledger_that_only_looked_stays_as_it_was() -> None:
    assert look(AT).ledger == OLD
    assert look(AT - SECOND).ledger == OLD


def test_a_timer_that_was_off_all_night_runs_nothing_in_the_morning() -> None:
    found = look(utc("2026-11-22 06:00"))
    assert found.due is None
    (missed,) = found.changed
    assert (missed.state, missed.reason) == (State.MISSED, Reason.DEADLINE_PASSED)
    assert missed.detail == "it could not begin before its deadline: no run of pvectl got to it in time"
    assert look(utc("2026-11-22 06:05"), found.ledger).changed == ()


def test_every_missed_occurrence_is_recorded_once_and_those_longer_ago_than_anyone_looks_back_are_not() -> None:
    found = look(utc("2026-11-25 12:00"))
    assert states(found.changed) == [(f"2026-11-{day} 22:30", State.MISSED) for day in (21, 22, 23, 24)]
    assert found.ledger.entries == found.changed
    years_later = look(utc("2028-11-25 12:00"))
    assert len(years_later.changed) == 35


@pytest.mark.parametrize("now", [utc("2026-11-21 21:30"), utc("2026-11-21 21:40")])
@pytest.mark.parametrize("ledger", [None, OLD])
def test_s16_a_new_or_edited_schedule_only_arms(now: datetime, ledger: Ledger | None) -> None:
    found = look(now, ledger, config_hash="b")
    assert found.armed
    assert found.due is None
    assert found.ledger == Ledger(schedule="night", config_hash="b", armed_at=now)
    assert found.passed_over is not None
    assert found.passed_over.wall == "2026-11-21 22:30"
    again = look(now + SECOND, found.ledger, config_hash="b")
    assert (again.due, again.changed, again.armed) == (None, (), False)
    tomorrow = look(AT + DAY, found.ledger, config_hash="b")
    assert tomorrow.due is not None
    assert tomorrow.due.occurrence.wall == "2026-11-22 22:30"


def test_arming_says_of_nothing_that_it_was_passed_over_where_nothing_was() -> None:
    assert look(AT - SECOND, None).passed_over is None
    assert look(DEADLINE, None).passed_over is None


def test_s16_an_occurrence_at_the_very_moment_of_arming_is_not_due_and_one_a_second_later_is() -> None:
    at_it = Ledger(schedule="night", config_hash="a", armed_at=AT)
    assert look(AT, at_it).due is None
    before_it = Ledger(schedule="night", config_hash="a", armed_at=AT - SECOND)
    assert look(AT, before_it).due is not None


def test_editing_a_schedule_forgets_nothing_that_was_carried_out() -> None:
    ledger = claimed()
    done = recorded(ledger, finish(ledger.entries[0], State.DONE, reason=Reason.SCHEDULED, detail="", now=AT))
    armed = look(AT - timedelta(minutes=1), done, config_hash="b").ledger
    assert states(armed.entries) == [("2026-11-21 22:30", State.DONE)]
    assert look(AT + SECOND, armed, config_hash="b").due is None


def test_editing_a_schedule_ends_what_a_dead_run_had_begun_and_what_was_deferred() -> None:
    found = look(AT + SECOND, claimed(), config_hash="b")
    assert [(entry.state, entry.reason) for entry in found.changed] == [(State.FAILED, Reason.SUPERSEDED)]
    assert found.resume is None
    deferred = look(AT, blockers=[HOLD]).ledger
    found = look(AT + SECOND, deferred, config_hash="b")
    assert [(entry.state, entry.reason) for entry in found.changed] == [(State.SKIPPED, Reason.ONLY_ARMED)]
    assert "ann holds the cluster" in found.changed[0].detail


def test_a_schedule_that_was_disabled_only_arms_when_it_comes_back() -> None:
    resting, ended = disarm(claimed(), AT + SECOND)
    assert states(ended) == [("2026-11-21 22:30", State.FAILED)]
    back = look(AT + DAY, resting)
    assert back.armed
    assert back.due is None
    assert states(back.ledger.entries) == [("2026-11-21 22:30", State.FAILED)]
    assert disarm(resting, AT + DAY) == (resting, ())


def test_a_clock_that_was_set_back_arms_anew_and_repeats_nothing() -> None:
    ledger = claimed()
    done = recorded(ledger, finish(ledger.entries[0], State.DONE, reason=Reason.SCHEDULED, detail="", now=AT))
    back = look(OLD.armed_at - SECOND, done)
    assert back.armed
    assert look(AT, back.ledger).due is None
    assert look(AT + DAY, back.ledger).due is not None


def test_a_clock_that_was_set_back_makes_nothing_go_on_early() -> None:
    assert look(AT - SECOND, claimed()).resume is None
    deferred = look(AT, blockers=[HOLD]).ledger
    early = look(AT - SECOND, deferred)
    assert (early.due, early.changed) == (None, ())


def test_s25_a_blocker_defers_until_it_is_gone() -> None:
    found = look(AT, blockers=[HOLD])
    assert found.due is None
    assert found.deferred is not None
    assert (found.deferred.state, found.deferred.reason, found.deferred.detail) == (State.DEFERRED, Reason.HELD, "ann holds the cluster")
    assert found.changed == (found.deferred,)
    still = look(AT + SECOND, found.ledger, blockers=[HOLD])
    assert still.deferred == found.deferred
    assert still.changed == ()
    freed = look(AT + timedelta(minutes=15), still.ledger)
    assert freed.due is not None
    assert freed.due.deadline == DEADLINE
    assert recorded(still.ledger, claim(freed.due, run_id="r", guests=(), now=AT + timedelta(minutes=15))).entries[0].state is State.CLAIMED


@pytest.mark.parametrize(("now", "state"), [(DEADLINE - SECOND, State.DEFERRED), (DEADLINE, State.MISSED)])
def test_what_is_blocked_up_to_its_deadline_is_missed_and_says_by_what(now: datetime, state: State) -> None:
    deferred = look(AT, blockers=[HOLD]).ledger
    found = look(now, deferred, blockers=[HOLD])
    assert found.ledger.entries[0].state is state
    if state is State.MISSED:
        assert found.changed[0].detail == "it could not begin before its deadline: ann holds the cluster"


def test_what_a_run_that_came_in_time_found_on_the_way_is_why_it_was_missed() -> None:
    found = look(DEADLINE, blockers=[Blocker(reason=Reason.UNSEEN, detail="no API host answered", tried=True)])
    assert found.changed[0].detail == "it could not begin before its deadline: no API host answered"
    # a window that is open by now says nothing about the time when it was due
    found = look(DEADLINE, blockers=[HOLD])
    assert found.changed[0].detail == "it could not begin before its deadline: no run of pvectl got to it in time"


def test_of_several_blockers_the_one_that_lasts_longest_is_named() -> None:
    forever = Blocker(reason=Reason.STAY_UP, detail="for ever")
    longer = Blocker(reason=Reason.STAY_UP, detail="longer", until=utc("2026-11-22 00:00"))
    found = look(AT, blockers=[longer, HOLD])
    assert found.deferred is not None
    assert found.deferred.detail == "longer"
    found = look(AT + SECOND, found.ledger, blockers=[forever, longer])
    assert found.deferred is not None
    assert found.deferred.detail == "for ever"
    assert found.changed == (found.deferred,)


def test_a_stay_up_window_blocks_while_it_is_open() -> None:
    window = StayUp(days=("sat",), start="22:00", tz="Europe/Berlin", duration=3600)
    (blocker,) = open_windows([window, StayUp(start="03:00", tz="UTC", duration=60)], AT)
    assert blocker == Blocker(
        reason=Reason.STAY_UP, detail="a stay-up window from 22:00 (Europe/Berlin) is open", until=utc("2026-11-21 22:00")
    )
    assert open_windows([window], utc("2026-11-21 22:00")) == ()


def test_the_next_occurrence_ends_the_window_of_the_one_before_whatever_the_deadline() -> None:
    close = schedule("22:30", "22:40")
    found = look(AT + timedelta(minutes=10), of=close)
    assert states(found.changed) == [("2026-11-21 22:30", State.MISSED)]
    assert found.due is not None
    assert found.due.occurrence.wall == "2026-11-21 22:40"


@pytest.mark.parametrize(
    ("after", "max_runtime", "goes_on"),
    [(0, 0, True), (1799, 0, True), (1800, 0, False), (1800, 600, True), (2399, 600, True), (2400, 600, False)],
)
def test_s30_a_run_that_died_may_be_taken_up_within_its_time_only(after: int, max_runtime: int, *, goes_on: bool) -> None:
    now = AT + timedelta(seconds=after)
    found = look(now, claimed(), max_runtime=max_runtime)
    assert (found.resume is not None) is goes_on
    assert found.due is None
    if not goes_on:
        (failed,) = found.changed
        assert (failed.state, failed.reason) == (State.FAILED, Reason.INTERRUPTED)
        assert failed.detail.startswith("run r1 died on the way, and it was too late to go on at 2026-11-21 22:")


def test_a_run_that_died_is_not_taken_up_past_the_next_occurrence() -> None:
    found = look(AT + DAY, claimed(), max_runtime=10 * 86_400)
    assert found.resume is None
    assert states(found.changed) == [("2026-11-21 22:30", State.FAILED)]
    assert found.due is not None
    assert found.due.occurrence.wall == "2026-11-22 22:30"


def test_a_hold_keeps_a_dead_run_from_being_taken_up_as_well() -> None:
    ledger = claimed()
    found = look(AT + SECOND, ledger, blockers=[HOLD])
    assert found.resume is None
    assert found.deferred == ledger.entries[0]
    assert found.changed == ()
    assert look(AT + 2 * SECOND, found.ledger).resume == ledger.entries[0]


@pytest.mark.parametrize("now", [AT - SECOND, DEADLINE])
def test_s16_nothing_is_claimed_outside_its_window_though_it_was_due_when_the_plan_was_made(now: datetime) -> None:
    due = look(AT).due
    assert due is not None
    with pytest.raises(ValueError, match="2026-11-21 22:30 of night is not due"):
        claim(due, run_id="r1", guests=(), now=now)


def test_nothing_is_claimed_twice() -> None:
    (entry,) = claimed().entries
    with pytest.raises(ValueError, match="is not due: it is claimed"):
        claim(entry, run_id="r2", guests=(), now=AT)


def test_s24_a_guest_is_marked_as_asked_once_and_before_its_answer() -> None:
    (entry,) = claimed().entries
    assert entry.state.under_way
    entry = asked(entry, 100, AT + SECOND)
    assert entry.state is State.RUNNING
    assert [guest.asked for guest in entry.guests] == [True, False]
    with pytest.raises(ValueError, match="guest 100 is not to be asked"):
        asked(entry, 100, AT + SECOND)
    with pytest.raises(ValueError, match="guest 999 is not to be asked"):
        asked(entry, 999, AT + SECOND)
    entry = answered(entry, 100, result=None, upid="UPID:x", now=AT + SECOND)
    entry = answered(entry, 100, result=OutcomeStatus.DONE, upid="UPID:x", now=AT + 2 * SECOND)
    assert (entry.guests[0].result, entry.guests[0].upid, entry.guests[1].result) == (OutcomeStatus.DONE, "UPID:x", None)
    ended = finish(entry, State.PARTIAL, reason=Reason.SCHEDULED, detail="1 of 2", now=AT + 3 * SECOND)
    with pytest.raises(ValueError, match="guest 101 is not to be asked"):
        asked(ended, 101, AT)


def test_what_has_ended_stays_as_it_ended() -> None:
    due = look(AT).due
    assert due is not None
    with pytest.raises(ValueError, match="cannot go from due to running"):
        finish(due, State.RUNNING, reason=Reason.SCHEDULED, detail="", now=AT)
    skipped = finish(due, State.SKIPPED, reason=Reason.NOTHING_SELECTED, detail="no guest", now=AT)
    with pytest.raises(ValueError, match="cannot go from skipped to done"):
        finish(skipped, State.DONE, reason=Reason.SCHEDULED, detail="", now=AT)


def test_a_newer_tz_database_that_moves_an_instant_makes_nothing_come_twice() -> None:
    # as if what is 22:30 in Berlin had been an hour earlier by the rules of yesterday
    before = claimed()
    (entry,) = before.entries
    moved = msgspec.structs.replace(entry, occurrence=msgspec.structs.replace(entry.occurrence, at=AT - timedelta(hours=1)))
    ended = finish(moved, State.DONE, reason=Reason.SCHEDULED, detail="", now=AT - timedelta(hours=1))
    found = look(AT, recorded(OLD, ended))
    assert found.due is None
    assert found.changed == ()


def test_the_same_instant_under_the_name_of_another_zone_is_not_carried_out_again() -> None:
    ledger = claimed()
    done = recorded(ledger, finish(ledger.entries[0], State.DONE, reason=Reason.SCHEDULED, detail="", now=AT))
    paris = schedule(tz="Europe/Paris")
    # edited, and the clock set back by a minute, so that it is armed before
    armed = look(AT - timedelta(minutes=1), done, of=paris, config_hash="b").ledger
    assert look(AT, armed, of=paris, config_hash="b").due is None


def test_times_that_a_gap_brings_together_are_carried_out_once() -> None:
    two = schedule("02:15", "02:45")
    ledger = Ledger(schedule="night", config_hash="a", armed_at=utc("2026-03-28 12:00"))
    at = utc("2026-03-29 01:00")
    due = look(at, ledger, of=two).due
    assert due is not None
    ledger = recorded(ledger, claim(due, run_id="r", guests=(), now=at))
    ledger = recorded(ledger, finish(ledger.entries[0], State.DONE, reason=Reason.SCHEDULED, detail="", now=at))
    for minutes in range(120):
        found = look(at + timedelta(minutes=minutes), ledger, of=two)
        assert (found.due, found.changed) == (None, ())


def test_s16_a_time_that_comes_twice_is_carried_out_the_first_time_only() -> None:
    ledger = Ledger(schedule="night", config_hash="a", armed_at=utc("2026-10-24 12:00"))
    at = utc("2026-10-25 00:30")
    of = schedule("02:30")
    due = look(at, ledger, of=of).due
    assert due is not None
    ledger = recorded(ledger, finish(claim(due, run_id="r", guests=(), now=at), State.DONE, reason=Reason.SCHEDULED, detail="", now=at))
    for minutes in range(180):
        assert look(at + timedelta(minutes=minutes), ledger, of=of).due is None
    # a timer that slept through the first pass does not make up for it in the second
    late = look(utc("2026-10-25 01:30"), Ledger(schedule="night", config_hash="a", armed_at=utc("2026-10-24 12:00")), of=of)
    assert states(late.changed) == [("2026-10-25 02:30", State.MISSED)]


def test_a_configuration_is_told_from_another_by_all_that_counts() -> None:
    one = fingerprint(schedule(), ["@tag-a"], {100, 101})
    assert one == fingerprint(schedule(), ["@tag-a"], {101, 100})
    assert len({one, fingerprint(schedule(deadline=1), ["@tag-a"], {100, 101}), fingerprint(schedule(), ["@tag-b"], {100, 101})}) == 3


def test_a_ledger_survives_being_written_and_read() -> None:
    ledger = recorded(claimed(), look(AT + DAY, blockers=[HOLD]).ledger.entries[-1])
    assert msgspec.json.decode(msgspec.json.encode(ledger), type=Ledger) == ledger
