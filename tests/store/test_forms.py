"""A file of the first form, from before there were alerts, is read as it is, and brought forward by the first one who writes."""

from __future__ import annotations

import shutil
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from pvectl.core.alerts.incident import Records
from pvectl.errors import BadState, CannotWrite
from pvectl.store import Store, file, open_beside, open_to_alert, open_to_read, open_to_write, rows
from pvectl.store.alerts import Alerts
from tests.store.alerting import a_row, a_silence, an_incident, records_of
from tests.store.stage import LAB, NOON, Credit, StandingClock, State, a_decision, a_hold, an_intent, other
from tests.support.commands import Home

# written by pvectl as it was before there were alerts: see `first_form` for what is in it
OF_FORM_1 = Path(__file__).with_name("form_1.db")
CREDITS = {"a": Credit(seconds=600), "b": Credit(seconds=1800, phase="notice")}
WAYS: dict[str, Callable[[Path], Store]] = {
    "run": lambda directory: open_to_write(directory, LAB, StandingClock()),
    "alert": lambda directory: open_to_alert(directory, LAB, StandingClock()),
    "beside": lambda directory: open_beside(directory, LAB, StandingClock()),
}


@pytest.fixture
def first_form(state: State) -> State:
    state.folder.mkdir(mode=0o700)
    shutil.copy(OF_FORM_1, state.file)
    state.file.chmod(0o600)
    return state


