"""From the selectors of a command line to guests, with words for when nothing is found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pvectl.core import select
from pvectl.core.model import ClusterView, Guest
from pvectl.errors import UsageError

if TYPE_CHECKING:
    from pvectl.clock import Clock
    from pvectl.pve.client import ProxmoxClient


def picked(view: ClusterView, selectors: Sequence[str], *, exclude: Sequence[str] = ()) -> select.Picked:
    """The guests a selection asks for.

    Raises:
        UsageError: a selector makes no sense, or the selection is empty; it says what was looked for and how many guests are visible.
    """
    try:
        selection = select.parse(selectors, exclude=exclude)
    except select.SelectorError as error:
        raise UsageError(error.message, hint=error.hint) from None
    found = selection.pick(view.guests, pools=view.pools)
    if not found.guests:
        raise UsageError(_nothing(selection.describe(), found, len(view.guests)), hint=_why(found))
    return found


def among(view: ClusterView, selectors: Sequence[str] | None, *, exclude: Sequence[str] | None = None) -> select.Picked:
    """The guests a reading command is about: those selected, or all of them when nothing was asked for.

    Raises:
        UsageError: as `picked`.
    """
    if selectors or exclude:
        return picked(view, selectors or ["@all"], exclude=exclude or ())
    return select.Picked(guests=view.guests)


def only_matched(found: select.Picked) -> select.Picked:
    """The same, for a command that changes things: it does not act on half of a typo, nor on a name that two guests share.

    Raises:
        UsageError: a part asks for nothing, an exclusion takes nothing away, or a name is not one guest's.
    """
    hint = " ".join(found.advice) or None
    if found.unmatched:
        raise UsageError(f"no guest matches {', '.join(found.unmatched)}; nothing was changed", hint=hint)
    if found.unmatched_exclusions:
        listed = ", ".join(found.unmatched_exclusions)
        if any(part.startswith("@pool-") for part in found.unmatched_exclusions):
            hint = "PVE shows a pool only to who has Pool.Audit on it"
        raise UsageError(f"nothing is excluded by {listed}; nothing was changed", hint=hint)
    for name, vmids in found.namesakes.items():
        listed = ", ".join(map(str, vmids))
        raise UsageError(f"{len(vmids)} guests are called {name}: {listed}; nothing was changed", hint="name them by their vmids")
    return found


def to_change(client: ProxmoxClient, clock: Clock, selectors: Sequence[str], exclude: Sequence[str]) -> tuple[ClusterView, select.Picked]:
    """What a changing command is about, told by the nodes themselves: lists may be 300 s old, in names as well.

    Raises:
        UsageError: as `picked` and `only_matched`.
    """
    from pvectl import observe

    view = observe.look(client, clock)
    view = observe.look_closer(client, view, picked(view, selectors, exclude=exclude).guests)
    return view, only_matched(picked(view, selectors, exclude=exclude))


def remarks(view: ClusterView, found: select.Picked) -> tuple[str, ...]:
    """What a reading command says on stderr beside what it found."""
    if not view.guests:
        return ("no guest is visible to this token; PVE hides those it has no VM.Audit for: pvectl doctor tells",)
    return tuple(f"no guest matches {part}" for part in (*found.unmatched, *found.unmatched_exclusions))


def one(view: ClusterView, word: str) -> Guest:
    """The one guest a word names: a vmid or a name.

    Raises:
        UsageError: no such guest, or several.
    """
    found = picked(view, [word])
    if len(found.guests) > 1:
        several = ", ".join(guest.label for guest in found.guests[:8])
        raise UsageError(f"'{word}' is {len(found.guests)} guests: {several}", hint="name one by its vmid")
    return found.guests[0]


def _nothing(looked_for: str, found: select.Picked, visible: int) -> str:
    if found.excluded:
        return f"nothing is left of '{looked_for}': all {len(found.excluded)} guests it asks for are taken away again"
    guests = "1 guest is" if visible == 1 else f"{visible} guests are"
    return f"no guest matches '{looked_for}'; {guests} visible to this token"


def _why(found: select.Picked) -> str:
    nearest = [sentence for sentence in found.advice if ";" in sentence]
    return "; ".join([*nearest, "PVE hides guests this token has no VM.Audit for: pvectl doctor tells"])
