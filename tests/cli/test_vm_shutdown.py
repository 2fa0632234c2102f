"""`vm shutdown` walks the whole way: observe, decide, show, ask, act, report."""

import io
import json
import os
import pty
import shlex
import signal
import subprocess

import pytest

from pvectl.cli.app import main
from pvectl.cli.context import Run
from pvectl.core.secret import Secret
from pvectl.pve.client import ProxmoxClient
from pvectl.pve.transport import Connection, Trust
from tests.cli.conftest import Connect
from tests.support.scenarios import MIXED


def results(document: dict[str, object]) -> dict[int, tuple[str, str]]:
    rows = document["data"]
    assert isinstance(rows, list)
    return {row["vmid"]: (row["status"], row["reason"]) for row in rows}


def test_every_selected_guest_gets_a_verdict_and_only_the_willing_are_asked(lab: Connect) -> None:
    home, server = lab(MIXED)

    ended = home.pvectl("vm", "shutdown", "@all,-106", "--yes", "-o", "json")

    assert results(ended.json) == {
        100: ("done", "requested"),
        101: ("done", "requested"),
        102: ("skipped", "already-off"),
        103: ("skipped", "template"),
        104: ("skipped", "locked"),
        105: ("skipped", "paused"),
        106: ("skipped", "excluded"),
        107: ("skipped", "ha-managed"),
        200: ("done", "requested"),
        201: ("skipped", "already-off"),
    }
    assert ended.code == 0, ended.err
    assert sorted(record.path for record in server.writes()) == [
        "/nodes/pve1/lxc/200/status/shutdown",
        "/nodes/pve1/qemu/100/status/shutdown",
        "/nodes/pve1/qemu/101/status/shutdown",
    ]
    assert [server.cluster.guest(vmid).status for vmid in (100, 101, 200, 104, 105, 106, 107)] == [
        *["stopped"] * 3,
        "running",
        "paused",
        "running",
        "running",
    ]


@pytest.mark.slow
def test_a_guest_that_ignores_acpi_times_out_with_pves_words_and_keeps_running(lab: Connect) -> None:
    home, server = lab(MIXED)

    ended = home.pvectl("vm", "shutdown", "106", "--timeout", "30s", "--yes", "-o", "json")

    assert ended.code == 1
    assert ended.json["data"][0]["status"] == "timed-out"
    assert "VM quit/powerdown failed - got timeout" in ended.json["data"][0]["error"]
    assert server.cluster.guest(106).status == "running"


@pytest.mark.slow
def test_s19_only_force_stop_pulls_the_plug(lab: Connect) -> None:
    home, server = lab(MIXED)

    ended = home.pvectl("vm", "shutdown", "106", "--timeout", "30s", "--force-stop", "--yes", "-o", "json")

    assert ended.code == 0, ended.err
    assert server.cluster.guest(106).status == "stopped"
    assert [record.params.get("forceStop") for record in server.writes()] == ["1"]
    assert ended.json["data"][0]["forced"] is True
    assert home.pvectl("vm", "shutdown", "100", "--force-stop", "--yes", "-o", "json").json["data"][0]["forced"] is False


def test_s18_a_dry_run_shows_the_plan_and_writes_nothing(lab: Connect) -> None:
    home, server = lab(MIXED)

    ended = home.pvectl("vm", "shutdown", "100,104", "--dry-run")

    assert ended.code == 0, ended.err
    assert "would shut down" in ended.out
    assert "it is locked (backup)" in ended.out
    assert server.writes() == []


def test_without_a_terminal_nothing_happens_without_yes(lab: Connect) -> None:
    home, server = lab(MIXED)

    ended = home.pvectl("vm", "shutdown", "100", "-o", "json")

    assert ended.code == 2
    assert ended.json["status"] == "error"
    assert "--yes" in ended.err
    assert "shut down within 2m" in ended.err
    assert server.writes() == []


def test_no_wait_returns_the_upids(lab: Connect) -> None:
    home, _ = lab(MIXED, speed=1)

    ended = home.pvectl("vm", "shutdown", "100", "--no-wait", "--yes", "-o", "json")

    assert ended.code == 0, ended.err
    assert ended.json["data"][0]["status"] == "started"
    assert ended.json["data"][0]["upid"].startswith("UPID:pve1:")
    assert "qmshutdown:100:" in ended.json["data"][0]["upid"]


def test_nothing_to_do_is_success(lab: Connect) -> None:
    home, server = lab(MIXED)

    ended = home.pvectl("vm", "shutdown", "102,103", "--yes")

    assert ended.code == 0, ended.err
    assert server.writes() == []


