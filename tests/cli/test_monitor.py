"""`monitor` against the simulated cluster: every format tells the same, and its own failures too."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import signal
import stat
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from pvectl.cli.app import main
from pvectl.cli.context import Run
from pvectl.cli.idle.memory import RECORDS
from pvectl.cli.sparks import sparks
from pvectl.clock import SystemClock
from pvectl.core.idle.record import NodeRecord, Phase
from pvectl.store import open_to_write
from tests.cli.conftest import Connect
from tests.support.commands import Ended, Home
from tests.support.servers import TestServer, serve, tls_files  # noqa: F401

NASTY = "db\x1b[31m|'\r\n$(id)<b>\u202e"
FULL: dict[str, Any] = {
    "name": "lab",
    "nodes": {"pve1": {}, "pve2": {"services": {"pvestatd": "failed"}}},
    "guests": [
        {"vmid": 100, "type": "qemu", "node": "pve1", "name": "db", "status": "running", "tags": "prod"},
        {"vmid": 200, "type": "lxc", "node": "pve2", "name": "dns", "status": "running", "onboot": 1},
    ],
    "storages": [
        {"name": "local", "content": "iso,images"},
        {"name": "nas", "type": "nfs", "shared": 1, "content": "images", "used": 450 * 2**30},
    ],
    "backup_jobs": [{"id": "nightly", "all": 1, "schedule": "21:00"}],
}
EXEMPT = "monitor:\n  disable: [backup.age]\n"


@pytest.fixture
def full(lab: Connect) -> tuple[Home, TestServer]:
    # as fast as ours: two nodes asked one after the other must not seem to differ by a hundred times as much
    home, server = lab(FULL, speed=1)
    home.write("pvectl.yml", EXEMPT)
    return home, server


def here(home: Home, *words: str) -> Ended:
    """The command line in this process, which has everything loaded already."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(3)]
    run = Run(env=home.env, stdin=streams[0], stdout=streams[1], stderr=streams[2])
    given = words if "--state-dir" in words else (*words, "--state-dir", home.env["PVECTL_STATE_DIR"])
    code = main([*given, "--config-dir", str(home.config)], run=run)
    told = [stream.buffer.getvalue().decode() for stream in streams[1:]]
    return Ended(code, *told)


def metrics(text: str) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def test_the_page_says_the_verdict_first_then_what_is_wrong_then_what_was_checked(full: tuple[Home, TestServer]) -> None:
    home, server = full
    ended = home.pvectl("monitor")
    lines = ended.out.splitlines()

    assert (ended.code, ended.err) == (0, "")
    assert lines[0] == "CRITICAL  1 critical, 1 warning"
    assert lines[2].startswith("critical  service/pve2/pvestatd")
    assert lines[-1].startswith("40 checks on 2 nodes, 2 guests and 3 storages; all ")
    assert server.writes() == []
    asked = len(server.requests)
    assert home.pvectl("monitor").out.splitlines()[0] == lines[0]
    assert len(server.requests) - asked <= 8 + 5 * 2


def test_json_keeps_to_its_schema_and_yaml_and_csv_say_the_same(full: tuple[Home, TestServer]) -> None:
    home, server = full
    document = here(home, "monitor", "-o", "json").json
    asked = len(server.requests)
    schema = json.loads(here(home, "monitor", "--schema").out)

    assert len(server.requests) == asked
    jsonschema.validate(document, schema)
    assert (document["schema"], document["status"], document["complete"]) == ("pvectl/monitor/v1", "ok", True)
    wrong = [check["id"] for check in document["data"]["checks"] if check["status"] != "ok"]
    assert wrong == ["node.services/service/pve2/pvestatd", "storage.usage/storage/nas"]
    assert {row["check"] for row in document["data"]["coverage"]} >= {"node.offline", "backup.age"}
    assert all(source["status"] == "ok" and source["age_s"] is not None for source in document["data"]["sources"])
    told = yaml.safe_load(here(home, "monitor", "-o", "yaml").out)
    assert [check["id"] for check in told["data"]["checks"] if check["status"] != "ok"] == wrong
    rows = list(csv.DictReader(io.StringIO(here(home, "monitor", "-o", "csv").out)))
    assert [row["id"] for row in rows if row["status"] != "ok"] == wrong


