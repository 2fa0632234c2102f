"""What only the configurations of single guests tell: their place in the startup order, and whether pvectl runs in one of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from pvectl.core.model import Guest, Known
from pvectl.errors import PvectlError
from pvectl.observe.whereabouts import Machine, compared, this_machine

if TYPE_CHECKING:
    from pvectl.clock import Clock
    from pvectl.pve.client import GuestConfig, ProxmoxClient


def configurations(client: ProxmoxClient, guests: Sequence[Guest]) -> dict[int, GuestConfig]:
    """The configuration of each guest by vmid; one request for each, so only for guests that something is about to happen to.

    Raises:
        PvectlError: one of them could not be read.
    """
    answers = client.in_parallel([partial(client.guest_config, guest) for guest in guests])
    found: dict[int, GuestConfig] = {}
    for guest, answer in zip(guests, answers, strict=True):
        if isinstance(answer, PvectlError):
            raise answer
        found[guest.vmid] = answer
    return found


def startup_lines(configs: dict[int, GuestConfig]) -> dict[int, str | None]:
    """The `startup` line of each guest, None where it has none."""
    lines = {vmid: config.options.get("startup") for vmid, config in configs.items()}
    return {vmid: None if line is None else str(line) for vmid, line in lines.items()}


def ourselves(
    guests: Sequence[Guest], configs: dict[int, GuestConfig], clock: Clock, machine: Callable[[], Machine] = this_machine
) -> int | None:
    """The vmid of the guest among these in which pvectl runs; None when it is none of them, and when nobody can tell."""
    this = machine()
    if this.is_physical or not guests:
        return None
    now = clock.now()
    told = {guest: Known(value=configs[guest.vmid], source=f"configuration of {guest.label}", taken_at=now) for guest in guests}
    place = compared(this, told, now)
    return place.value.vmid if isinstance(place, Known) else None
