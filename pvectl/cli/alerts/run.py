"""One run of the alerts: look, judge, write down who is to be told what, tell them, and write down what became of it."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from pvectl.cli.alerts.heart import alive
from pvectl.cli.alerts.mirrors import mirror
from pvectl.cli.monitoring import run as monitor_run
from pvectl.config.receivers import limits_of, mirrors_of, out_of_reach, rules_of, unfetched
from pvectl.core.alerts.breaking import broke
from pvectl.core.alerts.incident import Records
from pvectl.core.alerts.looks import KEPT, LastWhole, is_whole, look_of
from pvectl.core.alerts.observing import state_lost, unreachable, watched
from pvectl.core.alerts.outbox import State, broken, enqueued, kept, standing
from pvectl.core.alerts.step import step
from pvectl.core.monitor.monitored import MonitorView
from pvectl.errors import CannotWrite, ConfigError, ExitCode, PvectlError

if TYPE_CHECKING:
    from pvectl.cli.context import Run
    from pvectl.cli.monitoring.run import Recalled
    from pvectl.config.schema.alerting import Alert
    from pvectl.core.alerts.notification import Notification
    from pvectl.core.alerts.outbox import Channel
    from pvectl.core.alerts.rules import Rules
    from pvectl.core.alerts.silence import Silence
    from pvectl.core.alerts.telling import Explanation
    from pvectl.core.monitor.checks.evaluation import Evaluation
    from pvectl.notify.outbox import Drained, Unkept
    from pvectl.store import Store
    from pvectl.store.alerts import Alerts

DELIVERY_S = 45
"""How long the messages of one run may take."""
_UNKEPT_FOR = timedelta(hours=4)
"""How long what went out without a record is not sent again: as long as what is critical is not repeated."""
_OWN_MEMORY = {"seen": "alert-monitor"}
"""What the monitor has seen is kept apart, so that somebody who runs `pvectl monitor` by hand takes no failed task away; what is costly to
ask for is shared."""


class Bug(PvectlError):
    """Something that must not happen happened while pvectl looked."""

    exit_code = ExitCode.BUG
    kind = "bug"


class Ran(Struct, frozen=True, kw_only=True):
    """What one run came to. `error` is why nobody could look, `unkept` why nothing could be written down.

    `planned` are the messages this run gave rise to, `drained` or `sent_unkept` what became of those in the outbox. `mirrored` has each
    Alertmanager and why it did not take how things stand, None when it did; `faulty` the receivers whose secrets are not there; `waiting`
    counts what a rehearsal found in the outbox.
    """

    records: Records = Records()
    explanations: tuple[Explanation, ...] = ()
    planned: tuple[Notification, ...] = ()
    rehearsal: bool = False
    drained: Drained | None = None
    sent_unkept: Unkept | None = None
    mirrored: Mapping[str, str | None] = {}
    faulty: Mapping[str, str] = {}
    waiting: int = 0
    error: PvectlError | None = None
    unkept: PvectlError | None = None
    remarks: tuple[str, ...] = ()


def ran(run: Run, *, dry_run: bool) -> Ran:
    """Look once and tell people.

    Raises:
        ConfigError: nobody is to be told, or something about the configuration is wrong.
        Locked: another run of the alerts is at work.
        PvectlError: nothing can be kept, and nothing was done.
    """
    section = run.jobs().alert
    if not section.receivers:
        from pvectl.cli.alerts.words import HOW_TO_TELL

        raise ConfigError("nobody is told of anything: alert.receivers in pvectl.yml is empty", hint=HOW_TO_TELL)
    if dry_run:
        return _Look(run, section, run.store("read")).rehearsed()
    try:
        store, full = run.store("alert"), None
    except CannotWrite as error:
        # a full disk must not keep anybody from hearing what is critical
        store, full = run.store("read"), CannotWrite(f"nothing is kept: {error.message.partition(', so ')[0]}", hint=error.hint)
    with alive(run, section) as heart:
        look = _Look(run, section, store)
        result = look.told() if full is None else look.told_unkept(full)
        heart.end(problem_of(result))
    return replace(result, remarks=result.remarks + heart.remarks)


def sent(run: Run, section: Alert, alerts: Alerts) -> Drained | None:
    """Send what waits in the outbox; None when nothing does.

    Raises:
        PvectlError: it cannot be read, or not be written before anything was sent.
    """
    if not any(row.state is State.PENDING for row in alerts.rows()):
        return None
    import random

    from pvectl.cli.alerts.setup import receivers_of, words_of
    from pvectl.notify.outbox import drain

    limits = limits_of(section)
    return drain(
        alerts,
        receivers_of(run, section),
        limits,
        words=words_of(run, section),
        clock=run.clock,
        deadline=run.time_for(DELIVERY_S),
        jitter=random.random,
        # a run by hand must not have them count as broken, and the service wait for an hour
        only=set(limits) - out_of_reach(section, run.env),
    )


class _Look:
    """A run between its look and its last word."""

    def __init__(self, run: Run, section: Alert, store: Store) -> None:
        from pvectl.store.alerts import Alerts

        self._run = run
        self._section = section
        self._store = store
        self._alerts = Alerts(store)
        self._rules: Rules = rules_of(section, run.cluster_name())
        self._faulty = unfetched(section, run.secrets())
        self._before: Recalled | None = None
        self._after: Recalled | None = None
        self._error: PvectlError | None = None

    def rehearsed(self) -> Ran:
        """What would be told now; nothing is written, nobody is told."""
        evaluation = self._evaluation()
        alerts = self._alerts
        waiting = sum(row.state is State.PENDING for row in alerts.rows())
        with _no_collecting():
            records, planned, explanations = self._judged(evaluation, alerts.records(), alerts.channels(), alerts.silences())
        return Ran(
            records=records,
            explanations=explanations,
            planned=planned,
            faulty=self._faulty,
            rehearsal=True,
            waiting=waiting,
            error=self._error,
        )

    def told(self) -> Ran:
        """Look, write down, tell."""
        evaluation = self._evaluation()
        try:
            records, planned, explanations = self._written(evaluation)
        except CannotWrite as error:
            return self._unkept(evaluation, error)
        result = Ran(records=records, explanations=explanations, planned=planned, faulty=self._faulty, error=self._error)
        failing = {*self._failing(self._alerts.channels())}
        drained = sent(self._run, self._section, self._alerts)
        mirrored = mirror(self._run, self._section, self._rules, self._alerts, records)
        if broke_now := {name: why for name, why in self._failing(self._alerts.channels()).items() if name not in failing}:
            # where that cannot be kept, the next run finds it
            with suppress(CannotWrite):
                planned += self._told_of_broken(broke_now)
                drained = _together(drained, sent(self._run, self._section, self._alerts))
        away = sorted(out_of_reach(self._section, self._run.env))
        remarks = tuple(f"receiver {name} is told by the service alone: its secret is one of systemd's credentials" for name in away)
        return replace(result, planned=planned, drained=drained, mirrored=mirrored, remarks=remarks)

    def told_unkept(self, error: PvectlError) -> Ran:
        """Look, and tell at least what is critical, although nothing can be written down."""
        return self._unkept(self._evaluation(), error)

    def _evaluation(self) -> Evaluation:
        """What is wrong now; that nobody could look is an answer too."""
        run = self._run
        try:
            before = monitor_run.remembered(self._store, _OWN_MEMORY)
            seen, after = monitor_run.looked_once(run, before, delivery=standing(self._alerts.rows()))
        except PvectlError as error:
            return self._blind(error)
        except Exception as error:  # noqa: BLE001 - a bug in looking must not keep anybody from hearing what waits, and of the bug
            import traceback

            run.say(traceback.format_exc())
            return self._blind(Bug(f"a bug in pvectl keeps it from looking: {type(error).__name__}", hint="pvectl monitor shows it"))
        self._before, self._after = before, after
        return seen.evaluation

    def _blind(self, error: PvectlError) -> Evaluation:
        self._error = error
        return unreachable(MonitorView(taken_at=self._run.clock.now(), cluster=self._run.cluster), error.message)

    def _written(self, evaluation: Evaluation) -> tuple[Records, tuple[Notification, ...], tuple[Explanation, ...]]:
        """The one transaction: what is known, who is to be told, and how far the monitor has read."""
        alerts, store, now = self._alerts, self._store, evaluation.taken_at
        with _no_collecting(), alerts.transaction():
            lost = alerts.take_losses()
            before, rows = alerts.records(), alerts.rows()
            evaluation = state_lost(evaluation, lost, now)
            after, planned, explanations = self._judged(evaluation, before, alerts.channels(), alerts.silences())
            alerts.write_records(before, after)
            alerts.write_rows(rows, kept(enqueued(rows, planned, now), now))
            alerts.write_explanations({each.name: each for each in explanations})
            if self._before is not None and self._after is not None:
                monitor_run.keep(store, self._before, self._after, _OWN_MEMORY)
            self._keep_look(evaluation)
        return after, planned, explanations

    def _judged(
        self, evaluation: Evaluation, before: Records, channels: Mapping[str, Channel], silences: tuple[Silence, ...]
    ) -> tuple[Records, tuple[Notification, ...], tuple[Explanation, ...]]:
        rules = self._rules
        names = (*rules.receivers, *mirrors_of(self._section))
        watching = watched(evaluation, self._failing(channels), names)
        return step(before, watching, rules, silences, evaluation.taken_at)

    def _failing(self, channels: Mapping[str, Channel]) -> dict[str, str]:
        """The receivers that take no messages until somebody mends them, and why."""
        return {name: why for name, why in (broken(channels.values()) | self._faulty).items() if name in self._section.receivers}

    def _told_of_broken(self, failing: Mapping[str, str]) -> tuple[Notification, ...]:
        """Queue it at once that receivers turned out to take nothing, so that the others hear of it in this run."""
        alerts, now = self._alerts, self._run.clock.now()
        with alerts.transaction():
            before, rows = alerts.records(), alerts.rows()
            after, planned, explanations = broke(before, failing, self._rules, alerts.silences(), now)
            alerts.write_records(before, after)
            alerts.write_rows(rows, enqueued(rows, planned, now))
            alerts.write_explanations(alerts.explanations() | {each.name: each for each in explanations})
        return planned

    def _keep_look(self, evaluation: Evaluation) -> None:
        whole = self._store.recall(KEPT, "", LastWhole)
        look = look_of(evaluation, whole.look if whole is not None else None)
        if is_whole(look):
            self._store.keep(KEPT, "", LastWhole(look=look))
        self._alerts.keep_look(evaluation.taken_at, look)

    def _unkept(self, evaluation: Evaluation, error: PvectlError) -> Ran:
        """Nothing can be written down: what is critical is sent all the same, and a file without content says that it was."""
        from pvectl.cli.alerts.setup import receivers_of, words_of
        from pvectl.notify.outbox import send_unkept
        from pvectl.store import note_unkept, state_dir, told_unkept

        run, alerts, now = self._run, self._alerts, evaluation.taken_at
        records, planned, explanations = self._judged(evaluation, alerts.records(), alerts.channels(), alerts.silences())
        waiting = (row.notification for row in alerts.rows() if row.state is State.PENDING)
        where = (state_dir(run.options.state_dir, run.env), run.cluster_name())
        known = told_unkept(*where, since=now - _UNKEPT_FOR)
        went = send_unkept(
            (one for one in (*planned, *waiting) if one.id not in known),
            receivers_of(run, self._section),
            words=words_of(run, self._section),
            clock=run.clock,
            deadline=run.time_for(DELIVERY_S),
        )
        note_unkept(*where, (one.id for one in went.sent), at=now)
        return Ran(records=records, explanations=explanations, planned=planned, sent_unkept=went, error=self._error, unkept=error)


def _together(first: Drained | None, second: Drained | None) -> Drained | None:
    """What two drains of one run came to."""
    if first is None or second is None:
        return second or first
    return replace(
        second,
        sent=first.sent + second.sent,
        failed=first.failed + tuple(row for row in second.failed if row.id not in {each.id for each in first.failed}),
        dead=first.dead + second.dead,
        tried=first.tried + second.tried,
        troubles=first.troubles + second.troubles,
    )


@contextmanager
def _no_collecting() -> Iterator[None]:
    """Thousands of incidents are read at once and none of them is garbage before the end: looking for some costs a third of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        # what is there by now counts as old, or the next collection would go through all of it after all
        gc.freeze()
        gc.unfreeze()
        if was_on:
            gc.enable()


def failing_of(result: Ran) -> dict[str, str]:
    """The receivers that take no messages, and why."""
    drained = {} if result.drained is None else result.drained.broken
    return {**result.faulty, **drained, **{name: why for name, why in result.mirrored.items() if why is not None}}


def problem_of(result: Ran) -> str | None:
    """Why this run was not all that a run should be; None when it was."""
    if result.error is not None:
        return f"the cluster could not be looked at: {result.error.message}"
    if result.unkept is not None:
        return result.unkept.message
    drained = result.drained
    if failing := failing_of(result):
        return "; ".join(f"receiver {name} takes no messages: {why}" for name, why in sorted(failing.items()))
    if drained is None:
        return None
    if drained.failed or drained.dead:
        return f"{len(drained.failed) + len(drained.dead)} messages were not delivered"
    return f"{drained.waiting} messages wait" if drained.waiting else None
