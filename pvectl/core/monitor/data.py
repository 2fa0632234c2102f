"""The monitor's answer as scripts read it (`pvectl/monitor/v1`), and the JSON Schema that says what they may rely on."""

# no `from __future__ import annotations` here: msgspec evaluates these annotations for the schema

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from msgspec import Meta, Struct, field

from pvectl.core.model import Guest, Known, Node
from pvectl.core.monitor import coverage
from pvectl.core.monitor.checks.backup_truth import backups
from pvectl.core.monitor.checks.evaluation import Evaluation
from pvectl.core.monitor.checks.look import Look
from pvectl.core.monitor.checks.settings import MonitorSettings
from pvectl.core.monitor.checks.storages import fullness
from pvectl.core.monitor.coverage import Row
from pvectl.core.monitor.finding import Finding, Severity, Unit
from pvectl.core.monitor.monitored import MonitorView, Reading, readings
from pvectl.core.text import clean

SCHEMA = "pvectl/monitor/v1"


class Summary(Struct, frozen=True, kw_only=True):
    """The verdict, and how many findings there are; what merely follows from another finding is not counted."""

    status: Severity
    critical: int
    warning: int
    unknown: int
    checks: Annotated[int, Meta(description="How many checks were made.")]
    examined: Annotated[int, Meta(description="How many times a check could judge an object.")]
    blind: Annotated[int, Meta(description="How many times it could not.")]
    left_out: Annotated[int, Meta(description="How many times an object was exempt, or the check did not apply to it.")]


class ClusterData(Struct, frozen=True, kw_only=True):
    """The cluster as a whole; null is not known."""

    name: str | None = None
    standalone: bool | None = None
    quorate: bool | None = None
    release: str | None = None


class SourceData(Struct, frozen=True, kw_only=True):
    """One source. Those of guests are summed up in one row for each kind: how many there are, and how many could not be read."""

    name: str
    object: str
    node: str | None = None
    path: str | None = None
    status: Annotated[str, Meta(description='"ok" or "unknown".')]
    error: str | None = None
    taken_at: datetime | None = None
    age_s: float | None = None
    duration_ms: float | None = None
    count: int = 1
    failed: int = 0


class ThresholdData(Struct, frozen=True, kw_only=True):
    """The levels a value was held against; `falling` turns them round."""

    warn: float | None = None
    crit: float | None = None
    clear: float | None = None
    clear_crit: float | None = None
    falling: bool = False


class EvidenceData(Struct, frozen=True, kw_only=True):
    path: str
    field: str | None = None
    age_s: float | None = None


class CheckData(Struct, frozen=True, kw_only=True):
    """One finding. `id` stays the same from run to run; a ratio goes from 0 to 1."""

    id: str
    check: str
    object: str
    status: Severity
    message: str
    value: float | None = None
    unit: Unit | None = None
    thresholds: ThresholdData | None = None
    lingers: Annotated[bool, Meta(description="Good by its value, but not yet back below the level at which it counts as good.")] = False
    hint: str | None = None
    since: datetime | None = None
    key: Annotated[str | None, Meta(description="What tells this event from the next one: a task's UPID.")] = None
    cause: Annotated[str | None, Meta(description="The id of the finding this one follows from.")] = None
    objects: Annotated[tuple[str, ...], Meta(description="The objects it stands for, when there are several.")] = ()
    source_age_s: float | None = None
    evidence: tuple[EvidenceData, ...] = ()


class NodeData(Struct, frozen=True, kw_only=True):
    name: str
    status: str
    uptime: int | None = None
    cpu: float | None = None
    maxcpu: float | None = None
    mem: int | None = None
    maxmem: int | None = None
    off_by_pvectl: Annotated[datetime | None, Meta(description="When pvectl switched it off, if it did and it still is.")] = None


