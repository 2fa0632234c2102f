"""One look at the cluster with everything the checks ask it for: who is there, who belongs to whom, and which rules apply."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from pvectl.core import tags
from pvectl.core.model import Guest, Known, Node, Storage, Unknown
from pvectl.core.monitor.checks.settings import MonitorSettings, Override
from pvectl.core.monitor.checks.sources import lacking
from pvectl.core.monitor.checks.spoken import spoken
from pvectl.core.monitor.finding import Evidence, Levels, Subject
from pvectl.core.monitor.monitored import FACTS, Fact, GuestFacts, Listing, Member, MonitorView, NodeFacts, StorageFacts, storage_object

T = TypeVar("T")


class Missing(Struct, frozen=True, kw_only=True):
    """A source that could not be read: its name, whose answer it would be ("cluster", "node/pve1", "storage/nfs", "guests"), and why."""

    source: str
    of: str
    reason: str


class Blind(Struct, frozen=True, kw_only=True):
    """Why an object could not be examined: for want of sources, for another finding's `cause`, or because an answer lacks something."""

    subject: Subject
    reason: str
    missing: tuple[Missing, ...] = ()
    cause: str | None = None


COVERAGE = "self.coverage"
_NO_GUEST_FACTS = GuestFacts(vmid=0)
CLUSTER = Subject(object="cluster")


