"""Who is told of what: the rules of an admin, and good ones where there are none."""

# no `from __future__ import annotations` here: the configuration's schema evaluates these annotations

from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Literal, Protocol

from msgspec import Meta, Struct, field

from pvectl.core import tags
from pvectl.core.alerts.incident import URGENCY
from pvectl.core.monitor.checks.look import COVERAGE
from pvectl.core.monitor.checks.registry import CHECKS
from pvectl.core.monitor.finding import Finding, Severity

_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
_RECEIVER = "receiver/"

Seconds = Annotated[int, Meta(ge=0)]


class Rule(Struct, frozen=True, kw_only=True):
    """What to do about some findings. What is given has to fit together; what is not fits everything. The first one that fits wins."""

    name: Annotated[str, Meta(description="What `pvectl alert explain` calls it.")] = ""
    checks: Annotated[tuple[str, ...], Meta(description="Ids of checks, with * and ? as wildcards.", examples=[["backup.*"]])] = ("*",)
    object: Annotated[str | None, Meta(description="An object, with * and ? as wildcards.", examples=["storage/nfs", "guest/1??"])] = None
    tag: Annotated[str | None, Meta(description="A tag of the guest.", examples=["lab"])] = None
    pool: Annotated[str | None, Meta(description="The pool the guest is in, with * and ? as wildcards.")] = None
    node: Annotated[str | None, Meta(description="The node it is on, with * and ? as wildcards.")] = None
    severity: Annotated[Literal["warning", "critical"], Meta(description="Only what is at least as bad.")] = "warning"
    hold: Annotated[Seconds | None, Meta(description="How long it has to last before anybody is told.")] = field(name="for", default=None)
    keep_firing_for: Annotated[Seconds | None, Meta(description="How long it has to be fine before it is over.")] = None
    repeat: Annotated[Seconds | None, Meta(description="How often it is told again while it lasts; 0: never.")] = None
    receivers: Annotated[tuple[str, ...] | None, Meta(description="Who is told; left out: all receivers; empty: nobody.")] = None
    template: Annotated[str | None, Meta(description="The template of its messages.")] = None


class Repeat(Struct, frozen=True, kw_only=True):
    """How often an incident is told again while it lasts, in seconds since it last arrived; 0: never."""

    critical: Annotated[Seconds, Meta(description="What is critical.")] = 4 * _HOUR
    warning: Annotated[Seconds, Meta(description="Warnings.")] = _DAY
    unknown: Annotated[Seconds, Meta(description="What nobody could look at.")] = 7 * _DAY

    def of(self, severity: Severity) -> int:
        if severity is Severity.CRITICAL:
            return self.critical
        return self.unknown if severity is Severity.UNKNOWN else self.warning


class Rules(Struct, frozen=True, kw_only=True):
    """Everything that is set about alerts. `cluster` is the cluster's name, `receivers` are the names of all there are; times in seconds.

    `max_gap`: evidence with a longer gap is not continuous; three of the usual intervals are none.
    """

    cluster: str = ""
    receivers: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    repeat: Repeat = Repeat()
    keep_firing_for: int = 5 * _MINUTE
    unknown_for: int = 10 * _MINUTE
    again_after: int = _HOUR
    flaps: int = 3
    flap_window: int = _HOUR
    max_gap: int = 15 * _MINUTE
    mute_tag: str = "pvectl-mute"


class Treatment(Struct, frozen=True, kw_only=True):
    """What the rules come to for one finding."""

    rule: str
    hold: int
    keep: int
    repeat: int
    receivers: tuple[str, ...]
    template: str | None = None


class Matcher(Protocol):
    """What says which findings it is about."""

    @property
    def checks(self) -> tuple[str, ...]: ...
    @property
    def object(self) -> str | None: ...
    @property
    def tag(self) -> str | None: ...
    @property
    def pool(self) -> str | None: ...
    @property
    def node(self) -> str | None: ...


class _Entry(Struct, frozen=True):
    """A rule in its place, what it is called, and the urgency from which on it is about anything."""

    place: int
    rule: Rule
    name: str
    urgency: int


_DEFAULT = _Entry(0, Rule(), "default", 0)


