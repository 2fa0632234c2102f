"""Where pvectl itself runs: inside a guest of the node it would switch off it must never act (safety rule S13)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from msgspec import Struct

from pvectl.core.evidence import Fact, Place, Whereabouts
from pvectl.core.model import Guest, Known, Unknown

if TYPE_CHECKING:
    from datetime import datetime

    from pvectl.pve.client import GuestConfig

MOST_COMPARED = 50
"""Guests of one node whose configuration is read to find ourselves among them."""
_SOURCE = "where pvectl runs"
_OF_GUESTS = re.compile(r"\A(?:tap|veth|fwbr|fwln|fwpr)[0-9]+[ip]?")
_MAC = re.compile(r"(?i)\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b")
_UUID = re.compile(r"(?i)\buuid=([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b")
_SET_IT = "say where with idle_check.self: {vmid: 105}, {node: pve2} or elsewhere"


class OwnPlace(Protocol):
    """What the configuration says: in guest `vmid`, or on `node`."""

    @property
    def vmid(self) -> int | None: ...
    @property
    def node(self) -> str | None: ...


Configured: TypeAlias = "OwnPlace | Literal['elsewhere'] | None"


class Machine(Struct, frozen=True, kw_only=True):
    """The machine pvectl runs on, as far as it tells.

    `macs` are its own network cards', lower case; `uuid` the one of its DMI table, None where it cannot be read. `container` is the word
    for a container it is, `virtual` whether it is a virtual machine; None where nobody can tell.
    """

    macs: frozenset[str] = frozenset()
    uuid: str | None = None
    addresses: frozenset[str] = frozenset()
    container: str | None = None
    virtual: bool | None = None

    @property
    def is_physical(self) -> bool:
        return self.container is None and self.virtual is False


def configured(place: OwnPlace | Literal["elsewhere"], node: str, placed: Sequence[Guest] | None, now: datetime) -> Fact[Whereabouts]:
    """What the configuration says about this node; a guest nobody sees, or one that is off, leaves it unknown."""
    if place == "elsewhere" or place.node is not None:
        at = Place.NODE if place != "elsewhere" and place.node == node else Place.ELSEWHERE
        return Known(value=Whereabouts(place=at), source="idle_check.self", taken_at=now)
    if placed is None:
        return Unknown(reason=f"where guest {place.vmid} is, in which pvectl runs, could not be read", source="idle_check.self")
    guest = next((guest for guest in placed if guest.vmid == place.vmid), None)
    if guest is None or guest.is_off:
        how = "is not to be seen" if guest is None else "is off"
        return Unknown(reason=f"guest {place.vmid}, in which pvectl is said to run, {how}", source="idle_check.self")
    value = Whereabouts(place=Place.GUEST, vmid=guest.vmid) if guest.node == node else Whereabouts(place=Place.ELSEWHERE)
    return Known(value=value, source="idle_check.self", taken_at=now)


def settled(machine: Machine, addresses: frozenset[str], running: Sequence[Guest] | None, now: datetime) -> Fact[Whereabouts] | None:
    """What is plain without a look at any guest's configuration; None where those of the `running` guests have to be read."""
    if machine.addresses & addresses:
        return Known(value=Whereabouts(place=Place.NODE), source=_SOURCE, taken_at=now)
    if machine.is_physical:
        return Known(value=Whereabouts(place=Place.ELSEWHERE), source=_SOURCE, taken_at=now)
    if running is None:
        return Unknown(reason="the guests of the node are not known, and pvectl may run in one of them", source=_SOURCE)
    if not running:
        return Known(value=Whereabouts(place=Place.ELSEWHERE), source=_SOURCE, taken_at=now)
    if len(running) > MOST_COMPARED:
        return Unknown(reason=f"{len(running)} guests run on the node, and pvectl may run in any of them: {_SET_IT}", source=_SOURCE)
    return None


def compared(machine: Machine, configs: Mapping[Guest, Fact[GuestConfig]], now: datetime) -> Fact[Whereabouts]:
    """Whether the machine is one of these guests, by network card or DMI table; that it is none of them must really have been compared."""
    doubt: Unknown | None = None
    for guest, config in configs.items():
        if isinstance(config, Unknown):
            doubt = doubt or Unknown(reason=f"whether pvectl runs in guest {guest.vmid}: {config.reason}", source=config.source)
            continue
        options = config.value.options
        if _is(machine, options):
            return Known(value=Whereabouts(place=Place.GUEST, vmid=guest.vmid), source=_SOURCE, taken_at=now)
        if not _could_tell(machine, guest, options):
            doubt = doubt or Unknown(reason=f"whether pvectl runs in guest {guest.vmid} cannot be told: {_SET_IT}", source=_SOURCE)
    return doubt or Known(value=Whereabouts(place=Place.ELSEWHERE), source=_SOURCE, taken_at=now)


