"""What storages and guests are asked one by one, hourly: their history, their backups, their settings, their snapshots."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from pvectl.core.model import Guest, Known, Storage, Unknown
from pvectl.core.monitor.checks.storages import WORTH_A_FORECAST, fullness
from pvectl.core.monitor.monitored import NOT_ASKED, GuestFacts, Listing, StorageFacts, storage_object
from pvectl.observe.monitor.memory import is_due

if TYPE_CHECKING:
    from datetime import datetime

    from pvectl.observe.monitor.asking import Asker


REFRESH_S = 5.0
"""What a run may spend on asking guests for what an earlier answer still tells."""


class Progress(Struct, frozen=True, kw_only=True):
    """The guests' own facts, how many there should be, and whether any was read in this run."""

    guests: Mapping[int, GuestFacts]
    changed: bool


def storages(
    asker: Asker, listing: Listing, before: Mapping[str, StorageFacts], silent: Mapping[str, str], every: float
) -> tuple[StorageFacts, ...]:
    """Every storage once, a shared one through one of the nodes that see it."""
    rows: dict[str, list[Storage]] = {}
    for row in listing.storages:
        rows.setdefault(storage_object(row.storage, row.node, shared=row.shared), []).append(row)
    calls = [partial(_storage, asker, tuple(found), before.get(name), silent, every) for name, found in sorted(rows.items())]
    return tuple(asker.each(calls))


def _storage(asker: Asker, rows: tuple[Storage, ...], before: StorageFacts | None, silent: Mapping[str, str], every: float) -> StorageFacts:
    there = [row.node for row in rows if row.status == "available" and row.node not in silent]
    node = before.node if before is not None and before.node in there else (there or [rows[0].node])[0]
    name, watch = rows[0].storage, asker.client.watch
    filled = fullness(rows)
    path = f"/nodes/{node}/storage/{name}"
    questions: dict[str, tuple[str, Callable[[], Any]]] = {}
    if asker.wants("storage-history") and filled is not None and filled[0] > filled[1] * WORTH_A_FORECAST:
        questions["history"] = (f"{path}/rrddata", lambda: watch.storage_history(node, name))
    if asker.wants("storage-backups") and (rows[0].content is None or "backup" in rows[0].content):
        questions["backups"] = (f"{path}/content", lambda: watch.backups(node, name))
    why = silent.get(rows[0].node, "no node says that it is there") if not there else None
    found: dict[str, Any] = {}
    for field, (source, question) in questions.items():
        earlier: Any = getattr(before, field) if before is not None else NOT_ASKED
        found[field] = _again(asker, f"storage-{field}", (source, question), earlier, every, why, node=node, storage=name)
    return StorageFacts(storage=name, node=node, shared=rows[0].shared, **found)


def guests(asker: Asker, listing: Listing, before: Mapping[int, GuestFacts], silent: Mapping[str, str], every: float) -> Progress:
    """The guests' own facts, those first that have none, then those that have waited longest.

    What time is too short for keeps its old answer, or waits. Of thousands of guests all would be due at the same moment, an hour after
    the first look: an answer that is good enough for a day is asked for anew only as far as a run is not held up by it.
    """
    now = asker.clock.now()
    asked = [field for field in ("settings", "snapshots") if asker.wants(f"guest-{field}")]
    if not asked:
        return Progress(guests=before, changed=False)
    everyone = [guest for guest in listing.guests if not guest.template]
    due = [guest for guest in everyone if guest.node not in silent and _is_due(before.get(guest.vmid), asked, now, every)]
    due.sort(key=lambda guest: _age(before.get(guest.vmid), asked))
    new = [guest for guest in due if _lacks(before.get(guest.vmid), asked)]
    old = [guest for guest in due if not _lacks(before.get(guest.vmid), asked)]
    read = _read(asker, new, before, asked, every)
    waiting = len(new) - len(read)
    asker.slow_ends_in(REFRESH_S)
    read |= _read(asker, old, before, asked, every)
    return Progress(guests=_told(everyone, before, read, asked, silent, waiting), changed=bool(read) or _went(everyone, before))