def test_nagios_is_told_one_line_performance_data_and_its_own_exit_codes(full: tuple[Home, TestServer]) -> None:
    home, _ = full
    ended = here(home, "monitor", "-o", "nagios")

    assert (ended.code, ended.err) == (2, "")
    first, _, _ = ended.out.partition("\n")
    text, _, data = first.partition(" | ")
    assert text.startswith("PVE CRITICAL - 1 critical, 1 warning, 0 unknown: ")
    assert "'critical'=1;;;0" in data
    only = here(home, "monitor", "-o", "nagios", "--only", "node.offline,cluster.*")
    assert (only.code, only.out.startswith("PVE OK - ")) == (0, True)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("-o", "nagios", "--nonsense"), "No such option"),
        (("--nonsense", "--output=nagios"), "No such option"),
        (("-o", "nagios", "--only", "nod.cpu"), "there is no check nod.cpu"),
        (("-o", "nagios", "--cluster", "elsewhere"), "elsewhere"),
    ],
)
def test_whatever_goes_wrong_with_pvectl_itself_nagios_is_told_3_and_one_line(
    full: tuple[Home, TestServer], words: tuple[str, ...], told: str
) -> None:
    home, _ = full
    ended = here(home, "monitor", *words)

    assert ended.code == 3
    assert ended.out.startswith("PVE UNKNOWN - ")
    assert told in ended.out
    assert ended.out.count("\n") == 1


@pytest.mark.slow
def test_nagios_is_told_3_when_nobody_answers_or_nothing_is_configured(home: Home) -> None:
    nothing = here(home, "monitor", "-o", "nagios")
    assert (nothing.code, nothing.out.count("\n")) == (3, 1)
    home.connect("http://127.0.0.1:9", token_id="a@pve!ops", secret="5eb1d2c4-0000-4000-8000-00000000a11e")
    nobody = here(home, "monitor", "-o", "nagios", "--deadline", "3s")
    assert (nobody.code, nobody.out.count("\n")) == (3, 1)
    assert nobody.out.startswith("PVE UNKNOWN - no API host answered")


@pytest.mark.slow
def test_a_signal_in_the_middle_is_3_for_nagios_and_no_success_for_prometheus(full: tuple[Home, TestServer], tmp_path: Path) -> None:
    home, server = full
    server.fault("hang", path="/cluster/resources")
    file = tmp_path / "pvectl.prom"
    for words, code in ((["-o", "nagios"], 3), (["-o", "prometheus", "--write", str(file)], 143)):
        before = len([record for record in server.requests if record.path == "/cluster/resources"])
        process = subprocess.Popen(
            home.command(["monitor", *words]), env=home.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=home.folder
        )
        server.wait_for_requests(before + 1, path="/cluster/resources")
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=30)
        assert process.returncode == code
        assert out.count("\n") == (1 if code == 3 else 0)
    assert metrics(file.read_text())["pvectl_monitor_success"] == {(("cluster", "lab"),): 0.0}


def test_prometheus_is_given_a_whole_file_that_others_may_read(full: tuple[Home, TestServer], tmp_path: Path) -> None:
    home, _ = full
    file = tmp_path / "pvectl.prom"
    ended = home.pvectl("monitor", "-o", "prometheus", "--write", str(file))

    assert (ended.code, ended.out, ended.err) == (0, "", "")
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.endswith(".new")] == []
    found = metrics(file.read_text())
    assert found["pvectl_monitor_success"] == {(("cluster", "lab"),): 1.0}
    assert found["pve_up"][(("id", "qemu/100"),)] == 1.0
    assert found["pvectl_check_status"][(("check", "node.services"), ("id", "service/pve2/pvestatd"))] == 2.0


