"""Vetoes of what could not be seen: every fact a verdict rests on has to be known, complete and fresh (safety rules S1 to S3)."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import structs

from pvectl.core.amounts import span
from pvectl.core.idle.record import Blocker
from pvectl.core.idle.vetoes.case import Case, unseen, value, why
from pvectl.core.model import Known, Unknown
from pvectl.core.plan import Reason

STALE_S = 60
"""No decision on evidence older than this; before each irreversible call `FRESH_S` holds."""
FRESH_S = 15

_ALWAYS = {
    "guests": "the guests of {node}",
    "tags_case_sensitive": "how the cluster compares tags",
    "uptime": "the uptime of {node}",
    "node_time_off": "the clock of {node}",
    "tasks": "the tasks of {node}",
    "incoming": "the migrations in the cluster",
    "standalone": "whether {node} is alone or in a cluster",
    "ceph": "the Ceph services of {node}",
    "served": "the storages that {node} serves",
    "backups": "the backup jobs",
    "replication": "the replications of {node}",
    "whereabouts": "where pvectl itself runs",
}
_IN_A_CLUSTER = {
    "quorate": "whether the cluster is quorate",
    "members": "the nodes of the cluster",
    "device": "the quorum device",
    "ha": "the state of the HA manager",
    "ha_shutdown_policy": "what the HA manager does at a shutdown",
}


def of_unknowns(case: Case) -> Iterator[Blocker]:
    wanted = dict(_ALWAYS)
    if value(case.evidence.standalone) is not True:
        wanted |= _IN_A_CLUSTER
    if case.policy.require_registered:
        wanted["registered_tags"] = "the cluster's registered tags"
    if case.policy.wake == "required":
        wanted["wakeonlan"] = "the wakeonlan address of {node}"
    for name, what in wanted.items():
        fact = getattr(case.evidence, name)
        if isinstance(fact, Unknown):
            yield unseen(case.subject, f"{what.format(node=case.node)} could not be read: {why(fact)}")


def of_sight(case: Case) -> Iterator[Blocker]:
    """The proof that PVE left nothing out: attempted, and with nothing against it (safety rule S1)."""
    if case.evidence.blind_spots is None:
        yield unseen(case.subject, "that nothing is hidden from pvectl was not proven")
    for spot in case.evidence.blind_spots or ():
        yield unseen(spot.subject, spot.reason)


def of_freshness(case: Case) -> Iterator[Blocker]:
    """Only live lists, and no older than a minute; older or newer than now by our own clock counts the same."""
    if not case.evidence.live:
        yield unseen(case.subject, f"{case.node} itself was not asked, and the cluster's list may be 5m old")
        return
    limit = STALE_S if case.draining is None else FRESH_S
    moments = [case.evidence.taken_at, *(fact.taken_at for fact in structs.astuple(case.evidence) if isinstance(fact, Known))]
    oldest, newest = min(moments), max(moments)
    if (newest - case.now.wall).total_seconds() > FRESH_S:
        detail = f"what is known of {case.node} is from the future: our clock was set back meanwhile"
        yield Blocker(reason=Reason.OUT_OF_DATE, subject=case.subject, detail=detail, blind=True)
    elif not (case.now.wall - oldest).total_seconds() <= limit:
        detail = f"what is known of {case.node} is {span((case.now.wall - oldest).total_seconds())} old, and {span(limit)} is the most"
        yield Blocker(reason=Reason.OUT_OF_DATE, subject=case.subject, detail=detail, blind=True)
