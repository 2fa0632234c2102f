"""Guests for the tests of the pure rooms: one made by hand, and any that hypothesis can think of."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from pvectl.core.model import Guest

STATUSES = ("running", "stopped", "paused", "prelaunch", "io-error", "suspended", "unknown", "something-new")
NAMES = ("web1", "web2", "db", "DB", "mail.example.org", "VM 105", None)
TAGS = ("prod", "web", "safe-shutdown", "Prod", "safe_shutdown", "v1.2", "-leading", "größe")
POOLS = ("prodpool", "lab", "lab/desktops", None)
NODES = ("pve1", "pve2", "pve3")


def guest(vmid: int = 100, **known: Any) -> Guest:
    return Guest(**{"vmid": vmid, "type": "qemu", "node": "pve1", "status": "running", "name": f"guest{vmid}", "template": False, **known})


def guests(*, max_size: int = 12) -> st.SearchStrategy[list[Guest]]:
    """Lists of guests with different vmids, of every status there is and some there is not yet."""
    one = st.builds(
        Guest,
        vmid=st.integers(100, 120) | st.integers(100, 999_999_999),
        type=st.sampled_from(["qemu", "lxc"]),
        name=st.sampled_from(NAMES),
        node=st.sampled_from(NODES),
        status=st.sampled_from(STATUSES),
        tags=st.lists(st.sampled_from(TAGS), max_size=3, unique=True).map(tuple),
        pool=st.sampled_from(POOLS),
        template=st.sampled_from([None, False, True]),
        lock=st.sampled_from([None, None, "backup", "migrate"]),
        hastate=st.sampled_from([None, None, "started", "ignored"]),
    )
    return st.lists(one, max_size=max_size, unique_by=lambda made: made.vmid)