def test_a_run_that_failed_leaves_no_old_metrics_behind(full: tuple[Home, TestServer], tmp_path: Path) -> None:
    home, server = full
    file = tmp_path / "pvectl.prom"
    file.write_text("pve_up 1\n")
    server.fault("status", path="*", code=401)
    ended = here(home, "monitor", "-o", "prometheus", "--write", str(file))

    assert ended.code == 77
    assert metrics(file.read_text()).keys() == {"pvectl_monitor_success", "pvectl_last_run_timestamp_seconds"}


def test_a_file_that_cannot_be_written_is_told_and_nothing_is_left_over(full: tuple[Home, TestServer], tmp_path: Path) -> None:
    home, _ = full
    ended = here(home, "monitor", "--write", str(tmp_path / "nowhere" / "page.txt"), "--only", "node.offline")

    assert ended.code == 73
    assert "page.txt cannot be written" in ended.err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("disable", "fail_on", "code"),
    [
        ("[]", None, 0),
        ("[]", "critical", 1),
        ("[node.services, backup.age]", "critical", 0),
        ("[node.services, backup.age]", "warning", 1),
        ("[node.services, backup.age, storage.usage]", "unknown", 0),
    ],
)
def test_the_exit_code_tells_what_was_found_only_where_it_is_asked_to(lab: Connect, disable: str, fail_on: str | None, code: int) -> None:
    home, _ = lab(FULL, speed=1)
    home.write("pvectl.yml", f"monitor:\n  disable: {disable}\n")

    assert here(home, "monitor", "--quiet", *(["--fail-on", fail_on] if fail_on else [])).code == code


def test_what_could_not_be_checked_is_exit_4_where_it_is_asked_for(full: tuple[Home, TestServer]) -> None:
    home, server = full
    server.fault("html", path="/nodes/pve1/services")
    words = ("monitor", "--only", "node.services", "--fail-on", "unknown")
    home.write("pvectl.yml", "monitor:\n  disable: ['node.services/service/pve2/*']\n")

    ended = here(home, *words, "-o", "json")
    assert (ended.code, ended.json["complete"], ended.json["exit_code"]) == (4, False, 4)


def test_nagios_and_prometheus_are_told_as_much_as_they_ask_for(full: tuple[Home, TestServer]) -> None:
    home, server = full
    server.fault("html", path="/nodes/pve1/status")
    only = ("--only", "node.iowait,node.cpu")
    words = ("monitor", *only, "-o", "nagios", "--perfdata")

    lines = {how: here(home, *words, how).out.partition("\n")[0] for how in ("none", "top", "all")}
    assert " | " not in lines["none"]
    assert len(lines["top"]) < len(lines["all"])
    codes = {told: here(home, *words, "none", "--unknown-as", told).code for told in ("ok", "warning", "critical", "unknown")}
    assert codes == {"ok": 0, "warning": 1, "critical": 2, "unknown": 3}
    told = {which: here(home, "monitor", *only, "-o", "prometheus", "--metrics", which).out for which in ("all", "own", "compat")}
    names = {which: {name.partition("_")[0] for name in metrics(text)} for which, text in told.items()}
    assert names["all"] == {"pve", "pvectl"}
    assert names["own"] == {"pvectl"}
    assert {name for name in metrics(told["compat"]) if name.startswith("pvectl_")} == {
        "pvectl_monitor_success",
        "pvectl_last_run_timestamp_seconds",
    }


def test_missing_privileges_are_named_with_the_lines_that_grant_them(lab: Connect) -> None:
    home, server = lab(
        {
            **FULL,
            "users": {"watch@pve": {}},
            "tokens": {"watch@pve!mon": {"secret": "5eb1d2c4-0000-4000-8000-000000000001", "privsep": 0}},
            "acl": [{"path": "/vms", "type": "user", "ugid": "watch@pve", "roleid": "PVEAuditor", "propagate": 1}],
        }
    )
    ended = here(home, "monitor", "--coverage")

    assert ended.code == 0
    assert "node.services: the token lacks Sys.Audit on /nodes/pve1" in ended.out
    assert "pveum acl modify / --users watch@pve --roles PVEAuditor" in ended.out
    assert server.writes() == []
    page = here(home, "monitor").out
    assert page.startswith("UNKNOWN")
    assert "could not be checked" in page


