"""One reading of several nodes: what all share and a first word of each, what each tells, what follows from it, and the task lists last."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import replace

from pvectl.core import permits, tags
from pvectl.core.evidence import (
    NOT_READ,
    CephService,
    Device,
    Fact,
    NodeEvidence,
    ReplicationJob,
    ServedStorage,
    Signal,
    SignalState,
    Task,
    TaskHistory,
    Whereabouts,
)
from pvectl.core.model import BlindSpot, Guest, Known, Unknown
from pvectl.errors import NodeUnreachable
from pvectl.observe import circumstances, whereabouts
from pvectl.observe.answers import Question, ask_all
from pvectl.observe.asking import Asking
from pvectl.observe.circumstances import derived, only_with
from pvectl.observe.glance import STATUS, Glance, at_a_glance
from pvectl.observe.proof import held_rights
from pvectl.observe.signals import of_guest
from pvectl.observe.signals import watched as watched_guests

if TYPE_CHECKING:
    from pvectl.clock import Clock
    from pvectl.pve.client import CephDaemon, CorosyncNode, ProxmoxClient, QuorumDevice, Replication

T = TypeVar("T")

ACL, PERMISSIONS = "/access/acl", "/access/permissions"
HA, OPTIONS, BACKUP = "/cluster/ha/status/current", "/cluster/options", "/cluster/backup"
CEPH_NODES, CEPH = "/cluster/ceph/metadata?scope=versions", "/cluster/ceph/metadata"
STORAGE = "/storage"
VOTES, DEVICE, REPLICATION, TASKS = "/cluster/config/nodes", "/cluster/config/qdevice", "/cluster/replication", "/cluster/tasks"

_NOT_CONFIGURED = "pveceph configuration not initialized"
FIRST_TASKS, ALL_TASKS = 500, 10_000


_MARGIN_S = 3600
"""How much of the task list is kept from before the last look: what had ended by then is remembered for an hour."""


class Reading:
    """One reading of several nodes, in three rounds: what all share and a first word of each node, what the node tells, its tasks."""

    def __init__(self, client: ProxmoxClient, clock: Clock, seen: Glance, nodes: tuple[str, ...], asking: Asking) -> None:
        self._client = client
        self._clock = clock
        self._seen = seen
        self._nodes = nodes
        self._asking = asking
        self._silent: dict[str, NodeUnreachable] = {}
        self._facts: dict[str, Fact[Any]] = {}
        self._rights: dict[str, permits.Rights | Unknown] = {}
        self._standalone = not isinstance(seen.status, Unknown) and seen.status.value.standalone

    def evidence(self) -> dict[str, NodeEvidence]:
        self._ask([*self._shared(), *map(self._first_word, self._nodes)])
        acl, listed = _plain(self._facts[ACL]), _plain(self._facts[PERMISSIONS])
        self._rights = held_rights(self._client, acl, listed, self._nodes, storages=True)
        self._ask([*(question for node in self._nodes for question in self._of_node(node)), *self._follow_ups()])
        found = {node: self._of_all_but_tasks(node) for node in self._nodes}
        histories = self._histories(self._nodes, FIRST_TASKS)
        short = [
            node
            for node, told in histories.items()
            if not isinstance(told, Unknown) and told.value.reaches_back_to > self._asking.since.get(node, told.value.reaches_back_to)
        ]
        histories |= self._histories(short, ALL_TASKS)
        return {node: replace(found[node], tasks=self._if_auditor(node, self._lately(node, histories[node]))) for node in self._nodes}

    def _lately(self, node: str, told: Fact[TaskHistory]) -> Fact[TaskHistory]:
        """Nobody asks about what was over long before the last look, and the audit trail keeps whatever stands here."""
        since = self._asking.since.get(node)
        return told if since is None else derived(told, lambda history: circumstances.lately(history, since - _MARGIN_S))

    def _histories(self, nodes: Sequence[str], limit: int) -> dict[str, Fact[TaskHistory]]:
        self._ask([self._at(node, f"/nodes/{node}/tasks", partial(self._client.node_tasks, limit=limit)) for node in nodes])
        return {node: derived(self._facts[f"/nodes/{node}/tasks"], lambda tasks: circumstances.history(tasks, limit)) for node in nodes}

    def _if_auditor(self, node: str, fact: Fact[T]) -> Fact[T]:
        """Without Sys.Audit on the node PVE lists only the token's own tasks."""
        return only_with(self._rights, f"/nodes/{node}", "Sys.Audit", fact)

    def _ask(self, questions: Sequence[Question]) -> None:
        self._facts.update(ask_all(self._client, self._clock, questions))

    def _shared(self) -> Iterable[Question]:
        client = self._client
        yield Question(source=ACL, ask=client.acl)
        yield Question(source=PERMISSIONS, ask=client.permissions)
        yield Question(source=HA, ask=client.ha_status)
        yield Question(source=OPTIONS, ask=client.cluster_options)
        yield Question(source=BACKUP, ask=client.backup_jobs)
        yield Question(source=CEPH_NODES, ask=client.ceph_nodes)
        if circumstances.may_be_served(self._seen):
            yield Question(source=STORAGE, ask=client.storages)
        if not self._standalone:
            yield Question(source=VOTES, ask=client.corosync_nodes)
            yield Question(source=DEVICE, ask=client.quorum_device)
            yield Question(source=REPLICATION, ask=client.replication_jobs)
            yield Question(source=TASKS, ask=client.cluster_tasks)

    def _first_word(self, node: str) -> Question:
        return self._at(node, f"/nodes/{node}/status", self._client.node_now)

    def _of_node(self, node: str) -> Iterable[Question]:
        client = self._client
        for kind in ("qemu", "lxc"):
            yield self._at(node, f"/nodes/{node}/{kind}", partial(client.guests_of_kind, kind=kind, full=True))
        yield self._at(node, f"/nodes/{node}/netstat", client.netstat)
        if self._asking.clock:
            yield self._at(node, f"/nodes/{node}/time", self._clock_off)
        if self._asking.wake:
            yield self._at(node, f"/nodes/{node}/config", client.node_config)
        if node == self._seen.local and len(client.connection.hosts) > 1:
            yield Question(source=_beside(node), ask=partial(client.other_entry, node))

    def _follow_ups(self) -> Iterable[Question]:
        jobs = self._facts.get(REPLICATION, NOT_READ)
        if not isinstance(jobs, Unknown):
            touching = [job for node in self._nodes for job in circumstances.touching(self._seen, node, jobs.value)]
            sources = {circumstances.source_of(self._seen, job) for job in touching}
            for source in sorted(name for name in sources if name is not None and not self._seen.is_offline(name)):
                yield self._at(source, f"/nodes/{source}/replication", self._client.node_replication)
        installed = self._facts[CEPH_NODES]
        if not isinstance(installed, Unknown) and installed.value & set(self._nodes):
            yield Question(source=CEPH, ask=self._client.ceph_daemons)

    def _at(self, node: str, source: str, ask: Callable[[str], Any]) -> Question:
        """A question for one node, which is not asked any more once the node has left one unanswered: each takes pveproxy 30 s."""

        def unless_silent() -> Any:
            if node in self._silent:
                raise self._silent[node]
            try:
                return ask(node)
            except NodeUnreachable as error:
                self._silent[node] = error
                raise

        return Question(source=source, ask=unless_silent)

    def _clock_off(self, node: str) -> float:
        began = self._clock.now()
        told = self._client.node_time(node)
        halfway = began + (self._clock.now() - began) / 2
        # PVE gives whole seconds, on average half a second ago
        return told + 0.5 - halfway.timestamp()

    def _of_all_but_tasks(self, node: str) -> NodeEvidence:
        seen, facts, told = self._seen, self._facts, partial(self._told, node)
        listed = _both(told("qemu"), told("lxc"))
        netstat = told("netstat")
        guests = derived(listed, lambda found: circumstances.guests(seen, node, found, _plain(netstat)))
        options = only_with(self._rights, "/", "Sys.Audit", facts[OPTIONS])
        corosync: Fact[tuple[CorosyncNode, ...]] = facts.get(VOTES, _nothing(seen, ()))
        cheap = at_a_glance(seen, node, self._asking.holds)
        found = replace(
            cheap,
            live=True,
            guests=guests,
            registered_tags=derived(options, lambda found: found.registered_tags),
            tags_case_sensitive=derived(facts[OPTIONS], lambda found: found.tags_case_sensitive),
            blind_spots=self._blind_spots(node, listed, netstat),
            uptime=derived(told("status"), lambda now: now.uptime),
            node_time_off=told("time"),
            incoming=self._incoming(node),
            members=cheap.members if self._standalone else circumstances.members(seen, corosync),
            device=derived(facts.get(DEVICE, _nothing(seen, None)), _device),
            ha=facts[HA],
            ha_shutdown_policy=derived(options, lambda found: found.ha_shutdown_policy),
            served=self._served(node, corosync),
            backups=derived(facts[BACKUP], lambda jobs: circumstances.backups(seen, node, jobs, _value(guests))),
            replication=self._replication(node),
            wakeonlan=derived(told("config"), lambda config: config.wakeonlan),
            way_out=self._way_out(node),
            our_user=self._client.connection.token_id,
        )
        return self._with_what_costs_more(found, corosync)

    def _told(self, node: str, page: str) -> Fact[Any]:
        return self._facts.get(f"/nodes/{node}/{page}", NOT_READ)

    def _blind_spots(self, node: str, listed: Fact[tuple[Guest, ...]], netstat: Fact[frozenset[int]]) -> tuple[BlindSpot, ...]:
        seen = self._seen
        if isinstance(seen.resources, Unknown):
            return (BlindSpot(subject="cluster", reason=f"the cluster's list could not be read: {seen.resources.reason}"),)
        here: frozenset[int] | Unknown = listed if isinstance(listed, Unknown) else frozenset(guest.vmid for guest in listed.value)
        moving_data: frozenset[int] | Unknown = netstat if isinstance(netstat, Unknown) else netstat.value
        evidence = permits.Evidence(
            token_id=self._client.connection.token_id,
            acl=_plain(self._facts[ACL]),
            rights=self._rights,
            nodes=(permits.NodeSight(node=node, listed=here, netstat=moving_data),),
        )
        spots = permits.blind_spots(evidence, frozenset(guest.vmid for guest in seen.resources.value.guests))
        if isinstance(listed, Unknown):
            return spots
        running = sorted((guest for guest in listed.value if not guest.is_off), key=lambda guest: guest.vmid)
        to_stop = [guest for guest in running if self._is_tagged(guest)]
        return (*spots, *circumstances.unlisted(seen, node, listed.value), *permits.powerless(evidence, node, to_stop))

    def _is_tagged(self, guest: Guest) -> bool:
        wanted = tags.fold(self._asking.tag, case_sensitive=False)
        return any(tags.fold(tag, case_sensitive=False) == wanted for tag in guest.tags)

    def _incoming(self, node: str) -> Fact[tuple[Task, ...]]:
        if isinstance(self._seen.resources, Unknown):
            return self._seen.resources
        told = only_with(self._rights, "/", "Sys.Audit", self._facts.get(TASKS, _nothing(self._seen, ())))
        return derived(told, lambda listed: circumstances.incoming(self._seen, node, listed))

    def _served(self, node: str, corosync: Fact[tuple[CorosyncNode, ...]]) -> Fact[tuple[ServedStorage, ...]]:
        asked = self._facts.get(STORAGE)
        if asked is None:
            # no storage on the cluster's list comes over the network, and the list is as long as the rights at /storage make it
            asked = _nothing(self._seen, ())
        if isinstance(acl := self._facts[ACL], Unknown):
            return acl
        for path in ("/storage", *(path for path in self._rights if path.startswith("/storage/"))):
            asked = only_with(self._rights, path, "Datastore.Audit", asked)
        if not self._standalone and isinstance(corosync, Unknown):
            return corosync
        links = _links(corosync, node)
        return derived(asked, lambda storages: circumstances.served(self._seen, node, storages, links))

    def _replication(self, node: str) -> Fact[tuple[ReplicationJob, ...]]:
        jobs: Fact[tuple[Replication, ...]] = self._facts.get(REPLICATION, _nothing(self._seen, ()))
        if isinstance(jobs, Unknown):
            return jobs
        if isinstance(self._seen.resources, Unknown):
            return self._seen.resources
        told = {path.split("/")[2]: fact for path, fact in self._facts.items() if re.fullmatch(r"/nodes/[^/]+/replication", path)}
        found = circumstances.replication(self._seen, node, jobs.value, told)
        return found if isinstance(found, Unknown) else Known(value=found, source=jobs.source, taken_at=jobs.taken_at)

    def _way_out(self, node: str) -> Fact[bool]:
        seen = self._seen
        if isinstance(seen.status, Unknown):
            return seen.status
        if seen.local is None:
            return Unknown(reason="the API host does not tell which node it is", source=seen.status.source)
        beside: Fact[bool] | None = self._facts.get(_beside(node))
        return Known(value=seen.local != node, source=seen.status.source, taken_at=seen.taken_at) if beside is None else beside

    def _with_what_costs_more(self, found: NodeEvidence, corosync: Fact[tuple[CorosyncNode, ...]]) -> NodeEvidence:
        """What depends on what has been found so far: Ceph's own opinion, where pvectl runs, and the other signals."""
        return replace(
            found,
            ceph=self._ceph(found.node),
            whereabouts=self._whereabouts(found, corosync),
            signals=self._signals(found),
        )

    def _ceph(self, node: str) -> Fact[tuple[CephService, ...]]:
        installed: Fact[frozenset[str]] = self._facts[CEPH_NODES]
        if isinstance(installed, Unknown):
            return installed
        if node not in installed.value:
            if not self._is_heard(node):
                return Unknown(reason=f"node {node} has not told the cluster anything, so nor whether it has Ceph", source=CEPH_NODES)
            return Known(value=(), source=CEPH_NODES, taken_at=installed.taken_at)
        daemons: Fact[tuple[CephDaemon, ...]] = self._facts[CEPH]
        if isinstance(daemons, Unknown):
            # the file that makes a cluster a Ceph cluster is the same on all nodes (pve-manager PVE/Ceph/Tools.pm)
            if _NOT_CONFIGURED in daemons.reason:
                return Known(value=(), source=CEPH, taken_at=installed.taken_at)
            return daemons
        safe: dict[CephDaemon, bool | None] = {}
        if node in self._asking.ceph_safety:
            asked = [daemon for daemon in daemons.value if daemon.kind != "mgr" and circumstances.is_on(daemon, node)]
            self._ask(
                [self._at(node, _safety_path(node, daemon), partial(self._client.ceph_safe_to_stop, daemon=daemon)) for daemon in asked]
            )
            safe = {daemon: _value(self._facts[_safety_path(node, daemon)]) for daemon in asked}
        services = circumstances.ceph(node, daemons.value, CEPH, safe)
        return services if isinstance(services, Unknown) else Known(value=services, source=CEPH, taken_at=daemons.taken_at)

    def _is_heard(self, node: str) -> bool:
        """Whether the node's pvestatd, which also tells of Ceph, has been heard of lately."""
        resources = self._seen.resources
        return not isinstance(resources, Unknown) and any(row.name == node and row.status == "online" for row in resources.value.nodes)

    def _whereabouts(self, found: NodeEvidence, corosync: Fact[tuple[CorosyncNode, ...]]) -> Fact[Whereabouts]:
        now, node, asking = self._clock.now(), found.node, self._asking
        if asking.own_place is not None:
            return whereabouts.configured(asking.own_place, node, self._seen.placed, now)
        machine = asking.machine()
        members = _value(found.members) or ()
        addresses = {member.ip for member in members if member.name == node and member.ip} | set(_links(corosync, node))
        guests = _value(found.guests)
        running = None if guests is None else [guest for guest in guests if not guest.is_off]
        plain = whereabouts.settled(machine, frozenset(addresses), running, now)
        if plain is not None or running is None:
            return plain or NOT_READ
        configs = ask_all(self._client, self._clock, [config_question(self._client, guest) for guest in running])
        return whereabouts.compared(machine, {guest: configs[page_of(guest, "config")] for guest in running}, now)

    def _signals(self, found: NodeEvidence) -> tuple[Signal, ...]:
        asking, client, guests = self._asking, self._client, _value(found.guests)
        signals: list[Signal] = []
        if asking.activity is not None:
            limits = asking.activity
            if guests is None:
                signals.append(Signal(name="activity", state=SignalState.UNKNOWN, detail="the guests of the node are not known"))
            watched = watched_guests(guests or (), limits, asking.tag, case_sensitive=_value(found.tags_case_sensitive) is not False)
            questions = [Question(source=page_of(one, "rrddata"), ask=partial(client.guest_samples, one)) for one in watched]
            told = ask_all(client, self._clock, questions)
            now = self._clock.now()
            signals += [signal for guest in watched for signal in of_guest(guest, told[page_of(guest, "rrddata")], limits, now)]
        return tuple(signals)


