"""One run at a time: the lock is the kernel's, and ends with the process that holds it."""

from __future__ import annotations

import fcntl

import pytest

from pvectl.errors import CannotWrite, Locked
from pvectl.store import open_beside, open_to_read
from tests.store.stage import LAB, NOON, Credit, StandingClock, State, a_decision, a_hold, an_intent, other

HOLDS_THE_LOCK = """
store = open_to_write(directory, LAB, clock)
store.keep("idle", "a", Credit(seconds=1))
say("holds it")
wait()
store.close()
say("gave it back")
"""


def test_s27_a_second_run_is_turned_away_and_told_who_is_at_work(state: State) -> None:
    with other(state.directory, HOLDS_THE_LOCK) as first:
        assert first.says() == "holds it"
        with pytest.raises(Locked, match=rf"another run holds the lock: process {first.pid} since 2026-11-22 12:00:00 UTC") as refused:
            state.run()
        assert refused.value.exit_code == 75
        with open_to_read(state.directory, LAB) as reader:
            assert reader.recall("idle", "a", Credit) == Credit(seconds=1)

        first.go_on()
        assert first.says() == "gave it back"
        state.run().close()


def test_s27_a_run_that_was_killed_leaves_no_lock(state: State) -> None:
    with other(state.directory, HOLDS_THE_LOCK) as first:
        assert first.says() == "holds it"
        first.kill()

        with state.run() as store:
            assert store.recall("idle", "a", Credit) == Credit(seconds=1)


def test_s27_of_many_runs_at_once_exactly_one_works(state: State) -> None:
    code = """
say("ready")
wait()
try:
    store = open_to_write(directory, LAB, clock)
except PvectlError as error:
    say(int(error.exit_code))
else:
    say("works")
    wait()
"""
    with other(state.directory, code) as one, other(state.directory, code) as two, other(state.directory, code) as three:
        runs = (one, two, three)
        for run in runs:
            assert run.says() == "ready"
        for run in runs:
            run.go_on()
        assert sorted(run.says() for run in runs) == ["75", "75", "works"]


def test_s24_a_lock_file_that_was_replaced_is_noticed_before_anything_is_sent(state: State) -> None:
    with state.run() as first:
        state.lock.unlink()
        with state.run() as second:
            with pytest.raises(CannotWrite, match="replaced"):
                first.intend(an_intent(), decision=a_decision())
            second.intend(an_intent("i2"), decision=a_decision())

    with open_to_read(state.directory, LAB) as reader:
        assert [intent.id for intent in reader.open_intents()] == ["i2"]


def test_s24_a_state_file_that_was_replaced_is_noticed_before_anything_is_sent(state: State) -> None:
    with state.run() as store:
        copy = state.file.with_name("copy")
        copy.write_bytes(state.file.read_bytes())
        copy.replace(state.file)
        with pytest.raises(CannotWrite, match="replaced"):
            store.intend(an_intent(), decision=a_decision())


def test_what_stands_in_the_lock_file_is_cleaned_before_it_is_shown(state: State) -> None:
    with state.run():
        state.lock.write_bytes(b"\x1b]52;c;ZXZpbA==\x07 \xff process\n")
        with pytest.raises(Locked) as refused:
            state.run()
    assert refused.value.message.isprintable()


def test_a_lock_that_could_not_be_used_is_given_back(state: State) -> None:
    state.begun()
    state.file.chmod(0o644)
    with pytest.raises(Exception, match="open to others"):
        state.run()
    state.file.chmod(0o600)

    state.run().close()


def test_a_store_that_was_closed_neither_reads_nor_acts(state: State) -> None:
    store = state.run()
    store.close()

    with pytest.raises(RuntimeError):
        store.intend(an_intent(), decision=a_decision())
    state.run().close()
    store.close()
    assert store.warnings == ()
    with open_to_read(state.directory, LAB) as reader:
        assert reader.history(since=NOON) == ()


def test_s27_a_lock_file_replaced_in_the_moment_of_locking_is_not_taken_for_the_lock(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    state.begun()
    flock = fcntl.flock
    locked: list[int] = []

    def replaced_before(descriptor: int, operation: int) -> None:
        if not locked:
            state.lock.rename(state.lock.with_name("old"))
        locked.append(descriptor)
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", replaced_before)
    with state.run(), pytest.raises(Locked):
        state.run()
    assert len(locked) == 3


def test_s27_a_lock_file_replaced_again_and_again_lets_nobody_through(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    state.begun()
    flock = fcntl.flock

    def replaced_before(descriptor: int, operation: int) -> None:
        state.lock.unlink()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", replaced_before)
    with pytest.raises(Locked, match="again and again"):
        state.run()


STUCK = """
store = open_beside(directory, LAB, clock)
with store.transaction():
    store.add_hold(a_hold("h1"))
    say("stuck")
    wait()
"""


def test_s24_while_somebody_else_is_stuck_in_the_middle_of_writing_nothing_is_claimed(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pvectl.store.file._PATIENCE_S", 0.01)
    with state.run() as store, other(state.directory, STUCK) as stuck:
        assert stuck.says() == "stuck"
        with pytest.raises(CannotWrite):
            store.intend(an_intent(), decision=a_decision())
        with open_beside(state.directory, LAB, StandingClock()) as beside, pytest.raises(Locked, match="another process"):
            beside.add_hold(a_hold("h2"))
        stuck.kill()
        store.intend(an_intent(), decision=a_decision())
        assert store.holds(at=NOON) == ()


def test_a_transaction_keeps_others_from_writing_from_its_first_moment(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pvectl.store.file._PATIENCE_S", 0.01)
    with state.run() as store, open_beside(state.directory, LAB, StandingClock()) as beside:
        with store.transaction(), pytest.raises(Locked):
            beside.add_hold(a_hold())
        beside.add_hold(a_hold())


def test_s27_a_run_that_cannot_write_as_somebody_else_does_gives_its_lock_back(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    state.begun()
    monkeypatch.setattr("pvectl.store.file._PATIENCE_S", 0.01)
    with other(state.directory, STUCK) as stuck:
        assert stuck.says() == "stuck"
        with pytest.raises(Locked):
            state.run()
    state.run().close()


def test_a_first_hold_waits_for_the_run_that_is_just_beginning(state: State) -> None:
    class Beginning(StandingClock):
        naps = 0

        def sleep(self, seconds: float) -> None:  # noqa: ARG002 - time stands still here
            self.naps += 1
            if self.naps == at:
                elsewhere.rename(state.file)

    elsewhere = state.file.with_name("elsewhere")
    with state.run():
        state.file.rename(elsewhere)
        at, clock = 3, Beginning()
        with open_beside(state.directory, LAB, clock) as beside:
            beside.add_hold(a_hold())
        assert clock.naps == 3

        state.file.rename(elsewhere)
        at, clock = 1000, Beginning()
        with pytest.raises(Locked, match="has not begun"):
            open_beside(state.directory, LAB, clock)
        assert clock.naps == 100


def test_s24_a_commit_waits_for_the_disk_and_the_file_is_no_trusted_schema(state: State) -> None:
    with state.run() as store:
        told = {name: store._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "journal_mode", "foreign_keys")}
        assert told == {"synchronous": 2, "journal_mode": "truncate", "foreign_keys": 1}
        assert store._connection.execute("PRAGMA trusted_schema").fetchone() == (0,)
