"""Which directory counts, and what a person is told when there is none."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from pvectl.config import places
from pvectl.config.load import find_config_dir
from pvectl.config.places import EXAMPLES, default_dir, example_text
from pvectl.errors import ConfigError
from tests.config.folders import GOOD, write


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of a user on a machine without an /etc/pvectl."""
    monkeypatch.setattr(places, "_SYSTEM", tmp_path / "etc")
    return {"HOME": str(tmp_path / "home")}


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return write(folder, GOOD)


def test_the_first_place_with_a_proxmox_yml_wins(tmp_path: Path, home: dict[str, str]) -> None:
    system = _made(tmp_path / "etc")
    assert find_config_dir(None, home) == system
    personal = _made(tmp_path / "home/.config/pvectl")
    assert find_config_dir(None, home) == personal
    xdg = _made(tmp_path / "xdg/pvectl")
    home["XDG_CONFIG_HOME"] = str(tmp_path / "xdg")
    assert find_config_dir(None, home) == xdg
    credentials = _made(tmp_path / "credentials")
    home["CREDENTIALS_DIRECTORY"] = str(credentials)
    assert find_config_dir(None, home) == credentials
    variable = _made(tmp_path / "variable")
    home["PVECTL_CONFIG_DIR"] = str(variable)
    assert find_config_dir(None, home) == variable
    option = _made(tmp_path / "option")
    assert find_config_dir(str(option), home) == option


def test_a_relative_xdg_directory_is_ignored(tmp_path: Path, home: dict[str, str]) -> None:
    personal = _made(tmp_path / "home/.config/pvectl")
    assert find_config_dir(None, {**home, "XDG_CONFIG_HOME": "somewhere"}) == personal


def test_credentials_of_another_kind_do_not_hide_the_configuration(tmp_path: Path, home: dict[str, str]) -> None:
    system = _made(tmp_path / "etc")
    (tmp_path / "credentials").mkdir()
    assert find_config_dir(None, {**home, "CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")}) == system


@pytest.mark.parametrize("how", ["option", "variable"])
def test_a_directory_that_was_asked_for_never_falls_through_to_another(tmp_path: Path, home: dict[str, str], how: str) -> None:
    _made(tmp_path / "etc")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ConfigError) as caught:
        find_config_dir(str(empty) if how == "option" else None, {**home, "PVECTL_CONFIG_DIR": str(empty)})
    assert caught.value.message == f"there is no proxmox.yml in {empty}"
    assert caught.value.hint == f"pvectl config init --dir {empty} writes one to fill in"


def test_a_directory_that_is_not_there_and_a_file_in_its_place_are_told_apart(tmp_path: Path, home: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="there is no directory"):
        find_config_dir(str(tmp_path / "nowhere"), home)
    with pytest.raises(ConfigError, match="is a file, not a directory") as caught:
        find_config_dir(str(write(tmp_path, GOOD) / "proxmox.yml"), home)
    assert caught.value.hint == f"give the directory it lies in: -C {tmp_path}"


def test_a_home_nobody_knows_is_told(home: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"the home directory in '~no\.such\.user/x' is not known"):
        find_config_dir("~no.such.user/x", home)


@pytest.mark.parametrize("asked", ["x" * 300, "x/" * 3000], ids=["name", "path"])
def test_a_name_too_long_for_the_file_system_is_no_directory(home: dict[str, str], asked: str) -> None:
    with pytest.raises(ConfigError, match="there is no directory"):
        find_config_dir(asked, home)


@pytest.mark.usefixtures("home")
def test_a_user_without_a_home_still_finds_the_place_of_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME", raising=False)
    for call in ("getuid", "geteuid"):
        monkeypatch.setattr(os, call, lambda: 2_000_000_001)
    system = _made(tmp_path / "etc")
    assert find_config_dir(None, {}) == system
    with pytest.raises(ConfigError, match="the home directory in '~' is not known"):
        default_dir({})
    (system / "proxmox.yml").unlink()
    with pytest.raises(ConfigError, match=f"looked in {tmp_path}/etc"):
        find_config_dir(None, {})


@pytest.mark.parametrize("asked", [False, True])
def test_an_example_nobody_copied_is_answered_with_the_command_that_copies_it(tmp_path: Path, home: dict[str, str], asked: bool) -> None:
    folder = tmp_path / "home/.config/pvectl"
    folder.mkdir(parents=True)
    write(folder, GOOD, name="proxmox.example.yml", mode=0o644)
    with pytest.raises(ConfigError, match="only the example") as caught:
        find_config_dir(str(folder) if asked else None, home)
    assert caught.value.hint is not None
    command, _, rest = caught.value.hint.partition(", then")
    assert rest == " fill it in"
    subprocess.run(["/bin/sh", "-c", command], check=True)
    assert find_config_dir(None, home) == folder
    assert (folder / "proxmox.yml").stat().st_mode & 0o777 == 0o600


def test_with_nothing_anywhere_the_places_are_named(tmp_path: Path, home: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as caught:
        find_config_dir(None, home)
    assert caught.value.message == f"there is no proxmox.yml; looked in {tmp_path}/home/.config/pvectl, {tmp_path}/etc"
    assert caught.value.hint == "pvectl config init writes one to fill in; pvectl --demo needs none"
    assert caught.value.exit_code == 78


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look everywhere")
def test_a_directory_closed_to_this_user_is_told(tmp_path: Path, home: dict[str, str]) -> None:
    system = _made(tmp_path / "etc")
    system.chmod(0)
    with pytest.raises(ConfigError, match="not open to this user"):
        find_config_dir(None, home)
    system.chmod(0o700)


def test_root_keeps_its_configuration_with_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_dir({"HOME": "/root"}) == Path("/etc/pvectl")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert default_dir({"HOME": "/home/ada"}) == Path("/home/ada/.config/pvectl")


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_are_the_ones_of_the_repository(name: str) -> None:
    assert example_text(name) == (Path(__file__).parents[2] / "config" / name).read_text(encoding="utf-8")
