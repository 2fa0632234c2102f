"""PVE's rules for tags, the stricter convention for new ones, and tag edits as set algebra."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum

from msgspec import Struct

from pvectl.core.model import Guest

# PVE_TAG_RE of pve-common JSONSchema.pm, which is matched without regard to case
_PVE_TAG = re.compile(r"[a-z0-9_][a-z0-9_\-+.]*", re.IGNORECASE | re.ASCII)
_KEBAB_CASE = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_SEPARATORS = re.compile(r"[,;\s\0]+", re.ASCII)
_JOINTS = re.compile(r"[^a-z0-9]+")

_TYPO_MIN_LENGTH = 4
_TYPO_MIN_GUESTS = 3
_TYPO_MIN_RATIO = 4


def split(raw: str | None) -> tuple[str, ...]:
    """The tags of a configuration line or of a command-line word, in their order and each once.

    PVE takes `;`, `,`, white space and NUL as separators (recorded on PVE 8.4 and 9.2) and hands hand-written lines out as they are.
    """
    return tuple(dict.fromkeys(tag for tag in _SEPARATORS.split(raw or "") if tag))


def fold(tag: str, *, case_sensitive: bool = False) -> str:
    """The spelling two tags are compared by: lower case, unless the cluster's `tag-style` says case-sensitive."""
    return tag if case_sensitive else tag.lower()


def normalise(tags: Iterable[str], *, case_sensitive: bool = False) -> tuple[str, ...]:
    """What PVE makes of a list it is given: each tag once, in lower case unless the cluster is case-sensitive; here always sorted."""
    return tuple(sorted({fold(tag, case_sensitive=case_sensitive) for tag in tags}))


def same(one: Iterable[str], other: Iterable[str], *, case_sensitive: bool = False) -> bool:
    """Whether PVE sees no difference between two lists, order aside."""
    return normalise(one, case_sensitive=case_sensitive) == normalise(other, case_sensitive=case_sensitive)


def pve_accepts(tag: str) -> bool:
    """Whether PVE stores this tag; one tag it does not accept makes it drop a guest's whole list."""
    return _PVE_TAG.fullmatch(tag) is not None


def check_new(tag: str) -> str | None:
    """Why a tag breaks the kebab-case convention for new tags; None when it keeps it."""
    if _KEBAB_CASE.fullmatch(tag):
        return None
    if not tag:
        return "a tag cannot be empty"
    if not pve_accepts(tag):
        return "Proxmox VE does not accept it: a tag begins with a letter, a digit or _, and goes on with those, -, + and ."
    return "tags are kebab-case here: lower-case letters and digits, words joined by single hyphens"


def kebab_case(tag: str) -> str | None:
    """The nearest kebab-case spelling of a tag ("Safe_Shutdown" -> "safe-shutdown"); None when nothing is left of it."""
    return _JOINTS.sub("-", tag.lower()).strip("-") or None


def edited(
    current: Iterable[str],
    *,
    add: Iterable[str] = (),
    remove: Iterable[str] = (),
    replace: bool = False,
    case_sensitive: bool = False,
) -> tuple[str, ...]:
    """The list after an edit: `remove` taken away, `add` put to it, what was there in its old order; with `replace`, `add` alone.

    What stays keeps its spelling, because PVE asks for more rights where a restricted tag is respelled (pve-guest-common GuestHelpers.pm).
    What PVE does not accept falls away from `current`: it would refuse the whole list for it.
    """
    gone = {fold(tag, case_sensitive=case_sensitive) for tag in remove}
    after: dict[str, str] = {}
    for tag in current:
        folded = fold(tag, case_sensitive=case_sensitive)
        if not replace and folded not in gone and pve_accepts(tag):
            after.setdefault(folded, tag)
    for tag in add:
        folded = fold(tag, case_sensitive=case_sensitive)
        after.setdefault(folded, folded)
    return tuple(after.values())


