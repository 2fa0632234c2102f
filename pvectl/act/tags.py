"""Edits a guest's tags as they are now, and reads them back."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol, TypeAlias

from pvectl.act.ledger import INTERRUPTED, NEVER_ASKED
from pvectl.act.names import refuse_another
from pvectl.core import tags
from pvectl.core.model import GuestType
from pvectl.core.plan import Outcome, OutcomeStatus, SetTags
from pvectl.errors import ApiRefusal, OutcomeUnknown, PvectlError

if TYPE_CHECKING:
    from pvectl.clock import Clock
    from pvectl.core.model import Guest
    from pvectl.pve.client import GuestConfig, ProxmoxClient

RawTags: TypeAlias = Callable[[], Mapping[int, tuple[str, ...]]]
EDIT_ATTEMPTS = 4
# qemu-server wrote "missmatch" for years; the other text is pve-common's, for containers
_CHANGED_MEANWHILE = re.compile(r"checksum miss?match|detected modified configuration")


class Gate(Protocol):
    """What stands before each request that writes."""

    def may_leave(self) -> bool:
        """Whether it may leave now; from then on it counts as sent."""
        ...

    def turned_down(self, why: str) -> None:
        """It has changed nothing."""
        ...


Retag: TypeAlias = Callable[[SetTags, Gate], Outcome]


def retag(
    action: SetTags,
    gate: Gate,
    *,
    client: ProxmoxClient,
    clock: Clock,
    raw_tags: RawTags,
    case_sensitive: bool,
) -> Outcome:
    """Edit the tags as they are now, and read them back; an edit by somebody else in between makes it start over.

    The gate is asked right before each request that writes, and told when it was for nothing.
    """
    started = clock.boottime()
    attempts = 0
    unclear: OutcomeUnknown | None = None
    written = False
    while True:
        try:
            config = client.guest_config(action.guest)
            refuse_another(action.guest, _configured_name(action.guest, config))
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
        if not gate.may_leave():
            return Outcome(action=action, status=OutcomeStatus.SKIPPED, error=NEVER_ASKED, kind=INTERRUPTED)
        try:
            client.set_tags(action.guest, tags=wanted, digest=config.digest)
            written = True
        except OutcomeUnknown as error:
            unclear = error
        except ApiRefusal as refusal:
            gate.turned_down(refusal.message)
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


def _current_tags(guest: Guest, config: GuestConfig, raw_tags: RawTags) -> tuple[str, ...]:
    """The tags a guest has, with those that PVE does not accept: it leaves a whole line out of the configuration for one of them."""
    listed = tags.split(config.tags_raw)
    if listed:
        return listed
    # /cluster/resources has the raw line, and has it at once (recorded on PVE 8.4 and 9.2)
    raw = raw_tags().get(guest.vmid)
    if raw is None:
        raise PvectlError("which tags it has could not be read: /cluster/resources does not list it", subject=guest.subject)
    return raw
