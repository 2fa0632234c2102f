"""What the recorded cluster looked like when each group of calls was made, and what changed between the calls without being recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pvectl.sim.recorded import recorded_scenario
from tests.contract.exchange import exchange
from tests.contract.recordings import group_of, one
from tests.contract.stage import Stage

TAGS_LATER = {101: "db;prod", 102: "cache;env-test;prio+1;sched_off;v1.2", 103: "template;x", 108: "fixed;ok", 201: "x"}
BEFORE_THE_TAG_GROUP = {
    "8.4": frozenset({"auth", "resources", "nodes", "guests", "perm", "misc", "tags", "no_pvestatd"}),
    "9.2": frozenset({"tags"}),
}
CLUSTERED = frozenset({"no_quorum", "quorate_node_offline"})
WITHOUT_310 = frozenset({"auth", "resources", "nodes", "guests", "perm", "misc", "no_pvestatd"})
SECOND_PHASE = {"8.4": 1795369772.5, "9.2": 1795371075.2}
"""When the recorder came back to the task endpoints."""


def scenario_of(version: str, group: str) -> dict[str, Any]:
    """The recorded cluster as it stood when the group's first call was made."""
    scenario = recorded_scenario(version)
    scenario["now"] = first_moment(version, group) or scenario["now"]
    guests = {guest["vmid"]: guest for guest in scenario["guests"]}
    if group not in BEFORE_THE_TAG_GROUP[version]:
        for vmid, tags in TAGS_LATER.items():
            guests[vmid]["tags"] = tags
        guests[102]["onboot"] = 1
    if version == "8.4":
        # 8.4's QEMU failed by itself, 9.2 looks for the bridge first
        guests[100]["start_error"] = "start failed: QEMU exited with code 1"
        if group in WITHOUT_310:
            scenario["guests"].remove(guests[310])
    if version == "9.2":
        guests[200]["config"]["net0"] = None
        guests[101]["uptime"] = 0 if group in {"resources", "misc"} else 3
    if group in CLUSTERED:
        scenario["name"] = "oracle"
        scenario["nodes"]["pve2"]["member"] = True
        if group == "quorate_node_offline":
            guests[101]["status"] = "stopped"
    if group == "no_pvestatd":
        guests[106]["config"]["memory"] = "64"
        scenario["nodes"]["pve1"]["pvestatd"] = False
        guests[101]["status"] = "stopped"
    if group == "ha":
        scenario["ha"] = {"manager": False}
        guests[102]["ha"] = {"state": "started"}
        guests[105]["status"] = "running"
        if version == "9.2":
            guests[102]["tags"] = "cache"
    if group == "staleness":
        guests[105]["status"] = "running"
    if group == "http" and version == "8.4":
        guests[102]["tags"] = "cache"
    return scenario


def first_moment(version: str, group: str) -> float | None:
    """When the group's first task began, so that earlier tasks are in the past and later ones in the future."""
    if group == "tasks":
        return None
    answers = [(recording.get("body_json") or {}).get("data") for recording in group_of(version, group) if recording.method == "POST"]
    starts = [int(answer.split(":")[4], 16) for answer in answers if isinstance(answer, str) and answer.startswith("UPID:")]
    return min(starts) - 1 if starts else None


def write(stage: Stage, method: str, path: str, body: str = "", *, token: str = "full") -> Any:
    """A call the recorder made and did not keep."""
    headers = {"Authorization": stage.authorization(token), "Content-Type": "application/x-www-form-urlencoded"}
    return exchange(stage.door, method, f"/api2/json{path}", headers=headers, body=body).json()["data"]


def settle(stage: Stage, seconds: float) -> None:
    stage.advance(seconds)
    stage.get("/version")


def line(vmid: int, tags: str) -> Callable[[Stage], None]:
    """The recorder wrote this tags line before the call."""
    return lambda stage: stage.cluster.set_config(vmid, tags=tags)


def policy(**options: Any) -> Callable[[Stage], None]:
    """The recorder edited datacenter.cfg before the call."""

    def edit(stage: Stage) -> None:
        for key in ("registered-tags", "user-tag-access", "tag-style"):
            stage.cluster.world.options.pop(key, None)
        stage.cluster.world.options.update({key.replace("_", "-"): value for key, value in options.items()})

    return edit


def allow(kind: str) -> Callable[[Stage], None]:
    return policy(user_tag_access={"user-allow": kind, "user-allow-list": ["allowed1", "allowed2"]})


def both(*steps: Callable[[Stage], None]) -> Callable[[Stage], None]:
    def prepare(stage: Stage) -> None:
        for step in steps:
            step(stage)

    return prepare


def wait(seconds: float) -> Callable[[Stage], None]:
    return lambda stage: settle(stage, seconds)


def start(vmid: int) -> Callable[[Stage], None]:
    return lambda stage: stage.cluster.start(vmid)


def stop(vmid: int) -> Callable[[Stage], None]:
    return lambda stage: stage.cluster.stop_guest(vmid)


