"""What is known about a node at the simulated cluster and at fakepve, over TLS: the same, as far as fakepve serves it at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pvectl import observe
from pvectl.clock import SystemClock
from pvectl.core.evidence import NodeEvidence
from pvectl.core.model import Known, Unknown
from pvectl.core.secret import Secret
from pvectl.pve.client import ProxmoxClient
from pvectl.pve.transport import Connection, Deadline, Trust
from tests.contract.exchange import Door
from tests.contract.side_by_side import FULL, SECRET, both_doors
from tests.observe.world import FACTS, IN_A_RACK


def told(door: Door, folder: Path, node: str) -> NodeEvidence:
    connection = Connection(
        cluster="lab",
        hosts=(f"{door.host}:{door.port}",),
        token_id=FULL,
        token=Secret(SECRET),
        trust=Trust(ca_file=str(folder / "ca.pem")),
    )
    asking = observe.Asking(clock=True, wake=True, machine=lambda: IN_A_RACK)
    with ProxmoxClient.get_instance(connection, deadline=Deadline(30), read_only=True) as client:
        seen = observe.glance(client, SystemClock())
        return observe.node_evidence(client, SystemClock(), seen, [node], asking=asking)[node]


def plain(found: NodeEvidence, fact: str) -> Any:
    """A fact without what belongs to the moment, or to the machine a fake was made on."""
    value = getattr(found, fact).value
    if fact == "guests":
        # its netstat has the same rows on every node, so that guest 100 seems to be on its way to all
        here = [guest for guest in value if guest.status != "inmigrate"]
        return [(guest.vmid, guest.type, guest.node, guest.name, guest.status, guest.tags, guest.lock, guest.template) for guest in here]
    if fact == "members":
        return [(member.name, member.online, member.votes) for member in value]
    return type(value) if fact in ("uptime", "node_time_off") else value


@pytest.mark.slow
@pytest.mark.parametrize("node", ["pve1", "pve2"])
def test_the_same_is_known_of_a_node_at_both_or_the_fake_does_not_serve_it(tmp_path: Path, node: str) -> None:
    with both_doors(tmp_path, speed=1) as (stage, theirs):
        ours, other = told(stage.door, tmp_path, node), told(theirs, tmp_path, node)
    assert (ours.status, ours.cluster, ours.blind_spots) == (other.status, other.cluster, ())
    unserved = {fact for fact in FACTS if isinstance(getattr(other, fact), Unknown)}
    # its token list shows no rights at the roots, and its HA and Ceph pages are made of the words "fake" and "pve1"
    assert unserved <= {"tasks", "served", "ha", "ceph"}
    assert all(getattr(other, fact).source for fact in unserved)
    # its jobs are made up, whatever guests it has
    for fact in sorted(set(FACTS) - unserved - {"backups", "replication"}):
        assert isinstance(getattr(ours, fact), Known)
        assert plain(ours, fact) == plain(other, fact), fact


@pytest.mark.slow
def test_a_node_that_is_off_is_off_at_both(tmp_path: Path) -> None:
    with both_doors(tmp_path, speed=1) as (stage, theirs):
        for door in (stage.door, theirs):
            found = told(door, tmp_path, "pve3")
            assert found.status == "offline"
            assert all(isinstance(getattr(found, fact), Unknown) for fact in ("guests", "tasks", "uptime", "node_time_off"))
            assert found.blind_spots
