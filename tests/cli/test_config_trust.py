"""`config trust`: shows what hosts present, asks a person, and sends no credential while it looks."""

from __future__ import annotations

import os
import pty
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import Ended, Home
from tests.support.servers import TestServer, TlsFiles, tls_material

pytestmark = pytest.mark.slow

ONE_NODE: dict[str, Any] = {"nodes": {"pve1": {}}}
Serve = Callable[..., TestServer]


def _configured(home: Home, server: TestServer, tls: str = "") -> Path:
    """A proxmox.yml with comments, whose token nobody filled in yet."""
    lines = [
        "# mine",
        "clusters:",
        "  lab:  # at home",
        f"    hosts: ['{server.host()}']",
        f"    token_id: {server.token_id}",
        "    token_value: change-me",
    ]
    return home.write("proxmox.yml", "\n".join(lines) + "\n" + tls)


def _at_a_terminal(home: Home, answer: str) -> Ended:
    """Run `config trust` with a terminal on stdin and stderr, and answer its question, if it has one."""
    outer, inner = pty.openpty()
    process = subprocess.Popen(
        home.command(["config", "trust"]), env=home.env, stdin=inner, stdout=subprocess.PIPE, stderr=inner, text=True, cwd=home.folder
    )
    os.close(inner)
    said = b""
    try:
        while b"[y/N] " not in said and (more := _read(outer)):
            said += more
        if b"[y/N] " in said:
            os.write(outer, f"{answer}\n".encode())
        out, _ = process.communicate(timeout=60)
        said += _rest_of(outer)
    finally:
        os.close(outer)
    return Ended(process.returncode, out, said.decode())


def _rest_of(terminal: int) -> bytes:
    said = b""
    while more := _read(terminal):
        said += more
    return said


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:
        # Linux says EIO once the last process has closed its side
        return b""


def test_off_a_terminal_nothing_is_written_and_the_lines_to_add_are_printed(home: Home, serve: Serve, tls_files: TlsFiles) -> None:
    server = serve(ONE_NODE, tls=True)
    before = _configured(home, server).read_text()
    ended = home.pvectl("config", "trust")
    assert ended.code == 2
    assert f"SHA-256  {tls_files.fingerprint}" in ended.out
    assert f'        - "{tls_files.fingerprint}"  # {server.host()}' in ended.out
    assert "nothing was written, because there is no terminal to ask on" in ended.err
    assert (home.config / "proxmox.yml").read_text() == before


def test_the_certificate_is_shown_with_everything_a_person_can_compare(home: Home, serve: Serve, tls_files: TlsFiles) -> None:
    server = serve(ONE_NODE, tls=True)
    _configured(home, server)
    (shown,) = home.pvectl("config", "trust", "-o", "json").json["data"]
    assert shown["host"] == server.host()
    assert shown["fingerprint"] == tls_files.fingerprint.replace(":", "").lower()
    assert shown["names"] == ["127.0.0.1", "localhost"]
    assert "trustme" in shown["subject"].lower()
    assert "trustme" in shown["issuer"].lower()
    assert shown["not_before"] < "2026"
    assert shown["not_after"] > "2026"
    assert shown["trusted"] is False


def test_no_credential_and_not_even_a_request_is_sent(home: Home, serve: Serve) -> None:
    server = serve(ONE_NODE, tls=True)
    _configured(home, server)
    home.pvectl("config", "trust")
    assert server.requests == []


def test_on_a_terminal_a_yes_pins_the_fingerprint_and_keeps_every_other_line(home: Home, serve: Serve, tls_files: TlsFiles) -> None:
    server = serve(ONE_NODE, tls=True)
    file = _configured(home, server)
    before = file.read_text()
    ended = _at_a_terminal(home, "y")
    assert ended.code == 0, ended.err
    assert tls_files.fingerprint in ended.err
    assert ended.out == f"pinned 1 fingerprint for lab in {file}\n"
    assert file.read_text() == before + f'    tls:\n      fingerprints:\n        - "{tls_files.fingerprint}"  # {server.host()}\n'
    assert file.stat().st_mode & 0o777 == 0o600
    again = home.pvectl("config", "trust")
    assert (again.code, again.out.splitlines()[-1]) == (0, "every host that answered is trusted as it is; there is nothing to pin")


