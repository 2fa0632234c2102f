"""Which of the selected guests need other tags, and what they will carry then."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct

from pvectl.core import tags
from pvectl.core.model import Guest
from pvectl.core.plan import Decision, Plan, Reason, SetTags, Verdict


class Edit(Struct, frozen=True, kw_only=True):
    """A change of tags: `remove` is taken away, then `add` put to what is left; with `replace`, `add` becomes the whole list."""

    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    replace: bool = False


def plan(guests: Iterable[Guest], edit: Edit, *, excluded: Iterable[Guest] = (), now: datetime, case_sensitive: bool = False) -> Plan:
    """One decision for each guest, in vmid order; `excluded` are guests the selection took away, which are named and never touched."""
    spared = {guest.vmid: guest for guest in excluded}
    asked = {guest.vmid: guest for guest in guests} | spared
    decisions = [
        _excluded(asked[vmid]) if vmid in spared else _decision(asked[vmid], edit, case_sensitive=case_sensitive) for vmid in sorted(asked)
    ]
    return Plan(made_at=now, decisions=tuple(decisions))


def _excluded(guest: Guest) -> Decision:
    return Decision(subject=guest.subject, verdict=Verdict.KEEP, reason=Reason.EXCLUDED, detail="the selection takes it away")


def _decision(guest: Guest, edit: Edit, *, case_sensitive: bool) -> Decision:
    after = tags.edited(guest.tags, add=edit.add, remove=edit.remove, replace=edit.replace, case_sensitive=case_sensitive)
    if tags.same(guest.tags, after, case_sensitive=case_sensitive):
        detail = _why_unchanged(guest, edit, case_sensitive=case_sensitive)
        return Decision(subject=guest.subject, verdict=Verdict.KEEP, reason=Reason.TAGS_UNCHANGED, detail=detail)
    before = tags.normalise(guest.tags, case_sensitive=case_sensitive)
    action = SetTags(
        guest=guest,
        add=edit.add,
        remove=edit.remove,
        replace=edit.replace,
        after=tags.normalise(after, case_sensitive=case_sensitive),
    )
    return Decision(
        subject=guest.subject,
        verdict=Verdict.ACT,
        reason=Reason.TAGS_DIFFER,
        detail=_difference(before, action.after),
        action=action,
    )


def _why_unchanged(guest: Guest, edit: Edit, *, case_sensitive: bool) -> str:
    add, remove = (tags.normalise(words, case_sensitive=case_sensitive) for words in (edit.add, edit.remove))
    absent = [tag for tag in remove if tag not in add]
    if edit.replace or not (add or absent):
        has = _shown(tags.normalise(guest.tags, case_sensitive=case_sensitive))
        return f"it has {has} already" if has else "it has no tags already"
    carries = [f"carries {_shown(add)} already"] if add else []
    lacks = [f"does not carry {' or '.join(filter(None, (_shown(absent[:-1]), absent[-1])))}"] if absent else []
    return f"it {' and '.join(carries + lacks)}"


def _difference(before: tuple[str, ...], after: tuple[str, ...]) -> str:
    added = [tag for tag in after if tag not in before]
    removed = [tag for tag in before if tag not in after and tags.pve_accepts(tag)]
    dropped = [tag for tag in before if tag not in after and not tags.pve_accepts(tag)]
    changes = [f"{word} {_shown(changed)}" for word, changed in (("adds", added), ("removes", removed)) if changed]
    if dropped:
        changes.append(f"drops {_shown(dropped)}, which Proxmox VE does not accept")
    return "; ".join(changes)


def _shown(words: Iterable[str]) -> str:
    return ", ".join(words)
