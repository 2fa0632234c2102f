"""Asks one guest to shut down or to start: looks at it once more, and sends the request at most once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from pvectl.act.diary import Held
from pvectl.act.ledger import Asked, Ledger, Stale
from pvectl.act.names import is_another, refuse_another
from pvectl.act.tags import Retag
from pvectl.core import shutdown, start, tags
from pvectl.core.model import GuestType
from pvectl.core.plan import Action, Outcome, OutcomeStatus, Reason, SetTags, Shutdown, Start
from pvectl.errors import ApiRefusal, OutcomeUnknown, PvectlError, WriteForbidden

if TYPE_CHECKING:
    from pvectl.clock import Clock
    from pvectl.core.model import Guest
    from pvectl.pve.client import GuestNow, ProxmoxClient, Upid

_NO_SUCH_GUEST = re.compile(r"Configuration file .* does not exist")
_NOT_RUNNING = re.compile(r"\bnot running\b")
_ALREADY_RUNNING = re.compile(r"\balready running\b")
_GUEST_LOCKED = re.compile(r"(?:VM|CT) is locked")
_FILE_LOCKED = re.compile(r"can't lock file")
_WHERE = "nothing was done to it; pvectl vm list shows where it is"


class NeededTag(Struct, frozen=True, kw_only=True):
    """The tag that a guest has to carry at the moment it is asked to shut down (safety rule S9)."""

    tag: str
    case_sensitive: bool = False

    def is_on(self, now: tuple[str, ...] | None) -> bool:
        """None is what PVE says of a guest without tags, and of one with a tag it does not accept: neither proves anything."""
        fold = tags.fold
        return any(fold(tag, case_sensitive=self.case_sensitive) == fold(self.tag, case_sensitive=self.case_sensitive) for tag in now or ())


class Doorway(Struct, frozen=True, kw_only=True):
    """What every request of one run goes through; `running_since`: a guest that began after this reading of the clock is left alone."""

    client: ProxmoxClient
    clock: Clock
    retag: Retag
    needed: NeededTag | None = None
    running_since: float | None = None


def begin(ledger: Ledger, index: int, door: Doorway) -> None:
    """Carry one action out as far as it goes without waiting for a guest, and write down what came of it."""
    action = ledger.take(index)
    if action is None:
        return
    try:
        if isinstance(action, SetTags):
            ledger.settle(index, door.retag(action, _Gate(ledger, index, action)))
        else:
            _ask(ledger, index, action, door)
    except Stale:
        return
    except WriteForbidden as error:
        ledger.turned_down(index, error.message)
        raise
    except PvectlError as error:
        ledger.settle(index, refused(action, error))
    finally:
        ledger.put_down(index)


def refused(action: Action, error: PvectlError) -> Outcome:
    """PVE's no, its silence, or a reason of our own, as the outcome of an action; what was asked for once is never asked for again."""
    if isinstance(error, OutcomeUnknown):
        return Outcome(action=action, status=OutcomeStatus.UNKNOWN, error=error.message, hint=error.hint, kind=error.kind)
    if isinstance(error, Held):
        return Outcome(action=action, status=OutcomeStatus.SKIPPED, error=error.message, hint=error.hint, kind=Reason.HELD.value)
    hint = error.hint
    if _NO_SUCH_GUEST.search(error.message):
        gone = f"it is no longer on node {action.guest.node}: it was moved or removed in the meantime"
        return Outcome(action=action, status=OutcomeStatus.FAILED, error=gone, hint=_WHERE, kind=error.kind)
    if _GUEST_LOCKED.search(error.message):
        hint = "other work is going on with the guest: try again when that has ended"
    elif _FILE_LOCKED.search(error.message):
        hint = "another task is working on the guest, a shutdown perhaps: try again when that has ended"
    return Outcome(action=action, status=OutcomeStatus.FAILED, error=error.message, hint=hint, kind=error.kind)


def _ask(ledger: Ledger, index: int, action: Shutdown | Start, door: Doorway) -> None:
    client = door.client
    now = client.guest_now(action.guest)
    refuse_another(action.guest, now.name)
    reason = _reason_to_skip(action, now, door.needed) or _began_since(now, door)
    if reason is not None:
        ledger.settle(index, Outcome(action=action, status=OutcomeStatus.SKIPPED, error=reason[1], kind=reason[0].value))
        return
    if not ledger.may_leave(index, "start" if isinstance(action, Start) else "shutdown", _details(action, now, client)):
        return
    try:
        upid = _request(action, client)
    except ApiRefusal as refusal:
        ledger.turned_down(index, refusal.message)
        ledger.settle(index, _so_already(action, refusal, client))
    else:
        ledger.asked[index] = Asked(action=action, upid=upid, at=door.clock.boottime())


