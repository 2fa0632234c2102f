"""Storages and guests: where exactly each check begins to complain."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from pvectl.core.model import Unknown
from pvectl.core.monitor.checks.settings import MonitorSettings
from pvectl.core.monitor.monitored import (
    GuestSettings,
    MountedStorage,
    Remembered,
)
from tests.core.monitor import troubles
from tests.core.monitor.cluster import (
    GIB,
    ago,
    changed_guest,
    changed_node,
    found,
    judged,
    known,
    listing,
    relisted,
    relisted_node,
    relisted_storage,
    storages,
)
from tests.core.monitor.troubles import WHOLE, WITH_GUEST_LEVELS

HUNG = Unknown(reason="the node did not answer")
NO_DEVICE = known(None, "/cluster/config/qdevice")


@pytest.mark.parametrize(
    ("used", "severity", "lingers"), [(780, "ok", False), (790, "ok", True), (801, "warning", False), (951, "critical", False)]
)
def test_storages(used: int, severity: str, lingers: bool) -> None:
    finding = found(relisted_storage(WHOLE, disk=used * GIB), "storage.usage", "storage/nfs")

    assert (finding.severity, finding.lingers) == (severity, lingers)


def test_a_storage_that_has_no_size_by_nature_is_left_out() -> None:
    view = relisted_storage(WHOLE, plugintype="iscsi", disk=0, maxdisk=0)

    assert judged(view, "storage.usage", "storage/nfs") is None
    assert judged(view, "storage.days_to_full", "storage/nfs") is None


def test_a_storage_that_nodes_see_differently_is_as_full_as_the_fullest_says() -> None:
    view = listing(WHOLE, storages=tuple(replace(each, disk=990 * GIB) if each.node == "pve2" else each for each in storages(WHOLE)))

    assert judged(view, "storage.usage", "storage/nfs") == "critical"


def test_a_storage_one_node_does_not_see_is_judged_by_the_others() -> None:
    view = listing(
        WHOLE, storages=tuple(replace(each, status="unknown", disk=None) if each.node == "pve1" else each for each in storages(WHOLE))
    )

    assert judged(view, "storage.usage", "storage/nfs") == "ok"


@pytest.mark.parametrize(
    ("enabled", "active", "severity"),
    [(True, True, "ok"), (True, False, "critical"), (False, False, None), (None, True, "unknown"), (True, None, "unknown")],
)
def test_storages_that_should_be_there(enabled: bool | None, active: bool | None, severity: str | None) -> None:
    storage = MountedStorage(storage="nfs", enabled=enabled, active=active)

    assert judged(changed_node(WHOLE, storages=known((storage,), "x")), "storage.inactive", "storage/pve1/nfs") == severity


@pytest.mark.parametrize(
    ("told", "uptime", "severity"),
    [
        ({"status": "running"}, 86400, "ok"),
        ({"status": "paused"}, 86400, "ok"),
        ({"status": "stopped"}, 86400, "warning"),
        ({"status": "stopped"}, 900, "ok"),
        ({"status": "stopped"}, 901, "warning"),
        ({"status": "stopped"}, None, "unknown"),
        ({"status": "stopped", "lock": "backup"}, 86400, "ok"),
        ({"status": "stopped", "hastate": "stopped"}, 86400, "ok"),
        ({"status": "stopped", "hastate": "started"}, 86400, "warning"),
        ({"status": "stopped", "template": None}, 86400, "unknown"),
        ({"status": "stopped", "template": True}, 86400, None),
        ({"status": "unknown"}, 86400, "unknown"),
    ],
)
def test_guests_that_start_at_boot(told: dict[str, Any], uptime: int | None, severity: str | None) -> None:
    view = relisted_node(relisted(WHOLE, **told), uptime=uptime)

    assert judged(view, "guest.onboot_stopped", "guest/100") == severity


def test_a_guest_pvectl_shut_down_itself_is_not_missed() -> None:
    view = replace(relisted(WHOLE, status="stopped"), remembered=Remembered(stopped={100: ago(hours=1)}))

    assert judged(view, "guest.onboot_stopped", "guest/100") is None


def test_a_guest_that_does_not_start_at_boot_may_be_stopped() -> None:
    view = changed_guest(relisted(WHOLE, status="stopped"), settings=known(GuestSettings(onboot=False), "x"))

    assert judged(view, "guest.onboot_stopped", "guest/100") is None


def test_a_stopped_guest_is_never_compared() -> None:
    view = relisted(WHOLE, status="stopped", cpu=0.99, mem=2 * GIB)

    assert judged(view, "guest.cpu", "guest/100", WITH_GUEST_LEVELS) is None
    assert judged(view, "guest.mem", "guest/100", WITH_GUEST_LEVELS) is None


def test_guests_are_not_compared_by_default() -> None:
    assert judged(relisted(WHOLE, cpu=1.0), "guest.cpu", "guest/100", MonitorSettings()) is None


@pytest.mark.parametrize(("days", "severity"), [(7, "ok"), (7.1, "warning"), (30, "warning"), (30.1, "critical")])
def test_snapshots(days: float, severity: str) -> None:
    assert judged(troubles.snapshot(days), "guest.snapshot_age", "guest/100") == severity


def test_a_guest_without_snapshots_is_fine() -> None:
    view = changed_guest(WHOLE, snapshots=known((), "x"))

    assert judged(view, "guest.snapshot_age", "guest/100") == "ok"


def test_a_guest_that_nothing_is_heard_of_is_not_fine() -> None:
    view = relisted(WHOLE, status="unknown", cpu=None, mem=None)

    assert judged(view, "guest.cpu", "guest/100", WITH_GUEST_LEVELS) == "unknown"
    assert judged(view, "guest.mem", "guest/100", WITH_GUEST_LEVELS) == "unknown"


def test_whatever_runs_in_some_way_is_compared() -> None:
    view = relisted(WHOLE, status="paused", cpu=0.99, mem=2 * GIB)

    assert judged(view, "guest.cpu", "guest/100", WITH_GUEST_LEVELS) == "critical"
    assert judged(view, "guest.mem", "guest/100", WITH_GUEST_LEVELS) == "critical"
