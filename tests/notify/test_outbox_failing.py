"""Receivers that fail in every way there is, and what a drain makes of it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from datetime import UTC
from pathlib import Path

import pytest

from pvectl.core.alerts import outbox as due
from pvectl.core.alerts.notification import Notification
from pvectl.core.alerts.outbox import Limit, Result, State
from pvectl.errors import ConfigError
from pvectl.notify import lanes
from pvectl.notify.lanes import answered
from pvectl.notify.message import Message
from pvectl.notify.phrasing import message_of
from pvectl.notify.result import Delivered, Permanent, Retry
from pvectl.store import Store
from tests.core.alerts.runs import bad, saw
from tests.notify.desk import Desk, Failing, NoTime, fresh, hook, ids, news
from tests.notify.listening import Act, Heard, Listener, answering, in_turn, nobody, saying

Listen = Callable[..., Listener]
BUSY = answering("429 Too Many Requests", Retry_After="90")
HANG = saying(then="hang")
pytestmark = pytest.mark.usefixtures("no_thread_is_left")


class TestFailing:
    @pytest.mark.parametrize(
        ("act", "uncertain", "wait"),
        [
            (BUSY, False, 90 * 1.1),
            (answering("500 Oops"), True, 30),
            (answering("503 Busy", Retry_After="3600"), True, 3600 * 1.1),
            (answering("408 Too Slow"), False, 30),
            (HANG, True, 30),
            (saying(then="close"), True, 30),
            (saying(b"HTTP/1.1 2", then="reset"), True, 30),
            (saying(then="reset"), True, 30),
            (saying(b"garbage\r\n\r\n", then="close"), True, 30),
        ],
        ids=["429", "500", "503-later", "408", "hang", "close", "reset-in-answer", "reset-after-body", "garbage"],
    )
    def test_what_may_pass_is_tried_again_later(self, place: Path, listen: Listen, act: Act, uncertain: bool, wait: float) -> None:
        listener = listen(in_turn(act, answering()))
        desk = Desk(place, {"hook": hook(listener, timeout=1.0 if act is HANG else 10.0)})
        desk.queue(news())
        drained = desk.drain()
        desk.receivers["hook"] = hook(listener)
        assert [fresh(row) for row in drained.failed] == [(State.PENDING, 1, False, uncertain)]
        assert drained.failed[0].error
        assert drained.broken == {}
        assert drained.waiting == 1
        desk.clock.go(seconds=wait - 1)
        assert desk.drain().tried == 0
        desk.clock.go(seconds=1)
        assert len(desk.drain().sent) == 1
        assert len(listener.requests) == 2
        assert len(set(ids(listener))) == 1

    def test_nobody_listening_is_tried_again_later_and_nothing_may_have_arrived(self, place: Path) -> None:
        with nobody() as port:
            desk = Desk(place, {"hook": hook(Listener(port, answering()))})
            desk.queue(news())
            assert [fresh(row) for row in desk.drain().failed] == [(State.PENDING, 1, False, False)]

    @pytest.mark.parametrize("status", ["301 Moved", "401 Who", "403 No", "404 Where", "405 How", "410 Gone"])
    def test_what_only_an_administrator_can_mend_is_told_at_once(self, place: Path, listen: Listen, status: str) -> None:
        listener = listen(in_turn(answering(status, Location="http://127.0.0.1:9/"), answering()))
        desk = Desk(place, {"hook": hook(listener)})
        desk.queue(news(1), news(2))
        drained = desk.drain()
        assert set(drained.broken) == {"hook"}
        assert status[:3] in drained.broken["hook"]
        assert len(listener.requests) == 1
        # nothing is lost, and nobody is asked more than once an hour
        assert [row.state for row in desk.rows()] == [State.PENDING] * 2
        desk.clock.go(seconds=3599)
        assert desk.drain().tried == 0
        assert desk.drain().broken == drained.broken
        desk.clock.go(seconds=1)
        mended = desk.drain()
        assert len(mended.sent) == 2
        assert mended.broken == {}

    def test_what_cannot_be_set_up_is_told_at_once_and_nothing_is_sent(self, place: Path, listen: Listen) -> None:
        listener = listen()
        desk = Desk(place, {"hook": ConfigError("receivers.hook.url: the file cannot be read"), "b": hook(listener, "b")})
        desk.queue(news(1), news(1, receiver="b"))
        drained = desk.drain()
        assert drained.broken == {"hook": "receivers.hook.url: the file cannot be read"}
        assert len(drained.sent) == len(listener.requests) == 1

    def test_what_is_refused_because_of_itself_is_given_up_after_three_times_and_the_rest_goes_through(
        self, place: Path, listen: Listen
    ) -> None:
        def picky(sock: socket.socket, listener: Listener, heard: Heard) -> None:
            answering("422 No" if heard.json()["subject"].startswith("disk/pve1/1 ") else "200 OK")(sock, listener, heard)

        listener = listen(picky)
        desk = Desk(place, {"hook": hook(listener)})
        desk.run(saw(bad(object="disk/pve1/0")))
        desk.clock.go(minutes=5)
        drained = desk.run(saw(*(bad(object=f"disk/pve1/{number}") for number in range(4))))
        assert (len(drained.sent), len(drained.failed), drained.dead) == (2, 1, ())
        for _ in range(2):
            desk.clock.go(minutes=1)
            drained = desk.drain()
        assert [row.error for row in drained.dead] == ["HTTP 422 Unprocessable Entity"]
        assert drained.broken == {}
        incident = desk.records().incidents["disk.smart/disk/pve1/1"]
        assert incident.told["hook"].given_up_at == desk.clock.now()

    def test_the_first_failure_is_the_last_attempt_of_this_run(self, place: Path, listen: Listen) -> None:
        failing, working = listen(answering("503 Busy")), listen()
        desk = Desk(place, {"a": hook(failing, "a"), "b": hook(working, "b")})
        desk.queue(*(news(number, receiver=name) for number in range(5) for name in ("a", "b")))
        drained = desk.drain()
        assert (len(failing.requests), len(working.requests)) == (1, 5)
        assert (len(drained.sent), len(drained.failed), drained.waiting, drained.tried) == (5, 1, 5, 6)
        assert sorted(fresh(row) for row in desk.pending()) == [*[(State.PENDING, 0, False, False)] * 4, (State.PENDING, 1, False, True)]

    def test_a_receiver_that_hangs_takes_only_its_own_time(self, place: Path, listen: Listen) -> None:
        all_there = threading.Event()

        def patient(sock: socket.socket, listener: Listener, heard: Heard) -> None:
            assert all_there.wait(10)
            answering()(sock, listener, heard)

        def quick(sock: socket.socket, listener: Listener, heard: Heard) -> None:
            if len(listener.requests) == 5:
                all_there.set()
            answering()(sock, listener, heard)

        slow, fast = listen(patient), listen(quick)
        desk = Desk(place, {"a": hook(slow, "a"), "b": hook(fast, "b")})
        desk.queue(*(news(number, receiver=name) for number in range(5) for name in ("a", "b")))
        assert len(desk.drain().sent) == 10

    def test_many_receivers_are_told_at_most_eight_at_a_time(self, place: Path, listen: Listen) -> None:
        lock, there, most = threading.Lock(), [0], [0]
        eight = threading.Barrier(lanes.SIDE_BY_SIDE)

        def count(sock: socket.socket, listener: Listener, heard: Heard) -> None:
            with lock:
                there[0] += 1
                most[0] = max(most[0], there[0])
                number = len(listener.requests)
            if number <= lanes.SIDE_BY_SIDE and eight.wait(10) == 0:
                most[0] = max(most[0], sum(thread.name.startswith("tell ") for thread in threading.enumerate()))
            with lock:
                there[0] -= 1
            answering()(sock, listener, heard)

        listener = listen(count)
        desk = Desk(place, {f"r{number}": hook(listener, f"r{number}") for number in range(12)})
        desk.queue(*(news(receiver=name) for name in desk.receivers))
        assert len(desk.drain().sent) == 12
        assert most[0] == lanes.SIDE_BY_SIDE

    def test_when_time_is_up_nothing_more_begins(self, place: Path, listen: Listen) -> None:
        listener = listen()
        desk = Desk(place, {"hook": hook(listener)})
        desk.queue(news(1), news(2))
        drained = desk.drain(deadline=NoTime())
        assert (drained.tried, drained.waiting) == (0, 2)
        assert [fresh(row) for row in desk.rows()] == [(State.PENDING, 0, False, False)] * 2
        assert listener.connections == 0

    def test_an_attempt_that_does_not_end_is_left_behind_and_made_again(
        self, place: Path, listen: Listen, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lanes, "_GRACE_S", 0.0)
        ends, still_there = threading.Event(), threading.Event()
        listener, works = listen(), listen()
        desk = Desk(place, {"hook": hook(listener), "b": hook(works, "b")})
        desk.queue(news(1), news(2), news(3, receiver="b"))
        books: list[Failing] = []

        def watched(store: Store) -> Failing:
            books.append(Failing(store))
            return books[-1]

        def stuck(notification: Notification) -> Message:
            if notification.receiver == "hook":
                still_there.set()
                ends.wait(10)
            assert still_there.wait(10)
            return message_of(notification, UTC)

        class UntilStuck:
            def left(self) -> float:
                # the second write is that the other receiver took its message
                return 0.0 if still_there.is_set() and books[0].count >= 2 and not ends.is_set() else 60.0

        desk.words, desk.book_of = stuck, watched
        drained = desk.drain(deadline=UntilStuck())
        assert drained.troubles == ("receiver hook did not answer before time was up",)
        assert len(drained.sent) == len(works.requests) == 1
        assert [fresh(row) for row in drained.failed] == [(State.PENDING, 0, True, False)]
        assert sorted(row.sending for row in desk.pending()) == [False, True]
        ends.set()
        for thread in threading.enumerate():
            if thread.name.startswith("tell "):
                thread.join(10)
        # the time of the run it belonged to is over
        assert not listener.requests
        desk.words = lambda notification: message_of(notification, UTC)
        assert len(desk.drain().sent) == 2

    def test_a_fault_of_our_own_is_about_one_message_and_keeps_its_words_to_itself(self, place: Path, listen: Listen) -> None:
        def faulty(notification: Notification) -> Message:
            if notification.stories[0].finding.object == "disk/pve1/1":
                raise ValueError("hunter2")
            return message_of(notification, UTC)

        desk = Desk(place, {"hook": hook(listen())})
        desk.words = faulty
        desk.queue(news(1), news(2))
        drained = desk.drain()
        assert len(drained.sent) == 1
        assert drained.failed[0].error is not None
        assert drained.failed[0].error.startswith("it cannot be put into words, a fault of pvectl: ValueError in faulty, line ")
        for _ in range(2):
            drained = desk.drain()
        assert [row.state for row in drained.dead] == [State.DEAD]

    def test_a_receiver_with_a_fault_of_our_own_needs_a_person(self, place: Path, listen: Listen) -> None:
        listener = listen()
        desk = Desk(place, {"b": hook(listener, "b")}, a=Limit())
        desk.queue(news(receiver="a"), news(receiver="b"))
        drained = desk.drain()
        assert drained.broken["a"].startswith("it cannot be set up, a fault of pvectl: KeyError in receiver_of, line ")
        assert len(drained.sent) == 1

    def test_a_fault_in_the_middle_of_sending_may_have_come_after_it(
        self, place: Path, listen: Listen, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_args: object, **_options: object) -> None:
            raise LookupError("hunter2")

        monkeypatch.setattr(lanes, "deliver", broken)
        desk = Desk(place, {"hook": hook(listen())})
        desk.queue(news())
        [row] = desk.drain().failed
        assert fresh(row) == (State.PENDING, 1, False, True)
        assert row.error == "it cannot be sent, a fault of pvectl: LookupError in broken, line " + row.error.rpartition(" ")[2]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("outcome", "result", "uncertain", "after", "error"),
    [
        (Delivered(detail="fine"), Result.ARRIVED, False, None, None),
        (Retry(reason="busy", after=9.0), Result.RETRY, False, 9.0, "busy"),
        (Retry(reason="reset", maybe_delivered=True), Result.RETRY, True, None, "reset"),
        (Permanent(reason="401"), Result.MISCONFIGURED, False, None, "401"),
        (Permanent(reason="too large", of_message=True), Result.REJECTED, False, None, "too large"),
    ],
)
def test_what_a_channel_says_means_this_for_the_outbox(
    outcome: Delivered | Retry | Permanent, result: Result, uncertain: bool, after: float | None, error: str | None
) -> None:
    assert answered(outcome) == due.Answer(result=result, uncertain=uncertain, retry_after=after, error=error)
