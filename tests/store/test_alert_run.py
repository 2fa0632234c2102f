"""One alert run at a time, beside whatever else is at work on the same file."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import ExitStack, closing

import pytest
from msgspec import Struct

from pvectl.core.alerts.incident import Records, acknowledged
from pvectl.core.alerts.outbox import State as Stands
from pvectl.errors import BadState, CannotWrite, Locked
from pvectl.store import open_beside, open_to_alert, open_to_read
from pvectl.store.alerts import Alerts
from tests.store.alerting import a_row, a_silence, an_incident, records_of
from tests.store.stage import LAB, NOON, Credit, StandingClock, State, a_decision, a_hold, an_intent, other

HOLDS_THE_ALERT_LOCK = """
from pvectl.store import open_to_alert
store = open_to_alert(directory, LAB, clock)
say("at it")
wait()
store.close()
say("gave it back")
wait()
"""


class Other(Struct, frozen=True, kw_only=True):
    """A record of another kind than what was kept."""

    names: tuple[str, ...]


def test_s27_a_second_alert_run_is_turned_away_and_told_who_is_at_work(state: State) -> None:
    with other(state.directory, HOLDS_THE_ALERT_LOCK) as first:
        assert first.says() == "at it"
        with pytest.raises(Locked, match=rf"another alert run is at work: process {first.pid} since 2026-11-22 12:00:00 UTC") as refused:
            state.alert_run()
        assert refused.value.exit_code == 75

        first.go_on()
        assert first.says() == "gave it back"
        state.alert_run().close()


def test_s27_an_alert_run_that_was_killed_leaves_no_lock(state: State) -> None:
    with other(state.directory, HOLDS_THE_ALERT_LOCK) as first:
        assert first.says() == "at it"
        first.kill()
        state.alert_run().close()


@pytest.mark.slow
def test_s27_of_four_alert_runs_at_once_exactly_one_works(state: State) -> None:
    code = """
from pvectl.store import open_to_alert
say("ready")
wait()
try:
    store = open_to_alert(directory, LAB, clock)
except PvectlError as error:
    say(int(error.exit_code))
else:
    say("works")
    wait()