def _form(state: State) -> int:
    with closing(sqlite3.connect(state.file)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _is_all_there(store: Store) -> bool:
    told = [(entry.what, entry.id) for entry in store.history(since=NOON)]
    return (
        store.recall_all("idle", Credit) == CREDITS
        and store.holds(at=NOON) == (a_hold("h1"),)
        and store.open_intents() == (an_intent("i2"),)
        and [(intent.id, ending and ending.status) for intent, ending in store.actions(since=NOON)] == [("i1", "done"), ("i2", None)]
        and store.decision("d1") == a_decision("d1")
        and store.decision("d0") is not None
        and {name for _, name in told} == {"d0", "i1", "i2", "h1", "h2"}
    )


def test_who_looks_at_a_file_of_the_first_form_sees_all_of_it_and_changes_nothing(first_form: State) -> None:
    before = {path.name: path.read_bytes() for path in first_form.folder.iterdir()}

    with open_to_read(first_form.directory, LAB) as reader:
        assert _is_all_there(reader)
        assert reader.new_id()
        alerts = Alerts(reader)
        assert (alerts.records(), alerts.rows(), alerts.channels(), alerts.silences()) == (Records(), (), {}, ())
        assert (alerts.explanations(), list(alerts.looks(NOON)), alerts.records(["a"])) == ({}, [], Records())

    assert {path.name: path.read_bytes() for path in first_form.folder.iterdir()} == before


@pytest.mark.parametrize("way", WAYS)
def test_the_first_one_who_writes_brings_it_forward_and_loses_nothing(first_form: State, way: str) -> None:
    with WAYS[way](first_form.directory) as store:
        assert store.set_aside is None
        assert _is_all_there(store)
        alerts = Alerts(store)
        with alerts.transaction():
            alerts.write_records(Records(), records_of([an_incident()]))
            alerts.put_rows(a_row(an_incident()))
            alerts.add_silence(a_silence())

    assert _form(first_form) == 2
    assert first_form.broken() == []
    for opened in (open_to_read(first_form.directory, LAB), *(opens(first_form.directory) for opens in WAYS.values())):
        with opened as store:
            assert store.set_aside is None
            assert _is_all_there(store)
            assert Alerts(store).records() == records_of([an_incident()])


def test_who_looked_before_it_was_brought_forward_goes_on_looking(first_form: State) -> None:
    with open_to_read(first_form.directory, LAB) as reader:
        assert Alerts(reader).rows() == ()
        with first_form.alert_run() as store:
            Alerts(store).put_rows(a_row(an_incident()))

        assert _is_all_there(reader)
        assert Alerts(reader).rows() == (a_row(an_incident()),)


def test_a_file_brought_forward_is_like_one_of_the_new_form(first_form: State) -> None:
    first_form.run().close()
    with closing(sqlite3.connect(first_form.file)) as connection:
        found = connection.execute("SELECT name, sql FROM sqlite_master ORDER BY rowid").fetchall()
    assert found == list(rows.TABLES.items())


def test_two_who_find_it_at_once_bring_it_forward_once(first_form: State) -> None:
    with closing(file.open_believed(first_form.file, LAB)) as late:
        first_form.run().close()
        file.bring_forward(late)
        file.verify(late, LAB, first_form.file)

    with first_form.run() as store:
        assert store.set_aside is None
        assert _is_all_there(store)


@pytest.mark.parametrize("call", range(1, 4))
def test_s30_a_run_killed_while_it_brings_it_forward_leaves_the_old_form_whole(first_form: State, call: int) -> None:
    code = f"""
from pvectl.store import rows
put, calls = rows.put, []

def dies(*given, **more):
    calls.append(put(*given, **more))
    if len(calls) == {call} + 1:
        os.kill(os.getpid(), signal.SIGKILL)

rows.put = dies
open_to_write(directory, LAB, clock)
say("alive")
"""
    with other(first_form.directory, code) as process:
        ended = process.ended()
    # the first row it writes proves that it may write at all; after those of the two tables it is done
    assert ended == ((0, "alive\n") if call == 3 else (-signal.SIGKILL, ""))

    with open_to_read(first_form.directory, LAB) as reader:
        assert _is_all_there(reader)
    assert call == 3 or _form_seen(first_form) == 1
    with first_form.run() as store:
        assert store.set_aside is None
        assert _is_all_there(store)
        assert Alerts(store).rows() == ()


def _form_seen(state: State) -> int:
    with closing(file.open_seen(state.file, LAB)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def test_a_refusal_in_the_middle_leaves_the_old_form_whole(first_form: State, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(connection: sqlite3.Connection, *, after: int = 0) -> None:
        rows.lay_out(connection, after=after)
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorname = "SQLITE_FULL"
        raise error

    monkeypatch.setattr(file, "lay_out", refused)
    for opens in WAYS.values():
        with pytest.raises(CannotWrite):
            opens(first_form.directory)
    assert _form(first_form) == 1
    monkeypatch.undo()
    with first_form.run() as store:
        assert _is_all_there(store)


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("PRAGMA user_version = 2", "tables are not ours"),
        ("PRAGMA user_version = 3", "newer version"),
        ("CREATE TABLE alerts (place INTEGER PRIMARY KEY)", "tables are not ours"),
        ("UPDATE kept SET payload = '{}' WHERE name = 'a'", "not as it was written"),
    ],
)
def test_s31_a_file_of_the_first_form_is_believed_no_sooner_than_any_other(first_form: State, statement: str, why: str) -> None:
    with closing(sqlite3.connect(first_form.file, isolation_level=None)) as connection:
        connection.execute(statement)

    with pytest.raises(BadState, match=why):
        open_to_read(first_form.directory, LAB)
    with first_form.run() as store:
        assert why in str(store.set_aside)
        assert store.holds(at=NOON) == (a_hold("h1"),)
        assert Alerts(store).records() == Records()


@pytest.mark.slow
@pytest.mark.parametrize("forward", [False, True])
def test_the_commands_that_look_tell_the_same_of_both_forms(first_form: State, tmp_path: Path, *, forward: bool) -> None:
    home = Home(tmp_path).connect("127.0.0.1:1", token_id="root@pam!x", secret="11111111-1111-4111-8111-111111111111")
    if forward:
        first_form.alert_run().close()
    state = ("--state-dir", str(first_form.directory))

    # what it says besides depends on the day: the hold in it has its end
    for words in (("history", "--since", "366d"), ("hold", "list"), ("alert", "list")):
        ended = home.pvectl(*words, "-o", "json", *state)
        assert ended.code == 0, ended.err
    assert _form(first_form) == (2 if forward else 1)
