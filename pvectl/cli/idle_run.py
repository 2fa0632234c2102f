"""One run of idle-check: look, decide, act, remember."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from pvectl.cli.diary import StoredDiary
from pvectl.cli.kept import Case, Kept, KeptLook, LastDecision
from pvectl.core import idle, order
from pvectl.core.evidence import NodeEvidence, Place
from pvectl.core.idle import NodeDecision, NodeRecord, Now, Phase, Policy, Step
from pvectl.core.model import Known, Unknown
from pvectl.core.plan import OutcomeStatus, PowerOutcome, Reason, Shutdown, SwitchOff, Verdict
from pvectl.errors import Blind, ConfigError, PvectlError, UsageError, WriteForbidden

if TYPE_CHECKING:
    from pvectl.act import Reconsidered
    from pvectl.cli.context import Run
    from pvectl.config.schema import IdleCheck, PvectlFile
    from pvectl.observe import Glance
    from pvectl.pve.client import ProxmoxClient
    from pvectl.store import Store

JOB = "idle-check"
RECORDS = "idle-node"
REHEARSED = "idle-rehearsal"
LAST = "idle-last"
PARALLEL = 8
"""Guests that shut down at a time."""
_LOOK_S = 120
_UNSETTLED = frozenset({Phase.DRAIN, Phase.OFF_SENT})


class Decided(Struct, frozen=True, kw_only=True):
    """One node's decision, the id it can be explained by (None: it was not kept), and what was done about it."""

    decision: NodeDecision
    id: str | None = None
    outcome: PowerOutcome | None = None


class Checked(Struct, frozen=True, kw_only=True):
    """What one run came to; `rehearsal`: nothing was to be done; `set_aside`: why the state file that was found does not count.

    `unkept` is why what was done could not be remembered any more.
    """

    decided: tuple[Decided, ...] = ()
    rehearsal: bool = False
    disabled: bool = False
    set_aside: str | None = None
    unkept: PvectlError | None = None


def policy_of(jobs: PvectlFile, cluster: str | None) -> Policy:
    """What the idle decision needs to know of the configuration."""
    from hashlib import sha256

    import msgspec

    job = jobs.idle_check
    shared = {name: getattr(job, name) for name in Policy.__struct_fields__ if hasattr(job, name)}
    # a digest: a probe's arguments are nobody's business who reads the audit trail
    asked = msgspec.json.encode((job.activity, job.probes)) if job.activity or job.probes else b""
    signals = sha256(asked).hexdigest()[:16] if asked else ""
    return Policy(**shared, require_registered=jobs.tags.require_registered, signals=signals, cluster=cluster)


def check(run: Run, names: Sequence[str], *, dry_run: bool) -> Checked:
    """Decide about each node once, and switch at most one off.

    Raises:
        ConfigError: no node is configured, or one that the cluster does not have.
        UsageError: a node was asked for that is not configured.
        WriteForbidden: nobody knows who is listening at the other end.
        CannotWrite, Locked, BadState: what must be remembered cannot be.
    """
    job = run.jobs().idle_check
    if not job.enabled:
        return Checked(disabled=True)
    chosen = _chosen(job, names)
    rehearsal = dry_run or job.dry_run
    memory = _Memory(run, kind=REHEARSED if job.dry_run else RECORDS, keeps=not dry_run)
    client = run.client(read_only=rehearsal, deadline=_LOOK_S)
    if client.connection.trust.insecure:
        hint = "trust the host's certificate with pvectl config trust"
        raise WriteForbidden("no node can be switched off: with `insecure: true` nobody knows who is listening", hint=hint)
    policy = policy_of(run.jobs(), run.cluster)
    watch = _Watch(run, client, policy, job, memory)
    cases, alone, steps = watch.decide(chosen)
    if any(step.decision.verdict is Verdict.ACT or step.decision.reason is Reason.NOTICE for step in steps):
        # a host of another cluster in the list is a mistake, and it has to be told before anything is switched off
        client.prove_hosts()
    ids = memory.write(cases, alone, steps)
    decided = {step.decision.node: Decided(decision=step.decision, id=ids.get(step.decision.node)) for step in steps}
    if not rehearsal and memory.set_aside is None:
        for step in steps:
            if step.decision.verdict is Verdict.ACT and step.decision.action is not None:
                node = step.decision.node
                outcome = watch.switch_off(step, cases[node].evidence, ids[node])
                decided[node] = replace(decided[node], outcome=outcome)
    if memory.unkept is None:
        memory.prune()
    return Checked(decided=tuple(decided.values()), rehearsal=rehearsal, set_aside=memory.set_aside, unkept=memory.unkept)


