"""Pinning changes the lines it must and nothing else an administrator wrote."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from pvectl.config.load import load_connections
from pvectl.config.pinning import CannotPin, lines_to_add, pin, spelled
from pvectl.errors import CannotWrite, ConfigError
from tests.config.folders import GOOD, SECRET, write

OLD, NEW, OTHER = "0a" * 32, "1b" * 32, "2c" * 32
HEAD = f"""\
# my clusters
clusters:
  lab:            # at home
    hosts: [pve1.lan]   # the first
    token_id: pvectl@pve!ops
    token_value: {SECRET}
"""
TAIL = """
  # the other one
  away:
    hosts: [pve9.lan]
    token_id: pvectl@pve!ops
    token_file: away.token
default_cluster: lab
"""


def _pinned(folder: Path, text: str, fingerprints: dict[str, str] | None = None) -> str:
    write(folder, text)
    pin(folder / "proxmox.yml", "lab", fingerprints or {NEW: "pve1.lan"})
    assert load_connections(folder).clusters["lab"].tls.fingerprints == tuple(fingerprints or {NEW: ""})
    assert load_connections(folder).clusters["lab"].tls.insecure is False
    return (folder / "proxmox.yml").read_bytes().decode()


LINE = f'      fingerprints:\n        - "{spelled(NEW)}"  # pve1.lan\n'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", f"    tls:\n{LINE}"),
        ("    allow_http_loopback: false  # no\n    # the end\n", f"    allow_http_loopback: false  # no\n    tls:\n{LINE}    # the end\n"),
        ("    tls:  # later\n", f'    tls: {{fingerprints: ["{spelled(NEW)}"]}}  # later\n'),
        ("    tls: {}\n", f'    tls: {{fingerprints: ["{spelled(NEW)}"]}}\n'),
        ("    tls: {insecure: true}  # for now\n", f'    tls: {{fingerprints: ["{spelled(NEW)}"]}}  # for now\n'),
        (
            "    tls:\n      # just looking\n      insecure: true # yet\n",
            f"    tls:\n      # just looking\n      insecure: false # yet\n{LINE}",
        ),
        (
            f"    tls:\n      fingerprints: [{OLD}]  # old\n",
            f'    tls:\n      fingerprints: ["{spelled(NEW)}"]  # old\n',
        ),
        (
            f"    tls:\n      fingerprints:   # mine\n        # first\n        - {OLD}   # pve1\n        # last\n",
            f'    tls:\n      fingerprints:   # mine\n        # first\n        - "{spelled(NEW)}"  # pve1.lan\n        # last\n',
        ),
        (
            f"    tls:\n      fingerprints:\n      - {OLD}\n      - {NEW} # stays\n      insecure: false\n",
            f"    tls:\n      fingerprints:\n      - {NEW} # stays\n      insecure: false\n",
        ),
    ],
)
def test_only_the_lines_of_the_fingerprints_change(tmp_path: Path, before: str, after: str) -> None:
    assert _pinned(tmp_path, HEAD + before + TAIL) == HEAD + after + TAIL


def test_several_hosts_have_a_fingerprint_each_with_their_name_behind_it(tmp_path: Path) -> None:
    text = _pinned(tmp_path, HEAD, {NEW: "pve1.lan", OTHER: "pve2.lan, pve3.lan"})
    assert text == HEAD + "\n".join(lines_to_add({NEW: "pve1.lan", OTHER: "pve2.lan, pve3.lan"})) + "\n"


def test_a_last_line_without_its_end_and_windows_line_ends_are_kept_in_order(tmp_path: Path) -> None:
    assert _pinned(tmp_path, HEAD.rstrip("\n")) == HEAD + f"    tls:\n{LINE}"
    windows = HEAD.replace("\n", "\r\n")
    assert _pinned(tmp_path, windows) == windows + f"    tls:\n{LINE}".replace("\n", "\r\n")


def test_mode_and_place_of_the_file_stay_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    write(real, HEAD, mode=0o400)
    (tmp_path / "proxmox.yml").symlink_to(real / "proxmox.yml")
    pin(tmp_path / "proxmox.yml", "lab", {NEW: "pve1.lan"})
    assert (tmp_path / "proxmox.yml").is_symlink()
    assert stat.S_IMODE((real / "proxmox.yml").stat().st_mode) == 0o400
    assert [path.name for path in real.iterdir()] == ["proxmox.yml"]
    assert load_connections(tmp_path).clusters["lab"].tls.fingerprints == (NEW,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clusters: {lab: {hosts: [a], token_id: a@pve!ops, token_file: t}}\n", "is not written as indented lines"),
        (f"proxmox: {{host: a, user: a@pve, token_name: ops, token_value: {SECRET}}}\n", "is not written as indented lines"),
        (HEAD + "    tls: {ca_file: x.pem}\n", "trusts a CA file, which outlives the renewal"),
        (HEAD + "    tls:\n      ca_file: x.pem\n", "trusts a CA file, which outlives the renewal"),
        (HEAD + "    tls: {\n      # why\n      insecure: true}\n", "comments in the section that would be lost"),
    ],
)
def test_what_cannot_be_edited_safely_is_left_as_it_is(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path, text)
    with pytest.raises(CannotPin, match=message) as caught:
        pin(tmp_path / "proxmox.yml", "lab", {NEW: "pve1.lan"})
    assert caught.value.hint
    assert (tmp_path / "proxmox.yml").read_text() == text


def test_a_file_that_changed_in_the_meantime_is_not_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pvectl.config import pinning

    write(tmp_path, HEAD)
    edited = pinning.edited

    def meanwhile(*args: object) -> bytes:
        new = edited(*args)  # type: ignore[arg-type]
        write(tmp_path, HEAD + "# mine\n")
        return new

    monkeypatch.setattr(pinning, "edited", meanwhile)
    with pytest.raises(ConfigError, match="was changed by someone else"):
        pin(tmp_path / "proxmox.yml", "lab", {NEW: "pve1.lan"})
    assert (tmp_path / "proxmox.yml").read_text() == HEAD + "# mine\n"
    assert [path.name for path in tmp_path.iterdir()] == ["proxmox.yml"]


@pytest.mark.parametrize("call", ["open", "fchmod", "fsync"])
def test_a_file_that_may_not_be_replaced_is_told_with_73_and_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    write(tmp_path, HEAD)
    real_open = os.open

    def refused(*args: object, **kwargs: object) -> int:
        if call == "open" and not str(args[0]).endswith(".new"):
            return real_open(*args, **kwargs)  # type: ignore[arg-type]
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, call, refused)
    with pytest.raises(CannotWrite, match=r"proxmox\.yml cannot be replaced: Read-only file system") as caught:
        pin(tmp_path / "proxmox.yml", "lab", {NEW: "pve1.lan"})
    assert (caught.value.exit_code, caught.value.kind) == (73, "cannot-write")
    assert (tmp_path / "proxmox.yml").read_text() == HEAD
    assert [path.name for path in tmp_path.iterdir()] == ["proxmox.yml"]


def test_an_edit_that_would_change_anything_else_is_thrown_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pvectl.config import pinning

    write(tmp_path, GOOD)
    monkeypatch.setattr(pinning, "edited", lambda *_: GOOD.replace("pve1.lan", "evil.lan").encode())
    with pytest.raises(CannotPin, match="cannot be edited safely"):
        pin(tmp_path / "proxmox.yml", "lab", {NEW: "pve1.lan"})
    assert (tmp_path / "proxmox.yml").read_text() == GOOD
