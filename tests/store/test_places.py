"""Where the state lies, and who else must not be able to read, change or replace it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from pvectl.errors import CannotWrite, NotPermitted, UnsafeFile
from pvectl.store import open_beside, open_to_read, open_to_write, state_dir
from pvectl.store.places import filesystem_of
from tests.store.stage import LAB, Credit, StandingClock, State, a_hold, other

NOBODY = 65534


def test_the_option_beats_the_service_beats_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    env = {"STATE_DIRECTORY": "/var/lib/a:/var/lib/b", "PVECTL_STATE_DIR": "/srv/c", "XDG_STATE_HOME": "/srv/x", "HOME": "/home/anna"}
    monkeypatch.chdir(tmp_path)

    assert state_dir("/srv/d", env) == Path("/srv/d")
    assert state_dir("here", env) == tmp_path / "here"
    assert state_dir(None, env) == Path("/var/lib/a")
    assert state_dir(None, {**env, "STATE_DIRECTORY": ""}) == Path("/srv/c")


def test_root_keeps_its_state_with_the_system_and_anybody_else_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    env = {"XDG_STATE_HOME": "/srv/x", "HOME": "/home/anna"}
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert state_dir(None, env) == Path("/var/lib/pvectl")

    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert state_dir(None, env) == Path("/srv/x/pvectl")
    assert state_dir(None, {**env, "XDG_STATE_HOME": "relative"}) == Path("/home/anna/.local/state/pvectl")


def test_what_is_made_is_ours_alone_whatever_the_umask(state: State) -> None:
    before = os.umask(0)
    try:
        with open_to_write(state.directory / "deep" / "down", LAB, StandingClock()) as store:
            store.keep("idle", "a", Credit(seconds=1))
    finally:
        os.umask(before)

    made = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (state.directory / "deep").rglob("*")}
    assert made == {"down": 0o700, LAB: 0o700, "state.db": 0o600, "state.db-journal": 0o600, "state.lock": 0o600}


@pytest.mark.parametrize("name", ["", ".", "..", "../lab", "a/b", "-x", ".hidden", "lab\n", "x" * 64, "a\0b"])
def test_s11_a_path_is_never_built_from_an_unchecked_name(state: State, name: str) -> None:
    with pytest.raises(ValueError, match="no cluster's name"):
        open_to_write(state.directory, name, StandingClock())
    with pytest.raises(ValueError, match="no cluster's name"):
        open_beside(state.directory, name, StandingClock())
    with pytest.raises(ValueError, match="no cluster's name"):
        open_to_read(state.directory, name)
    assert list(state.directory.iterdir()) == []


def _linked(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def _second_name(path: Path) -> None:
    os.link(path, path.with_name("elsewhere"))


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _open_to_all(path: Path) -> None:
    path.chmod(0o644)


def _open_to_group(path: Path) -> None:
    path.chmod(0o620)


def _foreign(path: Path) -> None:
    os.chown(path, NOBODY, -1)


UNSAFE = [_linked, _second_name, _pipe, _directory, _open_to_all, _open_to_group, _foreign]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@needs_root
@pytest.mark.parametrize("name", ["state.db", "state.lock"])
@pytest.mark.parametrize("spoil", UNSAFE)
def test_a_file_that_is_not_plainly_ours_is_refused_before_anything_is_read(state: State, name: str, spoil: Callable[[Path], None]) -> None:
    state.begun(a=1)
    spoil(state.folder / name)

    with pytest.raises(UnsafeFile, match=name) as refused:
        state.run()
    assert refused.value.exit_code == 77
    assert refused.value.hint
    assert state.broken() == []
    if name == "state.db":
        with pytest.raises(UnsafeFile):
            open_beside(state.directory, LAB, StandingClock())
        if spoil is not _foreign:
            with pytest.raises(UnsafeFile):
                open_to_read(state.directory, LAB)


@needs_root
@pytest.mark.parametrize("which", ["directory", "folder"])
@pytest.mark.parametrize("spoil", [_open_to_all, _open_to_group, _foreign])
def test_a_directory_that_is_not_ours_alone_is_refused(state: State, which: str, spoil: Callable[[Path], None]) -> None:
    state.begun(a=1)
    place: Path = getattr(state, which)
    spoil(place)

    with pytest.raises(UnsafeFile, match=r"open to others|another user") as refused:
        state.run()
    assert refused.value.exit_code == 77


def test_a_cluster_directory_that_points_elsewhere_is_refused(state: State) -> None:
    state.begun(a=1)
    _linked(state.folder)

    with pytest.raises(UnsafeFile, match="symbolic link"):
        state.run()
    with pytest.raises(UnsafeFile, match="symbolic link"):
        open_to_read(state.directory, LAB)


def test_a_state_directory_may_be_a_link_as_systemd_makes_it_for_a_dynamic_user(state: State, tmp_path: Path) -> None:
    (tmp_path / "pvectl").symlink_to(state.directory)

    with open_to_write(tmp_path / "pvectl", LAB, StandingClock()) as store:
        store.keep("idle", "a", Credit(seconds=1))

    assert state.file.exists()


def test_a_directory_others_can_exchange_is_refused(state: State) -> None:
    state.begun(a=1)
    around = state.directory.parent
    around.chmod(0o777)
    with pytest.raises(UnsafeFile, match="replaced by others"):
        state.run()

    around.chmod(0o1777)
    state.run().close()


@needs_root
def test_root_may_look_at_the_state_of_a_services_user_but_not_write_there(state: State) -> None:
    state.begun(a=1)
    for path in (state.directory, state.folder, *state.folder.iterdir()):
        _foreign(path)

    with open_to_read(state.directory, LAB) as reader:
        assert reader.recall("idle", "a", Credit) == Credit(seconds=1)
    with pytest.raises(UnsafeFile, match="belongs to another user"):
        open_beside(state.directory, LAB, StandingClock())


@needs_root
def test_who_may_not_look_is_told_so(state: State) -> None:
    state.begun(a=1)
    code = """
