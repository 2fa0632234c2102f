"""The order in which guests shut down and start: PVE's startup order, from the highest down and from the lowest up."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

from msgspec import Struct, structs

from pvectl.core.model import GuestType
from pvectl.core.plan import Shutdown

_PART = re.compile(r"(?:order=)?(?P<order>[0-9]+)|up=(?P<up>[0-9]+)|down=(?P<down>[0-9]+)")


class Startup(Struct, frozen=True, kw_only=True):
    """A guest's `startup` line: its place in the order, the seconds after its start and those to shut down; None where it does not say."""

    order: int | None = None
    up: int | None = None
    down: int | None = None


def parse(line: str | None) -> Startup:
    """`[order=]N,up=S,down=S`; a line PVE cannot read is one without an order (pve-guest-common, pve_parse_startup_order)."""
    found: dict[str, int] = {}
    for part in re.split(r"[,;\s]+", (line or "").strip()):
        match = _PART.fullmatch(part)
        if match is None:
            return Startup()
        found |= {key: int(value) for key, value in match.groupdict().items() if value is not None}
    return Startup(order=found.get("order"), up=found.get("up"), down=found.get("down"))


def stages(shutdowns: Iterable[Shutdown], startup: Mapping[int, str | None]) -> tuple[tuple[Shutdown, ...], ...]:
    """The stages in which to shut these guests down, by their `startup` lines (vmid to line), as PVE's stopall does it.

    Guests without an order come first, then the highest order down to the lowest; inside a stage the higher vmid stands first. A VM's
    `down=` is its own timeout; a container's is not used, as PVE does not use it either (recorded on PVE 8.4 and 9.2).
    """
    by_order: defaultdict[float, list[Shutdown]] = defaultdict(list)
    for action in shutdowns:
        line = parse(startup.get(action.guest.vmid))
        if line.down and action.guest.type == GuestType.QEMU:
            action = structs.replace(action, timeout=line.down)  # noqa: PLW2901  # the same action, in its guest's own time
        by_order[float("inf") if line.order is None else line.order].append(action)
    return tuple(
        tuple(sorted(by_order[order], key=lambda action: action.guest.vmid, reverse=True)) for order in sorted(by_order, reverse=True)
    )


def starts(vmids: Iterable[int], startup: Mapping[int, str | None]) -> tuple[tuple[int, ...], ...]:
    """The stages in which to start guests: the lowest order first, those without one last; lower vmids stand first inside a stage.

    A guest with an `up=` ends its stage, as nobody is started in the seconds after it (pve-manager PVE/API2/Nodes.pm, startall).
    """
    lines = {vmid: parse(startup.get(vmid)) for vmid in vmids}
    places = {vmid: float("inf") if line.order is None else line.order for vmid, line in lines.items()}
    stages: list[list[int]] = []
    previous: int | None = None
    for vmid in sorted(places, key=lambda vmid: (places[vmid], vmid)):
        if previous is None or places[vmid] != places[previous] or lines[previous].up:
            stages.append([])
        stages[-1].append(vmid)
        previous = vmid
    return tuple(map(tuple, stages))
