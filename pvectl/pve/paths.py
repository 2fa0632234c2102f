"""What may stand in an API path: checked ids, quoted; never a string as it came in."""

from __future__ import annotations

import re

from pvectl.core.model import Guest
from pvectl.errors import ProtocolError
from pvectl.pve.strict_json import shown

MIN_VMID = 100
MAX_VMID = 999_999_999
# pve-common JSONSchema.pm, format pve-node; \Z, because Perl's and Python's $ let a newline through
_NODE = r"\A[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?\Z"
# pve-common JSONSchema.pm, format pve-storage-id
_STORAGE = r"\A[a-zA-Z][a-zA-Z0-9_.-]*[a-zA-Z0-9]\Z"
_BELOW_API = re.compile(r"\A/api2/json(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~:@!%-]+)+\Z")


def node_id(name: str) -> str:
    """A node's name, as it may stand in a path.

    Raises:
        ProtocolError: PVE has no such name.
    """
    if re.match(_NODE, name) is None:
        raise ProtocolError(f"{shown(name)} is not the name of a node")
    return name


def storage_id(name: str) -> str:
    """A storage's name, as it may stand in a path.

    Raises:
        ProtocolError: PVE has no such name.
    """
    if re.match(_STORAGE, name) is None:
        raise ProtocolError(f"{shown(name)} is not the name of a storage")
    return name


def guest_id(vmid: int) -> str:
    """A guest's number, as it may stand in a path.

    Raises:
        ProtocolError: not a whole number from 100 to 999999999.
    """
    if type(vmid) is not int or not MIN_VMID <= vmid <= MAX_VMID:
        raise ProtocolError(f"{shown(vmid)} is not the number of a guest")
    return str(vmid)


def guest_kind(guest: Guest) -> str:
    """Which half of the API a guest lives in: "qemu" or "lxc".

    Raises:
        ProtocolError: some other kind.
    """
    if guest.type not in ("qemu", "lxc"):
        raise ProtocolError(f"{shown(guest.type)} is not a kind of guest")
    return guest.type


def is_clean(path: str) -> bool:
    """A path of the API that no id can have bent: the last look before it is sent."""
    return _BELOW_API.match(path) is not None


def node_of(path: str) -> str | None:
    """The node a path is about, None where it is about the cluster."""
    parts = path.split("/")
    return parts[4] if len(parts) > 4 and parts[3] == "nodes" else None