class Book:
    """The rules, opened for one run: what is treated alike is worked out once. `broken` are the receivers that do not work."""

    def __init__(self, rules: Rules, broken: Collection[str] = ()) -> None:
        self.rules = rules
        self._broken = frozenset(broken)
        self._of_check: dict[str, tuple[_Entry, ...]] = {}
        self._alike: dict[tuple[int, str, Severity, bool], Treatment] = {}

    def treatment(self, finding: Finding) -> Treatment:
        """How this finding is to be treated, by the first rule that fits or by the default."""
        entry = self._first(finding)
        if finding.object.startswith(_RECEIVER):
            return self._treated(entry, finding)
        alike = (entry.place, finding.check, finding.severity, finding.key is None)
        if alike not in self._alike:
            self._alike[alike] = self._treated(entry, finding)
        return self._alike[alike]

    def _first(self, finding: Finding) -> _Entry:
        urgency = URGENCY[finding.severity]
        for entry in self._candidates(finding.check):
            if urgency >= entry.urgency and is_about(entry.rule, finding):
                return entry
        return _DEFAULT

    def _candidates(self, check: str) -> tuple[_Entry, ...]:
        if check not in self._of_check:
            self._of_check[check] = tuple(
                _Entry(place, rule, rule.name or f"rule {place}", URGENCY[Severity(rule.severity)])
                for place, rule in enumerate(self.rules.rules, start=1)
                if fits_check(rule, check)
            )
        return self._of_check[check]

    def _treated(self, entry: _Entry, finding: Finding) -> Treatment:
        rules, rule = self.rules, entry.rule
        hold = usual_hold(finding.check, finding.severity, rules) if rule.hold is None else rule.hold
        keep = rules.keep_firing_for if rule.keep_firing_for is None else rule.keep_firing_for
        wanted = rules.receivers if rule.receivers is None else rule.receivers
        # nobody can be told through a receiver that it does not work
        out_of_order = finding.object.removeprefix(_RECEIVER) if finding.object.startswith(_RECEIVER) else None
        others = tuple(each for each in rules.receivers if each != out_of_order)
        told = tuple(each for each in wanted if each in others)
        if out_of_order is not None and wanted and self._broken.issuperset(told):
            # somebody has to hear of it, whoever it is
            told = (*told, *(each for each in others if each not in told and each not in self._broken)) or others
        return Treatment(
            rule=entry.name,
            # what happened once neither lasts nor comes back
            hold=0 if finding.key is not None else hold,
            keep=0 if finding.key is not None else keep,
            repeat=rules.repeat.of(finding.severity) if rule.repeat is None else rule.repeat,
            receivers=told,
            template=rule.template,
        )


def usual_hold(check: str, severity: Severity, rules: Rules) -> int:
    """How long a finding has to last where no rule says it: as the check itself has it. Blindness is given time, however much of it."""
    if severity is Severity.UNKNOWN or check == COVERAGE:
        return rules.unknown_for
    return int(CHECKS[check].hold) if check in CHECKS else 0


def fits_check(matcher: Matcher, check: str) -> bool:
    return any(fnmatchcase(check, pattern) for pattern in matcher.checks)


def is_about(matcher: Matcher, finding: Finding) -> bool:
    """Whether it is about this finding; its check has been looked at already."""
    return (
        (matcher.object is None or _fits(finding.object, matcher.object))
        and (matcher.pool is None or _fits(finding.pool, matcher.pool))
        and (matcher.node is None or _fits(finding.node, matcher.node))
        and (matcher.tag is None or tags.fold(matcher.tag) in finding.tags)
    )


def misnamed(rules: Rules) -> Mapping[str, tuple[str, ...]]:
    """By the receiver nobody has heard of, the rules that name it."""
    named: dict[str, list[str]] = {}
    for place, rule in enumerate(rules.rules, start=1):
        for receiver in rule.receivers or ():
            if receiver not in rules.receivers:
                named.setdefault(receiver, []).append(rule.name or f"rule {place}")
    return {receiver: tuple(names) for receiver, names in named.items()}


def _fits(text: str | None, pattern: str) -> bool:
    return text is not None and fnmatchcase(text, pattern)
