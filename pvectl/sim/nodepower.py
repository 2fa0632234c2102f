"""Nodes going down and coming up, with all that hangs on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pvectl.sim import ha
from pvectl.sim.bulk import stopping_all
from pvectl.sim.inventory import Guest, Node, startup_of
from pvectl.sim.power import shutting_container_down, shutting_vm_down, starting
from pvectl.sim.refusals import died
from pvectl.sim.tasks import Pause, Task, Worker, abort, fork

if TYPE_CHECKING:
    from pvectl.sim.call import Call
    from pvectl.sim.world import World

BEFORE_POWEROFF = 2.0
LAST_SERVICES = 3.0
LRM_WAIT = 60
FENCED_AFTER = 120.0
FIRST_BROADCAST = 8.0
ROOT = "root@pam"


def command(call: Call) -> None:
    """POST /nodes/N/status: answers null at once, `(sleep 2; poweroff)&` does the rest; checks nothing."""
    world, node, wish = call.world, call.here, call.params["command"]
    world.note(f"node {wish} asked for", node.name, call.who)
    world.timeline.after(BEFORE_POWEROFF, lambda: go_down(world, node, reboot=wish == "reboot"))


def wake_on_lan(call: Call) -> str:
    """POST /nodes/N/wakeonlan: runs where the connection arrived; a magic packet brings no confirmation."""
    world, name = call.world, str(call.params["node"])
    if name in ("localhost", call.entry):
        raise died(f"'{name}' is local node, cannot wake my self!")
    node = world.nodes.get(name)
    if node is None or not node.member or world.name is None:
        raise died(f"no such cluster node '{name}'")
    if not node.wakeonlan:
        raise died(f"No wake on LAN MAC address defined for '{name}'!")
    world.note("magic packet sent", name, call.entry)
    if node.extra.get("wakes", True):
        wake(world, node)
    return node.wakeonlan.split(",")[0].removeprefix("mac=")


def go_down(world: World, node: Node, *, reboot: bool = False) -> None:
    """An orderly power-off: pve-guests.service stops the guests, with force after 180 s or `down=`, then the node leaves."""
    if not node.online or node.powering_off:
        return
    node.powering_off = "reboot" if reboot else "shutdown"
    world.note("node goes down", node.name, node.powering_off)
    for task in list(world.tasks):
        if task.running and task.node == node.name and task.type == "vzdump":
            # ExecStop of pve-guests.service begins with `vzdump -stop`
            abort(world, task, "interrupted by signal")
    policy = _shutdown_policy(world, reboot=reboot)
    if ha.running(world):
        for guest in list(world.guests_on(node.name)):
            if ha.managed(guest) and guest.runs:
                _lrm_lets_go(world, node, guest, policy)
    fork(world, node.name, "stopall", "", ROOT, stopping_all(world, node.name, None, 180, ROOT, force=True))
    _leave_when_quiet(world, node)


def power_loss(world: World, node: Node) -> None:
    """The node is gone at once, and everything on it."""
    if not node.online:
        return
    node.fall_silent(world.now)
    node.status, node.powering_off = "offline", None
    world.quorate_told = None
    node.outages.append((world.now, float("inf")))
    locks = {guest.vmid: guest.lock for guest in world.guests_on(node.name)}
    for task in list(world.tasks):
        if task.running and task.node == node.name:
            abort(world, task, "unexpected status", last_line=False)
    for guest in list(world.guests_on(node.name)):
        world.bring_down(guest, "its node went off")
        if lock := locks[guest.vmid]:
            # nobody was left to take the lock of a backup or migration away
            guest.config["lock"] = lock
    world.note("node off", node.name)
    if ha.running(world):
        world.timeline.after(FENCED_AFTER, lambda: _recover(world, node))


def wake(world: World, node: Node) -> None:
    """Switch the node on; it is up `boot_s` seconds later."""
    if not node.online and not node.booting:
        node.booting = True
        world.timeline.after(node.boot_s, lambda: boot(world, node))


def boot(world: World, node: Node) -> None:
    """The node joins the cluster and starts what is to start at boot."""
    node.booting = False
    if node.online:
        return
    node.status, node.booted_at, node.pvestatd = "online", world.now, True
    world.quorate_told = None
    node.first_broadcast = world.now + FIRST_BROADCAST
    if node.outages:
        node.outages[-1] = (node.outages[-1][0], world.now)
    world.note("node up", node.name)
    fork(world, node.name, "startall", "", ROOT, _starting_all(world, node))
    for guest in list(world.guests_on(node.name)):
        if ha.managed(guest) and guest.ha is not None and guest.ha.get("state", "started") == "started" and ha.running(world):
            ha.request(world, guest, "start", None)


def _starting_all(world: World, node: Node) -> Callable[[Task], Worker]:
    """What pve-guests.service does at boot: wait for quorum, drop backup locks left over, start what is to start, one by one."""

    def work(task: Task) -> Worker:
        if not world.quorate():
            task.lines.append("waiting for quorum ...")
            while not world.quorate():
                yield Pause(world.now + 1.0)
            task.lines.append("got quorum")
        for guest in world.guests_on(node.name):
            if guest.lock == "backup":
                del guest.config["lock"]
                task.lines.append(f"removed left over backup lock from '{guest.vmid}'!")
        guests = [guest for guest in world.guests_on(node.name) if guest.onboot and not guest.template and not ha.managed(guest)]
        for guest in sorted(guests, key=_boot_order):
            if guest.runs:
                continue
            word, kind, pause = ("VM", "qmstart", 3) if guest.type == "qemu" else ("CT", "vzstart", 0)
            task.lines.append(f"Starting {word} {guest.vmid}")
            fork(world, node.name, kind, str(guest.vmid), ROOT, starting(world, guest.type, node.name, guest.vmid))
            up = startup_of(guest).up
            if up:
                task.lines.append(f"Waiting for {up} seconds (startup delay)")
            yield Pause(world.now + (pause if up is None else up))

    return work


def _boot_order(guest: Guest) -> tuple[float, int]:
    order = startup_of(guest).order
    return (float("inf") if order is None else order, guest.vmid)


def _leave_when_quiet(world: World, node: Node) -> None:
    # whoever is locked, or began meanwhile, goes with systemd's last services; the LRM has its own wait
    busy = any(guest.runs and ha.managed(guest) for guest in world.guests_on(node.name))
    stopping = any(task.running and task.node == node.name and task.type == "stopall" for task in world.tasks)
    if not node.online or not node.powering_off:
        return
    if busy or stopping:
        world.timeline.after(1.0, lambda: _leave_when_quiet(world, node))
        return
    reboot = node.powering_off == "reboot"

    def leave() -> None:
        power_loss(world, node)
        if reboot:
            wake(world, node)

    world.timeline.after(LAST_SERVICES, leave)


def _shutdown_policy(world: World, *, reboot: bool) -> str:
    policy = str((world.options.get("ha") or {}).get("shutdown_policy", "conditional"))
    return ("freeze" if reboot else "failover") if policy == "conditional" else policy


def _lrm_lets_go(world: World, node: Node, guest: Guest, policy: str) -> None:
    others = [other for other in world.members if other.online and other is not node and not other.powering_off]
    if policy == "migrate" and others:
        world.timeline.after(5.0, lambda: _migrate(world, guest, others[0]))
        return
    if policy == "freeze" and guest.ha is not None:
        guest.ha["crm_state"] = "freeze"
    if guest.type == "qemu":
        fork(world, node.name, "qmshutdown", str(guest.vmid), ROOT, shutting_vm_down(world, node.name, guest.vmid, LRM_WAIT, force=True))
    else:
        fork(world, node.name, "vzshutdown", str(guest.vmid), ROOT, shutting_container_down(world, guest, LRM_WAIT, force=True))


def _migrate(world: World, guest: Guest, to: Node) -> None:
    if guest.runs:
        world.touch(guest)
        guest.node = to.name
        world.note("guest migrated", guest.vmid, to.name)


def _recover(world: World, node: Node) -> None:
    if node.online or not world.quorate() or not ha.running(world):
        return
    others = [other for other in world.members if other.online and not other.powering_off]
    for guest in list(world.guests_on(node.name)):
        if (
            not (ha.managed(guest) and guest.ha and guest.ha.get("state", "started") == "started")
            or guest.ha.get("crm_state") == "freeze"
            or not others
        ):
            continue
        world.touch(guest)
        guest.node = others[0].name
        guest.ha["crm_state"] = "started"
        world.note("HA recovered", guest.vmid, guest.node)
        fork(
            world,
            guest.node,
            "qmstart" if guest.type == "qemu" else "vzstart",
            str(guest.vmid),
            ROOT,
            starting(world, guest.type, guest.node, guest.vmid),
        )
