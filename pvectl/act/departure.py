"""Sees a node go off: by what another node of its cluster tells, or by its silence where there is no other to ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from pvectl.core.amounts import span
from pvectl.core.plan import OutcomeStatus
from pvectl.errors import DeadlineExceeded, PvectlError, Unavailable

if TYPE_CHECKING:
    from pvectl.clock import Clock
    from pvectl.pve.client import ClusterStatus, ProxmoxClient

OFF_WITHIN_S = 300
"""How long a node without guests is given to go off."""
SILENCE_S = 30
_ROUND_S = 3.0
_HINT = "look whether it is off before anything else is asked of it"


class Departure(Struct, frozen=True, kw_only=True):
    """`status` is done or unknown; `took` in seconds."""

    status: OutcomeStatus
    took: float
    unconfirmed: bool = False
    error: str | None = None
    hint: str | None = None


def seen_off(node: str, client: ProxmoxClient, clock: Clock, *, since: float, accepted: bool, beside: bool) -> Departure:
    """Wait until the node is off, and say how that is known.

    `since` is when it was told to, by the clock that never steps, and `accepted` whether Proxmox VE said yes to that; `beside` whether
    there is an API host other than the node. Without one, half a minute of silence after a yes is all that can be had (safety rule S23).
    """
    silent_since: float | None = None
    while True:
        clock.sleep(_ROUND_S)
        now = clock.boottime()
        try:
            status = client.cluster_status()
        except DeadlineExceeded as error:
            words = f"it was told to power off, and nobody saw it go: {error.message}"
            return Departure(status=OutcomeStatus.UNKNOWN, took=now - since, error=words, hint=_HINT)
        except Unavailable:
            silent_since = now if silent_since is None else silent_since
            if accepted and not beside and now - silent_since >= SILENCE_S:
                return Departure(status=OutcomeStatus.DONE, took=now - since, unconfirmed=True)
        except PvectlError:
            silent_since = None
        else:
            silent_since = None
            if _sees_it_off(node, status):
                return Departure(status=OutcomeStatus.DONE, took=now - since)
        if now - since >= OFF_WITHIN_S:
            how = "no API host has answered since" if silent_since is not None else "it is not seen off"
            words = f"it was told to power off, and after {span(now - since)} {how}"
            return Departure(status=OutcomeStatus.UNKNOWN, took=now - since, error=words, hint=_HINT)


def _sees_it_off(node: str, status: ClusterStatus) -> bool:
    """Whether another node tells that this one is off, and is not itself the one that has lost the others."""
    return status.quorate is True and any(
        member.name == node and not member.local and member.status == "offline" for member in status.nodes
    )
