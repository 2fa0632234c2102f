"""Whether a switch-off in progress may go on: the same vetoes again, right before each irreversible call (safety rule S3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct

from pvectl.core.evidence import NodeEvidence
from pvectl.core.idle.credit import elapsed, restarted
from pvectl.core.idle.policy import Now, Policy
from pvectl.core.idle.record import Blocker, NodeRecord, Phase
from pvectl.core.idle.told import stays_on
from pvectl.core.idle.vetoes import Case, blockers
from pvectl.core.idle.vetoes.case import unseen, value
from pvectl.core.idle.vetoes.guests import running
from pvectl.core.idle.vetoes.history import since_the_last_look
from pvectl.core.model import Guest
from pvectl.core.plan import Reason


class GoOn(Struct, frozen=True, kw_only=True):
    """Whether a switch-off may go on: `stop` is the sentence why not, None when it may; `running` are the guests that are not off yet."""

    stop: str | None = None
    reason: Reason | None = None
    running: tuple[Guest, ...] = ()
    blockers: tuple[Blocker, ...] = ()


def may_go_on(  # noqa: PLR0913  # the agreed interface: everything a decision rests on, and what is ours
    evidence: NodeEvidence,
    policy: Policy,
    record: NodeRecord,
    now: Now,
    *,
    ours: frozenset[str] = frozenset(),
    others: Mapping[str, NodeRecord] | None = None,
    last: bool = False,
) -> GoOn:
    """The same vetoes once more, right before an irreversible call; `ours` are the UPIDs of this run's tasks.

    The guests this run may have asked (`record.planned`) may run or be off. With `last`, right before the power-off, nothing at all may
    run any more, and no task, our own included.
    """
    case = Case(
        evidence=evidence, policy=policy, record=record, now=now, others=others or {}, ours=ours, draining=frozenset(record.planned)
    )
    still = running(case)
    found = [*_not_online(case), *blockers(case), *_broken_since(case)]
    if last:
        found += _left_over(case, still)
    if not found:
        return GoOn(running=still)
    return GoOn(stop=stays_on(case.node, tuple(found)), reason=found[0].reason, running=still, blockers=tuple(found))


def _not_online(case: Case) -> Iterator[Blocker]:
    """A decision is only ever carried out on a node that is on, listed, and whose record says that this is under way."""
    if case.node not in case.policy.nodes:
        yield Blocker(reason=Reason.NOT_LISTED, subject=case.subject, detail=f"{case.node} is not among the nodes of idle_check")
    if case.evidence.status != "online":
        yield unseen(case.subject, f"the status of {case.node} is {case.evidence.status}")
    if case.record.phase != Phase.DRAIN or case.record.node != case.node:
        yield unseen(case.subject, f"nobody has decided to switch {case.node} off")


def _broken_since(case: Case) -> Iterator[Blocker]:
    """What happened since the decision: a restart of the node, a task of somebody else, a time that cannot be accounted for."""
    passed = elapsed(case.record, case.now)
    if passed is None or case.record.policy != case.policy.fingerprint():
        yield unseen(case.subject, "the decision was made in another time or under another configuration")
        return
    if restarted(case.record, case.evidence, passed):
        yield Blocker(reason=Reason.UNSEEN_BETWEEN, subject=case.subject, detail=f"{case.node} was restarted since the decision")
    for broken in since_the_last_look(case):
        yield Blocker(reason=broken.reason, subject=case.subject, detail=broken.detail)


def _left_over(case: Case, still: tuple[Guest, ...]) -> Iterator[Blocker]:
    """Right before the power-off there is nothing left, not even a task of our own (safety rule S21)."""
    for guest in still:
        yield Blocker(reason=Reason.STARTED_MEANWHILE, subject=guest.subject, detail=f"{guest.label} is not off")
    history = value(case.evidence.tasks)
    for task in history.tasks if history is not None else ():
        if task.runs:
            yield Blocker(reason=Reason.TASK_RUNNING, subject=f"task/{task.upid}", detail=f"a task runs ({task.type})")
