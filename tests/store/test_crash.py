"""Killed anywhere, out of space, not allowed to write: the old state or the new one is there, and nothing is sent that is not on disk."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from pvectl.errors import CannotWrite
from pvectl.store import open_beside, open_to_read
from tests.store.stage import LAB, NOON, Credit, StandingClock, State, a_hold, other

# a transaction so large that SQLite begins to write it into the file long before its end, and then the run dies
DIES_IN_THE_MIDDLE = """
store = open_to_write(directory, LAB, clock)
store._connection.execute("PRAGMA cache_size = 5")
with store.transaction():
    for number in range(300):
        store.keep("idle", f"k{number}", Credit(seconds=number, phase="x" * 500))
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def torn(state: State) -> State:
    """A run died when half of its transaction was in the file."""
    with state.begun(a=1).run() as store:
        store.add_hold(a_hold("h1"))
    before = state.file.read_bytes()
    with other(state.directory, DIES_IN_THE_MIDDLE) as process:
        assert process.ended()[0] == -signal.SIGKILL
    assert state.file.read_bytes() != before
    assert state.file.with_name("state.db-journal").stat().st_size > 0
    return state


def test_s30_the_next_run_finds_the_state_before_a_transaction_that_was_cut_short(torn: State) -> None:
    with torn.run() as store:
        assert store.set_aside is None
        assert store.recall_all("idle", Credit) == {"a": Credit(seconds=1)}
        assert [hold.id for hold in store.holds(at=NOON)] == ["h1"]


def test_s30_who_looks_at_a_torn_file_sees_the_state_before_it_and_changes_nothing(torn: State) -> None:
    before = {path.name: path.read_bytes() for path in torn.folder.iterdir()}

    with open_to_read(torn.directory, LAB) as reader:
        assert reader.recall_all("idle", Credit) == {"a": Credit(seconds=1)}
        assert [hold.id for hold in reader.holds(at=NOON)] == ["h1"]

    assert {path.name: path.read_bytes() for path in torn.folder.iterdir()} == before


def test_s30_a_hold_can_be_placed_on_a_torn_file(torn: State) -> None:
    with open_beside(torn.directory, LAB, StandingClock()) as beside:
        beside.add_hold(a_hold("h2"))

    with torn.run() as store:
        assert store.recall_all("idle", Credit) == {"a": Credit(seconds=1)}
        assert [hold.id for hold in store.holds(at=NOON)] == ["h1", "h2"]


def test_s24_an_intent_survives_the_death_of_its_run_and_is_open(state: State) -> None:
    code = """
store = open_to_write(directory, LAB, clock)
store.intend(an_intent(), decision=a_decision())
os.kill(os.getpid(), signal.SIGKILL)
"""
    with other(state.directory, code) as process:
        assert process.ended()[0] == -signal.SIGKILL

    with state.run() as store:
        assert [intent.id for intent in store.open_intents()] == ["i1"]
        assert store.decision("d1") is not None


def test_readers_see_the_old_state_until_the_new_one_is_whole(state: State) -> None:
    state.begun(a=1)
    code = """
with open_to_write(directory, LAB, clock) as store:
    with store.transaction():
        store.keep("idle", "a", Credit(seconds=2))
        store.keep("idle", "b", Credit(seconds=2))
        say("in the middle")
        wait()
    say("done")
    wait()
"""
    with other(state.directory, code) as run:
        assert run.says() == "in the middle"
        with open_to_read(state.directory, LAB) as reader:
            assert reader.recall_all("idle", Credit) == {"a": Credit(seconds=1)}
            run.go_on()
            assert run.says() == "done"
            assert reader.recall_all("idle", Credit) == {"a": Credit(seconds=2), "b": Credit(seconds=2)}


def test_a_reader_never_keeps_a_run_from_writing(state: State) -> None:
    state.begun(a=1)
    code = """
reader = open_to_read(directory, LAB)
say(len(reader.recall_all("idle", Credit)))
wait()
"""
    with other(state.directory, code) as looking, state.run() as store:
        assert looking.says() == "1"
        store.keep("idle", "a", Credit(seconds=2))


def _own_mounts() -> str | None:
    """Why this machine does not let us mount something of our own; None when it does."""
    if os.geteuid() != 0:
        return "only root can mount"
    tried = subprocess.run(["unshare", "-m", "sh", "-c", "mount -t tmpfs none /mnt"], capture_output=True, text=True, check=False)
    return None if tried.returncode == 0 else f"no mounts of our own here: {tried.stderr.strip()}"


_WHY_NOT = _own_mounts()
mounts = pytest.mark.skipif(_WHY_NOT is not None, reason=str(_WHY_NOT))
# nothing of this is seen outside of the process and its children
IN_A_SMALL_PLACE = ("unshare", "-m", "--propagation", "private")


def in_a_small_place(directory: Path, size: str, code: str) -> str:
    """What the code says, with the state on a filesystem of that size that nobody else sees."""
    mount = f"""
import subprocess
subprocess.run(["mount", "-t", "tmpfs", "-o", "size={size},mode=0700", "none", str(directory)], check=True)

def fill(leave=0):
    with open(directory / "ballast", "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
        file.truncate(max(0, file.tell() - leave))

def attempt(what):
    try:
        what()
    except PvectlError as error:
        say(f"{{type(error).__name__}} {{int(error.exit_code)}}")
    else:
        say("done")
"""
    with other(directory, mount + code, before=IN_A_SMALL_PLACE) as process:
        status, said = process.ended()
        assert status == 0, said
        return said


