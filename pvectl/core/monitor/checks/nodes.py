"""Whether the nodes are there, are heard of, and have room left."""

from __future__ import annotations

from collections.abc import Callable

from pvectl.core.model import Known, Node
from pvectl.core.monitor.checks.check import NOT_HERE, Case, Check, Eligible, Outcome, check
from pvectl.core.monitor.checks.look import Blind, Look
from pvectl.core.monitor.checks.settings import MINUTE
from pvectl.core.monitor.finding import Severity, Unit
from pvectl.core.monitor.monitored import NodeFacts, NodeStatus, Pressure


def every_node(look: Look) -> Eligible[NodeFacts]:
    """Every node that is expected to be there; being blind when no source names any."""
    if not look.nodes:
        yield from look.unlisted()
    for subject in look.nodes:
        yield subject, look.node_facts[subject.node or ""]


def _offline(case: Case, facts: NodeFacts) -> Outcome:
    look = case.look
    member, listed = look.members[facts.name], look.listed_nodes.get(facts.name)
    evidence = look.evidence(look.view.membership, "online")
    if member is not None and member.online:
        return None
    if (member is not None and member.online is False) or (listed is not None and listed.status == "offline"):
        message = f"node {facts.name} is offline"
        return case.finding(Severity.CRITICAL, message, evidence=evidence or look.evidence(look.view.resources, "status"))
    return _membership_untold(case, facts.name)


def _membership_untold(case: Case, name: str) -> Blind:
    membership = case.look.view.membership
    if isinstance(membership, Known):
        return case.untold(membership, f"whether {name} is online")
    return case.blind(membership, "membership")


def _stats_stale(case: Case, node: Node) -> Outcome:
    if case.look.is_online(node.name) is None:
        return _membership_untold(case, node.name)
    if node.status == "online":
        return None
    message = f"nothing was heard of node {node.name}'s statistics for 300 s although it is online: pvestatd hangs there"
    hint = f"on {node.name}: systemctl restart pvestatd"
    return case.finding(Severity.WARNING, message, evidence=case.look.evidence(case.look.view.resources, "status"), hint=hint)


def _listed(look: Look) -> Eligible[Node]:
    yield from look.unlisted()
    for subject in look.nodes:
        name = subject.node or ""
        if (offline := look.offline(subject, name)) is not None:
            yield offline
        elif name in look.listed_nodes:
            yield subject, look.listed_nodes[name]
        elif look.listing is not None:
            yield Blind(subject=subject, reason=f"/cluster/resources does not list {name}")


def _cpu(case: Case, node: Node) -> Outcome:
    resources = case.look.view.resources
    if node.cpu is None:
        return case.look.silent(case.subject, node.name) or case.untold(resources, "cpu")
    message = f"node {node.name} uses {node.cpu:.0%} of its processors"
    return case.measured(node.cpu, message, evidence=case.look.evidence(resources, "cpu"))


def _mem(case: Case, node: Node) -> Outcome:
    resources = case.look.view.resources
    if node.mem is None or not node.maxmem:
        return case.look.silent(case.subject, node.name) or case.untold(resources, "mem and maxmem")
    share = node.mem / node.maxmem
    message = f"node {node.name} uses {share:.0%} of its memory{_arc(case.look, node)}"
    return case.measured(share, message, evidence=case.look.evidence(resources, "mem"))


def _arc(look: Look, node: Node) -> str:
    """What of the memory is ZFS's cache, which gives way when it is needed."""
    pressure = look.node_facts[node.name].pressure
    arc = pressure.value.arc if isinstance(pressure, Known) and pressure.value is not None else None
    return f", {arc / node.maxmem:.0%} of it ZFS's cache" if arc and node.maxmem else ""


