"""The life of alerts with a real state file that may fail at any write, under the oracle that knows only the truth and the mailbox."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, timedelta
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from pvectl.core.alerts import outbox
from pvectl.core.alerts.incident import Kind
from pvectl.core.alerts.notification import Notification
from pvectl.core.alerts.outbox import Answer, Result, Row, State
from pvectl.core.alerts.step import step
from pvectl.core.monitor.checks.registry import CHECKS
from pvectl.core.secret import Secret
from pvectl.errors import CannotWrite
from pvectl.notify import lanes
from pvectl.notify.deliver import Receiver
from pvectl.notify.endpoint import Endpoint
from pvectl.notify.message import Message
from pvectl.notify.outbox import drain
from pvectl.notify.phrasing import message_of
from pvectl.notify.result import Countdown, Delivered, Permanent, Retry
from pvectl.notify.webhook import Webhook
from pvectl.store import Store
from pvectl.store.alerts import Alerts
from pvectl.store.opening import open_to_alert
from tests.core.alerts import test_machine
from tests.core.alerts.test_machine import LIMITS, OBJECTS, RULES, TRUTHS, Disk
from tests.notify.desk import StandingClock, directory
from tests.support.machines import played
from tests.support.whole import WHOLE

HOOKS: dict[str, Receiver] = {name: Webhook(name=name, endpoint=Endpoint(url=Secret(f"https://{name}.invalid/"))) for name in LIMITS}
FAULTS = ("killed before it is written", "killed after it is written", "disk full")


class Killed(BaseException):
    """Nothing after this happens in this run."""


class Faulty(Alerts):
    """Alerts with a fault at the n-th write."""

    def __init__(self, store: Store, fault: str | None, at: int) -> None:
        super().__init__(store)
        self.fault = fault
        self.left = at
        self.within = False

    @contextmanager
    def transaction(self) -> Iterator[None]:
        if self.within:
            with super().transaction():
                yield
            return
        self.left -= 1
        now = self.left == 0
        self.within = True
        try:
            with super().transaction():
                yield
                if now and self.fault == FAULTS[0]:
                    raise Killed
                if now and self.fault == FAULTS[2]:
                    raise CannotWrite("the disk is full")
        finally:
            self.within = False
        if now and self.fault == FAULTS[1]:
            raise Killed


class Kept(test_machine.World):
    """The same world, its runs with the state file and the outbox as they are."""

    @initialize()
    def begin(self) -> None:
        super().begin()
        self.stack = ExitStack()
        self.place = self.stack.enter_context(directory())
        patch = self.stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(lanes, "deliver", self.deliver)
        # one after the other, so that a world is the same each time
        patch.setattr(lanes, "SIDE_BY_SIDE", 1)
        self.clock = StandingClock()
        self.known: dict[str, Notification] = {}
        self.lost = 0
        self.looked = False

    def teardown(self) -> None:
        if hasattr(self, "stack"):
            self.stack.close()

    @rule(fault=st.sampled_from(FAULTS), at=st.integers(1, 9), which=st.sampled_from(OBJECTS), to=st.sampled_from(TRUTHS))
    def a_write_fails(self, fault: str, at: int, which: tuple[str, str], to: str) -> None:
        self.truth[which] = to
        self.run_after(60, fault=fault, at=at)

    @rule(which=st.sampled_from(OBJECTS), fault=st.sampled_from(FAULTS), at=st.integers(1, 9))
    def something_lasts(self, which: tuple[str, str], fault: str, at: int) -> None:
        """Those who can be told are reminded of it, whatever happened to the run that told them first."""
        self.truth[which] = "critical"
        self.silences = ()
        self.run_after(600, fault=fault, at=at)
        began = self.now
        for _ in range(40):
            self.run_after(840)
        heard = [story for at, story in self.boxes["pager"].stories() if at > began and story.name == "/".join(which)]
        # told at first within two hours and once more after four, or twice again
        assert len(heard) >= 2, f"{which} lasts, and nobody is reminded"

    @rule(fault=st.sampled_from(FAULTS), at=st.integers(1, 9), times=st.integers(2, 6), which=st.sampled_from(OBJECTS))
    def writes_keep_failing(self, fault: str, at: int, times: int, which: tuple[str, str]) -> None:
        for turn in range(times):
            self.truth[which] = "critical" if turn % 2 else "warning"
            self.run_after(300, fault=fault, at=at)

    def run_after(self, seconds: int, *, killed_after: int | None = None, fault: str | None = None, at: int = 0) -> None:
        if killed_after is not None:
            # the third write is what became of the first message
            fault, at = FAULTS[0], killed_after + 3
        self.now += timedelta(seconds=seconds)
        self.clock.at = self.now
        # what a run saw that could not be written down, nobody saw: the next one comes so much later
        seconds += self.lost
        notebook = dict(self.bad_since), list(self.must_hear)
        self.look(seconds)
        self.looked = False
        with open_to_alert(self.place, "lab", self.clock) as store:
            book = Faulty(store, fault, at)
            try:
                whole = self.alert(book)
            except Killed:
                whole = False
            reader = Alerts(store)
            rows = reader.rows()
            self.disk = Disk(records=reader.records(), rows=rows, channels=reader.channels())
        self.lost = 0 if self.looked else seconds
        if not self.looked:
            self.bad_since, self.must_hear = notebook
        self.remember(rows)
        for check, name in self.truth:
            if whole and self.is_due(check, name, seconds):
                assert self.boxes["pager"].believes_bad(check, name), f"{check}/{name} is silent"

    def alert(self, book: Faulty) -> bool:
        """Whether all of the run could be written."""
        queued: tuple[Notification, ...] = ()
        try:
            with book.transaction():
                before, rows = book.records(), book.rows()
                after, queued, explanations = step(before, self.evaluation(), RULES, self.silences, self.now)
                assert {each.name for each in explanations} == set(after.incidents)
                book.write_records(before, after)
                book.write_rows(rows, [row for row in outbox.enqueued(rows, queued, self.now) if self.is_kept(row)])
            self.looked = True
        except CannotWrite:
            pass
        except Killed:
            self.looked = book.fault == FAULTS[1]
            raise
        finally:
            if self.looked:
                self.check(queued)
        try:
            drained = drain(
                book,
                HOOKS.__getitem__,
                LIMITS,
                words=self.words,
                clock=self.clock,
                deadline=Countdown(60),
                jitter=lambda: 0.5,
            )
        except CannotWrite:
            return False
        assert not [trouble for trouble in drained.troubles if "written" not in trouble]
        assert drained.waiting == sum(row.state is State.PENDING for row in book.rows())
        return self.looked and not drained.troubles

    def is_kept(self, row: Row) -> bool:
        return row.ended_at is None or self.now - row.ended_at < timedelta(hours=1)

    def remember(self, rows: tuple[Row, ...]) -> None:
        waiting = [(row.receiver, row.notification.incident) for row in rows if row.state is State.PENDING]
        single = [each for each in waiting if each[1] is not None]
        assert len(single) == len(set(single)), "two messages wait about one incident"
        for row in rows:
            if row.state is State.SENT and row.ended_at == self.now:
                for story in row.notification.stories:
                    self.last_success[row.receiver, story.incident] = self.now

    def words(self, notification: Notification) -> Message:
        self.known[notification.id] = notification
        return message_of(notification, UTC)

    def deliver(self, message: Message, receiver: Webhook, **_options: Any) -> Delivered | Retry | Permanent:
        answer: Answer = self.boxes[receiver.name].take(self.known[message.id], self.now)
        if answer.result is Result.ARRIVED:
            return Delivered()
        if answer.result is Result.RETRY:
            return Retry(reason=answer.error or "", after=answer.retry_after, maybe_delivered=answer.uncertain)
        return Permanent(reason=answer.error or "")


def test_whatever_write_fails_nobody_is_left_in_the_dark_or_told_twice() -> None:
    played(Kept, 3, 4)


@pytest.mark.slow
def test_whatever_write_fails_nobody_is_left_in_the_dark_or_told_twice_in_many_worlds() -> None:
    played(Kept, 200 if WHOLE else 12, 20)


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_each_write_of_a_run_may_fail(fault: str) -> None:
    """Every write in turn, of a run that tells several people of several things."""
    for at in range(1, 11):
        world = Kept()
        world.begin()
        world.run_after(300)
        world.truth = dict.fromkeys(OBJECTS, "critical")
        assert all(CHECKS[check].hold <= 1800 for check, _name in OBJECTS)
        for turn in range(9):
            world.run_after(300, fault=fault if turn in (0, 7) else None, at=at)
        world.everything_calms_down()
        for _ in range(16):
            world.run_after(840)
        for name, box in world.boxes.items():
            reminded = {story.name for _at, story in box.stories() if story.kind is Kind.REPEAT}
            assert reminded == {"/".join(which) for which in OBJECTS}, f"{name} is not reminded after a fault at write {at}"
        world.truth = dict.fromkeys(OBJECTS, "good")
        world.run_after(300, fault=fault, at=at)
        world.everything_calms_down()
        for box in world.boxes.values():
            assert not any(box.believes_bad(*which) for which in OBJECTS)
        world.teardown()


@pytest.mark.slow
def test_nothing_is_lost_when_a_receiver_is_away_for_a_day_and_every_third_run_dies() -> None:
    world = Kept()
    world.begin()
    world.run_after(300)
    mail = world.boxes["mail"]
    mail.mode = "fails"
    for turn in range(144):
        for number, which in enumerate(OBJECTS):
            world.truth[which] = "critical" if turn > 12 * number and (number % 2 or turn < 12 * number + 12) else "good"
        world.run_after(600, fault=FAULTS[turn % 2] if turn % 3 == 0 else None, at=1 + turn % 4)
    assert not mail.got
    world.everything_calms_down()
    heard = {story.name for _at, story in mail.stories()}
    assert heard == {"/".join(which) for which in OBJECTS}
    assert len(mail.got) <= 6
    world.teardown()
