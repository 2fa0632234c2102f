"""Tasks: the id PVE hands out for work that takes a while, and how it stands."""

from __future__ import annotations

import re

from msgspec import Struct

from pvectl.errors import ProtocolError
from pvectl.pve.strict_json import shown

# pve-common UPID.pm; the id may be empty, the user may be user@realm!token, the last colon is part of it
_UPID = (
    r"\AUPID:(?P<node>[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?):(?P<pid>[0-9A-Fa-f]{8}):(?P<pstart>[0-9A-Fa-f]{8,9}):"
    r"(?P<start>[0-9A-Fa-f]{8}):(?P<type>[A-Za-z0-9_.-]+):(?P<id>[^:\s/?#&%]*):(?P<user>[A-Za-z0-9_.!@+-]+):\Z"
)


class Upid(Struct, frozen=True, kw_only=True):
    """A task's id, checked: nothing in `text` can bend a path. `starttime` is in seconds since the epoch."""

    text: str
    node: str
    type: str
    id: str
    user: str
    starttime: int

    def __str__(self) -> str:
        return self.text


class TaskState(Struct, frozen=True, kw_only=True):
    """How a task stands; `exitstatus` is PVE's own word once it has ended."""

    running: bool
    exitstatus: str | None = None

    @property
    def ok(self) -> bool:
        """It ended and did what it was to do; warnings do not change that (pve-common Tools.pm, upid_status_is_error)."""
        return not self.running and self.exitstatus is not None and (self.exitstatus == "OK" or self.exitstatus.startswith("WARNINGS: "))


def parse_upid(text: object) -> Upid:
    """A task id as the API hands it out.

    Raises:
        ProtocolError: it is none.
    """
    found = re.match(_UPID, text) if isinstance(text, str) else None
    if found is None:
        raise ProtocolError(f"{shown(text)} is not the id of a task")
    return Upid(
        text=found.string, node=found["node"], type=found["type"], id=found["id"], user=found["user"], starttime=int(found["start"], 16)
    )
