"""Kinds of values that several sections of pvectl.yml share."""

# no `from __future__ import annotations` here: see jobs.py

from typing import Annotated

from msgspec import Meta

_DURATION = {"pattern": "^(?:[0-9]{1,9}[smhd])+$|^[0-9]{1,9}$"}

Duration = Annotated[int, Meta(extra={"form": "duration"}, extra_json_schema=_DURATION)]
"""Seconds; in the file also 90s, 30m, 2h, 1d."""

Vmid = Annotated[int, Meta(description="A guest's number, without quotes.", ge=100, le=999_999_999, examples=[105])]
NodeName = Annotated[
    str,
    Meta(
        description="A node's name, as Proxmox VE shows it.",
        pattern="^[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?$",
        examples=["pve2"],
        extra={"form": "node-name"},
    ),
]
Tag = Annotated[
    str,
    Meta(
        description="A tag of Proxmox VE, in lower case.",
        pattern="^[a-z0-9_][a-z0-9_+.-]*$",
        examples=["safe-shutdown"],
        extra={"form": "tag"},
    ),
]