class Look:
    """The view, the settings, and what both come to; made once for a run and never changed."""

    def __init__(self, view: MonitorView, settings: MonitorSettings) -> None:
        self.view = view
        self.settings = settings
        self.now: datetime = view.taken_at
        self._made: dict[Callable[[Look], Any], Any] = {}
        self._lacks: dict[tuple[str, str], tuple[tuple[str, str], ...]] = {}
        # what thousands of findings rest on alike is written down once; these facts live as long as the view
        self._shared = frozenset(id(getattr(view, field)) for field in FACTS["cluster"])
        self._evidence: dict[tuple[int, str | None], tuple[Evidence, ...]] = {}

    def once(self, make: Callable[[Look], T]) -> T:
        """What `make` makes of this look, made once for all checks."""
        if make not in self._made:
            self._made[make] = make(self)
        made: T = self._made[make]
        return made

    @cached_property
    def listing(self) -> Listing | None:
        return self.view.resources.value if isinstance(self.view.resources, Known) else None

    @cached_property
    def standalone(self) -> bool | None:
        return self.view.membership.value.standalone if isinstance(self.view.membership, Known) else None

    @cached_property
    def members(self) -> Mapping[str, Member | None]:
        """Every node anybody knows of, with what `/cluster/status` says about it: None where that could not be read, or leaves it out."""
        told = self.view.membership.value.members if isinstance(self.view.membership, Known) else ()
        named = {member.name: member for member in told}
        names = [*named, *(node.name for node in self.listed_nodes.values()), *(node.name for node in self.view.nodes)]
        return {name: named.get(name) for name in sorted(set(names))}

    @cached_property
    def listed_nodes(self) -> Mapping[str, Node]:
        return {node.name: node for node in self.listing.nodes} if self.listing else {}

    @cached_property
    def node_facts(self) -> Mapping[str, NodeFacts]:
        given = {facts.name: facts for facts in self.view.nodes}
        return {name: given.get(name, NodeFacts(name=name)) for name in self.members}

    @cached_property
    def away(self) -> frozenset[str]:
        """The nodes that are off because pvectl switched them off: nothing is expected of them, and nothing is blind for it."""
        return frozenset(name for name in self.view.remembered.off if not self.is_online(name))

    def is_online(self, node: str) -> bool | None:
        """What the cluster itself says; None when it does not."""
        member = self.members.get(node)
        return None if member is None else member.online

    @cached_property
    def nodes(self) -> tuple[Subject, ...]:
        """The nodes that are expected to be there."""
        return tuple(Subject(object=f"node/{name}", node=name) for name in self.members if name not in self.away)

    @cached_property
    def guests(self) -> tuple[tuple[Subject, Guest], ...]:
        """Every guest on the list that is no template and not on a node pvectl switched off; its tags folded."""
        if self.listing is None:
            return ()
        members = {vmid: pool for pool, vmids in self.listing.pools.items() for vmid in vmids}
        # thousands of guests share a few dozen lists of tags
        folded = {told: tags.normalise(told) for told in {guest.tags for guest in self.listing.guests}}
        away = self.away
        return tuple(
            [
                (
                    Subject(
                        object=f"guest/{guest.vmid}",
                        node=guest.node,
                        pool=guest.pool or members.get(guest.vmid),
                        tags=folded[guest.tags],
                    ),
                    guest,
                )
                for guest in self.listing.guests
                if not guest.template and guest.node not in away
            ]
        )

    @property
    def guest_count(self) -> int:
        """How many `guests` there are, for somebody who wants to know no more."""
        return sum(not guest.template and guest.node not in self.away for guest in (self.listing.guests if self.listing else ()))

    @cached_property
    def storages(self) -> tuple[tuple[Subject, tuple[Storage, ...]], ...]:
        """Every storage once, with each node's row for it; those of nodes that pvectl switched off left out."""
        rows: dict[str, list[Storage]] = {}
        for row in self.listing.storages if self.listing else ():
            if row.node not in self.away:
                rows.setdefault(storage_object(row.storage, row.node, shared=row.shared), []).append(row)
        return tuple(
            (Subject(object=name, node=None if found[0].shared else found[0].node), tuple(found)) for name, found in sorted(rows.items())
        )

    @cached_property
    def storage_facts(self) -> Mapping[str, StorageFacts]:
        return {facts.object: facts for facts in self.view.storages}

    def guest_facts(self, vmid: int) -> GuestFacts:
        return self.view.guests.get(vmid, _NO_GUEST_FACTS)

    def unlisted(self) -> Iterator[Blind]:
        """The one Blind of a check whose objects are on the list of resources, when there is no list."""
        if isinstance(self.view.resources, Unknown):
            yield self.blind(CLUSTER, self.view.resources, "resources")

    def missing(self, fact: Unknown, source: str, of: str = "cluster") -> Missing:
        """A source that is not there; for want of a right that is not about one node alone it is the whole cluster's matter."""
        if of.startswith("node/"):
            if (source, of) not in self._lacks:
                self._lacks[source, of] = lacking(self.view, source, of)
            lacks = self._lacks[source, of]
            told = any(privilege in fact.reason for privilege, _path in lacks)
            if told and not any(path.startswith("/nodes/") for _privilege, path in lacks):
                of = "cluster"
        return Missing(source=source, of=of, reason=fact.reason)

    def blind(self, subject: Subject, fact: Unknown, source: str, of: str = "cluster") -> Blind:
        """Blind for want of a whole source."""
        return blind_for(subject, (self.missing(fact, source, of),))

    def of_node(self, subject: Subject, fact: Fact[T], name: str) -> T | Blind:
        """What a node answered, or why there is no answer; an offline node explains it best."""
        if isinstance(fact, Known):
            return fact.value
        return self.offline(subject, subject.node or "") or self.blind(subject, fact, f"node-{name}", f"node/{subject.node}")

    def offline(self, subject: Subject, node: str) -> Blind | None:
        """Why nothing is known of what is on this node, if it is because the node is offline."""
        if self.is_online(node) is not False:
            return None
        return Blind(subject=subject, reason=f"node {node} is offline", cause=f"node.offline/node/{node}")

    def silent(self, subject: Subject, node: str) -> Blind | None:
        """Why nothing is known of what is on this node, if it is because nothing is heard of the node."""
        if (offline := self.offline(subject, node)) is not None:
            return offline
        listed = self.listed_nodes.get(node)
        if listed is None or listed.status == "online":
            return None
        return Blind(subject=subject, reason=f"the statistics of node {node} do not arrive", cause=f"node.stats_stale/node/{node}")

    def evidence(self, fact: Fact[T], field: str | None = None) -> tuple[Evidence, ...]:
        """Where a known fact came from and how old it was."""
        key = (id(fact), field)
        if (made := self._evidence.get(key)) is not None:
            return made
        if not isinstance(fact, Known):
            return ()
        age = (self.now - fact.taken_at).total_seconds()
        made = (Evidence(path=fact.source, field=field, age=max(age, 0.0)),)
        if key[0] in self._shared:
            self._evidence[key] = made
        return made


