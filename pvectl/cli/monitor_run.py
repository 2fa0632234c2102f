"""One run of the monitor: recall, look, judge, remember."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct
from msgspec.structs import fields, replace

from pvectl.core.idle.record import NodeRecord, Phase
from pvectl.core.monitor import hysteresis
from pvectl.core.monitor.checks.evaluation import Evaluation, evaluate
from pvectl.core.monitor.checks.registry import CHECKS, chosen, wanted
from pvectl.core.monitor.checks.settings import MonitorSettings
from pvectl.core.monitor.data import MonitorData, data
from pvectl.errors import Locked, PvectlError, UsageError
from pvectl.observe.monitor import Asking, Memory, look

if TYPE_CHECKING:
    from datetime import datetime

    from pvectl.cli.context import Run
    from pvectl.store import Store

S = TypeVar("S", bound=Struct)

KIND = "monitor"
DEADLINE_S = 50
"""Nagios and Icinga give a plugin 60 s."""
_SLOW_S = 25.0
_TRIES = 10
_QUIET_TRIES = 50
_BETWEEN_TRIES_S = 0.2


class Chosen(Struct, frozen=True, kw_only=True):
    """What somebody asked for: checks by their ids, what makes the exit code other than 0, and the files for the result and the page."""

    only: tuple[str, ...] = ()
    fail_on: str | None = None
    write: str | None = None
    html: str | None = None


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
    from pvectl.config.schema.monitoring import settings_of

    began = time.monotonic()
    section = run.jobs().monitor
    settings = settings_of(section)
    patterns = _patterns(only)
    client = run.client(deadline=DEADLINE_S)
    before, off, remarks = _recalled(run)
    asking = Asking(
        wanted=wanted(settings, patterns),
        slow_every=section.slow_every,
        slow_for=_SLOW_S,
        tell_for=section.failed_tasks,
        off=off,
    )
    view, after = look(client, run.clock, asking=asking, before=before)
    evaluation = hysteresis.held(evaluate(view, settings, only=patterns), before.seen.levels)
    levels = hysteresis.bad(evaluation)
    if patterns:
        levels = {id_: level for id_, level in before.seen.levels.items() if id_.partition("/")[0] not in _ids(patterns)} | levels
    after = replace(after, seen=replace(after.seen, levels=levels))
    remarks += _kept(run, before, after)
    return Looked(evaluation=evaluation, settings=settings, took=time.monotonic() - began, remarks=remarks)


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


def _recalled(run: Run) -> tuple[Memory, Mapping[str, datetime], tuple[str, ...]]:
    """What earlier looks left, and which nodes idle-check switched off; without either this look does all by itself."""
    from pvectl.cli.idle_run import RECORDS

    off: dict[str, datetime] = {}
    try:
        store = run.store("read")
        parts = {info.name: _part(store, info.name, info.type) for info in fields(Memory)}
        records = store.recall_all(RECORDS, NodeRecord)
    except PvectlError as error:
        return Memory(), off, (f"what earlier runs left behind could not be read: {error.message}",)
    memory = Memory(**{name: part for name, part in parts.items() if part is not None}).awake()
    off = {name: record.since for name, record in records.items() if record.phase in (Phase.OFF_SENT, Phase.OFF_SEEN)}
    return memory, off, ()


def _part(store: Store, name: str, kind: type[S]) -> S | None:
    return store.recall(KIND, name, kind)


def _kept(run: Run, before: Memory, after: Memory) -> tuple[str, ...]:
    """Keep what is new. The lock is only held for that long, and a run that cannot keep anything has still looked."""
    changed = {name: part for name in Memory.__struct_fields__ if (part := getattr(after, name)) is not getattr(before, name)}
    # a job that began at the same minute is soon done, and nobody waits for a quiet run
    for left in reversed(range(_QUIET_TRIES if run.options.quiet else _TRIES)):
        try:
            store = run.store("write")
            with store.transaction():
                for name, part in changed.items():
                    store.keep(KIND, name, part)
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