class BackupData(Struct, frozen=True, kw_only=True):
    """To which point the guest could be restored."""

    restorable_at: datetime | None = None
    storage: str | None = None
    verified: str | None = None
    excluded: tuple[str, ...] | None = None
    jobs: tuple[str, ...] = ()
    period_s: float | None = None
    last_run_at: Annotated[datetime | None, Meta(description="When the last backup task on its node began that may be about it.")] = None
    last_run_status: Annotated[str | None, Meta(description="How that task ended, for all its guests: OK, or what went wrong.")] = None
    known: Annotated[bool, Meta(description="False where the backups of some storage could not be read.")] = True


class GuestData(Struct, frozen=True, kw_only=True):
    vmid: int
    type: str
    name: str | None = None
    node: str
    status: str
    tags: tuple[str, ...] = ()
    pool: str | None = None
    template: bool | None = None
    lock: str | None = None
    hastate: str | None = None
    cpu: float | None = None
    mem: int | None = None
    maxmem: int | None = None
    uptime: int | None = None
    backup: BackupData | None = None


class StorageData(Struct, frozen=True, kw_only=True):
    object: str
    storage: str
    nodes: tuple[str, ...]
    shared: bool | None = None
    plugintype: str | None = None
    content: tuple[str, ...] = ()
    used: int | None = None
    total: int | None = None


class MonitorData(Struct, frozen=True, kw_only=True):
    """One look at a whole cluster: `checks` has what was found, `coverage` what was checked, `sources` what it rests on."""

    summary: Summary
    cluster: ClusterData
    checks: tuple[CheckData, ...]
    coverage: tuple[Row, ...]
    sources: tuple[SourceData, ...]
    nodes: tuple[NodeData, ...]
    guests: tuple[GuestData, ...]
    storages: tuple[StorageData, ...]


class ErrorData(Struct, frozen=True, kw_only=True):
    code: str
    message: str
    hint: str | None = None
    subject: str | None = None


class MonitorDocument(Struct, frozen=True, kw_only=True):
    """What `pvectl monitor -o json` prints. Within v1 fields are only added; null is not known."""

    schema_: Annotated[str, Meta(pattern=f"^{SCHEMA}$")] = field(name="schema")
    generated_at: datetime
    cluster: str | None
    status: Annotated[str, Meta(pattern="^(ok|partial|error)$")]
    complete: bool
    exit_code: int
    data: MonitorData | None
    errors: tuple[ErrorData, ...]


