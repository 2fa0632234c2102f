"""Every check that measures, at its levels: what lies on one side of each, on it, and on the other."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from msgspec.structs import replace

from pvectl.core.monitor.checks.evaluation import evaluate
from pvectl.core.monitor.checks.registry import CHECKS
from pvectl.core.monitor.checks.settings import DAY, HOUR
from pvectl.core.monitor.finding import Unit
from pvectl.core.monitor.monitored import Delivery, MonitorView, Remembered
from tests.core.monitor import troubles
from tests.core.monitor.cluster import EVERYTHING, GIB, NOW, relisted, relisted_node, relisted_storage
from tests.core.monitor.troubles import WHOLE, WITH_GUEST_LEVELS

NODE, GUEST, CLUSTER = "node/pve1", "guest/100", "cluster"
WHOLE_TIB = 1024 * GIB


def clock(seconds: float) -> MonitorView:
    """A whole second of doubt is taken off; what is measured is what lies beyond it."""
    return troubles.clock(round(seconds), round_trip=0.0)


def waiting(seconds: float) -> MonitorView:
    return replace(WHOLE, remembered=Remembered(delivery=Delivery(oldest=NOW - timedelta(seconds=seconds))))


def disarmed(seconds: float) -> MonitorView:
    return replace(troubles.ha(armed="disarmed"), remembered=Remembered(disarmed_since=NOW - timedelta(seconds=seconds)))


def replicated(periods: float) -> MonitorView:
    return troubles.replica(last_sync=NOW - timedelta(minutes=15 * periods), next_sync=NOW + timedelta(minutes=15))


MEASURED: dict[str, tuple[str, Callable[[float], MonitorView]]] = {
    "node.cpu": (NODE, lambda share: relisted_node(WHOLE, cpu=share)),
    "node.mem": (NODE, lambda share: relisted_node(WHOLE, mem=int(share * WHOLE_TIB), maxmem=WHOLE_TIB)),
    "node.rootfs": (NODE, lambda share: troubles.node_status(root_used=int(share * WHOLE_TIB), root_total=WHOLE_TIB)),
    "node.swap": (NODE, lambda share: troubles.node_status(swap_used=int(share * WHOLE_TIB), swap_total=WHOLE_TIB)),
    "node.iowait": (NODE, lambda share: troubles.node_status(wait=share)),
    "node.psi_cpu": (NODE, lambda share: troubles.node_pressure(cpu_some=share)),
    "node.psi_io": (NODE, lambda share: troubles.node_pressure(io_full=share)),
    "node.psi_memory": (NODE, lambda share: troubles.node_pressure(memory_full=share)),
    "node.clock": (NODE, clock),
    "node.cert": ("certificate/pve1", troubles.certificate),
    "node.subscription": (NODE, lambda days: troubles.subscription("active", days)),
    "disk.wear": ("disk/pve1/S-pve1", lambda share: troubles.disk(life_left=share)),
    "zfs.frag": ("zfs/pve1/rpool", lambda share: troubles.pool(fragmentation=share)),
    "zfs.cap": ("zfs/pve1/rpool", lambda share: troubles.pool(used=int(share * WHOLE_TIB), size=WHOLE_TIB)),
    "lvmthin.meta": ("thin-pool/pve1/pve/data", troubles.thin_pool),
    "storage.usage": ("storage/nfs", lambda share: relisted_storage(WHOLE, disk=int(share * WHOLE_TIB), maxdisk=WHOLE_TIB)),
    "storage.days_to_full": ("storage/nfs", troubles.filling),
    "guest.cpu": (GUEST, lambda share: relisted(WHOLE, cpu=share)),
    "guest.mem": (GUEST, lambda share: relisted(WHOLE, mem=int(share * WHOLE_TIB), maxmem=WHOLE_TIB)),
    "guest.snapshot_age": (GUEST, lambda seconds: troubles.snapshot(seconds / DAY)),
    "guest.lock_age": (GUEST, lambda seconds: troubles.locked(timedelta(seconds=seconds), working=True)),
    "guest.lock_orphan": (GUEST, lambda seconds: troubles.locked(timedelta(seconds=seconds))),
    "backup.age": (GUEST, lambda seconds: troubles.backups(troubles.backup(seconds / HOUR))),
    "replication.failed": ("replication/101-0", lambda times: troubles.replica(fail_count=round(times))),
    "replication.age": ("replication/101-0", replicated),
    "ha.disarmed": (CLUSTER, disarmed),
    "self.delivery": ("outbox", waiting),
}
STEPS = {Unit.RATIO: 0.001, Unit.SECONDS: 1.0, Unit.DAYS: 0.01, Unit.COUNT: 1.0}
SETTINGS = {"guest.cpu": WITH_GUEST_LEVELS, "guest.mem": WITH_GUEST_LEVELS}
LEVELS = {
    # daily at 02:00: once and a half, and three times a day
    "backup.age": (36 * HOUR, 72 * HOUR),
    "replication.age": (2.0, None),
}
"""Where the levels are not told in what is measured."""
STEP = {"node.clock": 1.0, "storage.days_to_full": 1.0, "replication.age": 0.01}


def test_every_check_that_measures_is_measured_here() -> None:
    assert {check.id for check in CHECKS.values() if check.unit is not None} == MEASURED.keys()


@pytest.mark.parametrize("check", MEASURED)
def test_a_check_turns_exactly_at_its_levels(check: str) -> None:
    object_, view = MEASURED[check]
    settings = SETTINGS.get(check, EVERYTHING)
    told, line = settings.thresholds.of(check), CHECKS[check]
    warn, crit = LEVELS.get(check, (told.warn, told.crit))
    assert line.unit is not None
    step = STEP.get(check, STEPS[line.unit])
    worse = -step if line.falling else step
    # a count, and a value that falls, is bad on its level; a value that rises only beyond it
    on_it = line.falling or line.unit is Unit.COUNT

    def stands(value: float) -> str | None:
        return evaluate(view(value), settings, only=(check,)).severity_of(check, object_)

    if warn is not None:
        assert (stands(warn - worse), stands(warn), stands(warn + worse)) == ("ok", "warning" if on_it else "ok", "warning")
    if crit is not None:
        below = "ok" if warn is None else "warning"
        assert (stands(crit - worse), stands(crit), stands(crit + worse)) == (below, "critical" if on_it else below, "critical")
