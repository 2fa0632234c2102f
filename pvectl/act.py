"""Carries a plan out: looks again right before each request, and believes only what it then sees."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, assert_never

from msgspec import Struct
from msgspec.structs import replace

from pvectl.core import ending, shutdown, tags
from pvectl.core.model import GuestType, Unknown
from pvectl.core.plan import Action, Outcome, OutcomeStatus, Plan, SetTags, Shutdown
from pvectl.errors import ApiRefusal, DeadlineExceeded, OutcomeUnknown, PvectlError, WriteForbidden
from pvectl.pve.parallel import Shared

if TYPE_CHECKING:
    from pvectl.clock import Clock
    from pvectl.core.model import Guest
    from pvectl.pve.client import GuestConfig, ProxmoxClient, Upid

Progress: TypeAlias = Callable[[Outcome], None]
_Retag: TypeAlias = Callable[[SetTags, Callable[[], bool], Callable[[], None]], Outcome]
_RawTags: TypeAlias = Callable[[], Mapping[int, tuple[str, ...]]]

POLL_S = 1.5
EDIT_ATTEMPTS = 4
_LOG_LINES = 50
_SETTLE_S = 5

_NO_SUCH_GUEST = re.compile(r"Configuration file .* does not exist")
_NOT_RUNNING = re.compile(r"\bnot running\b")
_GUEST_LOCKED = re.compile(r"(?:VM|CT) is locked")
_FILE_LOCKED = re.compile(r"can't lock file")
# qemu-server wrote "missmatch" for years; the other text is pve-common's, for containers
_CHANGED_MEANWHILE = re.compile(r"checksum miss?match|detected modified configuration")

_LEFT_GOING = "interrupted: its task goes on, and nobody waits for it"
_NEVER_ASKED = "interrupted before it was its turn: nothing was changed"
_WHERE = "nothing was done to it; pvectl vm list shows where it is"
_ON_ITS_WAY = "interrupted while the request was on its way: it may or may not have happened"


def carry_out(  # noqa: PLR0913 - the one door to every change
    plan: Plan,
    client: ProxmoxClient,
    clock: Clock,
    *,
    wait: bool = True,
    dry_run: bool = False,
    parallel: int = 8,
    progress: Progress | None = None,
) -> tuple[Outcome, ...]:
    """One outcome for each action of the plan, in its order; what happens to one guest leaves the others' turn alone.

    `wait=False` returns once PVE has accepted the requests. `parallel` bounds the requests at a time, not the guests shutting down.
    Ctrl-C ends the waiting: what is under way then is `started`, what was not asked for yet is `skipped`, and PVE's tasks are left alone;
    `interrupted` tells. `progress` gets each outcome once, as it comes.

    Raises:
        WriteForbidden: the connection may only read; nothing was changed.
    """
    ledger = _Ledger(plan.actions, progress)
    try:
        if dry_run:
            ledger.rehearse()
        else:
            _send(ledger, client, clock, parallel)
        if wait:
            _watch(ledger, client, clock, parallel)
    except KeyboardInterrupt:
        ledger.interrupt()
    return ledger.outcomes()


def longest_wait(timeout: int) -> int:
    """Seconds from a guest's request to the moment `carry_out` has given up on it, whatever kind of guest it is."""
    return ending.longest_allowance(timeout)


def interrupted(outcomes: Sequence[Outcome]) -> bool:
    """Whether Ctrl-C came before all these outcomes were in."""
    return any(outcome.error in (_LEFT_GOING, _NEVER_ASKED, _ON_ITS_WAY) for outcome in outcomes)


class _Asked(Struct, frozen=True, kw_only=True):
    """A shutdown that PVE has accepted; `at` is on the clock that never steps."""

    action: Shutdown
    upid: Upid
    at: float


