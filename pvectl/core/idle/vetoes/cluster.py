"""Vetoes of the cluster around a node: quorum, the other nodes, Ceph, and what the node serves to others."""

from __future__ import annotations

from collections.abc import Iterator

from pvectl.core import quorum
from pvectl.core.evidence import Member
from pvectl.core.idle.record import Blocker, NodeRecord, Phase
from pvectl.core.idle.vetoes.case import Case, each, unseen, value
from pvectl.core.model import Known, Unknown
from pvectl.core.plan import Reason

_GOING = frozenset({Phase.DRAIN, Phase.OFF_SENT})
# a Ceph manager moves by itself, the others do not
_CEPH_KINDS = frozenset({"osd", "mon", "mds"})


def of_quorum_now(case: Case) -> Iterator[Blocker]:
    """Both pages have to say quorate, as the first can be stale (recorded on PVE 8.4 and 9.2)."""
    if _is_alone(case):
        return
    if value(case.evidence.quorate) is False:
        yield Blocker(reason=Reason.NOT_QUORATE, subject="cluster", detail="the cluster is not quorate")
    ha = value(case.evidence.ha)
    if ha is not None and ha.quorate is None:
        yield unseen("cluster", "the HA manager does not say whether the cluster is quorate")
    elif ha is not None and not ha.quorate:
        yield Blocker(reason=Reason.NOT_QUORATE, subject="cluster", detail="the cluster is not quorate by the HA manager's word")


def of_quorum_after(case: Case) -> Iterator[Blocker]:
    members, device = case.evidence.members, case.evidence.device
    if _is_alone(case) or not isinstance(members, Known) or not isinstance(device, Known):
        return
    remains = quorum.without(case.node, members.value, device.value)
    if isinstance(remains, Unknown):
        yield unseen("cluster", remains.reason)
    elif quorum.lacks_a_third(members.value, device.value):
        detail = "two nodes without a quorum device cannot do without each other"
        yield Blocker(reason=Reason.QUORUM_AFTER, subject="cluster", detail=detail, resets=False)
    elif not remains.quorate_after:
        detail = f"{remains.after} of {remains.expected} votes would be left, and {remains.needed} are needed"
        yield Blocker(reason=Reason.QUORUM_AFTER, subject="cluster", detail=detail, resets=False)


def of_other_nodes(case: Case) -> Iterator[Blocker]:
    """Every other node is online or off by our own record, and none is on its way (safety rule S21)."""
    for member in each(case.evidence.members):
        if member.name != case.node:
            yield from _of_member(case, member)


def of_nodes_budget(case: Case) -> Iterator[Blocker]:
    online = {member.name for member in each(case.evidence.members) if member.online}
    off = sorted(
        node
        for node, record in case.others.items()
        if node != case.node and (record.phase in _GOING or (_is_off_by_us(record, case) and node not in online))
    )
    if len(off) >= case.policy.max_nodes_off:
        detail = f"{', '.join(off)} {'is' if len(off) == 1 else 'are'} off already, and max_nodes_off is {case.policy.max_nodes_off}"
        yield Blocker(reason=Reason.BUDGET, subject=case.subject, detail=detail, resets=False)


def of_turn(case: Case) -> Iterator[Blocker]:
    """Where each node runs its own pvectl, the list decides who goes first (safety rule S27)."""
    nodes = case.policy.nodes
    if case.policy.controller != "per-node" or case.node not in nodes:
        return
    peers = {peer.node: peer for peer in case.evidence.peers}
    for node in nodes[: nodes.index(case.node)]:
        peer = peers.get(node)
        if peer is None:
            yield unseen(f"node/{node}", f"how node {node} fares, which goes before it, is not known")
        elif peer.online and peer.busy_with is None:
            detail = f"node {node} stands before it on the list, and is neither off nor visibly busy"
            yield Blocker(reason=Reason.NOT_ITS_TURN, subject=f"node/{node}", detail=detail, resets=False)


def of_ceph(case: Case) -> Iterator[Blocker]:
    """Named as allowed in the configuration, and PVE's own check agrees: only then (safety rule S7)."""
    for service in each(case.evidence.ceph):
        if service.kind not in _CEPH_KINDS:
            continue
        label = f"Ceph {service.kind}.{service.id}"
        if case.node not in case.policy.allow_ceph:
            yield Blocker(reason=Reason.CEPH, subject=case.subject, detail=f"{label} runs on it")
        elif service.safe_to_stop is None:
            yield unseen(case.subject, f"whether {label} can be stopped safely is not known")
        elif not service.safe_to_stop:
            yield Blocker(reason=Reason.CEPH, subject=case.subject, detail=f"{label} cannot be stopped safely, by Ceph's own check")


def of_served(case: Case) -> Iterator[Blocker]:
    for storage in each(case.evidence.served):
        detail = f"storage {storage.storage} is served by it ({storage.server})"
        yield Blocker(reason=Reason.SERVES_STORAGE, subject=case.subject, detail=detail)


def _of_member(case: Case, member: Member) -> Iterator[Blocker]:
    record = case.others.get(member.name)
    subject = f"node/{member.name}"
    if record is not None and record.phase in _GOING:
        detail = f"node {member.name} is on its way down by our doing"
        yield Blocker(reason=Reason.IN_TRANSITION, subject=subject, detail=detail, resets=False)
    elif not member.online and not (record is not None and _is_off_by_us(record, case)):
        detail = f"node {member.name} is not online, and not by our doing"
        yield Blocker(reason=Reason.NODES_DOWN, subject=subject, detail=detail, resets=False)


def _is_off_by_us(record: NodeRecord, case: Case) -> bool:
    """A node of the same name in another cluster says nothing of this one (safety rule S31)."""
    return record.phase == Phase.OFF_SEEN and record.cluster == case.evidence.cluster


def _is_alone(case: Case) -> bool:
    """A standalone host has no quorum to lose; what is not known to be one is a cluster."""
    return value(case.evidence.standalone) is True
