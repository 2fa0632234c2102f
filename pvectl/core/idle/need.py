"""When a node is needed next: the first backup or replication that it takes part in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from msgspec import Struct

from pvectl.core.evidence import BackupJob, ReplicationJob


class Need(Struct, frozen=True, kw_only=True):
    """A job that needs the node: when it is due, None where that is not known."""

    subject: str
    what: str
    due: datetime | None


def backups(node: str, jobs: Sequence[BackupJob]) -> Iterator[Need]:
    """The backup jobs that this node takes part in; one that may cover its guests counts as one that does."""
    for job in jobs:
        if job.node in (None, node) and job.guests_here is not False:
            yield Need(subject=f"backup/{job.id}", what=f"backup job {job.id}", due=job.next_run)


def replications(node: str, jobs: Sequence[ReplicationJob]) -> Iterator[Need]:
    """The replications from or to this node; a job whose ends are not known may be one of them."""
    for job in jobs:
        if concerns(node, job):
            yield Need(subject=f"replication/{job.id}", what=f"replication {job.id} of guest {job.guest}", due=job.next_sync)


def concerns(node: str, job: ReplicationJob) -> bool:
    return node in (job.source, job.target) or job.source is None or job.target is None
