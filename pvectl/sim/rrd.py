"""Round-robin data: averages of the past, made from how things stand and from when they ran."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pvectl.sim.guests import cpu_of, find
from pvectl.sim.inventory import Guest, Node
from pvectl.sim.parameters import GUEST_ID, NODE, STORAGE, Parameter, Schema
from pvectl.sim.refusals import died

if TYPE_CHECKING:
    from collections.abc import Callable

    from pvectl.sim.call import Call
    from pvectl.sim.world import World

MINUTE, HOUR, DAY = 60, 3600, 86_400
TOLD_EVERY = 10
STEPS_9 = {
    "hour": (MINUTE, 60),
    "day": (MINUTE, 1440),
    "week": (30 * MINUTE, 336),
    "month": (30 * MINUTE, 1440),
    "year": (6 * HOUR, 1440),
    "decade": (7 * DAY, 570),
}
STEPS_8 = {"hour": (MINUTE, 70), "day": (30 * MINUTE, 70), "week": (3 * HOUR, 70), "month": (12 * HOUR, 70), "year": (7 * DAY, 70)}
PRESSURES = ("pressurecpusome", "pressureiosome", "pressureiofull", "pressurememorysome", "pressurememoryfull")


def schema(*, since_9: bool = True) -> Schema:
    """The parameters all three share."""
    frames = tuple(STEPS_9 if since_9 else STEPS_8)
    return {"node": NODE, "timeframe": Parameter(required=True, choices=frames), "cf": Parameter(choices=("AVERAGE", "MAX"))}


GUEST_SCHEMA: Schema = {**schema(), "vmid": GUEST_ID}
STORAGE_SCHEMA: Schema = {**schema(), "storage": STORAGE}


def of_node(call: Call) -> list[dict[str, Any]]:
    """GET /nodes/N/rrddata; node value `rrd` overrides single series by a number or a function of the time."""
    node = call.here
    base = {
        "maxcpu": node.maxcpu,
        "cpu": node.load,
        "iowait": 0.0004,
        "loadavg": node.load * node.maxcpu,
        "memtotal": node.maxmem,
        "memused": node.memory_base * node.maxmem,
        "swaptotal": 0,
        "swapused": 0,
        "roottotal": node.maxdisk,
        "rootused": node.disk,
        "netin": 1200.5,
        "netout": 800.5,
    }
    if call.world.since_9:
        base |= {"arcsize": 0, "memavailable": (1 - node.memory_base) * node.maxmem, **dict.fromkeys(PRESSURES, 0)}
    return _series(call, lambda moment: _busy(call.world, node, base, moment), _was_on(node), node.extra.get("rrd", {}))


def of_guest(kind: str) -> Callable[[Call], list[dict[str, Any]]]:
    """GET /nodes/N/qemu|lxc/ID/rrddata."""

    def answer(call: Call) -> list[dict[str, Any]]:
        guest, node = find(call, kind), call.here

        def values(moment: float) -> dict[str, Any]:
            static = {"maxcpu": guest.maxcpu, "maxmem": guest.maxmem, "maxdisk": guest.maxdisk, "disk": 0}
            if guest.started_at is None or moment < guest.started_at:
                return static
            live = {
                "cpu": cpu_of(guest, moment),
                "mem": guest.maxmem * guest.memory_used,
                "netin": 450.5,
                "netout": 170.5,
                "diskread": 0,
                "diskwrite": 0,
            }
            if call.world.since_9:
                live |= {"memhost": live["mem"], **dict.fromkeys((*PRESSURES, "pressurecpufull"), 0)}
            return {**static, **live}

        ran = {name: _while_it_ran(guest, value) for name, value in guest.rrd.items()}
        return _series(call, values, _was_on(node), ran)

    return answer


def _while_it_ran(guest: Guest, value: Any) -> Callable[[float], Any]:
    return lambda moment: (value(moment) if callable(value) else value) if _ran(guest, moment) else None


def of_storage(call: Call) -> list[dict[str, Any]]:
    """GET /nodes/N/storage/S/rrddata."""
    storage = call.world.storages.get(call.params["storage"])
    if storage is None:
        raise died(f"storage '{call.params['storage']}' does not exist")
    values = {"total": storage.value(call.node, "total"), "used": storage.value(call.node, "used")}
    return _series(call, lambda _: dict(values), _was_on(call.here), storage.rrd)


def _series(
    call: Call, values: Callable[[float], dict[str, Any]], recorded: Callable[[float], bool], override: dict[str, Any]
) -> list[dict[str, Any]]:
    step, count = (STEPS_9 if call.world.since_9 else STEPS_8)[call.params["timeframe"]]
    # the newest bucket is dropped while it is empty
    last = int(call.world.now) // step * step
    rows = []
    for number in range(count, 0, -1):
        moment = last - number * step
        row: dict[str, Any] = {"time": moment}
        if recorded(moment):
            row |= values(moment)
            row |= {key: _consolidated(value, moment, step, call.params.get("cf")) for key, value in override.items()}
        rows.append({key: value for key, value in row.items() if value is not None})
    return rows


def _consolidated(value: Any, moment: float, step: int, function: str | None) -> Any:
    """One row of what pvestatd tells every ten seconds: the average, which hides a burst, or the highest; None: nothing is known."""
    if not callable(value):
        return value
    told = [found for second in range(0, min(step, HOUR), TOLD_EVERY) if (found := value(moment + second)) is not None]
    if not told:
        return None
    return max(told) if function == "MAX" else sum(told) / len(told)


def _was_on(node: Node) -> Callable[[float], bool]:
    def recorded(moment: float) -> bool:
        if any(begin <= moment < until for begin, until in node.outages):
            return False
        return node.online or moment < (node.last_heard or float("-inf"))

    return recorded


def _busy(world: World, node: Node, base: dict[str, Any], moment: float) -> dict[str, Any]:
    running = [guest for guest in world.guests_on(node.name) if _ran(guest, moment)]
    cpu = min(1.0, base["cpu"] + sum(cpu_of(guest, moment) * guest.maxcpu for guest in running) / node.maxcpu)
    used = min(node.maxmem, base["memused"] + sum(guest.maxmem * guest.memory_used for guest in running))
    row = {**base, "cpu": cpu, "loadavg": cpu * node.maxcpu, "memused": used}
    return {**row, "memavailable": node.maxmem - used} if "memavailable" in base else row


def _ran(guest: Guest, moment: float) -> bool:
    return guest.started_at is not None and guest.started_at <= moment
