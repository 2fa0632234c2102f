"""Which time of a schedule is due now, and which never again: each is carried out once, in its window, or missed and said so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from itertools import pairwise

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from pvectl.core.model import Known, Unknown
from pvectl.core.plan import OutcomeStatus, Reason, Verdict
from pvectl.core.schedules import handing
from pvectl.core.schedules.handing import PlannedNode
from pvectl.core.schedules.resuming import PlannedGuest
from pvectl.core.schedules.schedule import Occurrence, Schedule, StayUp, awake_until, next_occurrence, occurrences

LOOKBACK = timedelta(days=35)
"""How far back a missed occurrence is still noticed; a ledger holds every entry of at least this time."""

_CLOCK_TOLERANCE = timedelta(seconds=60)


class State(StrEnum):
    """Where one occurrence stands."""

    FUTURE = "future"
    DUE = "due"
    DEFERRED = "deferred"
    CLAIMED = "claimed"
    RUNNING = "running"
    DONE = "done"
    PARTIAL = "partial"
    FAILED = "failed"
    MISSED = "missed"
    SKIPPED = "skipped"

    @property
    def under_way(self) -> bool:
        """A run has made it its own, and has not said how it ended."""
        return self in (State.CLAIMED, State.RUNNING)

    @property
    def ended(self) -> bool:
        return self in (State.DONE, State.PARTIAL, State.FAILED, State.MISSED, State.SKIPPED)


class Entry(Struct, frozen=True, kw_only=True):
    """What the ledger knows of one occurrence. From `deadline` on it may no longer begin.

    `through` is how its guests came out, once they have, while `nodes` are still to be switched off; while one of the guests `spared`
    runs, its node stays on.
    """

    occurrence: Occurrence
    deadline: datetime
    config_hash: str
    state: State
    changed_at: datetime
    reason: Reason
    detail: str
    run_id: str | None = None
    guests: tuple[PlannedGuest, ...] = ()
    through: State | None = None
    nodes: tuple[PlannedNode, ...] = ()
    spared: tuple[int, ...] = ()


class Ledger(Struct, frozen=True, kw_only=True):
    """What is remembered of one schedule; occurrences up to `armed_at` are never due."""

    schedule: str
    config_hash: str
    armed_at: datetime
    entries: tuple[Entry, ...] = ()


class Blocker(Struct, frozen=True, kw_only=True):
    """Something that keeps the whole schedule from beginning just now: a hold, a stay-up window.

    `tried` says of one found on the way that the run had come in time, however late it is by now.
    """

    reason: Reason
    detail: str
    until: datetime | None = None
    tried: bool = False


class Step(Struct, frozen=True, kw_only=True):
    """What one look at the clock comes to.

    `changed` are the entries to be written and told about. `due` may be claimed now; `resume` was claimed by a run that died and may go on;
    `deferred` waits for a blocker. `armed`: this look only armed the schedule, and left out `passed_over`, which could have begun just now.
    """

    ledger: Ledger
    next: Occurrence
    changed: tuple[Entry, ...] = ()
    due: Entry | None = None
    resume: Entry | None = None
    deferred: Entry | None = None
    armed: bool = False
    passed_over: Occurrence | None = None


def fingerprint(*settings: object) -> str:
    """What tells one configuration of a schedule from another; give everything that decides when and about whom it is."""
    return sha256(msgspec.json.encode(settings, order="deterministic")).hexdigest()[:16]


def step(
    ledger: Ledger | None, schedule: Schedule, *, config_hash: str, now: datetime, blockers: Iterable[Blocker] = (), max_runtime: int = 0
) -> Step:
    """What is to be done about this schedule at this moment; to be called by one run at a time.

    `max_runtime` are the seconds beyond its deadline in which the occurrence of a run that died may still go on.
    """
    coming = next_occurrence(schedule, now)
    if ledger is None or ledger.config_hash != config_hash or ledger.armed_at > now:
        return _armed(ledger, schedule, config_hash, now, coming)
    blocking = sorted(blockers, key=lambda blocker: (blocker.until is None, blocker.until or now))
    due = resume = deferred = None
    changed = []
    for entry in _open_entries(ledger, schedule, now, coming):
        if entry.state.under_way:
            after = _judged_under_way(entry, schedule, now, max_runtime=max_runtime)
            # a clock that was set back must not make anything begin early
            if after is entry and entry.occurrence.at <= now:
                deferred, resume = (entry, resume) if blocking else (deferred, entry)
        else:
            after = _judged(entry, now, blocking[-1] if blocking else None)
            due = after if after.state is State.DUE else due
            deferred = after if after.state is State.DEFERRED else deferred
        if after is not entry and after.state is not State.DUE:
            changed.append(after)
    written = ledger
    for entry in changed:
        written = recorded(written, entry)
    return Step(ledger=written, next=coming, changed=tuple(changed), due=due, resume=resume, deferred=deferred)


def disarm(ledger: Ledger, now: datetime) -> tuple[Ledger, tuple[Entry, ...]]:
    """The ledger of a schedule that is disabled or gone, and the entries this ends; when the schedule comes back, it only arms."""
    ended = tuple(_ended_by_change(entry, now) for entry in ledger.entries if not entry.state.ended)
    for entry in ended:
        ledger = recorded(ledger, entry)
    return replace(ledger, config_hash=""), ended


def claim(entry: Entry, *, run_id: str, guests: Iterable[PlannedGuest], now: datetime) -> Entry:
    """The entry once this run has made it its own; to be on disk before the first request leaves.

    Raises:
        ValueError: it is not due, or no longer: the plan took longer to make than its window lasts.
    """
    if entry.state is not State.DUE or not entry.occurrence.at <= now < entry.deadline:
        raise ValueError(f"{entry.occurrence.wall} of {entry.occurrence.schedule} is not due: it is {entry.state} until {entry.deadline}")
    return replace(entry, state=State.CLAIMED, changed_at=now, detail=f"claimed by run {run_id}", run_id=run_id, guests=tuple(guests))


def asked(entry: Entry, vmid: int, now: datetime) -> Entry:
    """The entry with the intent to ask this guest; to be on disk before the request leaves.

    Raises:
        ValueError: the entry is not under way, the guest is not in its plan, or was asked already.
    """
    if not entry.state.under_way or not any(guest.vmid == vmid and not guest.asked for guest in entry.guests):
        raise ValueError(f"guest {vmid} is not to be asked for {entry.occurrence.wall} of {entry.occurrence.schedule}")
    return replace(entry, state=State.RUNNING, changed_at=now, guests=_with(entry.guests, vmid, asked=True))


def answered(entry: Entry, vmid: int, *, result: OutcomeStatus | None, upid: str | None, now: datetime) -> Entry:
    """The entry with what came of one guest; None while only the task is known."""
    return replace(entry, changed_at=now, guests=_with(entry.guests, vmid, result=result, upid=upid))


def guests_through(  # noqa: PLR0913 - all that is known of an end, and of what comes after it
    entry: Entry, state: State, *, reason: Reason, detail: str, nodes: Iterable[str], spared: Iterable[int] = (), now: datetime
) -> Entry:
    """The entry once its guests have come out so, and these nodes are to go off; its end is that of the last of them.

    Raises:
        ValueError: it is not under way, or was there already.
    """
    if not entry.state.under_way or entry.through is not None or not state.ended:
        raise ValueError(f"{entry.occurrence.wall} of {entry.occurrence.schedule} is {entry.state}, and its guests are not through")
    planned = tuple(PlannedNode(node=node) for node in dict.fromkeys(nodes))
    left_alone = tuple(sorted(spared))
    return replace(
        entry, state=State.RUNNING, through=state, reason=reason, detail=detail, nodes=planned, spared=left_alone, changed_at=now
    )


def node_begun(entry: Entry, node: str, now: datetime) -> Entry:
    """The entry with the intent to switch this node off; to be on disk together with idle-check's own decision.

    Raises:
        ValueError: it is not to be switched off, or its turn has begun already.
    """
    if not any(one.node == node and not one.begun for one in handing.waiting(entry.nodes)):
        raise ValueError(f"node {node} is not to be switched off for {entry.occurrence.wall} of {entry.occurrence.schedule}")
    return replace(entry, nodes=handing.known(entry.nodes, node, begun=True), changed_at=now)


def node_came(entry: Entry, node: str, result: OutcomeStatus, now: datetime) -> Entry:
    """The entry with what came of one node."""
    return replace(entry, nodes=handing.known(entry.nodes, node, result=result), changed_at=now)


def finish(entry: Entry, state: State, *, reason: Reason, detail: str, now: datetime) -> Entry:
    """The entry at its end; raises ValueError where it has ended already, or `state` is no end."""
    if entry.state.ended or not state.ended:
        raise ValueError(f"{entry.occurrence.wall} of {entry.occurrence.schedule} cannot go from {entry.state} to {state}")
    return replace(entry, state=state, reason=reason, detail=detail, changed_at=now)


def recorded(ledger: Ledger, entry: Entry) -> Ledger:
    """The ledger with this entry in place of what it knew of the same occurrence."""
    others = (known for known in ledger.entries if known.occurrence.id != entry.occurrence.id)
    return replace(ledger, entries=tuple(sorted((*others, entry), key=lambda one: one.occurrence.at)))


def open_windows(windows: Iterable[StayUp], now: datetime) -> tuple[Blocker, ...]:
    """The stay-up windows that are open now."""
    ends = ((window, awake_until(window, now)) for window in windows)
    return tuple(
        Blocker(reason=Reason.STAY_UP, detail=f"a stay-up window from {window.start} ({window.tz}) is open", until=end)
        for window, end in ends
        if end is not None
    )


def reason_to_distrust_clock(
    now: datetime, *, built_at: datetime, nodes: Mapping[str, Known[datetime] | Unknown]
) -> tuple[Verdict, Reason, str] | None:
    """Why nothing may happen by this clock (safety rule S17); `nodes` has what each node's clock showed when it was read by this one."""
    if now < built_at:
        return Verdict.BLIND, Reason.CLOCK_WRONG, f"this machine's clock shows {now:%Y-%m-%d %H:%M} UTC, a time before this pvectl was made"
    if not nodes:
        return Verdict.BLIND, Reason.CLOCK_UNSURE, "no node was asked what time it is"
    for node, clock in sorted(nodes.items()):
        if isinstance(clock, Unknown):
            return Verdict.BLIND, Reason.CLOCK_UNSURE, f"the clock of node {node} could not be read: {clock.reason}"
        if abs(clock.value - clock.taken_at) > _CLOCK_TOLERANCE:
            apart = int((clock.value - clock.taken_at).total_seconds())
            which = "ahead of" if apart > 0 else "behind"
            detail = f"the clock of node {node} is {abs(apart)} s {which} this machine's, and one of them is wrong: look at timedatectl"
            return Verdict.BLIND, Reason.CLOCK_WRONG, detail
    return None


