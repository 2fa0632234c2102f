"""What `pvectl node wake` does and says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pvectl.cli.diary import StoredDiary
from pvectl.cli.idle.memory import RECORDS
from pvectl.cli.output import Problem, Report
from pvectl.cli.patience import LOOK_S
from pvectl.cli.words import span
from pvectl.core import idle
from pvectl.core.plan import OutcomeStatus, WakeOutcome
from pvectl.core.text import clean
from pvectl.errors import ExitCode

if TYPE_CHECKING:
    from pvectl.cli.context import Run

JOB = "node-wake"
_CODES = {
    OutcomeStatus.TIMED_OUT: ExitCode.FAILED,
    OutcomeStatus.FAILED: ExitCode.FAILED,
    OutcomeStatus.UNKNOWN: ExitCode.UNKNOWN_OUTCOME,
}


def report(run: Run, node: str, *, wait: bool, within: int) -> Report:
    """Wake the node, remember whether that worked, and tell.

    Raises:
        PvectlError: nothing was sent; the message says why.
    """
    from pvectl import act
    from pvectl.store import DecisionEntry

    store = run.store_to_act()
    client = run.client(read_only=False, deadline=within + LOOK_S)
    decision = DecisionEntry(
        id=store.new_id(),
        job=JOB,
        run_id=run.id,
        at=run.clock.now(),
        subject=f"node/{node}",
        verdict="act",
        reason="requested",
        detail=f"somebody asked for {clean(node)} to be woken",
        acted=True,
    )
    store.decided(decision)
    diary = StoredDiary(store, run.clock, job=JOB, run_id=run.id, decision_id=decision.id)
    outcome = act.wake(node, client, run.clock, diary=diary, within=within, wait=wait)
    now = idle.Now(wall=run.clock.now(), boottime=run.clock.boottime(), boot_id=run.clock.boot_id())
    known = store.recall(RECORDS, node, idle.NodeRecord)
    pardoned = False
    if outcome.kind == act.ALREADY_ONLINE and known is not None:
        record = idle.looked_after(known, now)
        pardoned = record != known
        store.keep(RECORDS, node, record)
    if outcome.sent:
        record = known or idle.fresh(node, now)
        ok = {OutcomeStatus.DONE: True, OutcomeStatus.TIMED_OUT: False}.get(outcome.status)
        store.keep(RECORDS, node, idle.woken(record, now, ok=ok))
    code = _CODES.get(outcome.status, ExitCode.OK)
    if outcome.kind == "interrupted":
        run.was_interrupted = True
        code = run.interrupted_by
    problems: tuple[Problem, ...] = ()
    if code is not ExitCode.OK:
        message = f"{node}: {outcome.error or outcome.status.value}"
        problems = (Problem(code=outcome.status.value, message=message, hint=outcome.hint, subject=f"node/{node}"),)
    told = {key: value for key, value in msgspec.to_builtins(outcome).items() if key != "action"}
    data = [{"node": node, **told, "decision_id": decision.id}]
    text = _told(node, outcome, pardoned=pardoned)
    return Report(schema="node-wake", data=data, text=text, exit_code=code, cluster=run.cluster, problems=problems)


def _told(node: str, outcome: WakeOutcome, *, pardoned: bool) -> str:
    match outcome.status:
        case OutcomeStatus.SKIPPED:
            return f"{node} is online already" + ("; its quarantine is over, and its grace period begins anew" if pardoned else "")
        case OutcomeStatus.DONE:
            return f"{node} is back: online after {span(outcome.online_after)}, its API after {span(outcome.took)}"
        case OutcomeStatus.STARTED:
            return f"the wake-up call for {node} was sent to {clean(outcome.mac or 'its network card')}; nobody waited for it"
        case _:
            return ""
