"""From the selectors of a command line to guests, with words for when nothing is found."""

from __future__ import annotations

from collections.abc import Sequence

from pvectl.core import select
from pvectl.core.model import ClusterView, Guest
from pvectl.errors import UsageError


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


def among(view: ClusterView, selectors: Sequence[str] | None, *, exclude: Sequence[str] | None = None) -> tuple[Guest, ...]:
    """The guests a reading command is about: those selected, or all of them when nothing was asked for.

    Raises:
        UsageError: as `picked`.
    """
    if selectors:
        return picked(view, selectors, exclude=exclude or ()).guests
    if exclude:
        return picked(view, ["@all"], exclude=exclude).guests
    return view.guests


def only_matched(found: select.Picked) -> select.Picked:
    """The same, but a part that found nothing is an error: a command that changes things does not act on half of a typo."""
    if found.unmatched:
        raise UsageError(f"no guest matches {', '.join(found.unmatched)}; nothing was changed", hint=" ".join(found.advice) or None)
    return found


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
