"""One occurrence of a schedule, carried out: looked at, claimed, asked stage after stage, and remembered on the way."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, assert_never

from msgspec.structs import replace

from pvectl.cli.patience import LOOK_S
from pvectl.cli.schedules.course import Course
from pvectl.cli.schedules.eyes import Eyes
from pvectl.cli.schedules.handing import hand_over
from pvectl.cli.schedules.told import Clash, Distrust, Told, summary
from pvectl.cli.schedules.turn import Turns
from pvectl.core.plan import Reason
from pvectl.core.schedules import ledger as ledgers
from pvectl.core.schedules import sequence
from pvectl.core.schedules.ledger import Entry, Ledger, State
from pvectl.core.schedules.resuming import PlannedGuest
from pvectl.core.schedules.sequence import Look
from pvectl.core.schedules.stages import Abort, Finished, Stage, Start, Wait, end_state, next_move, stage_problems
from pvectl.errors import BadState, CannotWrite, Locked, PvectlError, WriteForbidden

if TYPE_CHECKING:
    from pvectl.cli.context import Run
    from pvectl.cli.schedules.run import Looking


class Carrying:
    """One occurrence on its way from being due, or left behind by a run that died, to its end."""

    def __init__(self, run: Run, looking: Looking, entry: Entry, ledger: Ledger, decision_id: str | None, *, rehearsal: bool) -> None:
        self._run = run
        self._schedule = looking.schedule
        # what read_only was made for stands: a rehearsal's client cannot write
        self._client = run.client(read_only=rehearsal, deadline=LOOK_S)
        self._course = Course(run, looking, entry, ledger, decision_id, rehearsal=rehearsal)
        self._eyes = Eyes(run, self._client, self._schedule, looking.books.store)
        self._eyes.plan = entry.guests
        self._course.advice = lambda: self._eyes.advice
        self._turns = Turns(self._course, self._eyes, self._client, timeout=self._schedule.timeout)

    def told(self) -> Told:
        """Carry it out, and tell what came of it.

        Raises:
            CannotWrite, Locked, BadState, WriteForbidden: what must be remembered cannot be; nothing more leaves.
        """
        course = self._course
        if course.entry.through is not None:
            course.log.warning("schedule.resumes", run_id=course.entry.run_id)
            return hand_over(course, self._client)
        self._run.take_time(LOOK_S)
        try:
            look = self._eyes.look()
            doubt = None if course.by_hand else self._eyes.distrust(look)
        except (CannotWrite, Locked, BadState, WriteForbidden):
            raise
        except PvectlError as error:
            return course.put_off(Reason.UNSEEN, error.message, error)
        if doubt is not None:
            _, reason, detail = doubt
            return course.put_off(reason, detail, Distrust(detail))
        stages = self._stages(look)
        problem = next(iter(stage_problems(stages)), None)
        if problem is not None:
            return course.put_off(Reason.STAGES_CLASH, problem.message, Clash(problem.message, hint=problem.hint))
        if course.entry.state.under_way:
            course.log.warning("schedule.resumes", run_id=course.entry.run_id)
        else:
            empty = self._begin(look, stages)
            if empty is not None:
                return empty
        try:
            return self._carry(stages)
        except KeyboardInterrupt:
            return course.interrupted()
        except (CannotWrite, Locked, BadState, WriteForbidden):
            raise
        except PvectlError as error:
            # nobody was asked without having been seen; the next run goes on where this one cannot
            return course.put_off(Reason.UNSEEN, error.message, error)

    def _stages(self, look: Look) -> tuple[Stage, ...]:
        stages = self._eyes.stages(look)
        # a rehearsal has nobody to wait for
        return tuple(replace(stage, wait_after=0) for stage in stages) if self._course.rehearsal else stages

    def _begin(self, look: Look, stages: Sequence[Stage]) -> Told | None:
        """Claim the occurrence; or what is told where nobody is to be asked."""
        course, chosen = self._course, sequence.choose(look)
        stage_of = {vmid: stage.name for stage in stages for vmid in stage.vmids}
        plan = sequence.planned(look, stage_of)
        left_out = [str(action.guest.vmid) for action in chosen.actions if action.guest.vmid not in stage_of]
        if left_out:
            course.warnings += (f"selected, and in no stage, so left alone: {', '.join(left_out)}",)
        if plan:
            late = self._claim(plan)
            if late is None:
                course.log.warning("schedule.begins", vmids=[one.vmid for one in plan])
            return late
        why = chosen.why_empty or "nothing to shut down: who is selected is in no stage"
        self._turns.tell_all(stages, look)
        if chosen.held or chosen.unseen:
            first = (*chosen.held, *chosen.unseen)[0]
            return course.put_off(first.reason, f"{first.subject.removeprefix('guest/')}: {first.detail}", None)
        nodes = self._schedule.then_power_off
        # a selection that finds nobody at all rather is a mistake than a night on which all is off already
        if nodes and any(decision.reason is Reason.ALREADY_OFF for decision in chosen.decisions):
            return self._claim(()) or self._hand_over(State.SKIPPED, Reason.NOTHING_SELECTED, why)
        return course.ended(State.SKIPPED, Reason.NOTHING_SELECTED, why)

    def _claim(self, plan: tuple[PlannedGuest, ...]) -> Told | None:
        """Make the occurrence this run's own; or what is told where it is too late for that."""
        course = self._course
        if course.rehearsal:
            course.entry = replace(course.entry, state=State.CLAIMED, guests=plan)
        else:
            try:
                course.entry = ledgers.claim(course.entry, run_id=self._run.id, guests=plan, now=self._run.clock.now())
            except ValueError:
                return course.put_off(Reason.DEADLINE_PASSED, "looking at the cluster took until its deadline", None)
        self._eyes.plan = plan
        course.keep()
        return None

    def _carry(self, stages: Sequence[Stage]) -> Told:
        """Stage after stage, until all are through or one does not begin."""
        course = self._course
        started: list[datetime] = []
        until = None if course.rehearsal else course.entry.deadline
        abort: Abort | None = None
        while abort is None:
            move = next_move(stages, course.results, started=started, now=self._run.clock.now(), until=until)
            match move:
                case Start(stage=index):
                    abort = self._kept_awake(stages, index)
                    if abort is None:
                        started.append(self._run.clock.now())
                        self._turns.take(stages[index])
                case Wait(until=None):
                    return course.interrupted()
                case Wait(until=moment):
                    assert moment is not None
                    seconds = max((moment - self._run.clock.now()).total_seconds(), 0.0)
                    self._run.take_time(seconds + LOOK_S)
                    self._run.clock.sleep(seconds)
                case Abort():
                    abort = move
                case Finished():
                    break
                case _:
                    assert_never(move)
        for stage in stages[len(started) :]:
            course.told.setdefault(stage.name, ())
        state = end_state([result.standing for result in course.results.values()], aborted=abort is not None or course.late)
        if abort is not None:
            return course.ended(state, abort.reason, abort.detail, abort=abort)
        detail = summary(course.told, rehearsal=course.rehearsal)
        if state is State.DONE and self._schedule.then_power_off:
            return self._hand_over(state, Reason.SCHEDULED, detail)
        return course.ended(state, Reason.SCHEDULED, detail)

    def _hand_over(self, state: State, reason: Reason, detail: str) -> Told:
        """Go on with the nodes; that the guests are through is on disk first, so that a later run can as well."""
        self._course.guests_through(state, reason, detail, nodes=self._schedule.then_power_off, selected=self._eyes.selected)
        return hand_over(self._course, self._client)

    def _kept_awake(self, stages: Sequence[Stage], index: int) -> Abort | None:
        """A stay-up window that has opened on the way keeps the stages up whose turn has not come."""
        windows = () if self._course.rehearsal else self._course.looking.open_windows(self._run.clock.now())
        if not windows:
            return None
        spared = tuple(vmid for stage in stages[index:] for vmid in stage.vmids)
        return Abort(stage=index, reason=windows[0].reason, detail=windows[0].detail, spared=spared)
