"""pvectl must notice when it would switch off what carries it (safety rule S13)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pvectl import observe
from pvectl.config.schema import OwnPlace
from pvectl.core.evidence import Place, Whereabouts
from pvectl.core.model import Unknown
from pvectl.observe.whereabouts import MOST_COMPARED, Machine, this_machine
from tests.observe.world import NODE, WORLD, evidence, value
from tests.support.labs import lab

UUID = "5eb1d2c4-0000-4000-8000-0000000000aa"
MAC_110, MAC_210, FOREIGN = "bc:24:11:00:00:6e", "bc:24:11:00:00:d2", "02:00:00:00:00:01"
GUESTS = [{**guest, "config": {"smbios1": f"uuid={UUID}"}} if guest["vmid"] == 110 else guest for guest in WORLD["guests"]]
WITH_UUID = {**WORLD, "guests": GUESTS}


def where(machine: Machine, world: dict[str, Any] = WITH_UUID) -> Whereabouts | Unknown:
    with lab(world, speed=0) as one:
        fact = evidence(one, machine=lambda: machine).whereabouts
        return fact if isinstance(fact, Unknown) else fact.value


def in_guest(vmid: int) -> Whereabouts:
    return Whereabouts(place=Place.GUEST, vmid=vmid)


ELSEWHERE = Whereabouts(place=Place.ELSEWHERE)


@pytest.mark.parametrize(
    ("machine", "place"),
    [
        (Machine(virtual=False, addresses=frozenset({"192.0.2.12"})), Whereabouts(place=Place.NODE)),
        (Machine(virtual=True, uuid=UUID, macs=frozenset({FOREIGN})), in_guest(110)),
        (Machine(virtual=True, macs=frozenset({MAC_110})), in_guest(110)),
        (Machine(virtual=False, container="lxc", macs=frozenset({MAC_210})), in_guest(210)),
        (Machine(virtual=True, container="docker", uuid=UUID, macs=frozenset({FOREIGN})), in_guest(110)),
        (Machine(virtual=False), ELSEWHERE),
        (Machine(virtual=True, macs=frozenset({FOREIGN})), ELSEWHERE),
        (Machine(container="lxc", macs=frozenset({FOREIGN})), ELSEWHERE),
    ],
)
def test_s13_pvectl_finds_itself_by_address_network_card_or_dmi_table(machine: Machine, place: Whereabouts) -> None:
    assert where(machine) == place


@pytest.mark.parametrize(
    "machine",
    [
        Machine(),
        Machine(virtual=True),
        Machine(container="lxc", uuid=UUID.replace("aa", "bb")),
        Machine(virtual=True, container="docker", macs=frozenset({FOREIGN})),
        Machine(virtual=True, container="docker", uuid=UUID.replace("aa", "bb"), macs=frozenset({FOREIGN})),
    ],
    ids=["tells nothing", "a VM without cards", "a container without cards", "docker without a DMI table", "docker beside a container"],
)
def test_s13_what_could_not_be_compared_is_unknown(machine: Machine) -> None:
    found = where(machine)
    assert isinstance(found, Unknown)
    assert "idle_check.self" in found.reason


def test_s13_a_card_passed_through_to_a_vm_is_in_no_configuration() -> None:
    passing = [{**guest, "config": {"hostpci0": "0000:01:00"}} if guest["vmid"] == 110 else guest for guest in WORLD["guests"]]
    assert isinstance(where(Machine(virtual=True, macs=frozenset({FOREIGN})), {**WORLD, "guests": passing}), Unknown)


def test_s13_a_configuration_that_cannot_be_read_leaves_it_unknown_and_names_the_guest() -> None:
    with lab(WITH_UUID, speed=0) as one:
        one.server.fault("status", path=f"/nodes/{NODE}/lxc/210/config", code=500, reason="no such luck")
        fact = evidence(one, machine=lambda: Machine(virtual=True, macs=frozenset({FOREIGN}))).whereabouts
        assert isinstance(fact, Unknown)
        assert fact.source == f"/nodes/{NODE}/lxc/210/config"
        # found in another guest, it no longer matters
        assert value(evidence(one, machine=lambda: Machine(virtual=True, uuid=UUID)).whereabouts) == in_guest(110)


def test_s13_only_running_guests_are_looked_at_and_never_more_than_a_few() -> None:
    with lab({**WORLD, "guests": []}, speed=0) as one:
        assert value(evidence(one, machine=Machine).whereabouts) == ELSEWHERE
    many = [{"vmid": 1000 + number, "node": NODE, "status": "running"} for number in range(MOST_COMPARED + 1)]
    with lab({**WORLD, "guests": many}, speed=0) as one:
        assert isinstance(evidence(one, machine=Machine).whereabouts, Unknown)
        assert not any(asked.endswith("/config") and "/qemu/" in asked for asked in one.asked())


@pytest.mark.parametrize(
    ("configured", "place"),
    [
        ("elsewhere", ELSEWHERE),
        (OwnPlace(node=NODE), Whereabouts(place=Place.NODE)),
        (OwnPlace(node="pve1"), ELSEWHERE),
        (OwnPlace(vmid=110), in_guest(110)),
        (OwnPlace(vmid=100), ELSEWHERE),
    ],
)
def test_s13_what_the_configuration_says_is_believed(configured: Any, place: Whereabouts) -> None:
    with lab(WORLD, speed=0) as one:
        assert value(evidence(one, own_place=configured, machine=Machine).whereabouts) == place


@pytest.mark.parametrize("vmid", [111, 999])
def test_s13_a_guest_that_is_off_or_nowhere_to_be_seen_cannot_be_where_pvectl_runs(vmid: int) -> None:
    with lab(WORLD, speed=0) as one:
        assert isinstance(evidence(one, own_place=OwnPlace(vmid=vmid)).whereabouts, Unknown)


def test_s13_a_guest_that_cannot_be_looked_up_leaves_it_unknown() -> None:
    with lab(WORLD, speed=0) as one:
        one.server.fault("status", path="/cluster/resources", code=500)
        assert isinstance(evidence(one, own_place=OwnPlace(vmid=110)).whereabouts, Unknown)
        one.server.fault("status", path=f"/nodes/{NODE}/qemu", code=500)
        assert isinstance(evidence(one, machine=Machine).whereabouts, Unknown)


FIB = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 10.0.0.0
        /24 link UNICAST
     |-- 10.0.0.7
        /32 host LOCAL
     |-- 127.0.0.1
        /32 host LOCAL
     |-- 10.0.0.255
        /32 link BROADCAST
"""
IPV6 = """fd000000000000000000000000000007 02 40 00 80 eth0
fe80000000000000be2411fffe00006e 02 40 20 80 eth0
00000000000000000000000000000001 01 80 10 80 lo
"""


