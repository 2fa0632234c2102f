"""What every command of `pvectl alert` keeps to."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from pvectl.cli import suggestions
from pvectl.core.alerts.outbox import State
from pvectl.core.monitor.finding import Severity
from tests.cli.alerts.desk import CANARY, DOWN, NODE, READING, Desk
from tests.core.alerts.runs import bad, saw
from tests.support.stages import Stage

NASTY = "db\x1b]52;c;ZXZpbA==\x07|'\r\n$(id)\u202e"


@pytest.mark.parametrize("format_", ["text", pytest.param("csv", marks=pytest.mark.slow)])
def test_s34_words_from_outside_steer_no_terminal(night: Desk, format_: str) -> None:
    evil = bad("guest.lock_age", "guest/7", Severity.WARNING, message=NASTY, hint=NASTY, node="pve1", tags=("x",))
    night.run(saw(DOWN, evil))
    night.advance(3600)
    night.run(saw(DOWN, evil), failing=("mail", "phone"))
    with night.opened() as alerts:
        rows = alerts.rows()
        alerts.put_rows(*(replace(row, error=NASTY, attempts=2, state=State.DEAD, ended_at=night.clock.now()) for row in rows))
    night.pvectl("alert", "ack", "guest.lock_age/guest/7", "--note", NASTY)
    night.pvectl("alert", "silence", "add", "--object", "guest/*", "--for", "1h", "--reason", NASTY)
    for words in (*READING, ("explain", "guest.lock_age/guest/7"), ("explain", NASTY), ("silence", "remove", NASTY)):
        ended = night.pvectl("alert", *words, "-o", format_)
        shown = ended.out + ended.err
        assert not {"\x1b", "\u202e", "\x07"} & set(shown), words


def test_s34_a_command_to_copy_is_one_command_whatever_an_object_is_called(night: Desk) -> None:
    night.run(saw(bad("storage.usage", "storage/x;reboot", Severity.WARNING)))
    shown = night.pvectl("alert", "ack", "storage.usage/storage/x;reboot").out
    assert "--object 'storage/x;reboot' --for 8h" in shown


@pytest.mark.slow
def test_s33_no_secret_is_read_or_shown(night: Desk) -> None:
    for words in READING:
        for format_ in ("text", "json"):
            ended = night.pvectl("alert", *words, "-o", format_, "-vv")
            assert CANARY not in ended.out + ended.err
    (night.home.config / "proxmox.yml").chmod(0o600)
    assert CANARY.encode() not in (night.state / "lab" / "state.db").read_bytes()


@pytest.mark.slow
def test_every_command_of_reading_answers_in_every_format(night: Desk) -> None:
    for words in READING:
        document = json.loads(night.pvectl("alert", *words, "-o", "json").out)
        assert (document["status"], document["exit_code"], document["cluster"]) == ("ok", 0, "lab")
        assert document["schema"] == f"pvectl/alert-{'-'.join(word for word in words[:2] if word[0] != '-' and word != NODE)}/v1"
        assert night.pvectl("alert", *words, "-o", "yaml").code == 0
        assert night.pvectl("alert", *words, "-o", "csv").code == (2 if words[0] == "explain" else 0)


def test_reading_writes_nothing(night: Desk) -> None:
    file = night.state / "lab" / "state.db"
    before = file.read_bytes()
    for words in READING:
        night.pvectl("alert", *words)
    assert file.read_bytes() == before


def test_tab_knows_incidents_silences_messages_and_receivers(night: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in night.home.env.items():
        monkeypatch.setenv(name, value)
    context: Any = SimpleNamespace(params={})
    night.pvectl("alert", "silence", "add", "--check", "*", "--until", "2100-01-01 10:00", "--reason", "x")

    assert [word for word, _about in suggestions.receivers(context, "")] == ["mail", "phone"]
    assert (NODE, "node pve2 is offline") in suggestions.incidents(context, "")
    assert night.incident().id in [word for word, _about in suggestions.incidents(context, "")]
    assert [about for _word, about in suggestions.undelivered(context, "")] == ["phone pending"]


def test_every_word_the_shell_may_ask_for_is_known() -> None:
    from pvectl.cli import alert

    asked = re.findall(r'suggesting\("(\w+)"\)', Path(alert.__file__).read_text(encoding="utf-8"))
    assert set(asked) >= {"incidents", "receivers", "silences", "undelivered", "checks"}
    assert [name for name in asked if not callable(getattr(suggestions, name, None))] == []


@pytest.mark.slow
def test_a_reader_that_goes_away_ends_the_list_quietly(night: Desk) -> None:
    night.run(saw(*(bad("guest.cpu", f"guest/{number}", message="x" * 500) for number in range(1000, 1400))))
    for words in ("list", "list --all -o csv", "outbox list --all", f"explain {NODE}"):
        line = f"{sys.executable} -m pvectl alert {words} --cluster lab | head -1; echo ${{PIPESTATUS[0]}}"
        ended = subprocess.run(["bash", "-c", line], env=night.home.env, capture_output=True, text=True, check=True, timeout=60)
        assert ended.stdout.splitlines()[-1] == "0"
        assert "Traceback" not in ended.stderr


@pytest.mark.slow
def test_from_a_real_run_to_its_explanation(tmp_path: Path) -> None:
    scenario = {
        "nodes": {"pve1": {}, "pve2": {}, "pve3": {}},
        "guests": [{"vmid": 110, "node": "pve2", "name": "db", "status": "running", "onboot": 1}],
    }
    program = tmp_path / "sendmail"
    program.write_text(f"#!/bin/sh\ncat >> {tmp_path / 'mailbox'}\n")
    program.chmod(0o755)
    mail = f"mail: {{type: sendmail, program: {program}}}"
    settings = f"monitor: {{disable: [backup.*, node.subscription]}}\nalert: {{receivers: {{{mail}}}}}"
    with Stage(tmp_path, scenario, pvectl=settings, sockets=False) as stage:
        assert stage.pvectl("alert", "run").code == 0
        stage.advance(300)
        stage.cluster.crash_node("pve2")
        for _ in range(2):
            assert stage.pvectl("alert", "run").code == 0
            stage.advance(300)
        listed = stage.pvectl("alert", "list", "-o", "json").json["data"]
        (node,) = [row for row in listed if row["finding"] == NODE]
        assert [word["receiver"] for word in node["told"] if word["delivered_at"]] == ["mail"]
        page = stage.pvectl("alert", "explain", node["id"][:6]).out
        assert "delivered  firing to mail" in page
        assert "rests on     /" in page
        assert stage.pvectl("alert", "ack", NODE, "--note", "known").code == 0
        stage.advance(5 * 3600)
        assert stage.pvectl("alert", "run").code == 0
        assert "node pve2 is offline" in (tmp_path / "mailbox").read_text()
        assert "for 5h" not in (tmp_path / "mailbox").read_text()
        assert f"more: pvectl alert explain {node['id']}" in (tmp_path / "mailbox").read_text()
        assert stage.pvectl("alert", "test", "mail").code == 0
        assert stage.pvectl("alert", "outbox", "list").out == "nothing waits, and nothing was given up\n"
