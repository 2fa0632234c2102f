"""`tags add`, `remove` and `set` from their words to the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from msgspec import Struct

from pvectl.cli.changes import Consent, Wording, carry_through
from pvectl.core import tagging, tags
from pvectl.core.model import Guest
from pvectl.core.plan import Action, Decision, SetTags
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


def words(text: str, *, new: bool, force: bool) -> tuple[str, ...]:
    """The tags a command-line word names; for new ones the convention is enforced unless `force`.

    Raises:
        UsageError: a tag that PVE does not accept, or that breaks the convention.
    """
    listed = tags.split(text)
    if not listed and (text.strip() or not new):
        raise UsageError(f"'{text}' names no tag")
    for tag in listed if new else ():
        objection = tags.check_new(tag)
        if objection is None or (force and tags.pve_accepts(tag)):
            continue
        better = tags.kebab_case(tag)
        ways = [f"write {better}"] if better else []
        if tags.pve_accepts(tag):
            ways.append("or add --force to write it as it is")
        raise UsageError(f"'{tag}' is not written: {objection}", hint=", ".join(ways) or None)
    return listed


def carry_out(run: Run, edit: tagging.Edit, request: Request) -> Report:
    """Observe, plan, ask and write one edit for a selection of guests."""
    from pvectl import observe
    from pvectl.cli.selection import only_matched, picked

    client = run.client(read_only=request.consent.dry_run, deadline=_DEADLINE)
    view = observe.look(client, run.clock)
    found = only_matched(picked(view, request.selectors, exclude=request.exclude))
    case_sensitive = client.cluster_options().tags_case_sensitive
    plan = tagging.plan(found.guests, edit, excluded=found.excluded, now=run.clock.now(), case_sensitive=case_sensitive)
    wording = Wording(
        question="Change the tags of {guests}?",
        progress="writing tags",
        event="guest.tags",
        planned=_planned,
        done="written",
        rehearsed="would write",
        fields=_tags_fields,
    )
    return carry_through(run, client, view, plan, wording, request.consent)


def _planned(action: Action) -> str:
    assert isinstance(action, SetTags)
    before, after = tags.normalise(action.guest.tags), action.after
    changes = [f"+{tag}" for tag in after if tag not in before] + [f"-{tag}" for tag in before if tag not in after]
    return " ".join(changes)


def _tags_fields(decision: Decision, guest: Guest) -> dict[str, object]:
    before = tags.normalise(guest.tags)
    return {"tags_before": before, "tags": decision.action.after if isinstance(decision.action, SetTags) else before}