@pytest.mark.slow
def test_a_quiet_run_with_nothing_to_do_prints_nothing(lab: Connect) -> None:
    home, _ = lab(MIXED)

    idle = home.pvectl("vm", "shutdown", "102,103", "--yes", "--quiet")
    busy = home.pvectl("vm", "shutdown", "102,200", "--yes", "-q")

    assert idle == (0, "", "")
    assert "dns" in busy.out


def test_a_guest_nobody_can_report_on_is_blind_and_not_asked(lab: Connect) -> None:
    home, server = lab(MIXED, speed=0)
    server.cluster.crash_node("pve2")
    server.cluster.clock.advance(400)

    ended = home.pvectl("vm", "shutdown", "106", "--yes", "-o", "json")

    assert ended.code == 4
    assert results(ended.json) == {106: ("skipped", "status-unknown")}
    assert server.writes() == []


def test_a_guest_that_vanished_since_the_listing_is_not_asked(lab: Connect) -> None:
    home, server = lab(MIXED)
    gone = "Configuration file 'nodes/pve1/qemu-server/100.conf' does not exist"
    server.fault("status", path="*/qemu/100/status/current", code=500, reason=gone)

    ended = home.pvectl("vm", "shutdown", "100", "--yes", "-o", "json")

    assert ended.code == 1
    assert "no longer on node pve1" in ended.err
    assert server.writes() == []


def test_a_lost_answer_is_an_unknown_outcome_and_never_repeated(lab: Connect) -> None:
    home, server = lab(MIXED)
    server.fault("reset", method="POST", path="*/status/shutdown", after=0)

    ended = home.pvectl("vm", "shutdown", "100", "--yes", "-o", "json")

    assert ended.code == 5
    assert ended.json["data"][0]["status"] == "unknown"
    assert len(server.writes()) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--timeout", "soon"], "--timeout"),
        (["--timeout", "0"], "--timeout"),
        (["--timout", "30"], "--timeout"),
        (["@tag-nope"], "@tag-nope"),
        (["99"], "99"),
        (["@nonsense"], "@nonsense"),
    ],
)
@pytest.mark.slow
def test_a_wrong_command_line_is_one_sentence_and_exit_2(lab: Connect, words: list[str], message: str) -> None:
    home, server = lab(MIXED)
    selectors = [] if words[0].startswith("@") or words[0].isdigit() else ["100"]

    ended = home.pvectl("vm", "shutdown", *selectors, *words, "--yes")

    assert ended.code == 2
    assert message in ended.err
    assert "Traceback" not in ended.err
    assert server.writes() == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["100,wbe1"], "no guest matches wbe1"),
        (["@all", "--exclude", "dbb"], "nothing is excluded by dbb"),
        (["@all,-@pool-nope"], "Pool.Audit"),
        (["twin"], "2 guests are called twin: 300, 301"),
    ],
)
@pytest.mark.slow
def test_half_of_a_typo_shuts_nothing_down(lab: Connect, words: list[str], said: str) -> None:
    twins = [{"vmid": vmid, "name": "twin", "status": "running", "node": "pve1"} for vmid in (300, 301)]
    home, server = lab({**MIXED, "guests": [*MIXED["guests"], *twins]})

    ended = home.pvectl("vm", "shutdown", *words, "--yes")

    assert ended.code == 2
    assert said in ended.err
    assert server.writes() == []


@pytest.mark.parametrize("words", [["100", "--yes", "--exclude", "-h"], ["--yes", "--", "100", "--help"]])
def test_a_word_that_looks_like_help_does_not_hide_what_a_run_did(lab: Connect, words: list[str]) -> None:
    home, server = lab(MIXED)

    ended = home.pvectl("vm", "shutdown", *words)

    assert ended.code == 2
    assert ended.err
    assert server.writes() == []


def test_s28_a_rehearsal_over_an_insecure_connection_says_that_it_could_not_be(lab: Connect) -> None:
    home, server = lab(MIXED, tls=True)
    home.connect(server.host(), token_id=server.token_id, secret=server.token_secret, tls="{insecure: true}")

    ended = home.pvectl("vm", "shutdown", "100", "--dry-run")

    assert ended.code == 78
    assert "insecure" in ended.err