class _Ledger:
    """Which actions PVE has been asked for, and which have come to an end; several threads fill it, each for its own action."""

    def __init__(self, actions: Sequence[Action], progress: Progress | None) -> None:
        self.actions = tuple(actions)
        self.in_hand: set[int] = set()
        self.sent: set[int] = set()
        self.asked: dict[int, _Asked] = {}
        self.ended: dict[int, Outcome] = {}
        self._interrupted = False
        self._settled = threading.Condition()
        self._progress = progress
        self._told: set[int] = set()

    def rehearse(self) -> None:
        self.ended = {index: Outcome(action=action, status=OutcomeStatus.DRY_RUN) for index, action in enumerate(self.actions)}

    def take(self, index: int) -> Action | None:
        """The action, for a thread that begins with it; None when it is too late to begin with anything."""
        with self._settled:
            if self._interrupted:
                return None
            self.in_hand.add(index)
            return self.actions[index]

    def sending(self, index: int) -> bool:
        """Whether the request that changes something may leave now; from then on it counts as sent."""
        with self._settled:
            if not self._interrupted:
                self.sent.add(index)
            return not self._interrupted

    def turned_down(self, index: int) -> None:
        """PVE has refused what was sent: it has changed nothing."""
        with self._settled:
            self.sent.discard(index)

    def put_down(self, index: int) -> None:
        with self._settled:
            self.in_hand.discard(index)
            self._settled.notify_all()

    def interrupt(self) -> None:
        """Let nothing leave any more, and give what is on its way a moment to come back."""
        with self._settled:
            self._interrupted = True
            self._settled.wait_for(lambda: not self.in_hand, timeout=_SETTLE_S)

    def end(self, index: int, outcome: Outcome) -> None:
        self.ended[index] = outcome
        self.tell(index, outcome)

    def tell(self, index: int, outcome: Outcome) -> None:
        if self._progress is not None and index not in self._told:
            self._told.add(index)
            self._progress(outcome)

    def outcomes(self) -> tuple[Outcome, ...]:
        """What came of every action, also of those that have not ended; the end of the matter."""
        outcomes = tuple(self.ended.get(index) or self._unended(index, action) for index, action in enumerate(self.actions))
        for index, outcome in enumerate(outcomes):
            self.tell(index, outcome)
        return outcomes

    def _unended(self, index: int, action: Action) -> Outcome:
        asked = self.asked.get(index)
        if asked is not None:
            error = _LEFT_GOING if self._interrupted else None
            return Outcome(action=action, status=OutcomeStatus.STARTED, upid=asked.upid.text, error=error)
        if index in self.sent:
            return Outcome(action=action, status=OutcomeStatus.UNKNOWN, error=_ON_ITS_WAY)
        return Outcome(action=action, status=OutcomeStatus.SKIPPED, error=_NEVER_ASKED)


def _send(ledger: _Ledger, client: ProxmoxClient, clock: Clock, parallel: int) -> None:
    """Ask PVE for every action, a handful at a time, so that Ctrl-C never leaves more than that handful in doubt."""
    retags = any(isinstance(action, SetTags) for action in ledger.actions)
    case_sensitive = client.cluster_options().tags_case_sensitive if retags else False
    raw_tags = Shared(lambda: {guest.vmid: guest.tags for guest in client.guests()})
    retag = partial(_retag, client=client, clock=clock, raw_tags=raw_tags, case_sensitive=case_sensitive)
    for start in range(0, len(ledger.actions), parallel):
        turn = range(start, min(start + parallel, len(ledger.actions)))
        for answer in client.in_parallel([partial(_begin, ledger, index, client, clock, retag) for index in turn], workers=parallel):
            if isinstance(answer, PvectlError):
                raise answer
        for index in turn:
            if index in ledger.ended:
                ledger.tell(index, ledger.ended[index])


def _begin(ledger: _Ledger, index: int, client: ProxmoxClient, clock: Clock, retag: _Retag) -> None:
    """Carry one action out as far as it goes without waiting for a guest, and write down what came of it."""
    action = ledger.take(index)
    try:
        match action:
            case None:
                return
            case Shutdown():
                reason = _reason_to_skip(action, client)
                if reason is not None:
                    ledger.ended[index] = Outcome(action=action, status=OutcomeStatus.SKIPPED, error=reason)
                    return
                if not ledger.sending(index):
                    return
                try:
                    upid = client.shutdown(action.guest, timeout=action.timeout, force_stop=action.force_stop)
                except ApiRefusal as refusal:
                    ledger.turned_down(index)
                    ledger.ended[index] = _off_already(action, refusal, client)
                else:
                    ledger.asked[index] = _Asked(action=action, upid=upid, at=clock.boottime())
            case SetTags():
                ledger.ended[index] = retag(action, partial(ledger.sending, index), partial(ledger.turned_down, index))
            case _:
                assert_never(action)
    except WriteForbidden:
        raise
    except PvectlError as error:
        ledger.ended[index] = _refused(ledger.actions[index], error)
    finally:
        ledger.put_down(index)


def _reason_to_skip(action: Shutdown, client: ProxmoxClient) -> str | None:
    """Why the guest, looked at once more, is not to be shut down after all; by the same rules as in the plan."""
    planned = action.guest
    now = client.guest_now(planned)
    _refuse_another(planned, now.name)
    # "ignored" in the plan, and the HA manager's by now: somebody has handed it over in between
    handed_over = now.ha_managed and planned.hastate in (None, "ignored")
    hastate = "managed" if handed_over else planned.hastate
    kept = shutdown.reason_to_keep(replace(planned, status=now.qmpstatus or now.status, lock=now.lock, hastate=hastate))
    return kept[2] if kept else None