def data(evaluation: Evaluation, settings: MonitorSettings | None = None) -> MonitorData:
    """All of it as one value, ready to be encoded; text from outside is cleaned."""
    view = evaluation.view
    look = Look(view, settings or MonitorSettings())
    return MonitorData(
        summary=_summary(evaluation),
        cluster=_cluster(view),
        checks=tuple(_check(finding) for finding in evaluation.findings),
        coverage=coverage.rows(evaluation),
        sources=tuple(_sources(view)),
        nodes=tuple(_node(node, look) for node in look.listed_nodes.values()),
        guests=tuple(_guests(look)),
        storages=tuple(_storages(look)),
    )


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the document."""
    from msgspec.json import schema as json_schema

    made: Mapping[str, Any] = json_schema(MonitorDocument)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA, "title": "pvectl monitor", **made}


def _summary(evaluation: Evaluation) -> Summary:
    counts = evaluation.counts
    made = [verdict for verdict in evaluation.verdicts if not verdict.off]
    examined = sum(len(verdict.examined) for verdict in made)
    return Summary(
        status=evaluation.severity,
        critical=counts.critical,
        warning=counts.warning,
        unknown=counts.unknown,
        checks=len(made),
        examined=examined,
        blind=sum(verdict.eligible for verdict in made) - examined,
        left_out=sum(verdict.left_out for verdict in made),
    )


def _cluster(view: MonitorView) -> ClusterData:
    release = view.release.value.version if isinstance(view.release, Known) else None
    if not isinstance(view.membership, Known):
        return ClusterData(release=release)
    status = view.membership.value
    return ClusterData(name=status.name, standalone=status.standalone, quorate=status.quorate, release=release)


def _check(finding: Finding) -> CheckData:
    levels = finding.levels
    return CheckData(
        id=clean(finding.id),
        check=finding.check,
        object=clean(finding.object),
        status=finding.severity,
        message=finding.message,
        value=finding.value,
        unit=finding.unit,
        thresholds=None
        if levels is None
        else ThresholdData(warn=levels.warn, crit=levels.crit, clear=levels.clear, clear_crit=levels.clear_crit, falling=finding.falling),
        lingers=finding.lingers,
        hint=clean(finding.hint) if finding.hint else None,
        since=finding.since,
        key=clean(finding.key) if finding.key else None,
        cause=finding.cause,
        objects=finding.objects,
        source_age_s=max((each.age for each in finding.evidence if each.age is not None), default=None),
        evidence=tuple(EvidenceData(path=each.path, field=each.field, age_s=each.age) for each in finding.evidence),
    )


def _sources(view: MonitorView) -> Iterable[SourceData]:
    of_guests: dict[str, list[Reading]] = {}
    for row in readings(view):
        if row.object.startswith("guest/"):
            of_guests.setdefault(row.name, []).append(row)
        else:
            yield _source(row)
    for name, rows in of_guests.items():
        failed = [row for row in rows if row.status != "ok"]
        yield SourceData(
            name=name,
            object="guests",
            status="unknown" if failed else "ok",
            error=clean(failed[0].error or "") if failed else None,
            age_s=max((row.age for row in rows if row.age is not None), default=None),
            count=len(rows),
            failed=len(failed),
        )


def _source(row: Reading) -> SourceData:
    kind, _, name = row.object.partition("/")
    return SourceData(
        name=row.name,
        object=clean(row.object),
        node=clean(name) if kind == "node" else None,
        path=row.path,
        status=row.status,
        error=clean(row.error) if row.error else None,
        taken_at=row.taken_at,
        age_s=row.age,
        duration_ms=None if row.took is None else row.took * 1000,
        failed=int(row.status != "ok"),
    )


def _node(node: Node, look: Look) -> NodeData:
    return NodeData(
        name=clean(node.name),
        status=node.status,
        uptime=node.uptime,
        cpu=node.cpu,
        maxcpu=node.maxcpu,
        mem=node.mem,
        maxmem=node.maxmem,
        off_by_pvectl=look.view.remembered.off.get(node.name) if node.name in look.away else None,
    )


def _guests(look: Look) -> Iterable[GuestData]:
    told = look.once(backups)
    for guest in look.listing.guests if look.listing else ():
        truth = told.truths.get(guest.vmid)
        backup = None
        if truth is not None and isinstance(look.view.backup_jobs, Known):
            backup = BackupData(
                restorable_at=truth.restorable_at,
                storage=truth.storage,
                verified=truth.newest.verified if truth.newest else None,
                excluded=truth.excluded,
                jobs=tuple(job.id for job in truth.jobs),
                period_s=truth.period,
                last_run_at=datetime.fromtimestamp(truth.run.started, UTC) if truth.run else None,
                last_run_status=clean(truth.run.status) if truth.run and truth.run.status else None,
                known=not told.unread and not truth.undated,
            )
        yield _guest(guest, backup)


def _guest(guest: Guest, backup: BackupData | None) -> GuestData:
    return GuestData(
        vmid=guest.vmid,
        type=guest.type,
        name=clean(guest.name) if guest.name else guest.name,
        node=clean(guest.node),
        status=clean(guest.status),
        tags=tuple(sorted(clean(tag) for tag in guest.tags)),
        pool=guest.pool,
        template=guest.template,
        lock=guest.lock,
        hastate=guest.hastate,
        cpu=guest.cpu,
        mem=guest.mem,
        maxmem=guest.maxmem,
        uptime=guest.uptime,
        backup=backup,
    )


def _storages(look: Look) -> Iterable[StorageData]:
    for subject, rows in look.storages:
        filled = fullness(rows)
        yield StorageData(
            object=clean(subject.object),
            storage=clean(rows[0].storage),
            nodes=tuple(sorted(clean(row.node) for row in rows)),
            shared=rows[0].shared,
            plugintype=rows[0].plugintype,
            content=tuple(sorted(rows[0].content or ())),
            used=filled[0] if filled else None,
            total=filled[1] if filled else None,
        )
