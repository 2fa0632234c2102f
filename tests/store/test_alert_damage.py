"""Damage to what alerts keep costs what is damaged, is said, and never costs the rest, or anybody else's state."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing, suppress
from datetime import timedelta

import pytest
from msgspec.structs import replace

from pvectl.core.alerts.incident import Records
from pvectl.core.alerts.outbox import State as Stands
from pvectl.errors import BadState, PvectlError
from pvectl.store import file, open_beside, open_to_read, rows
from pvectl.store.alerts import Alerts
from pvectl.store.kinds import place
from tests.store.alerting import a_row, a_silence, an_explanation, an_incident, records_of
from tests.store.stage import LAB, NOON, Credit, StandingClock, State, a_hold

FOUR = [an_incident(number) for number in range(100, 104)]


@pytest.fixture
def full(state: State) -> State:
    with state.begun(a=1).run() as store:
        store.add_hold(a_hold("h1"))
        alerts = Alerts(store)
        alerts.write_records(Records(), records_of(FOUR))
        alerts.put_rows(*(a_row(incident) for incident in FOUR))
        alerts.add_silence(a_silence())
        alerts.write_explanations({FOUR[0].name: an_explanation(FOUR[0])})
        for hour in range(4):
            alerts.keep_look(NOON + timedelta(hours=hour), f"look {hour}" + "x" * 1000)
    return state


def _damage(state: State, statement: str, *parameters: object) -> None:
    with closing(sqlite3.connect(state.file, isolation_level=None)) as connection:
        assert connection.execute(statement, parameters).rowcount > 0


PLACE = place("incident", FOUR[1].name)
DAMAGE = {
    "changed": "UPDATE alerts SET payload = CAST(replace(payload, 'no backup', 'my backup') AS BLOB) WHERE place = ?",
    "gone": "DELETE FROM alerts WHERE place = ?",
    "moved": "UPDATE alerts SET place = place + 1 WHERE place = ?",
    "seal": "UPDATE alerts SET seal = X'00' WHERE place = ?",
    "text": "UPDATE alerts SET payload = CAST(payload AS TEXT) WHERE place = ?",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_an_alert_run_goes_on_with_the_rows_that_are_whole_and_says_that_some_are_not(full: State, damage: str) -> None:
    _damage(full, DAMAGE[damage], PLACE)

    with full.alert_run() as store:
        alerts = Alerts(store)
        assert store.set_aside is None
        assert alerts.records() == records_of([FOUR[0], *FOUR[2:]])
        assert len(alerts.rows()) == 4
        assert alerts.silences() == (a_silence(),)
        (loss,) = alerts.take_losses()
        assert "alerts: rows of it were gone or not as they were written" in loss
        assert alerts.take_losses() == ()
    with full.run() as store:
        assert store.set_aside is None
        assert store.recall("idle", "a", Credit) == Credit(seconds=1)
        assert "set-aside" in [entry.what for entry in store.history(since=NOON)]
        assert Alerts(store).records() == records_of([FOUR[0], *FOUR[2:]])


@pytest.mark.parametrize("damage", DAMAGE)
def test_writing_over_a_damaged_row_is_no_end_of_all_alerts(full: State, damage: str) -> None:
    _damage(full, DAMAGE[damage], PLACE)
    with open_beside(full.directory, LAB, StandingClock()) as store:
        Alerts(store).write_records(Records(), records_of([FOUR[1]], run_at=None, gaps=()))
    with full.alert_run() as store:
        assert Alerts(store).records() == records_of(FOUR)


def test_nobody_else_minds_damage_to_the_alerts_and_who_looks_at_them_is_told(full: State) -> None:
    _damage(full, DAMAGE["changed"], PLACE)
    _damage(full, "DELETE FROM looks")
    before = full.file.read_bytes()

    with open_to_read(full.directory, LAB) as reader:
        assert reader.holds(at=NOON) == (a_hold("h1"),)
        assert reader.history(since=NOON)
        with pytest.raises(BadState) as refused:
            Alerts(reader).records()
        assert refused.value.exit_code == 65
        with pytest.raises(BadState):
            list(Alerts(reader).looks(NOON))
    assert full.file.read_bytes() == before
    with full.run() as store:
        assert store.set_aside is None
        assert store.recall("idle", "a", Credit) == Credit(seconds=1)


def test_a_look_that_is_gone_is_said_and_the_others_are_still_there(full: State) -> None:
    _damage(full, "DELETE FROM looks WHERE at = (SELECT min(at) FROM looks)")
    with full.alert_run() as store:
        alerts = Alerts(store)
        assert [payload[:6] for _, payload in alerts.looks(NOON)] == ["look 1", "look 2", "look 3"]
        assert "looks: rows of it were gone" in alerts.take_losses()[0]


def test_a_record_that_nobody_understands_is_left_out_and_said_once(full: State) -> None:
    with closing(file.open_believed(full.file, LAB)) as connection:
        connection.execute("BEGIN")
        rows.put_all(connection, "alerts", [(PLACE, "incident", FOUR[1].name, rows.in_words(NOON), b'{"phase":"sleeping"}')])
        connection.execute("COMMIT")

    with open_to_read(full.directory, LAB) as reader:
        assert Alerts(reader).records() == records_of([FOUR[0], *FOUR[2:]])
    with full.alert_run() as store:
        alerts = Alerts(store)
        assert alerts.records() == records_of([FOUR[0], *FOUR[2:]])
        (loss,) = alerts.take_losses()
        assert FOUR[1].name in loss
        assert '{"phase":"sleeping"}' in loss
    with full.run() as store:
        assert store.set_aside is None
        assert FOUR[1].name in next(entry.id for entry in store.history(since=NOON) if entry.what == "set-aside")
        assert Alerts(store).take_losses() == ()


def test_a_message_that_was_lost_on_its_way_is_made_anew(full: State) -> None:
    arrived = replace(FOUR[3], told={"mail": replace(FOUR[3].told["mail"], delivered=1, delivered_at=NOON)})
    with full.run() as store:
        alerts = Alerts(store)
        alerts.write_records(records_of(FOUR), records_of([*FOUR[:3], arrived]))
        alerts.put_rows(a_row(FOUR[2], state=Stands.SENT))
    for lost in (FOUR[0], FOUR[3]):
        _damage(full, "DELETE FROM alerts WHERE place = ?", place("row", a_row(lost).id))

    with full.alert_run() as store:
        alerts = Alerts(store)
        with alerts.transaction():
            assert len(alerts.rows()) == 2
            assert len(alerts.take_losses()) == 1
        after = alerts.records().incidents
    # of the second incident a message waits, and all that the fourth one had to tell has arrived
    again = {name for name, incident in after.items() if incident.told["mail"].given_up_at is not None}
    assert again == {FOUR[0].name, FOUR[2].name}


def test_losses_stay_to_be_told_until_the_transaction_that_tells_them_is_kept(full: State) -> None:
    _damage(full, DAMAGE["gone"], PLACE)
    with full.alert_run() as store:
        alerts = Alerts(store)
        with suppress(ZeroDivisionError), alerts.transaction():
            assert len(alerts.records().incidents) == 3
            assert len(alerts.take_losses()) == 1
            raise ZeroDivisionError
        assert len(alerts.records().incidents) == 3
        assert len(alerts.take_losses()) == 1


def _break_tree(state: State, table: str) -> None:
    with closing(sqlite3.connect(state.file)) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    content = bytearray(state.file.read_bytes())
    content[(page - 1) * 4096] = 0x55
    state.file.write_bytes(content)


@pytest.mark.parametrize("first", ["alert", "run"])
def test_a_tree_that_is_broken_is_set_aside_however_large_the_file(full: State, monkeypatch: pytest.MonkeyPatch, first: str) -> None:
    monkeypatch.setattr("pvectl.store.file._CHECKED_WHOLE", 0)
    _break_tree(full, "alerts")

    with full.run() as store:
        # it rests on nothing of the alerts
        assert store.set_aside is None
        with pytest.raises(BadState):
            Alerts(store).rows()
    with (full.alert_run if first == "alert" else full.run)() as store:
        assert "is broken" in str(store.set_aside)
        assert store.holds(at=NOON) == (a_hold("h1"),)
    with full.alert_run() as store:
        assert len(Alerts(store).take_losses()) == 1


def test_an_alert_run_looks_at_the_tree_it_rests_on_before_it_begins(full: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pvectl.store.file._CHECKED_WHOLE", 0)
    _break_tree(full, "alerts")
    with full.alert_run() as store:
        assert "is broken" in str(store.set_aside)


def test_what_somebody_else_has_mended_meanwhile_is_not_mended_again(full: State, monkeypatch: pytest.MonkeyPatch) -> None:
    _damage(full, DAMAGE["gone"], PLACE)
    check_sum, seen = rows.check_sum, []

    def checked(connection: sqlite3.Connection, table: str) -> None:
        seen.append(table)
        if len(seen) == 1:
            with pytest.raises(rows.BrokenSeal):
                check_sum(connection, table)
            with open_beside(full.directory, LAB, StandingClock()) as other:
                Alerts(other).records()
            raise rows.BrokenSeal("as it was before")
        check_sum(connection, table)

    monkeypatch.setattr(rows, "check_sum", checked)
    with full.alert_run() as store:
        # the opening looks at sums as well, so only from here on
        seen.clear()
        assert len(Alerts(store).records().incidents) == 3
        assert len(Alerts(store).take_losses()) == 1


def test_broken_looks_fail_one_run_and_the_next_one_sets_them_aside(full: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pvectl.store.file._CHECKED_WHOLE", 0)
    _break_tree(full, "looks")

    with full.alert_run() as store:
        assert store.set_aside is None
        with pytest.raises(BadState):
            Alerts(store).keep_look(NOON, "look")
    with full.alert_run() as store:
        assert "is broken" in str(store.set_aside)
        assert Alerts(store).records() == records_of(FOUR)
        Alerts(store).keep_look(NOON, "look")


@pytest.mark.parametrize("trials", [15, pytest.param(600, marks=pytest.mark.slow)])
def test_whatever_a_disk_makes_of_the_file_an_alert_run_never_reads_what_nobody_wrote(full: State, trials: int) -> None:
    content, dice = full.file.read_bytes(), random.Random(trials)
    whole, written = records_of(FOUR).incidents, {a_row(incident) for incident in FOUR}

    for _ in range(trials):
        spoilt = bytearray(content)
        at = dice.randrange(len(spoilt))
        size = dice.choice((1, 1, 16, 4096))
        spoilt[at : at + size] = dice.randbytes(len(spoilt[at : at + size]))
        full.file.write_bytes(spoilt)
        with suppress(BadState), open_to_read(full.directory, LAB) as reader:
            assert Alerts(reader).records() == records_of(FOUR)
            assert set(Alerts(reader).rows()) == written
        try:
            with full.alert_run() as store:
                alerts = Alerts(store)
                with alerts.transaction():
                    alerts.take_losses()
                    found = alerts.records().incidents
                    for name, incident in found.items():
                        told = incident.told["mail"]
                        assert replace(incident, told={"mail": replace(told, given_up_at=None)}) == whole[name]
                        assert told.given_up_at is None or a_row(whole[name]) not in alerts.rows()
                    assert set(alerts.rows()) <= written
                    alerts.put_rows(a_row(an_incident(200)))
                assert {look[:4] for _, look in alerts.looks(NOON)} <= {"look"}
        except PvectlError as error:
            assert error.exit_code in (65, 73), error  # noqa: PT017
        for path in full.folder.glob("state.db*"):
            if path != full.file:
                path.unlink()
