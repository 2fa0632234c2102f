"""Files of ours are known by their first line; nobody else's is ever written over or taken away."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from pvectl.errors import CannotWrite
from pvectl.timers import files
from pvectl.timers.entries import MARKER, Compared, Entry, Found, State, compare

UNIT = "/etc/systemd/system/pvectl-idle-check.timer"
OURS = f"{MARKER}\n[Timer]\n"


def _entry(text: str = OURS) -> Entry:
    return Entry(kind="systemd", path=UNIT, text=text)


def _found(text: str = OURS) -> Found:
    return Found(kind="systemd", path=UNIT, text=text, ours=text.startswith(MARKER))


@pytest.mark.parametrize(
    ("wanted", "found", "state"),
    [
        ([_entry()], [_found()], State.CURRENT),
        ([_entry()], [], State.MISSING),
        ([_entry(OURS + "OnBootSec=1\n")], [_found()], State.STALE),
        ([], [_found()], State.LEFT_OVER),
        ([_entry()], [_found("[Timer]\n")], State.FOREIGN),
        ([_entry()], [_found("")], State.FOREIGN),
    ],
)
def test_what_is_there_is_held_against_what_should_be(wanted: list[Entry], found: list[Found], state: State) -> None:
    (one,) = compare(wanted, found)
    assert (one.path, one.state, one.wanted) == (UNIT, state, wanted[0].text if wanted else None)


def test_files_of_others_that_stand_in_nobodys_way_are_none_of_our_business() -> None:
    assert compare([], [_found("[Timer]\n")]) == ()


def _put(root: Path, path: str, text: str) -> Path:
    file = root / path[1:]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_only_places_of_ours_are_looked_at(tmp_path: Path) -> None:
    _put(tmp_path, UNIT, OURS)
    _put(tmp_path, "/etc/systemd/system/pvectl-mine.service", "[Service]\n")
    _put(tmp_path, "/etc/systemd/system/other.service", OURS)
    _put(tmp_path, "/etc/cron.d/pvectl", OURS)
    _put(tmp_path, "/etc/cron.d/pvectl.bak", OURS)
    assert [(one.kind, one.path, one.ours) for one in files.find(tmp_path)] == [
        ("cron", "/etc/cron.d/pvectl", True),
        ("systemd", "/etc/systemd/system/pvectl-mine.service", False),
        ("systemd", UNIT, True),
    ]


@pytest.mark.parametrize("kind", ["mask", "dangling link", "directory", "binary", "link to ours"])
def test_what_is_no_plain_file_of_ours_is_somebody_elses(tmp_path: Path, kind: str) -> None:
    path = tmp_path / UNIT[1:]
    path.parent.mkdir(parents=True)
    if kind == "directory":
        path.mkdir()
    elif kind == "binary":
        path.write_bytes(b"\xff\xfe\x00")
    elif kind == "link to ours":
        (tmp_path / "elsewhere").write_text(OURS)
        path.symlink_to(tmp_path / "elsewhere")
    else:
        path.symlink_to("/dev/null" if kind == "mask" else tmp_path / "nowhere")
    compared = compare([_entry()], files.find(tmp_path))
    assert [one.state for one in compared] == [State.FOREIGN]
    with pytest.raises(CannotWrite, match="was not written by pvectl, so it stays as it is, and nothing was written"):
        files.refuse_foreign(compared, tmp_path)


def test_a_file_is_written_whole_for_all_to_read_and_leaves_no_draft(tmp_path: Path) -> None:
    one = Compared(kind="systemd", path=UNIT, state=State.MISSING, wanted=OURS)
    files.write(one, tmp_path)
    written = tmp_path / UNIT[1:]
    assert (written.read_text(), stat.S_IMODE(written.stat().st_mode)) == (OURS, 0o644)
    assert list(written.parent.iterdir()) == [written]


def test_a_write_that_fails_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    old = _put(tmp_path, UNIT, OURS)
    with pytest.raises(UnicodeEncodeError):
        files.write(Compared(kind="systemd", path=UNIT, state=State.STALE, wanted=OURS + "\ud800"), tmp_path)
    assert old.read_text() == OURS
    assert list(old.parent.iterdir()) == [old]


@pytest.mark.parametrize("act", ["write", "remove", "find"])
def test_what_stands_in_the_way_is_told_with_its_path(tmp_path: Path, act: str) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/systemd").write_text("a file where a directory should be")
    one = Compared(kind="systemd", path=UNIT, state=State.MISSING, wanted=OURS)
    if act == "find":
        assert files.find(tmp_path) == ()
        return
    with pytest.raises(CannotWrite) as caught:
        files.write(one, tmp_path) if act == "write" else files.remove(UNIT, tmp_path)
    assert str(caught.value).startswith(f"cannot {act} {tmp_path}{UNIT}: ")
    assert caught.value.exit_code == 73


def test_with_a_timer_goes_the_link_that_starts_it(tmp_path: Path) -> None:
    timer = _put(tmp_path, UNIT, OURS)
    wants = timer.parent / "timers.target.wants"
    wants.mkdir()
    (wants / timer.name).symlink_to(UNIT)
    (wants / "other.timer").symlink_to("/etc/systemd/system/other.timer")
    files.remove(UNIT, tmp_path)
    assert not timer.exists()
    assert [link.name for link in wants.iterdir()] == ["other.timer"]


def test_taking_away_what_is_gone_already_is_no_error(tmp_path: Path) -> None:
    files.remove(UNIT, tmp_path)
