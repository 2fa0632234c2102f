"""What is seen of a schedule's guests: where they are, how they are, in which stage, and whether the clock can be right."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from pvectl.core import select
from pvectl.core.checkup import BUILT
from pvectl.core.model import ClusterView, Known, Unknown
from pvectl.core.plan import Reason, Verdict
from pvectl.core.schedules import ledger as ledgers
from pvectl.core.schedules import sequence
from pvectl.core.schedules.resuming import PlannedGuest
from pvectl.core.schedules.scheduled import Scope, Surroundings
from pvectl.core.schedules.sequence import Look
from pvectl.core.schedules.stages import OnTimeout, Stage
from pvectl.errors import PvectlError

if TYPE_CHECKING:
    from pvectl.cli.context import Run
    from pvectl.config.schema import ScheduleEntry, StageEntry
    from pvectl.pve.client import ProxmoxClient
    from pvectl.store import Store

_FRESH_S = 15
_WHOLE = "all guests"
"""No name that a stage can have."""


class Eyes:
    """Looks at the guests of one schedule, the same way the first time and again before each stage."""

    def __init__(self, run: Run, client: ProxmoxClient, schedule: ScheduleEntry, store: Store) -> None:
        self._run = run
        self._client = client
        self._schedule = schedule
        self._store = store
        self._whole = whole_of(schedule)
        self._first: tuple[float, Look] | None = None
        self._ourselves: tuple[int | None] | None = None
        self._view = ClusterView(taken_at=run.clock.now())
        self.plan: tuple[PlannedGuest, ...] = ()
        """Whom the occurrence was claimed for: they are looked at even when the selection asks for them no longer."""
        self.selected: frozenset[int] = frozenset()
        """Whom the schedule asks for, those its selection takes away among them, by the last look."""
        self.looked_at: float | None = None
        """When the last look began, on the clock that never steps."""
        self.advice: tuple[str, ...] = ()
        """What the selection did not find, in sentences."""

    def look(self) -> Look:
        """All of the schedule's guests, as their nodes say they are now."""
        from pvectl import observe

        run = self._run
        began = run.clock.boottime()
        view = observe.look(self._client, run.clock)
        cheap = self._look_at(view, run.clock.now(), tag_counts=True, case_sensitive=False)
        tag_counts, case_sensitive = self._tags()
        silent = (Reason.EXCLUDED, Reason.OUT_OF_SCOPE, Reason.NOT_TAGGED, Reason.NODE_UNSEEN)
        worth = {decision.subject for decision in sequence.choose(cheap).decisions if decision.reason not in silent}
        planned = {one.vmid for one in self.plan}
        seen_at = run.clock.now()
        online = {node.name for node in view.nodes if node.status == "online"}
        closer = [guest for guest in view.guests if guest.node in online and (guest.subject in worth or guest.vmid in planned)]
        view = observe.look_closer(self._client, view, closer)
        look = self._look_at(view, seen_at, tag_counts=tag_counts, case_sensitive=case_sensitive)
        look = replace(look, runs_in=self._own_guest(look))
        self.advice = tuple(dict.fromkeys((*self.advice, *look.picked.advice)))
        self._first = (began, look)
        self.looked_at = began
        self.selected = frozenset(guest.vmid for guest in (*look.picked.guests, *look.picked.excluded))
        self._view = view
        return look

    def fresh(self, stage: Stage) -> Look:
        """What was just seen, or a new look where that is too old; with the force that this stage permits."""
        first = self._first
        look = first[1] if first is not None and self._run.clock.boottime() - first[0] <= _FRESH_S else self.look()
        self._first = None
        return replace(look, scope=replace(look.scope, force_stop=stage.on_timeout is OnTimeout.FORCE))

    def _look_at(self, view: ClusterView, seen_at: datetime, *, tag_counts: bool, case_sensitive: bool) -> Look:
        now = self._run.clock.now()
        scope = replace(scope_of(self._schedule), case_sensitive=case_sensitive)
        picked = self._whole.pick(view.guests, pools=view.pools)
        found = {guest.vmid for guest in (*picked.guests, *picked.excluded)}
        lost = {one.vmid for one in self.plan} - found
        picked = replace(picked, excluded=(*picked.excluded, *(guest for guest in view.guests if guest.vmid in lost)))
        return Look(
            picked=picked,
            scope=scope,
            around=Surroundings(nodes=view.nodes, holds=self._store.holds(at=now), now=now),
            seen_at=seen_at,
            tag_counts=tag_counts,
        )

    def _own_guest(self, look: Look) -> int | None:
        """The guest among those to be asked that pvectl itself runs in, by the configuration or by looking once (safety rule S13)."""
        own = self._run.jobs().idle_check.self
        if own is not None:
            return None if own == "elsewhere" else own.vmid
        if self._ourselves is None:
            from pvectl import observe

            asked = [action.guest for action in sequence.choose(look).actions]
            answers = self._client.in_parallel([partial(self._client.guest_config, guest) for guest in asked])
            # a configuration that cannot be read is no reason to leave all the others on, nor to ask the one we run in
            told = [(guest, answer) for guest, answer in zip(asked, answers, strict=True) if not isinstance(answer, PvectlError)]
            configs = {guest.vmid: config for guest, config in told}
            self._ourselves = (observe.ourselves([guest for guest, _ in told], configs, self._run.clock),)
        return self._ourselves[0]

    def _tags(self) -> tuple[bool, bool]:
        """Whether the tag counts, and whether capitals in tags do.

        Raises:
            PvectlError: it cannot be told.
        """
        tag = self._schedule.require_tag
        if tag is None:
            return True, False
        from pvectl.core import tags

        options = self._client.cluster_options()
        sensitive = options.tags_case_sensitive
        if not self._run.jobs().tags.require_registered:
            return True, sensitive
        registered = tags.normalise(options.registered_tags or (), case_sensitive=sensitive)
        return tags.fold(tag, case_sensitive=sensitive) in registered, sensitive

    def stages(self, look: Look) -> tuple[Stage, ...]:
        """The stages with the guests there are; those of the plan stay where they were planned."""
        schedule = self._schedule
        picked = {guest.vmid for guest in (*look.picked.guests, *look.picked.excluded)}
        where = {one.vmid: one.stage for one in self.plan}
        if not schedule.stages:
            vmids = tuple(sorted(picked | set(where)))
            return (Stage(name=_WHOLE, vmids=vmids),) if vmids else ()
        stages = []
        spared = {guest.vmid for guest in look.picked.excluded} - set(where)
        for entry in schedule.stages:
            stage = self._stage(entry, picked, where)
            stages.append(stage)
            # who never goes down anyway may be asked for by several stages, and is told in the first of them
            picked -= spared & set(stage.vmids)
        return tuple(stages)

    def _stage(self, stage: StageEntry, picked: set[int], where: Mapping[int, str]) -> Stage:
        found = select.parse(stage.select).pick(self._view.guests, pools=self._view.pools)
        asked = {guest.vmid for guest in found.guests} & picked
        vmids = {vmid for vmid in asked if where.get(vmid, stage.name) == stage.name}
        vmids |= {vmid for vmid, name in where.items() if name == stage.name}
        return Stage(name=stage.name, vmids=tuple(sorted(vmids)), wait_after=stage.wait_after, on_timeout=OnTimeout(stage.on_timeout))

    def distrust(self, look: Look) -> tuple[Verdict, Reason, str] | None:
        """Why the clock cannot be trusted: it is held against those of the nodes whose guests are to be asked (safety rule S17)."""
        nodes = sorted({action.guest.node for action in sequence.choose(look).actions})
        if not nodes:
            return None
        answers = self._client.in_parallel([partial(self._time_of, node) for node in nodes])
        clocks = {
            node: Unknown(reason=answer.message) if isinstance(answer, PvectlError) else answer
            for node, answer in zip(nodes, answers, strict=True)
        }
        return ledgers.reason_to_distrust_clock(self._run.clock.now(), built_at=BUILT, nodes=clocks)

    def _time_of(self, node: str) -> Known[datetime]:
        seconds = self._client.node_time(node)
        value = datetime.fromtimestamp(seconds, UTC)
        return Known(value=value, source=f"/nodes/{node}/time", taken_at=self._run.clock.now())


def whole_of(schedule: ScheduleEntry) -> select.Selection:
    """Whom the schedule asks for, stages or not."""
    words = schedule.select or tuple(word for stage in schedule.stages for word in stage.select)
    return select.parse(words, exclude=schedule.exclude)


def scope_of(schedule: ScheduleEntry) -> Scope:
    """Whom it may touch, and how."""
    nodes = None if schedule.nodes is None else frozenset(schedule.nodes)
    return Scope(require_tag=schedule.require_tag, nodes=nodes, timeout=schedule.timeout)
