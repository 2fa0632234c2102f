"""The frame around every command: help, errors, exit codes, signals, formats."""

import json
import signal
import subprocess

import pytest

from pvectl import __version__
from tests.cli.conftest import Connect
from tests.support.commands import Home
from tests.support.scenarios import MIXED


def test_the_version_is_one_line(home: Home) -> None:
    assert home.pvectl("--version")[:2] == (0, f"pvectl {__version__}\n")


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["vm", "--help"], ["vm", "list", "-h"], ["tags", "add", "--help"], ["doctor", "-h"]])
def test_help_needs_no_configuration(home: Home, words: list[str]) -> None:
    ended = home.pvectl(*words)

    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("Usage: pvectl")
    assert max(map(len, ended.out.splitlines())) <= 80


@pytest.mark.parametrize("words", [[], ["vm"], ["tags"]])
def test_no_command_shows_the_help(home: Home, words: list[str]) -> None:
    ended = home.pvectl(*words)

    assert "Commands:" in ended.out + ended.err
    assert ended.code in (0, 2)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["vmm"], "did you mean vm?"),
        (["vm", "lst"], "list"),
        (["vm", "list", "--tga", "x"], "--tag"),
        (["vm", "list", "-o", "jsn"], "json"),
        (["vm", "show"], "GUEST"),
        (["vm", "list", "--deadline", "soon"], "--deadline"),
    ],
)
def test_a_typo_is_one_sentence_with_what_was_meant(home: Home, words: list[str], hint: str) -> None:
    ended = home.pvectl(*words)

    assert ended.code == 2
    assert ended.out == ""
    assert ended.err.startswith("pvectl: ")
    assert hint in ended.err
    assert "Traceback" not in ended.err


def test_a_missing_configuration_says_what_to_do(home: Home) -> None:
    ended = home.pvectl("vm", "list")

    assert ended.code == 78
    assert "proxmox.yml" in ended.err
    assert "hint: " in ended.err


@pytest.mark.parametrize("asked", [["-o", "json"], ["-ojson"], ["--output=json"], ["--output", "json"]])
@pytest.mark.slow
def test_an_error_before_a_result_is_an_envelope_too(home: Home, asked: list[str]) -> None:
    ended = home.pvectl("vm", "list", *asked)
    document = json.loads(ended.out)

    assert document["schema"] == "pvectl/vm-list/v1"
    assert (document["status"], document["data"], document["exit_code"], document["complete"]) == ("error", None, 78, False)
    assert document["errors"][0]["code"] == "config"
    assert ended.err.startswith("pvectl: ")


def test_a_wrong_command_line_is_an_envelope_too(home: Home) -> None:
    document = json.loads(home.pvectl("vm", "list", "--nonsense", "-o", "json").out)

    assert (document["status"], document["exit_code"]) == ("error", 2)


def test_a_wrong_token_ends_in_77_and_names_no_secret(lab: Connect) -> None:
    home, server = lab(MIXED)
    home.connect(server.url(), token_id=server.token_id, secret="wrong-canary-0815")

    ended = home.pvectl("vm", "list", "-o", "json")

    assert ended.code == 77
    assert ended.json["errors"][0]["code"] == "authentication"
    assert "canary" not in ended.out + ended.err
    assert len(server.requests) == 1


@pytest.mark.slow
def test_a_dead_host_ends_in_69_and_names_it(home: Home) -> None:
    home.connect("http://127.0.0.1:9", token_id="ops@pve!me", secret="5eb1d2c4-0000-4000-8000-00000000a11e")

    ended = home.pvectl("vm", "list")

    assert ended.code == 69
    assert "127.0.0.1:9" in ended.err


def test_the_run_ends_by_its_deadline(lab: Connect) -> None:
    home, server = lab(MIXED)
    server.fault("hang", path="/cluster/resources")

    ended = home.pvectl("vm", "list", "--deadline", "1s", timeout=20)

    assert ended.code == 69
    assert "deadline" in ended.err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_in_words(lab: Connect, number: signal.Signals, code: int) -> None:
    home, server = lab(MIXED)
    server.fault("hang", path="/cluster/resources")
    command = subprocess.Popen(home.command(["vm", "list"]), env=home.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    server.wait_for_requests(1)

    command.send_signal(number)
    out, err = command.communicate(timeout=20)

    assert command.returncode == code
    assert (out, err) == ("", "pvectl: interrupted\n")


def test_s34_names_from_outside_cannot_steer_the_terminal(lab: Connect) -> None:
    evil = "\x1b]0;owned\x07\u202e"
    home, server = lab(MIXED)
    server.fault("body", path="/cluster/resources", body=json.dumps({"data": [{**ROW, "name": evil, "tags": "a\x1b[2J"}]}).encode())

    for format_ in ("text", "csv"):
        ended = home.pvectl("vm", "list", "-o", format_)

        assert ended.code == 0, ended.err
        assert "\x1b" not in ended.out
        assert "\u202e" not in ended.out


ROW = {"id": "qemu/100", "vmid": 100, "type": "qemu", "node": "pve1", "status": "running"}


def test_verbose_logs_every_request_and_no_secret(lab: Connect) -> None:
    home, server = lab(MIXED)

    ended = home.pvectl("vm", "show", "100", "-vv")
    events = [json.loads(line) for line in ended.err.splitlines()]

    assert ended.code == 0
    assert [(event["event"], event["method"], event["path"], event["status"]) for event in events] == [
        ("api.request", "GET", "/cluster/resources", 200),
        ("api.request", "GET", "/nodes/pve1/qemu/100/status/current", 200),
        ("api.request", "GET", "/nodes/pve1/qemu/100/config", 200),
    ]
    assert server.token_secret not in ended.err
