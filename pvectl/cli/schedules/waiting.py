"""Waits for guests that a run before this one asked to shut down, and asks nobody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pvectl.core.plan import Outcome, OutcomeStatus, Shutdown
from pvectl.errors import PvectlError

if TYPE_CHECKING:
    from pvectl.clock import Clock
    from pvectl.pve.client import ProxmoxClient

_POLL_S = 5
_NOT_OFF = "the run before this one asked it, or was about to, and it is not off: it is not asked again"


def seen_off(
    shutdowns: Sequence[Shutdown], upids: Mapping[int, str | None], client: ProxmoxClient, clock: Clock, *, within: int
) -> dict[int, Outcome]:
    """What becomes of each guest, by vmid: done once it is seen off, timed out when that has not come within so many seconds."""
    waiting = {action.guest.vmid: action for action in shutdowns}
    came: dict[int, Outcome] = {}
    began = clock.boottime()
    while waiting:
        took = clock.boottime() - began
        for vmid, action in list(waiting.items()):
            if _is_off(action, client):
                came[vmid] = Outcome(action=action, status=OutcomeStatus.DONE, upid=upids.get(vmid), took=took)
            elif took >= within:
                came[vmid] = Outcome(action=action, status=OutcomeStatus.TIMED_OUT, upid=upids.get(vmid), error=_NOT_OFF, took=took)
        waiting = {vmid: action for vmid, action in waiting.items() if vmid not in came}
        if waiting:
            clock.sleep(_POLL_S)
    return came


def _is_off(action: Shutdown, client: ProxmoxClient) -> bool:
    try:
        return client.guest_now(action.guest).status == "stopped"
    except PvectlError:
        return False