def _is_another(planned: Guest, name: str | None) -> bool:
    """Whether this is the name of another guest than the planned one: PVE hands the number of a removed guest to the next."""
    return planned.name is not None and name is not None and name != planned.name


def _refuse_another(planned: Guest, name: str | None) -> None:
    if _is_another(planned, name):
        words = f"it is called {name} now, not {planned.name}: nothing was changed"
        raise PvectlError(words, hint="pvectl vm list shows which guest has that number", subject=planned.subject)


def _off_already(action: Shutdown, refusal: ApiRefusal, client: ProxmoxClient) -> Outcome:
    """What a container that PVE calls "not running" comes to: skipped when it stopped by itself, refused when it only moved away."""
    # pve-container says so of a container that does not exist as well (recorded on PVE 8.4 and 9.2)
    if not _NOT_RUNNING.search(refusal.message):
        raise refusal
    now = client.guest_now(action.guest)
    if now.status != "stopped" or _is_another(action.guest, now.name):
        raise refusal
    return Outcome(action=action, status=OutcomeStatus.SKIPPED, error="it stopped by itself just before it was its turn")


def _refused(action: Action, error: PvectlError) -> Outcome:
    """PVE's no, or its silence, as the outcome of an action; what was asked for once is never asked for again."""
    if isinstance(error, OutcomeUnknown):
        return Outcome(action=action, status=OutcomeStatus.UNKNOWN, error=error.message, hint=error.hint)
    if _NO_SUCH_GUEST.search(error.message):
        gone = f"it is no longer on node {action.guest.node}: it was moved or removed in the meantime"
        return Outcome(action=action, status=OutcomeStatus.FAILED, error=gone, hint=_WHERE)
    hint = error.hint
    if _GUEST_LOCKED.search(error.message):
        hint = "other work is going on with the guest: try again when that has ended"
    elif _FILE_LOCKED.search(error.message):
        hint = "another task is working on the guest, a shutdown perhaps: try again when that has ended"
    return Outcome(action=action, status=OutcomeStatus.FAILED, error=error.message, hint=hint)


def _watch(ledger: _Ledger, client: ProxmoxClient, clock: Clock, parallel: int) -> None:
    """Wait until each guest that was asked has an outcome.

    A round asks the nodes for their lists, and PVE for the tasks of the guests that are off or overdue; the other tasks take turns, so that
    a round stays a handful of requests however many guests are shutting down.
    """
    waiting = dict(ledger.asked)
    while waiting:
        clock.sleep(POLL_S)
        statuses = _statuses([asked.action.guest for asked in waiting.values()], client, parallel)
        waited = {index: clock.boottime() - asked.at for index, asked in waiting.items()}
        pressing = [
            index
            for index, asked in waiting.items()
            if statuses[asked.action.guest.vmid] == "stopped" or waited[index] >= ending.allowance(asked.action)
        ]
        others = [index for index in waiting if index not in pressing]
        turn = pressing + others[: max(1, parallel - len(pressing))]
        tasks = client.in_parallel([partial(client.task, waiting[index].upid) for index in turn], workers=parallel)
        for index, task in zip(turn, tasks, strict=True):
            asked = waiting.pop(index)
            outcome = ending.outcome(
                asked.action,
                upid=asked.upid.text,
                waited=waited[index],
                status=statuses[asked.action.guest.vmid],
                task=Unknown(reason=task.message) if isinstance(task, PvectlError) else task,
            )
            if outcome is None:
                # behind the others, whose tasks are to be looked at first in the next round
                waiting[index] = asked
            else:
                ledger.end(index, _with_force_told(outcome, asked.upid, client))
        late = next((task for task in tasks if isinstance(task, DeadlineExceeded)), None)
        if late is not None:
            for index, asked in waiting.items():
                ledger.end(index, ending.given_up(asked.action, upid=asked.upid.text, waited=waited[index], why=late.message))
            return