"""
    with ExitStack() as stack:
        runs = [stack.enter_context(other(state.directory, code)) for _ in range(4)]
        assert [run.says() for run in runs] == ["ready"] * 4
        for run in runs:
            run.go_on()
        assert sorted(run.says() for run in runs) == ["75", "75", "75", "works"]


class ClockThatTells(StandingClock):
    """Sleeping only lets its own time pass; after so many naps the other one is told to go on."""

    def __init__(self, process: object, naps: int) -> None:
        super().__init__()
        self._process = process
        self.naps = 0
        self._naps = naps
        self._boottime = 1000.0

    def boottime(self) -> float:
        return self._boottime

    def sleep(self, seconds: float) -> None:
        self._boottime += seconds
        self.naps += 1
        if self.naps == self._naps:
            self._process.go_on()  # type: ignore[attr-defined]
            assert self._process.says() == "gave it back"  # type: ignore[attr-defined]


def test_an_alert_run_with_patience_waits_for_the_other_one_and_no_longer_than_that(state: State) -> None:
    with other(state.directory, HOLDS_THE_ALERT_LOCK) as first:
        assert first.says() == "at it"
        impatient = ClockThatTells(first, naps=1000)
        with pytest.raises(Locked, match="another alert run is at work"):
            state.alert_run(impatient, patience=2.0)
        assert 2.0 - 0.1 < impatient.boottime() - 1000.0 <= 2.0

        patient = ClockThatTells(first, naps=7)
        state.alert_run(patient, patience=2.0).close()
        assert patient.naps == 7


def test_an_alert_run_and_a_run_that_acts_work_side_by_side(state: State) -> None:
    with state.run() as acting, state.alert_run() as alerting:
        acting.intend(an_intent(), decision=a_decision())
        Alerts(alerting).write_records(Records(), records_of([an_incident()]))
        with acting.transaction():
            acting.keep("idle", "a", Credit(seconds=2))
            Alerts(acting).put_rows(a_row(an_incident()))
        assert Alerts(alerting).rows() == (a_row(an_incident()),)
        assert Alerts(acting).records() == records_of([an_incident()])
    with state.run() as store:
        assert store.recall("idle", "a", Credit) == Credit(seconds=2)


def test_who_looks_is_not_kept_waiting_while_thousands_of_incidents_are_written(state: State) -> None:
    with state.begun(a=1).alert_run() as store:
        alerts = Alerts(store)
        with alerts.transaction():
            alerts.write_records(Records(), records_of(an_incident(number) for number in range(3000)))
            with open_to_read(state.directory, LAB) as reader:
                assert reader.recall("idle", "a", Credit) == Credit(seconds=1)
                assert Alerts(reader).records() == Records()


def test_an_alert_run_keeps_what_the_monitor_and_the_alerts_have_to_know_and_nothing_else(state: State) -> None:
    state.begun(a=1)
    with state.alert_run() as store:
        store.keep("monitor", "answers", Credit(seconds=1))
        store.keep("alert cursor", "tasks", Credit(seconds=2))
        store.keep("alert cursor", "gone", Credit(seconds=3))
        store.forget("alert cursor", "gone")
        with pytest.raises(RuntimeError):
            store.keep("idle", "a", Credit(seconds=2))
        with pytest.raises(RuntimeError):
            store.forget("idle", "a")
        with pytest.raises(RuntimeError):
            store.decided(a_decision())
        with pytest.raises(RuntimeError):
            store.intend(an_intent(), decision=a_decision())
        with pytest.raises(RuntimeError):
            store.ended("i1", status="done", at=NOON)
        with pytest.raises(RuntimeError):
            store.prune(now=NOON)

    with state.run() as store:
        assert store.recall("monitor", "answers", Credit) == Credit(seconds=1)
        assert store.recall_all("alert cursor", Credit) == {"tasks": Credit(seconds=2)}
        assert store.recall_all("idle", Credit) == {"a": Credit(seconds=1)}


def test_s31_an_alert_run_begins_its_own_records_anew_and_leaves_those_of_others_to_the_run_that_acts(state: State) -> None:
    with state.begun(a=1).alert_run() as store:
        store.keep("monitor", "answers", Credit(seconds=1))
    with state.alert_run() as store:
        for kind, key in (("idle", "a"), ("monitor", "answers")):
            with pytest.raises(BadState, match=f"{kind} {key}"):
                store.recall(kind, key, Other)

    with state.run() as store:
        assert store.recall("monitor", "answers", Other) is None
        with pytest.raises(BadState, match="idle a"):
            store.recall("idle", "a", Other)
        with pytest.raises(BadState, match="nothing is switched off"):
            store.intend(an_intent(), decision=a_decision())


def test_a_lock_that_was_replaced_is_noticed_before_anything_is_written(state: State) -> None:
    with state.alert_run() as first:
        state.alert_lock.unlink()
        with state.alert_run() as second:
            with pytest.raises(CannotWrite, match="replaced"):
                Alerts(first).put_rows(a_row(an_incident()))
            Alerts(second).put_rows(a_row(an_incident(101)))
    with open_to_read(state.directory, LAB) as reader:
        assert Alerts(reader).rows() == (a_row(an_incident(101)),)


def test_a_word_that_comes_in_while_an_alert_run_evaluates_waits_for_it_and_is_not_lost(state: State) -> None:
    incident = an_incident()
    with state.alert_run() as store:
        Alerts(store).write_records(Records(), records_of([incident]))
    evaluates = """
from pvectl.store import open_to_alert
from pvectl.store.alerts import Alerts
from tests.store.alerting import an_incident, records_of
with open_to_alert(directory, LAB, clock) as store:
    alerts = Alerts(store)
    with alerts.transaction():
        before = alerts.records()
        say("in the middle")
        wait()
        alerts.write_records(before, records_of([an_incident(seq=2)]))
    say("done")
    wait()
"""
    acknowledges = """
from pvectl.core.alerts.incident import acknowledged
from pvectl.store.alerts import Alerts
from tests.store.alerting import a_silence, an_incident, records_of
with open_beside(directory, LAB, clock) as store:
    alerts = Alerts(store)
    say("opened")
    with alerts.transaction():
        name = an_incident().name
        before = alerts.records([name])
        word = acknowledged(before.incidents[name], by="anna", at=NOON)
        alerts.write_records(before, records_of([word]))
        alerts.add_silence(a_silence())
