"""Switches a node off: its guests down stage by stage, everything looked at anew before each request, the end seen from another node."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct
from msgspec.structs import replace

from pvectl.act.carrying import Crew, carry_stage, doorway
from pvectl.act.departure import OFF_WITHIN_S, seen_off
from pvectl.act.diary import Diary, Held
from pvectl.act.guests import NeededTag
from pvectl.act.ledger import INTERRUPTED, Ledger, Progress, as_wanted
from pvectl.core import ending
from pvectl.core.model import Guest
from pvectl.core.plan import Outcome, OutcomeStatus, PowerOutcome, Reason, SwitchOff
from pvectl.errors import ConfigError, OutcomeUnknown, PvectlError, Unavailable, WriteForbidden

if TYPE_CHECKING:
    from pvectl.clock import Clock
    from pvectl.pve.client import ProxmoxClient

MAX_VIEW_AGE_S = 15
"""What a request that cannot be taken back rests on is no older (safety rule S3)."""
_LOOKS = 3

_TOO_SLOW = f"{_LOOKS} times in a row it took longer than {MAX_VIEW_AGE_S} s to look at everything, and by then it may have changed"
_STAYS = "interrupted before the node was told to power off: it stays on"
_NOT_WATCHED = "interrupted: it was told to power off, and nobody watched it go"
_ON_ITS_WAY = "interrupted while the request to power off was on its way: it may or may not have happened"


class Reconsidered(Struct, frozen=True, kw_only=True):
    """What a full look says now: `stop` is why to go no further, None: go on. `running` are the guests that run on the node.

    `read_since` is when the reading began, by the clock that never steps; None: when it was asked to look.
    """

    stop: str | None = None
    reason: Reason | None = None
    running: tuple[Guest, ...] = ()
    evidence_id: str | None = None
    read_since: float | None = None


class Reconsider(Protocol):
    """Reads everything anew and decides by the same rules as in the plan."""

    def __call__(self, ours: frozenset[str], asked: frozenset[int]) -> Reconsidered:
        """`ours` are the tasks we have started, `asked` the guests we have asked to shut down.

        Raises:
            PvectlError: it cannot be told, so nothing more is switched off.
        """
        ...


def switch_off(  # noqa: PLR0913 - the one door to a node's power
    action: SwitchOff,
    client: ProxmoxClient,
    clock: Clock,
    *,
    needed: NeededTag,
    reconsider: Reconsider,
    diary: Diary,
    parallel: int = 8,
    on_this_node: bool = False,
    progress: Progress | None = None,
    dry_run: bool = False,
) -> PowerOutcome:
    """Shut the guests down, at most `parallel` at a time, prove that all is quiet, power the node off, and see it gone.

    Before each handful of requests `reconsider` looks at everything, and what it says stands for 15 s; whatever speaks against going on
    ends it, and so does the first guest that is not seen off. Tasks that are under way then are waited for, never stopped. With
    `on_this_node` pvectl runs on the node itself: the request is its last act, and stays open in the diary until the next run sees what
    came of it.

    Ctrl-C lets nothing leave any more: the outcome says what goes on, and `interrupted` tells.

    Raises:
        WriteForbidden: the connection may only read; nothing was changed.
    """
    guests = [shutdown for stage in action.stages for shutdown in stage]
    ledger = Ledger(guests, progress, diary, strict=True, kept_by=[action.subject])
    if dry_run:
        ledger.rehearse()
        return PowerOutcome(action=action, status=OutcomeStatus.DRY_RUN, guests=ledger.outcomes())
    began = clock.boottime()
    way = _Way(action, client, clock, reconsider, ledger)
    try:
        outcome = _drain(way, needed, parallel) or _power_off(way, on_this_node=on_this_node)
    except KeyboardInterrupt:
        ledger.interrupt()
        outcome = way.interrupted()
    return replace(outcome, guests=ledger.outcomes(), took=clock.boottime() - began)


def longest_switch_off(action: SwitchOff, parallel: int) -> int:
    """Seconds from the beginning of `switch_off` to the moment it has given up, without the time for the looks themselves."""
    return OFF_WITHIN_S + sum(
        -(-len(stage) // parallel) * max(ending.allowance(shutdown) for shutdown in stage) for stage in action.stages if stage
    )


class _Way:
    """What all steps of one switch-off share; `sent` and `accepted` tell of the request that powers off."""

    def __init__(self, action: SwitchOff, client: ProxmoxClient, clock: Clock, reconsider: Reconsider, ledger: Ledger) -> None:
        self.action = action
        self.client = client
        self.clock = clock
        self.reconsider = reconsider
        self.ledger = ledger
        self.sent = False
        self.accepted = False

    def ends(self, status: OutcomeStatus, error: str | None = None, **more: object) -> PowerOutcome:
        return replace(PowerOutcome(action=self.action, status=status, error=error), **more)

    def fails(self, error: PvectlError, **more: object) -> PowerOutcome:
        return self.ends(OutcomeStatus.FAILED, error.message, hint=error.hint, kind=error.kind, **more)

    def interrupted(self) -> PowerOutcome:
        if not self.sent:
            return self.ends(OutcomeStatus.SKIPPED, _STAYS, kind=INTERRUPTED)
        # its intent stays open either way: the next run finds out by looking
        if self.accepted:
            return self.ends(OutcomeStatus.STARTED, _NOT_WATCHED, sent=True, kind=INTERRUPTED)
        return self.ends(OutcomeStatus.UNKNOWN, _ON_ITS_WAY, sent=True, kind=INTERRUPTED)

    def look_again(self) -> tuple[Reconsidered, Callable[[], bool]] | PowerOutcome:
        """What a full look says, and until when that holds; or why the node stays on."""
        began = self.clock.boottime()
        ours = frozenset(asked.upid.text for asked in self.ledger.asked.values())
        asked = frozenset(self.ledger.actions[index].guest.vmid for index in self.ledger.sent)
        try:
            seen = self.reconsider(ours, asked)
        except PvectlError as error:
            return self.fails(error)
        if seen.stop is not None:
            return self.ends(OutcomeStatus.SKIPPED, seen.stop, reason=seen.reason)
        # the age counts from the first thing that was read
        since = began if seen.read_since is None else max(began, seen.read_since)
        return seen, lambda: self.clock.boottime() - since <= MAX_VIEW_AGE_S


def _drain(way: _Way, needed: NeededTag, parallel: int) -> PowerOutcome | None:
    """Shut the guests down, stage after stage; None when all of them are off, else why the node stays on."""
    ledger = way.ledger
    door = doorway(ledger, way.client, way.clock, needed)
    crew = Crew(client=way.client, clock=way.clock, parallel=parallel, at_once=parallel)
    stopped: list[PowerOutcome] = []
    sent_before: list[int] = []

    def before() -> None:
        sent_before.append(len(ledger.sent) + len(ledger.ended))
        if len(sent_before) > _LOOKS and len(set(sent_before[-_LOOKS - 1 :])) == 1:
            stopped.append(way.ends(OutcomeStatus.FAILED, _TOO_SLOW, reason=Reason.OUT_OF_DATE))
        else:
            seen = way.look_again()
            if isinstance(seen, PowerOutcome):
                stopped.append(seen)
            else:
                ledger.is_fresh = seen[1]
        if stopped:
            ledger.close(f"its turn never came, as the node stays on: {stopped[0].error}")

    first = 0
    for stage in way.action.stages:
        carry_stage(ledger, range(first, first + len(stage)), door, crew, before)
        first += len(stage)
        if not ledger.is_open:
            break
    wrong = sorted((one for one in ledger.ended.values() if not as_wanted(one)), key=lambda one: one.status is OutcomeStatus.SKIPPED)
    # a guest that failed weighs more than what speaks against going on, and that more than a guest that was left alone
    if wrong and (not stopped or wrong[0].status is not OutcomeStatus.SKIPPED):
        return _stays_on_for(way, wrong[0])
    if stopped:
        return stopped[0]
    return None if len(ledger.ended) == len(ledger.actions) else way.ends(OutcomeStatus.FAILED, "not every guest was asked")


def _stays_on_for(way: _Way, wrong: Outcome) -> PowerOutcome:
    """The outcome for a node one of whose guests is not off."""
    words = f"{wrong.action.guest.label} is not off, so the node stays on: {wrong.error or wrong.status.value}"
    if wrong.status is OutcomeStatus.SKIPPED:
        reason = next((reason for reason in Reason if reason.value == wrong.kind), None)
        return way.ends(OutcomeStatus.SKIPPED, words, hint=wrong.hint, reason=reason)
    return way.ends(OutcomeStatus.FAILED, words, hint=wrong.hint, kind=wrong.kind)


def _power_off(way: _Way, *, on_this_node: bool) -> PowerOutcome:
    """Look at everything once more, and send the request that nobody can take back: once."""
    node, pen = way.action.node, way.ledger.pen
    try:
        beside = on_this_node or way.client.other_entry(node)
        for _ in range(_LOOKS):
            seen = way.look_again()
            if isinstance(seen, PowerOutcome):
                return seen
            view, is_fresh = seen
            if view.running:
                still = ", ".join(guest.label for guest in view.running)
                return way.ends(OutcomeStatus.SKIPPED, f"still running: {still}", reason=Reason.STARTED_MEANWHILE)
            details = {"node": node, "on_this_node": on_this_node, "evidence": view.evidence_id}
            intent = pen.intend("power-off", way.action.subject, details, unless_held=[way.action.subject])
            if is_fresh():
                return _sent(way, intent, on_this_node=on_this_node, beside=beside)
            pen.ended(intent, OutcomeStatus.SKIPPED, error=_TOO_SLOW)
    except Held as held:
        return way.ends(OutcomeStatus.SKIPPED, held.message, hint=held.hint, reason=Reason.HELD)
    except WriteForbidden:
        raise
    except PvectlError as error:
        return way.fails(error)
    return way.ends(OutcomeStatus.FAILED, _TOO_SLOW, reason=Reason.OUT_OF_DATE)


def _sent(way: _Way, intent: str | None, *, on_this_node: bool, beside: bool) -> PowerOutcome:
    """Send the request, and see what comes of it."""
    pen, at = way.ledger.pen, way.clock.boottime()
    unclear: OutcomeUnknown | None = None
    way.sent = True
    try:
        way.client.power_off(way.action.node)
        way.accepted = True
    except OutcomeUnknown as error:
        unclear = error
    except PvectlError as error:
        way.sent = False
        never_left = isinstance(error, Unavailable | ConfigError | WriteForbidden)
        pen.ended(intent, OutcomeStatus.SKIPPED if never_left else OutcomeStatus.FAILED, error=error.message)
        if isinstance(error, WriteForbidden):
            raise
        return way.fails(error, sent=not never_left)
    if on_this_node and way.accepted:
        return way.ends(OutcomeStatus.STARTED, sent=True)
    gone = seen_off(way.action.node, way.client, way.clock, since=at, accepted=way.accepted, beside=beside)
    if gone.status is OutcomeStatus.UNKNOWN and unclear is not None:
        gone = replace(gone, error=unclear.message, hint=unclear.hint)
    pen.ended(intent, gone.status, error=gone.error, took=gone.took)
    return way.ends(gone.status, gone.error, hint=gone.hint, sent=True, unconfirmed=gone.unconfirmed)