@pytest.mark.slow
def test_a_result_that_cannot_be_written_is_one_sentence(lab: Connect) -> None:
    home, server = lab(MIXED)
    with open("/dev/full", "w", encoding="utf-8") as full:  # noqa: PTH123  (a device)
        for words in (["vm", "list"], ["vm", "shutdown", "200", "--yes", "--no-wait"], ["--help"]):
            ended = subprocess.run(home.command(words), env=home.env, stdout=full, stderr=subprocess.PIPE, text=True, check=False)

            assert ended.returncode == 1
            assert ended.stderr.splitlines()[-1].startswith("pvectl: the ")
            assert "Traceback" not in ended.stderr
    assert len(server.writes()) == 1


@pytest.mark.slow
def test_a_run_needs_no_stderr_and_no_stdout(lab: Connect) -> None:
    home, server = lab(MIXED)

    for closed in ("2>&-", ">&-", ">&- 2>&-", "<&- 2>/dev/full"):
        line = shlex.join(home.command(["vm", "shutdown", "200", "--yes", "--no-wait", "-o", "json"]))
        ended = subprocess.run(["sh", "-c", f"{line} {closed}"], env=home.env, capture_output=True, text=True, check=False)

        assert ended.returncode == 0, ended.stderr
        assert "Traceback" not in ended.stderr
    assert len(server.writes()) == 1


def test_s18_a_dry_run_goes_over_a_connection_that_cannot_write(lab: Connect) -> None:
    _, server = lab(MIXED)
    asked: list[bool] = []

    class Watched(Run):
        def client(self, *, read_only: bool = True, deadline: float = 60) -> ProxmoxClient:
            asked.append(read_only)
            return super().client(read_only=read_only, deadline=deadline)

    for words in (["vm", "shutdown", "100"], ["tags", "add", "nightly", "100"]):
        connection = Connection(
            cluster="lab",
            hosts=(server.url(),),
            token_id=server.token_id,
            token=Secret(server.token_secret),
            trust=Trust(),
            allow_http_loopback=True,
        )
        assert main([*words, "--dry-run"], run=Watched(connection=connection, stdout=io.StringIO(), stderr=io.StringIO())) == 0
    assert asked == [True, True]
    assert server.writes() == []


def test_what_changed_while_the_question_stood_is_not_done(lab: Connect) -> None:
    home, server = lab(MIXED)
    ours, theirs = pty.openpty()
    command = subprocess.Popen(
        home.command(["vm", "shutdown", "@tag-prod"]), env=home.env, stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, text=True
    )
    os.close(theirs)
    shown = b""
    while b"[y/N]" not in shown:
        shown += os.read(ours, 4096)
    server.cluster.set_tags(101, "web")
    os.write(ours, b"y\n")
    out, _ = command.communicate(timeout=30)
    rest = os.read(ours, 4096)
    os.close(ours)

    assert command.returncode == 75, rest
    assert b"has changed since the plan was shown" in rest
    assert out == ""
    assert server.writes() == []


@pytest.mark.slow
def test_ctrl_c_stops_waiting_and_says_what_goes_on(lab: Connect) -> None:
    home, server = lab({**MIXED, "guests": [{"vmid": 100, "name": "slow", "status": "running", "shutdown_s": 3000}]}, speed=1)
    command = subprocess.Popen(
        home.command(["vm", "shutdown", "100", "--timeout", "1h", "--yes", "-o", "json"]),
        env=home.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    server.wait_for_requests(2, path="/nodes/pve1/qemu")

    command.send_signal(signal.SIGINT)
    out, err = command.communicate(timeout=30)

    assert command.returncode == 130, err
    assert results(json.loads(out)) == {100: ("started", "requested")}
    assert server.cluster.guest(100).status == "running"
    assert len(server.writes()) == 1


def test_ctrl_c_does_not_hide_that_an_outcome_is_unknown(lab: Connect) -> None:
    guests = [{"vmid": vmid, "status": "running", "shutdown_s": 3000} for vmid in (100, 101)]
    home, server = lab({**MIXED, "guests": guests}, speed=1)
    server.fault("truncate", path="*/qemu/100/status/shutdown")
    command = subprocess.Popen(
        home.command(["vm", "shutdown", "100,101", "--timeout", "1h", "--yes", "-o", "json"]),
        env=home.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    server.wait_for_requests(2, path="*/status/shutdown")
    server.wait_for_requests(3, path="/nodes/pve1/qemu")

    command.send_signal(signal.SIGINT)
    out, err = command.communicate(timeout=30)

    assert command.returncode == 5, err
    assert results(json.loads(out)) == {100: ("unknown", "requested"), 101: ("started", "requested")}
    assert [problem["code"] for problem in json.loads(out)["errors"]][:1] == ["interrupted"]
    assert len(server.writes()) == 2