os.setuid(65534)
for way in (open_to_read, lambda *where: open_beside(*where, clock)):
    try:
        way(directory, LAB)
    except PvectlError as error:
        say(f"{type(error).__name__} {error.exit_code}")
"""

    with other(state.directory, code) as process:
        assert process.says() == f"{NotPermitted.__name__} 77"
        assert process.says() == f"{CannotWrite.__name__} 73"


def test_looking_where_nothing_was_ever_kept_makes_nothing(state: State, tmp_path: Path) -> None:
    for directory in (state.directory, tmp_path / "missing"):
        with open_to_read(directory, LAB) as reader:
            assert reader.recall("idle", "a", Credit) is None
            assert reader.holds(at=StandingClock().now()) == ()
            assert reader.history(since=StandingClock().now()) == ()
            assert reader.open_intents() == ()

    assert list(state.directory.iterdir()) == []
    assert not (tmp_path / "missing").exists()


def test_no_state_lies_in_the_cluster_filesystem() -> None:
    with pytest.raises(CannotWrite, match="/etc/pve knows no locks") as refused:
        open_to_write(Path("/etc/pve/priv/pvectl"), LAB, StandingClock())
    assert refused.value.exit_code == 73


def test_a_link_into_the_cluster_filesystem_is_seen_through(tmp_path: Path) -> None:
    (tmp_path / "state").symlink_to("/etc/pve/pvectl")

    with pytest.raises(CannotWrite, match="/etc/pve knows no locks"):
        open_beside(tmp_path / "state", LAB, StandingClock())


@pytest.mark.parametrize(("kind", "warned"), [("nfs4", True), ("nfs", True), ("cifs", True), ("ext4", False), (None, False)])
def test_a_network_filesystem_is_warned_about(state: State, kind: str | None, *, warned: bool) -> None:
    with open_to_write(state.directory, LAB, StandingClock(), filesystem_of=lambda _: kind) as store:
        assert [str(kind) in words for words in store.warnings] == ([True] if warned else [])
    with open_beside(state.directory, LAB, StandingClock(), filesystem_of=lambda _: kind) as store:
        assert bool(store.warnings) is warned
        store.add_hold(a_hold())


def test_the_kernel_says_what_kind_of_filesystem_it_is() -> None:
    assert filesystem_of(Path("/proc")) == "proc"
    assert filesystem_of(Path("/proc/nothing/here")) is None


def test_a_file_in_the_place_of_the_directory_is_told(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")

    with pytest.raises(CannotWrite, match="cannot be written") as refused:
        open_to_write(tmp_path / "state", LAB, StandingClock())
    assert refused.value.exit_code == 73