def hand_over(run: Run, client: ProxmoxClient, nodes: Sequence[str], *, rehearsal: bool) -> tuple[Decided, ...]:
    """Switch these nodes off now, as a schedule says: all that keeps a node on counts, but for the grace period and the notice.

    One after the other: the next is looked at once the one before is seen off, and not at all when it is not.

    Raises:
        ConfigError: the cluster has no node of that name, or idle_check.nodes does not list it.
        CannotWrite: what must be remembered cannot be.
    """
    jobs = run.jobs()
    _chosen(jobs.idle_check, nodes)
    rehearsal = rehearsal or jobs.idle_check.dry_run
    memory = _Memory(run, kind=RECORDS, keeps=not rehearsal)
    watch = _Watch(run, client, policy_of(jobs, run.cluster), jobs.idle_check, memory)
    decided = []
    for node in nodes:
        run.take_time(_LOOK_S)
        case, step = watch.decide_for_schedule(node)
        ids = memory.write({node: case}, (step,), (step,), handed_over=True)
        outcome = None
        if not rehearsal and step.decision.verdict is Verdict.ACT:
            outcome = watch.switch_off(step, case.evidence, ids[node])
        decided.append(Decided(decision=step.decision, id=ids.get(node), outcome=outcome))
        if outcome is not None and outcome.status is not OutcomeStatus.DONE:
            break
    return tuple(decided)


def _chosen(job: IdleCheck, names: Sequence[str]) -> tuple[str, ...]:
    if not job.nodes:
        hint = "idle_check: {nodes: [pve2]} in pvectl.yml names the nodes that may be switched off, and no others ever are"
        raise ConfigError("idle_check.nodes names no node, so there is nothing to check", hint=hint)
    for name in names:
        if name not in job.nodes:
            hint = f"those are: {', '.join(job.nodes)}"
            raise UsageError(f"node {name} is not among idle_check.nodes, so it is never switched off", hint=hint)
    return tuple(dict.fromkeys(names)) or job.nodes


class _Memory:
    """What the state file holds for this job; a rehearsal by hand only reads, and one by configuration keeps records of its own."""

    def __init__(self, run: Run, *, kind: str, keeps: bool) -> None:
        self._run = run
        self._kind = kind
        self._keeps = keeps
        self.unkept: PvectlError | None = None
        self.store: Store = run.store("write" if keeps else "read")
        self.set_aside = self.store.set_aside
        self.records = dict(self.store.recall_all(kind, NodeRecord))
        self._unsettled = {node for node, record in self.records.items() if record.phase in _UNSETTLED}

    def write(
        self, cases: Mapping[str, Case], alone: Sequence[Step], steps: Sequence[Step], *, handed_over: bool = False
    ) -> dict[str, str]:
        """Keep the records and the decisions with all they rest on, in one transaction; the ids by node."""
        if not self._keeps:
            return {}
        ids: dict[str, str] = {}
        with self.store.transaction():
            for before, step in zip(alone, steps, strict=True):
                self.keep(step.record)
                kept = Kept(case=cases[step.decision.node], decision=step.decision, handed_over=handed_over)
                if before.decision != step.decision:
                    kept = replace(kept, alone=before.decision)
                id_ = self._decided(step.decision, kept)
                ids[step.decision.node] = id_
                if self._kind == RECORDS:
                    self.store.keep(LAST, step.decision.node, LastDecision(id=id_, decision=step.decision))
            self._settle_all()
        return ids

    def looked(self, decision: NodeDecision, look: KeptLook) -> str:
        """Keep the last look before a power-off, beside the decision it belongs to."""
        if look.answer.stop is None:
            words, verdict, reason = f"nothing speaks against powering {decision.node} off", Verdict.ACT, decision.reason
        else:
            words, verdict, reason = look.answer.stop, Verdict.KEEP, look.answer.reason or decision.reason
        told = replace(decision, at=look.case.now.wall, verdict=verdict, reason=reason, detail=words)
        return self._decided(told, look, phase="last-look")

    def keep(self, record: NodeRecord) -> None:
        if self._kind == REHEARSED and record.phase is Phase.DRAIN:
            # nothing was begun that could be left unfinished
            record = replace(record, phase=Phase.NOTICE, attempt=None, planned=())
        self.store.keep(self._kind, record.node, record)
        self.records[record.node] = record

    def change(self, before: NodeRecord, record: NodeRecord) -> None:
        """Keep what became of a record, where anything did; a run that only reads goes on with it all the same."""
        if record != before and self._keeps:
            self.keep(record)
        self.records[record.node] = record
        if record.phase is not Phase.OFF_SEEN:
            # whether it was off in between, nobody has looked
            self._unsettled.discard(record.node)

    def _settle_all(self) -> None:
        """Write into the audit trail what came of power-offs whose end nobody had seen before this look (safety rule S23)."""
        if self._kind != RECORDS or self.set_aside is not None:
            return
        for intent in self.store.open_intents():
            node = intent.subject.removeprefix("node/")
            if intent.verb == "power-off" and node in self._unsettled:
                self._settle(intent.id, self.records[node])

    def _settle(self, intent_id: str, record: NodeRecord) -> None:
        if record.phase in _UNSETTLED:
            return
        at, came_to_nothing = self._run.clock.now(), record.phase in (Phase.COOLDOWN, Phase.QUARANTINE)
        if came_to_nothing:
            self.store.ended(intent_id, status=OutcomeStatus.FAILED.value, at=at, error=record.last_failure)
        else:
            self.store.ended(intent_id, status=OutcomeStatus.DONE.value, at=at)

    def prune(self) -> None:
        if self._keeps:
            self.store.prune(now=self._run.clock.now())

    def _decided(self, decision: NodeDecision, kept: Kept | KeptLook, *, phase: str | None = None) -> str:
        import msgspec

        from pvectl.store import DecisionEntry

        entry = DecisionEntry(
            id=self.store.new_id(),
            job=JOB,
            run_id=self._run.id,
            at=decision.at,
            subject=decision.subject,
            verdict=decision.verdict,
            reason=decision.reason,
            detail=decision.detail,
            phase=phase or decision.phase,
            acted=decision.verdict is Verdict.ACT and self._kind == RECORDS,
            payload=msgspec.Raw(msgspec.json.encode(kept)),
        )
        self.store.decided(entry)
        return entry.id