@pytest.mark.slow
def test_hostile_names_reach_no_format_as_they_are(lab: Connect, tmp_path: Path) -> None:
    home, _ = lab(
        {
            **FULL,
            "guests": [{"vmid": 100, "node": "pve1", "name": NASTY, "status": "stopped", "onboot": 1, "tags": "prod"}],
            "tasks": [{"node": "pve1", "started_ago": 60, "took": 5, "status": f"failed {NASTY}"}],
            "ceph": {"mons": ["pve1"], "mgrs": ["pve1"], "health": "HEALTH_ERR",
                     "checks": {"OSD_DOWN": {"severity": "HEALTH_ERR", "summary": {"message": NASTY}}}},
        }
    )  # fmt: skip
    outputs = {form: here(home, "monitor", "-o", form).out for form in ("text", "json", "yaml", "csv", "nagios", "prometheus")}

    for form, out in outputs.items():
        assert "\x1b" not in out, form
        assert "\r" not in out, form
        assert "\u202e" not in out, form
        assert "db" in out, form
    assert all(line.count(" | ") <= 1 for line in outputs["nagios"].splitlines())
    assert outputs["nagios"].splitlines()[0].count("|") == 1
    assert metrics(outputs["prometheus"])["pvectl_monitor_success"]

    file = tmp_path / "index.html"
    ended = here(home, "monitor", "-vv", "-o", "json", "--html", str(file))
    for place, told in {"log": ended.err, "page": file.read_text("utf-8")}.items():
        assert not [sign for sign in ("\x1b", "\r", "\u202e") if sign in told], place
        assert told, place
    assert "$(id)<b>" not in file.read_text("utf-8")


@pytest.mark.slow
def test_a_state_that_another_run_holds_does_not_keep_anybody_from_looking(full: tuple[Home, TestServer]) -> None:
    home, _ = full
    here(home, "monitor", "--only", "node.offline")
    lock = next(Path(home.env["PVECTL_STATE_DIR"]).rglob("state.lock"))
    import fcntl

    with lock.open("r+b") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        ended = here(home, "monitor", "--only", "node.offline")

    assert ended.code == 0
    assert ended.out.startswith("OK")
    assert "nothing is kept for the next run" in ended.err


def test_a_state_that_cannot_be_read_or_written_does_not_either(full: tuple[Home, TestServer]) -> None:
    home, _ = full
    ended = here(home, "monitor", "--only", "node.offline", "--state-dir", "/proc/nowhere")

    assert (ended.code, ended.out.splitlines()[0]) == (0, "OK  everything that was checked is fine")
    assert "nothing is kept for the next run" in ended.err


def test_a_node_that_pvectl_switched_off_itself_is_no_fault_and_costs_no_question(lab: Connect) -> None:
    home, server = lab({**FULL, "nodes": {"pve1": {}, "pve2": {}, "pve3": {"status": "offline"}}}, speed=1)
    words = ("monitor", "--only", "node.*")
    assert "node pve3" in here(home, *words).out
    since = datetime(2026, 11, 22, 10, tzinfo=UTC)
    with open_to_write(Path(home.env["PVECTL_STATE_DIR"]), "lab", SystemClock()) as store:
        store.keep(RECORDS, "pve3", NodeRecord(node="pve3", phase=Phase.OFF_SEEN, since=since, wall=since))
    ended = here(home, *words)

    assert ended.out.splitlines()[0] == "OK  everything that was checked is fine"
    assert "pve3 switched off by pvectl" in ended.out
    assert not [record for record in server.requests if "/nodes/pve3/" in record.path]


