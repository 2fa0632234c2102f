"""Each source fails in each way, one by one: its facts are unknown and name it, and nothing else changes (safety rule S2)."""

from __future__ import annotations

from typing import Any

import pytest

from pvectl import observe
from pvectl.core.model import Unknown
from tests.observe import world
from tests.observe.world import NODE, evidence, told, unknown
from tests.support.labs import lab

WORLD = {**world.WORLD, "now": 1_795_388_000}
HERE = f"/nodes/{NODE}"
ON_RIGHTS = {"registered_tags", "ha_shutdown_policy", "tasks", "incoming", "served"}
SOURCES: dict[str, set[str]] = {
    "/cluster/ha/status/current": {"ha"},
    "/cluster/options": {"registered_tags", "tags_case_sensitive", "ha_shutdown_policy"},
    "/cluster/backup": {"backups"},
    "/cluster/ceph/metadata": {"ceph"},
    "/storage": {"served"},
    "/cluster/config/nodes": {"members", "served"},
    "/cluster/config/qdevice": {"device"},
    "/cluster/replication": {"replication"},
    "/cluster/tasks": {"incoming"},
    "/access/acl": {"served"},
    "/access/permissions": ON_RIGHTS,
    f"{HERE}/status": {"uptime"},
    f"{HERE}/qemu": {"guests"},
    f"{HERE}/lxc": {"guests"},
    f"{HERE}/netstat": set(),
    f"{HERE}/time": {"node_time_off"},
    f"{HERE}/config": {"wakeonlan"},
    f"{HERE}/replication": {"replication"},
    f"{HERE}/tasks": {"tasks"},
}
PROOF = {"/access/acl", "/access/permissions", f"{HERE}/qemu", f"{HERE}/lxc", f"{HERE}/netstat"}
"""What the proof of completeness rests on."""
NODES_OWN = {"uptime", "guests", "node_time_off", "wakeonlan", "replication", "tasks"}
DENIED: dict[str, Any] = {"code": 403, "reason": "Permission check failed (/somewhere, Sys.Audit)"}
FAULTS: dict[str, tuple[str, dict[str, Any]]] = {
    "403": ("status", DENIED),
    "500": ("status", {"code": 500, "reason": "got no worker upid"}),
    "501": ("status", {"code": 501, "reason": "Method not implemented"}),
    "595": ("status", {"code": 595, "reason": "Connection refused"}),
    "html": ("html", {}),
    "null": ("null_body", {}),
    "no data": ("no_data", {}),
    "a text": ("body", {"body": '{"data":"pve"}'}),
    "odd rows": ("body", {"body": '{"data":[{"odd":[]},{"type":7}]}'}),
    "truncated": ("truncate", {"keep": 40}),
}


def healthy() -> dict[str, Any]:
    with lab(WORLD, speed=0) as one:
        found = evidence(one)
        assert unknown(found) == {}
        assert found.blind_spots == ()
        return told(found)


@pytest.fixture(scope="module")
def as_it_is() -> dict[str, Any]:
    return healthy()


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.slow
def test_s02_a_source_that_refuses_leaves_its_facts_unknown_and_no_others(source: str, as_it_is: dict[str, Any]) -> None:
    spoil(source, "500", as_it_is)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in FAULTS if name != "500"])
@pytest.mark.parametrize("source", SOURCES)
def test_s02_a_source_that_fails_in_any_way_leaves_its_facts_unknown_and_no_others(
    source: str, name: str, as_it_is: dict[str, Any]
) -> None:
    spoil(source, name, as_it_is)


def spoil(source: str, name: str, as_it_is: dict[str, Any]) -> None:
    kind, details = FAULTS[name]
    with lab(WORLD, speed=0) as one:
        one.server.fault(kind, path=source, **details)
        found = evidence(one)
        lost = unknown(found)
        # a node that is not to be reached is not asked any further
        silent = name == "595" and source.startswith(HERE)
        assert SOURCES[source] <= set(lost) <= SOURCES[source] | (NODES_OWN if silent else set())
        assert all(fact.source is not None for fact in lost.values()), lost
        if not silent:
            assert bool(found.blind_spots) is (source in PROOF), found.blind_spots
            assert source in PROOF or all(str(fact.source).startswith(source) for fact in lost.values()), lost
        # whether a backup concerns the node depends on its guests
        kept = {fact: known for fact, known in told(found).items() if fact not in ("node_time_off", "backups")}
        assert kept == {fact: as_it_is[fact] for fact in kept}
        assert one.wrote() == []


@pytest.mark.slow
@pytest.mark.parametrize("source", [source for source in SOURCES if source != "/access/permissions"])
def test_s02_a_missing_privilege_is_named(source: str) -> None:
    with lab(WORLD, speed=0) as one:
        one.server.fault("status", path=source, **DENIED)
        found = evidence(one)
        reasons = [lost.reason for lost in unknown(found).values()] + [spot.reason for spot in found.blind_spots or ()]
        assert reasons
        assert all("lacks Sys.Audit on /somewhere" in reason or "Permission check failed" in reason for reason in reasons), reasons


@pytest.mark.parametrize(
    ("source", "lost"), [("/cluster/resources", {"guests"}), ("/cluster/status", {"standalone", "quorate", "members"})]
)
def test_s02_a_look_that_half_fails_leaves_that_half_unknown(source: str, lost: set[str]) -> None:
    with lab(WORLD, speed=0) as one:
        one.server.fault("status", path=source, code=500, reason="no such luck")
        cheap = observe.at_a_glance(observe.glance(one.client, one.clock), NODE)
        read_later = {name for name, fact in unknown(cheap).items() if fact.source is None}
        assert set(unknown(cheap)) - read_later == lost
        assert cheap.status == "online"
        for name in lost:
            fact = getattr(cheap, name)
            assert isinstance(fact, Unknown)
            assert (fact.source, fact.reason) == (source, f"GET {source}: no such luck")


def test_s01_without_the_clusters_list_there_is_no_proof_and_no_word_on_moves() -> None:
    with lab(WORLD, speed=0) as one:
        one.server.fault("status", path="/cluster/resources", code=500, reason="no such luck")
        found = evidence(one)
        assert found.blind_spots
        assert set(unknown(found)) == {"incoming", "replication", "ceph"}


def test_s02_without_the_clusters_page_nothing_is_said_of_members_and_quorum() -> None:
    with lab(WORLD, speed=0) as one:
        one.server.fault("status", path="/cluster/status", code=500, reason="no such luck")
        assert set(unknown(evidence(one))) == {"standalone", "quorate", "members", "way_out"}
