"""Who holds a lock, for how long, and whether anybody still works behind it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from pvectl.core.model import Unknown
from pvectl.core.monitor.checks.locks import at_work
from pvectl.core.monitor.monitored import Remembered
from tests.core.monitor.cluster import changed_guest, found, guest, judged, relisted, task
from tests.core.monitor.troubles import WHOLE, locked

HUNG = Unknown(reason="the node did not answer")


@pytest.mark.parametrize(
    ("minutes", "working", "age", "orphan"),
    [
        (30, False, "ok", "ok"),
        (31, False, "ok", "warning"),
        (359, True, "ok", "ok"),
        (361, True, "warning", "ok"),
        (361, False, "warning", "warning"),
        (24 * 60 + 1, True, "critical", "ok"),
    ],
)
def test_locks_by_their_age_and_by_who_works(minutes: float, working: bool, age: str, orphan: str) -> None:
    view = locked(timedelta(minutes=minutes), working=working)

    assert judged(view, "guest.lock_age", "guest/100") == age
    assert judged(view, "guest.lock_orphan", "guest/100") == orphan


def test_a_lock_seen_for_the_first_time_is_young() -> None:
    view = replace(locked(timedelta(days=3)), remembered=Remembered())

    assert judged(view, "guest.lock_age", "guest/100") == "ok"
    assert judged(view, "guest.lock_orphan", "guest/100") == "ok"


def test_another_lock_than_the_one_remembered_is_young() -> None:
    view = relisted(locked(timedelta(days=3)), lock="snapshot")

    assert judged(view, "guest.lock_age", "guest/100") == "ok"


def test_the_task_behind_a_lock_tells_its_age_before_we_saw_it() -> None:
    view = replace(locked(timedelta(hours=7), working=True), remembered=Remembered())

    assert judged(view, "guest.lock_age", "guest/100") == "warning"
    assert "by vzdump" in found(view, "guest.lock_age", "guest/100").message


def test_a_hibernated_guest_keeps_its_lock_for_ever() -> None:
    view = locked(timedelta(days=90), lock="suspended")

    assert judged(view, "guest.lock_age", "guest/100") == "ok"
    assert judged(view, "guest.lock_orphan", "guest/100") == "ok"


def test_nobody_tells_an_orphan_without_the_list_of_tasks() -> None:
    young = replace(locked(timedelta(hours=1)), running=HUNG)
    assert judged(young, "guest.lock_orphan", "guest/100") == "unknown"
    assert judged(young, "guest.lock_age", "guest/100") == "unknown"

    old = replace(locked(timedelta(hours=30)), running=HUNG)
    assert judged(old, "guest.lock_age", "guest/100") == "critical"


def test_an_orphan_lock_is_never_taken_off_but_the_line_is_told() -> None:
    finding = found(locked(timedelta(hours=1)), "guest.lock_orphan", "guest/100")
    assert finding.hint == "once sure that nothing works on it, on pve1: qm unlock 100"

    container = relisted(locked(timedelta(hours=1)), type="lxc")
    assert found(container, "guest.lock_orphan", "guest/100").hint == "once sure that nothing works on it, on pve1: pct unlock 100"


@pytest.mark.parametrize(
    ("lock", "kind", "whom", "node", "works"),
    [
        ("backup", "vzdump", "", "pve1", True),
        ("backup", "vzdump", "", "pve2", False),
        ("backup", "vzdump", "100", "pve1", True),
        ("backup", "vzdump", "101", "pve1", False),
        ("backup", "qmstart", "101", "pve1", False),
        ("migrate", "qmigrate", "100", "pve2", True),
        ("migrate", "vzdump", "", "pve1", False),
        ("create", "qmclone", "900", "pve2", True),
        ("clone", "vzclone", "900", "pve1", True),
        ("something new", "imgcopy", "100", "pve1", True),
    ],
)
def test_which_task_may_be_behind_a_lock(lock: str, kind: str, whom: str, node: str, works: bool) -> None:
    running = task(node, kind, whom, ended=None, status=None)

    assert (at_work(guest(lock=lock), (running,)) is not None) is works


def test_a_task_that_has_ended_works_on_nothing() -> None:
    assert at_work(guest(lock="migrate"), (task("pve1", "qmigrate", "100"),)) is None


def test_a_guest_nobody_locked_is_fine() -> None:
    assert judged(changed_guest(WHOLE), "guest.lock_age", "guest/100") == "ok"
    assert judged(changed_guest(WHOLE), "guest.lock_orphan", "guest/100") == "ok"