def _armed(ledger: Ledger | None, schedule: Schedule, config_hash: str, now: datetime, coming: Occurrence) -> Step:
    """The schedule armed from now on; what the old one had begun is ended, and its entries still say what was carried out."""
    before = ledger or Ledger(schedule=schedule.name, config_hash=config_hash, armed_at=now)
    after, ended = disarm(before, now)
    just_now = [at for at, limit in _windows(schedule, now - LOOKBACK, now, coming) if now < limit]
    return Step(
        ledger=replace(after, config_hash=config_hash, armed_at=now),
        next=coming,
        changed=ended,
        armed=True,
        passed_over=just_now[-1] if just_now else None,
    )


def _windows(schedule: Schedule, since: datetime, now: datetime, coming: Occurrence) -> Iterator[tuple[Occurrence, datetime]]:
    """The occurrences up to now, and when each may no longer begin: the next one's time ends it as well."""
    for one, following in pairwise((*occurrences(schedule, since, now), coming)):
        yield one, min(one.at + timedelta(seconds=schedule.deadline), following.at)


def _open_entries(ledger: Ledger, schedule: Schedule, now: datetime, coming: Occurrence) -> Iterator[Entry]:
    """The entries that have not ended, and one for each occurrence the ledger does not know yet, as if it were due."""
    yield from (entry for entry in ledger.entries if not entry.state.ended)
    ids = {entry.occurrence.id for entry in ledger.entries}
    # when a newer tz database moves an instant, the same day and time on the wall must not come a second time
    walls = {(entry.occurrence.tz, entry.occurrence.wall) for entry in ledger.entries}
    for one, limit in _windows(schedule, max(ledger.armed_at, now - LOOKBACK), now, coming):
        if one.id not in ids and (one.tz, one.wall) not in walls:
            yield Entry(
                occurrence=one,
                deadline=limit,
                config_hash=ledger.config_hash,
                state=State.FUTURE,
                changed_at=now,
                reason=Reason.NOT_YET,
                detail="",
            )


