"""`pvectl idle-check` as a person and a script meet it: refusals, rehearsals, pages."""

from pathlib import Path

import pytest

from tests.idle.days import IDLE, INTERVAL, PVECTL, about_to_act, idle_check
from tests.support.servers import TOKEN_ID, TOKEN_SECRET, serving
from tests.support.stages import Stage


def test_without_a_node_in_the_configuration_it_refuses(tmp_path: Path) -> None:
    for text in ("", "idle_check: {nodes: []}"):
        with Stage(tmp_path, IDLE, pvectl=text) as stage:
            ended = stage.pvectl("idle-check")
            assert ended.code == 78
            assert "idle_check.nodes names no node" in ended.err
            assert stage.server.requests == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("idle_check: {nodes: [pve2], grace_period: 60}", "three"),
        ("idle_check: {nodes: [pve2], tag: Safe-Shutdown}", "safe-shutdown"),
        ("idle_check: {nodes: [pve2, pve2]}", "twice"),
        ("idle_check: {node: pve2}", "nodes is a list"),
    ],
)
def test_a_configuration_that_cannot_be_meant_is_refused_with_its_line(tmp_path: Path, text: str, complaint: str) -> None:
    with Stage(tmp_path, IDLE, pvectl=text) as stage:
        ended = stage.pvectl("idle-check")
        assert ended.code == 78
        assert "pvectl.yml:1:" in ended.err
        assert complaint in ended.err
        assert stage.server.requests == []


def test_a_node_the_cluster_does_not_have_is_refused_before_anything_is_switched_off(tmp_path: Path) -> None:
    with Stage(tmp_path, IDLE, pvectl=PVECTL.replace("[pve2]", "[pve2, pve22]")) as stage:
        ended = stage.pvectl("idle-check")
        assert ended.code == 78
        assert "the cluster has no node pve22; nothing was switched off" in ended.err
        assert "pve1, pve2, pve3" in ended.err
        asked = stage.pvectl("idle-check", "pve3")
        assert asked.code == 2
        assert "node pve3 is not among idle_check.nodes" in asked.err


def test_s28_with_insecure_it_refuses(tmp_path: Path) -> None:
    with Stage(tmp_path, IDLE, pvectl=PVECTL) as stage:
        file = stage.home.config / "proxmox.yml"
        text = file.read_text().replace("allow_http_loopback: true", "allow_http_loopback: true\n    tls: {insecure: true}")
        file.write_text(text)
        ended = stage.pvectl("idle-check")
        assert ended.code == 78
        assert "nobody knows who is listening" in ended.err


def test_a_job_that_is_switched_off_says_so_and_is_no_failure(tmp_path: Path) -> None:
    with Stage(tmp_path, IDLE, pvectl=PVECTL + "  enabled: false\n") as stage:
        ended = stage.pvectl("idle-check")
        assert (ended.code, ended.err) == (0, "")
        assert "switched off (enabled: false)" in ended.out
        assert stage.server.requests == []


def test_s18_a_dry_run_shows_what_the_next_run_would_do_and_leaves_no_trace(tmp_path: Path) -> None:
    with about_to_act(tmp_path) as stage:
        before = (stage.state / "lab" / "state.db").read_bytes()
        ended = idle_check(stage, "--dry-run")
        assert ended.code == 0, ended.err
        row = ended.json["data"][0]
        assert (row["verdict"], row["decision_id"]) == ("act", None)
        assert [(one["action"], one["vmid"], one["status"]) for one in row["actions"]] == [
            ("shutdown", 201, "dry-run"),
            ("shutdown", 200, "dry-run"),
            ("power-off", None, "dry-run"),
        ]
        assert stage.server.writes() == []
        assert (stage.state / "lab" / "state.db").read_bytes() == before
        assert "would go off" in stage.pvectl("idle-check", "--dry-run").out


def test_s18_a_job_configured_as_a_rehearsal_keeps_books_of_its_own(tmp_path: Path) -> None:
    with Stage(tmp_path, IDLE, pvectl=PVECTL + "  dry_run: true\n") as stage:
        verdicts = []
        for _ in range(5):
            stage.advance(INTERVAL)
            verdicts.append(idle_check(stage).json["data"][0]["verdict"])
        assert verdicts == ["wait"] * 4 + ["act"]
        assert stage.server.writes() == []
        stage.configure(PVECTL)
        stage.advance(INTERVAL)
        real = idle_check(stage).json["data"][0]
        assert (real["verdict"], real["credit_s"]) == ("wait", 0)


def test_a_quiet_run_speaks_only_of_what_was_done_or_failed(tmp_path: Path) -> None:
    with about_to_act(tmp_path) as stage:
        stage.cluster.start(110)
        assert stage.pvectl("idle-check", "--quiet") == (0, "", "")


def test_a_quiet_run_tells_what_it_did(tmp_path: Path) -> None:
    with about_to_act(tmp_path) as stage:
        assert "switched off" in stage.pvectl("idle-check", "--quiet").out


