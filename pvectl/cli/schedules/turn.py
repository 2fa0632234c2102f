"""One stage's turn: its guests are looked at anew, those who still are as planned are asked, and waited for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from pvectl.cli.kept import KeptTurns
from pvectl.cli.patience import LOOK_S
from pvectl.cli.schedules.books import JOB, ScheduleDiary
from pvectl.cli.schedules.told import GuestTold
from pvectl.cli.schedules.waiting import seen_off
from pvectl.core.plan import Outcome, OutcomeStatus, Plan, Reason, Shutdown, Verdict
from pvectl.core.schedules import ledger as ledgers
from pvectl.core.schedules import sequence
from pvectl.core.schedules.sequence import Look, Turn
from pvectl.core.schedules.stages import OnTimeout, Result, Stage, Standing, standing

if TYPE_CHECKING:
    from pvectl.cli.schedules.course import Course
    from pvectl.cli.schedules.eyes import Eyes
    from pvectl.pve.client import ProxmoxClient

PARALLEL = 8
"""Requests at a time; the guests of a stage go down together."""


class Turns:
    """The stages of one occurrence, each as its turn comes."""

    def __init__(self, course: Course, eyes: Eyes, client: ProxmoxClient, *, timeout: int) -> None:
        self._course = course
        self._run = course.run
        self._eyes = eyes
        self._client = client
        self._timeout = timeout
        self._diary = ScheduleDiary(course.books, course.run, lambda: course.entry, course.changed, decision_id=course.decision_id or "")

    def take(self, stage: Stage) -> None:
        """Look at the guests of one stage anew, and ask those who still are as they were planned for."""
        course = self._course
        self._run.take_time(LOOK_S)
        look = self._eyes.fresh(stage)
        turns = sequence.turns(stage.vmids, look, course.entry.guests)
        self._remember(stage, look, turns)
        self._diary.on_node = {turn.decision.subject: turn.guest.node for turn in turns if turn.guest is not None}
        now = self._run.clock.now()
        course.results |= {turn.vmid: Result(standing=turn.standing, at=now) for turn in turns if turn.standing is not None}
        if course.by_hand:
            # who is still on its way is taken for off, as whoever would be asked
            course.results |= {turn.vmid: Result(standing=Standing.OFF, at=now) for turn in turns if turn.standing is None}
        else:
            asked = {one.vmid for one in course.entry.guests if one.asked and one.result is None}
            self._end_intents({turn.vmid: (OutcomeStatus.DONE, None) for turn in turns if turn.vmid in asked and _is_seen_off(turn)})
        outcomes = self._ask(turns, look)
        waited = self._wait_for([turn for turn in turns if turn.decision.verdict is Verdict.WAIT], stage) if not course.by_hand else {}
        came = outcomes | waited
        course.told[stage.name] = tuple(
            GuestTold(
                vmid=turn.vmid,
                guest=turn.guest,
                decision=turn.decision,
                standing=course.results[turn.vmid].standing if turn.vmid in course.results else None,
                outcome=came.get(turn.vmid),
            )
            for turn in turns
        )

    def tell_all(self, stages: Sequence[Stage], look: Look) -> None:
        """What is decided about each guest where nobody is asked."""
        for stage in stages:
            turns = sequence.turns(stage.vmids, look, ())
            self._remember(stage, look, turns)
            self._course.told[stage.name] = tuple(
                GuestTold(vmid=turn.vmid, guest=turn.guest, decision=turn.decision, standing=turn.standing) for turn in turns
            )

    def _remember(self, stage: Stage, look: Look, turns: tuple[Turn, ...]) -> None:
        """Keep what was decided about the guests of a stage, with all that this rests on and nothing else."""
        entry = self._course.entry
        members, plan = set(stage.vmids), tuple(one for one in entry.guests if one.vmid in stage.vmids)
        kept, away = look.picked.guests, look.picked.excluded
        picked = replace(
            look.picked,
            guests=tuple(guest for guest in kept if guest.vmid in members),
            excluded=tuple(guest for guest in away if guest.vmid in members),
        )
        told = KeptTurns(stage=stage.name, vmids=stage.vmids, look=replace(look, picked=picked), plan=plan, answer=turns)
        self._course.books.turned(entry.occurrence.schedule, told)

    def _ask(self, turns: Sequence[Turn], look: Look) -> dict[int, Outcome]:
        from pvectl import act

        course = self._course
        asked = [turn for turn in turns if turn.decision.action is not None]
        if not asked:
            return {}
        # the requests of a large stage take their time as well
        self._run.take_time(act.longest_wait(self._timeout) + LOOK_S + len(asked))
        tag = look.scope.require_tag
        outcomes = act.carry_out(
            Plan(made_at=look.seen_at, decisions=tuple(turn.decision for turn in asked)),
            self._client,
            self._run.clock,
            dry_run=course.rehearsal,
            parallel=PARALLEL,
            progress=course.log_outcome,
            diary=None if course.rehearsal else self._diary,
            needed=act.NeededTag(tag=tag, case_sensitive=look.scope.case_sensitive) if tag is not None else None,
            running_since=self._eyes.looked_at,
        )
        course.late = course.late or self._diary.late
        came = {}
        for turn, outcome in zip(asked, outcomes, strict=True):
            came[turn.vmid] = outcome
            now = self._run.clock.now()
            stands = standing(turn.decision, outcome, seen_off=outcome.kind == Reason.ALREADY_OFF.value)
            if act.interrupted([outcome]):
                continue
            course.entry = ledgers.answered(course.entry, turn.vmid, result=outcome.status, upid=outcome.upid, now=now)
            if stands is not None:
                course.results[turn.vmid] = Result(standing=stands, at=now)
        course.keep()
        return came

    def _wait_for(self, turns: Sequence[Turn], stage: Stage) -> dict[int, Outcome]:
        """See what becomes of guests that the run before this one asked: they are waited for, and never asked again."""
        from pvectl import act

        course = self._course
        longest = act.longest_wait(self._timeout)
        self._run.take_time(longest + LOOK_S)
        force = stage.on_timeout is OnTimeout.FORCE
        shutdowns = [Shutdown(guest=turn.guest, timeout=self._timeout, force_stop=force) for turn in turns if turn.guest is not None]
        upids = {one.vmid: one.upid for one in course.entry.guests}
        came = seen_off(shutdowns, upids, self._client, self._run.clock, within=longest)
        for vmid, outcome in came.items():
            now = self._run.clock.now()
            off = outcome.status is OutcomeStatus.DONE
            course.results[vmid] = Result(standing=Standing.OFF if off else Standing.TIMED_OUT, at=now)
            course.entry = ledgers.answered(course.entry, vmid, result=outcome.status, upid=outcome.upid, now=now)
            course.log_outcome(outcome)
        if came:
            course.keep()
            self._end_intents({vmid: (outcome.status, outcome.error) for vmid, outcome in came.items()})
        return came

    def _end_intents(self, came: Mapping[int, tuple[OutcomeStatus, str | None]]) -> None:
        """Close in the audit trail what the runs that died on the way had left open: status and error by vmid."""
        store, since = self._course.books.store, self._course.entry.occurrence.at
        for intent in store.open_intents() if came else ():
            known = came.get(int(intent.subject.removeprefix("guest/"))) if intent.job == JOB and intent.verb == "shutdown" else None
            if known is not None and intent.at >= since:
                status, error = known
                store.ended(intent.id, status=status.value, at=self._run.clock.now(), error=error)


def _is_seen_off(turn: Turn) -> bool:
    return turn.guest is not None and turn.guest.is_off
