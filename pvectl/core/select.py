"""Which guests a command is about: vmids, ranges, names, @tag- @pool- @node- @all, and what is taken away from them."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import assert_never

from msgspec import Struct

from pvectl.core import tags
from pvectl.core.model import Guest

LOWEST_VMID = 100
HIGHEST_VMID = 999_999_999

_NUMBER = re.compile(r"[0-9]+")
_RANGE = re.compile(r"([0-9]+):([0-9]+)")
_GLOB = re.compile(r"[*?\[]")
_KEYWORDS = ("@all", "@tag-", "@pool-", "@node-")


class SelectorError(ValueError):
    """A selector nobody can make sense of; `word` is the offending part as it was written."""

    def __init__(self, word: str, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.word = word
        self.message = message
        self.hint = hint


class Kind(StrEnum):
    """What a part of a selector goes by."""

    ALL = "all"
    VMID = "vmid"
    RANGE = "range"
    NAME = "name"
    TAG = "tag"
    POOL = "pool"
    NODE = "node"


class Part(Struct, frozen=True, kw_only=True, order=True):
    """One part of a selector. `text` is its canonical spelling, `value` the name or glob, `low` and `high` the vmids it spans."""

    kind: Kind
    text: str
    value: str = ""
    low: int = 0
    high: int = 0


class Picked(Struct, frozen=True, kw_only=True):
    """What a selection found, each guest once and in vmid order.

    `excluded` are the guests that were asked for and then taken away. `unmatched` are the parts that found no guest, in canonical spelling,
    and `unmatched_exclusions` those that had nothing to take away; `advice` has one sentence for each of both. `namesakes` has the vmids of
    guests that share a name that was asked for.
    """

    guests: tuple[Guest, ...]
    excluded: tuple[Guest, ...] = ()
    unmatched: tuple[str, ...] = ()
    unmatched_exclusions: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()
    namesakes: Mapping[str, tuple[int, ...]] = {}


class Selection(Struct, frozen=True, kw_only=True):
    """Parts that ask for guests and parts that take guests away; taking away always wins, and no part at all asks for nothing."""

    include: tuple[Part, ...] = ()
    exclude: tuple[Part, ...] = ()

    def pick(self, guests: Iterable[Guest], *, pools: Mapping[str, Iterable[int]] | None = None) -> Picked:
        """The guests this selection asks for; `pools` adds members to what the guests themselves say about their pool."""
        cast = tuple(sorted(guests, key=lambda guest: guest.vmid))
        members = {pool: frozenset(vmids) for pool, vmids in (pools or {}).items()}
        wanted = {part: _matching(part, cast, members) for part in self.include}
        unwanted = {part: _matching(part, cast, members) for part in self.exclude}
        asked = {guest.vmid for found in wanted.values() for guest in found}
        taken = asked & {guest.vmid for found in unwanted.values() for guest in found}
        left = asked - taken
        lost = [part for part, found in wanted.items() if not found]
        idle = [part for part, found in unwanted.items() if not found]
        return Picked(
            guests=tuple(guest for guest in cast if guest.vmid in left),
            excluded=tuple(guest for guest in cast if guest.vmid in taken),
            unmatched=tuple(part.text for part in lost),
            unmatched_exclusions=tuple(part.text for part in idle),
            advice=tuple(_advice(part, cast, members) for part in [*lost, *idle]),
            namesakes={
                part.value: tuple(guest.vmid for guest in found)
                for part, found in wanted.items()
                if part.kind is Kind.NAME and len(found) > 1 and not _GLOB.search(part.value)
            },
        )

    def describe(self) -> str:
        """The selection as one comma list; parsing it gives the same selection as long as something is asked for."""
        return ",".join([part.text for part in self.include] + [f"-{part.text}" for part in self.exclude])


def parse(words: Sequence[str], *, exclude: Sequence[str] = ()) -> Selection:
    """The selection that command-line words ask for, `exclude` being the words that take away; raises SelectorError."""
    wanted: set[Part] = set()
    unwanted: set[Part] = set()
    for word in words:
        for sign, piece in _pieces(word):
            (unwanted if sign else wanted).add(_part(piece, word))
    if unwanted and not wanted:
        raise SelectorError(words[0], f"'{','.join(words)}' takes away from nothing", hint="begin with what to start from, as in @all,-100")
    for word in exclude:
        unwanted.update(_part(piece, word) for _sign, piece in _pieces(word))
    return Selection(include=tuple(sorted(wanted)), exclude=tuple(sorted(unwanted)))


def _pieces(word: str) -> list[tuple[str, str]]:
    """The parts of a comma list, each with its "-" or "" before it."""
    pieces = []
    for piece in word.split(","):
        sign = "-" if piece.strip().startswith("-") else ""
        bare = piece.strip().removeprefix("-").strip()
        if not bare:
            raise SelectorError(word, f"'{word}' has an empty part", hint="write a vmid, a name, @tag-x, @pool-x, @node-x or @all")
        pieces.append((sign, bare))
    return pieces


def _part(piece: str, word: str) -> Part:
    if piece.startswith("@"):
        return _keyword(piece, word)
    if _NUMBER.fullmatch(piece):
        vmid = _vmid(piece, word)
        return Part(kind=Kind.VMID, text=str(vmid), low=vmid, high=vmid)
    if ":" in piece:
        return _range(piece, word)
    if "%" in piece:
        raise SelectorError(word, f"'{piece}' is no name", hint=f"the wildcard is *: {piece.replace('%', '*')}")
    return Part(kind=Kind.NAME, text=piece.lower(), value=piece.lower())


def _keyword(piece: str, word: str) -> Part:
    if piece.lower() == "@all":
        return Part(kind=Kind.ALL, text="@all")
    for kind in (Kind.TAG, Kind.POOL, Kind.NODE):
        prefix = f"@{kind}-"
        if piece.lower().startswith(prefix) and len(piece) > len(prefix):
            value = piece[len(prefix) :]
            # PVE lower-cases tags unless told otherwise; pools and nodes keep their case
            value = value.lower() if kind is Kind.TAG else value
            return Part(kind=kind, text=prefix + value, value=value)
    meant = tags.nearest(piece, _KEYWORDS)
    nearest = f"; nearest: {meant}" if meant else ""
    raise SelectorError(word, f"'{piece}' is no selector{nearest}", hint="there are @all, @tag-x, @pool-x and @node-x")


def _range(piece: str, word: str) -> Part:
    bounds = _RANGE.fullmatch(piece)
    if bounds is None:
        raise SelectorError(word, f"'{piece}' is no range of vmids", hint="write it as 100:110")
    low, high = _vmid(bounds[1], word), _vmid(bounds[2], word)
    if low > high:
        raise SelectorError(word, f"the range '{piece}' runs backwards", hint=f"write it as {high}:{low}")
    return Part(kind=Kind.RANGE, text=f"{low}:{high}", low=low, high=high)


def _vmid(digits: str, word: str) -> int:
    if digits.startswith("0") or len(digits) > len(str(HIGHEST_VMID)) or int(digits) < LOWEST_VMID:
        raise SelectorError(word, f"'{digits}' is no vmid", hint=f"vmids go from {LOWEST_VMID} to {HIGHEST_VMID}")
    return int(digits)


def _matching(part: Part, guests: tuple[Guest, ...], pools: Mapping[str, frozenset[int]]) -> tuple[Guest, ...]:
    fits = _test(part, pools)
    return tuple(guest for guest in guests if fits(guest))


def _test(part: Part, pools: Mapping[str, frozenset[int]]) -> Callable[[Guest], bool]:
    match part.kind:
        case Kind.ALL:
            return lambda _guest: True
        case Kind.VMID | Kind.RANGE:
            return lambda guest: part.low <= guest.vmid <= part.high
        case Kind.NAME:
            named = _pattern(part.value)
            return lambda guest: guest.name is not None and named(guest.name.lower())
        case Kind.TAG:
            tagged = _pattern(part.value)
            return lambda guest: any(tagged(tag.lower()) for tag in guest.tags)
        case Kind.NODE:
            hosted = _pattern(part.value)
            return lambda guest: hosted(guest.node)
        case Kind.POOL:
            pooled = _pattern(part.value)
            members = frozenset[int]().union(*(vmids for pool, vmids in pools.items() if pooled(pool)))
            return lambda guest: guest.vmid in members or (guest.pool is not None and pooled(guest.pool))
    assert_never(part.kind)


def _pattern(value: str) -> Callable[[str], bool]:
    if not _GLOB.search(value):
        return lambda text: text == value
    compiled = re.compile(fnmatch.translate(value))
    return lambda text: compiled.match(text) is not None


def _advice(part: Part, guests: tuple[Guest, ...], pools: Mapping[str, frozenset[int]]) -> str:
    match part.kind:
        case Kind.ALL:
            return "no guest is visible"
        case Kind.VMID:
            return f"no guest {part.text}"
        case Kind.RANGE:
            return f"no guest from {part.low} to {part.high}"
        case Kind.NAME:
            nameless = sum(guest.name is None for guest in guests)
            unsure = f"; of {nameless} guests the name is not known just now" if nameless else ""
            return _nothing("guest is named", part, (guest.name for guest in guests if guest.name)) + unsure
        case Kind.TAG:
            return _nothing("guest has the tag", part, (tag for guest in guests for tag in guest.tags))
        case Kind.NODE:
            return _nothing("guest is on a node", part, (guest.node for guest in guests))
        case Kind.POOL:
            return _nothing("guest is in a pool", part, {*pools, *(guest.pool for guest in guests if guest.pool)})
    assert_never(part.kind)


def _nothing(what: str, part: Part, known: Iterable[str]) -> str:
    meant = None if _GLOB.search(part.value) else tags.nearest(part.value, known)
    return f"no {what} '{part.value}'" + (f"; nearest: {meant}" if meant and meant != part.value else "")
