"""A desk from which people are told: a real state file, a clock that stands, and runs that look, queue and drain as pvectl does."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec.structs import replace

from pvectl.clock import SystemClock
from pvectl.core.alerts import outbox
from pvectl.core.alerts.incident import Kind, Records, began
from pvectl.core.alerts.message import written
from pvectl.core.alerts.notification import Notification, about, story
from pvectl.core.alerts.observing import watched
from pvectl.core.alerts.outbox import Channel, Limit, Row, State
from pvectl.core.alerts.rules import Rules
from pvectl.core.alerts.silence import Silence
from pvectl.core.alerts.step import step
from pvectl.core.monitor.checks.evaluation import Evaluation
from pvectl.core.monitor.finding import Severity
from pvectl.core.secret import Secret
from pvectl.errors import CannotWrite, ConfigError
from pvectl.notify.deliver import Receiver
from pvectl.notify.endpoint import Endpoint
from pvectl.notify.message import Message
from pvectl.notify.outbox import Drained, drain
from pvectl.notify.phrasing import message_of
from pvectl.notify.result import Countdown, TimeLeft
from pvectl.notify.webhook import Form, Webhook
from pvectl.store import Store
from pvectl.store.alerts import Alerts
from pvectl.store.opening import open_beside, open_to_alert
from tests.core.alerts.runs import NOW, bad
from tests.notify.listening import Listener

_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


class StandingClock(SystemClock):
    """Wall time as the test has it."""

    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> datetime:
        return self.at

    def go(self, **span: float) -> None:
        self.at += timedelta(**span)


def news(
    number: int = 1, kind: Kind = Kind.FIRING, *, severity: Severity = Severity.CRITICAL, receiver: str = "hook", seq: int = 1
) -> Notification:
    """A message about one of many disks."""
    incident = began("lab", bad(object=f"disk/pve1/{number}", severity=severity), NOW)
    if kind in (Kind.RESOLVED, Kind.PASSED):
        incident = replace(incident, ended_at=NOW + timedelta(seconds=60))
    return about(story(incident, seq, kind), receiver, cluster="lab", made_at=NOW)


def hook(listener: Listener, name: str = "hook", *, timeout: float = 10.0) -> Webhook:
    return Webhook(name=name, endpoint=Endpoint(url=Secret(listener.url()), allow_http=True, timeout=timeout), form=Form.RAW)


class Desk:
    """Receivers by name, and what a run of alerting does with them."""

    def __init__(self, directory: Path, receivers: Mapping[str, Receiver | ConfigError] | None = None, **limits: Limit) -> None:
        self.directory = directory
        self.clock = StandingClock()
        self.receivers: dict[str, Receiver | ConfigError] = dict(receivers or {})
        self.limits: dict[str, Limit] = {**dict.fromkeys(self.receivers, Limit()), **limits}
        self.rules = Rules(cluster="lab", receivers=tuple(self.limits))
        self.silences: tuple[Silence, ...] = ()
        self.jitter = 0.5
        self.book_of: Callable[[Store], Alerts] = Alerts
        self.words: Callable[[Notification], Message] = lambda notification: message_of(notification, UTC)

    def open(self) -> AbstractContextManager[Store]:
        return open_to_alert(self.directory, "lab", self.clock)

    def queue(self, *notifications: Notification) -> None:
        with self.open() as store:
            alerts = Alerts(store)
            with alerts.transaction():
                before = alerts.rows()
                alerts.write_rows(before, outbox.enqueued(before, notifications, self.clock.now()))

    def drain(self, *, deadline: TimeLeft | None = None, only: Collection[str] | None = None) -> Drained:
        with self.open() as store:
            return self.drained(self.book_of(store), deadline=deadline, only=only)

    def drained(self, book: Alerts, *, deadline: TimeLeft | None = None, only: Collection[str] | None = None) -> Drained:
        return drain(
            book,
            self.receiver_of,
            self.limits,
            words=self.words,
            clock=self.clock,
            deadline=deadline or Countdown(60),
            jitter=lambda: self.jitter,
            only=only,
        )

    def receiver_of(self, name: str) -> Receiver:
        receiver = self.receivers[name]
        if isinstance(receiver, ConfigError):
            raise receiver
        return receiver

    def run(self, evaluation: Evaluation) -> Drained:
        """Look, queue and drain, all that is known in one transaction and the rest as it comes."""
        with self.open() as store:
            book = self.book_of(store)
            self.look(book, evaluation)
            return self.drained(book)

    def look(self, book: Alerts, evaluation: Evaluation) -> tuple[Notification, ...]:
        now = self.clock.now()
        with book.transaction():
            before, rows = book.records(), book.rows()
            seen = watched(evaluation, outbox.broken(book.channels().values()), self.rules.receivers)
            after, notifications, _explanations = step(before, seen, self.rules, self.silences, now)
            book.write_records(before, after)
            book.write_rows(rows, outbox.kept(outbox.enqueued(rows, notifications, now), now))
        return notifications

    def rows(self) -> tuple[Row, ...]:
        with self.open() as store:
            return Alerts(store).rows()

    def pending(self) -> list[Row]:
        return [row for row in self.rows() if row.state is State.PENDING]

    def records(self) -> Records:
        with self.open() as store:
            return Alerts(store).records()

    def channel(self, name: str = "hook") -> Channel:
        with self.open() as store:
            return Alerts(store).channels()[name]

    def queue_beside(self, *notifications: Notification) -> None:
        """What another job has to say while a run is at work."""
        with open_beside(self.directory, "lab", self.clock) as store:
            alerts = Alerts(store)
            with alerts.transaction():
                alerts.put_rows(*outbox.enqueued(alerts.rows(), notifications, self.clock.now()))

    def beside(self, change: Callable[[Row], Row]) -> None:
        """What an administrator does to all rows while a run is at work."""
        with open_beside(self.directory, "lab", self.clock) as store:
            alerts = Alerts(store)
            with alerts.transaction():
                alerts.put_rows(*map(change, alerts.rows()))


def ids(listener: Listener) -> list[str]:
    """Under which ids messages came, in this order."""
    return [heard.headers["webhook-id"] for heard in listener.requests]


def subjects(listener: Listener) -> list[str]:
    return [heard.json()["subject"] for heard in listener.requests]


def told_of(row: Row) -> str:
    return written(row.notification, UTC).subject


@contextmanager
def directory() -> Iterator[Path]:
    """Where state lies that nobody waits for a disk to keep."""
    with TemporaryDirectory(prefix="pvectl-test-", dir=_MEMORY) as folder:
        place = Path(folder, "state")
        place.mkdir(mode=0o700)
        yield place


class NoTime:
    """A deadline that has passed."""

    def left(self) -> float:
        return 0.0


class Failing(Alerts):
    """Alerts whose n-th transactions cannot be written."""

    def __init__(self, store: Store, *fails: int, error: type[BaseException] = CannotWrite) -> None:
        super().__init__(store)
        self.fails = fails
        self.error = error
        self.count = 0
        self.within = False

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with super().transaction():
            if self.within:
                yield
                return
            self.within = True
            self.count += 1
            try:
                yield
            finally:
                self.within = False
            if self.count in self.fails:
                raise self.error("the disk is full")


def fresh(row: Row) -> tuple[State, int, bool, bool]:
    return row.state, row.attempts, row.sending, row.uncertain