def test_on_a_terminal_anything_but_yes_changes_nothing(home: Home, serve: Serve) -> None:
    server = serve(ONE_NODE, tls=True)
    before = _configured(home, server).read_text()
    ended = _at_a_terminal(home, "")
    assert ended.code == 2
    assert "nothing was changed: not confirmed" in ended.err
    assert (home.config / "proxmox.yml").read_text() == before


def test_with_the_pinned_fingerprint_the_cluster_is_spoken_to_and_with_another_it_is_not(
    home: Home, serve: Serve, tls_files: TlsFiles
) -> None:
    server = serve(ONE_NODE, tls=True)
    file = _configured(home, server, f"    tls: {{fingerprints: ['{'00' * 32}']}}\n")
    file.write_text(file.read_text().replace("change-me", server.token_secret))
    refused = home.pvectl("vm", "list")
    assert (refused.code, server.requests) == (69, [])
    assert _at_a_terminal(home, "y").code == 0
    assert home.pvectl("vm", "list").code == 0


def test_hosts_trusted_by_a_ca_file_need_no_pin(home: Home, serve: Serve, tls_files: TlsFiles) -> None:
    server = serve(ONE_NODE, tls=True)
    _configured(home, server, f"    tls: {{ca_file: '{tls_files.ca_file}'}}\n")
    ended = home.pvectl("config", "trust")
    assert (ended.code, ended.out.splitlines()[-1]) == (0, "every host that answered is trusted as it is; there is nothing to pin")


def test_a_ca_file_that_did_not_sign_the_certificate_is_told_and_not_overruled(home: Home, serve: Serve, tmp_path: Path) -> None:
    server = serve(ONE_NODE, tls=True)
    other = tls_material(tmp_path)
    before = _configured(home, server, f"    tls: {{ca_file: '{other.ca_file}'}}\n").read_text()
    ended = home.pvectl("config", "trust")
    assert ended.code == 78
    assert f"the authority in {other.ca_file}, which did not sign what its hosts present" in ended.err
    assert "fingerprints:" not in ended.out
    assert (home.config / "proxmox.yml").read_text() == before


def test_an_insecure_cluster_is_told_to_take_insecure_out(home: Home, serve: Serve) -> None:
    server = serve(ONE_NODE, tls=True)
    _configured(home, server, "    tls: {insecure: true}\n")
    ended = home.pvectl("config", "trust")
    assert ended.code == 2
    assert "write under this cluster, and take insecure out:" in ended.out


def test_a_trusted_host_beside_a_dead_one_is_not_pinned(home: Home, serve: Serve, tls_files: TlsFiles) -> None:
    server = serve(ONE_NODE, tls=True)
    file = _configured(home, server, f"    tls: {{ca_file: '{tls_files.ca_file}'}}\n")
    file.write_text(file.read_text().replace("hosts: [", "hosts: ['127.0.0.1:1', "))
    ended = home.pvectl("config", "trust")
    assert (ended.code, ended.out.splitlines()[-1]) == (69, "every host that answered is trusted as it is; there is nothing to pin")


def test_a_host_that_does_not_answer_is_told_and_the_others_are_shown(home: Home, serve: Serve, tls_files: TlsFiles) -> None:
    server = serve(ONE_NODE, tls=True)
    file = _configured(home, server)
    file.write_text(file.read_text().replace("hosts: [", "hosts: ['127.0.0.1:1', "))
    ended = home.pvectl("config", "trust")
    assert ended.code == 2
    assert tls_files.fingerprint in ended.out
    assert "127.0.0.1:1" in ended.err


def test_when_no_host_answers_there_is_nothing_to_show(home: Home) -> None:
    home.write("proxmox.yml", "clusters: {lab: {hosts: ['127.0.0.1:1'], token_id: a@pve!ops, token_file: t}}\n")
    assert home.pvectl("config", "trust").code == 69


def test_plain_http_has_no_certificate_to_pin(home: Home) -> None:
    home.connect("http://127.0.0.1:1", token_id="a@pve!ops", secret="x")
    ended = home.pvectl("config", "trust")
    assert ended.code == 78
    assert "there is no certificate to pin" in ended.err


