"""A scenario is plain values, everything has a default, and nonsense is refused."""

from __future__ import annotations

import pytest

from pvectl.sim.clock import VirtualClock
from pvectl.sim.cluster import SimCluster
from tests.sim.asking import Lab, ct, vm


def test_an_empty_scenario_is_one_standalone_host_of_today() -> None:
    cluster = SimCluster({}, clock=VirtualClock(0))
    assert list(cluster.world.nodes) == ["pve1"]
    assert cluster.world.name is None
    assert cluster.world.version == "9.2"


def test_a_key_that_does_not_exist_is_named() -> None:
    with pytest.raises(ValueError, match="gests"):
        SimCluster({"gests": []})


@pytest.mark.parametrize(
    ("section", "value", "match"), [("nodes", {"pve1": {"maxcpus": 4}}, "maxcpus"), ("guests", [{"vmid": 100, "nmae": "x"}], "nmae")]
)
def test_a_value_that_does_not_exist_is_named(section: str, value: object, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        SimCluster({section: value})


def test_a_guest_on_a_node_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="pve9"):
        SimCluster({"nodes": {"pve1": {}}, "guests": [{"vmid": 100, "node": "pve9"}]})


def test_configuration_lines_can_be_added_replaced_and_taken_away() -> None:
    lab = Lab({"guests": [vm(100, config={"cpu": "host", "memory": "512", "scsi0": None})]})
    config = lab.config(100)
    assert (config["cpu"], config["memory"], "scsi0" in config) == ("host", "512", False)


def test_a_vm_without_a_name_gets_one_from_pve() -> None:
    lab = Lab({"guests": [vm(100, name=None), ct(200, name=None)]})
    assert (lab.row("qemu/100")["name"], lab.row("lxc/200")["name"]) == ("VM 100", "CT200")
    assert "name" not in lab.config(100)


def test_guests_are_never_bigger_than_their_host() -> None:
    lab = Lab({"nodes": {"pve1": {"maxcpu": 4}}, "guests": [vm(100, maxcpu=16), ct(200, config={"cores": None})]})
    assert (lab.row("qemu/100")["maxcpu"], lab.row("lxc/200")["maxcpu"]) == (4, 4)


def test_what_happened_is_written_down() -> None:
    lab = Lab({"guests": [vm(100)]})
    lab.put_config(100, tags="x")
    lab.finish(lab.post("/nodes/pve1/qemu/100/status/shutdown"))
    lab.cluster.remove_guest(100)
    assert [event.what for event in lab.cluster.log] == ["config changed", "task started", "guest stopped", "task ended", "guest removed"]
    assert lab.shown() == set()


def test_behaviour_can_change_while_it_runs() -> None:
    lab = Lab({"guests": [vm(100)]})
    lab.cluster.change_guest(100, acpi=False)
    assert lab.finish(lab.post("/nodes/pve1/qemu/100/status/shutdown", timeout=10))[0] != "OK"
    with pytest.raises(AttributeError, match="nosuch"):
        lab.cluster.change_guest(100, nosuch=1)


@pytest.mark.slow
def test_ten_thousand_guests_are_no_burden() -> None:
    guests = [vm(1000 + number, node=f"pve{number % 3 + 1}", tags="prod") for number in range(10_000)]
    lab = Lab({"guests": guests})
    assert len(lab.shown()) == 10_000
    first = lab.cluster.guest(1000).row
    lab.shown()
    assert lab.cluster.guest(1000).row is first
    lab.advance(10)
    lab.shown()
    assert lab.cluster.guest(1000).row is not first


def test_nothing_runs_on_a_node_that_is_off() -> None:
    lab = Lab({"nodes": {"pve1": {}, "pve2": {"status": "offline"}}, "guests": [vm(100, node="pve2")]})
    assert lab.cluster.guest(100).status == "stopped"
    with pytest.raises(ValueError, match="pve2 is off"):
        lab.cluster.start(100)


def test_states_and_locks_can_be_set_by_hand() -> None:
    lab = Lab({"guests": [vm(100, lock="backup")]})
    lab.cluster.unlock(100)
    lab.cluster.set_guest_status(100, "io-error")
    assert "lock" not in lab.row("qemu/100")
    current = lab.get("/nodes/pve1/qemu/100/status/current")
    assert (current["status"], current["qmpstatus"]) == ("running", "io-error")
    lab.advance(10)
    assert lab.row("qemu/100")["status"] == "io-error"
