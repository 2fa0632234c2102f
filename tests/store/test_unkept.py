"""What went out while nothing could be written down is not sent again in every run."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from pvectl.store import note_unkept, told_unkept
from tests.store.stage import LAB, NOON, StandingClock, State
from tests.store.test_crash import in_a_small_place, mounts

HOUR = timedelta(hours=1)
ONE, OTHER = "0" * 32, "f" * 32


def test_what_was_noted_is_found_again_until_it_is_too_long_ago(state: State) -> None:
    state.run().close()
    assert told_unkept(state.directory, LAB, since=NOON - HOUR) == frozenset()
    assert note_unkept(state.directory, LAB, [ONE], at=NOON - HOUR)
    assert note_unkept(state.directory, LAB, [OTHER], at=NOON)

    assert told_unkept(state.directory, LAB, since=NOON - HOUR) == {ONE, OTHER}
    assert told_unkept(state.directory, LAB, since=NOON) == {OTHER}
    assert told_unkept(state.directory, LAB, since=NOON + HOUR) == frozenset()
    assert note_unkept(state.directory, LAB, [ONE], at=NOON + HOUR)
    assert told_unkept(state.directory, LAB, since=NOON + HOUR) == {ONE}


def test_notes_are_taken_away_by_an_alert_run_a_day_later(state: State) -> None:
    clock = StandingClock()
    state.run(clock).close()
    note_unkept(state.directory, LAB, [ONE], at=NOON)
    note_unkept(state.directory, LAB, [OTHER], at=NOON + HOUR)
    clock.go(days=1)
    state.alert_run(clock).close()
    assert told_unkept(state.directory, LAB, since=NOON) == {ONE, OTHER}
    clock.go(minutes=1)
    state.alert_run(clock).close()
    assert told_unkept(state.directory, LAB, since=NOON) == {OTHER}


def test_what_is_no_id_becomes_no_name_of_a_file(state: State) -> None:
    state.run().close()
    with pytest.raises(ValueError, match="no message's id"):
        note_unkept(state.directory, LAB, ["../../x"], at=NOON)


def test_where_nothing_can_be_noted_it_says_so(tmp_path: Path) -> None:
    assert note_unkept(tmp_path / "nowhere", LAB, [ONE], at=NOON) is False
    assert told_unkept(tmp_path / "nowhere", LAB, since=NOON) == frozenset()


@mounts
def test_a_full_disk_has_room_for_the_note(state: State) -> None:
    said = in_a_small_place(
        state.directory,
        "1m",
        f"""
from pvectl.store import note_unkept, open_to_alert, told_unkept
open_to_alert(directory, LAB, clock).close()
fill()
attempt(lambda: open_to_alert(directory, LAB, clock))
say(note_unkept(directory, LAB, ["{ONE}", "{OTHER}"], at=NOON))
say(len(told_unkept(directory, LAB, since=NOON)))
subprocess.run(["mount", "-o", "remount,ro", str(directory)], check=True)
say(note_unkept(directory, LAB, ["{ONE}"], at=NOON))
""",
    )
    assert said.splitlines() == ["CannotWrite 73", "True", "2", "False"]
