"""Tasks take time, and their lists filter, hide and count as PVE's do (pve-manager PVE/API2/Tasks.pm)."""

from __future__ import annotations

from typing import Any

import pytest

from pvectl.sim.wire import Request
from tests.sim.asking import NOON, ROOT_TOKEN, Lab, vm

POWER = "power@pve!power"
RIGHTS = {
    "roles": {"Power": "VM.Audit VM.PowerMgmt"},
    "tokens": {POWER: {"privsep": 0}, "mon@pve!mon": {"privsep": 0}},
    "acl": [{"path": "/vms", "ugid": "power@pve", "roleid": "Power"}, {"path": "/", "ugid": "mon@pve", "roleid": "PVEAuditor"}],
}
PAST: list[dict[str, Any]] = [
    {"type": "vzdump", "started_ago": 9000, "took": 3600, "status": "job errors"},
    {"type": "qmstart", "id": "100", "started_ago": 5000, "took": 1, "user": POWER},
    {"type": "qmstart", "id": "101", "started_ago": 4000, "took": 1, "status": "WARNINGS: 1"},
    {"type": "qmshutdown", "id": "100", "started_ago": 3000, "took": 60, "status": "unexpected status"},
    {"type": "vncshell", "started_ago": 500, "took": None},
]


def lab(**more: Any) -> Lab:
    return Lab({"guests": [vm(100, acpi=False)], "tasks": PAST, **RIGHTS, **more})


def kinds(rows: list[dict[str, Any]]) -> list[str]:
    return [row["type"] for row in rows]


def test_a_upid_names_node_process_start_kind_guest_and_token_and_ends_with_a_colon() -> None:
    upid = lab().post("/nodes/pve1/qemu/100/status/shutdown", token=POWER)
    head, node, pid, pstart, start, kind, vmid, user, end = upid.split(":")
    assert (head, node, kind, vmid, user, end) == ("UPID", "pve1", "qmshutdown", "100", POWER, "")
    assert (len(pid), len(pstart), int(start, 16)) == (8, 8, NOON)


def test_the_list_shows_what_has_ended_newest_first() -> None:
    assert kinds(lab().get("/nodes/pve1/tasks")) == ["qmshutdown", "qmstart", "qmstart", "vzdump"]


def test_what_runs_is_shown_by_source_active_and_all_with_the_user_unsplit() -> None:
    cluster = lab()
    upid = cluster.post("/nodes/pve1/qemu/100/status/shutdown", token=POWER)
    active = cluster.get("/nodes/pve1/tasks", source="active")
    assert kinds(active) == ["qmshutdown", "vncshell"]
    assert {"upid": upid, "status": "RUNNING", "user": POWER, "saved": "0"}.items() <= active[0].items()
    assert {"endtime", "tokenid"}.isdisjoint(active[0])
    assert kinds(cluster.get("/nodes/pve1/tasks", source="all"))[:3] == ["qmshutdown", "vncshell", "qmshutdown"]


def test_a_limit_of_zero_lists_nothing_and_still_counts() -> None:
    answer = lab().ask("GET", "/nodes/pve1/tasks", params={"limit": 0})
    assert (answer.data, answer.total) == ([], 4)


def test_start_and_limit_cut_a_piece_out() -> None:
    assert kinds(lab().get("/nodes/pve1/tasks", start=1, limit=2)) == ["qmstart", "qmstart"]


