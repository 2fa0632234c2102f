"""Carries a plan out, stage by stage: looks again right before each request, and believes only what it then sees."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct

from pvectl.act.guests import Doorway, NeededTag, begin
from pvectl.act.ledger import Asked, Ledger, Progress, as_wanted
from pvectl.act.tags import retag
from pvectl.act.waiting import POLL_S, look
from pvectl.core import ending
from pvectl.core.plan import Action, Outcome, OutcomeStatus, Plan, SetTags, Start
from pvectl.errors import PvectlError
from pvectl.pve.parallel import Shared

if TYPE_CHECKING:
    from pvectl.act.diary import Diary
    from pvectl.clock import Clock
    from pvectl.pve.client import ProxmoxClient

_STAGE_NOT_OFF = "a guest of an earlier stage is not where it was to be: nothing was changed"


def carry_out(  # noqa: PLR0913 - the one door to every change
    plan: Plan,
    client: ProxmoxClient,
    clock: Clock,
    *,
    wait: bool = True,
    dry_run: bool = False,
    parallel: int = 8,
    progress: Progress | None = None,
    diary: Diary | None = None,
    stages: Sequence[Sequence[Action]] | None = None,
    at_once: int | None = None,
    go_on: bool = False,
    needed: NeededTag | None = None,
    running_since: float | None = None,
) -> tuple[Outcome, ...]:
    """One outcome for each action of the plan, in its order; what happens to one guest leaves the others' turn alone.

    `wait=False` returns once PVE has accepted the requests. `parallel` bounds the requests at a time, `at_once` the guests that shut down
    or start at a time. `stages` are the plan's actions in their order: a stage begins when every guest of the one before is where it was to
    be, or, with `go_on`, has an outcome at all; without `wait` they only say in which order PVE is asked. Without `needed`, tags do not
    matter; with `running_since`, a reading of the clock that never steps, a guest that began after it is left alone. With a `diary` each
    request's intent is on disk before it leaves, and holds are looked up right before it.

    Ctrl-C ends the waiting: what is under way then is `started`, what was not asked for yet is `skipped`, and PVE's tasks are left alone;
    `interrupted` tells. `progress` gets each outcome once, as it comes.

    Raises:
        WriteForbidden: the connection may only read; nothing was changed.
    """
    ledger = Ledger(plan.actions, progress, diary)
    crew = Crew(client=client, clock=clock, parallel=parallel, at_once=at_once, wait=wait)
    try:
        if dry_run:
            ledger.rehearse()
        else:
            door = doorway(ledger, client, clock, needed, running_since)
            pause = 0
            for stage in _in_stages(plan.actions, stages):
                if pause and ledger.is_open:
                    # what is asked for after that ends by the run's own deadline
                    clock.sleep(min(pause, client.time_left()))
                carry_stage(ledger, stage, door, crew)
                pause = _pause_after(ledger, stage)
                if wait and not go_on and not all(index in ledger.ended and as_wanted(ledger.ended[index]) for index in stage):
                    ledger.close(_STAGE_NOT_OFF)
    except KeyboardInterrupt:
        ledger.interrupt()
    return ledger.outcomes()


def longest_wait(timeout: int) -> int:
    """Seconds from a guest's request to the moment `carry_out` has given up on it, whatever kind of guest it is."""
    return ending.longest_allowance(timeout)


class Crew(Struct, frozen=True, kw_only=True):
    """How many at a time, and whether anybody waits for them; see `carry_out`."""

    client: ProxmoxClient
    clock: Clock
    parallel: int
    at_once: int | None = None
    wait: bool = True


def carry_stage(ledger: Ledger, stage: Sequence[int], door: Doorway, crew: Crew, before: Callable[[], None] | None = None) -> None:
    """Ask PVE for every action of a stage and wait until each has an outcome; those a closed ledger keeps back have none.

    A handful is asked for at a time, so that Ctrl-C never leaves more than that handful in doubt; `before` comes right before each handful.
    """
    queue = deque(stage)
    waiting: dict[int, Asked] = {}
    looks = 0
    while (queue and ledger.is_open) or waiting:
        room = len(queue) if crew.at_once is None else min(len(queue), crew.at_once - len(waiting))
        while room > 0 and ledger.is_open:
            turn = [queue.popleft() for _ in range(min(room, crew.parallel))]
            room -= len(turn)
            if before is not None:
                before()
            late = _ask(ledger, turn, door, crew)
            queue.extendleft(reversed(late))
            if crew.wait:
                waiting.update((index, ledger.asked[index]) for index in turn if index in ledger.asked)
        if waiting:
            crew.clock.sleep(POLL_S)
            for index, outcome in look(waiting, crew.client, crew.clock, parallel=crew.parallel, turn=looks).items():
                del waiting[index]
                ledger.end(index, outcome)
            looks += 1


def _pause_after(ledger: Ledger, stage: Sequence[int]) -> int:
    """The seconds that the guests of a stage get before the next one begins; one that did not start needs none."""
    outcomes = [ledger.ended[index] for index in stage if index in ledger.ended]
    return max((one.action.pause for one in outcomes if isinstance(one.action, Start) and one.status is OutcomeStatus.DONE), default=0)


def _ask(ledger: Ledger, turn: Sequence[int], door: Doorway, crew: Crew) -> list[int]:
    """Begin with these actions; gives those whose requests were kept back, as what was seen had become too old."""
    for answer in crew.client.in_parallel([partial(begin, ledger, index, door) for index in turn], workers=crew.parallel):
        if isinstance(answer, PvectlError):
            raise answer
    for index in turn:
        if index in ledger.ended:
            ledger.tell(index, ledger.ended[index])
    return [index for index in turn if index not in ledger.ended and index not in ledger.asked and index not in ledger.sent]


def doorway(ledger: Ledger, client: ProxmoxClient, clock: Clock, needed: NeededTag | None, running_since: float | None = None) -> Doorway:
    retags = any(isinstance(action, SetTags) for action in ledger.actions)
    case_sensitive = client.cluster_options().tags_case_sensitive if retags else False
    raw_tags = Shared(lambda: {guest.vmid: guest.tags for guest in client.guests()})
    edit = partial(retag, client=client, clock=clock, raw_tags=raw_tags, case_sensitive=case_sensitive)
    return Doorway(client=client, clock=clock, retag=edit, needed=needed, running_since=running_since)


def _in_stages(actions: Sequence[Action], stages: Sequence[Sequence[Action]] | None) -> list[list[int]]:
    """The positions of each stage's actions in the plan.

    Raises:
        ValueError: the stages are not the plan's actions, each once.
    """
    if stages is None:
        return [list(range(len(actions)))]
    position = {action.guest.vmid: index for index, action in enumerate(actions)}
    placed = [[position.get(action.guest.vmid, -1) for action in stage] for stage in stages]
    if sorted(index for stage in placed for index in stage) != list(range(len(actions))):
        raise ValueError("the stages are not made of the plan's actions, each of them once")
    return placed
