"""`tags add`, `remove` and `set` from their words to the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from msgspec import Struct

from pvectl.cli.changes import Consent, Wording, carry_through
from pvectl.core import tagging, tags
from pvectl.core.model import ClusterView, Guest
from pvectl.core.plan import Action, Decision, Plan, SetTags
from pvectl.errors import UsageError

if TYPE_CHECKING:
    from pvectl.cli.context import Run
    from pvectl.cli.output import Report

_DEADLINE = 300


class Request(Struct, frozen=True, kw_only=True):
    """Which guests an edit is about, and what was agreed to."""

    selectors: tuple[str, ...]
    exclude: tuple[str, ...]
    consent: Consent

    @classmethod
    def of(cls, selectors: Sequence[str], exclude: Sequence[str] | None, *, yes: bool, dry_run: bool) -> Self:
        return cls(selectors=tuple(selectors), exclude=tuple(exclude or ()), consent=Consent(yes=yes, dry_run=dry_run))


def words(text: str, *, new: bool, force: bool, may_be_empty: bool = False) -> tuple[str, ...]:
    """The tags a command-line word names; for new ones the convention is enforced unless `force`.

    Raises:
        UsageError: no tag, a tag that PVE does not accept, or one that breaks the convention.
    """
    listed = tags.split(text)
    if not listed and (text.strip() or not may_be_empty):
        raise UsageError(f"'{text}' names no tag")
    if any(character.isspace() for character in text.strip()):
        raise UsageError(f"'{text}' has a space, and a tag has none", hint=f"write {','.join(listed)}, or {'-'.join(listed)} for one tag")
    for tag in listed if new else ():
        _refuse_odd(tag, force=force)
    return listed


def _refuse_odd(tag: str, *, force: bool) -> None:
    objection = tags.check_new(tag)
    allowed = tags.pve_accepts(tag)
    if objection is None or (force and allowed):
        return
    better = tags.kebab_case(tag) if tag.isascii() else None
    ways = [f"write {better}"] if better else []
    if allowed and tags.fold(tag) != better:
        ways.append("or add --force to write what Proxmox VE makes of it")
    raise UsageError(f"'{tag}' is not written: {objection}", hint=", ".join(ways) or None)


def carry_out(run: Run, edit: tagging.Edit, request: Request) -> Report:
    """Observe, plan, ask and write one edit for a selection of guests."""
    from pvectl.cli.selection import to_change

    client = run.client(read_only=request.consent.dry_run, deadline=_DEADLINE)
    case_sensitive = client.cluster_options().tags_case_sensitive

    def plan() -> tuple[ClusterView, Plan]:
        view, found = to_change(client, run.clock, request.selectors, request.exclude)
        now = run.clock.now()
        return view, tagging.plan(found.guests, edit, excluded=found.excluded, now=now, case_sensitive=case_sensitive)

    def before(guest: Guest) -> tuple[str, ...]:
        return tags.normalise(guest.tags, case_sensitive=case_sensitive)

    wording = Wording(
        question="Change the tags of {guests}?",
        progress="writing tags",
        event="guest.tags",
        planned=lambda action: _planned(before(action.guest), action),
        done="written",
        rehearsed="would write",
        fields=lambda decision, guest: _tags_fields(before(guest), decision),
    )
    return carry_through(run, client, plan, wording, request.consent)


def _planned(before: tuple[str, ...], action: Action) -> str:
    assert isinstance(action, SetTags)
    added, gone = (tag for tag in action.after if tag not in before), (tag for tag in before if tag not in action.after)
    return " ".join([*(f"+{tag}" for tag in added), *(f"-{tag}" for tag in gone)])


def _tags_fields(before: tuple[str, ...], decision: Decision) -> dict[str, object]:
    return {"tags_before": before, "tags": decision.action.after if isinstance(decision.action, SetTags) else before}
