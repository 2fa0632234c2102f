"""/cluster/resources tells what was last broadcast; the per-node lists tell the truth."""

from __future__ import annotations

from tests.sim.asking import Lab, ct, vm

BARE = {"id", "type", "vmid", "node", "status"}


def test_the_overview_lags_by_up_to_ten_seconds_while_the_node_tells_the_truth() -> None:
    lab = Lab({"guests": [vm(100)]})
    lab.cluster.stop_guest(100)
    assert lab.get("/nodes/pve1/qemu")[0]["status"] == "stopped"
    assert lab.row("qemu/100")["status"] == "running"
    lab.advance(10)
    assert lab.row("qemu/100")["status"] == "stopped"


def test_uptime_stands_still_between_two_broadcasts() -> None:
    lab = Lab({"guests": [vm(100)]})
    before = lab.row("qemu/100")["uptime"]
    lab.advance(4)
    assert lab.row("qemu/100")["uptime"] == before
    lab.advance(6)
    assert lab.row("qemu/100")["uptime"] == before + 10


def test_tags_lock_and_node_are_fresh_at_once() -> None:
    lab = Lab({"guests": [vm(100, tags="old")]})
    lab.cluster.set_tags(100, "new")
    lab.cluster.lock(100, "backup")
    lab.cluster.move(100, "pve2")
    row = lab.row("qemu/100")
    assert (row["tags"], row["lock"], row["node"]) == ("new", "backup", "pve2")


def test_tags_are_shown_as_they_stand_in_the_file() -> None:
    lab = Lab({"guests": [vm(100, tags=";;Prod,db two words;")]})
    assert lab.row("qemu/100")["tags"] == ";;Prod,db two words;"


def test_tags_that_break_the_rules_are_dropped_by_the_live_views_only() -> None:
    lab = Lab({"guests": [vm(100, tags="-leading;ok")]})
    assert lab.row("qemu/100")["tags"] == "-leading;ok"
    assert "tags" not in lab.get("/nodes/pve1/qemu")[0]
    assert "tags" not in lab.get("/nodes/pve1/qemu/100/status/current")
    assert "tags" not in lab.config(100)


def test_without_pvestatd_the_last_word_is_repeated_for_five_minutes_and_then_forgotten() -> None:
    lab = Lab({"guests": [vm(100, tags="prod", lock="backup"), vm(300, node="pve2")]})
    lab.cluster.stop_pvestatd("pve1")
    lab.cluster.stop_guest(100)
    uptime = lab.row("qemu/100")["uptime"]
    lab.advance(285)
    assert (lab.row("qemu/100")["status"], lab.row("qemu/100")["uptime"]) == ("running", uptime)
    lab.advance(20)
    assert lab.row("qemu/100").keys() == BARE | {"tags", "lock"}
    assert lab.row("qemu/100")["status"] == "unknown"
    assert lab.row("node/pve1").keys() >= {"status"}
    assert lab.row("node/pve1")["status"] == "unknown"
    assert lab.row("qemu/300")["status"] == "running"


def test_pvestatd_coming_back_tells_the_truth_again() -> None:
    lab = Lab({"guests": [vm(100)]})
    lab.cluster.stop_pvestatd("pve1")
    lab.cluster.stop_guest(100)
    lab.advance(400)
    lab.cluster.start_pvestatd("pve1")
    assert lab.row("qemu/100")["status"] == "stopped"


def test_the_guests_of_a_dead_node_look_alive_for_five_minutes() -> None:
    lab = Lab({"guests": [vm(100, node="pve2"), ct(200, node="pve2", status="stopped")]})
    lab.cluster.crash_node("pve2")
    lab.advance(60)
    assert lab.row("node/pve2")["status"] == "offline"
    assert lab.row("qemu/100")["status"] == "running"
    lab.advance(300)
    assert {lab.row(subject)["status"] for subject in ("qemu/100", "lxc/200")} == {"unknown"}
    assert lab.row("qemu/100").keys() == BARE
    assert {key for key in lab.row("node/pve2") if key != "hastate"} == {"id", "node", "type", "status"}


def test_a_guest_just_made_is_unknown_until_the_next_broadcast() -> None:
    lab = Lab({})
    lab.cluster.add_guest(**vm(100, status="stopped"))
    assert lab.row("qemu/100").keys() == BARE
    lab.advance(10)
    assert lab.row("qemu/100")["status"] == "stopped"


def test_a_paused_vm_runs_in_the_lists_and_is_paused_only_in_its_own_status() -> None:
    lab = Lab({"guests": [vm(100, status="paused")]})
    assert lab.row("qemu/100")["status"] == "running"
    assert lab.get("/nodes/pve1/qemu")[0]["status"] == "running"
    current = lab.get("/nodes/pve1/qemu/100/status/current")
    assert (current["status"], current["qmpstatus"]) == ("running", "paused")


def test_a_template_is_a_number_here_and_absent_there() -> None:
    lab = Lab({"guests": [vm(100), vm(101, status="stopped", template=True)]})
    assert [lab.row(f"qemu/{vmid}")["template"] for vmid in (100, 101)] == [0, 1]
    assert ["template" in row for row in lab.get("/nodes/pve1/qemu")] == [False, True]


def test_only_vm_storage_node_and_sdn_can_be_asked_for() -> None:
    lab = Lab({"guests": [vm(100)]})
    assert lab.wrong("GET", "/cluster/resources", type="qemu") == {
        "type": "value 'qemu' does not have a value in the enumeration 'vm, storage, node, sdn'"
    }
    assert lab.get("/cluster/resources", type="sdn") == []
    assert {row["type"] for row in lab.get("/cluster/resources", type="vm")} == {"qemu"}


def test_9_tells_the_memory_of_the_host_process_and_8_does_not() -> None:
    assert "memhost" in Lab({"guests": [vm(100)]}).row("qemu/100")
    assert "memhost" not in Lab({"version": "8.4", "guests": [vm(100)]}).row("qemu/100")


def test_an_offline_node_at_the_start_has_been_off_for_long() -> None:
    lab = Lab({"nodes": {"pve1": {}, "pve2": {"status": "offline"}, "pve3": {}}, "guests": [vm(300, node="pve2")]})
    assert lab.row("node/pve2") == {"id": "node/pve2", "node": "pve2", "type": "node", "status": "offline"}
    assert lab.row("qemu/300").keys() == BARE


def test_pools_add_up_what_runs_in_them() -> None:
    lab = Lab({"guests": [vm(100, maxcpu=2), vm(101, maxcpu=2), vm(102)], "pools": {"prod": [100, 101]}})
    row = lab.row("/pool/prod")
    assert (row["type"], row["maxcpu"]) == ("pool", 4)
    assert lab.row("qemu/100")["pool"] == "prod"
    assert "pool" not in lab.row("qemu/102")