def _judged(entry: Entry, now: datetime, blocker: Blocker | None) -> Entry:
    """An entry nobody has begun: missed, deferred, due, or as it was where a clock that was set back makes it future again."""
    if now < entry.occurrence.at:
        return entry
    if now >= entry.deadline:
        late = "it could not begin before its deadline"
        known = blocker.detail if blocker is not None and blocker.tried else entry.detail if entry.state is State.DEFERRED else None
        why = f"{late}: {known or 'no run of pvectl got to it in time'}"
        return finish(entry, State.MISSED, reason=Reason.DEADLINE_PASSED, detail=why, now=now)
    if blocker is not None:
        if (entry.state, entry.reason, entry.detail) == (State.DEFERRED, blocker.reason, blocker.detail):
            return entry
        return replace(entry, state=State.DEFERRED, reason=blocker.reason, detail=blocker.detail, changed_at=now)
    return replace(entry, state=State.DUE, reason=Reason.SCHEDULED, detail="its time has come", changed_at=now)


def _judged_under_way(entry: Entry, schedule: Schedule, now: datetime, *, max_runtime: int) -> Entry:
    """An entry whose run died: the same while it may go on, failed afterwards."""
    following = next_occurrence(schedule, entry.occurrence.at)
    limit = min(entry.deadline + timedelta(seconds=max_runtime), following.at)
    if now < limit:
        return entry
    detail = f"run {entry.run_id} died on the way, and it was too late to go on at {now:%Y-%m-%d %H:%M} UTC"
    if entry.through is not None:
        if not handing.waiting(entry.nodes):
            return _as_it_came(entry, entry.through, now)
        nodes = ", ".join(one.node for one in handing.waiting(entry.nodes))
        detail = f"{entry.detail}; no run saw {nodes} off by {now:%Y-%m-%d %H:%M} UTC, and it is too late to go on"
        return finish(entry, State.PARTIAL, reason=Reason.DEADLINE_PASSED, detail=detail, now=now)
    return finish(entry, State.FAILED, reason=Reason.INTERRUPTED, detail=detail, now=now)


def _ended_by_change(entry: Entry, now: datetime) -> Entry:
    if entry.through is not None and not handing.waiting(entry.nodes):
        return _as_it_came(entry, entry.through, now)
    if entry.state.under_way:
        detail = f"run {entry.run_id} died on the way, and the schedule was changed or taken out since, or the clock set back"
        return finish(entry, State.FAILED if entry.through is None else State.PARTIAL, reason=Reason.SUPERSEDED, detail=detail, now=now)
    detail = f"the schedule was changed or taken out while this waited: {entry.detail}"
    return finish(entry, State.SKIPPED, reason=Reason.ONLY_ARMED, detail=detail, now=now)


def _as_it_came(entry: Entry, through: State, now: datetime) -> Entry:
    """The end of an entry whose run died when all was done but to say so."""
    state = State.PARTIAL if handing.went_wrong(entry.nodes) else through
    return finish(entry, state, reason=entry.reason, detail=entry.detail, now=now)


def _with(guests: Iterable[PlannedGuest], vmid: int, **known: object) -> tuple[PlannedGuest, ...]:
    return tuple(replace(guest, **known) if guest.vmid == vmid else guest for guest in guests)
