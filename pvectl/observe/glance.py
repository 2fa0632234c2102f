"""The cheap look: two requests that tell of most nodes why they stay on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct

from pvectl.core.evidence import Fact, Member, NodeEvidence
from pvectl.core.model import Known, Unknown
from pvectl.errors import ApiRefusal, NodeUnreachable, PermissionDenied, ProtocolError
from pvectl.observe.answers import unanswered
from pvectl.observe.cluster import of_online_nodes
from pvectl.pve.answers import ClusterStatus, Resources

if TYPE_CHECKING:
    from pvectl.clock import Clock
    from pvectl.core.hold import Hold
    from pvectl.core.model import Guest
    from pvectl.pve.client import ProxmoxClient

T = TypeVar("T")

RESOURCES, STATUS = "/cluster/resources", "/cluster/status"


class Glance(Struct, frozen=True, kw_only=True):
    """One look at the whole cluster: its list of everything, up to 300 s old, and who belongs to it."""

    taken_at: datetime
    resources: Fact[Resources]
    status: Fact[ClusterStatus]

    @property
    def cluster(self) -> str | None:
        return None if isinstance(self.status, Unknown) else self.status.value.name

    @property
    def local(self) -> str | None:
        """The node that answered; None where it does not say."""
        if isinstance(self.status, Unknown):
            return None
        return next((node.name for node in self.status.value.nodes if node.local), None)

    @property
    def placed(self) -> tuple[Guest, ...] | None:
        """Every guest of the cluster, where it is placed; None where the list could not be read."""
        return None if isinstance(self.resources, Unknown) else self.resources.value.guests

    def node_status(self, name: str) -> str:
        """PVE's word for the node, "missing" when the cluster has no such node, "unknown" when neither page could be read.

        Membership comes first: the list of resources calls a node offline or unknown as well when its pvestatd is dead.
        """
        if not isinstance(self.status, Unknown):
            return next((node.status for node in self.status.value.nodes if node.name == name), "missing")
        if not isinstance(self.resources, Unknown):
            return next((node.status for node in self.resources.value.nodes if node.name == name), "missing")
        return "unknown"

    def is_offline(self, name: str | None) -> bool:
        """Whether the cluster is sure that the node is no member at this moment."""
        return name is not None and not isinstance(self.status, Unknown) and self.node_status(name) == "offline"

    def members(self) -> tuple[Member, ...] | Unknown:
        """The members without their votes, which only corosync's node list has."""
        if isinstance(self.status, Unknown):
            return self.status
        states = {} if isinstance(self.resources, Unknown) else {node.name: node.hastate for node in self.resources.value.nodes}
        return tuple(
            Member(name=node.name, online=node.status == "online", ip=node.ip, hastate=states.get(node.name))
            for node in self.status.value.nodes
        )


def glance(client: ProxmoxClient, clock: Clock) -> Glance:
    """One look at the cluster, two requests.

    Raises:
        PvectlError: no host answered, or none lets us in; an answer that is only refused or makes no sense leaves its facts unknown.
    """
    taken_at = clock.now()
    # the cluster's page first: it also tells the session what it has to know before it may turn to another host
    status = _fact(clock, client.cluster_status, STATUS)
    return Glance(taken_at=taken_at, resources=_fact(clock, client.resources, RESOURCES), status=status)


def at_a_glance(seen: Glance, node: str, holds: Sequence[Hold] = ()) -> NodeEvidence:
    """What the look tells about one node: enough to keep it on, never enough to switch it off (`live` is False)."""
    members = seen.members()
    return NodeEvidence(
        node=node,
        taken_at=seen.taken_at,
        cluster=seen.cluster,
        status=seen.node_status(node),
        guests=_guests(seen, node),
        standalone=_of_status(seen, lambda status: status.standalone),
        quorate=_of_status(seen, is_quorate),
        members=members if isinstance(members, Unknown) else _from_status(seen, members),
        holds=tuple(holds),
    )


def is_quorate(status: ClusterStatus) -> bool:
    """A standalone host has no quorum to lose."""
    return status.quorate is not False


def _guests(seen: Glance, node: str) -> Fact[tuple[Guest, ...]]:
    if isinstance(seen.resources, Unknown):
        return seen.resources
    resources = seen.resources.value
    here = [guest for guest in of_online_nodes(resources.guests, resources.nodes) if guest.node == node]
    return Known(value=tuple(here), source=seen.resources.source, taken_at=seen.resources.taken_at)


def _of_status(seen: Glance, value: Callable[[ClusterStatus], T]) -> Fact[T]:
    return seen.status if isinstance(seen.status, Unknown) else _from_status(seen, value(seen.status.value))


def _from_status(seen: Glance, value: T) -> Known[T]:
    return Known(value=value, source=STATUS, taken_at=seen.taken_at)


def _fact(clock: Clock, ask: Callable[[], T], source: str) -> Fact[T]:
    began = clock.now()
    try:
        return Known(value=ask(), source=source, taken_at=began)
    except (ApiRefusal, NodeUnreachable, PermissionDenied, ProtocolError) as error:
        return unanswered(error, source)
