"""The closed table of all checks; their ids stay the same for ever."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from pvectl.core.monitor.checks import (
    backups,
    ceph,
    clocks,
    disks,
    failover,
    guests,
    ha,
    locks,
    nodes,
    own,
    quorum,
    replication,
    services,
    storages,
    tasks,
    upkeep,
)
from pvectl.core.monitor.checks.check import Check
from pvectl.core.monitor.checks.look import COVERAGE, Rules
from pvectl.core.monitor.checks.settings import MonitorSettings

CHECKS: Mapping[str, Check] = {
    check.id: check
    for theme in (
        quorum,
        nodes,
        clocks,
        services,
        upkeep,
        disks,
        storages,
        guests,
        locks,
        backups,
        tasks,
        replication,
        ha,
        ceph,
        failover,
        own,
    )
    for check in theme.CHECKS
}

IDS = (*CHECKS, COVERAGE)
"""Every id a finding's check can have."""


def chosen(only: Iterable[str] = ()) -> tuple[Check, ...]:
    """The checks whose ids fit one of these (with * and ? as wildcards), in the order of the table; all of them for none."""
    patterns = tuple(only)
    return tuple(check for check in CHECKS.values() if not patterns or any(fnmatchcase(check.id, pattern) for pattern in patterns))


def unmatched(patterns: Iterable[str]) -> tuple[str, ...]:
    """The patterns that fit no check at all, nor any finding a check could have: most likely misspelt."""
    return tuple(each for each in patterns if not any(fnmatchcase(id_, each.partition("/")[0]) for id_ in IDS))


def wanted(settings: MonitorSettings, only: Iterable[str] = ()) -> frozenset[str]:
    """The names of the sources that the checks which are on need: nothing else has to be asked."""
    on = (check for check in chosen(only) if Rules(check.id, settings, on=check.on).anywhere(measures=check.unit is not None))
    return frozenset(source for check in on for source in check.sources) | {"rights", "sight", "resources", "membership"}
