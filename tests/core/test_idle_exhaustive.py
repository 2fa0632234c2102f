"""Every course of events in a small world: the real `step`, and a watchman who keeps his own books, until nothing new turns up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

import pytest
from msgspec import structs

from pvectl.core.evidence import NodeEvidence
from pvectl.core.idle import Blocker, NodeRecord, Now, Phase, Policy, Step, credit, remembering, vetoes
from pvectl.core.idle import after as after_an_attempt
from pvectl.core.idle import deciding as idle
from pvectl.core.idle.credit import Break
from pvectl.core.idle.record import OffMark
from pvectl.core.idle.vetoes import Case, history
from pvectl.core.plan import OutcomeStatus, PowerOutcome, Reason, SwitchOff, Verdict
from tests.core.idle_cases import BOOT, REFUSED, UPTIME, WALL, evidence, tagged, task, untagged

GRACE, NOTICE, GAP, TICK = 1200, 300, 600, 300
POLICY = Policy(
    nodes=("pve2",),
    grace_period=GRACE,
    notice=NOTICE,
    max_gap=GAP,
    min_uptime=0,
    interval=TICK,
    boot_time=0,
    max_failures=2,
    shutdown_timeout=1,
)
BOOTTIME = 50_000.0
COOLDOWN = 1800


class Tick(NamedTuple):
    """How the clocks go on from one look to the next; `passed` is the time that truly passes, `hole`: nobody can vouch for all of it."""

    name: str
    passed: int = TICK
    boottime: int = TICK
    jump: int = 0
    new_boot: bool = False
    node_boots: bool = False

    @property
    def hole(self) -> bool:
        return self.passed > GAP or self.new_boot or self.node_boots


class Sight(NamedTuple):
    """What is to be seen; `needed`: the node is in use now or was between two looks, `clear`: all could be seen."""

    name: str
    needed: bool = False
    clear: bool = True


TICKS = (
    Tick("soon after", passed=100, boottime=100),
    Tick("as always"),
    Tick("as long as may be", passed=GAP, boottime=GAP),
    Tick("too long", passed=GAP + TICK, boottime=GAP + TICK),
    Tick("the clock jumps ahead", jump=3600),
    Tick("the clock jumps back", jump=-3600),
    Tick("the runner stood still", passed=TICK + 3600),
    Tick("the runner was restarted", new_boot=True),
    Tick("the node was restarted", node_boots=True),
)
SIGHTS = (
    Sight("nothing runs"),
    Sight("a tagged guest runs"),
    Sight("an untagged guest runs", needed=True),
    Sight("the guests cannot be read", clear=False),
    Sight("a task runs", needed=True),
    Sight("something ran in between", needed=True),
)
OFFLINE = Sight("it is off", clear=False)
ENDS = (OutcomeStatus.DONE, OutcomeStatus.FAILED, OutcomeStatus.SKIPPED, OutcomeStatus.UNKNOWN)


class Books(NamedTuple):
    """The watchman's: seconds the node has truly been idle without a hole, idle looks in a row, seconds since the last request left."""

    idle: int = 0
    looks: int = 0
    since_request: int = COOLDOWN

    def after(self, tick: Tick, sight: Sight) -> Books:
        # only a node that boots has surely done what it was told; one that nobody could see for a while may have been on
        waited = COOLDOWN if tick.node_boots else min(self.since_request + tick.passed, COOLDOWN)
        if sight.needed and "between" not in sight.name:
            return Books(since_request=waited)
        if not sight.clear:
            return Books(since_request=waited)
        if self.looks == 0 or tick.hole or sight.needed:
            return Books(looks=1, since_request=waited)
        return Books(idle=min(self.idle + tick.passed, GRACE + NOTICE), looks=min(self.looks + 1, 3), since_request=waited)

    def objects(self, tick: Tick, sight: Sight) -> str | None:
        """What is wrong about switching the node off at this look, by the books after it."""
        if sight.needed:
            return f"switched off although {sight.name}"
        if not sight.clear:
            return f"switched off blind: {sight.name}"
        if self.idle < GRACE + NOTICE:
            return f"switched off after {self.idle} s of idleness: {tick.name}"
        if self.looks < 3:
            return f"switched off after {self.looks} looks"
        if self.since_request < COOLDOWN:
            return f"told to power off again after {self.since_request} s"
        return None


