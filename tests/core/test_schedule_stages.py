from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvectl.core.plan import Decision, Outcome, OutcomeStatus, Reason, Shutdown, Verdict
from pvectl.core.schedules.ledger import State
from pvectl.core.schedules.stages import (
    Abort,
    Finished,
    Move,
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
    sure_clash,
)
from pvectl.core.schedules.when import ScheduleError
from pvectl.core.select import parse
from tests.core.guests import guest
from tests.core.schedules import utc

T0 = utc("2026-11-21 21:30")
SECOND = timedelta(seconds=1)
APPS = Stage(name="apps", vmids=(100, 101), wait_after=30)
DB = Stage(name="db", vmids=(200,))
BOTH = (APPS, DB)


def after(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def results(**standings: tuple[Standing, float]) -> dict[int, Result]:
    return {int(vmid[1:]): Result(standing=how, at=after(at)) for vmid, (how, at) in standings.items()}


def move(of: dict[int, Result], started: int, now: float, *, stages: tuple[Stage, ...] = BOTH, until: float | None = None) -> Move:
    begun = [T0, after(90)][:started]
    return next_move(stages, of, started=begun, now=after(now), until=None if until is None else after(until))


OFF = (Standing.OFF, 60.0)


def test_the_first_stage_begins_at_once() -> None:
    assert move({}, 0, 0) == Start(stage=0)


def test_d34_a_stage_waits_for_every_guest_of_the_one_before() -> None:
    assert move({}, 1, 10_000) == Wait(stage=0, pending=(100, 101))
    assert move(results(g101=OFF), 1, 10_000) == Wait(stage=0, pending=(100,))


@pytest.mark.parametrize(
    ("now", "comes"),
    [(60, Wait(stage=1, until=after(90))), (89, Wait(stage=1, until=after(90))), (90, Start(stage=1)), (91, Start(stage=1))],
)
def test_a_stage_begins_when_wait_after_has_passed_since_the_last_guest_was_off(now: float, comes: Move) -> None:
    assert move(results(g100=(Standing.OFF, 20), g101=OFF), 1, now) == comes


def test_guests_that_were_off_before_cost_no_more_than_the_wait() -> None:
    already = results(g100=(Standing.OFF, -500), g101=(Standing.OUTSIDE, -500))
    assert move(already, 1, 29) == Wait(stage=1, until=after(30))
    assert move(already, 1, 30) == Start(stage=1)


def test_all_stages_through_is_the_end() -> None:
    assert move(results(g100=OFF, g101=OFF), 2, 100) == Wait(stage=1, pending=(200,))
    assert move(results(g100=OFF, g101=OFF, g200=(Standing.OFF, 100)), 2, 100) == Finished()
    assert next_move((), {}, started=(), now=T0) == Finished()


def test_the_last_stage_ends_however_its_guests_stand() -> None:
    assert move(results(g100=OFF, g101=OFF, g200=(Standing.TIMED_OUT, 100)), 2, 100) == Finished()


@pytest.mark.parametrize("how", [Standing.KEPT, Standing.TIMED_OUT, Standing.FAILED, Standing.UNKNOWN])
def test_s22_a_guest_that_is_not_off_ends_the_sequence(how: Standing) -> None:
    assert move(results(g100=OFF, g101=(how, 70)), 1, 1000) == Abort(
        stage=1, reason=Reason.STAGE_NOT_OFF, detail=f"not every guest of the stage 'apps' is off: 101 ({how})", spared=(200,)
    )


@pytest.mark.parametrize("how", [Standing.OFF, Standing.OUTSIDE, Standing.UNSEEN])
def test_d35_guests_nobody_asked_do_not_stop_the_others(how: Standing) -> None:
    assert move(results(g100=OFF, g101=(how, 60)), 1, 90) == Start(stage=1)


@pytest.mark.parametrize(
    ("on_timeout", "how", "goes_on"),
    [
        (OnTimeout.CONTINUE, Standing.TIMED_OUT, True),
        (OnTimeout.CONTINUE, Standing.KEPT, True),
        (OnTimeout.CONTINUE, Standing.FAILED, False),
        (OnTimeout.CONTINUE, Standing.UNKNOWN, False),
        (OnTimeout.FORCE, Standing.TIMED_OUT, False),
        (OnTimeout.FORCE, Standing.KEPT, False),
        (OnTimeout.ABORT, Standing.TIMED_OUT, False),
    ],
)
def test_going_on_past_a_guest_that_hangs_must_be_written_and_is_about_hanging_only(
    on_timeout: OnTimeout, how: Standing, *, goes_on: bool
) -> None:
    apps = Stage(name="apps", vmids=(100, 101), on_timeout=on_timeout)
    comes = move(results(g100=OFF, g101=(how, 70)), 1, 70, stages=(apps, DB))
    assert isinstance(comes, Start if goes_on else Abort)


def test_a_stage_is_only_judged_when_all_its_guests_have_a_result() -> None:
    assert move(results(g100=(Standing.FAILED, 5)), 1, 60) == Wait(stage=0, pending=(101,))


@pytest.mark.parametrize(("until", "begins"), [(89, False), (90, False), (91, True)])
def test_s16_no_stage_begins_at_its_limit_or_later(until: float, *, begins: bool) -> None:
    comes = move(results(g100=OFF, g101=OFF), 1, 90, until=until)
    if begins:
        assert comes == Start(stage=1)
    else:
        assert isinstance(comes, Abort)
        assert (comes.stage, comes.reason, comes.spared) == (1, Reason.DEADLINE_PASSED, (200,))
        assert comes.detail.startswith("the stage 'db' could not begin before 2026-11-21 21:31:")


def test_nobody_waits_for_a_stage_that_could_not_begin_any_more() -> None:
    assert isinstance(move(results(g100=OFF, g101=OFF), 1, 61, until=90), Abort)
    late = move({}, 0, 10, until=10)
    assert isinstance(late, Abort)
    assert late.spared == (100, 101, 200)


@pytest.mark.parametrize(
    ("stages", "messages"),
    [
        (BOTH, []),
        ((APPS, Stage(name="db", vmids=())), ["the stage 'db' selects no guest"]),
        ((APPS, Stage(name="db", vmids=(200, 101, 100))), [f"guest {vmid} is in the stages 'apps' and 'db'" for vmid in (100, 101)]),
        ((APPS, Stage(name="apps", vmids=(200,))), ["two stages have the name 'apps'"]),
    ],
)
def test_stages_that_make_no_sense_are_told_and_never_begin(stages: tuple[Stage, ...], messages: list[str]) -> None:
    assert [problem.message for problem in stage_problems(stages)] == messages
    if messages:
        with pytest.raises(ScheduleError, match=messages[0]):
            next_move(stages, {}, started=(), now=T0)


@pytest.mark.parametrize(
    ("one", "other", "clash"),
    [
        ("100", "101", None),
        ("100", "100", "100"),
        ("100:110", "110:120", "110"),
        ("100:110", "105:120", "105:110"),
        ("100:110", "111:120", None),
        ("@tag-app", "@tag-app", "@tag-app"),
        ("@tag-app", "@tag-db", None),
        ("@tag-app", "100:200", None),
        ("web*", "web*,200", "web*"),
        ("@all", "200", "200"),
        ("@tag-db", "@all", "@tag-db"),
        ("@all,-200", "200", None),
        ("200", "@all,-200", None),
    ],
)
def test_what_stands_in_two_stages_is_found_before_any_guest_is_known(one: str, other: str, clash: str | None) -> None:
    assert sure_clash(parse([one]), parse([other])) == clash


@pytest.mark.parametrize(
    ("standings", "aborted", "state"),
    [
        ([Standing.OFF, Standing.OFF], False, State.DONE),
        ([Standing.OFF, Standing.KEPT, Standing.OUTSIDE], False, State.DONE),
        ([], False, State.DONE),
        ([Standing.OFF], True, State.PARTIAL),
        ([Standing.OFF, Standing.UNSEEN], False, State.PARTIAL),
        ([Standing.OFF, Standing.TIMED_OUT], False, State.PARTIAL),
        ([Standing.OFF, Standing.UNKNOWN], False, State.PARTIAL),
        ([Standing.FAILED, Standing.KEPT], False, State.FAILED),
        ([Standing.UNSEEN], False, State.FAILED),
        ([Standing.KEPT], True, State.FAILED),
    ],
)
def test_an_occurrence_ends_as_its_guests_stand(standings: list[Standing], *, aborted: bool, state: State) -> None:
    assert end_state(standings, aborted=aborted) is state


ASK = Shutdown(guest=guest(), timeout=60)


@pytest.mark.parametrize(
    ("status", "how"),
    [
        (OutcomeStatus.DONE, Standing.OFF),
        (OutcomeStatus.DRY_RUN, Standing.OFF),
        (OutcomeStatus.STARTED, None),
        (OutcomeStatus.SKIPPED, Standing.KEPT),
        (OutcomeStatus.TIMED_OUT, Standing.TIMED_OUT),
        (OutcomeStatus.FAILED, Standing.FAILED),
        (OutcomeStatus.UNKNOWN, Standing.UNKNOWN),
    ],
)
def test_s20_only_a_guest_that_is_done_is_off(status: OutcomeStatus, how: Standing | None) -> None:
    decision = Decision(subject="guest/100", verdict=Verdict.ACT, reason=Reason.SCHEDULED, action=ASK)
    assert standing(decision, Outcome(action=ASK, status=status)) is how
    stopped_by_itself = how if status is not OutcomeStatus.SKIPPED else Standing.OFF
    assert standing(decision, Outcome(action=ASK, status=status), seen_off=True) is stopped_by_itself
    assert standing(decision, None) is None


@pytest.mark.parametrize(
    ("verdict", "reason", "how"),
    [
        (Verdict.KEEP, Reason.ALREADY_OFF, Standing.OFF),
        (Verdict.KEEP, Reason.TEMPLATE, Standing.OUTSIDE),
        (Verdict.KEEP, Reason.NOT_TAGGED, Standing.OUTSIDE),
        (Verdict.KEEP, Reason.EXCLUDED, Standing.OUTSIDE),
        (Verdict.KEEP, Reason.OUT_OF_SCOPE, Standing.OUTSIDE),
        (Verdict.KEEP, Reason.HELD, Standing.KEPT),
        (Verdict.KEEP, Reason.LOCKED, Standing.KEPT),
        (Verdict.KEEP, Reason.RESTARTED, Standing.KEPT),
        (Verdict.BLIND, Reason.NODE_UNSEEN, Standing.UNSEEN),
        (Verdict.BLIND, Reason.STATUS_UNKNOWN, Standing.UNKNOWN),
        (Verdict.BLIND, Reason.START_UNKNOWN, Standing.UNKNOWN),
        (Verdict.WAIT, Reason.ALREADY_ASKED, None),
    ],
)
def test_s02_a_guest_that_was_not_asked_stands_as_the_reason_says(verdict: Verdict, reason: Reason, how: Standing | None) -> None:
    assert standing(Decision(subject="guest/100", verdict=verdict, reason=reason), None) is how


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.sampled_from(Standing), st.integers(0, 50)), min_size=6, max_size=6),
    st.sampled_from(OnTimeout),
    st.integers(0, 40),
)
def test_no_stage_ever_begins_over_one_whose_guests_are_not_all_through(
    how: list[tuple[Standing, int]], on_timeout: OnTimeout, wait_after: int
) -> None:
    stages = tuple(
        Stage(name=f"s{index}", vmids=(100 + 2 * index, 101 + 2 * index), wait_after=wait_after, on_timeout=on_timeout)
        for index in range(3)
    )
    known: dict[int, Result] = {}
    started: list[datetime] = []
    now = T0
    for _ in range(20):
        comes = next_move(stages, known, started=started, now=now)
        if isinstance(comes, Start):
            assert comes.stage == len(started)
            earlier = [vmid for stage in stages[: comes.stage] for vmid in stage.vmids]
            bad = {Standing.FAILED, Standing.UNKNOWN} | (set() if on_timeout is OnTimeout.CONTINUE else {Standing.KEPT, Standing.TIMED_OUT})
            assert all(known[vmid].standing not in bad for vmid in earlier)
            assert all(now >= known[vmid].at + timedelta(seconds=wait_after) for vmid in earlier)
            started.append(now)
        elif isinstance(comes, Wait) and comes.until is None:
            standing_of, later = how[comes.pending[0] - 100]
            now += timedelta(seconds=later)
            known[comes.pending[0]] = Result(standing=standing_of, at=now)
        elif isinstance(comes, Wait):
            assert comes.until is not None
            assert comes.until > now
            now = comes.until
        else:
            if isinstance(comes, Abort):
                assert comes.spared == tuple(vmid for stage in stages[comes.stage :] for vmid in stage.vmids)
                assert len(started) == comes.stage
            return
    pytest.fail("it never came to an end")
