"""What a check has to say about one object: how bad it is, by which measure, and what it rests on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct


class Severity(StrEnum):
    """How one object stands; `unknown` is not between the others, it says that nobody could look."""

    OK = "ok"
    WARNING = "warning"
    CRITICAL = "critical"
    UNKNOWN = "unknown"

    @property
    def code(self) -> int:
        """0 to 3, as Nagios counts."""
        return _CODES[self]


# until Python 3.12 every `Severity.OK` is a call, which `judged` and its callers would make several times for each guest
OK, WARNING, CRITICAL = Severity.OK, Severity.WARNING, Severity.CRITICAL
_CODES: Mapping[Severity, int] = {Severity.OK: 0, Severity.WARNING: 1, Severity.CRITICAL: 2, Severity.UNKNOWN: 3}
_WORST_FIRST = (Severity.CRITICAL, Severity.WARNING, Severity.UNKNOWN, Severity.OK)


def worst(severities: Iterable[Severity], *, unknown_as: Severity = Severity.UNKNOWN) -> Severity:
    """Critical before warning before unknown before ok; `unknown_as` is what unknown counts as."""
    seen = set(severities)
    if Severity.UNKNOWN in seen:
        seen = (seen - {Severity.UNKNOWN}) | {unknown_as}
    return next((severity for severity in _WORST_FIRST if severity in seen), Severity.OK)


class Unit(StrEnum):
    """What a value counts. A ratio goes from 0 to 1."""

    RATIO = "ratio"
    SECONDS = "seconds"
    DAYS = "days"
    COUNT = "count"
    BYTES = "bytes"


class Levels(Struct, frozen=True, kw_only=True):
    """From where on a value is bad, and where it has to go back to before it counts as good again; None: there is no such level.

    A rising value is bad above its level, a count from its level on, a falling value (days left, life left) at or below its level.
    """

    warn: Annotated[float | None, Meta(description="From where on it is a warning.")] = None
    crit: Annotated[float | None, Meta(description="From where on it is critical.")] = None
    clear: Annotated[float | None, Meta(description="Where a warning ends.")] = None
    clear_crit: Annotated[float | None, Meta(description="Where critical ends.")] = None


NO_LEVELS = Levels()
_COUNT = Unit.COUNT


class Evidence(Struct, frozen=True, kw_only=True, gc=False):
    """The endpoint and the field a finding rests on, and how old the answer was, in seconds."""

    path: str
    field: str | None = None
    age: float | None = None


class Subject(Struct, frozen=True, kw_only=True, gc=False):
    """What a check is about: "node/pve1", "guest/100", "storage/nfs", "disk/pve1/sda", …, and what rules can be about."""

    object: str
    node: str | None = None
    pool: str | None = None
    tags: tuple[str, ...] = ()


class Finding(Struct, frozen=True, kw_only=True, gc=False):
    """What a check says about an object. `id` stays the same for as long as the object is called the same.

    `lingers`: not bad by its value, but not yet back below the level at which it counts as good again. `objects` are those it stands for
    when there are several. `since` is set where PVE or an earlier run tells, `key` where the finding is an event (a task's UPID).
    `cause` is the id of the finding this one follows from.
    """

    check: str
    object: str
    severity: Severity
    message: str
    value: float | None = None
    unit: Unit | None = None
    levels: Levels | None = None
    falling: bool = False
    lingers: bool = False
    objects: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    hint: str | None = None
    since: datetime | None = None
    key: str | None = None
    cause: str | None = None
    node: str | None = None
    pool: str | None = None
    tags: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return f"{self.check}/{self.object}"


def judged(value: float, levels: Levels, *, unit: Unit | None = None, falling: bool = False) -> Severity:
    """Where a value stands between its levels."""
    # asked for each of 10,000 guests, so the words of `_beyond` are not called for but written out
    crit, warn = levels.crit, levels.warn
    if falling:
        is_crit, is_warn = crit is not None and value <= crit, warn is not None and value <= warn
    elif unit is _COUNT:
        is_crit, is_warn = crit is not None and value >= crit, warn is not None and value >= warn
    else:
        is_crit, is_warn = crit is not None and value > crit, warn is not None and value > warn
    return CRITICAL if is_crit else WARNING if is_warn else OK


def lingering(value: float, levels: Levels, *, unit: Unit | None = None, falling: bool = False) -> bool:
    """Whether a value that is not bad (any more) has not yet come back to where it counts as good."""
    return levels.clear is not None and _beyond(value, levels.clear, unit, falling=falling)


def _beyond(value: float, level: float, unit: Unit | None, *, falling: bool) -> bool:
    if falling:
        return value <= level
    return value >= level if unit is Unit.COUNT else value > level