def _of_status(
    part: str, used: Callable[[NodeStatus], float | None], of: Callable[[NodeStatus], float | None], words: str
) -> Callable[[Case, NodeFacts], Outcome]:
    def examine(case: Case, facts: NodeFacts) -> Outcome:
        status = case.of_node(facts.status, "status")
        if isinstance(status, Blind):
            return status
        taken, total = used(status), of(status)
        if taken is None or total is None:
            return case.untold(facts.status, part)
        if total == 0:
            return NOT_HERE
        share = taken / total
        message = f"node {facts.name} {words.format(f'{share:.0%}')}"
        return case.measured(share, message, evidence=case.look.evidence(facts.status, part))

    return examine


def _of_pressure(part: str, share: Callable[[Pressure], float | None], words: str) -> Callable[[Case, NodeFacts], Outcome]:
    def examine(case: Case, facts: NodeFacts) -> Outcome:
        pressure = case.of_node(facts.pressure, "pressure")
        if isinstance(pressure, Blind):
            return pressure
        if pressure is None:
            return NOT_HERE
        stalled = share(pressure)
        if stalled is None:
            return case.untold(facts.pressure, part)
        message = f"on node {facts.name} {words} {stalled:.0%} of the time"
        return case.measured(stalled, message, evidence=case.look.evidence(facts.pressure, part))

    return examine


def _node_check(
    id: str,  # noqa: A002 - as users know it
    title: str,
    source: str,
    examine: Callable[[Case, NodeFacts], Outcome],
    hold: float,
) -> Check:
    return check(id, title, about="node", sources=(source,), eligible=every_node, examine=examine, hold=hold, unit=Unit.RATIO)


CHECKS = (
    check(
        "node.offline",
        "the node is there",
        about="node",
        sources=("membership", "resources"),
        eligible=every_node,
        examine=_offline,
        hold=2 * MINUTE,
    ),
    check(
        "node.stats_stale",
        "the node's statistics arrive",
        about="node",
        sources=("membership", "resources"),
        eligible=_listed,
        examine=_stats_stale,
        hold=5 * MINUTE,
    ),
    check(
        "node.cpu",
        "the node has processor time left",
        about="node",
        sources=("resources",),
        eligible=_listed,
        examine=_cpu,
        hold=15 * MINUTE,
        unit=Unit.RATIO,
    ),
    check(
        "node.mem",
        "the node has memory left",
        about="node",
        sources=("resources",),
        eligible=_listed,
        examine=_mem,
        hold=15 * MINUTE,
        unit=Unit.RATIO,
    ),
    _node_check(
        "node.rootfs",
        "the node's root file system has room",
        "node-status",
        _of_status("rootfs", lambda status: status.root_used, lambda status: status.root_total or None, "has its root file system {} full"),
        5 * MINUTE,
    ),
    _node_check(
        "node.swap",
        "the node does not live on swap",
        "node-status",
        _of_status("swap", lambda status: status.swap_used, lambda status: status.swap_total, "uses {} of its swap space"),
        15 * MINUTE,
    ),
    _node_check(
        "node.iowait",
        "the node does not wait for its disks",
        "node-status",
        _of_status("wait", lambda status: status.wait, lambda _status: 1.0, "waits for its disks {} of the time"),
        15 * MINUTE,
    ),
    _node_check(
        "node.psi_cpu",
        "tasks on the node do not wait for processors",
        "node-pressure",
        _of_pressure("pressurecpusome", lambda pressure: pressure.cpu_some, "some task waits for a processor"),
        15 * MINUTE,
    ),
    _node_check(
        "node.psi_io",
        "tasks on the node do not stall on disks",
        "node-pressure",
        _of_pressure("pressureiofull", lambda pressure: pressure.io_full, "all tasks wait for disks"),
        15 * MINUTE,
    ),
    _node_check(
        "node.psi_memory",
        "tasks on the node do not stall on memory",
        "node-pressure",
        _of_pressure("pressurememoryfull", lambda pressure: pressure.memory_full, "all tasks wait for memory"),
        15 * MINUTE,
    ),
)