def test_since_and_until_look_at_the_start_so_a_long_backup_escapes() -> None:
    cluster = lab()
    assert "vzdump" not in kinds(cluster.get("/nodes/pve1/tasks", since=NOON - 6000))
    assert kinds(cluster.get("/nodes/pve1/tasks", until=NOON - 4500)) == ["qmstart", "vzdump"]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"typefilter": "qmstart"}, ["qmstart", "qmstart"]),
        ({"vmid": 100}, ["qmshutdown", "qmstart"]),
        ({"userfilter": "power"}, ["qmstart"]),
        ({"userfilter": POWER}, []),
        ({"userfilter": "POWER@"}, ["qmstart"]),
        ({"errors": 1}, ["qmshutdown", "qmstart", "vzdump"]),
        ({"statusfilter": "ok"}, ["qmstart"]),
        ({"statusfilter": "warning"}, ["qmstart"]),
        ({"statusfilter": "error"}, ["vzdump"]),
        ({"statusfilter": "unknown"}, ["qmshutdown"]),
        ({"statusfilter": "ok,warning"}, ["qmstart", "qmstart"]),
        ({"statusfilter": "ok", "errors": 1}, ["qmshutdown", "qmstart", "vzdump"]),
    ],
)
def test_filters_narrow_the_list(params: dict[str, Any], expected: list[str]) -> None:
    assert kinds(lab().get("/nodes/pve1/tasks", **params)) == expected


def test_filters_that_make_no_sense_are_named() -> None:
    assert lab().wrong("GET", "/nodes/pve1/tasks", source="x") == {
        "source": "value 'x' does not have a value in the enumeration 'archive, active, all'"
    }
    assert lab().wrong("GET", "/nodes/pve1/tasks", statusfilter="nonsense") == {
        "statusfilter": "invalid format - invalid status 'nonsense'\n"
    }


def test_without_sys_audit_a_token_sees_its_own_tasks_on_the_node_and_none_in_the_cluster() -> None:
    cluster = lab()
    assert kinds(cluster.get("/nodes/pve1/tasks", token=POWER)) == ["qmstart"]
    assert cluster.get("/cluster/tasks", token=POWER) == []
    assert len(cluster.get("/cluster/tasks", token="mon@pve!mon")) == 5


def test_the_cluster_list_gives_a_running_task_neither_status_nor_end() -> None:
    running = [row for row in lab().get("/cluster/tasks") if row["type"] == "vncshell"]
    assert {"status", "endtime"}.isdisjoint(running[0])


def test_the_cluster_list_keeps_25_finished_tasks_a_node() -> None:
    cluster = Lab({"tasks": [{"type": "qmstart", "started_ago": 100 + number} for number in range(40)]})
    assert len(cluster.get("/cluster/tasks")) == 25
    assert len(cluster.get("/nodes/pve1/tasks")) == 40


def test_ones_own_task_may_be_read_and_stopped_others_need_rights() -> None:
    cluster = lab()
    own = cluster.post("/nodes/pve1/qemu/100/status/shutdown", token=POWER)
    foreign = cluster.cluster.add_task(type="vzdump", took=None)
    assert cluster.get(f"/nodes/pve1/tasks/{own}/status", token=POWER)["status"] == "running"
    assert cluster.refused("GET", f"/nodes/pve1/tasks/{foreign}/status", token=POWER) == (
        403,
        "Permission check failed (/nodes/pve1, Sys.Audit)",
    )
    assert cluster.refused("DELETE", f"/nodes/pve1/tasks/{own}", token="mon@pve!mon") == (
        403,
        "Permission check failed (/nodes/pve1, Sys.Modify)",
    )
    assert cluster.ask("DELETE", f"/nodes/pve1/tasks/{own}", token=POWER).status == 200
    assert cluster.task(own)["exitstatus"] == "received interrupt"
    assert cluster.ask("DELETE", f"/nodes/pve1/tasks/{own}", token=POWER).status == 200


@pytest.mark.parametrize("mangle", [lambda _: "garbage", lambda upid: upid[:-1], lambda upid: upid.lower(), lambda upid: upid[:25]])
def test_a_upid_that_is_none_cannot_be_parsed(mangle: Any) -> None:
    cluster = lab()
    upid = mangle(cluster.cluster.add_task())
    assert cluster.wrong("GET", f"/nodes/pve1/tasks/{upid}/status") == {"upid": "unable to parse worker upid"}