say("done")
"""
    with other(state.directory, evaluates) as run:
        assert run.says() == "in the middle"
        with other(state.directory, acknowledges) as word:
            assert word.says() == "opened"
            run.go_on()
            assert run.says() == "done"
            assert word.says() == "done"
            with open_to_read(state.directory, LAB) as reader:
                after = acknowledged(an_incident(seq=2), by="anna", at=NOON)
                assert Alerts(reader).records() == records_of([after])
                assert Alerts(reader).silences() == (a_silence(),)


@pytest.mark.slow
def test_jobs_alerts_and_commands_write_at_once_and_nothing_is_lost(state: State) -> None:
    """Four processes, each with its own part; in the end every part is whole, and the sums fit."""
    state.run().close()
    begin = """
from msgspec.structs import replace
from pvectl.core.alerts.incident import Records
from pvectl.core.alerts.outbox import State as Stands
from pvectl.store import open_to_alert
from pvectl.store.alerts import Alerts
from tests.store.alerting import a_row, a_silence, an_incident, records_of
say("ready")
wait()
"""
    acts = """
for number in range(25):
    with open_to_write(directory, LAB, clock) as store:
        with store.transaction():
            store.keep("idle", f"k{number}", Credit(seconds=number))
            Alerts(store).put_rows(a_row(an_incident(1000 + number)))
"""
    alerts = """
for number in range(25):
    with open_to_alert(directory, LAB, clock, patience=60) as store:
        alerts = Alerts(store)
        with alerts.transaction():
            before, rows = alerts.records(), alerts.rows()
            alerts.write_records(before, Records(incidents={**before.incidents, **records_of([an_incident(number)]).incidents}))
            alerts.write_rows(rows, [*rows, a_row(an_incident(number))])
            alerts.keep_look(NOON, "x" * 3000)
        for row in alerts.rows()[:3]:
            with alerts.transaction():
                alerts.put_rows(replace(row, attempts=row.attempts + 1))
"""
    silences = """
for number in range(25):
    with open_beside(directory, LAB, clock) as store:
        Alerts(store).add_silence(a_silence(f"{os.getpid()}-{number}"))
