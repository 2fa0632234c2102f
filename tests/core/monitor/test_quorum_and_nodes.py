"""Quorum and nodes: where exactly each check begins to complain, and that it does not a hair before."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from pvectl.core.model import Unknown
from pvectl.core.monitor.checks.evaluation import evaluate
from pvectl.core.monitor.finding import Severity
from pvectl.core.monitor.monitored import (
    Membership,
    NodeStatus,
    Pressure,
    Remembered,
)
from tests.core.monitor import troubles
from tests.core.monitor.cluster import (
    GIB,
    ago,
    changed_node,
    found,
    guest,
    judged,
    known,
    known_members,
    listing,
    members,
    relisted,
    relisted_node,
    storages,
)
from tests.core.monitor.troubles import WHOLE, WITH_GUEST_LEVELS

HUNG = Unknown(reason="the node did not answer")
NO_DEVICE = known(None, "/cluster/config/qdevice")


@pytest.mark.parametrize(
    ("told", "live", "severity"),
    [
        (True, True, "ok"),
        (True, False, "critical"),
        (False, False, "critical"),
        (False, None, "critical"),
        (False, True, "warning"),
        (True, None, "unknown"),
        (None, True, "unknown"),
        (None, None, "unknown"),
    ],
)
def test_quorum_is_fine_only_when_both_sources_say_so(told: bool | None, live: bool | None, severity: str) -> None:
    view = replace(troubles.ha(quorate=live), membership=troubles.membership(quorate=told).membership)

    assert judged(view, "cluster.quorum", "cluster") == severity


def test_a_single_host_is_not_asked_for_quorum() -> None:
    alone = known(Membership(standalone=True, members=()), "/cluster/status")
    evaluation = evaluate(replace(WHOLE, membership=alone), only=("cluster.*",))

    assert {verdict.check: verdict.eligible for verdict in evaluation.verdicts} == {
        "cluster.quorum": 0,
        "cluster.qdevice": 0,
        "cluster.margin": 0,
        "cluster.n1": 0,
    }


@pytest.mark.parametrize(
    ("away", "device", "severity"),
    [
        ((), None, "ok"),
        (("pve3",), None, "warning"),
        # three nodes and a device with two votes: three of five have to be there
        ((), "Connected", "ok"),
        (("pve3",), "Connected", "ok"),
        (("pve2", "pve3"), "Connected", "warning"),
        ((), "Disconnected", "warning"),
    ],
)
def test_the_margin_counts_the_votes_that_are_left(away: tuple[str, ...], device: str | None, severity: str) -> None:
    view = replace(members(WHOLE, **dict.fromkeys(away, False)), device=known(device, "/cluster/config/qdevice"))

    assert judged(view, "cluster.margin", "cluster") == severity


def test_two_nodes_that_never_could_lose_one_are_no_news() -> None:
    view = replace(WHOLE, votes=known({"pve1": 1, "pve2": 1}, "/cluster/config/nodes"), device=NO_DEVICE)
    pair = troubles.membership(members=tuple(each for each in known_members(WHOLE) if each.name != "pve3"))

    assert judged(replace(view, membership=pair.membership), "cluster.margin", "cluster") == "ok"


def test_what_pvectl_switched_off_is_no_loss() -> None:
    view = replace(members(WHOLE, pve3=False), device=NO_DEVICE)
    assert judged(view, "cluster.margin", "cluster") == "warning"

    view = replace(view, remembered=Remembered(off={"pve3": ago(hours=1)}))
    assert judged(view, "cluster.margin", "cluster") == "ok"


def test_votes_of_another_set_of_nodes_are_not_counted() -> None:
    view = replace(WHOLE, votes=known({"pve1": 1}, "/cluster/config/nodes"))

    assert judged(view, "cluster.margin", "cluster") == "unknown"


def test_a_node_that_only_the_list_of_resources_calls_offline_is_offline() -> None:
    view = relisted_node(replace(WHOLE, membership=HUNG), status="offline")

    assert judged(view, "node.offline", "node/pve1") == "critical"
    assert judged(view, "node.offline", "node/pve2") == "unknown"


def test_a_node_nobody_lists_is_not_judged() -> None:
    view = listing(WHOLE, nodes=WHOLE.resources.value.nodes[1:])  # type: ignore[union-attr]

    assert judged(view, "node.cpu", "node/pve1") == "unknown"
    assert judged(view, "node.stats_stale", "node/pve1") == "unknown"


def test_an_offline_node_makes_its_own_checks_unknown_and_is_the_cause() -> None:
    view = relisted_node(members(WHOLE, pve1=False), status="offline", cpu=None, mem=None)
    view = changed_node(view, status=HUNG, clock=HUNG)

    evaluation = evaluate(view)
    causes = {each.cause for each in evaluation.findings if each.severity is Severity.UNKNOWN and each.object == "node/pve1"}

    assert causes == {"node.offline/node/pve1"}
    assert [each.id for each in evaluation.own if each.severity is Severity.CRITICAL] == ["node.offline/node/pve1"]


def test_a_node_that_is_not_heard_of_explains_what_it_does_not_tell() -> None:
    view = relisted_node(WHOLE, status="unknown", cpu=None, mem=None)
    view = relisted(view, status="unknown")
    view = listing(
        view, storages=tuple(replace(each, status="unknown", disk=None) if each.node == "pve1" else each for each in storages(view))
    )

    evaluation = evaluate(view)
    blind = {each.id: each.cause for each in evaluation.findings if each.severity is Severity.UNKNOWN}

    assert blind["node.cpu/node/pve1"] == blind["node.mem/node/pve1"] == "node.stats_stale/node/pve1"
    assert blind["guest.onboot_stopped/guests"] == "node.stats_stale/node/pve1"
    assert blind["storage.usage/storage/pve1/local"] == "node.stats_stale/node/pve1"
    assert evaluation.counts.warning == 1
    assert evaluation.counts.unknown == 0


@pytest.mark.parametrize(("share", "severity"), [(0.8, "ok"), (0.9, "ok"), (0.9001, "warning"), (0.95, "warning"), (0.9501, "critical")])
def test_processors(share: float, severity: str) -> None:
    assert judged(relisted_node(WHOLE, cpu=share), "node.cpu", "node/pve1") == severity


@pytest.mark.parametrize(("share", "lingers"), [(0.8, False), (0.81, True), (0.9, True), (0.91, False)])
def test_what_is_between_its_levels_is_told_to_linger(share: float, lingers: bool) -> None:
    assert found(relisted_node(WHOLE, cpu=share), "node.cpu", "node/pve1").lingers is lingers


def test_zfs_cache_is_named_where_memory_is_told() -> None:
    assert "3% of it ZFS's cache" in found(WHOLE, "node.mem", "node/pve1").message
    without = changed_node(WHOLE, pressure=known(None, "/nodes/pve1/rrddata"))
    assert "ZFS" not in found(without, "node.mem", "node/pve1").message


@pytest.mark.parametrize(("used", "severity"), [(85, "ok"), (86, "warning"), (95, "warning"), (96, "critical")])
def test_root_file_system(used: int, severity: str) -> None:
    assert judged(troubles.node_status(root_used=used * GIB), "node.rootfs", "node/pve1") == severity


@pytest.mark.parametrize("size", [0, None])
def test_a_root_file_system_without_a_size_is_not_fine(size: int | None) -> None:
    fact = known(NodeStatus(root_used=1, root_total=size), "/nodes/pve1/status")

    assert judged(changed_node(WHOLE, status=fact), "node.rootfs", "node/pve1") == "unknown"


@pytest.mark.parametrize(("used", "total", "severity"), [(0, 0, None), (9, 10, "ok"), (10, 10, "warning"), (None, 10, "unknown")])
def test_swap_is_judged_where_there_is_some(used: int | None, total: int, severity: str | None) -> None:
    fact = known(NodeStatus(swap_used=used, swap_total=total), "/nodes/pve1/status")

    assert judged(changed_node(WHOLE, status=fact), "node.swap", "node/pve1") == severity


@pytest.mark.parametrize(("wait", "severity"), [(0.1, "ok"), (0.11, "warning"), (0.3, "warning"), (0.31, "critical")])
def test_waiting_for_disks(wait: float, severity: str) -> None:
    assert judged(troubles.node_status(wait=wait), "node.iowait", "node/pve1") == severity


@pytest.mark.parametrize(
    ("pressure", "severity"),
    [(None, None), (Pressure(), "unknown"), (Pressure(io_full=0.1), "ok"), (Pressure(io_full=0.2), "warning")],
)
def test_pressure_is_judged_where_this_release_tells_it(pressure: Pressure | None, severity: str | None) -> None:
    assert judged(changed_node(WHOLE, pressure=known(pressure, "/nodes/pve1/rrddata")), "node.psi_io", "node/pve1") == severity


def test_a_node_pvectl_switched_off_is_neither_missed_nor_blind() -> None:
    view = relisted_node(members(WHOLE, pve3=False), "pve3", status="offline", cpu=None)
    view = replace(changed_node(view, "pve3", status=HUNG), remembered=Remembered(off={"pve3": ago(hours=1)}))
    view = listing(view, guests=(*view.resources.value.guests, guest(300, node="pve3", status="unknown")))  # type: ignore[union-attr]

    evaluation = evaluate(view)
    assert not [each for each in evaluation.findings if "pve3" in each.object and each.severity is not Severity.OK]
    assert evaluation.severity_of("node.offline", "node/pve3") is None


def test_what_pve_repeats_of_a_lost_node_is_not_believed() -> None:
    view = members(relisted(WHOLE, status="stopped"), pve1=False)

    assert judged(view, "guest.onboot_stopped", "guest/100") == "unknown"
    assert judged(relisted_node(relisted(WHOLE, cpu=1.0), status="offline"), "guest.cpu", "guest/100", WITH_GUEST_LEVELS) == "unknown"


def test_a_node_that_came_back_is_watched_again() -> None:
    view = replace(WHOLE, remembered=Remembered(off={"pve3": ago(hours=1)}))

    assert judged(view, "node.offline", "node/pve3") == "ok"
