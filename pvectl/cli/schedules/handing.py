"""The nodes that a schedule wants off once its guests are: each handed to idle-check's own gate, once, and remembered in the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pvectl.cli.schedules.told import Told
from pvectl.core.plan import OutcomeStatus, Reason
from pvectl.core.schedules import handing
from pvectl.core.schedules import ledger as ledgers
from pvectl.core.schedules.ledger import State
from pvectl.core.schedules.stages import Abort
from pvectl.errors import BadState, CannotWrite, ConfigError, Locked, PvectlError, WriteForbidden

if TYPE_CHECKING:
    from pvectl.cli.idle.run import Decided
    from pvectl.cli.schedules.course import Course
    from pvectl.pve.client import ProxmoxClient


class _Spared(PvectlError):
    """No node's turn begins any more."""

    def __init__(self, abort: Abort) -> None:
        super().__init__(abort.detail)
        self.abort = abort


def hand_over(course: Course, client: ProxmoxClient) -> Told:
    """Switch off the nodes that are left of an occurrence whose guests are through, and tell what came of it.

    Raises:
        CannotWrite, Locked, BadState, WriteForbidden: what must be remembered cannot be; nothing was done to a node.
    """
    try:
        return _handed_over(course, client)
    except (CannotWrite, Locked, BadState, WriteForbidden) as error:
        if any(map(_did_something, course.handed)):
            # this is not the end of a run that has done nothing
            return course.unkept(error)
        raise


def _handed_over(course: Course, client: ProxmoxClient) -> Told:
    _leave_to_idle_check(course)
    left = handing.waiting(course.entry.nodes)
    spared = None if not left or any(one.begun for one in left) else _spared(course)
    if spared is not None:
        return _over(course, abort=spared)
    try:
        cut = _each(course, client) if left else False
    except KeyboardInterrupt:
        return course.interrupted()
    except _Spared as error:
        return _over(course, abort=error.abort)
    except (CannotWrite, Locked, BadState, WriteForbidden):
        raise
    except ConfigError as error:
        # a configuration that is mended only arms the schedule, so no later run can do better
        return _over(course, error=error)
    except PvectlError as error:
        return course.put_off(Reason.UNSEEN, error.message, error)
    left = handing.waiting(course.entry.nodes)
    if left and not cut and not course.by_hand:
        nodes = ", ".join(one.node for one in left)
        detail = f"{course.entry.detail}; a run before its deadline looks again at {nodes}"
        return course.put_off(course.handed[-1].decision.reason, detail, None)
    return _over(course, cut=cut)


def _leave_to_idle_check(course: Course) -> None:
    """With idle-check switched off no node's turn begins; what became of those whose turn had begun is seen all the same."""
    if course.run.jobs().idle_check.enabled:
        return
    kept = [one.node for one in handing.waiting(course.entry.nodes) if not one.begun]
    for node in kept:
        course.changed(ledgers.node_came(course.entry, node, OutcomeStatus.SKIPPED, course.run.clock.now()))
    if kept:
        course.warnings += (f"idle_check is switched off (enabled: false), so no node is: {', '.join(kept)}",)


def _spared(course: Course) -> Abort | None:
    """Why the nodes stay on that are left: it is too late, or a stay-up window has opened on the way."""
    now, entry = course.run.clock.now(), course.entry
    if course.rehearsal:
        return None
    if now >= entry.deadline:
        nodes = ", ".join(one.node for one in handing.waiting(entry.nodes))
        detail = f"{nodes} could not be switched off before {entry.deadline:%Y-%m-%d %H:%M:%S} UTC"
        return Abort(stage=len(course.told), reason=Reason.DEADLINE_PASSED, detail=detail, spared=())
    windows = course.looking.open_windows(now)
    return Abort(stage=len(course.told), reason=windows[0].reason, detail=windows[0].detail, spared=()) if windows else None


def _each(course: Course, client: ProxmoxClient) -> bool:
    """One node after the other, as far as it goes; whether Ctrl-C ended it after a turn had begun."""
    from pvectl import act
    from pvectl.cli.idle import run as idle_run

    too_late: list[Abort] = []

    def begins(node: str) -> None:
        # the look before it may have taken until the deadline
        spared = _spared(course)
        if spared is not None:
            raise _Spared(spared)
        course.changed(ledgers.node_begun(course.entry, node, course.run.clock.now()))

    def until() -> str | None:
        spared = _spared(course)
        if spared is None:
            return None
        too_late.append(spared)
        return spared.detail

    for decided, result in idle_run.hand_over(course.run, client, course.entry, rehearsal=course.rehearsal, begins=begins, until=until):
        course.handed = (*course.handed, decided)
        if decided.unkept is not None:
            # its turn has begun, and is not over before somebody has seen what came of it
            raise decided.unkept
        node = decided.decision.node
        if result is not None:
            course.changed(ledgers.node_came(course.entry, node, result, course.run.clock.now()))
        if any(one.node == node and handing.stops_the_rest(one) for one in course.entry.nodes):
            for one in handing.waiting(course.entry.nodes):
                course.changed(ledgers.node_came(course.entry, one.node, OutcomeStatus.SKIPPED, course.run.clock.now()))
            if too_late:
                raise _Spared(too_late[0])
            return decided.outcome is not None and act.interrupted([decided.outcome])
    return False


def _over(course: Course, *, abort: Abort | None = None, error: PvectlError | None = None, cut: bool = False) -> Told:
    """The end of the occurrence: as its guests came out, or partial where a node did not go off that should have."""
    entry = course.entry
    assert entry.through is not None
    lost = [one.decision for one in course.handed if one.outcome is None and _result(course, one) is OutcomeStatus.FAILED]
    if lost and abort is None:
        abort = Abort(stage=len(course.told), reason=lost[0].reason, detail=lost[0].detail, spared=())
    if abort is not None:
        return course.ended(State.PARTIAL, abort.reason, abort.detail, abort=abort)
    wrong = error is not None or cut or handing.went_wrong(entry.nodes)
    detail = f"{entry.detail}; interrupted at its nodes, and no later run goes on with them" if cut else entry.detail
    return course.ended(State.PARTIAL if wrong else entry.through, entry.reason, detail, error=error, cut=cut)


def _did_something(decided: Decided) -> bool:
    outcome = decided.outcome
    return outcome is not None and (outcome.sent or any(one.status is not OutcomeStatus.SKIPPED for one in outcome.guests))


def _result(course: Course, decided: Decided) -> OutcomeStatus | None:
    return next(one.result for one in course.entry.nodes if one.node == decided.decision.node)