def _statuses(guests: Sequence[Guest], client: ProxmoxClient, parallel: int) -> dict[int, str | Unknown | None]:
    """What each guest's node says of it just now, None where the node does not have it."""
    nodes = sorted({guest.node for guest in guests})
    answers = client.in_parallel([partial(client.node_guests, node) for node in nodes], workers=parallel)
    known: dict[str, dict[int, str] | Unknown] = {
        node: Unknown(reason=answer.message) if isinstance(answer, PvectlError) else {guest.vmid: guest.status for guest in answer}
        for node, answer in zip(nodes, answers, strict=True)
    }
    statuses: dict[int, str | Unknown | None] = {}
    for guest in guests:
        listed = known[guest.node]
        statuses[guest.vmid] = listed if isinstance(listed, Unknown) else listed.get(guest.vmid)
    return statuses


def _with_force_told(outcome: Outcome, upid: Upid, client: ProxmoxClient) -> Outcome:
    """The same outcome, with whether the plug was pulled."""
    action = outcome.action
    # the HA manager stops a guest by itself, and how it did that stands in no log of ours
    if outcome.status is not OutcomeStatus.DONE or not isinstance(action, Shutdown) or upid.type == "hastop":
        return outcome
    if ending.obeyed_in_time(action, outcome.took or 0):
        return replace(outcome, forced=False)
    try:
        log = client.task_log(upid, limit=_LOG_LINES)
    except PvectlError:
        log = None
    forced = ending.stopped_by_force(action, log)
    hints = {
        True: f"it did not shut down within {action.within} and was stopped by force",
        None: f"it took its {action.within} and is off, but whether by force Proxmox VE does not tell",
    }
    return replace(outcome, forced=forced, hint=hints.get(forced))


def _retag(  # noqa: PLR0913 - two calls of the ledger's, the rest is the run's
    action: SetTags,
    sending: Callable[[], bool],
    turned_down: Callable[[], None],
    *,
    client: ProxmoxClient,
    clock: Clock,
    raw_tags: _RawTags,
    case_sensitive: bool,
) -> Outcome:
    """Edit the tags as they are now, and read them back; an edit by somebody else in between makes it start over.

    `sending` is asked right before each request that writes whether it may leave, and `turned_down` told when it was for nothing.
    """
    started = clock.boottime()
    attempts = 0
    unclear: OutcomeUnknown | None = None
    written = False
    while True:
        try:
            config = client.guest_config(action.guest)
            _refuse_another(action.guest, _configured_name(action.guest, config))
            current = _current_tags(action.guest, config, raw_tags)
        except PvectlError as error:
            if unclear is not None:
                raise unclear from None
            if written:
                words = f"Proxmox VE took the tags, but they could not be read back: {error.message}"
                return Outcome(action=action, status=OutcomeStatus.UNKNOWN, error=words, hint=error.hint)
            raise
        wanted = tags.edited(current, add=action.add, remove=action.remove, replace=action.replace, case_sensitive=case_sensitive)
        if tags.same(current, wanted, case_sensitive=case_sensitive):
            return Outcome(action=action, status=OutcomeStatus.DONE, took=clock.boottime() - started)
        if unclear is not None:
            raise unclear
        if written:
            words = f"written, but read back as '{';'.join(current)}': somebody else changed the tags at the same moment"
            return Outcome(action=action, status=OutcomeStatus.FAILED, error=words)
        attempts += 1
        if not sending():
            return Outcome(action=action, status=OutcomeStatus.SKIPPED, error=_NEVER_ASKED)
        try:
            client.set_tags(action.guest, tags=wanted, digest=config.digest)
            written = True
        except OutcomeUnknown as error:
            unclear = error
        except ApiRefusal as refusal:
            turned_down()
            if attempts == EDIT_ATTEMPTS or not _CHANGED_MEANWHILE.search(refusal.message):
                raise
            clock.sleep(attempts * random.uniform(0.2, 1.0))  # noqa: S311 - keeps two editors from meeting again


def _configured_name(guest: Guest, config: GuestConfig) -> str:
    """The name PVE shows for a guest with this configuration; it makes one up where none is set (PVE::QemuServer, PVE::LXC)."""
    is_vm = guest.type == GuestType.QEMU
    name = config.options.get("name" if is_vm else "hostname")
    if name:
        return str(name)
    return f"VM {guest.vmid}" if is_vm else f"CT{guest.vmid}"


def _current_tags(guest: Guest, config: GuestConfig, raw_tags: _RawTags) -> tuple[str, ...]:
    """The tags a guest has, with those that PVE does not accept: it leaves a whole line out of the configuration for one of them."""
    listed = tags.split(config.tags_raw)
    if listed:
        return listed
    # /cluster/resources has the raw line, and has it at once (recorded on PVE 8.4 and 9.2)
    raw = raw_tags().get(guest.vmid)
    if raw is None:
        raise PvectlError("which tags it has could not be read: /cluster/resources does not list it", subject=guest.subject)
    return raw
