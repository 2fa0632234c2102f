"""Clocks, services, certificates and disks: where exactly each check begins to complain."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from pvectl.core.model import Unknown
from pvectl.core.monitor.checks.evaluation import evaluate
from pvectl.core.monitor.finding import Severity
from pvectl.core.monitor.monitored import (
    Certificate,
    ClockReading,
    Disk,
    Membership,
    ServiceState,
    Subscription,
    ThinPool,
    ZfsPool,
)
from tests.core.monitor import troubles
from tests.core.monitor.cluster import (
    EPOCH,
    GIB,
    NODES,
    NOW,
    changed_node,
    judged,
    known,
)
from tests.core.monitor.troubles import WHOLE

HUNG = Unknown(reason="the node did not answer")
NO_DEVICE = known(None, "/cluster/config/qdevice")


@pytest.mark.parametrize(
    ("offset", "round_trip", "severity"),
    [
        (5, 0.0, "ok"),
        (6, 0.0, "warning"),
        (-6, 0.0, "warning"),
        (30, 0.0, "warning"),
        (31, 0.0, "critical"),
        # half of a round trip is no fault of the clock
        (10, 10.0, "ok"),
        (16, 10.0, "warning"),
    ],
)
def test_clocks(offset: int, round_trip: float, severity: str) -> None:
    assert judged(troubles.clock(offset, round_trip=round_trip), "node.clock", "node/pve1") == severity


def test_where_two_halves_disagree_our_own_clock_decides() -> None:
    ahead = known(ClockReading(told=EPOCH + 20, asked=EPOCH, answered=EPOCH + 0.1), "/nodes/N/time")
    view = replace(WHOLE, nodes=tuple(replace(node, clock=ahead) if node.name != "pve1" else node for node in WHOLE.nodes))

    assert [judged(view, "node.clock", f"node/{name}") for name in NODES] == ["ok", "warning", "warning"]


def test_when_our_own_clock_is_wrong_no_node_is_blamed() -> None:
    readings = known(ClockReading(told=EPOCH + 100, asked=EPOCH, answered=EPOCH + 0.1), "/nodes/N/time")
    view = replace(WHOLE, nodes=tuple(replace(node, clock=readings) for node in WHOLE.nodes))

    assert {judged(view, "node.clock", f"node/{name}") for name in NODES} == {"ok"}


@pytest.mark.parametrize(
    ("told", "severity"),
    [
        ({"active_state": "active"}, "ok"),
        ({"active_state": "activating"}, "ok"),
        ({"active_state": "inactive"}, "critical"),
        ({"active_state": "failed", "unit_state": "static"}, "critical"),
        ({"active_state": "inactive", "unit_state": "static"}, None),
        ({"active_state": "inactive", "unit_state": "disabled"}, None),
        ({"active_state": "inactive", "unit_state": "not-found"}, None),
        ({"active_state": "inactive", "unit_state": None}, "unknown"),
        ({"active_state": None, "state": "running"}, "ok"),
        ({"active_state": None, "state": "dead"}, "critical"),
        ({"active_state": None, "state": None}, "unknown"),
    ],
)
def test_services(told: dict[str, Any], severity: str | None) -> None:
    assert judged(troubles.service(**told), "node.services", "service/pve1/pveproxy") == severity


def test_services_that_may_be_down() -> None:
    assert judged(troubles.service("syslog"), "node.services", "service/pve1/syslog") is None
    assert judged(troubles.service("corosync"), "node.services", "service/pve1/corosync") == "critical"
    alone = replace(troubles.service("corosync"), membership=known(Membership(standalone=True), "/cluster/status"))
    assert judged(alone, "node.services", "service/pve1/corosync") is None


def test_a_node_without_any_service_is_not_fine() -> None:
    none: tuple[ServiceState, ...] = ()

    assert judged(changed_node(WHOLE, services=known(none, "/nodes/pve1/services")), "node.services", "node/pve1") == "unknown"


@pytest.mark.parametrize(("days", "severity"), [(30.1, "ok"), (30, "warning"), (7.1, "warning"), (7, "critical"), (0, "critical")])
def test_certificates(days: float, severity: str) -> None:
    assert judged(troubles.certificate(days), "node.cert", "certificate/pve1") == severity


def test_an_admins_own_certificate_is_the_one_that_counts() -> None:
    certificates = (
        Certificate(filename="pve-ssl.pem", not_after=NOW + timedelta(days=1)),
        Certificate(filename="pveproxy-ssl.pem", not_after=NOW + timedelta(days=90)),
    )

    assert judged(changed_node(WHOLE, certificates=known(certificates, "x")), "node.cert", "certificate/pve1") == "ok"


def test_a_node_that_lists_no_certificate_is_not_fine() -> None:
    none: tuple[Certificate, ...] = ()

    assert judged(changed_node(WHOLE, certificates=known(none, "x")), "node.cert", "node/pve1") == "unknown"


@pytest.mark.parametrize(
    ("status", "days", "severity"),
    [
        ("notfound", 1, None),
        ("new", 1, None),
        ("active", 31, "ok"),
        ("active", 30, "warning"),
        ("active", 7, "critical"),
        ("expired", 1, "warning"),
        (None, 1, "unknown"),
    ],
)
def test_subscriptions(status: str | None, days: float, severity: str | None) -> None:
    assert judged(troubles.subscription(status, days), "node.subscription", "node/pve1") == severity


def test_an_active_subscription_without_an_end_is_not_fine() -> None:
    view = changed_node(WHOLE, subscription=known(Subscription(status="active"), "x"))

    assert judged(view, "node.subscription", "node/pve1") == "unknown"


@pytest.mark.parametrize(
    ("health", "severity"),
    [("PASSED", "ok"), ("OK", "ok"), ("UNKNOWN", None), ("FAILED", "critical"), ("something new", "critical"), (None, "unknown")],
)
def test_smart(health: str | None, severity: str | None) -> None:
    assert judged(troubles.disk(health=health), "disk.smart", "disk/pve1/S-pve1") == severity


@pytest.mark.parametrize(
    ("left", "severity"), [(1.0, "ok"), (0.31, "ok"), (0.30, "warning"), (0.16, "warning"), (0.15, "critical"), (None, None)]
)
def test_wear_is_what_is_left(left: float | None, severity: str | None) -> None:
    assert judged(troubles.disk(life_left=left), "disk.wear", "disk/pve1/S-pve1") == severity


@pytest.mark.parametrize("serial", [None, "", "unknown", "same"])
def test_a_disk_without_a_serial_number_of_its_own_goes_by_its_device(serial: str | None) -> None:
    bad, good = Disk(path="/dev/nvme0n1", serial=serial, health="FAILED"), Disk(path="/dev/sdb", serial="same", health="PASSED")
    view = changed_node(WHOLE, disks=known((bad, good), "x"))

    assert judged(view, "disk.smart", "disk/pve1/nvme0n1") == "critical"
    assert judged(view, "disk.smart", "disk/pve1/sdb" if serial == "same" else "disk/pve1/same") == "ok"


@pytest.mark.parametrize(("health", "severity"), [("ONLINE", "ok"), ("DEGRADED", "critical"), ("FAULTED", "critical"), (None, "unknown")])
def test_zfs_pools(health: str | None, severity: str) -> None:
    assert judged(troubles.pool(health=health), "zfs.health", "zfs/pve1/rpool") == severity


def test_no_zfs_pool_is_no_healthy_pool() -> None:
    none: tuple[ZfsPool, ...] = ()
    evaluation = evaluate(replace(WHOLE, nodes=tuple(replace(n, zfs=known(none, "x")) for n in WHOLE.nodes)), only=("zfs.*",))

    assert {verdict.eligible for verdict in evaluation.verdicts} == {0}
    assert evaluation.severity is Severity.UNKNOWN


@pytest.mark.parametrize(("used", "severity"), [(80, "ok"), (81, "warning"), (90, "warning"), (91, "critical")])
def test_zfs_room(used: int, severity: str) -> None:
    assert judged(troubles.pool(used=used * GIB), "zfs.cap", "zfs/pve1/rpool") == severity


def test_what_a_pool_does_not_tell_is_not_fine() -> None:
    assert judged(troubles.pool(size=None), "zfs.cap", "zfs/pve1/rpool") == "unknown"
    assert judged(troubles.pool(fragmentation=None), "zfs.frag", "zfs/pve1/rpool") == "unknown"
    thin = changed_node(WHOLE, thin_pools=known((ThinPool(name="data", volume_group="pve"),), "x"))
    assert judged(thin, "lvmthin.meta", "thin-pool/pve1/pve/data") == "unknown"
