"""A service that systemd hands its configuration finds every file proxmox.yml names among what it was handed."""

from __future__ import annotations

from pathlib import Path

import pytest

from pvectl.config.load import ConfigProblems, find_config_dir, load_connections, load_jobs, resolve
from pvectl.config.survey import survey
from pvectl.errors import UnsafeFile
from tests.config.folders import SECRET, write

PEM = "-----BEGIN CERTIFICATE-----\n"


@pytest.fixture
def handed(tmp_path: Path) -> Path:
    """As systemd makes it: nothing to write in it, and readable by the service through an access list that shows as the group's."""
    folder = tmp_path / "credentials"
    folder.mkdir(mode=0o700)
    return folder


def _connections(token_file: str, ca_file: str) -> str:
    return f"clusters: {{lab: {{hosts: [a], token_id: a@pve!b, token_file: {token_file}, tls: {{ca_file: {ca_file}}}}}}}\n"


@pytest.mark.parametrize(
    ("token_file", "ca_file"),
    [
        ("lab.token", "ca.pem"),
        ("secrets/lab.token", "tls/ca.pem"),
        ("/root/closed/lab.token", "/etc/closed/ca.pem"),
        ("~/lab.token", "~/ca.pem"),
    ],
)
def test_files_are_found_under_their_bare_names_wherever_they_lie_for_everybody_else(handed: Path, token_file: str, ca_file: str) -> None:
    write(handed, _connections(token_file, ca_file), mode=0o440)
    write(handed, "idle_check: {nodes: [pve2]}\n", name="pvectl.yml", mode=0o440)
    write(handed, SECRET, name="lab.token", mode=0o440)
    write(handed, PEM, name="ca.pem", mode=0o440)
    env = {"CREDENTIALS_DIRECTORY": str(handed), "HOME": "/nonexistent"}
    directory = find_config_dir(None, env)
    cluster = resolve(load_connections(directory, env), env=env)
    assert (cluster.token.reveal(), cluster.ca_file) == (SECRET, str(handed / "ca.pem"))
    assert load_jobs(directory, env).idle_check.nodes == ("pve2",)
    assert survey(directory, env).problems == ()


def test_what_was_not_handed_over_is_looked_for_where_it_is_said_to_lie(handed: Path, tmp_path: Path) -> None:
    write(tmp_path, SECRET, name="lab.token")
    write(tmp_path, PEM, name="ca.pem")
    write(handed, _connections(f"{tmp_path}/lab.token", f"{tmp_path}/ca.pem"), mode=0o440)
    env = {"CREDENTIALS_DIRECTORY": str(handed)}
    assert resolve(load_connections(handed, env), env=env).ca_file == f"{tmp_path}/ca.pem"
    (tmp_path / "lab.token").unlink()
    with pytest.raises(ConfigProblems, match=f"there is no file {tmp_path}/lab.token"):
        resolve(load_connections(handed, env), env=env)


def test_s33_a_directory_that_systemd_did_not_make_has_no_such_shortcut(tmp_path: Path) -> None:
    write(tmp_path, _connections("elsewhere/lab.token", "elsewhere/ca.pem"))
    write(tmp_path, SECRET, name="lab.token")
    write(tmp_path, PEM, name="ca.pem")
    with pytest.raises(ConfigProblems, match="there is no file"):
        resolve(load_connections(tmp_path), env={})
    (tmp_path / "elsewhere").mkdir()
    write(tmp_path / "elsewhere", SECRET, name="lab.token", mode=0o640)
    with pytest.raises(UnsafeFile):
        resolve(load_connections(tmp_path), env={"CREDENTIALS_DIRECTORY": "/run/credentials/other.service"})
