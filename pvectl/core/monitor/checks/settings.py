"""From where on the checks complain: the levels with their defaults, and what an admin may change about them."""

# no `from __future__ import annotations` here: the configuration's schema evaluates these annotations

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct, field

from pvectl.core.monitor.finding import NO_LEVELS, Levels

MINUTE = 60.0
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def _check_id(name: str) -> str:
    return name.replace("_", ".", 1)


class Thresholds(Struct, frozen=True, kw_only=True, rename=_check_id):
    """The levels of every check that measures something, by the check's id."""

    node_cpu: Annotated[Levels, Meta(description="Share of a node's processors in use, 0 to 1.")] = Levels(warn=0.90, crit=0.95, clear=0.80)
    node_mem: Annotated[Levels, Meta(description="Share of a node's memory in use, 0 to 1; ZFS's cache counts as used.")] = Levels(
        warn=0.90, crit=0.95, clear=0.85
    )
    node_rootfs: Annotated[Levels, Meta(description="Share of a node's root file system in use, 0 to 1.")] = Levels(warn=0.85, crit=0.95)
    node_swap: Annotated[Levels, Meta(description="Share of a node's swap space in use, 0 to 1.")] = Levels(warn=0.90)
    node_iowait: Annotated[Levels, Meta(description="Share of time a node's processors wait for disks, 0 to 1.")] = Levels(
        warn=0.10, crit=0.30
    )
    node_psi_cpu: Annotated[Levels, Meta(description="Share of time some task waits for a processor, 0 to 1 (PVE 9).")] = Levels(
        warn=0.40, crit=0.70
    )
    node_psi_io: Annotated[Levels, Meta(description="Share of time all tasks wait for disks, 0 to 1 (PVE 9).")] = Levels(
        warn=0.10, crit=0.30
    )
    node_psi_memory: Annotated[Levels, Meta(description="Share of time all tasks wait for memory, 0 to 1 (PVE 9).")] = Levels(
        warn=0.05, crit=0.15
    )
    node_clock: Annotated[
        Levels, Meta(description="Seconds a node's clock is off the others', round trip taken off; below 3 is noise.")
    ] = Levels(warn=5.0, crit=30.0)
    node_cert: Annotated[Levels, Meta(description="Days a node's certificate is still valid.")] = Levels(warn=30.0, crit=7.0)
    node_subscription: Annotated[Levels, Meta(description="Days an active subscription still runs.")] = Levels(warn=30.0, crit=7.0)
    disk_wear: Annotated[Levels, Meta(description="Share of a disk's life that is left, 0 to 1.")] = Levels(warn=0.30, crit=0.15)
    zfs_frag: Annotated[Levels, Meta(description="Fragmentation of a ZFS pool's free space, 0 to 1.")] = Levels(warn=0.60, crit=0.80)
    zfs_cap: Annotated[Levels, Meta(description="Share of a ZFS pool in use, 0 to 1.")] = Levels(warn=0.80, crit=0.90)
    lvmthin_meta: Annotated[Levels, Meta(description="Share of a thin pool's metadata in use, 0 to 1.")] = Levels(warn=0.80, crit=0.95)
    storage_usage: Annotated[Levels, Meta(description="Share of a storage in use, 0 to 1.")] = Levels(
        warn=0.80, crit=0.95, clear=0.78, clear_crit=0.90
    )
    storage_days_to_full: Annotated[
        Levels, Meta(description="Days until a storage is full if it goes on as in the last month; only told above 60 % use.")
    ] = Levels(warn=30.0, crit=7.0)
    guest_cpu: Annotated[Levels, Meta(description="Share of a guest's processors in use, 0 to 1; off unless levels are given.")] = NO_LEVELS
    guest_mem: Annotated[
        Levels, Meta(description="Share of a guest's memory in use, 0 to 1; off unless levels are given: without a balloon it is near 1.")
    ] = NO_LEVELS
    guest_lock_age: Annotated[Levels, Meta(description="Seconds a guest has been locked.")] = Levels(warn=6 * HOUR, crit=24 * HOUR)
    guest_lock_orphan: Annotated[Levels, Meta(description="Seconds a guest has been locked while no task works on it.")] = Levels(
        warn=30 * MINUTE
    )
    guest_snapshot_age: Annotated[Levels, Meta(description="Seconds a snapshot has been kept.")] = Levels(warn=7 * DAY, crit=30 * DAY)
    backup_age: Annotated[Levels, Meta(description="Age of a guest's newest backup, in periods of its own schedule.")] = Levels(
        warn=1.5, crit=3.0
    )
    backup_floor: Annotated[Levels, Meta(description="Seconds a backup may always be old, however often its job runs.")] = Levels(
        warn=26 * HOUR, crit=50 * HOUR
    )
    replication_failed: Annotated[Levels, Meta(description="How often in a row a replication has failed.")] = Levels(warn=1, crit=3)
    replication_age: Annotated[Levels, Meta(description="Age of a replica, in periods of its schedule.")] = Levels(warn=2.0)
    ha_disarmed: Annotated[Levels, Meta(description="Seconds the HA manager has been disarmed.")] = Levels(warn=2 * HOUR)
    self_delivery: Annotated[Levels, Meta(description="Seconds a message has been waiting to be delivered.")] = Levels(crit=HOUR)

    def of(self, check: str) -> Levels:
        """The levels of a check; none for one that does not measure."""
        levels = getattr(self, check.replace(".", "_"), NO_LEVELS)
        assert isinstance(levels, Levels)
        return levels


