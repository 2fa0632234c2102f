"""Looks at nodes for idle-check and decides about them, the same way the first time and again before each write."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from msgspec.structs import replace

from pvectl.cli.diary import StoredDiary
from pvectl.cli.idle.memory import JOB, Memory
from pvectl.cli.kept import Case, KeptLook
from pvectl.cli.patience import LOOK_S
from pvectl.core import idle, order
from pvectl.core.evidence import NodeEvidence, Place
from pvectl.core.idle import NodeDecision, NodeRecord, Now, Policy, Step
from pvectl.core.model import Known, Unknown
from pvectl.core.plan import OutcomeStatus, PowerOutcome, Reason, Shutdown, SwitchOff
from pvectl.errors import Blind, ConfigError, PvectlError

if TYPE_CHECKING:
    from pvectl.act import Reconsidered
    from pvectl.cli.context import Run
    from pvectl.config.schema import IdleCheck
    from pvectl.observe import Glance
    from pvectl.pve.client import ProxmoxClient

Until: TypeAlias = Callable[[], str | None]
"""Why nothing may be asked for any more, as a sentence; None while it may. Asked right before each request, from whichever thread."""
PARALLEL = 8
"""Guests that shut down at a time."""


class Watch:
    """Looks at nodes and decides about them, the same way the first time and again before each write."""

    def __init__(self, run: Run, client: ProxmoxClient, policy: Policy, job: IdleCheck, memory: Memory) -> None:
        self._run = run
        self._client = client
        self._policy = policy
        self._job = job
        self._memory = memory

    def decide(self, names: Sequence[str]) -> tuple[dict[str, Case], tuple[Step, ...], tuple[Step, ...]]:
        """What each decision rests on, and the steps before and after the nodes were weighed against each other.

        Raises:
            ConfigError: the cluster has no node of a configured name.
        """
        evidence = self._look(names)
        now = self._now()
        cases = {
            name: Case(
                record=self._memory.records.get(name), evidence=evidence[name], policy=self._policy, now=now, others=self._others(name)
            )
            for name in names
        }
        alone = tuple(idle.step(case.record, case.evidence, case.policy, case.now, case.others) for case in cases.values())
        return cases, alone, idle.choose(alone, self._policy)

    def decide_for_schedule(self, node: str, spared: Collection[int]) -> tuple[Case, Step]:
        """What a schedule's wish to have the node off comes to, and what that rests on: everything, read anew."""
        evidence = self._look([node], deep=True)[node]
        case = Case(
            record=self._memory.records.get(node), evidence=evidence, policy=self._policy, now=self._now(), others=self._others(node)
        )
        return case, idle.handed_over(case.record, case.evidence, case.policy, case.now, case.others, spared=spared)

    def switch_off(self, step: Step, evidence: NodeEvidence, decision_id: str, *, until: Until | None = None) -> PowerOutcome:
        """Carry the decision out, and remember what came of it; from the moment `until` says why, nothing is asked for any more."""
        decision, record = step.decision, step.record
        assert decision.action is not None
        log = self._run.log.bind(node=decision.node, decision_id=decision_id)
        try:
            action = replace(decision.action, stages=self._in_order(decision.action))
        except PvectlError as error:
            outcome = PowerOutcome(
                action=decision.action, status=OutcomeStatus.SKIPPED, error=error.message, hint=error.hint, reason=Reason.UNSEEN
            )
        else:
            log.warning("node.switch-off", vmids=[one.guest.vmid for stage in action.stages for one in stage], reason=decision.reason.value)
            outcome = self._carried_out(action, step, evidence, decision_id, until)
        try:
            self._memory.ended(record, idle.after(record, outcome, self._policy, self._now()), outcome, decision_id)
        except PvectlError as error:
            # the record on disk says that this is under way, so that the next run finds out by looking
            log.warning("node.not-remembered", error=error.message)
            if not (outcome.sent or any(one.status is not OutcomeStatus.SKIPPED for one in outcome.guests)):
                raise
            self._memory.unkept = error
        done = outcome.status in (OutcomeStatus.DONE, OutcomeStatus.STARTED)
        (log.warning if done else log.error)("node.power-off", status=outcome.status.value, error=outcome.error)
        return outcome

    def _carried_out(self, action: SwitchOff, step: Step, evidence: NodeEvidence, decision_id: str, until: Until | None) -> PowerOutcome:
        from pvectl import act

        decision, record = step.decision, step.record
        sensitive = isinstance(evidence.tags_case_sensitive, Known) and evidence.tags_case_sensitive.value
        here = isinstance(evidence.whereabouts, Known) and evidence.whereabouts.value.place is Place.NODE
        diary = _WatchDiary(self._memory.store, self._run.clock, job=JOB, run_id=self._run.id, decision_id=decision_id)
        diary.until = until
        # each look is bounded by the deadline it has: a hanging node takes 30 s for one question
        self._run.take_time(act.longest_switch_off(action, PARALLEL) + LOOK_S * (2 + sum(map(len, action.stages))))
        return act.switch_off(
            action,
            self._client,
            self._run.clock,
            needed=act.NeededTag(tag=self._policy.tag, case_sensitive=sensitive),
            reconsider=lambda ours, _asked: self._reconsider(decision, record, ours),
            diary=diary,
            parallel=PARALLEL,
            on_this_node=here,
        )

    def _look(self, names: Sequence[str], *, deep: bool = False) -> dict[str, NodeEvidence]:
        """What can be known of each node now; a node that is busy at a glance costs no deep reads, unless told."""
        from pvectl import observe

        seen = observe.glance(self._client, self._run.clock)
        self._let_go(seen)
        holds = self._memory.store.holds(at=self._run.clock.now())
        cheap = {name: observe.at_a_glance(seen, name, holds) for name in dict.fromkeys((*self._policy.nodes, *names))}
        _must_exist(cheap.values(), seen)
        now = self._now()
        peers = idle.peers(cheap.values(), self._policy, now)
        records = self._memory.records
        asked = [
            name
            for name in names
            if deep or not idle.busy_at_a_glance(records.get(name), cheap[name], self._policy, now, self._others(name))
        ]
        asking = observe.Asking(
            since={name: idle.look_back(records.get(name), now) for name in asked},
            holds=holds,
            clock=True,
            wake=self._policy.wake == "required",
            ceph_safety=self._policy.allow_ceph,
            activity=self._job.activity,
            probes=self._job.probes,
            tag=self._policy.tag,
            own_place=self._job.self,
        )
        found = {name: cheap[name] for name in names}
        if asked:
            found |= observe.node_evidence(self._client, self._run.clock, seen, asked, asking=asking)
        return {name: replace(one, peers=peers) for name, one in found.items()}

    def _let_go(self, seen: Glance) -> None:
        """Settle what is remembered of nodes that are not on the list any more, as nobody else does."""
        if isinstance(seen.status, Unknown):
            return
        for name, record in tuple(self._memory.records.items()):
            if name not in self._policy.nodes:
                self._memory.change(record, idle.let_go(record, seen.node_status(name), self._now()))

    def _reconsider(self, decision: NodeDecision, record: NodeRecord, ours: frozenset[str]) -> Reconsidered:
        """The same look and the same rules once more; the last look before the power-off is kept with all it rests on."""
        from pvectl.act import Reconsidered

        node, began = decision.node, self._now()
        evidence = self._look([node], deep=True)[node]
        case = Case(record=record, evidence=evidence, policy=self._policy, now=self._now(), others=self._others(node))
        go = idle.may_go_on(evidence, self._policy, record, case.now, ours=ours, others=case.others)
        last = go.stop is None and not go.running
        if last:
            go = idle.may_go_on(evidence, self._policy, record, case.now, ours=ours, others=case.others, last=True)
        kept = None
        if last or go.stop is not None:
            kept = self._memory.looked(decision, KeptLook(case=case, ours=tuple(sorted(ours)), last=last, answer=go))
        read_since = _read_since(evidence, began, case.now)
        return Reconsidered(stop=go.stop, reason=go.reason, running=go.running, evidence_id=kept, read_since=read_since)

    def _in_order(self, action: SwitchOff) -> tuple[tuple[Shutdown, ...], ...]:
        """The guests in the stages PVE's own startup order gives; it stands in their configurations only.

        Raises:
            PvectlError: one of them cannot be read, so nobody knows what has to go down first.
        """
        from pvectl import observe

        shutdowns = [shutdown for stage in action.stages for shutdown in stage]
        lines = observe.startup_orders(self._client, self._run.clock, [shutdown.guest for shutdown in shutdowns])
        for shutdown in shutdowns:
            line = lines[shutdown.guest.vmid]
            if isinstance(line, Unknown):
                raise Blind(f"the startup order of {shutdown.guest.label} could not be read: {line.reason}", subject=shutdown.guest.subject)
        return order.stages(shutdowns, {vmid: line.value for vmid, line in lines.items() if isinstance(line, Known)})

    def _others(self, node: str) -> dict[str, NodeRecord]:
        return {name: record for name, record in self._memory.records.items() if name != node}

    def _now(self) -> Now:
        clock = self._run.clock
        return Now(wall=clock.now(), boottime=clock.boottime(), boot_id=clock.boot_id())


class _WatchDiary(StoredDiary):
    """Lets no request leave any more once it is too late for them."""

    until: Until | None = None

    def held(self, subject: str) -> str | None:
        why = self.until() if self.until is not None else None
        return why or super().held(subject)


def _read_since(evidence: NodeEvidence, began: Now, ended: Now) -> float | None:
    """When the reading began, on the clock that never steps: the programs that are asked before it may take longer than a look may be old.

    None where the wall clock, which the evidence is dated by, was set in between.
    """
    stepped = (ended.wall - began.wall).total_seconds() - (ended.boottime - began.boottime)
    return None if abs(stepped) > 1 else ended.boottime - (ended.wall - evidence.taken_at).total_seconds()


def _must_exist(cheap: Iterable[NodeEvidence], seen: Glance) -> None:
    """Refuse the whole run for a name that is none: a typo there must not look like a node that is off."""
    missing = [one.node for one in cheap if one.status == "missing"]
    if missing and not isinstance(seen.status, Unknown):
        known = ", ".join(sorted(node.name for node in seen.status.value.nodes))
        names = ", ".join(missing)
        raise ConfigError(f"idle_check.nodes: the cluster has no node {names}; nothing was switched off", hint=f"its nodes are: {known}")