def add_history(stage: Stage, rows: list[dict[str, Any]]) -> None:
    """Finished tasks of before, as the recorded lists show them."""
    now = stage.cluster.clock.now()
    for row in sorted(rows, key=lambda row: (row["starttime"], row["upid"])):
        if stage.upid(row["upid"]) != row["upid"]:
            continue
        user = f"{row['user']}!{row['tokenid']}" if row.get("tokenid") else row["user"]
        upid = stage.cluster.add_task(
            type=row["type"],
            node=row["node"],
            id=row["id"],
            user=user,
            started_ago=now - row["starttime"],
            took=row["endtime"] - row["starttime"],
            status=row["status"],
        )
        stage.meet(row["upid"], upid)


def rows_of(stage: Stage, group: str, name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = one(stage.cluster.world.version, group, name).get("body_json")["data"]
    return [row for row in rows if "endtime" in row]


def first_history(stage: Stage) -> None:
    add_history(stage, rows_of(stage, "tasks", "list_full"))


def second_phase(stage: Stage) -> None:
    """The task group was recorded in two sittings; the tasks of the groups between them are history."""
    version = stage.cluster.world.version
    settle(stage, SECOND_PHASE[version] - stage.cluster.clock.now())
    own = {(recording.get("body_json") or {}).get("data") for recording in group_of(version, "tasks") if recording.method == "POST"}
    add_history(stage, [row for row in rows_of(stage, "tasks", "list_limit_big") if row["upid"] not in own])


def kill_worker(stage: Stage) -> None:
    """kill -9 on the worker: no last line in its log."""
    upid = stage.upid(task_of(stage, "tasks", "t_long_shutdown2"))
    settle(stage, 1)
    stage.cluster.kill_workers("unexpected status" if stage.cluster.world.version == "9.2" else "unable to read tail (got 0 bytes)", upid)


def task_of(stage: Stage, group: str, name: str) -> str:
    return str(one(stage.cluster.world.version, group, name).get("body_json")["data"])


def fill_archive(total: int, *, failed: int = 0) -> Callable[[Stage], None]:
    """Tasks of groups that are not played here; only their number shows."""

    def fill(stage: Stage) -> None:
        have = len(stage.get("/nodes/pve1/tasks?limit=1000"))
        bad = len(stage.get("/nodes/pve1/tasks?limit=1000&errors=1"))
        for number in range(total - have):
            status = "got timeout" if number < failed - bad else "OK"
            stage.cluster.add_task(type="qmstart", id="101", user="root@pam!full", started_ago=9000 + number, took=1, status=status)

    return fill


def broadcast_history(group: str) -> Callable[[Stage], None]:
    """The tasks of earlier groups that /cluster/tasks still shows."""
    return lambda stage: add_history(stage, rows_of(stage, group, "cluster_tasks"))


def iothread_guest(stage: Stage) -> None:
    fill_archive(54, failed=21)(stage)
    stage.cluster.add_guest(
        vmid=109,
        type="qemu",
        node="pve1",
        name="warn01",
        maxmem=64 * 1024**2,
        start_warnings=("iothread is only valid with virtio disk or virtio-scsi-single controller, ignoring",),
        config={"serial0": "socket", "vga": "serial0", "scsi0": None, "cores": 1},
    )


def pool_acl(stage: Stage) -> None:
    stage.cluster.grant("/pool/prodpool", "nobody@pve", "AuditOnly")


def node_auditor(stage: Stage) -> None:
    """Token none: Sys.Audit on /nodes, no VM.Audit anywhere."""
    stage.cluster.set_role("NodeAuditor", "Sys.Audit")
    stage.cluster.grant("/nodes", "nobody@pve", "NodeAuditor")


def override(stage: Stage) -> None:
    """NoAccess on /vms/101 for the user whose token is not separated."""
    stage.cluster.revoke("/nodes", "nobody@pve")
    stage.cluster.grant("/vms/101", "monitor@pve", "NoAccess")


def two_interfaces(stage: Stage) -> None:
    """The recorder put up the interfaces of 100 and 200 by hand; here the guests run."""
    stage.cluster.set_config(200, net0="name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:02:00,ip=dhcp,type=veth")
    start(100)(stage)
    start(200)(stage)


def container_runs(stage: Stage) -> None:
    """From here on container 200 has no network device and a small root file system; it runs and obeys."""
    stage.cluster.set_config(200, net0=None, rootfs="local:200/vm-200-disk-0.raw,size=64M", swap="0")
    stage.cluster.change_guest(200, start_error=None)
    stage.cluster.start(200)


def shut_container_down(stage: Stage) -> None:
    write(stage, "POST", "/nodes/pve1/lxc/200/status/shutdown", "timeout=20")
    settle(stage, 1)


def deaf_container(stage: Stage) -> None:
    """Container 200 ignores the signal; a shutdown without end (timeout 0) holds its lock, and another one waits for it."""
    stage.cluster.change_guest(200, acpi=False)
    stage.cluster.start(200)
    settle(stage, 30)
    write(stage, "POST", "/nodes/pve1/lxc/200/status/shutdown", "timeout=0")
    upid = write(stage, "POST", "/nodes/pve1/lxc/200/status/shutdown", "timeout=25")
    stage.meet(one("8.4", "lxc", "ign_shutdown_t25_bg_end").url, upid)
    settle(stage, 12)


def end_endless_shutdown(stage: Stage) -> None:
    stage.cluster.kill_workers("unexpected status")
    stage.cluster.stop_guest(200)


def shutdown_in_background(stage: Stage) -> None:
    upid = write(stage, "POST", "/nodes/pve1/lxc/200/status/shutdown", "timeout=15")
    stage.meet(one("8.4", "lxc", "ign_shutdown_t15_bg_end").url, upid)


def overrule_container(stage: Stage) -> None:
    settle(stage, 5)
    write(stage, "POST", "/nodes/pve1/lxc/200/status/stop", "overrule-shutdown=1")
    settle(stage, 3)


def stopped_container(stage: Stage) -> None:
    settle(stage, 30)
    stage.cluster.stop_guest(200)


def archive_of_bulk(stage: Stage) -> None:
    own = {task_of(stage, "bulk", name) for name in ("start_101", "start_106")}
    add_history(stage, [row for row in rows_of(stage, "bulk", "tasks_archive_since_typefilter") if row["upid"] not in own])


def shutdown_of_a_stopped_guest(stage: Stage) -> None:
    """So that the cluster log has something to tell."""
    write(stage, "POST", "/nodes/pve1/qemu/102/status/shutdown")


def lock_holder(stage: Stage) -> None:
    """A stop that waits for the lock of the running shutdown, not recorded."""
    settle(stage, 1)
    write(stage, "POST", "/nodes/pve1/qemu/101/status/stop")


BEFORE: dict[tuple[str, str], Callable[[Stage], None]] = {
    ("tags", "lxc_bad"): line(200, "ct"),
    ("tag_policy", "options_registered"): policy(registered_tags=["secret", "Critical"]),
    ("tag_policy", "none_root"): allow("none"),
    ("tag_policy", "list_root"): allow("list"),
    ("tag_policy", "list_notlisted"): line(102, "allowed1;cache"),
    ("tag_policy", "existing_root"): allow("existing"),
    ("tag_policy", "free_root"): allow("free"),
    ("tag_policy", "order_config_only"): policy(tag_style={"ordering": "config"}),
    ("tag_policy", "cs_order"): policy(tag_style={"ordering": "config", "case-sensitive": 1}),
    ("tag_policy", "restore"): policy(),
    ("perm", "poolacl_current"): pool_acl,
    ("power", "start_105_agent_configured_but_absent"): wait(60),
    ("power", "shutdown_101_timeout5_noforce"): wait(20),
    ("power", "shutdown_106_graceful"): start(106),
    ("power", "shutdown_101_second_concurrent"): wait(0.5),
    ("power", "current_while_shutdown_running"): wait(1),
    ("power", "shutdown_101_t40_before_overrule"): both(lock_holder, wait(41)),
    ("power", "stop_101_overrule_shutdown"): wait(2),
    ("power", "resources_after"): both(start(101), stop(105), wait(20)),
    ("power", "start_105_for_suspend"): stop(105),
    ("tasks", "list_full"): first_history,
    ("tasks", "t_start_101"): both(second_phase, stop(101)),
    ("tasks", "t_long_shutdown2"): wait(1),
    ("tasks", "worker_killed9_end"): kill_worker,
    ("tasks", "warnings_start_109"): iothread_guest,
    ("http", "gzip"): both(line(102, "cache"), start(105), wait(20)),
    ("misc", "get_cluster_log"): shutdown_of_a_stopped_guest,
    ("quorate_node_offline", "cluster_status"): lambda stage: stage.cluster.expect_votes(1),
    ("no_quorum", "cluster_tasks"): broadcast_history("no_quorum"),
    ("quorate_node_offline", "cluster_tasks"): broadcast_history("quorate_node_offline"),
    ("no_quorum", "tasks"): fill_archive(64),
    ("quorate_node_offline", "tasks"): fill_archive(69),
    ("quorate_node_offline", "cluster_status_80s_later_0"): wait(80),
    ("netstat", "netstat_100_running_full"): two_interfaces,
    ("netstat", "netstat_without_vm_audit"): node_auditor,
    ("netstat", "acl_with_override"): both(override, stop(100), stop(200), stop(101), wait(20)),
    ("lxc", "run_shutdown_t4_noforce"): container_runs,
    ("lxc", "run_config_put_during_shutdown"): shut_container_down,
    ("lxc", "run_shutdown_default_timeout"): start(200),
    ("lxc", "ign_shutdown_t25_bg_end"): deaf_container,
    ("lxc", "ign_start2"): end_endless_shutdown,
    ("lxc", "ign_current_during_shutdown"): shutdown_in_background,
    ("lxc", "ign_shutdown_overruled_end"): overrule_container,
    ("lxc", "final_current"): stopped_container,
    ("staleness", "start_105"): wait(12),
    ("bulk", "start_106"): both(stop(101), archive_of_bulk),
}
