"""The ledger over weeks of runs that come late, die, are held up, reconfigured, and whose clock jumps."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TypeAlias
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pvectl.core.plan import Reason
from pvectl.core.schedules.ledger import Blocker, Entry, Ledger, State, claim, finish, recorded, step
from pvectl.core.schedules.schedule import Schedule, occurrences
from tests.core.schedules import CHANGES, schedule, schedules, utc

BLOCK = Blocker(reason=Reason.HELD, detail="a hold")
RUNTIME = 600

Event: TypeAlias = tuple[str, int]

EVENTS = st.lists(
    st.tuples(st.sampled_from(["run"] * 6 + ["die", "die", "blocked", "edit", "back", "sleep"]), st.integers(1, 2400)),
    min_size=5,
    max_size=60,
)


class History:
    """Plays events against one ledger, and holds every rule against what comes of each."""

    def __init__(self, of: Schedule, start: datetime) -> None:
        self.of = of
        self.now = start
        self.hash = "0"
        self.ledger: Ledger | None = None
        self.claimed: Counter[str] = Counter()
        self.set_back = False

    def play(self, event: Event) -> None:
        kind, seconds = event
        match kind:
            case "back":
                # S17 lets a clock be a minute off, so it may be set by two
                self.now -= timedelta(seconds=min(seconds, 120))
                self.set_back = True
            case "sleep":
                self.now += timedelta(seconds=seconds * 60)
                self.run("run")
            case "edit":
                self.hash = str(int(self.hash) + 1)
            case _:
                self.now += timedelta(seconds=seconds // 4)
                self.run(kind)

    def run(self, kind: str) -> None:
        blockers = [BLOCK] if kind == "blocked" else []
        found = step(self.ledger, self.of, config_hash=self.hash, now=self.now, blockers=blockers, max_runtime=RUNTIME)
        again = step(found.ledger, self.of, config_hash=self.hash, now=self.now, blockers=blockers, max_runtime=RUNTIME)
        assert again == replace(found, changed=(), armed=False, passed_over=None), "a second look at the same moment finds nothing new"
        self.ledger = found.ledger
        self.check(found.due, found.resume, blocked=bool(blockers), armed=found.armed)
        assert found.next.at > self.now
        if found.due is not None:
            self.carry_out(found.due, dies=kind == "die")
        elif found.resume is not None and kind != "die":
            self.end(found.resume)

    def check(self, due: Entry | None, resume: Entry | None, *, blocked: bool, armed: bool) -> None:
        assert self.ledger is not None
        assert due is None or resume is None
        if blocked or armed:
            assert due is None
            assert resume is None
        for entry in self.ledger.entries:
            if entry.state in (State.DUE, State.DEFERRED, State.FUTURE):
                assert self.now < entry.deadline, "nothing stays open past its deadline"
        if due is not None:
            assert due.occurrence.at <= self.now < due.deadline <= due.occurrence.at + timedelta(seconds=self.of.deadline)
            assert due.occurrence.at > self.ledger.armed_at
            assert due.occurrence.id not in self.claimed
        if resume is not None:
            assert resume.occurrence.at <= self.now < resume.deadline + timedelta(seconds=RUNTIME)

    def carry_out(self, due: Entry, *, dies: bool) -> None:
        assert self.ledger is not None
        self.claimed[due.occurrence.id] += 1
        self.claimed[due.occurrence.wall] += 1
        entry = claim(due, run_id="r", guests=(), now=self.now)
        self.ledger = recorded(self.ledger, entry)
        if not dies:
            self.end(entry)

    def end(self, entry: Entry) -> None:
        assert self.ledger is not None
        self.ledger = recorded(self.ledger, finish(entry, State.DONE, reason=Reason.SCHEDULED, detail="", now=self.now))

    def closing(self) -> None:
        assert set(self.claimed.values()) <= {1}, "each day and time at most once"
        assert self.ledger is not None
        known = {entry.occurrence.id for entry in self.ledger.entries}
        if not self.set_back:
            for one in occurrences(self.of, self.ledger.armed_at, self.now - timedelta(seconds=self.of.deadline)):
                assert one.id in known, "nothing that came and went is forgotten"


def play(of: Schedule, start: datetime, events: list[Event]) -> None:
    history = History(of, start)
    for event in events:
        history.play(event)
    history.run("run")
    history.closing()


STARTS = st.builds(
    lambda change, hours: datetime.fromtimestamp(utc(change[1]).timestamp() - 3600 * hours, UTC),
    st.sampled_from(CHANGES),
    st.integers(0, 30),
)


@settings(max_examples=30, deadline=None)
@given(schedules(), STARTS, EVENTS)
def test_s16_whatever_happens_each_time_is_carried_out_once_and_in_its_window(of: Schedule, start: datetime, events: list[Event]) -> None:
    play(of, start, events)


@pytest.mark.slow
@settings(max_examples=2500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(schedules(), STARTS, EVENTS)
def test_s16_whatever_happens_each_time_is_carried_out_once_and_in_its_window_in_thousands_of_histories(
    of: Schedule, start: datetime, events: list[Event]
) -> None:
    play(of, start, events)


@pytest.mark.slow
@pytest.mark.parametrize(("zone", "change"), CHANGES)
def test_a_week_around_a_clock_change_carries_each_night_out_once(zone: str, change: str) -> None:
    of = schedule("00:30", "02:30", tz=zone)
    now = utc(change) - timedelta(days=3, minutes=7)
    ledger: Ledger | None = None
    done = []
    while now < utc(change) + timedelta(days=4):
        found = step(ledger, of, config_hash="a", now=now)
        ledger = found.ledger
        if found.due is not None:
            entry = claim(found.due, run_id="r", guests=(), now=now)
            ledger = recorded(ledger, finish(entry, State.DONE, reason=Reason.SCHEDULED, detail="", now=now))
            done.append(found.due.occurrence)
        now += timedelta(minutes=5)
    assert ledger is not None
    assert {entry.state for entry in ledger.entries} == {State.DONE}
    assert done == list(occurrences(of, ledger.armed_at, now - timedelta(minutes=5)))
    assert len({one.wall for one in done}) == len(done)
    days = {one.at.astimezone(ZoneInfo(zone)).date() for one in done}
    assert len(days) >= 7