def config_question(client: ProxmoxClient, guest: Guest) -> Question:
    """The guest's configuration, asked for under the path `page_of(guest, "config")`."""
    return Question(source=page_of(guest, "config"), ask=partial(client.guest_config, guest))


def page_of(guest: Guest, page: str) -> str:
    return f"/nodes/{guest.node}/{guest.type}/{guest.vmid}/{page}"


def _safety_path(node: str, daemon: CephDaemon) -> str:
    return f"/nodes/{node}/ceph/cmd-safety?service={daemon.kind}&id={daemon.id}"


def _beside(node: str) -> str:
    return f"the hosts beside {node}"


def _device(found: QuorumDevice | None) -> Device | None:
    return None if found is None or found.state is None else Device(connected=found.state == "Connected", algorithm=found.algorithm)


def _links(corosync: Fact[tuple[CorosyncNode, ...]], node: str) -> tuple[str, ...]:
    return next((member.addresses for member in _value(corosync) or () if member.name == node), ())


def _both(vms: Fact[tuple[Guest, ...]], containers: Fact[tuple[Guest, ...]]) -> Fact[tuple[Guest, ...]]:
    if isinstance(containers, Unknown):
        return vms if isinstance(vms, Unknown) else containers
    return derived(vms, lambda found: (*found, *containers.value))


def _nothing(seen: Glance, value: T) -> Known[T]:
    """What a host without a cluster cannot have."""
    return Known(value=value, source=STATUS, taken_at=seen.taken_at)


def _value(fact: Fact[T]) -> T | None:
    return None if isinstance(fact, Unknown) else fact.value


def _plain(fact: Fact[T]) -> T | Unknown:
    return fact if isinstance(fact, Unknown) else fact.value
