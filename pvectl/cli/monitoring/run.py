"""One run of the monitor: recall, look, judge, remember."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct
from msgspec.structs import fields, replace

from pvectl.core.idle.record import NodeRecord, Phase
from pvectl.core.model import Known
from pvectl.core.monitor import hysteresis
from pvectl.core.monitor.checks.evaluation import Evaluation, evaluate
from pvectl.core.monitor.checks.registry import CHECKS, chosen, wanted
from pvectl.core.monitor.checks.settings import MonitorSettings
from pvectl.core.monitor.data import MonitorData, data
from pvectl.core.monitor.finding import Severity
from pvectl.core.monitor.monitored import Delivery, MonitorView
from pvectl.core.plan import OutcomeStatus
from pvectl.errors import Locked, PvectlError, UsageError
from pvectl.observe.monitor import Asking, Memory, look

if TYPE_CHECKING:
    from pvectl.cli.context import Run
    from pvectl.core.monitor.exposition import Which
    from pvectl.core.monitor.nagios import Perfdata
    from pvectl.store import Store

S = TypeVar("S", bound=Struct)

KIND = "monitor"
DEADLINE_S = 50
"""Nagios and Icinga give a plugin 60 s."""
_RAN = "ran"
_SHUT_FOR = timedelta(days=30)
_SLOW_S = 25.0
_TRIES = 10
_QUIET_TRIES = 50
_BETWEEN_TRIES_S = 0.2


class Ran(Struct, frozen=True, kw_only=True):
    """Guests pvectl once shut down that have been seen running since: each with the moment of that shutdown."""

    since: Mapping[int, datetime] = {}


class Chosen(Struct, frozen=True, kw_only=True):
    """What somebody asked for: checks by their ids, what makes the exit code other than 0, and the files for the result and the page.

    `perfdata` and `unknown_as` are Nagios' matter, `metrics` is Prometheus'.
    """

    only: tuple[str, ...] = ()
    fail_on: str | None = None
    write: str | None = None
    html: str | None = None
    perfdata: Perfdata = "top"
    unknown_as: Severity = Severity.UNKNOWN
    metrics: Which = "all"


class Looked(Struct, frozen=True, kw_only=True):
    """One look with all that any page of it needs: the view and the findings (`evaluation`), how it was judged, what it cost in seconds.

    `remarks` say what is not as it should be with pvectl's own memory.
    """

    evaluation: Evaluation
    settings: MonitorSettings
    took: float
    remarks: tuple[str, ...] = ()

    @property
    def data(self) -> MonitorData:
        """All of it as scripts read it, text from outside cleaned."""
        return data(self.evaluation, self.settings)

    @property
    def complete(self) -> bool:
        """Everything that was to be checked could be, and nothing is hidden."""
        return not self.evaluation.counts.unknown


def looked(run: Run, only: Sequence[str] = ()) -> Looked:
    """Look at the cluster once, with what earlier looks left behind, and leave to the next what it can use.

    Raises:
        UsageError: there is no such check.
        PvectlError: the configuration is wrong, or no host answered.
    """
    patterns = _patterns(only)
    before, remarks = _recalled(run)
    seen, after = looked_once(run, before, patterns=patterns, delivery=_delivery(run))
    return replace(seen, remarks=remarks + _kept(run, before, after))


class Recalled(Struct, frozen=True, kw_only=True):
    """What earlier looks left in `memory`, and what pvectl did itself: the nodes it switched `off`, the guests it `shut` down.

    `ran` are the guests that have been seen running since, each with the moment of the shutdown that no longer counts.
    """

    memory: Memory = Memory()
    off: Mapping[str, datetime] = {}
    shut: Mapping[int, datetime] = {}
    ran: Ran = Ran()

    @property
    def stopped(self) -> dict[int, datetime]:
        """The guests that are off because pvectl shut them down, as far as it knows."""
        return {vmid: at for vmid, at in self.shut.items() if self.ran.since.get(vmid) != at}


def looked_once(run: Run, before: Recalled, *, patterns: Sequence[str] = (), delivery: Delivery | None = None) -> tuple[Looked, Recalled]:
    """One look with what earlier ones left, and what it leaves to the next; nothing is kept yet. `delivery` is how the outbox stands.

    Raises:
        PvectlError: the configuration is wrong, or no host answered.
    """
    from pvectl.config.schema.monitoring import settings_of

    began = time.monotonic()
    section = run.jobs().monitor
    settings = settings_of(section)
    client = run.client(deadline=DEADLINE_S)
    asking = Asking(
        wanted=wanted(settings, patterns),
        slow_every=section.slow_every,
        slow_for=_SLOW_S,
        tell_for=section.failed_tasks,
        off=before.off,
    )
    view, memory = look(client, run.clock, asking=asking, before=before.memory)
    view = replace(view, remembered=replace(view.remembered, delivery=delivery, stopped=before.stopped))
    evaluation = hysteresis.held(evaluate(view, settings, only=patterns), before.memory.seen.levels)
    levels = hysteresis.bad(evaluation)
    if patterns:
        kept = {id_: level for id_, level in before.memory.seen.levels.items() if id_.partition("/")[0] not in _ids(patterns)}
        levels = kept | levels
    memory = replace(memory, seen=replace(memory.seen, levels=levels))
    after = replace(before, memory=memory, ran=_ran(before, view))
    return Looked(evaluation=evaluation, settings=settings, took=time.monotonic() - began), after


def remembered(store: Store, kinds: Mapping[str, str] | None = None) -> Recalled:
    """What earlier looks and jobs left; `kinds` says for parts of it where else they are kept.

    Raises:
        PvectlError: it cannot be read.
    """
    from pvectl.cli.idle.memory import RECORDS

    parts = {info.name: _part(store, (kinds or {}).get(info.name, KIND), info.name, info.type) for info in fields(Memory)}
    records = store.recall_all(RECORDS, NodeRecord)
    return Recalled(
        memory=Memory(**{name: part for name, part in parts.items() if part is not None}).awake(),
        off={name: record.since for name, record in records.items() if record.phase in (Phase.OFF_SENT, Phase.OFF_SEEN)},
        shut=_shut(store),
        ran=_part(store, KIND, _RAN, Ran) or Ran(),
    )


def keep(store: Store, before: Recalled, after: Recalled, kinds: Mapping[str, str] | None = None) -> None:
    """Keep what is new, for the looks to come."""
    with store.transaction():
        for name in Memory.__struct_fields__:
            if (part := getattr(after.memory, name)) is not getattr(before.memory, name):
                store.keep((kinds or {}).get(name, KIND), name, part)
        if after.ran != before.ran:
            store.keep(KIND, _RAN, after.ran)


def _shut(store: Store) -> dict[int, datetime]:
    """The guests pvectl shut down and did not start again, each with the moment."""
    shut: dict[int, datetime] = {}
    for intent, ending in store.actions(since=store.now() - _SHUT_FOR):
        kind, _, vmid = intent.subject.partition("/")
        if kind != "guest" or ending is None or ending.status != OutcomeStatus.DONE:
            continue
        if intent.verb == "shutdown":
            shut[int(vmid)] = intent.at
        elif intent.verb == "start":
            shut.pop(int(vmid), None)
    return shut


def _ran(before: Recalled, view: MonitorView) -> Ran:
    """Somebody started it again: if it is off after that, that is another story."""
    listing = view.resources
    running = {guest.vmid for guest in listing.value.guests if guest.status == "running"} if isinstance(listing, Known) else set()
    since = {vmid: at for vmid, at in before.shut.items() if before.ran.since.get(vmid) == at or vmid in running}
    return before.ran if since == before.ran.since else Ran(since=since)


def _patterns(only: Sequence[str]) -> tuple[str, ...]:
    patterns = tuple(word.strip() for words in only for word in words.split(",") if word.strip())
    if only and not patterns:
        raise UsageError("--only names no check", hint="pvectl monitor --coverage lists them")
    for pattern in patterns:
        if not chosen((pattern,)):
            from difflib import get_close_matches

            close = get_close_matches(pattern, CHECKS, n=1)
            raise UsageError(
                f"there is no check {pattern}", hint=f"did you mean {close[0]}?" if close else "pvectl monitor --coverage lists them"
            )
    return patterns


def _ids(patterns: Sequence[str]) -> frozenset[str]:
    return frozenset(check.id for check in chosen(patterns))


def _recalled(run: Run) -> tuple[Recalled, tuple[str, ...]]:
    """As `remembered`; without it this look does all by itself."""
    try:
        return remembered(run.store("read")), ()
    except PvectlError as error:
        return Recalled(), (f"what earlier runs left behind could not be read: {error.message}",)


def _delivery(run: Run) -> Delivery | None:
    """How the outbox stands, where anybody is to be told; None also when it cannot be read, which the remarks say."""
    if not run.jobs().alert.receivers:
        return None
    from pvectl.core.alerts.outbox import standing
    from pvectl.store.alerts import Alerts

    with suppress(PvectlError):
        return standing(Alerts(run.store("read")).rows())
    return None


def _part(store: Store, kind: str, name: str, of: type[S]) -> S | None:
    return store.recall(kind, name, of)


def _kept(run: Run, before: Recalled, after: Recalled) -> tuple[str, ...]:
    """Keep what is new. The lock is only held for that long, and a run that cannot keep anything has still looked."""
    # a job that began at the same minute is soon done, and nobody waits for a quiet run
    for left in reversed(range(_QUIET_TRIES if run.options.quiet else _TRIES)):
        try:
            keep(run.store("write"), before, after)
        except PvectlError as error:
            if not isinstance(error, Locked):
                return (f"nothing is kept for the next run: {error.message}",)
            if not left:
                return () if run.options.quiet else (f"nothing is kept for the next run: {error.message}",)
            time.sleep(_BETWEEN_TRIES_S)
        else:
            return ()
        finally:
            run.give_back("write")
    return ()
