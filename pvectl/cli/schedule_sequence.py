"""One occurrence of a schedule, carried out: looked at, claimed, asked stage after stage, and remembered on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, assert_never

from msgspec.structs import replace

from pvectl.cli.kept import KeptTurns
from pvectl.cli.schedule_books import JOB, Books, ScheduleDiary
from pvectl.cli.schedule_eyes import Eyes
from pvectl.cli.schedule_run import LOOK_S, Looking
from pvectl.cli.schedule_told import Carried, Clash, Distrust, GuestTold, StageTold, Told, summary
from pvectl.cli.schedule_waiting import seen_off
from pvectl.core.plan import Outcome, OutcomeStatus, Plan, Reason, Shutdown, Verdict
from pvectl.core.schedules import ledger as ledgers
from pvectl.core.schedules import sequence
from pvectl.core.schedules.ledger import Entry, Ledger, State
from pvectl.core.schedules.sequence import Look, Turn
from pvectl.core.schedules.stages import (
    Abort,
    Finished,
    OnTimeout,
    Result,
    Stage,
    Standing,
    Start,
    Wait,
    end_state,
    next_move,
    stage_problems,
    standing,
)
from pvectl.errors import BadState, CannotWrite, Locked, PvectlError, WriteForbidden

if TYPE_CHECKING:
    from pvectl.cli.context import Run
    from pvectl.config.schema import ScheduleEntry

PARALLEL = 8
"""Requests at a time; the guests of a stage go down together."""


class Carrying:
    """One occurrence on its way from being due, or left behind by a run that died, to its end."""

    def __init__(self, run: Run, looking: Looking, entry: Entry, ledger: Ledger, decision_id: str | None, *, rehearsal: bool) -> None:
        self._run = run
        self._looking = looking
        self._schedule: ScheduleEntry = looking.schedule
        self._books: Books = looking.books
        self._entry = entry
        self._ledger = ledger
        self._decision_id = decision_id
        self._rehearsal = rehearsal
        self._by_hand = rehearsal and not looking.books.keeps
        self._due = entry
        # what read_only was made for stands: a rehearsal's client cannot write
        self._client = run.client(read_only=rehearsal, deadline=LOOK_S)
        self._log = run.log.bind(schedule=entry.occurrence.schedule, occurrence=entry.occurrence.wall, decision_id=decision_id)
        self._eyes = Eyes(run, self._client, self._schedule, self._books.store)
        self._eyes.plan = entry.guests
        self._results: dict[int, Result] = {}
        self._told: dict[str, tuple[GuestTold, ...]] = {}
        self._warnings: tuple[str, ...] = ()

    def told(self) -> Told:
        """Carry it out, and tell what came of it.

        Raises:
            CannotWrite, Locked, BadState, WriteForbidden: what must be remembered cannot be; nothing more leaves.
        """
        self._run.take_time(LOOK_S)
        try:
            look = self._eyes.look()
            doubt = None if self._by_hand else self._eyes.distrust(look)
        except (CannotWrite, Locked, BadState, WriteForbidden):
            raise
        except PvectlError as error:
            return self._put_off(Reason.UNSEEN, error.message, error)
        if doubt is not None:
            _, reason, detail = doubt
            return self._put_off(reason, detail, Distrust(detail))
        stages = self._stages(look)
        problem = next(iter(stage_problems(stages)), None)
        if problem is not None:
            return self._put_off(Reason.STAGES_CLASH, problem.message, Clash(problem.message, hint=problem.hint))
        if self._entry.state.under_way:
            self._log.warning("schedule.resumes", run_id=self._entry.run_id)
        else:
            empty = self._begin(look, stages)
            if empty is not None:
                return empty
        try:
            return self._carry(stages)
        except KeyboardInterrupt:
            return self._interrupted()
        except (CannotWrite, Locked, BadState, WriteForbidden):
            raise
        except PvectlError as error:
            # nobody was asked without having been seen; the next run goes on where this one cannot
            return self._put_off(Reason.UNSEEN, error.message, error)

    def _stages(self, look: Look) -> tuple[Stage, ...]:
        stages = self._eyes.stages(look)
        # a rehearsal has nobody to wait for
        return tuple(replace(stage, wait_after=0) for stage in stages) if self._rehearsal else stages

    def _begin(self, look: Look, stages: Sequence[Stage]) -> Told | None:
        """Claim the occurrence; or what is told where nobody is to be asked."""
        chosen = sequence.choose(look)
        stage_of = {vmid: stage.name for stage in stages for vmid in stage.vmids}
        plan = sequence.planned(look, stage_of)
        left_out = [str(action.guest.vmid) for action in chosen.actions if action.guest.vmid not in stage_of]
        if left_out:
            self._warnings += (f"selected, and in no stage, so left alone: {', '.join(left_out)}",)
        if not plan:
            why = chosen.why_empty or "nothing to shut down: who is selected is in no stage"
            self._tell_all(stages, look)
            if chosen.held or chosen.unseen:
                first = (*chosen.held, *chosen.unseen)[0]
                return self._put_off(first.reason, f"{first.subject.removeprefix('guest/')}: {first.detail}", None)
            return self._ended(State.SKIPPED, Reason.NOTHING_SELECTED, why)
        now = self._run.clock.now()
        if self._rehearsal:
            self._entry = replace(self._entry, state=State.CLAIMED, guests=plan)
        else:
            try:
                self._entry = ledgers.claim(self._entry, run_id=self._run.id, guests=plan, now=now)
            except ValueError:
                return self._put_off(Reason.DEADLINE_PASSED, "looking at the cluster took until its deadline", None)
            self._log.warning("schedule.begins", vmids=[one.vmid for one in plan])
        self._eyes.plan = plan
        self._keep()
        return None

    def _carry(self, stages: Sequence[Stage]) -> Told:
        """Stage after stage, until all are through or one does not begin."""
        started: list[datetime] = []
        diary = ScheduleDiary(self._books, self._run, self._entry_now, self._changed, decision_id=self._decision_id or "")
        until = None if self._rehearsal else self._entry.deadline
        abort: Abort | None = None
        while abort is None:
            move = next_move(stages, self._results, started=started, now=self._run.clock.now(), until=until)
            match move:
                case Start(stage=index):
                    abort = self._kept_awake(stages, index)
                    if abort is None:
                        started.append(self._run.clock.now())
                        self._turn(stages[index], diary)
                case Wait(until=None):
                    return self._interrupted()
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
            self._told.setdefault(stage.name, ())
        state = end_state([result.standing for result in self._results.values()], aborted=abort is not None or diary.late)
        if abort is not None:
            told = self._ended(state, abort.reason, abort.detail, abort=abort, late=diary.late)
        else:
            detail = summary(self._told, rehearsal=self._rehearsal)
            told = self._ended(state, Reason.SCHEDULED, detail, late=diary.late)
        return self._handed_over(told) if state is State.DONE and abort is None else told

    def _kept_awake(self, stages: Sequence[Stage], index: int) -> Abort | None:
        """A stay-up window that has opened on the way keeps the stages up whose turn has not come."""
        windows = () if self._rehearsal else self._looking.open_windows(self._run.clock.now())
        if not windows:
            return None
        spared = tuple(vmid for stage in stages[index:] for vmid in stage.vmids)
        return Abort(stage=index, reason=windows[0].reason, detail=windows[0].detail, spared=spared)

    def _turn(self, stage: Stage, diary: ScheduleDiary) -> None:
        """Look at the guests of one stage anew, and ask those who still are as they were planned for."""
        self._run.take_time(LOOK_S)
        look = self._eyes.fresh(stage)
        turns = sequence.turns(stage.vmids, look, self._entry.guests)
        self._remember(stage, look, turns)
        diary.on_node = {turn.decision.subject: turn.guest.node for turn in turns if turn.guest is not None}
        now = self._run.clock.now()
        self._results |= {turn.vmid: Result(standing=turn.standing, at=now) for turn in turns if turn.standing is not None}
        if self._by_hand:
            # who is still on its way is taken for off, as whoever would be asked
            self._results |= {turn.vmid: Result(standing=Standing.OFF, at=now) for turn in turns if turn.standing is None}
        else:
            asked = {one.vmid for one in self._entry.guests if one.asked and one.result is None}
            self._end_intents({turn.vmid: (OutcomeStatus.DONE, None) for turn in turns if turn.vmid in asked and _is_seen_off(turn)})
        outcomes = self._ask(turns, look, diary)
        waited = self._wait_for([turn for turn in turns if turn.decision.verdict is Verdict.WAIT], stage) if not self._by_hand else {}
        came = outcomes | waited
        self._told[stage.name] = tuple(
            GuestTold(
                vmid=turn.vmid,
                guest=turn.guest,
                decision=turn.decision,
                standing=self._results[turn.vmid].standing if turn.vmid in self._results else None,
                outcome=came.get(turn.vmid),
            )
            for turn in turns
        )

    def _remember(self, stage: Stage, look: Look, turns: tuple[Turn, ...]) -> None:
        """Keep what was decided about the guests of a stage, with all that this rests on and nothing else."""
        members, plan = set(stage.vmids), tuple(one for one in self._entry.guests if one.vmid in stage.vmids)
        kept, away = look.picked.guests, look.picked.excluded
        picked = replace(
            look.picked,
            guests=tuple(guest for guest in kept if guest.vmid in members),
            excluded=tuple(guest for guest in away if guest.vmid in members),
        )
        told = KeptTurns(stage=stage.name, vmids=stage.vmids, look=replace(look, picked=picked), plan=plan, answer=turns)
        self._books.turned(self._schedule.name, told)

    def _ask(self, turns: Sequence[Turn], look: Look, diary: ScheduleDiary) -> dict[int, Outcome]:
        from pvectl import act

        asked = [turn for turn in turns if turn.decision.action is not None]
        if not asked:
            return {}
        timeout = self._schedule.timeout
        # the requests of a large stage take their time as well
        self._run.take_time(act.longest_wait(timeout) + LOOK_S + len(asked))
        tag = look.scope.require_tag
        outcomes = act.carry_out(
            Plan(made_at=look.seen_at, decisions=tuple(turn.decision for turn in asked)),
            self._client,
            self._run.clock,
            dry_run=self._rehearsal,
            parallel=PARALLEL,
            progress=self._log_outcome,
            diary=None if self._rehearsal else diary,
            needed=act.NeededTag(tag=tag, case_sensitive=look.scope.case_sensitive) if tag is not None else None,
        )
        came = {}
        for turn, outcome in zip(asked, outcomes, strict=True):
            came[turn.vmid] = outcome
            now = self._run.clock.now()
            stands = standing(turn.decision, outcome, seen_off=outcome.kind == Reason.ALREADY_OFF.value)
            if act.interrupted([outcome]):
                continue
            self._entry = ledgers.answered(self._entry, turn.vmid, result=outcome.status, upid=outcome.upid, now=now)
            if stands is not None:
                self._results[turn.vmid] = Result(standing=stands, at=now)
        self._keep()
        return came

    def _wait_for(self, turns: Sequence[Turn], stage: Stage) -> dict[int, Outcome]:
        """See what becomes of guests that the run before this one asked: they are waited for, and never asked again."""
        from pvectl import act

        longest = act.longest_wait(self._schedule.timeout)
        self._run.take_time(longest + LOOK_S)
        force = stage.on_timeout is OnTimeout.FORCE
        waiting = [Shutdown(guest=turn.guest, timeout=self._schedule.timeout, force_stop=force) for turn in turns if turn.guest is not None]
        upids = {one.vmid: one.upid for one in self._entry.guests}
        came = seen_off(waiting, upids, self._client, self._run.clock, within=longest)
        for vmid, outcome in came.items():
            now = self._run.clock.now()
            off = outcome.status is OutcomeStatus.DONE
            self._results[vmid] = Result(standing=Standing.OFF if off else Standing.TIMED_OUT, at=now)
            self._entry = ledgers.answered(self._entry, vmid, result=outcome.status, upid=outcome.upid, now=now)
            self._log_outcome(outcome)
        if came:
            self._keep()
            self._end_intents({vmid: (outcome.status, outcome.error) for vmid, outcome in came.items()})
        return came

    def _end_intents(self, came: Mapping[int, tuple[OutcomeStatus, str | None]]) -> None:
        """Close in the audit trail what the runs that died on the way had left open: status and error by vmid."""
        store, since = self._books.store, self._entry.occurrence.at
        for intent in store.open_intents() if came else ():
            known = came.get(int(intent.subject.removeprefix("guest/"))) if intent.job == JOB and intent.verb == "shutdown" else None
            if known is not None and intent.at >= since:
                status, error = known
                store.ended(intent.id, status=status.value, at=self._run.clock.now(), error=error)

    def _tell_all(self, stages: Sequence[Stage], look: Look) -> None:
        """What is decided about each guest where nobody is asked."""
        for stage in stages:
            turns = sequence.turns(stage.vmids, look, ())
            self._remember(stage, look, turns)
            self._told[stage.name] = tuple(
                GuestTold(vmid=turn.vmid, guest=turn.guest, decision=turn.decision, standing=turn.standing) for turn in turns
            )

    def _entry_now(self) -> Entry:
        return self._entry

    def _changed(self, entry: Entry) -> None:
        self._entry = entry
        self._keep()

    def _keep(self) -> None:
        if not self._by_hand:
            self._ledger = ledgers.recorded(self._ledger, self._entry)
            self._books.keep(self._ledger)

    def _log_outcome(self, outcome: Outcome) -> None:
        if outcome.status in (OutcomeStatus.DRY_RUN, OutcomeStatus.SKIPPED):
            return
        guest = outcome.action.guest
        fields = {"vmid": guest.vmid, "node": guest.node, "status": outcome.status.value, "upid": outcome.upid, "error": outcome.error}
        tell = self._log.warning if outcome.status in (OutcomeStatus.DONE, OutcomeStatus.STARTED) else self._log.error
        tell("guest.shutdown", **{key: value for key, value in fields.items() if value is not None})

    def _put_off(self, reason: Reason, detail: str, error: PvectlError | None) -> Told:
        """It does not begin now; it may until its deadline, and so may one that had begun."""
        carried = Carried(stages=self._stages_told(), error=error, warnings=(*self._eyes.advice, *self._warnings))
        if self._entry.state.under_way or self._by_hand:
            return self._tell(self._entry, reason, detail, carried)
        told = self._looking.put_off(reason, detail)
        return replace(told, carried=carried, news=told.news or error is not None)

    def _interrupted(self) -> Told:
        carried = Carried(stages=self._stages_told(), interrupted=True, warnings=(*self._eyes.advice, *self._warnings))
        detail = "interrupted: a run before its deadline goes on with it"
        if self._entry.state.ended:
            detail = "interrupted once its guests were through: no run of it switches the nodes off any more"
        return self._tell(self._entry, Reason.INTERRUPTED, detail, carried)

    def _ended(self, state: State, reason: Reason, detail: str, *, abort: Abort | None = None, late: bool = False) -> Told:
        if self._by_hand:
            carried = Carried(stages=self._stages_told(), abort=abort, warnings=(*self._eyes.advice, *self._warnings))
            return self._tell(self._due, reason, detail, carried)
        self._entry = ledgers.finish(self._entry, state, reason=reason, detail=detail, now=self._run.clock.now())
        self._keep()
        tell = self._log.info if state in (State.DONE, State.SKIPPED) else self._log.error
        tell("schedule.ends", state=state.value, reason=reason.value)
        carried = Carried(stages=self._stages_told(), abort=abort, late=late, warnings=(*self._eyes.advice, *self._warnings))
        return self._tell(self._entry, reason, detail, carried)

    def _handed_over(self, told: Told) -> Told:
        """Switch off the nodes that are to go off afterwards, through idle-check's own gate and actuator."""
        nodes = self._schedule.then_power_off
        if not nodes or told.carried is None:
            return told
        from pvectl.cli import idle_run

        try:
            handed = idle_run.hand_over(self._run, self._client, nodes, rehearsal=self._rehearsal)
        except (CannotWrite, Locked, BadState, WriteForbidden):
            raise
        except PvectlError as error:
            return replace(told, carried=replace(told.carried, error=error))
        return replace(told, carried=replace(told.carried, handed=handed))

    def _stages_told(self) -> tuple[StageTold, ...]:
        return tuple(StageTold(name=name, guests=guests, begun=bool(guests)) for name, guests in self._told.items())

    def _tell(self, entry: Entry, reason: Reason, detail: str, carried: Carried) -> Told:
        return Told(
            schedule=entry.occurrence.schedule,
            occurrence=entry.occurrence,
            state=entry.state,
            reason=reason,
            detail=detail,
            decision_id=self._decision_id,
            carried=carried,
            news=True,
        )


def _is_seen_off(turn: Turn) -> bool:
    return turn.guest is not None and turn.guest.is_off
