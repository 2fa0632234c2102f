"""A hold can be placed at any time, also while a run is at work, and that run sees it the next time it looks (safety rule S25)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pvectl.errors import BadState, Locked, UsageError
from pvectl.store import open_beside, open_to_read
from tests.store.stage import LAB, NOON, StandingClock, State, a_hold, other

HOUR = timedelta(hours=1)


def test_s25_a_hold_placed_while_a_run_drains_is_seen_before_its_next_write(state: State) -> None:
    run = """
with open_to_write(directory, LAB, clock) as store:
    store.intend(an_intent(), decision=a_decision())
    for _ in range(3):
        say([hold.id for hold in store.holds(at=clock.now())])
        wait()
"""
    hold = """
with open_beside(directory, LAB, clock) as store:
    store.add_hold(a_hold("h1"))
    say("placed")
    wait()
    say(store.remove_hold("h1"))
"""
    with other(state.directory, run) as draining:
        assert draining.says() == "[]"
        with other(state.directory, hold) as placing:
            assert placing.says() == "placed"
            draining.go_on()
            assert draining.says() == "['h1']"
            placing.go_on()
            assert placing.says() == "True"
            draining.go_on()
            assert draining.says() == "[]"


def test_s25_a_hold_waits_for_a_transaction_of_the_run_and_is_not_lost(state: State) -> None:
    run = """
with open_to_write(directory, LAB, clock) as store:
    with store.transaction():
        store.keep("idle", "a", Credit(seconds=1))
        say("in the middle")
        wait()
    say("done")
    wait()
    say([hold.id for hold in store.holds(at=clock.now())])
"""
    hold = """
store = open_beside(directory, LAB, clock)
say("opened")
store.add_hold(a_hold("h1"))
say("placed")
"""
    with other(state.directory, run) as at_work:
        assert at_work.says() == "in the middle"
        with other(state.directory, hold) as placing:
            assert placing.says() == "opened"
            at_work.go_on()
            assert at_work.says() == "done"
            assert placing.says() == "placed"
            at_work.go_on()
            assert at_work.says() == "['h1']"


def test_the_first_hold_begins_the_state_and_leaves_the_lock_free(state: State) -> None:
    with open_beside(state.directory, LAB, StandingClock()) as beside:
        beside.add_hold(a_hold("h1"))
        with state.run() as store:
            assert store.set_aside is None
            assert [hold.id for hold in store.holds(at=NOON)] == ["h1"]


def test_holds_end_by_themselves_and_can_be_lifted_once(state: State) -> None:
    with open_beside(state.directory, LAB, StandingClock()) as beside:
        beside.add_hold(a_hold("3a", until=NOON + HOUR))
        beside.add_hold(a_hold("3b", until=NOON + 2 * HOUR))
        beside.add_hold(a_hold("4", until=NOON))

        assert [hold.id for hold in beside.holds(at=NOON)] == ["3a", "3b"]
        assert [hold.id for hold in beside.holds(at=NOON + HOUR)] == ["3b"]
        with pytest.raises(UsageError, match=r"several ids: 3a .* 3b"):
            beside.remove_hold("3")
        assert beside.remove_hold("4") is False
        assert beside.remove_hold("") is False
        assert beside.remove_hold("3A") is True
        assert beside.remove_hold("3a") is False
        assert [hold.id for hold in beside.holds(at=NOON)] == ["3b"]

    with open_to_read(state.directory, LAB) as reader:
        assert reader.holds(at=NOON) == (a_hold("3b", until=NOON + 2 * HOUR),)


def test_a_hold_does_not_repair_a_broken_file_the_next_run_does(state: State) -> None:
    state.begun(a=1)
    content = state.file.read_bytes()
    state.file.write_bytes(content[:-100])

    with pytest.raises(BadState) as refused:
        open_beside(state.directory, LAB, StandingClock())
    assert refused.value.exit_code == 65
    assert state.file.read_bytes() == content[:-100]
    assert state.broken() == []


def test_s25_a_hold_that_went_into_a_file_which_was_set_aside_in_that_moment_is_not_said_to_be_placed(state: State) -> None:
    with open_beside(state.directory, LAB, StandingClock()) as beside:
        beside.add_hold(a_hold("h1"))
        state.file.rename(state.file.with_name("state.db.broken-20261122T110000Z"))
        state.run().close()

        with pytest.raises(Locked, match="replaced in this moment"):
            beside.add_hold(a_hold("h2"))
        with pytest.raises(Locked, match="replaced in this moment"):
            beside.remove_hold("h1")


def test_many_hands_place_holds_at_once_and_none_is_lost(state: State) -> None:
    # both draw the same numbers at the same moment, so that each id they could be given is one the other wants
    code = """
drawn = iter(range(1024))
os.urandom = lambda length: next(drawn).to_bytes(length, "big")
say("ready")
wait()
for number in range(20):
    with open_beside(directory, LAB, clock) as store, store.transaction():
        store.add_hold(a_hold(store.new_id()))
say("done")
"""
    with other(state.directory, code) as one, other(state.directory, code) as two, state.run() as store:
        assert (one.says(), two.says()) == ("ready", "ready")
        one.go_on()
        two.go_on()
        assert (one.says(), two.says()) == ("done", "done")
        assert len(store.holds(at=NOON)) == 40
