"""Shutting guests down goes right and wrong exactly as on PVE (qemu-server, pve-container; recorded on 8.4 and 9.2)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sim.asking import Lab, ct, vm

OVERRULE: dict[str, Any] = {"overrule-shutdown": 1}


def lab(*guests: dict[str, object]) -> Lab:
    return Lab({"guests": guests})


def shut_down(cluster: Lab, vmid: int, kind: str = "qemu", **params: Any) -> str:
    upid: str = cluster.post(f"/nodes/pve1/{kind}/{vmid}/status/shutdown", **params)
    return upid


def test_a_vm_that_obeys_is_down_when_its_task_says_ok() -> None:
    cluster = lab(vm(100, shutdown_s=5))
    ended, took = cluster.finish(shut_down(cluster, 100))
    assert (ended, took) == ("OK", 5.0)
    assert cluster.cluster.guest(100).status == "stopped"


def test_a_vm_that_ignores_acpi_goes_on_after_the_task_has_failed() -> None:
    cluster = lab(vm(100, acpi=False))
    assert cluster.finish(shut_down(cluster, 100, timeout=20)) == ("VM quit/powerdown failed - got timeout", 20.0)
    assert cluster.get("/nodes/pve1/qemu/100/status/current")["status"] == "running"


def test_a_slow_vm_may_still_obey_after_the_task_has_given_up() -> None:
    cluster = lab(vm(100, shutdown_s=90))
    assert cluster.finish(shut_down(cluster, 100))[0] == "VM quit/powerdown failed - got timeout"
    assert cluster.cluster.guest(100).status == "running"
    cluster.advance(30)
    assert cluster.cluster.guest(100).status == "stopped"


def test_the_default_wait_is_sixty_seconds_and_startup_down_replaces_it() -> None:
    cluster = lab(vm(100, acpi=False), vm(101, acpi=False, startup="order=9,down=4"))
    assert cluster.finish(shut_down(cluster, 100))[1] == 60.0
    assert cluster.finish(shut_down(cluster, 101))[1] == 4.0


def test_a_timeout_that_is_given_beats_startup_down() -> None:
    cluster = lab(vm(101, acpi=False, startup="down=4"))
    assert cluster.finish(shut_down(cluster, 101, timeout=7))[1] == 7.0


def test_a_timeout_of_zero_fails_at_once() -> None:
    cluster = lab(vm(100))
    assert cluster.finish(shut_down(cluster, 100, timeout=0)) == ("VM quit/powerdown failed - got timeout", 0.0)


def test_force_stop_kills_and_its_task_is_ok_all_the_same() -> None:
    cluster = lab(vm(100, acpi=False))
    upid = shut_down(cluster, 100, timeout=3, forceStop=1)
    assert cluster.finish(upid)[0] == "OK"
    assert cluster.cluster.guest(100).status == "stopped"
    assert cluster.task_log(upid) == ["VM still running - terminating now with SIGTERM", "TASK OK"]


def test_a_dead_agent_costs_three_seconds_more() -> None:
    cluster = lab(vm(100, agent="dead", acpi=False))
    upid = shut_down(cluster, 100, timeout=5)
    assert cluster.finish(upid) == ("VM quit/powerdown failed - got timeout", 8.0)
    assert "QEMU Guest Agent is not running" in cluster.task_log(upid)[0]


def test_a_live_agent_shuts_down_a_vm_that_is_deaf_to_acpi() -> None:
    cluster = lab(vm(100, agent="ok", acpi=False, shutdown_s=2))
    assert cluster.finish(shut_down(cluster, 100)) == ("OK", 2.0)


@pytest.mark.parametrize(
    "guest", [vm(100, status="stopped"), vm(100, status="stopped", lock="backup"), vm(100, status="stopped", template=True)]
)
def test_a_vm_that_is_off_needs_no_shutting_down_locked_or_not(guest: dict[str, object]) -> None:
    cluster = lab(guest)
    assert cluster.finish(shut_down(cluster, 100))[0] == "OK"


def test_a_locked_vm_that_runs_fails_in_the_task() -> None:
    cluster = lab(vm(100, lock="backup"))
    assert cluster.finish(shut_down(cluster, 100))[0] == "VM is locked (backup)"
    assert cluster.cluster.guest(100).status == "running"


def test_a_paused_vm_is_refused_but_force_stops_it() -> None:
    cluster = lab(vm(100, status="paused"))
    assert cluster.refused("POST", "/nodes/pve1/qemu/100/status/shutdown") == (500, "VM is paused - cannot shutdown")
    assert cluster.finish(shut_down(cluster, 100, forceStop=1))[0] == "OK"
    assert cluster.cluster.guest(100).status == "stopped"


@pytest.mark.parametrize("verb", ["shutdown", "stop", "start"])
def test_a_vm_that_does_not_exist_fails_only_in_the_task(verb: str) -> None:
    cluster = lab(ct(200))
    for vmid in (999, 200):
        upid = cluster.post(f"/nodes/pve1/qemu/{vmid}/status/{verb}")
        assert cluster.finish(upid)[0] == f"unable to find configuration file for VM {vmid} on node 'pve1'"


@pytest.mark.parametrize("verb", ["shutdown", "stop"])
@pytest.mark.parametrize("vmid", [200, 201, 100, 999])
def test_a_container_that_is_off_is_refused_at_once(verb: str, vmid: int) -> None:
    cluster = lab(ct(200, status="stopped"), ct(201, status="stopped", lock="snapshot"), vm(100))
    assert cluster.refused("POST", f"/nodes/pve1/lxc/{vmid}/status/{verb}") == (500, f"CT {vmid} not running")


def test_a_failed_container_shutdown_takes_twice_the_timeout_and_five_seconds() -> None:
    cluster = lab(ct(200, acpi=False))
    assert cluster.finish(shut_down(cluster, 200, "lxc", timeout=15)) == ("container did not stop", 35.0)


def test_a_container_pays_no_heed_to_startup_down() -> None:
    cluster = lab(ct(200, acpi=False, startup="down=4"))
    assert cluster.finish(shut_down(cluster, 200, "lxc"))[1] == 125.0


def test_a_container_shutdown_with_no_timeout_at_all_never_ends_and_keeps_the_lock() -> None:
    cluster = lab(ct(200, acpi=False))
    upid = shut_down(cluster, 200, "lxc", timeout=0)
    cluster.advance(3600)
    assert cluster.task(upid)["status"] == "running"
    assert cluster.put_config(200, kind="lxc", tags="x").reason == "can't lock file '/run/lock/lxc/pve-config-200.lock' - got timeout"


def test_a_locked_container_fails_in_the_task() -> None:
    cluster = lab(ct(200, lock="snapshot"))
    assert cluster.finish(shut_down(cluster, 200, "lxc"))[0] == "CT is locked (snapshot)"


def test_a_second_shutdown_ends_after_ten_seconds_for_want_of_the_lock() -> None:
    cluster = lab(vm(100, acpi=False))
    first = shut_down(cluster, 100, timeout=40)
    second = shut_down(cluster, 100, timeout=3)
    assert cluster.finish(second) == ("can't lock file '/var/lock/qemu-server/lock-100.conf' - got timeout", 10.0)
    assert cluster.task_log(second)[0] == "trying to acquire lock..."
    assert cluster.task(first)["status"] == "running"


def test_a_stop_may_overrule_a_running_shutdown() -> None:
    cluster = lab(vm(100, acpi=False))
    first = shut_down(cluster, 100, timeout=40)
    stop = cluster.post("/nodes/pve1/qemu/100/status/stop", **OVERRULE)
    assert cluster.finish(stop)[0] == "OK"
    assert cluster.task(first)["exitstatus"] == "received interrupt"
    assert cluster.task_log(stop)[0] == f"overruled qmshutdown tasks: {first}"
    assert cluster.cluster.guest(100).status == "stopped"


def test_overruling_a_container_shutdown_leaves_an_unexpected_status() -> None:
    cluster = lab(ct(200, acpi=False))
    first = shut_down(cluster, 200, "lxc", timeout=25)
    assert cluster.finish(cluster.post("/nodes/pve1/lxc/200/status/stop", **OVERRULE))[0] == "OK"
    assert cluster.task(first)["exitstatus"] == "unexpected status"


def test_protection_does_not_keep_a_guest_from_being_shut_down() -> None:
    cluster = lab(vm(100, config={"protection": 1}))
    assert cluster.finish(shut_down(cluster, 100))[0] == "OK"


def test_starting_what_runs_or_is_a_template_fails_in_the_task_for_vms() -> None:
    cluster = lab(
        vm(100),
        vm(101, status="stopped", template=True),
        vm(102, status="stopped", lock="backup"),
        vm(103, status="stopped", start_error="bridge 'vmbr0' does not exist"),
    )
    ends = [cluster.finish(cluster.post(f"/nodes/pve1/qemu/{vmid}/status/start"))[0] for vmid in (100, 101, 102, 103)]
    assert ends == [
        "VM 100 already running",
        "you can't start a vm if it's a template",
        "VM is locked (backup)",
        "bridge 'vmbr0' does not exist",
    ]


def test_starting_a_container_that_runs_is_refused_at_once() -> None:
    cluster = lab(ct(200))
    assert cluster.refused("POST", "/nodes/pve1/lxc/200/status/start") == (500, "CT 200 already running")


def test_a_start_with_warnings_is_a_success() -> None:
    cluster = lab(vm(100, status="stopped", start_warnings=["iothread is only valid with virtio disk"]))
    upid = cluster.post("/nodes/pve1/qemu/100/status/start")
    assert cluster.finish(upid)[0] == "WARNINGS: 1"
    assert cluster.cluster.guest(100).status == "running"
    assert cluster.task_log(upid)[-1] == "TASK WARNINGS: 1"


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("timeout", "1.5", "type check ('integer') failed - got '1.5'"),
        ("timeout", "", "type check ('integer') failed - got ''"),
        ("timeout", "-1", "value must have a minimum value of 0"),
        ("forceStop", "true", "type check ('boolean') failed - got 'true'"),
        ("skiplock", "1", "Only root may use this option."),
        ("keepActive", "1", "Only root may use this option."),
        ("bogus", "1", "property is not defined in schema and the schema does not allow additional properties"),
        ("vmid", "103", "duplicate parameter (already defined in URI) with conflicting values!"),
    ],
)
def test_bad_parameters_are_named_in_pves_words(name: str, value: str, text: str) -> None:
    cluster = lab(vm(100))
    assert cluster.wrong("POST", "/nodes/pve1/qemu/100/status/shutdown", **{name: value}) == {name: text}


def test_the_permission_comes_before_the_question_whether_the_guest_exists() -> None:
    cluster = Lab({"guests": [vm(100)], "tokens": {"u@pve!none": {"privsep": 0}}})
    for vmid in (100, 999):
        assert cluster.refused("POST", f"/nodes/pve1/qemu/{vmid}/status/shutdown", token="u@pve!none") == (
            403,
            f"Permission check failed (/vms/{vmid}, VM.PowerMgmt)",
        )


def test_a_hibernated_vm_is_off_and_locked_and_wakes_with_its_start() -> None:
    cluster = lab(vm(100, status="stopped", lock="suspended"))
    assert cluster.finish(cluster.post("/nodes/pve1/qemu/100/status/start"))[0] == "OK"
    assert (cluster.cluster.guest(100).status, cluster.cluster.guest(100).lock) == ("running", None)


def test_a_vm_can_be_paused_and_resumed() -> None:
    cluster = lab(vm(100))
    cluster.finish(cluster.post("/nodes/pve1/qemu/100/status/suspend"))
    assert cluster.cluster.guest(100).status == "paused"
    cluster.finish(cluster.post("/nodes/pve1/qemu/100/status/resume"))
    assert cluster.cluster.guest(100).status == "running"


def test_starting_a_vm_that_a_backup_holds_paused_lets_it_run() -> None:
    cluster = lab(vm(100, status="paused", lock="backup"))
    assert cluster.finish(cluster.post("/nodes/pve1/qemu/100/status/start"))[0] == "OK"
    assert cluster.cluster.guest(100).status == "running"