class Override(Struct, frozen=True, kw_only=True):
    """Other rules for some objects. What is given has to fit together; what is not given fits everything. The last one that fits wins."""

    check: Annotated[str, Meta(description="A check's id, with * and ? as wildcards.", examples=["storage.usage", "backup.*"])] = "*"
    object: Annotated[
        str | None, Meta(description="An object, with * and ? as wildcards.", examples=["storage/pve1/local", "guest/100"])
    ] = None
    tag: Annotated[str | None, Meta(description="A tag of the guest.", examples=["lab"])] = None
    pool: Annotated[str | None, Meta(description="The pool the guest is in.")] = None
    node: Annotated[str | None, Meta(description="The node it is on.")] = None
    enabled: Annotated[bool | None, Meta(description="False: not checked there. True: checked there although it is off otherwise.")] = None
    warn: Annotated[float | None, Meta(description="From where on it is a warning.")] = None
    crit: Annotated[float | None, Meta(description="From where on it is critical.")] = None
    clear: Annotated[float | None, Meta(description="Where a warning ends.")] = None
    clear_crit: Annotated[float | None, Meta(description="Where critical ends.")] = None


class MonitorSettings(Struct, frozen=True, kw_only=True):
    """How the monitor judges."""

    thresholds: Annotated[Thresholds, Meta(description="The levels, by the check's id.")] = Thresholds()
    overrides: Annotated[tuple[Override, ...], Meta(description="Other levels for some objects, by id, tag, pool or node.")] = ()
    disable: Annotated[
        tuple[str, ...],
        Meta(description="Ids of checks or of findings to leave out, with * and ? as wildcards.", examples=[["node.swap", "*/node/pve3"]]),
    ] = ()
    enable: Annotated[
        tuple[str, ...], Meta(description="Ids of checks that are off by default.", examples=[["node.updates", "node.subscription"]])
    ] = ()
    exempt_tags: Annotated[
        Mapping[str, tuple[str, ...]],
        Meta(description="Guests with one of these tags are left out of the checks named, with * and ? as wildcards."),
    ] = field(default_factory=lambda: {"backup.*": ("no-backup",)})
    ignored_services: Annotated[tuple[str, ...], Meta(description="Services of a node that may be down.")] = ("syslog", "rsyslog")
    ignored_tasks: Annotated[tuple[str, ...], Meta(description="Types of tasks that may fail: consoles are closed by people.")] = (
        "vncproxy",
        "vncshell",
        "termproxy",
        "spiceproxy",
        "spiceshell",
    )
    onboot_patience: Annotated[
        float, Meta(description="Seconds a node may be up before its guests that start at boot have to run.", ge=0)
    ] = 15 * MINUTE
    oldest_answer: Annotated[float, Meta(description="Seconds after which an answer counts for nothing.", ge=0)] = 15 * MINUTE
    oldest_slow_answer: Annotated[
        float, Meta(description="The same for what is asked hourly, or once a day: disks, certificates, snapshots, backups.", ge=0)
    ] = 26 * HOUR
    failover_of: Annotated[
        str, Meta(description="Whose restart elsewhere is checked: guests of the HA manager (ha), or all that run.", pattern="^(ha|all)$")
    ] = "ha"
