"""What was seen and what is wrong, in Prometheus' text format: the names of prometheus-pve-exporter, and pvectl's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import chain
from math import isfinite
from typing import Literal, TypeAlias

from pvectl.core.model import Known
from pvectl.core.monitor.checks.clocks import offset
from pvectl.core.monitor.checks.evaluation import Evaluation
from pvectl.core.monitor.checks.registry import IDS
from pvectl.core.monitor.exported import families, guest_ids
from pvectl.core.monitor.finding import Severity
from pvectl.core.monitor.monitored import MonitorView, readings
from pvectl.core.monitor.series import Series, quoted, series, shown, written

Which: TypeAlias = Literal["all", "own", "compat"]


def text(evaluation: Evaluation, *, which: Which = "all", took: float | None = None) -> bytes:
    """The whole exposition in UTF-8, without timestamps; `took` is the whole run in seconds.

    `compat` is what prometheus-pve-exporter tells; where both are scraped into one Prometheus, ask for `own`. Of guests that do not run
    nothing is told that only a running one has: what PVE repeats of them is stale.
    """
    view = evaluation.view
    run = _run(view.taken_at, success=_is_usable(view), cluster=view.cluster)
    return written(chain(() if which == "own" else families(view), () if which == "compat" else _own(evaluation, took), run))


def failed(taken_at: datetime, *, cluster: str | None = None) -> bytes:
    """The exposition of a run that failed: that it did, and no value of an earlier one."""
    return written(_run(taken_at, success=False, cluster=cluster))


def _is_usable(view: MonitorView) -> bool:
    return isinstance(view.resources, Known) and isinstance(view.membership, Known)


def _run(taken_at: datetime, *, success: bool, cluster: str | None) -> Iterator[Series]:
    labels = {"cluster": cluster} if cluster else {}
    yield Series(
        name="pvectl_monitor_success",
        help="1 when the cluster could be seen, 0 when the monitor failed or was blind.",
        lines=(series("pvectl_monitor_success", labels, int(success)),),
    )
    yield Series(
        name="pvectl_last_run_timestamp_seconds",
        help="When the monitor looked last.",
        lines=(series("pvectl_last_run_timestamp_seconds", labels, taken_at.timestamp()),),
    )


def _own(evaluation: Evaluation, took: float | None) -> Iterator[Series]:
    view = evaluation.view
    ids = guest_ids(view)
    yield _statuses(evaluation, ids)
    yield _family(
        "pvectl_check_objects",
        "How many objects a check examined, could not examine, and left out.",
        (
            ({"check": verdict.check, "state": state}, count)
            for verdict in evaluation.verdicts
            for state, count in (
                ("examined", len(verdict.examined)),
                ("blind", verdict.eligible - len(verdict.examined)),
                ("left_out", verdict.left_out),
            )
        ),
    )
    counts = evaluation.counts
    yield _family(
        "pvectl_findings",
        "How many findings there are that do not merely follow from another one.",
        (
            ({"severity": severity}, count)
            for severity, count in (
                (Severity.WARNING, counts.warning),
                (Severity.CRITICAL, counts.critical),
                (Severity.UNKNOWN, counts.unknown),
            )
        ),
    )
    yield from _of_sources(view)
    if took is not None:
        yield _family("pvectl_collect_duration_seconds", "How long the whole look took.", (({}, took),))
    yield from _of_facts(view)
    yield from _of_backups(view, ids)
    yield from _of_outbox(view)


def _statuses(evaluation: Evaluation, ids: Mapping[int, str]) -> Series:
    name = "pvectl_check_status"
    guests = {f"guest/{vmid}": id_ for vmid, id_ in ids.items()}
    ends = {severity: f'"}} {severity.code}' for severity in Severity}
    # a finding for each of thousands of guests: a check's name is quoted once, a guest's id not at all
    heads = {check: f'{name}{{check="{quoted(check)}",id="' for check in IDS}
    return Series(
        name=name,
        help="How an object stands under a check that has something to say: 0 ok, 1 warning, 2 critical, 3 unknown.",
        lines=tuple(
            [f"{heads[each.check]}{guests.get(each.object) or quoted(each.object)}{ends[each.severity]}" for each in evaluation.findings]
        ),
    )


def _of_sources(view: MonitorView) -> Iterator[Series]:
    rows = readings(view, guests=False)
    yield _family(
        "pvectl_source_up",
        "Whether a source could be read; the guests' own are counted by the checks.",
        (({"source": row.name, "id": row.object}, int(row.status == "ok")) for row in rows),
    )
    yield _family(
        "pvectl_source_age_seconds",
        "How old a source's answer is.",
        (({"source": row.name, "id": row.object}, row.age) for row in rows if row.age is not None),
    )


def _of_facts(view: MonitorView) -> Iterator[Series]:
    certificates = [
        ({"node": node.name, "file": certificate.filename}, certificate.not_after.timestamp())
        for node in view.nodes
        if isinstance(node.certificates, Known)
        for certificate in node.certificates.value
        if certificate.not_after is not None
    ]
    yield _family("pvectl_certificate_not_after_timestamp_seconds", "When a certificate ends.", certificates)
    disks = [
        ({"node": node.name, "device": disk.path, "serial": disk.serial or ""}, disk.life_left)
        for node in view.nodes
        if isinstance(node.disks, Known)
        for disk in node.disks.value
        if disk.life_left is not None
    ]
    yield _family("pvectl_disk_life_remaining_ratio", "The share of its life a disk has left.", disks)
    clocks = [
        ({"id": f"node/{node.name}"}, ahead)
        for node in view.nodes
        if isinstance(node.clock, Known) and (ahead := offset(node.clock.value)) is not None
    ]
    yield _family("pvectl_node_clock_offset_seconds", "How far a node's clock is ahead of the monitor's.", clocks)


def _of_backups(view: MonitorView, ids: Mapping[int, str]) -> Iterator[Series]:
    newest: dict[int, datetime] = {}
    for storage in view.storages:
        for volume in storage.backups.value if isinstance(storage.backups, Known) else ():
            vmid, made_at = volume.vmid, volume.made_at
            if vmid is None or made_at is None or volume.verified == "failed":
                continue
            if (earlier := newest.get(vmid)) is None or made_at > earlier:
                newest[vmid] = made_at
    name = "pvectl_backup_last_success_timestamp_seconds"
    made = ((ids.get(vmid), made_at) for vmid, made_at in newest.items())
    yield Series(
        name=name,
        help="When a guest's newest backup was made that did not fail its verification.",
        lines=tuple([f'{name}{{id="{id_}"}} {shown(made_at.timestamp())}' for id_, made_at in made if id_]),
    )


def _of_outbox(view: MonitorView) -> Iterator[Series]:
    delivery = view.remembered.delivery
    if delivery is None:
        return
    waits = (view.taken_at - delivery.oldest).total_seconds() if delivery.oldest is not None else 0.0
    yield _family("pvectl_outbox_oldest_seconds", "How long the oldest undelivered message has waited.", (({}, waits),))
    yield _family("pvectl_outbox_dead", "How many messages were given up.", (({}, delivery.dead),))


def _family(name: str, help: str, rows: Iterable[tuple[Mapping[str, str], float]]) -> Series:  # noqa: A002 - the format's word
    return Series(name=name, help=help, lines=tuple(series(name, labels, value) for labels, value in rows if isfinite(value)))