Deciding = Callable[[NodeRecord | None, NodeEvidence, Policy, Now], Step]


class Found(NamedTuple):
    objections: frozenset[str]
    states: int
    steps: int
    earliest: int | None
    """How many steps it takes at least until the node is switched off; None: that never happens."""


def explore(
    decide: Deciding,
    *,
    ticks: tuple[Tick, ...] = TICKS,
    sights: tuple[Sight, ...] = SIGHTS,
    ends: tuple[OutcomeStatus, ...] = (),
    thorough: bool = True,
) -> Found:
    """Every state that can be reached, breadth first; with `ends`, life goes on after a switch-off in each of these ways.

    Not `thorough`: the first objection is enough.
    """
    seen: set[tuple[NodeRecord | None, Books]] = {(None, Books())}
    frontier = list(seen)
    objections: set[str] = set()
    steps = depth = 0
    earliest: int | None = None
    while frontier:
        depth += 1
        reached: list[tuple[NodeRecord | None, Books]] = []
        for record, books in frontier:
            for tick in ticks:
                now = _now(tick)
                for sight in sights:
                    steps += 1
                    step = decide(record, _seen(tick, sight, now), POLICY, now)
                    kept = books.after(tick, sight)
                    acts = step.decision.verdict is Verdict.ACT
                    if acts:
                        earliest = earliest or depth
                        objection = kept.objects(tick, sight)
                        objections |= {objection} if objection else set()
                        if objection and not thorough:
                            return Found(objections=frozenset(objections), states=len(seen), steps=steps, earliest=earliest)
                    reached += _ends(step, kept, now, ends) if acts else [(_rebased(step.record, now), kept)]
        frontier = [state for state in dict.fromkeys(reached) if state not in seen]
        seen.update(frontier)
        assert len(seen) < 50_000, "the world is not small"
    return Found(objections=frozenset(objections), states=len(seen), steps=steps, earliest=earliest)


def _now(tick: Tick) -> Now:
    """The clocks at this look; at the last one they were WALL, BOOTTIME and BOOT."""
    wall = WALL + timedelta(seconds=tick.passed + tick.jump)
    return Now(
        wall=wall,
        boottime=BOOTTIME - 10_000 if tick.new_boot else BOOTTIME + tick.boottime,
        boot_id="another-boot" if tick.new_boot else BOOT,
    )


def _seen(tick: Tick, sight: Sight, now: Now) -> NodeEvidence:
    at, epoch = now.wall, int(now.wall.timestamp())
    uptime = 90 if tick.node_boots else UPTIME + tick.passed
    match sight.name:
        case "a tagged guest runs":
            return evidence(tagged(), at=at, uptime=uptime)
        case "an untagged guest runs":
            return evidence(untagged(), at=at, uptime=uptime)
        case "the guests cannot be read":
            return evidence(at=at, uptime=uptime, guests=REFUSED)
        case "a task runs":
            return evidence(at=at, uptime=uptime, tasks=(task(started=epoch - 10),))
        case "something ran in between":
            return evidence(at=at, uptime=uptime, tasks=(task("qmstop", 110, started=epoch - 200, ended=epoch - 100),))
        case "it is off":
            return evidence(at=at, uptime=REFUSED, status="offline")  # type: ignore[arg-type]  # a fact may be Unknown
        case _:
            return evidence(at=at, uptime=uptime)


def _ends(step: Step, books: Books, now: Now, ends: tuple[OutcomeStatus, ...]) -> Iterator[tuple[NodeRecord, Books]]:
    for status in ends:
        sent = status in (OutcomeStatus.DONE, OutcomeStatus.UNKNOWN)
        outcome = PowerOutcome(action=SwitchOff(node="pve2"), status=status, sent=sent)
        left = (
            Books(since_request=0 if sent else COOLDOWN)
            if status is not OutcomeStatus.SKIPPED
            else Books(since_request=books.since_request)
        )
        yield _rebased(after_an_attempt(step.record, outcome, POLICY, now), now), left
    if ends:
        # the run dies: whether its request has left, nobody knows
        yield _rebased(step.record, now), Books(since_request=0)


