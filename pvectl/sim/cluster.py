"""A simulated Proxmox VE cluster: it answers API calls, and tests can change it while it runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pvectl.sim import nodepower
from pvectl.sim.access import ROOT
from pvectl.sim.clock import VirtualClock
from pvectl.sim.dispatch import Router, serve
from pvectl.sim.inventory import Guest, Node
from pvectl.sim.jobs import backing_up
from pvectl.sim.power import migrating
from pvectl.sim.scenario import NODE_FIELDS, add_guest, add_task, build_world
from pvectl.sim.tasks import Task, abort, fork
from pvectl.sim.vocabulary import NODE, check_words
from pvectl.sim.wire import Answer, ApiError, Request
from pvectl.sim.world import Event, World

ACCEPTS = {"online": "up", "offline": "refuses", "hangs": "hangs"}
T = TypeVar("T")


class SimCluster:
    """The semantics of a cluster. Thread-safe; every answer first lets what is due happen."""

    def __init__(self, scenario: Mapping[str, Any], *, clock: VirtualClock | None = None) -> None:
        self.clock = clock or VirtualClock()
        self.clock.begin(float(scenario.get("now", time.time())))
        self.world: World = build_world(scenario, self.clock.now())
        self._lock = threading.RLock()
        self._router = Router(self.world.version)

    def answer(self, request: Request) -> Answer:
        """What PVE would answer."""
        with self._lock:
            self._catch_up()
            try:
                return serve(self.world, self._router, request)
            except ApiError as refusal:
                return refusal.answer

    def node_accepts(self, name: str) -> str:
        """What the listener of a node does with connections: `up`, `refuses` or `hangs`."""
        return self._now(lambda: ACCEPTS[self.world.nodes[name].status])

    def guest(self, vmid: int) -> Guest:
        """The guest as it is at this moment: `.status`, `.tags`, `.lock`, `.node` and so on."""
        return self._now(lambda: self.world.guests[vmid])

    def node(self, name: str) -> Node:
        """The node as it is at this moment."""
        return self._now(lambda: self.world.nodes[name])

    @property
    def log(self) -> list[Event]:
        """What has happened so far, in virtual time."""
        return self._now(lambda: list(self.world.log))

    def tasks(self, *, type: str | None = None, running: bool | None = None) -> list[Task]:  # noqa: A002  (PVE's own name for it)
        """The tasks there have been, oldest first."""
        return self._now(lambda: [task for task in self.world.tasks if type in (None, task.type) and running in (None, task.running)])

    def quorate(self) -> bool:
        """Whether the nodes that are up have the majority."""
        return self._now(self.world.quorate)

    def advance(self, seconds: float) -> None:
        """Let virtual time pass, and what is due happen."""
        self.clock.advance(seconds)
        self._now(lambda: None)

    def at(self, seconds_from_now: float, event: Callable[[], object]) -> None:
        """Let something happen later, in virtual time."""
        self._now(lambda: self.world.timeline.after(seconds_from_now, event))

    def start(self, vmid: int) -> None:
        """The guest runs, as if somebody had started it from inside the node."""

        def change() -> None:
            guest = self.world.guests[vmid]
            if not self.world.nodes[guest.node].online:
                raise ValueError(f"guest {vmid} cannot start, its node {guest.node} is off")
            if not guest.runs:
                self.world.bring_up(guest)

        self._now(change)

    def stop_guest(self, vmid: int) -> None:
        """The guest's process is gone."""
        self._now(lambda: self.world.bring_down(self.world.guests[vmid], "stopped by hand"))

    def set_guest_status(self, vmid: int, status: str) -> None:
        """QEMU calls a live guest's state by that word: paused, running, io-error."""
        self._now(lambda: self.world.set_status(self.world.guests[vmid], status))

    def change_guest(self, vmid: int, **manners: Any) -> None:
        """Change how a guest behaves: shutdown_s, acpi, agent, start_error, load, ha and so on."""

        def change() -> None:
            guest = self.world.guests[vmid]
            for name, value in manners.items():
                if not hasattr(guest, name):
                    raise AttributeError(f"a guest has no {name}")
                setattr(guest, name, value)

        self._now(change)

    def set_config(self, vmid: int, **lines: str | None) -> None:
        """Write configuration lines as an editor would; None removes one. `agent_` and the like lose the underscore."""

        def change() -> None:
            guest = self.world.guests[vmid]
            self.world.touch(guest)
            for name, value in lines.items():
                key = name.rstrip("_")
                if value is None:
                    guest.config.pop(key, None)
                else:
                    guest.config[key] = str(value)
            self.world.note("config edited", vmid, ", ".join(lines))

        self._now(change)

    def set_tags(self, vmid: int, tags: str | None) -> None:
        """Write the tags line by hand, unchecked."""
        self.set_config(vmid, tags=tags)

    def lock(self, vmid: int, reason: str) -> None:
        """Lock the guest, as a backup or a migration does."""
        self.set_config(vmid, lock=reason)

    def unlock(self, vmid: int) -> None:
        """Take the lock away."""
        self.set_config(vmid, lock=None)

    def move(self, vmid: int, node: str) -> None:
        """The guest now lives on another node."""

        def change() -> None:
            guest = self.world.guests[vmid]
            self.world.touch(guest)
            guest.node = self.world.nodes[node].name
            self.world.note("guest moved", vmid, node)

        self._now(change)

    def add_guest(self, **values: Any) -> Guest:
        """A new guest out of scenario values."""

        def change() -> Guest:
            guest = add_guest(self.world, values)
            guest.changed_at = self.world.now
            return guest

        return self._now(change)

    def remove_guest(self, vmid: int) -> None:
        """The guest is destroyed."""

        def change() -> None:
            guest = self.world.guests[vmid]
            self.world.bring_down(guest, "destroyed")
            del self.world.guests[vmid]
            for members in self.world.access.pools.values():
                if vmid in members:
                    members.remove(vmid)
            self.world.access.changed()
            self.world.note("guest removed", vmid)

        self._now(change)

    def change_node(self, name: str, **values: Any) -> None:
        """Change a node: wakeonlan, boot_s, load, or what single endpoints read (services, clock_off, certificate_days, …)."""

        def change() -> None:
            check_words(f"node {name}", values, NODE)
            node = self.world.nodes[name]
            node.extra = {**node.extra, **values}
            for key in NODE_FIELDS:
                if key in values:
                    setattr(node, key, values[key])

        self._now(change)

    def power_off(self, name: str) -> None:
        """An orderly shutdown, as if somebody had pressed the button."""
        self._now(lambda: nodepower.go_down(self.world, self.world.nodes[name]))

    def crash_node(self, name: str) -> None:
        """The node is gone at once, with all that runs on it."""
        self._now(lambda: nodepower.power_loss(self.world, self.world.nodes[name]))

    def wake(self, name: str) -> None:
        """Switch the node on; it is up `boot_s` seconds later."""
        self._now(lambda: nodepower.wake(self.world, self.world.nodes[name]))

    def hang_node(self, name: str) -> None:
        """The node's pveproxy accepts connections and never answers; its other daemons go on."""
        self._now(lambda: setattr(self.world.nodes[name], "status", "hangs"))

    def revive_node(self, name: str) -> None:
        """The node's pveproxy answers again."""
        self._now(lambda: setattr(self.world.nodes[name], "status", "online"))

    def stop_pvestatd(self, name: str) -> None:
        """No more broadcasts from that node: `/cluster/resources` goes on telling what was last heard, for five minutes."""

        def change() -> None:
            node = self.world.nodes[name]
            node.fall_silent(self.world.now)
            node.pvestatd = False

        self._now(change)

    def start_pvestatd(self, name: str) -> None:
        """Broadcasts come again, the first one at once."""

        def change() -> None:
            node = self.world.nodes[name]
            node.pvestatd, node.first_broadcast = True, self.world.now

        self._now(change)

    def lose_quorum(self) -> None:
        """The cluster filesystem becomes read-only, whatever the votes say."""
        self._now(lambda: setattr(self.world, "quorum_lost", True))

    def regain_quorum(self) -> None:
        """The votes count again."""
        self._now(lambda: setattr(self.world, "quorum_lost", False))

    def expect_votes(self, votes: int) -> None:
        """`pvecm expected N`: /cluster/status goes on telling what was, until a node joins or leaves."""
        self._now(lambda: self.world.expect_votes(votes))

    def set_qdevice(self, device: Mapping[str, Any] | None) -> None:
        """Replace the quorum device."""
        self._now(lambda: setattr(self.world, "qdevice", dict(device) if device is not None else None))

    def set_options(self, **options: Any) -> None:
        """Write datacenter.cfg; underscores stand for dashes."""
        self._now(lambda: self.world.options.update({name.replace("_", "-"): value for name, value in options.items()}))

    def set_storage(self, name: str, *, node: str | None = None, **values: Any) -> None:
        """Change a storage, everywhere or as one node sees it: total, used, active."""

        def change() -> None:
            storage = self.world.storages[name]
            for place in [node] if node is not None else list(self.world.nodes):
                if storage.value(place, "active") and not values.get("active", 1):
                    storage.gone_since[place] = self.world.now
            if node is not None:
                storage.per_node.setdefault(node, {}).update(values)
                return
            for key, value in values.items():
                setattr(storage, key, value)

        self._now(change)

    def set_replication(self, job: str, **values: Any) -> None:
        """Change how a replication job fares: running, fail_count, error, last_sync_ago."""
        self._now(lambda: next(row for row in self.world.replication if row["id"] == job).update(values))

    def back_up(self, vmid: int) -> str:
        """A backup of the guest begins on its node and locks it for half a minute. Gives the UPID."""

        def begin() -> str:
            guest = self.world.guests[vmid]
            return fork(self.world, guest.node, "vzdump", str(vmid), ROOT, backing_up(self.world, [guest])).upid

        return self._now(begin)

    def migrate(self, vmid: int, to: str, *, takes: float = 20.0) -> str:
        """The guest moves to another node, locked and still counted on the old one until it is there. Gives the UPID."""

        def begin() -> str:
            guest = self.world.guests[vmid]
            kind = "qmigrate" if guest.type == "qemu" else "vzmigrate"
            return fork(self.world, guest.node, kind, str(vmid), ROOT, migrating(self.world, guest, to, takes)).upid

        return self._now(begin)

    def add_task(self, **values: Any) -> str:
        """A task that runs or has run; see `scenario.add_task`. Gives its UPID."""
        return self._now(lambda: add_task(self.world, **values))

    def end_task(self, upid: str, status: str = "OK") -> None:
        """A running task ends that way."""
        self._now(lambda: abort(self.world, next(task for task in self.world.tasks if task.upid == upid), status))

    def grant(self, path: str, ugid: str, roleid: str, *, type: str | None = None, propagate: bool = True) -> None:  # noqa: A002
        """Add an ACL entry; the kind is told from the id unless given (a group needs `type="group"`)."""
        kind = type or ("token" if "!" in ugid else "user")
        self._now(lambda: self.world.access.grant(path, kind, ugid, roleid, propagate=propagate))

    def revoke(self, path: str, ugid: str, roleid: str | None = None) -> None:
        """Take ACL entries away."""
        self._now(lambda: self.world.access.revoke(path, ugid, roleid))

    def set_role(self, name: str, privileges: str) -> None:
        """Define a role."""

        def change() -> None:
            self.world.access.roles[name] = frozenset(privileges.split())
            self.world.access.changed()

        self._now(change)

    def _now(self, change: Callable[[], T]) -> T:
        with self._lock:
            self._catch_up()
            return change()

    def _catch_up(self) -> None:
        self.world.timeline.catch_up(self.clock.now())
