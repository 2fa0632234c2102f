"""If a node died now: who could not be restarted elsewhere, and why."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from pvectl.core.model import Unknown
from pvectl.core.monitor.checks.failover import Failover, without
from pvectl.core.monitor.checks.look import Look
from pvectl.core.monitor.checks.settings import MonitorSettings
from pvectl.core.monitor.monitored import GuestDisk, GuestFacts, GuestSettings, MonitorView
from tests.core.monitor import troubles
from tests.core.monitor.cluster import (
    GIB,
    changed_guest,
    changed_node,
    found,
    guest,
    judged,
    known,
    listed,
    listing,
    members,
    relisted,
    relisted_node,
)
from tests.core.monitor.troubles import WHOLE

HUNG = Unknown(reason="the node did not answer")
ALL = MonitorSettings(failover_of="all")


def failover(view: MonitorView, node: str = "pve1", settings: MonitorSettings | None = None) -> Failover:
    return without(Look(view, settings or MonitorSettings()), node)


def disks(*given: GuestDisk, vmid: int = 101) -> MonitorView:
    alone = changed_node(WHOLE, replication=known((), "/nodes/pve1/replication"))
    return changed_guest(alone, vmid, settings=known(GuestSettings(onboot=True, disks=given), "x"))


def test_by_default_only_guests_under_ha_are_concerned() -> None:
    assert failover(WHOLE).concerned == (101,)
    assert failover(WHOLE, settings=ALL).concerned == (100, 101)
    assert failover(relisted(WHOLE, 101, hastate="ignored")).concerned == ()
    assert failover(relisted(WHOLE, 101, hastate="stopped")).concerned == ()


def test_a_local_disk_ties_a_guest_to_its_node() -> None:
    assert failover(disks(GuestDisk(key="scsi0", storage="local"))).stuck == ((101, "scsi0 lies on local, which no other node has"),)
    assert failover(disks(GuestDisk(key="scsi0", storage="nfs"))).stuck == ()
    assert failover(disks(GuestDisk(key="ide2"))).stuck == ()


def test_a_replica_unties_it() -> None:
    view = disks(GuestDisk(key="scsi0", storage="local"), vmid=101)

    assert failover(view).stuck
    replicated = changed_node(view, replication=troubles.replica().nodes[0].replication)
    assert failover(replicated).stuck == ()


@pytest.mark.parametrize("replica", [troubles.replica(last_sync=None), troubles.replica(guest=999), troubles.replica(target=None)])
def test_a_replica_that_was_never_made_unties_nothing(replica: MonitorView) -> None:
    view = disks(GuestDisk(key="scsi0", storage="local"))

    assert failover(changed_node(view, replication=replica.nodes[0].replication)).stuck
    unread = failover(changed_node(view, replication=HUNG))
    assert (unread.stuck, [each.source for each in unread.unread]) == ((), ["node-replication"])


def test_memory_is_dealt_out_largest_first() -> None:
    guests = tuple(guest(vmid, hastate="started", maxmem=memory * GIB) for vmid, memory in ((101, 20), (102, 20), (103, 4), (104, 30)))
    facts = {each.vmid: GuestFacts(vmid=each.vmid, settings=known(GuestSettings(onboot=True), "x")) for each in guests}
    view = replace(listing(WHOLE, guests=guests), guests=facts)

    # two nodes with 24 GiB left each
    assert failover(view).stuck == ((104, "needs 30.0 GiB of memory, and no other node has that left"),)
    assert failover(listing(view, guests=guests[:3])).stuck == ()
    three = listing(view, guests=(*guests[:3], replace(guests[0], vmid=105)))
    assert [vmid for vmid, _why in failover(replace(three, guests={**facts, 105: facts[101]})).stuck] == [105]


def test_a_node_alone_leaves_nobody_to_restart_them() -> None:
    view = members(WHOLE, pve2=False, pve3=False)

    assert [vmid for vmid, _why in failover(view).stuck] == [101]


def test_what_is_not_known_is_said() -> None:
    assert failover(changed_guest(WHOLE, 101, settings=HUNG)).unread
    assert failover(relisted(WHOLE, 101, maxmem=None)).untold == ("the memory of 101 (db)",)
    assert failover(relisted_node(WHOLE, "pve2", mem=None)).untold == ("the free memory of pve2",)
    assert failover(replace(WHOLE, votes=HUNG)).quorum_lost is None

    assert judged(relisted_node(WHOLE, "pve2", mem=None), "cluster.n1", "node/pve1") == "unknown"
    assert judged(replace(WHOLE, votes=HUNG), "cluster.n1", "node/pve1") == "unknown"
    assert judged(replace(WHOLE, device=HUNG), "cluster.n1", "node/pve1") == "unknown"
    assert judged(members(WHOLE, pve1=None), "cluster.n1", "node/pve1") == "unknown"


def test_without_the_list_of_guests_or_storages_nothing_is_known() -> None:
    assert judged(replace(WHOLE, resources=HUNG), "cluster.n1", "cluster") == "unknown"
    assert failover(replace(WHOLE, resources=HUNG)).concerned == ()


def test_a_node_without_such_guests_is_not_judged() -> None:
    assert judged(WHOLE, "cluster.n1", "node/pve3") is None


def test_many_stuck_guests_are_counted_not_listed() -> None:
    guests = tuple(guest(vmid, hastate="started") for vmid in range(110, 130))
    settings = known(GuestSettings(bound_to_host=("hostpci0",)), "x")
    facts = {each.vmid: GuestFacts(vmid=each.vmid, settings=settings) for each in guests}
    finding = found(replace(listing(WHOLE, guests=guests), guests=facts), "cluster.n1", "node/pve1")

    assert "20 of its guests could not be restarted elsewhere: 110 uses its node's own hostpci0" in finding.message
    assert finding.message.endswith("; and 12 more")


def test_when_quorum_goes_with_the_node_nobody_is_restarted() -> None:
    view = replace(members(WHOLE, pve3=False), device=known(None, "x"))
    view = listing(view, guests=(*listed(view).guests, guest(102, hastate="started")))

    assert "none of its 2 guests would be restarted" in found(view, "cluster.n1", "node/pve1").message