def _rebased(record: NodeRecord, now: Now) -> NodeRecord:
    """The same record told from WALL and BOOTTIME, without what makes no difference: two that differ in nothing else become one."""
    shift = WALL - now.wall

    def moved(mark: OffMark | None) -> OffMark | None:
        if mark is None:
            return None
        ago = min(now.boottime - mark.boottime, 600.0) if mark.boot_id == now.boot_id else 600.0
        return OffMark(at=WALL - timedelta(seconds=ago), boottime=BOOTTIME - ago, boot_id=BOOT)

    credited = min(record.credit_s, float(GRACE + NOTICE))
    return structs.replace(
        record,
        boot_id=BOOT if record.boot_id == now.boot_id else "a-boot-long-gone",
        boottime=BOOTTIME - (now.boottime - record.boottime) if record.boot_id == now.boot_id else BOOTTIME,
        wall=record.wall + shift,
        node_clock=None if record.node_clock is None else record.node_clock + shift.total_seconds(),
        uptime=None if record.uptime is None else UPTIME,
        since=_some(record.since),
        idle_since=None if record.idle_since is None else WALL,
        known_tasks=(),
        credit_s=credited,
        notice_s=min(record.notice_s, float(NOTICE)),
        observations=min(record.observations, 3),
        attempt=moved(record.attempt),
        off_history=(),
        stopped_by_us=(),
    )


def _some(_: datetime) -> datetime:
    return WALL


def test_s14_no_course_of_events_switches_a_node_off_wrongly() -> None:
    found = explore(idle.step)
    assert found.objections == frozenset()
    assert found.states > 15
    assert found.steps == found.states * len(TICKS) * len(SIGHTS)
    assert found.earliest == 4, "idle for the grace period and the notice: two looks as far apart as may be, and the one that ends it"


@pytest.mark.slow
def test_s30_nor_does_one_in_a_whole_life_of_failures_restarts_and_open_ends() -> None:
    found = explore(idle.step, ticks=TICKS[1:], sights=(*SIGHTS, OFFLINE), ends=ENDS)
    assert found.objections == frozenset()
    assert found.states > 100
    assert found.steps > 10_000


# six mistakes somebody could make, and two more: each of them has to be found


def wall_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle time is taken from the wall clock."""
    monkeypatch.setattr(idle, "elapsed", lambda record, now: max((now.wall - record.wall).total_seconds(), 0.0))


def fail_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be seen is taken for idle."""
    monkeypatch.setattr(idle, "blockers", lambda case: tuple(one for one in REAL_BLOCKERS(case) if not one.blind))


def ignored_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Running tasks are not looked at."""
    monkeypatch.setattr(idle, "blockers", lambda case: tuple(one for one in REAL_BLOCKERS(case) if one.reason != Reason.TASK_RUNNING))
    monkeypatch.setattr(remembering, "since_the_last_look", _nothing_happened)


def ignored_reboot(monkeypatch: pytest.MonkeyPatch) -> None:
    """A restart of the node is not noticed."""
    monkeypatch.setattr(credit, "restarted", lambda *_: False)


def no_gap_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long nobody looked, it counts."""
    real = credit.interruption
    monkeypatch.setattr(
        remembering,
        "interruption",
        lambda record, seen, policy, now: real(
            structs.replace(record, policy=structs.replace(policy, max_gap=10**6).fingerprint()),
            seen,
            structs.replace(policy, max_gap=10**6),
            now,
        ),
    )


def blind_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be seen stops counting once the notice is given."""

    def blockers(case: Case) -> tuple[Blocker, ...]:
        return tuple(one for one in REAL_BLOCKERS(case) if not (one.blind and case.record.phase is Phase.NOTICE))

    monkeypatch.setattr(idle, "blockers", blockers)


def unwatched_between(monkeypatch: pytest.MonkeyPatch) -> None:
    """What happened between two looks is not asked."""
    monkeypatch.setattr(remembering, "since_the_last_look", _nothing_happened)


def any_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another boot of the runner is taken for the same, and its time for the same time."""

    def same(record: NodeRecord, now: Now) -> float:
        return float(TICK)

    for module in (credit, idle, remembering, history):
        monkeypatch.setattr(module, "elapsed", same)


def _nothing_happened(_: Case) -> Iterator[Break]:
    return iter(())


REAL_BLOCKERS = vetoes.blockers
MISTAKES = (wall_clock, fail_open, ignored_tasks, ignored_reboot, no_gap_rule, blind_off, unwatched_between, any_boot)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__)
def test_s14_each_of_these_mistakes_would_be_found(mistake: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    mistake(monkeypatch)
    assert explore(idle.step, thorough=False).objections