def _short_form(home: Home, server: TestServer) -> str:
    user, _, name = server.token_id.partition("!")
    text = f"""\
proxmox:
  host: '{server.host()}'
  user: {user}
  token_name: {name}
  token_value: {server.token_secret}
  verify_ssl: false
"""
    home.write("proxmox.yml", text)
    return text


@pytest.mark.parametrize("at_a_terminal", [True, False])
@pytest.mark.slow
def test_the_short_form_is_shown_as_the_long_one_that_has_a_place_for_fingerprints(
    home: Home, serve: Serve, *, at_a_terminal: bool
) -> None:
    server = serve(ONE_NODE, tls=True)
    before = _short_form(home, server)
    ended = _at_a_terminal(home, "") if at_a_terminal else home.pvectl("config", "trust")
    assert ended.code == 78
    assert f"the short form in {home.config}/proxmox.yml has no place for fingerprints" in ended.err
    assert "pvectl config trust" not in ended.err + ended.out
    assert "insecure" not in ended.err + ended.out
    assert server.token_secret not in ended.err + ended.out
    assert (home.config / "proxmox.yml").read_text() == before
    assert server.requests == []

    long_form = ended.out[ended.out.index("\nclusters:\n") :]
    home.write("proxmox.yml", long_form)
    assert "token_value: is still a placeholder" in home.pvectl("config", "check").err
    home.write("proxmox.yml", long_form.replace("change-me", server.token_secret))
    assert home.pvectl("vm", "list").code == 0
    again = home.pvectl("config", "trust")
    assert (again.code, again.out.splitlines()[-1]) == (0, "every host that answered is trusted as it is; there is nothing to pin")


@pytest.mark.parametrize("short", [True, False])
def test_hosts_the_system_trusts_need_no_pin_but_an_insecure_cluster_is_told_how_to_change_again(
    home: Home, serve: Serve, tls_files: TlsFiles, *, short: bool
) -> None:
    server = serve(ONE_NODE, tls=True)
    if short:
        _short_form(home, server)
    else:
        _configured(home, server, "    tls: {insecure: true}\n")
    ended = home.pvectl("config", "trust", SSL_CERT_FILE=str(tls_files.ca_file))
    assert ended.code == 0
    mend = "write verify_ssl: true" if short else "take insecure out"
    said = ended.out.splitlines()[-1]
    assert said == f"every host that answered is trusted by the system's store: {mend}, and pvectl may change things too"


def test_what_is_wrong_with_a_certificate_stands_under_its_host_and_does_not_name_it_again(home: Home, serve: Serve) -> None:
    server = serve(ONE_NODE, tls=True)
    _configured(home, server)
    (shown,) = home.pvectl("config", "trust", "-o", "json").json["data"]
    assert shown["problem"] == "its certificate does not verify (unable to get local issuer certificate)"


@pytest.mark.timeout(60)
@pytest.mark.slow
def test_the_deadline_is_the_whole_run_s_and_a_host_whose_turn_comes_after_it_is_not_called(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.create_server(("127.0.0.1", 0)) as later:
        hosts = [f"127.0.0.1:{listener.getsockname()[1]}" for listener in (silent, later)]
        home.connect(*hosts, token_id="pvectl@pve!ops", secret="5eb1d2c4-0000-4000-8000-00000000a11e")
        ended = home.pvectl("config", "trust", "--deadline", "2s")
        silent.accept()[0].close()
        later.setblocking(False)
        with pytest.raises(BlockingIOError):
            later.accept()
    assert ended.code == 69, ended.err
    assert "within the 2 s this run may take" in ended.err


def test_the_certificates_of_several_hosts_are_a_table_for_spreadsheets(home: Home, serve: Serve, tls_files: TlsFiles) -> None:
    server = serve(ONE_NODE, tls=True)
    _configured(home, server)
    header, row = home.pvectl("config", "trust", "-o", "csv").out.splitlines()
    assert header.startswith("host,fingerprint,subject,issuer,names,")
    assert row.startswith(f"{server.host()},{tls_files.fingerprint.replace(':', '').lower()},")
