"""Every way a server can fail, against the real command: it says so in one sentence, in time, in bounded memory, and exits as promised."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pvectl.errors import ExitCode
from tests.support.commands import Home
from tests.support.scenarios import MIXED
from tests.support.servers import TOKEN_SECRET, TestServer

pytestmark = pytest.mark.slow

Serve = Callable[..., TestServer]

DEADLINE_S = {"mute": 1, "hang": 1, "drip": 1, "wrong_length long": 1}
"""Of those that only the deadline ends; all others end by themselves, as soon as the machine gets round to it."""
AMPLE_S = 20
PATIENCE_S = 30
"""A process that is still there by then has outlived its deadline by far."""
MOST_MEMORY = 150 << 20

# a process begins with the weight of the one it was forked from, so a light one stands between it and this
WEIGH = """
import os, signal, sys
patience, file, *command = sys.argv[1:]
pid = os.posix_spawn(command[0], command, os.environ)
signal.signal(signal.SIGALRM, lambda *_: os.kill(pid, signal.SIGKILL))
signal.alarm(int(patience))
_, status, usage = os.wait4(pid, 0)
with open(file, "w") as out:
    out.write(str(usage.ru_maxrss))
sys.exit(os.waitstatus_to_exitcode(status) % 256)
"""

OK, FAILED, UNAVAILABLE, PROTOCOL, PERMISSION = (
    ExitCode.OK,
    ExitCode.FAILED,
    ExitCode.UNAVAILABLE,
    ExitCode.PROTOCOL,
    ExitCode.PERMISSION,
)
STATUSES = {
    201: PROTOCOL,
    204: PROTOCOL,
    206: PROTOCOL,
    300: PROTOCOL,
    304: PROTOCOL,
    400: FAILED,
    401: PERMISSION,
    402: FAILED,
    403: PERMISSION,
    404: FAILED,
    407: FAILED,
    408: FAILED,
    418: FAILED,
    429: FAILED,
    451: FAILED,
    500: FAILED,
    501: FAILED,
    502: UNAVAILABLE,
    503: UNAVAILABLE,
    504: UNAVAILABLE,
    506: FAILED,
    511: FAILED,
    595: UNAVAILABLE,
    596: UNAVAILABLE,
    597: UNAVAILABLE,
    598: UNAVAILABLE,
    599: UNAVAILABLE,
    600: PROTOCOL,
    999: PROTOCOL,
}
FAULTS: list[tuple[str, dict[str, Any], ExitCode]] = [
    ("refuse", {}, UNAVAILABLE),
    ("mute", {}, UNAVAILABLE),
    ("latency", {"seconds": 0.1}, OK),
    ("hang", {"after": "request"}, UNAVAILABLE),
    ("hang", {"after": "headers"}, UNAVAILABLE),
    ("hang", {"after": "body"}, UNAVAILABLE),
    ("drip", {"where": "head"}, UNAVAILABLE),
    ("drip", {"where": "body"}, UNAVAILABLE),
    ("reset", {"after": 0}, UNAVAILABLE),
    ("reset", {"after": 100}, UNAVAILABLE),
    ("reset", {"after": 1000}, UNAVAILABLE),
    ("truncate", {}, UNAVAILABLE),
    ("truncate", {"keep": 0}, UNAVAILABLE),
    ("truncate", {"length": False}, PROTOCOL),
    ("truncate", {"length": False, "notify": False}, PROTOCOL),
    ("html", {}, PROTOCOL),
    ("html", {"status": 503}, UNAVAILABLE),
    ("body", {"body": b"<html>It works!</html>"}, PROTOCOL),
    ("body", {"body": b'{"data":' + b"[" * 100_000}, PROTOCOL),
    ("body", {"body": b'{"data":[' + b"{}," * 5_000_000 + b"{}]}"}, PROTOCOL),
    ("body", {"body": b'{"data":[' + b"[]," * 5_000_000 + b"[]]}"}, PROTOCOL),
    ("body", {"body": b'{"data":[' + b'{"a":1},' * 250_000 + b"{}]}"}, PROTOCOL),
    ("body", {"body": b'{"data":["' + b"\xf0\x9f\x98\x80" + b"x" * (15 << 20) + b'"]}'}, PROTOCOL),
    ("body", {"body": b'{"data":[{"type":"qemu","vmid":100,"node":"n","status":"' + b"\xf0\x9f\x98\x80" * (3 << 20) + b'"}]}'}, PROTOCOL),
    ("body", {"body": b'{"data":[{"vmid":' + b"9" * 5000 + b"}]}"}, PROTOCOL),
    ("body", {"body": b'{"data":[{"vmid":100}]}'}, PROTOCOL),
    ("body", {"body": b'{"data":[{"type":"qemu","vmid":"../../100","node":"pve1","status":"running"}]}'}, PROTOCOL),
    ("body", {"body": b'{"data":{"type":"qemu"}}'}, PROTOCOL),
    ("empty_body", {}, PROTOCOL),
    ("empty_object", {}, PROTOCOL),
    ("null_body", {}, PROTOCOL),
    ("list_body", {}, PROTOCOL),
    ("no_data", {}, PROTOCOL),
    ("nan", {}, PROTOCOL),
    ("nan", {"value": "Infinity"}, PROTOCOL),
    ("nan", {"value": "-Infinity"}, PROTOCOL),
    ("nan", {"value": "1e999"}, PROTOCOL),
    ("duplicate_keys", {}, PROTOCOL),
    ("huge", {}, PROTOCOL),
    ("huge", {"length": False}, PROTOCOL),
    ("huge", {"size": 15 << 20}, PROTOCOL),
    ("gzip", {}, PROTOCOL),
    ("gzip_bomb", {}, PROTOCOL),
    *(("redirect", {"code": code}, PROTOCOL) for code in (301, 302, 303, 307, 308)),
    *(("status", {"code": code}, exit_code) for code, exit_code in STATUSES.items()),
    ("status", {"code": 500, "reason": "\x1b[2J\x1b]0;owned\x07 oops"}, FAILED),
    ("status", {"code": 403, "reason": "Permission check failed (/, VM.Audit)"}, PERMISSION),
    ("wrong_content_type", {}, PROTOCOL),
    ("wrong_content_type", {"content_type": None}, PROTOCOL),
    ("wrong_content_type", {"content_type": "text/plain"}, PROTOCOL),
    ("other_node", {"as_node": "pve2"}, OK),
    ("stale", {}, OK),
    ("garbage", {}, PROTOCOL),
    ("header_flood", {"of": "headers"}, PROTOCOL),
    ("header_flood", {"of": "line"}, PROTOCOL),
    ("header_flood", {"of": "continue"}, PROTOCOL),
    ("wrong_length", {"how": "short"}, PROTOCOL),
    ("wrong_length", {"how": "long"}, UNAVAILABLE),
    ("wrong_length", {"how": "negative"}, PROTOCOL),
    ("wrong_length", {"how": "text"}, PROTOCOL),
    ("wrong_length", {"how": "two"}, PROTOCOL),
]


class Finished(NamedTuple):
    code: int
    out: str
    err: str
    memory: int
    """The largest it ever was, in bytes."""


def _run(home: Home, *words: str) -> Finished:
    """Run one command line; unlike `Home.pvectl` it weighs the process."""
    out, err, weight = (home.folder / name for name in ("out", "err", "weight"))
    command = [sys.executable, "-I", "-S", "-c", WEIGH, str(PATIENCE_S), str(weight), *home.command(words)]
    with out.open("wb") as stdout, err.open("wb") as stderr:
        code = subprocess.call(command, env=home.env, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, cwd=home.folder)
    return Finished(code, out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8"), int(weight.read_text()) * 1024)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def _at(home: Home, server: TestServer, *nodes: str, **settings: Any) -> Home:
    hosts = [server.host(node) if settings else server.url(node) for node in nodes or ("pve1",)]
    return home.connect(*hosts, token_id=server.token_id, secret=server.token_secret, **settings)


def _cases() -> list[Any]:
    """All faults; the quick suite has the first of those kinds that each end in a way of their own."""
    seen = {"mute", "drip", "latency", "truncate", "null_body", "list_body", "no_data", "gzip_bomb", "wrong_content_type", "other_node"}
    cases = []
    for kind, details, exit_code in FAULTS:
        name = " ".join([kind, *(f"{key}={value!r:.24}" for key, value in details.items())])
        cases.append(pytest.param(kind, details, exit_code, id=name, marks=[pytest.mark.slow] if kind in seen else []))
        seen.add(kind)
    return cases


@pytest.mark.parametrize(("kind", "details", "exit_code"), _cases())
def test_s29_whatever_the_server_does_the_command_ends_as_promised(
    serve: Serve, home: Home, kind: str, details: dict[str, Any], exit_code: ExitCode
) -> None:
    server = serve(MIXED)
    server.fault(kind, **details)
    seconds = DEADLINE_S.get(kind) or DEADLINE_S.get(f"{kind} {details.get('how')}", AMPLE_S)
    ended = _run(_at(home, server), "vm", "list", "-o", "json", "--deadline", f"{seconds}s")

    assert ended.code == exit_code, ended.err
    assert ended.memory < MOST_MEMORY
    document = json.loads(ended.out)
    assert document["exit_code"] == exit_code
    if exit_code is OK:
        assert len(document["data"]) == len(MIXED["guests"])
        assert ended.err == ""
    else:
        assert document["status"] == "error"
        assert not document["data"]
        assert len(document["errors"]) == 1
        assert ended.err.startswith("pvectl: ")
        assert ended.err.count("\n") <= 2
    assert all(character.isprintable() or character == "\n" for character in ended.out + ended.err)
    assert TOKEN_SECRET not in ended.out + ended.err
    assert server.writes() == []


@pytest.mark.parametrize(("kind", "details"), [("reset", {}), ("status", {"code": 503})])
def test_a_fault_that_passes_is_not_noticed(serve: Serve, home: Home, kind: str, details: dict[str, Any]) -> None:
    server = serve(MIXED)
    server.fault(kind, times=1, **details)
    ended = _run(_at(home, server), "vm", "list", "-o", "json")
    assert (ended.code, ended.err) == (0, "")
    assert len(json.loads(ended.out)["data"]) == len(MIXED["guests"])


@pytest.mark.slow
def test_s29_as_many_guests_as_are_let_in_still_fit_into_memory(serve: Serve, home: Home) -> None:
    guests = [{"type": "lxc", "vmid": 1000 + number, "node": f"n{number}", "status": f"s{number}"} for number in range(95_000)]
    server = serve(MIXED)
    server.fault("body", body=json.dumps({"data": guests}).encode())
    for form in ("json", "text"):
        ended = _run(_at(home, server), "vm", "list", "-o", form, "--deadline", "60s")
        assert ended.code == 0, ended.err
        assert ended.memory < MOST_MEMORY


def test_a_node_that_is_off_is_passed_over_for_the_next(serve: Serve, home: Home) -> None:
    server = serve({**MIXED, "nodes": {"pve1": {"status": "offline"}, "pve2": {}}})
    ended = _run(_at(home, server, "pve1", "pve2"), "vm", "list", "-o", "json")
    assert ended.code == 0, ended.err
    assert {record.node for record in server.requests} == {"pve2"}


@pytest.mark.parametrize("tls", [f"{{fingerprints: ['{'0' * 64}']}}", "{}"], ids=["wrong fingerprint", "unknown ca"])
def test_s28_a_host_that_cannot_prove_itself_is_named_and_told_nothing(serve: Serve, home: Home, tls: str) -> None:
    server = serve(MIXED, tls=True)
    ended = _run(_at(home, server, tls=tls), "vm", "list", "-o", "json", "--deadline", "10s")
    assert ended.code == UNAVAILABLE, ended.err
    assert server.host("pve1") in ended.err
    assert "config trust" in ended.err
    assert server.requests == []


def test_insecure_is_good_enough_to_look(serve: Serve, home: Home) -> None:
    server = serve(MIXED, tls=True)
    ended = _run(_at(home, server, tls="{insecure: true}"), "vm", "list", "-o", "json", "--deadline", "10s")
    assert ended.code == OK, ended.err


@pytest.mark.parametrize("kind", ["reset", "truncate"])
def test_s24_a_shutdown_that_was_not_answered_is_not_repeated_and_said_to_be_unknown(serve: Serve, home: Home, kind: str) -> None:
    server = serve(MIXED)
    server.fault(kind, method="POST")
    ended = _run(_at(home, server), "vm", "shutdown", "100", "--yes", "-o", "json", "--deadline", "30s")
    assert [record.method for record in server.writes()] == ["POST"]
    document = json.loads(ended.out)
    assert (ended.code, document["exit_code"]) == (ExitCode.UNKNOWN_OUTCOME, ExitCode.UNKNOWN_OUTCOME), ended.out + ended.err
    assert "may or may not have happened" in ended.out


@pytest.mark.parametrize("executed", [True, False])
def test_s24_tags_whose_change_was_not_answered_are_not_written_twice_but_looked_at(serve: Serve, home: Home, executed: bool) -> None:
    server = serve(MIXED)
    server.fault("reset", method="PUT", execute=executed)
    ended = _run(_at(home, server), "tags", "add", "new-tag", "100", "--yes", "-o", "json", "--deadline", "30s")
    assert [record.method for record in server.writes()] == ["PUT"]
    assert json.loads(ended.out)["exit_code"] == ended.code
    assert ended.code == (ExitCode.OK if executed else ExitCode.UNKNOWN_OUTCOME), ended.out + ended.err