@mounts
def test_s24_on_a_full_disk_nothing_is_begun(state: State) -> None:
    said = in_a_small_place(
        state.directory,
        "1m",
        """
attempt(lambda: open_to_write(directory, LAB, clock).close())
fill()
attempt(lambda: open_to_write(directory, LAB, clock))
attempt(lambda: open_to_write(directory, "other", clock))
os.truncate(directory / "ballast", os.path.getsize(directory / "ballast") - 100_000)
attempt(lambda: open_to_write(directory, LAB, clock))
with open_to_read(directory, LAB) as reader:
    say(reader.warnings)
os.unlink(directory / "ballast")
attempt(lambda: open_to_write(directory, LAB, clock).close())
attempt(lambda: open_to_write(directory, "other", clock).close())
""",
    )

    assert said.splitlines() == ["done", *["CannotWrite 73"] * 3, "()", "done", "done"]


@mounts
def test_s24_when_the_disk_fills_up_under_a_run_no_intent_is_claimed_and_the_old_state_stays(state: State) -> None:
    said = in_a_small_place(
        state.directory,
        "1m",
        """
with open_to_write(directory, LAB, clock) as store:
    store.keep("idle", "a", Credit(seconds=1))
    store.intend(an_intent("i1"), decision=a_decision())
    fill()
    attempt(lambda: store.intend(an_intent("i2")))
    attempt(lambda: store.keep("idle", "a", Credit(seconds=2)))
    attempt(lambda: store.ended("i1", status="done", at=NOON))
    say(store.recall("idle", "a", Credit).seconds)
    os.unlink(directory / "ballast")
    attempt(lambda: store.ended("i1", status="done", at=NOON))
with open_to_write(directory, LAB, clock) as store:
    say(store.set_aside)
    say([intent.id for intent in store.open_intents()])
    say(len(store.actions(since=NOON)))
""",
    )

    assert said.splitlines() == ["CannotWrite 73", "CannotWrite 73", "CannotWrite 73", "1", "done", "None", "[]", "1"]


@mounts
def test_when_the_disk_fills_up_under_an_alert_run_nothing_is_half_kept_and_it_goes_on_when_there_is_room(state: State) -> None:
    said = in_a_small_place(
        state.directory,
        "2m",
        """
from pvectl.core.alerts.incident import Records
from pvectl.store import open_to_alert
from pvectl.store.alerts import Alerts
from tests.store.alerting import a_row, an_incident, records_of

many = records_of([an_incident(number) for number in range(400)])
with open_to_alert(directory, LAB, clock) as store:
    alerts = Alerts(store)
    alerts.write_records(Records(), records_of([an_incident()]))
    fill()
    def evaluate():
        with alerts.transaction():
            alerts.write_records(alerts.records(), many)
            alerts.put_rows(a_row(an_incident()))
    attempt(evaluate)
    say((len(alerts.records().incidents), len(alerts.rows())))
attempt(lambda: open_to_alert(directory, LAB, clock))
with open_to_read(directory, LAB) as reader:
    say((len(Alerts(reader).records().incidents), len(Alerts(reader).rows())))
os.unlink(directory / "ballast")
with open_to_alert(directory, LAB, clock) as store:
    alerts = Alerts(store)
    attempt(evaluate)
    say((store.set_aside, len(alerts.records().incidents), len(alerts.rows()), alerts.take_losses()))
""",
    )

    assert said.splitlines() == ["CannotWrite 73", "(1, 0)", "CannotWrite 73", "(1, 0)", "done", "(None, 400, 1, ())"]


@mounts
@pytest.mark.slow
def test_s24_wherever_the_space_ends_what_was_said_to_be_kept_is_kept(state: State) -> None:
    said = in_a_small_place(
        state.directory,
        "1m",
        """
for leave in range(0, 80_000, 4096):
    name = f"c{leave}"
    with open_to_write(directory, name, clock) as store:
        fill(leave)
        kept = -1
        try:
            for number in range(200):
                store.keep("idle", "a", Credit(seconds=number, phase="x" * (number * 50)))
                kept = number
        except PvectlError as error:
            assert error.exit_code == 73, error
        os.unlink(directory / "ballast")
    with open_to_write(directory, name, clock) as store:
        assert store.set_aside is None
        found = store.recall("idle", "a", Credit)
        assert (found.seconds if found else -1) == kept, (leave, found, kept)
    import shutil
    shutil.rmtree(directory / name)
say("all kept")
""",
    )

    assert said.splitlines() == ["all kept"]


@mounts
def test_a_read_only_place_can_be_looked_at_and_refuses_a_run(state: State) -> None:
    said = in_a_small_place(
        state.directory,
        "1m",
        """
with open_to_write(directory, LAB, clock) as store:
    store.keep("idle", "a", Credit(seconds=1))
os.mkdir(directory / "empty", 0o700)
subprocess.run(["mount", "-o", "remount,ro", str(directory)], check=True)
with open_to_read(directory, LAB) as reader:
    say(reader.recall("idle", "a", Credit).seconds)
with open_to_read(directory, "empty") as reader:
    say(reader.holds(at=NOON))
attempt(lambda: open_to_write(directory, LAB, clock))
attempt(lambda: open_to_write(directory, "empty", clock))
attempt(lambda: open_to_write(directory, "other", clock))
attempt(lambda: open_beside(directory, LAB, clock).add_hold(a_hold()))
""",
    )

    assert said.splitlines() == ["1", "()", *["CannotWrite 73"] * 4]


def test_a_place_that_refuses_to_be_made_is_told() -> None:
    with pytest.raises(CannotWrite) as refused:
        State(Path("/proc/nothing/here")).run()
    assert refused.value.exit_code == 73
    assert "nothing was done" in refused.value.message