"""
    parts = [acts, alerts, silences, silences]
    processes = [other(state.directory, begin + part + '\nsay("done")\n') for part in parts]
    with processes[0] as a, processes[1] as b, processes[2] as c, processes[3] as d:
        for process in (a, b, c, d):
            assert process.says() == "ready"
        for process in (a, b, c, d):
            process.go_on()
        assert [process.says() for process in (a, b, c, d)] == ["done"] * 4

    with state.alert_run() as store:
        kept = Alerts(store)
        assert store.set_aside is None
        assert kept.take_losses() == ()
        assert set(kept.records().incidents) == {an_incident(number).name for number in range(25)}
        assert {row.id for row in kept.rows()} == {a_row(an_incident(n)).id for n in (*range(25), *range(1000, 1025))}
        assert len(kept.silences()) == 50
        assert len(store.recall_all("idle", Credit)) == 25


def _broken(state: State) -> None:
    content = state.file.read_bytes()
    state.file.write_bytes(content[:-100])


def _damaged(state: State) -> State:
    """With everything in it, and a record of another job that is not as it was written."""
    with state.begun(a=1).run() as store:
        store.add_hold(a_hold("h1"))
        alerts = Alerts(store)
        alerts.write_records(Records(), records_of([an_incident(), an_incident(101, delivered=1)]))
        alerts.put_rows(a_row(an_incident()), a_row(an_incident(101), state=Stands.SENT))
        alerts.add_silence(a_silence())
    with closing(sqlite3.connect(state.file, isolation_level=None)) as connection:
        connection.execute("UPDATE kept SET payload = '{}' WHERE name = 'a'")
    return state


def _is_carried_over(alerts: Alerts) -> bool:
    return (
        alerts.records() == records_of([an_incident(), an_incident(101, delivered=1)])
        and {row.id for row in alerts.rows()} == {a_row(an_incident()).id, a_row(an_incident(101)).id}
        and alerts.silences() == (a_silence(),)
    )


@pytest.mark.parametrize("first", ["alert", "run"])
def test_s31_whoever_sets_a_file_aside_the_alerts_in_it_go_on_and_both_runs_learn_of_it(state: State, first: str) -> None:
    _damaged(state)
    with (state.alert_run if first == "alert" else state.run)() as store:
        assert "not as it was written" in str(store.set_aside)
        assert _is_carried_over(Alerts(store))
        assert store.recall_all("idle", Credit) == {}
        assert store.holds(at=NOON) == (a_hold("h1"),)
    (name,) = state.broken()

    with state.alert_run() as store:
        assert name in str(store.set_aside)
        (loss,) = Alerts(store).take_losses()
        assert loss == f"the state file {store.set_aside}"
        assert Alerts(store).take_losses() == ()
    with state.alert_run() as store:
        assert store.set_aside is None
        assert _is_carried_over(Alerts(store))
    if first == "alert":
        with state.run() as store:
            assert name in str(store.set_aside)
            with pytest.raises(BadState, match="nothing is switched off"):
                store.intend(an_intent(), decision=a_decision())
    with state.run() as store:
        assert store.set_aside is None
    assert state.broken() == [name]


def test_s31_what_a_newer_version_wrote_is_set_aside_and_what_of_its_alerts_can_be_understood_goes_on(state: State) -> None:
    _damaged(state)
    with closing(sqlite3.connect(state.file)) as connection:
        connection.execute("PRAGMA user_version = 3")
    with state.alert_run() as store:
        assert "newer version" in str(store.set_aside)
        assert _is_carried_over(Alerts(store))


def test_s31_the_alerts_of_another_cluster_are_not_ours(state: State) -> None:
    _damaged(state)
    with open_to_alert(state.directory, "home", StandingClock()) as store:
        Alerts(store).add_silence(a_silence("home"))
    shutil.copy(state.file, state.directory / "home" / "state.db")
    with open_to_alert(state.directory, "home", StandingClock()) as store:
        assert store.set_aside is not None
        assert Alerts(store).records() == Records()
        assert Alerts(store).silences() == ()


def test_s31_an_alert_run_does_not_set_a_file_aside_while_a_run_that_acts_is_at_work(state: State) -> None:
    state.begun(a=1)
    with state.run():
        _broken(state)
        with pytest.raises(Locked, match="another run holds the lock"):
            state.alert_run()
        assert state.broken() == []
    # the lock of the alerts is free again
    with state.alert_run() as store:
        assert store.set_aside is not None
        # and that of the run that acts as well
        state.run().close()


def test_s31_a_header_that_forbids_to_write_is_no_reason_to_stay_silent(state: State) -> None:
    _damaged(state)
    content = bytearray(state.file.read_bytes())
    content[18] = 3
    state.file.write_bytes(content)
    with state.alert_run() as store:
        assert store.set_aside is not None


def test_what_an_alert_run_writes_into_a_file_that_was_set_aside_meanwhile_is_not_said_to_be_kept(state: State) -> None:
    with state.alert_run() as store:
        Alerts(store).put_rows(a_row(an_incident()))
        state.file.rename(state.file.with_name("state.db.broken-20261122T110000Z"))
        state.run().close()
        with pytest.raises((CannotWrite, Locked), match="replaced"):
            Alerts(store).put_rows(a_row(an_incident(101)))

    with state.alert_run() as store:
        assert Alerts(store).rows() == (a_row(an_incident()),)


def test_the_first_alert_run_begins_the_state_and_waits_for_a_run_that_is_just_doing_so(state: State) -> None:
    class Meanwhile(StandingClock):
        def sleep(self, seconds: float) -> None:
            assert seconds > 0
            begins.close()
            open_beside(state.directory, LAB, self).close()

    begins = state.run()
    state.file.unlink()
    state.file.with_name("state.db-journal").unlink()
    with state.alert_run(Meanwhile()) as store:
        assert store.set_aside is None
        assert Alerts(store).records() == Records()