def by_tag(guests: Iterable[Guest], *, case_sensitive: bool = False) -> dict[str, tuple[int, ...]]:
    """Every tag in use, sorted, with the vmids of the guests that carry it."""
    carriers: defaultdict[str, set[int]] = defaultdict(set)
    for guest in guests:
        for tag in guest.tags:
            carriers[fold(tag, case_sensitive=case_sensitive)].add(guest.vmid)
    return {tag: tuple(sorted(carriers[tag])) for tag in sorted(carriers)}


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word somebody most likely meant, or None when nothing comes near."""
    from difflib import get_close_matches

    spellings = {candidate.lower(): candidate for candidate in sorted(known, reverse=True)}
    close = get_close_matches(word.lower(), list(spellings), n=1, cutoff=0.6)
    return spellings[close[0]] if close else None


class RemarkKind(StrEnum):
    """What `tags lint` has to say about a tag."""

    NOT_ACCEPTED = "not-accepted"
    NOT_KEBAB_CASE = "not-kebab-case"
    LOOK_ALIKE = "look-alike"
    UNREGISTERED = "unregistered"


class TagRemark(Struct, frozen=True, kw_only=True):
    """One thing about one tag somebody may want to mend; `suggestion` is the tag to use instead, where there is one."""

    kind: RemarkKind
    tag: str
    vmids: tuple[int, ...]
    detail: str
    suggestion: str | None = None


def lint(guests: Iterable[Guest], registered: Collection[str] | None = None, *, case_sensitive: bool = False) -> tuple[TagRemark, ...]:
    """Everything odd about the tags in use, by tag; `registered` are the cluster's registered-tags, None where they are not shown.

    An empty `registered` means that the cluster registers no tags, so that none is missing there.
    """
    spelled = by_tag(guests, case_sensitive=True)
    carriers = spelled if case_sensitive else _folded(spelled)
    remarks = [
        *_not_accepted(spelled),
        *_not_kebab_case(spelled),
        *_look_alikes(carriers),
        *_typos(carriers),
        *_unregistered(carriers, normalise(registered or (), case_sensitive=case_sensitive)),
    ]
    kinds = list(RemarkKind)
    return tuple(sorted(remarks, key=lambda remark: (remark.tag, kinds.index(remark.kind), remark.suggestion or "")))


def _folded(spelled: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    carriers: defaultdict[str, set[int]] = defaultdict(set)
    for tag, vmids in spelled.items():
        carriers[fold(tag)].update(vmids)
    return {tag: tuple(sorted(vmids)) for tag, vmids in carriers.items()}


def _not_accepted(spelled: Mapping[str, tuple[int, ...]]) -> Iterable[TagRemark]:
    for tag, vmids in spelled.items():
        if not pve_accepts(tag):
            yield TagRemark(
                kind=RemarkKind.NOT_ACCEPTED,
                tag=tag,
                vmids=vmids,
                detail="Proxmox VE does not accept it, and so leaves out all tags of the guest in some of its answers",
                suggestion=kebab_case(tag),
            )


def _not_kebab_case(spelled: Mapping[str, tuple[int, ...]]) -> Iterable[TagRemark]:
    for tag, vmids in spelled.items():
        reason = check_new(tag) if pve_accepts(tag) else None
        if reason is not None:
            yield TagRemark(kind=RemarkKind.NOT_KEBAB_CASE, tag=tag, vmids=vmids, detail=reason, suggestion=kebab_case(tag))


def _look_alikes(carriers: Mapping[str, tuple[int, ...]]) -> Iterable[TagRemark]:
    families: defaultdict[str, list[str]] = defaultdict(list)
    for tag in carriers:
        families[_JOINTS.sub("", tag.lower())].append(tag)
    for bare, family in families.items():
        if not bare or len(family) == 1:
            continue
        head = min(family, key=lambda tag: (check_new(tag) is not None, "-" not in tag, -len(carriers[tag]), tag))
        for tag in family:
            if tag != head:
                yield _look_alike(tag, head, carriers, f"differs from '{head}' only in its joints or its case")


def _typos(carriers: Mapping[str, tuple[int, ...]]) -> Iterable[TagRemark]:
    by_use = sorted(carriers, key=lambda tag: (-len(carriers[tag]), tag))
    common = [tag for tag in by_use if len(carriers[tag]) >= _TYPO_MIN_GUESTS and len(tag) >= _TYPO_MIN_LENGTH]
    for tag, vmids in carriers.items():
        for other in common:
            if len(carriers[other]) < _TYPO_MIN_RATIO * len(vmids):
                break
            if _slip_of_the_finger(tag, other):
                yield _look_alike(tag, other, carriers, f"one letter away from '{other}', which {len(carriers[other])} guests carry")
                break


def _look_alike(tag: str, head: str, carriers: Mapping[str, tuple[int, ...]], detail: str) -> TagRemark:
    return TagRemark(kind=RemarkKind.LOOK_ALIKE, tag=tag, vmids=carriers[tag], detail=detail, suggestion=head)


def _slip_of_the_finger(one: str, other: str) -> bool:
    """One letter missing, added, changed, or two neighbours swapped; a changed digit is a number, and joints are another remark."""
    start = 0
    while start < min(len(one), len(other)) and one[start] == other[start]:
        start += 1
    end = 0
    while end < min(len(one), len(other)) - start and one[-1 - end] == other[-1 - end]:
        end += 1
    left, right = one[start : len(one) - end], other[start : len(other) - end]
    if not (left + right).isalpha():
        return False
    return {len(left), len(right)} <= {0, 1} or (len(left) == len(right) == len("ab") and left == right[::-1])


def _unregistered(carriers: Mapping[str, tuple[int, ...]], registered: Sequence[str]) -> Iterable[TagRemark]:
    for tag, vmids in carriers.items():
        if registered and tag not in registered:
            yield TagRemark(
                kind=RemarkKind.UNREGISTERED,
                tag=tag,
                vmids=vmids,
                detail="not among the cluster's registered-tags",
                suggestion=nearest(tag, registered),
            )