def _request(action: Shutdown | Start, client: ProxmoxClient) -> Upid:
    if isinstance(action, Start):
        return client.start(action.guest)
    return client.shutdown(action.guest, timeout=action.timeout, force_stop=action.force_stop)


def _reason_to_skip(action: Shutdown | Start, now: GuestNow, needed: NeededTag | None) -> tuple[Reason, str] | None:
    """Why the guest, looked at once more, is to be left alone after all; by the same rules as in the plan."""
    planned = action.guest
    seen = replace(planned, status=now.qmpstatus or now.status, lock=now.lock)
    if isinstance(action, Start):
        left = start.reason_to_leave(seen)
        return left[1:] if left else None
    if action.through_ha:
        hastate = None
    else:
        # "ignored" in the plan, and the HA manager's by now: somebody has handed it over in between
        handed_over = now.ha_managed and planned.hastate in (None, "ignored")
        hastate = "managed" if handed_over else planned.hastate
    kept = shutdown.reason_to_keep(replace(seen, hastate=hastate))
    if kept is not None:
        return kept[1:]
    if needed is not None and not needed.is_on(now.tags):
        return Reason.NOT_TAGGED, f"it does not carry the tag {needed.tag} any more, and without it nobody shuts it down"
    return None


def _began_since(now: GuestNow, door: Doorway) -> tuple[Reason, str] | None:
    """Why a guest is no longer the one that was looked at: somebody has stopped and started it again since."""
    if door.running_since is None:
        return None
    if now.uptime is None:
        return Reason.START_UNKNOWN, "when it was started is not known, so it may have been started again since it was looked at"
    # uptimes are whole seconds, rounded down: one that began within the second before the look is left alone as well
    if now.uptime < door.clock.boottime() - door.running_since:
        return Reason.RESTARTED, f"it was started {now.uptime} s ago, after it was looked at, so somebody wants it on"
    return None


def _details(action: Shutdown | Start, now: GuestNow, client: ProxmoxClient) -> Mapping[str, object]:
    """What the next run needs to find out what came of the request, and to put back what it changed."""
    guest = action.guest
    details: dict[str, object] = {"node": guest.node, "type": guest.type, "name": guest.name, "timeout": action.timeout}
    if isinstance(action, Shutdown):
        details["force_stop"] = action.force_stop
        if now.ha_managed:
            details["ha_state"] = _ha_state(guest, client)
    return details


def _ha_state(guest: Guest, client: ProxmoxClient) -> str:
    """What the HA manager has been told to keep the guest in: a shutdown through it changes that for good, so it is kept for putting back.

    Raises:
        PvectlError: it cannot be told.
    """
    sid = f"{'vm' if guest.type == GuestType.QEMU else 'ct'}:{guest.vmid}"
    found = next((resource for resource in client.ha_resources() if resource.sid == sid), None)
    if found is None:
        raise PvectlError(f"the HA manager runs it, and does not list {sid}: nothing was changed", subject=guest.subject)
    # PVE leaves the default out (pve-ha-manager PVE/HA/Resources.pm)
    return found.state or "started"


def _so_already(action: Shutdown | Start, refusal: ApiRefusal, client: ProxmoxClient) -> Outcome:
    """What a container that PVE calls "not running" or "already running" comes to: skipped when it became so by itself, else refused."""
    text, status, reason, words = (
        (_ALREADY_RUNNING, "running", Reason.ALREADY_RUNNING, "it was started just before it was its turn")
        if isinstance(action, Start)
        else (_NOT_RUNNING, "stopped", Reason.ALREADY_OFF, "it stopped by itself just before it was its turn")
    )
    # pve-container says "not running" of a container that does not exist as well (recorded on PVE 8.4 and 9.2)
    if text.search(refusal.message):
        now = client.guest_now(action.guest)
        if now.status == status and not is_another(action.guest, now.name):
            return Outcome(action=action, status=OutcomeStatus.SKIPPED, error=words, kind=reason.value)
    return refused(action, refusal)


class _Gate:
    """What an edit of one guest's tags asks before each request that writes."""

    def __init__(self, ledger: Ledger, index: int, action: SetTags) -> None:
        self._ledger, self._index, self._action = ledger, index, action

    def may_leave(self) -> bool:
        action = self._action
        details = {
            "node": action.guest.node,
            "type": action.guest.type,
            "add": action.add,
            "remove": action.remove,
            "replace": action.replace,
        }
        return self._ledger.may_leave(self._index, "set-tags", details)

    def turned_down(self, why: str) -> None:
        self._ledger.turned_down(self._index, why)