def _read(
    asker: Asker, some: Sequence[Guest], before: Mapping[int, GuestFacts], asked: Sequence[str], every: float
) -> dict[int, GuestFacts]:
    """Those that were asked before time was up."""
    found = asker.each([partial(_guest, asker, guest, before.get(guest.vmid), asked, every) for guest in some])
    return {vmid: facts for vmid, facts in found if facts is not None}


def _guest(asker: Asker, guest: Guest, before: GuestFacts | None, asked: Sequence[str], every: float) -> tuple[int, GuestFacts | None]:
    """None where no time was left for it."""
    if asker.slow_is_over:
        return guest.vmid, None
    watch, path = asker.client.watch, f"/nodes/{guest.node}/{guest.type}/{guest.vmid}"
    questions: Mapping[str, tuple[str, str, Callable[[], Any]]] = {
        "settings": ("guest-settings", f"{path}/config", lambda: watch.guest_settings(guest)),
        "snapshots": ("guest-snapshots", f"{path}/snapshot", lambda: watch.snapshots(guest)),
    }
    found: dict[str, Any] = {}
    for field in asked:
        name, source, question = questions[field]
        earlier: Any = getattr(before, field) if before is not None else NOT_ASKED
        found[field] = _again(asker, name, (source, question), earlier, every, None, node=guest.node, type=guest.type, vmid=guest.vmid)
    return guest.vmid, GuestFacts(vmid=guest.vmid, **found)


def _again(
    asker: Asker, name: str, asks: tuple[str, Callable[[], Any]], earlier: Any, every: float, why_not: str | None, **asked: str | int
) -> Any:
    """A slow answer: the earlier one while it is good, else a new one, unless something makes the question needless."""
    source, question = asks
    if not is_due(earlier, asker.clock.now(), every):
        return earlier
    if why_not is not None:
        return Unknown(reason=why_not, source=source)
    if (refused := asker.is_refused(name, source, **asked)) is not None:
        return refused
    if asker.slow_is_over:
        return earlier if isinstance(earlier, Known) else Unknown(reason="no time was left for it in this run", source=source)
    return asker.fact(source, question, within=asker.slow_left())


def _told(
    everyone: Iterable[Guest],
    before: Mapping[int, GuestFacts],
    read: Mapping[int, GuestFacts],
    asked: Sequence[str],
    silent: Mapping[str, str],
    waiting: int,
) -> dict[int, GuestFacts]:
    unread = Unknown(reason=f"not read yet: {waiting} guests wait for the next runs, which go on with them")
    found: dict[int, GuestFacts] = {}
    for guest in everyone:
        vmid = guest.vmid
        facts = read.get(vmid) or before.get(vmid) or GuestFacts(vmid=vmid)
        missing = [field for field in asked if getattr(facts, field) is NOT_ASKED]
        if missing:
            why = Unknown(reason=silent[guest.node]) if guest.node in silent else unread
            facts = replace(facts, **dict.fromkeys(missing, why))
        found[vmid] = facts
    return found


def _is_due(facts: GuestFacts | None, asked: Sequence[str], now: datetime, every: float) -> bool:
    return facts is None or any(is_due(getattr(facts, field), now, every) for field in asked)


def _lacks(facts: GuestFacts | None, asked: Sequence[str]) -> bool:
    return facts is None or any(isinstance(getattr(facts, field), Unknown) for field in asked)


def _age(facts: GuestFacts | None, asked: Sequence[str]) -> float:
    """When the older of its answers was given; those never asked come first."""
    told = [getattr(facts, field) for field in asked] if facts is not None else []
    return min((fact.taken_at.timestamp() if isinstance(fact, Known) else 0.0 for fact in told), default=0.0)


def _went(everyone: Iterable[Guest], before: Mapping[int, GuestFacts]) -> bool:
    return bool(before.keys() - {guest.vmid for guest in everyone})
