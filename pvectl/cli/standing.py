"""Where nodes and guests stand for idle-check: the decision as it would fall now, or as the last run made it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from pvectl.cli.words import here, moment
from pvectl.core import idle
from pvectl.core.plan import Reason, Verdict
from pvectl.core.text import clean
from pvectl.errors import PvectlError

if TYPE_CHECKING:
    from pvectl.cli.context import Run
    from pvectl.core.idle import NodeDecision, NodeRecord
    from pvectl.core.model import Guest


# what a last decision says of a node that was off
_OFF = frozenset({Reason.SWITCHED_OFF, Reason.NODE_OFF})


class IdleStanding(Struct, frozen=True, kw_only=True):
    """What idle-check makes of a node: `verdict` and `phase` None where nobody has decided yet; `at` is when that was so."""

    node: str
    phase: str | None = None
    verdict: str | None = None
    reason: str | None = None
    detail: str
    due: datetime | None = None
    at: datetime
    decision_id: str | None = None


def of_nodes(run: Run) -> dict[str, tuple[IdleStanding, str]]:
    """Every node that idle-check may switch off, also in words; none where that is not configured or the job is switched off.

    What cannot be read is told in the node's place: a page about something else must not end because of it.
    """
    return {node: _standing(run, node, decided, id_) for node, (decided, id_) in _decisions(run).items()}


def of_guest(run: Run, guest: Guest) -> str | None:
    """What the guest means for its node, in a sentence; None where idle-check has no word in it."""
    decisions = _decisions(run)
    if guest.node not in decisions:
        return None
    decided, id_ = decisions[guest.node]
    _, standing = _standing(run, guest.node, decided, id_)
    if not isinstance(decided, idle.NodeDecision):
        return standing
    own = tuple(blocker for blocker in decided.blockers if blocker.subject == guest.subject)
    if own:
        alone = own[0]
        return clean(f"{guest.node} stays on because {here(alone.detail, run.clock.now())}{_if_gone(run, decided)}")
    if guest.is_off or guest.template:
        return clean(f"it is off, so it does not keep {guest.node} on")
    return clean(f"it does not keep {guest.node} on: it is shut down before the node goes off; {standing}")


def _if_gone(run: Run, decided: NodeDecision) -> str:
    from pvectl.core.idle.told import if_gone

    now = run.clock.now()
    words = if_gone(decided.blockers, decided.due, lambda when: moment(when, now))
    return f"; {words}" if words else ""


def _standing(run: Run, node: str, decided: NodeDecision | str, id_: str | None) -> tuple[IdleStanding, str]:
    now = run.clock.now()
    if isinstance(decided, str):
        return IdleStanding(node=node, detail=decided, at=now), clean(decided)
    words = clean(here(idle.told(decided, at=lambda when: moment(when, now)), now))
    if id_ is not None:
        words += f" (as of {moment(decided.at, now)})"
    standing = IdleStanding(
        node=node,
        phase=decided.phase,
        verdict=decided.verdict,
        reason=decided.reason,
        detail=clean(idle.told(decided)),
        due=decided.due,
        at=decided.at,
        decision_id=id_,
    )
    return standing, words


def _decisions(run: Run) -> Mapping[str, tuple[NodeDecision | str, str | None]]:
    """Each node's decision: what a cheap look says now where that is enough, else the last run's with its id; or why there is none."""
    from pvectl import observe
    from pvectl.cli.idle.memory import LAST, RECORDS
    from pvectl.cli.idle.run import policy_of
    from pvectl.cli.kept import LastDecision

    try:
        job = run.jobs().idle_check
    except PvectlError:
        return {}
    if not job.enabled or not job.nodes:
        return {}
    try:
        store = run.store("read")
        records = store.recall_all(RECORDS, idle.NodeRecord)
        last = store.recall_all(LAST, LastDecision)
        seen = observe.glance(run.client(), run.clock)
        holds = store.holds(at=run.clock.now())
    except PvectlError as error:
        return dict.fromkeys(job.nodes, (f"where it stands could not be read: {error.message}", None))
    policy = policy_of(run.jobs(), run.cluster)
    now = idle.Now(wall=run.clock.now(), boottime=run.clock.boottime(), boot_id=run.clock.boot_id())
    found: dict[str, tuple[NodeDecision | str, str | None]] = {}
    for node in job.nodes:
        others = {name: record for name, record in records.items() if name != node}
        cheap = observe.at_a_glance(seen, node, holds)
        if idle.busy_at_a_glance(records.get(node), cheap, policy, now, others):
            found[node] = (idle.step(records.get(node), cheap, policy, now, others).decision, None)
        elif node in last and cheap.status == "online" and _is_over(last[node].decision, records.get(node)):
            found[node] = (f"{node} is on, and idle-check has not looked at it since it last acted", None)
        elif node in last:
            found[node] = (last[node].decision, last[node].id)
        else:
            found[node] = ("idle-check has not looked at it yet", None)
    return found


def _is_over(decided: NodeDecision, record: NodeRecord | None) -> bool:
    """Whether a decision says nothing about the node that is on now: it was off then, or what was decided has been done since."""
    under_way = record is not None and record.phase in (idle.Phase.DRAIN, idle.Phase.OFF_SENT)
    return decided.reason in _OFF or (decided.verdict is Verdict.ACT and not under_way)