def test_an_unknown_task_has_no_status_and_a_log_that_says_so() -> None:
    cluster = lab()
    upid = cluster.cluster.add_task(type="vzdump").replace("vzdump", "nosuch")
    assert cluster.wrong("GET", f"/nodes/pve1/tasks/{upid}/status") == {"upid": "no such task"}
    assert cluster.get(f"/nodes/pve1/tasks/{upid}/log") == [{"n": 1, "t": "unable to open file - No such file or directory"}]
    old = lab(version="8.4")
    assert old.get(f"/nodes/pve1/tasks/{upid}/log") == {"n": 1, "t": "unable to open file - No such file or directory"}


def test_a_task_asked_for_on_the_wrong_node_is_unknown() -> None:
    cluster = lab()
    upid = cluster.cluster.add_task(node="pve2")
    assert cluster.wrong("GET", f"/nodes/pve1/tasks/{upid}/status") == {"upid": "no such task"}


def test_an_empty_log_has_a_line_that_says_so_and_ends_with_the_outcome() -> None:
    cluster = lab()
    upid = cluster.post("/nodes/pve1/qemu/100/status/shutdown", timeout=5)
    assert cluster.task_log(upid) == ["no content"]
    cluster.finish(upid)
    assert cluster.task_log(upid) == ["TASK ERROR: VM quit/powerdown failed - got timeout"]


def test_a_log_is_read_piece_by_piece_or_whole() -> None:
    cluster = lab()
    upid = cluster.cluster.add_task(started_ago=10, log=[f"line {number}" for number in range(100)])
    path = f"/nodes/pve1/tasks/{upid}/log"
    assert len(cluster.get(path)) == 50
    assert len(cluster.get(path, limit=0)) == 101
    assert cluster.get(path, start=99, limit=10)[0] == {"n": 100, "t": "line 99"}
    assert cluster.ask("GET", path, params={"download": 1}).body is not None


def test_a_status_has_an_end_only_when_there_is_one_and_never_an_end_time() -> None:
    cluster = lab()
    upid = cluster.post("/nodes/pve1/qemu/100/status/shutdown", token=POWER, timeout=3)
    running = cluster.task(upid)
    assert (running["status"], running["user"], running["tokenid"]) == ("running", "power@pve", "power")
    assert "exitstatus" not in running
    cluster.finish(upid)
    assert "endtime" not in cluster.task(upid)


def test_tests_can_end_a_task_that_runs() -> None:
    cluster = lab()
    upid = cluster.cluster.add_task(type="vzdump", took=None, user=ROOT_TOKEN)
    cluster.cluster.end_task(upid, "job errors")
    assert cluster.task(upid)["exitstatus"] == "job errors"


def test_a_backup_locks_its_guest_while_it_runs() -> None:
    cluster = Lab({"guests": [vm(100)]})
    upid = cluster.post("/nodes/pve1/vzdump", vmid=100, storage="local", mode="snapshot")
    assert cluster.row("qemu/100")["lock"] == "backup"
    assert cluster.finish(upid)[0] == "OK"
    assert "lock" not in cluster.row("qemu/100")


def test_a_user_with_a_ticket_sees_own_tasks_and_no_others_in_the_cluster_list() -> None:
    tasks = [{"type": "qmstart", "user": "u@pve", "started_ago": 60}, {"type": "vzdump", "user": "root@pam", "started_ago": 60}]
    cluster = Lab({"users": {"u@pve": {"password": "secret1"}}, "tasks": tasks})
    ticket = cluster.ask("POST", "/access/ticket", token=None, params={"username": "u@pve", "password": "secret1"}).data["ticket"]
    cookie = f"PVEAuthCookie={ticket}"
    request = Request(method="GET", path="/cluster/tasks", params={}, authorization=None, cookie=cookie, node="pve1", headers={})
    assert kinds(cluster.cluster.answer(request).data) == ["qmstart"]
