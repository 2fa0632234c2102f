"""What waits in the outbox is sent, and what became of it written down: at least once, and twice only under the same id."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractContextManager, closing
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from pvectl.clock import Clock
from pvectl.core.alerts import outbox
from pvectl.core.alerts.incident import Records
from pvectl.core.alerts.notification import Notification, urgency
from pvectl.core.alerts.outbox import Channel, Limit, Result, Row, State
from pvectl.core.alerts.telling import delivered, given_up
from pvectl.errors import PvectlError
from pvectl.notify.deliver import Receiver
from pvectl.notify.lanes import Lanes, Tried
from pvectl.notify.message import Message
from pvectl.notify.result import TimeLeft

_CRITICAL = 2


class Book(Protocol):
    """Where messages and what became of them are kept. A transaction is all or nothing, on disk when it ends."""

    def transaction(self) -> AbstractContextManager[object]: ...
    def records(self, names: Collection[str] | None = None) -> Records: ...
    def write_records(self, before: Records, after: Records) -> None: ...
    def rows(self) -> Iterable[Row]: ...
    def put_rows(self, *rows: Row) -> None: ...
    def channels(self) -> Mapping[str, Channel]: ...
    def put_channels(self, *channels: Channel) -> None: ...


class Drained(Struct, frozen=True, kw_only=True):
    """What one drain came to. `failed` are those tried that still wait, `dead` those given up, `waiting` counts all that still wait.

    `broken` are the receivers that need an administrator, and why; `troubles` are for a person to read.
    """

    sent: tuple[Row, ...] = ()
    failed: tuple[Row, ...] = ()
    dead: tuple[Row, ...] = ()
    waiting: int = 0
    broken: Mapping[str, str] = {}
    tried: int = 0
    troubles: tuple[str, ...] = ()


class Unkept(Struct, frozen=True, kw_only=True):
    """What was sent without being written down; `failed` gives the reason by receiver."""

    sent: tuple[Notification, ...] = ()
    failed: Mapping[str, str] = {}
    troubles: tuple[str, ...] = ()


def drain(  # noqa: PLR0913 - everything it needs from outside
    book: Book,
    receiver_of: Callable[[str], Receiver],
    limits: Mapping[str, Limit],
    *,
    words: Callable[[Notification], Message],
    clock: Clock,
    deadline: TimeLeft,
    jitter: Callable[[], float],
    only: Collection[str] | None = None,
) -> Drained:
    """Send what is due, to the receivers named in `only` or to all, until nothing is left or time is up.

    What is about to be sent is on disk before it is, and so is what became of it before the same receiver gets the next.

    Raises:
        PvectlError: the book cannot be read, or not be written before anything was sent.
    """
    run = _Drain(book, limits, clock, jitter, only)
    queued = run.begin()
    while queued:
        lanes: dict[str, deque[Notification]] = {}
        for row in queued:
            lanes.setdefault(row.receiver, deque()).append(row.notification)
        sending = Lanes(receiver_of, words, clock=clock, deadline=deadline)
        with closing(sending.sent(lanes)) as results:
            for tried in results:
                if not run.settle(tried):
                    lanes[tried.notification.receiver].clear()
                for lane in lanes.values():
                    run.skip_gone(lane)
        run.leave_behind(sending.left_behind.values())
        queued = run.more()
    return run.end()


def send_unkept(
    notifications: Iterable[Notification],
    receiver_of: Callable[[str], Receiver],
    *,
    words: Callable[[Notification], Message],
    clock: Clock,
    deadline: TimeLeft,
) -> Unkept:
    """Send what is critical although nothing can be written down, each under its own id; whoever cannot be told is skipped.

    The next run knows nothing of it and tells it again.
    """
    lanes: dict[str, deque[Notification]] = {}
    for notification in sorted(notifications, key=lambda each: (-urgency(each), each.id)):
        if urgency(notification) >= _CRITICAL:
            lanes.setdefault(notification.receiver, deque()).append(notification)
    sent: list[Notification] = []
    failed: dict[str, str] = {}
    troubles: list[str] = []
    sending = Lanes(receiver_of, words, clock=clock, deadline=deadline)
    with closing(sending.sent(lanes)) as results:
        for tried in results:
            name = tried.notification.receiver
            if tried.answer.result is Result.ARRIVED:
                sent.append(tried.notification)
            else:
                failed[name] = tried.answer.error or tried.answer.result.value
                if tried.answer.result is not Result.REJECTED:
                    lanes[name].clear()
            if tried.trouble is not None:
                troubles.append(f"receiver {name}: {tried.trouble}")
    for name, lane in lanes.items():
        if name in sending.left_behind or lane:
            failed.setdefault(name, "time was up")
    return Unkept(sent=tuple(sent), failed=failed, troubles=tuple(troubles))


class _Drain:
    """One drain and its book."""

    def __init__(
        self, book: Book, limits: Mapping[str, Limit], clock: Clock, jitter: Callable[[], float], only: Collection[str] | None
    ) -> None:
        self._book = book
        self._limits = limits
        self._clock = clock
        self._jitter = jitter
        self._only = only
        self._untried: dict[str, Row] = {}
        self._last: tuple[tuple[Row, ...], Mapping[str, Channel]] = (), {}
        self._gone: set[str] = set()
        self._sent: list[Row] = []
        self._failed: list[Row] = []
        self._dead: list[Row] = []
        self._troubles: list[str] = []
        self._tried = 0
        self._done_with: set[str] = set()
        self._arrived = False

    def begin(self) -> tuple[Row, ...]:
        """What is to be sent, after it is on disk that it is."""
        book = self._book
        with book.transaction():
            now = self._clock.now()
            rows, channels = self._rows(), book.channels()
            due = outbox.due((row for row in rows.values() if row.receiver not in self._done_with), channels, self._limits, now)
            changed = [row for row in due.rows if rows.get(row.id) != row]
            if changed:
                book.put_rows(*changed)
            # of what is thrown away nobody hears either, and it must not count as on its way for ever
            lost = [row for row in changed if row.state in (State.DEAD, State.DROPPED)]
            self._mark(lost, arrived=False)
        self._dead += due.dead
        self._untried |= {row.id: row for row in due.now}
        self._last = due.rows, channels
        self._arrived = False
        return due.now

    def more(self) -> tuple[Row, ...]:
        """What somebody queued meanwhile for a receiver that works; it would wait until the next run."""
        if not self._arrived:
            return ()
        try:
            return self.begin()
        except PvectlError as error:
            self._troubles.append(f"the outbox cannot be written: {error.message}")
            return ()

    def settle(self, tried: Tried) -> bool:
        """Write down what became of an attempt; whether the receiver may get its next message."""
        notification, answer = tried.notification, tried.answer
        begun = self._untried.pop(notification.id)
        self._tried += 1
        if tried.trouble is not None:
            self._troubles.append(f"receiver {begun.receiver}: {tried.trouble}")
        try:
            after = self._settled(begun, tried)
        except PvectlError as error:
            # the row says that an attempt began: the next run makes it again, under the same id
            self._failed.append(begun)
            self._done_with.add(begun.receiver)
            self._troubles.append(f"receiver {begun.receiver}: what became of a message cannot be written down: {error.message}")
            return False
        if answer.result is Result.ARRIVED:
            self._sent.append(after)
            self._arrived = True
            return True
        self._done_with.add(begun.receiver)
        if after.state is State.DEAD:
            self._dead.append(after)
        elif after.state is State.PENDING:
            self._failed.append(after)
        # what is refused because of itself says nothing of the next
        return answer.result is Result.REJECTED

    def skip_gone(self, lane: deque[Notification]) -> None:
        """Take out of a receiver's lane what somebody threw away meanwhile."""
        while lane and lane[0].id in self._gone:
            lane.popleft()

    def leave_behind(self, notifications: Iterable[Notification]) -> None:
        """Nobody knows what becomes of these."""
        for notification in notifications:
            self._failed.append(self._untried.pop(notification.id))
            self._done_with.add(notification.receiver)
            self._troubles.append(f"receiver {notification.receiver} did not answer before time was up")

    def end(self) -> Drained:
        """Write down what was not tried after all, and sum up."""
        book, rest = self._book, set(self._untried)
        try:
            if rest:
                with book.transaction():
                    fresh = [row for row in self._rows().values() if row.id in rest]
                    book.put_rows(*(outbox.untried(row) for row in fresh))
            if rest or self._tried:
                self._last = tuple(self._rows().values()), book.channels()
        except PvectlError as error:
            self._troubles.append(f"the outbox cannot be written: {error.message}")
        rows, channels = self._last
        return Drained(
            sent=tuple(self._sent),
            failed=tuple(self._failed),
            dead=tuple(self._dead),
            waiting=sum(row.state is State.PENDING for row in rows),
            broken={name: why for name, why in outbox.broken(channels.values()).items() if name in self._limits},
            tried=self._tried,
            troubles=tuple(self._troubles),
        )

    def _settled(self, begun: Row, tried: Tried) -> Row:
        book, receiver = self._book, begun.receiver
        with book.transaction():
            now = self._clock.now()
            rows = self._rows()
            row = rows.get(begun.id)
            channel = book.channels().get(receiver, Channel(receiver=receiver))
            after, channel = outbox.settled(row or begun, channel, tried.answer, self._limits[receiver], now, self._jitter())
            book.put_channels(channel)
            arrived = tried.answer.result is Result.ARRIVED
            if arrived and tried.trouble is not None:
                after = replace(after, error=tried.trouble)
            if row is not None and row.state is State.PENDING:
                book.put_rows(after)
            elif not arrived:
                # somebody threw it away, or a newer word replaced it, while it was on its way
                after = row or begun
            self._mark((after,), arrived=arrived)
        self._gone = {each for each in self._untried if each not in rows or rows[each].state is not State.PENDING}
        return after

    def _mark(self, rows: Iterable[Row], *, arrived: bool) -> None:
        ended = [row for row in rows if arrived or row.state in (State.DEAD, State.DROPPED)]
        names = {story.name for row in ended for story in row.notification.stories}
        if not names:
            return
        now = self._clock.now()
        before = after = self._book.records(names)
        for row in ended:
            after = delivered(after, row.notification, now) if arrived else given_up(after, row.notification, now)
        if after is not before:
            self._book.write_records(before, after)

    def _rows(self) -> dict[str, Row]:
        rows = {row.id: row for row in self._book.rows()}
        if self._only is None:
            return rows
        return {row.id: row for row in rows.values() if row.receiver in self._only}
