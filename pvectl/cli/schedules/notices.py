"""What scheduled-shutdown lets people know of: that a night is done and who is not off, and what went wrong or never began."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from pvectl.cli.announcing import Notice
from pvectl.cli.schedules.told import WRONG, Carried, on_purpose
from pvectl.core.monitor.finding import Severity
from pvectl.core.plan import OutcomeStatus
from pvectl.core.schedules.ledger import State
from pvectl.core.text import clean

if TYPE_CHECKING:
    from pvectl.core.schedules.ledger import Entry

_FEW = 8
"""Guests that are named one by one."""


def of_end(entry: Entry, carried: Carried, decision_id: str | None) -> Iterator[Notice]:
    """What to say of an occurrence that this run has brought to its end."""
    name = entry.occurrence.schedule
    match entry.state:
        case State.DONE:
            yield Notice(key=_key(entry), subject=f"{name}: {clean(entry.detail)}", text=f"{_when(entry)} is done.")
        case State.PARTIAL | State.FAILED:
            left = _not_off(entry, carried)
            meant = on_purpose(carried)
            parts = [f"{_when(entry)}: {clean(entry.detail)}."]
            if left:
                parts.append(f"Not off: {_named(left)}." + ("" if meant else f" By hand: pvectl vm shutdown {_vmids(left)}."))
            parts += [f"Why: pvectl explain {decision_id}"] if decision_id is not None else []
            words = "was carried out in part" if entry.state is State.PARTIAL else "failed"
            severity = Severity.OK if meant else Severity.WARNING
            yield Notice(key=_key(entry), subject=f"{name} {words}", text=" ".join(parts), severity=severity)


def of_changes(changed: Iterable[Entry], decision_id: str | None) -> Iterator[Notice]:
    """What to say of occurrences that are over by the clock alone; of several that were missed, one sentence."""
    missed = [entry for entry in changed if entry.state is State.MISSED]
    if missed:
        last = missed[-1]
        count = f"{len(missed)} times in a row, the last one " if len(missed) > 1 else ""
        yield Notice(
            key=_key(last),
            subject=f"{last.occurrence.schedule} was missed, and nothing was shut down",
            text=f"Missed {count}{_when(last)}: {clean(last.detail)}. Whom it would be about: "
            f"pvectl scheduled-shutdown --schedule {last.occurrence.schedule} --dry-run",
            severity=Severity.WARNING,
        )
    for entry in changed:
        if entry.state in (State.FAILED, State.PARTIAL, State.DONE):
            yield from of_end(entry, Carried(), decision_id)


def _not_off(entry: Entry, carried: Carried) -> dict[int, str]:
    """Who is not known to be off of those it was to shut down, by vmid, as one calls it; who was never meant is not named."""
    wrong = {one.vmid for stage in carried.stages for one in stage.guests if one.standing in WRONG}
    meant = {one.vmid: one for one in entry.guests if one.result is not OutcomeStatus.DONE}
    spared = set(carried.abort.spared if carried.abort is not None else () if carried.stages else meant)
    names = {one.vmid: one.guest.label for stage in carried.stages for one in stage.guests if one.guest is not None}
    names |= {vmid: f"{vmid} ({one.name})" if one.name else str(vmid) for vmid, one in meant.items()}
    return {vmid: names.get(vmid, str(vmid)) for vmid in sorted(wrong | (spared & set(meant)))}


def _named(left: dict[int, str]) -> str:
    few = [clean(label) for label in list(left.values())[:_FEW]]
    return ", ".join(few) + (f" and {len(left) - _FEW} more" if len(left) > _FEW else "")


def _vmids(left: dict[int, str]) -> str:
    return " ".join(map(str, left))


def _key(entry: Entry) -> str:
    return f"schedule/{entry.occurrence.schedule}/{entry.occurrence.at:%Y-%m-%dT%H:%M:%S}/{entry.state.value}"


def _when(entry: Entry) -> str:
    return f"{entry.occurrence.local:%a %Y-%m-%d %H:%M}"
