"""PVE's tags: what it accepts, how it stores them, and who may change which (pve-guest-common PVE/GuestHelpers.pm)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pvectl.sim.refusals import lacks

if TYPE_CHECKING:
    from pvectl.sim.access import Caller
    from pvectl.sim.world import World

TAG = re.compile(r"[a-z0-9_][a-z0-9_\-+.]*", re.IGNORECASE | re.ASCII)
SEPARATORS = re.compile(r"[;,\s\0]+")


def split_tags(raw: str) -> list[str]:
    """The tags of a raw line, in its order."""
    return [tag for tag in SEPARATORS.split(raw) if tag]


def wrong_tags(raw: str) -> str | None:
    """What PVE says about a list with a bad tag; one bad tag rejects the whole list."""
    return None if all(TAG.fullmatch(tag) for tag in split_tags(raw)) else "invalid format - invalid characters in tag\n"


def stored_tags(raw: str, options: Mapping[str, Any]) -> str:
    """The line PVE writes: without repetitions, and sorted and in lower case unless tag-style says otherwise."""
    style = options.get("tag-style") or {}
    tags = split_tags(raw)
    if not _true(style.get("case-sensitive", 0)):
        tags = [tag.lower() for tag in tags]
    tags = list(dict.fromkeys(tags))
    if style.get("ordering", "alphabetical") != "config":
        tags.sort()
    # an empty list does not remove the option: the file gets a line with a blank
    return ";".join(tags) or " "


def allowed_tags(world: World, caller: Caller) -> list[str]:
    """What GET /cluster/options gives as `allowed-tags` for this caller."""
    access, options = world.access, world.options
    privileged = access.holds(caller.id, "/", "Sys.Modify")
    policy = options.get("user-tag-access") or {}
    allow = policy.get("user-allow", "free")
    allowed: set[str] = set()
    if allow != "none" or privileged:
        allowed.update(policy.get("user-allow-list") or ())
    if allow in {"free", "existing"} or privileged:
        sees = access.sees_guest(caller.id, "VM.Audit")
        for guest in world.guests.values():
            if privileged or sees(guest.vmid):
                allowed.update(split_tags(guest.tags))
    registered = set(options.get("registered-tags") or ())
    return sorted(allowed | registered if privileged else allowed - registered)


def check_tag_change(world: World, caller: Caller, before: str, after: str) -> None:
    """Raise 403 when the caller adds or removes a tag only administrators may touch."""
    if world.access.holds(caller.id, "/", "Sys.Modify"):
        return
    registered = set(world.options.get("registered-tags") or ())
    free = (world.options.get("user-tag-access") or {}).get("user-allow", "free") == "free"
    allowed = set() if free else set(allowed_tags(world, caller))
    for tag in sorted(set(split_tags(before)) ^ set(split_tags(after))):
        if tag in registered or not (free or tag in allowed):
            raise lacks("/", f"Sys.Modify for modifying tag '{tag}'")


def _true(value: object) -> bool:
    return str(value).lower() in {"1", "true", "yes", "on"}
