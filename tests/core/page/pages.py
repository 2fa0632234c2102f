"""Pages to look at: a cluster with all sorts of troubles, and what pvectl's own jobs say beside it."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import Any, Protocol

from msgspec.structs import replace

from pvectl.core.model import Unknown
from pvectl.core.monitor.checks.evaluation import Evaluation, evaluate
from pvectl.core.monitor.checks.settings import MonitorSettings
from pvectl.core.monitor.monitored import MonitorView, Remembered, TaskLog
from pvectl.core.monitor.page.document import page
from pvectl.core.monitor.page.markup import Markup
from pvectl.core.monitor.page.seen import Beside, IdleNode, Planned, Seen
from tests.core.monitor.cluster import (
    AUDITOR,
    BACKUP_SIGHT,
    EVERYTHING,
    GIB,
    NOW,
    PATHS,
    ago,
    changed_node,
    known,
    members,
    relisted,
    relisted_node,
    relisted_storage,
    task,
    whole,
)
from tests.support.markup import Tag, read

BESIDE = Beside(
    idle=(
        IdleNode(
            node="pve2",
            phase="idle",
            verdict="wait",
            detail="pve2 has been idle for 20m of 30m; off at 12:10 at the earliest",
            due=NOW + timedelta(minutes=10),
            at=NOW,
        ),
        IdleNode(node="pve3", phase="held", verdict="keep", detail="pve3 stays on because of hold 3", at=NOW),
    ),
    planned=(
        Planned(
            schedule="night",
            at=NOW + timedelta(hours=9, minutes=30),
            wall="2026-11-22 22:30",
            tz="Europe/Berlin",
            whom=("stage desktops", "stage apps"),
            then_off=("pve2",),
        ),
        Planned(
            schedule="weekend",
            at=NOW + timedelta(days=5),
            wall="2026-11-27 12:00",
            tz="UTC",
            whom=("@tag-lab",),
            remarks=("dry run: only shown, not carried out",),
        ),
    ),
)


def troubled() -> MonitorView:
    """Full, busy, offline, locked, failed, unread and not permitted, each at least once."""
    view = relisted_node(whole(), "pve1", cpu=0.93, mem=31 * GIB)
    view = relisted_storage(view, "nfs", disk=960 * GIB)
    view = relisted(members(view, pve3=False), 100, lock="backup")
    failed = task("pve1", "vzdump", "100", status="job errors")
    view = changed_node(view, "pve1", tasks=known(TaskLog(ended=(failed,)), "/nodes/pve1/tasks"))
    view = changed_node(view, "pve2", disks=Unknown(reason="the node did not answer within 5 s", source="/nodes/pve2/disks/list"))
    blind = dict.fromkeys(PATHS, BACKUP_SIGHT) | {"/": {name: yes for name, yes in AUDITOR.items() if name != "Sys.Audit"}}
    return replace(view, rights=known(blind, "/access/permissions"))


def asleep() -> MonitorView:
    """A node that pvectl itself switched off."""
    return replace(members(whole(), pve3=False), remembered=Remembered(off={"pve3": ago(hours=2)}))


def html(view: MonitorView, beside: Beside = BESIDE, **told: Any) -> str:
    return html_of(evaluate(view, EVERYTHING), beside, **told)


def html_of(evaluation: Evaluation, beside: Beside = BESIDE, **told: Any) -> str:
    return page(evaluation, EVERYTHING, **{"local": lambda when: when, "version": "1.2.3", "beside": beside, "took": 0.84, **told})


def tree(view: MonitorView, beside: Beside = BESIDE, **told: Any) -> Tag:
    return read(html(view, beside, **told))


NOTHING = Unknown(reason="the host did not answer")
DARK = MonitorView(taken_at=NOW)


@cache
def whole_tree() -> Tag:
    return tree(whole())


@cache
def troubled_tree() -> Tag:
    return tree(troubled())


class Part(Protocol):
    """A part of the page."""

    def section(self, seen: Seen) -> Markup: ...


def section(tree: Tag, id_: str) -> Tag:
    return tree.one("section", id=id_)


def part_of(part: Part, view: MonitorView, settings: MonitorSettings = EVERYTHING) -> Tag:
    """One part of the page alone, which is quicker made than the whole."""
    return read(part.section(Seen(evaluate(view, settings), settings, Beside(), lambda when: when)))