def machine_of(root: Path, **files: str) -> Machine:
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return this_machine(root)


def test_a_machine_tells_its_cards_addresses_and_table(tmp_path: Path) -> None:
    cards = {
        "lo": "00:00:00:00:00:00",
        "eth0": MAC_110.upper(),
        "tap110i0": FOREIGN,
        "veth210i0": FOREIGN,
        "fwln110o0": FOREIGN,
        "dummy": "x",
    }
    for name, mac in cards.items():
        folder = tmp_path / "sys/class/net" / name
        folder.mkdir(parents=True)
        (folder / "address").write_text(mac + "\n")
    (tmp_path / "sys/class/net/odd").mkdir()
    found = machine_of(
        tmp_path,
        proc__net__fib_trie=FIB,
        proc__net__if_inet6=IPV6,
        proc__cpuinfo="processor\t: 0\nflags\t\t: fpu hypervisor lm\n",
        sys__class__dmi__id__product_uuid=UUID.upper() + "\n",
        sys__class__dmi__id__sys_vendor="QEMU\n",
    )
    assert found == Machine(macs=frozenset({MAC_110}), uuid=UUID, addresses=frozenset({"10.0.0.7", "fd00::7"}), virtual=True)
    assert observe.Asking().machine is this_machine


@pytest.mark.parametrize(
    ("files", "container", "virtual"),
    [
        ({}, None, None),
        ({"proc__cpuinfo": "flags : fpu lm\n"}, None, False),
        ({"proc__cpuinfo": "Features : fp asimd\n"}, None, None),
        ({"run__systemd__container": "lxc\n"}, "lxc", None),
        ({"proc__1__environ": "HOME=/\0container=lxc\0"}, "lxc", None),
        ({"proc__1__environ": "container="}, "unknown", None),
        ({".dockerenv": ""}, "docker", None),
        ({"run__.containerenv": ""}, "podman", None),
        ({"proc__self__mountinfo": "36 28 0:32 / /proc/meminfo rw,nosuid - fuse.lxcfs lxcfs rw\n"}, "lxc", None),
        ({"proc__self__mountinfo": "36 28 0:32 / /var/lib/lxcfs rw,nosuid - fuse.lxcfs lxcfs rw\n"}, None, None),
    ],
)
def test_a_machine_tells_whether_it_is_one(tmp_path: Path, files: dict[str, str], container: str | None, *, virtual: bool | None) -> None:
    found = machine_of(tmp_path, **files)
    assert (found.container, found.virtual) == (container, virtual)


@pytest.mark.parametrize("text", ["", "Not Settable\n", "00000000-0000-0000-0000-000000000000\n", "\x00\xff"])
def test_a_table_without_a_real_number_tells_nothing(tmp_path: Path, text: str) -> None:
    assert machine_of(tmp_path, sys__class__dmi__id__product_uuid=text).uuid is None