def test_explain_lists_every_veto_and_what_would_change_it(tmp_path: Path) -> None:
    with about_to_act(tmp_path) as stage:
        stage.cluster.start(110)
        stage.advance(1)
        page = stage.pvectl("idle-check", "--explain").out
    assert "pve2 stays on because 110 (build) has no tag safe-shutdown" in page
    assert "what keeps it on" in page
    assert "if it stopped now, off at" in page


def test_node_list_and_vm_show_tell_where_they_stand(tmp_path: Path) -> None:
    with about_to_act(tmp_path) as stage:
        stage.cluster.start(110)
        stage.advance(20)
        rows = {row["node"]: row["idle_check"] for row in stage.pvectl("node", "list", "-o", "json").json["data"]}
        assert rows["pve1"] is None
        assert rows["pve2"]["detail"].startswith("pve2 stays on because 110 (build) has no tag safe-shutdown; if it stopped now, off at")
        shown = {vmid: stage.pvectl("vm", "show", vmid, "-o", "json").json["data"]["idle_check"] for vmid in ("100", "110", "200")}
        assert shown["100"] is None
        assert shown["110"].startswith("pve2 stays on because 110 (build) has no tag")
        assert shown["200"].startswith("it does not keep pve2 on")


def test_s24_where_nothing_can_be_written_nothing_is_done(tmp_path: Path) -> None:
    with about_to_act(tmp_path) as stage:
        blocked = tmp_path / "file"
        blocked.write_text("no directory")
        ended = stage.pvectl("idle-check", "--state-dir", str(blocked / "below"))
        assert ended.code == 73
        assert stage.server.requests == []


def test_s31_a_state_file_from_a_newer_version_is_set_aside_and_nothing_is_switched_off(tmp_path: Path) -> None:
    import sqlite3

    with about_to_act(tmp_path) as stage:
        file = stage.state / "lab" / "state.db"
        connection = sqlite3.connect(file)
        connection.execute("PRAGMA user_version = 99")
        connection.close()
        ended = idle_check(stage)
        assert ended.code == 65
        assert ended.json["errors"][0]["code"] == "bad-state"
        assert stage.server.writes() == []
        assert list(file.parent.glob("state.db.broken-*"))
        again = idle_check(stage)
        assert again.code == 0
        assert again.json["data"][0]["verdict"] == "wait"


def test_s01_a_token_that_lacks_one_right_sees_nothing_switched_off_and_the_right_is_named(tmp_path: Path) -> None:
    with about_to_act(tmp_path) as stage:
        stage.cluster.revoke("/", "pvectl@pve")
        stage.cluster.grant("/", "pvectl@pve", "PVEVMUser")
        ended = idle_check(stage)
        assert ended.code == 4, ended.out
        assert "Sys.Audit" in ended.err + ended.out
        assert stage.server.writes() == []


@pytest.mark.parametrize(("more", "words"), [("", ("--dry-run",)), ("  dry_run: true\n", ())])
def test_s18_in_a_rehearsal_not_even_a_mistake_of_our_own_could_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str, words: tuple[str, ...]
) -> None:
    from pvectl import observe
    from pvectl.errors import WriteForbidden
    from pvectl.pve.client import ProxmoxClient

    def mistaken(client: ProxmoxClient, *_: object) -> observe.Glance:
        client.power_off("pve2")
        raise AssertionError("it was sent")

    monkeypatch.setattr(observe, "glance", mistaken)
    with Stage(tmp_path, IDLE, pvectl=PVECTL + more) as stage:
        ended = stage.pvectl("idle-check", *words)
        assert ended.code == WriteForbidden.exit_code
        assert "this run only reads" in ended.err
        assert stage.server.writes() == []


def test_s18_what_a_rehearsal_by_configuration_has_seen_counts_for_no_real_run(tmp_path: Path) -> None:
    with about_to_act(tmp_path, pvectl=PVECTL + "  dry_run: true\n") as stage:
        assert idle_check(stage).json["data"][0]["verdict"] == "act"
        stage.configure(PVECTL)
        stage.advance(INTERVAL)
        real = idle_check(stage).json["data"][0]
        assert (real["verdict"], real["reason"], real["credit_s"]) == ("wait", "grace-period", 0)
        stage.advance(INTERVAL)
        stage.configure(PVECTL + "  dry_run: true\n")
        assert idle_check(stage).json["data"][0]["credit_s"] > 0
        assert stage.server.writes() == []


def test_two_clusters_in_one_host_list_are_refused_before_anything_is_switched_off(tmp_path: Path) -> None:
    other = {"name": "other", "nodes": {"pve7": {}}}
    with about_to_act(tmp_path) as stage, serving({**other, "tokens": {TOKEN_ID: {"secret": TOKEN_SECRET, "privsep": 0}}}) as foreign:
        file = stage.home.config / "proxmox.yml"
        file.write_text(file.read_text().replace('"]', f'", "http://{foreign.host()}"]'))
        ended = idle_check(stage)
        assert ended.code == 78, ended.out
        assert "are not of one cluster" in ended.err
        assert stage.server.writes() == []
        assert foreign.writes() == []