class _Watch:
    """Looks at nodes and decides about them, the same way the first time and again before each write."""

    def __init__(self, run: Run, client: ProxmoxClient, policy: Policy, job: IdleCheck, memory: _Memory) -> None:
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

    def decide_for_schedule(self, node: str) -> tuple[Case, Step]:
        """What a schedule's wish to have the node off comes to, and what that rests on: everything, read anew."""
        evidence = self._look([node], deep=True)[node]
        case = Case(
            record=self._memory.records.get(node), evidence=evidence, policy=self._policy, now=self._now(), others=self._others(node)
        )
        return case, idle.handed_over(case.record, case.evidence, case.policy, case.now, case.others)

    def switch_off(self, step: Step, evidence: NodeEvidence, decision_id: str) -> PowerOutcome:
        """Carry the decision out, and remember what came of it."""
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
            outcome = self._carried_out(action, step, evidence, decision_id)
        try:
            self._memory.keep(idle.after(record, outcome, self._policy, self._now()))
        except PvectlError as error:
            # the record on disk says that this is under way, so that the next run finds out by looking
            log.warning("node.not-remembered", error=error.message)
            if not (outcome.sent or any(one.status is not OutcomeStatus.SKIPPED for one in outcome.guests)):
                raise
            self._memory.unkept = error
        done = outcome.status in (OutcomeStatus.DONE, OutcomeStatus.STARTED)
        (log.warning if done else log.error)("node.power-off", status=outcome.status.value, error=outcome.error)
        return outcome

    def _carried_out(self, action: SwitchOff, step: Step, evidence: NodeEvidence, decision_id: str) -> PowerOutcome:
        from pvectl import act

        decision, record = step.decision, step.record
        sensitive = isinstance(evidence.tags_case_sensitive, Known) and evidence.tags_case_sensitive.value
        here = isinstance(evidence.whereabouts, Known) and evidence.whereabouts.value.place is Place.NODE
        diary = StoredDiary(self._memory.store, self._run.clock, job=JOB, run_id=self._run.id, decision_id=decision_id)
        # each look is bounded by the deadline it has: a hanging node takes 30 s for one question
        self._run.take_time(act.longest_switch_off(action, PARALLEL) + _LOOK_S * (2 + sum(map(len, action.stages))))
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
