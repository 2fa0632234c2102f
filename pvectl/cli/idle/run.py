"""One run of idle-check: look, decide, act, remember."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from pvectl.cli.idle.memory import RECORDS, REHEARSED, Memory
from pvectl.cli.idle.watch import Until, Watch
from pvectl.cli.patience import LOOK_S
from pvectl.core.idle import NodeDecision, Policy
from pvectl.core.plan import OutcomeStatus, PowerOutcome, Reason, Verdict
from pvectl.core.schedules import handing
from pvectl.errors import ConfigError, PvectlError, UsageError, WriteForbidden

if TYPE_CHECKING:
    from pvectl.cli.context import Run
    from pvectl.cli.kept import Case
    from pvectl.config.schema import IdleCheck, PvectlFile
    from pvectl.core.idle import Step
    from pvectl.core.schedules.ledger import Entry
    from pvectl.pve.client import ProxmoxClient


class Decided(Struct, frozen=True, kw_only=True):
    """One node's decision, the id it can be explained by (None: it was not kept), and what was done about it.

    `unkept` is why what was done could not be remembered any more.
    """

    decision: NodeDecision
    id: str | None = None
    outcome: PowerOutcome | None = None
    unkept: PvectlError | None = None


class Checked(Struct, frozen=True, kw_only=True):
    """What one run came to; `rehearsal`: nothing was to be done; `set_aside`: why the state file that was found does not count.

    `unkept` is why what was done could not be remembered any more.
    """

    decided: tuple[Decided, ...] = ()
    rehearsal: bool = False
    disabled: bool = False
    set_aside: str | None = None
    unkept: PvectlError | None = None

    @property
    def interrupted(self) -> bool:
        return any(decided.outcome is not None and decided.outcome.kind == "interrupted" for decided in self.decided)


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
    memory = Memory(run, kind=REHEARSED if job.dry_run else RECORDS, keeps=not dry_run)
    client = run.client(read_only=rehearsal, deadline=LOOK_S)
    if client.connection.trust.insecure:
        hint = "trust the host's certificate with pvectl config trust"
        raise WriteForbidden("no node can be switched off: with `insecure: true` nobody knows who is listening", hint=hint)
    policy = policy_of(run.jobs(), run.cluster)
    watch = Watch(run, client, policy, job, memory)
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


def hand_over(
    run: Run,
    client: ProxmoxClient,
    entry: Entry,
    *,
    rehearsal: bool,
    begins: Callable[[str], object],
    until: Until,
) -> Iterator[tuple[Decided, OutcomeStatus | None]]:
    """Switch the nodes off that are left of a schedule's occurrence: all that keeps a node on counts, but for grace period and notice.

    One after the other, each with what its turn came to: the next is looked at once the one before is seen off, and not at all when it is
    not. `begins` is called in the transaction that keeps the decision to switch a node off. A node whose turn had begun already, in a run
    that died, is only looked at, and unless it went off it is the last. From the moment `until` says why, nothing is asked for any more.

    Raises:
        ConfigError: the cluster has no node of that name, or idle_check.nodes does not list it.
        CannotWrite: what must be remembered cannot be.
    """
    jobs = run.jobs()
    nodes = handing.waiting(entry.nodes)
    _chosen(jobs.idle_check, [one.node for one in nodes])
    rehearsal = rehearsal or jobs.idle_check.dry_run
    memory = Memory(run, kind=RECORDS, keeps=not rehearsal)
    watch = Watch(run, client, policy_of(jobs, run.cluster), jobs.idle_check, memory)
    for planned in nodes:
        run.take_time(LOOK_S)
        case, step = watch.decide_for_schedule(planned.node, entry.spared)
        if planned.begun:
            decided, result = _seen_since(memory, case, step, entry)
            yield decided, result
            if result is not OutcomeStatus.DONE:
                return
            continue
        acts = step.decision.verdict is Verdict.ACT and not rehearsal
        if acts:
            client.prove_hosts()
        with memory.together():
            ids = memory.write({planned.node: case}, (step,), (step,), spared=entry.spared)
            if acts:
                begins(planned.node)
        outcome = watch.switch_off(step, case.evidence, ids[planned.node], until=until) if acts else None
        decided = Decided(decision=step.decision, id=ids.get(planned.node), outcome=outcome, unkept=memory.unkept)
        yield decided, handing.result_of(step.decision, outcome)
        if step.decision.verdict is Verdict.WAIT or (outcome is not None and outcome.status is not OutcomeStatus.DONE):
            return
        if memory.unkept is not None:
            # with the end of this one not on disk, nobody would know what the next one went off on
            return


def _seen_since(memory: Memory, case: Case, step: Step, entry: Entry) -> tuple[Decided, OutcomeStatus | None]:
    """What became of a node that a run which died was to switch off; it is never switched off a second time for that."""
    decision = step.decision
    result = handing.result_since(decision, step.record, since=entry.occurrence.at)
    if decision.verdict is Verdict.ACT:
        detail = f"the run that was to switch {decision.node} off died, and it is not begun with a second time"
        return Decided(decision=replace(decision, verdict=Verdict.KEEP, reason=Reason.ALREADY_ASKED, detail=detail, action=None)), result
    ids = memory.write({decision.node: case}, (step,), (step,), spared=entry.spared)
    return Decided(decision=decision, id=ids.get(decision.node)), result


def _chosen(job: IdleCheck, names: Sequence[str]) -> tuple[str, ...]:
    if not job.nodes:
        hint = "idle_check: {nodes: [pve2]} in pvectl.yml names the nodes that may be switched off, and no others ever are"
        raise ConfigError("idle_check.nodes names no node, so there is nothing to check", hint=hint)
    for name in names:
        if name not in job.nodes:
            hint = f"those are: {', '.join(job.nodes)}"
            raise UsageError(f"node {name} is not among idle_check.nodes, so it is never switched off", hint=hint)
    return tuple(dict.fromkeys(names)) or job.nodes