@pytest.mark.slow
def test_a_value_that_was_bad_is_bad_until_it_has_recovered(lab: Connect) -> None:
    home, server = lab(FULL)
    words = ("monitor", "--only", "storage.usage", "-o", "nagios")
    storage = server.cluster.world.storages["nas"]
    codes = []
    for share in (0.70, 0.79, 0.85, 0.79, 0.77, 0.79):
        storage.used = int(share * storage.total)
        server.cluster.clock.advance(30)
        codes.append(here(home, *words).code)

    assert codes == [0, 0, 1, 1, 0, 0]


@pytest.mark.slow
def test_eighty_columns_are_enough_and_colour_is_for_terminals_only(full: tuple[Home, TestServer]) -> None:
    home, _ = full
    assert "\x1b[" not in here(home, "monitor").out
    control, terminal = pty.openpty()
    process = subprocess.Popen(
        home.command(["monitor"]),
        env=home.env | {"COLUMNS": "80", "TERM": "xterm"},
        stdout=terminal,
        stderr=subprocess.PIPE,
        cwd=home.folder,
    )
    os.close(terminal)
    pieces = []
    while True:
        try:
            pieces.append(os.read(control, 4096))
        except OSError:
            break
    process.communicate(timeout=30)
    os.close(control)
    shown = b"".join(pieces).decode()

    assert "\x1b[31mCRITICAL\x1b[0m" in shown
    assert "storage/nas" in shown.partition("the last month")[2]
    assert "▇▇▇" in shown
    import re

    bare = [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip("\r") for line in shown.split("\n")]
    assert max(len(line) for line in bare if "→" not in line) <= 80


@pytest.mark.slow
def test_a_reader_that_leaves_early_ends_it_quietly(full: tuple[Home, TestServer]) -> None:
    home, _ = full
    line = " ".join(home.command(["monitor", "-o", "prometheus"]))
    ended = subprocess.run(["bash", "-c", f"{line} | head -1"], env=home.env, capture_output=True, text=True, check=False, cwd=home.folder)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("# HELP")


@pytest.mark.slow
def test_with_three_of_eight_nodes_hanging_it_ends_by_its_deadline_with_the_other_five(lab: Connect) -> None:
    nodes = {f"pve{number}": {"status": "hangs"} if number in (3, 5, 7) else {} for number in range(1, 9)}
    home, _ = lab({"name": "lab", "nodes": nodes}, speed=1)
    began = time.monotonic()
    ended = home.pvectl("monitor", "-o", "json", "--deadline", "8s")

    assert time.monotonic() - began < 30
    sources = {(row["name"], row["node"]): row["status"] for row in ended.json["data"]["sources"]}
    assert ended.code == 0
    assert ended.json["complete"] is False
    for number in range(1, 9):
        hangs = number in (3, 5, 7)
        for source in ("node-status", "node-services", "node-disks", "node-certificates"):
            assert sources[source, f"pve{number}"] == ("unknown" if hangs else "ok")


@pytest.mark.slow
def test_where_the_first_host_hangs_the_second_one_tells_all_but_that_node(home: Home, serve: Callable[..., TestServer]) -> None:  # noqa: F811
    server = serve({**FULL, "nodes": {"pve1": {"status": "hangs"}, "pve2": {}, "pve3": {}}}, speed=1, nodes=["pve1", "pve2"])
    home.connect(server.url("pve1"), server.url("pve2"), token_id=server.token_id, secret=server.token_secret)
    ended = home.pvectl("monitor", "-o", "json", "--deadline", "24s")

    unread = {(row["name"], row["object"]) for row in ended.json["data"]["sources"] if row["status"] != "ok"}
    assert ended.code == 0
    assert {whose for name, whose in unread if name.startswith("node-")} == {"node/pve1"}
    assert "cluster" not in {whose for _, whose in unread}


def test_bars_show_how_a_value_went() -> None:
    assert sparks([0, 0.5, 1], most=1, width=10) == "▁▅█"
    assert sparks([0.0] * 50 + [1.0] * 50, most=1, width=4) == "▁▁██"
    assert (sparks([], most=1, width=4), sparks([1], most=0, width=4)) == ("", "")