def blind_for(subject: Subject, missing: tuple[Missing, ...]) -> Blind:
    """Blind for want of these sources, the first of which is named."""
    first = missing[0]
    reason = f"{spoken(first.source, first.of)} could not be read: {first.reason}"
    return Blind(subject=subject, reason=reason, missing=missing, cause=f"{COVERAGE}/{first.of}")


def untold(subject: Subject, fact: Fact[T], field: str) -> Blind:
    """Blind because an answer lacks the field the check is about."""
    where = f" ({fact.source})" if isinstance(fact, Known) else ""
    return Blind(subject=subject, reason=f"Proxmox VE does not tell {field}{where}")


class Rules:
    """Which levels apply to an object under one check, and whether it is checked at all."""

    def __init__(self, check: str, settings: MonitorSettings, *, on: bool) -> None:
        self.check = check
        self.levels = settings.thresholds.of(check)
        self.on = (on or _fits_any(check, settings.enable)) and not _fits_any(check, settings.disable)
        self._overrides = tuple(override for override in settings.overrides if fnmatchcase(check, override.check))
        exempting = (words for pattern, words in settings.exempt_tags.items() if fnmatchcase(check, pattern))
        self._exempt_tags = frozenset(tags.fold(tag) for words in exempting for tag in words)
        self._disabled = tuple(pattern for pattern in settings.disable if "/" in pattern)
        plain = not (self._overrides or self._exempt_tags or self._disabled)
        self.alike = self.levels if plain and self.on else None
        """The levels of all objects, where no object has others or is left out."""

    def anywhere(self, *, measures: bool) -> bool:
        """Whether there may be an object that is checked; what `measures` needs a level somewhere."""
        if not self.on and not any(override.enabled for override in self._overrides):
            return False
        given: list[Levels | Override] = [self.levels, *self._overrides]
        return not measures or any((each.warn, each.crit) != (None, None) for each in given)

    def apply_to(self, subject: Subject) -> Levels | None:
        """The levels for this object; None when it is left out."""
        if not self._exempt_tags.isdisjoint(subject.tags):
            return None
        if self._disabled and _fits_any(f"{self.check}/{subject.object}", self._disabled):
            return None
        enabled, levels = self.on, self.levels
        for override in self._overrides:
            if fits(override, subject):
                enabled = enabled if override.enabled is None else override.enabled
                levels = _changed(levels, override)
        return levels if enabled else None


def fits(override: Override, subject: Subject) -> bool:
    """Whether an override is about this object; its check has been looked at already."""
    return (
        (override.object is None or fnmatchcase(subject.object, override.object))
        and (override.tag is None or tags.fold(override.tag) in subject.tags)
        and (override.pool is None or override.pool == subject.pool)
        and (override.node is None or override.node == subject.node)
    )


def _changed(levels: Levels, override: Override) -> Levels:
    given = {name: value for name in ("warn", "crit", "clear", "clear_crit") if (value := getattr(override, name)) is not None}
    if not given:
        return levels
    # a level that was moved takes its own end with it: the old one may lie on the wrong side of it
    ends = {"clear": None} if "warn" in given else {}
    ends |= {"clear_crit": None} if "crit" in given else {}
    return replace(levels, **{**ends, **given})


def _fits_any(text: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns)