def _is(machine: Machine, options: Mapping[str, Any]) -> bool:
    return bool(machine.macs & _macs_of(options)) or (machine.uuid is not None and machine.uuid == _uuid_of(options))


def _could_tell(machine: Machine, guest: Guest, options: Mapping[str, Any]) -> bool:
    """Whether being this guest would have shown.

    Inside an LXC container the network cards are the guest's, and the DMI table is the host's; inside any other container the cards are
    the container's own, and the table is that of the machine around it. A VM may have cards that its configuration does not know.
    """
    by_uuid = machine.container != "lxc" and machine.uuid is not None and _uuid_of(options) is not None
    by_card = bool(machine.macs) and bool(_macs_of(options))
    if machine.container == "lxc":
        return guest.type == "qemu" or by_card
    if machine.container is not None:
        return guest.type == "qemu" and by_uuid
    passed_through = any(key.startswith("hostpci") for key in options)
    return guest.type == "lxc" or by_uuid or (by_card and not passed_through)


def _macs_of(options: Mapping[str, Any]) -> frozenset[str]:
    lines = (str(value) for key, value in options.items() if re.match(r"\Anet[0-9]+\Z", key))
    return frozenset(mac.lower() for line in lines for mac in _MAC.findall(line))


def _uuid_of(options: Mapping[str, Any]) -> str | None:
    found = _UUID.search(str(options.get("smbios1", "")))
    return found[1].lower() if found else None


def this_machine(root: Path = Path("/")) -> Machine:
    """The machine this runs on, out of /sys, /proc and /run; what cannot be read is left out."""
    return Machine(
        macs=_own_macs(root / "sys/class/net"),
        uuid=_plausible(_line(root / "sys/class/dmi/id/product_uuid")),
        addresses=_own_addresses(root / "proc/net"),
        container=_container(root),
        virtual=_virtual(root),
    )


def _own_macs(devices: Path) -> frozenset[str]:
    try:
        names = [device.name for device in devices.iterdir()]
    except OSError:
        return frozenset()
    found = {(_line(devices / name / "address") or "").lower() for name in names if not _OF_GUESTS.match(name) and name != "lo"}
    return frozenset(mac for mac in found if _MAC.fullmatch(mac) and mac.strip("0:"))


def _own_addresses(net: Path) -> frozenset[str]:
    """The machine's addresses: the local ones of the routing trie for IPv4, and IPv6's list; those every machine has are left out."""
    found: set[str] = set()
    previous = ""
    for line in _text(net / "fib_trie").splitlines():
        if line.strip().startswith("/32 host LOCAL"):
            found.add(previous)
        previous = line.rpartition("-- ")[2].strip()
    for line in _text(net / "if_inet6").splitlines():
        digits = line.partition(" ")[0]
        if re.fullmatch(r"[0-9a-f]{32}", digits):
            found.add(_ipv6(digits))
    return frozenset(address for address in found if address and not address.startswith(("127.", "fe80:")) and address != "::1")


def _ipv6(digits: str) -> str:
    from ipaddress import IPv6Address

    return str(IPv6Address(int(digits, 16)))


def _container(root: Path) -> str | None:
    if kind := _line(root / "run/systemd/container"):
        return kind
    for variable in _text(root / "proc/1/environ").split("\0"):
        if variable.startswith("container="):
            return variable.partition("=")[2] or "unknown"
    # PVE gives every container lxcfs over parts of /proc, also where nothing in it says so (pve-container)
    if re.search(r" /proc/\S* .* - fuse\.lxcfs ", _text(root / "proc/self/mountinfo")):
        return "lxc"
    for mark, kind in ((".dockerenv", "docker"), ("run/.containerenv", "podman")):
        if (root / mark).exists():
            return kind
    return None


def _virtual(root: Path) -> bool | None:
    """Whether the processor says that a hypervisor is beneath it; only x86 says anything."""
    flags = next((line for line in _text(root / "proc/cpuinfo").splitlines() if line.startswith("flags")), None)
    vendor = _line(root / "sys/class/dmi/id/sys_vendor") or ""
    if "qemu" in vendor.lower():
        return True
    return "hypervisor" in flags.split() if flags is not None else None


def _plausible(uuid: str | None) -> str | None:
    found = _UUID.fullmatch(f"uuid={uuid}") if uuid else None
    return found[1].lower() if found and found[1].strip("0-") else None


def _line(path: Path) -> str | None:
    return _text(path).partition("\n")[0].strip() or None


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
