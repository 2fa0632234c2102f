"""What waits is sent and written down, over real HTTP and with a real state file: before, after, and not at all."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from pvectl.core.alerts import outbox as due
from pvectl.core.alerts.incident import Kind
from pvectl.core.alerts.notification import Notification, digest
from pvectl.core.alerts.outbox import State
from pvectl.core.monitor.finding import Severity
from pvectl.errors import CannotWrite
from pvectl.notify.outbox import send_unkept
from pvectl.notify.result import Countdown
from pvectl.notify.smtp import Smtp
from pvectl.store import open_to_read
from pvectl.store.alerts import Alerts
from tests.core.alerts.runs import BAD, NOW
from tests.notify.desk import Desk, Failing, fresh, hook, ids, news, subjects
from tests.notify.listening import Heard, Listener, answering
from tests.notify.mailing import mail_server

Listen = Callable[..., Listener]
pytestmark = pytest.mark.usefixtures("no_thread_is_left")


class TestWrittenDown:
    def test_that_a_message_is_being_sent_is_on_disk_before_it_is(self, place: Path, listen: Listen) -> None:
        seen: list[list[bool]] = []

        def look(sock: socket.socket, listener: Listener, heard: Heard) -> None:
            with open_to_read(place, "lab", desk.clock) as store:
                seen.append(sorted(row.sending for row in Alerts(store).rows()))
            answering()(sock, listener, heard)

        desk = Desk(place, {"hook": hook(listen(look))})
        desk.queue(news(1), news(2))
        assert len(desk.drain().sent) == 2
        # what became of the first is on disk before the second leaves
        assert seen == [[True, True], [False, True]]
        assert [fresh(row) for row in desk.rows()] == [(State.SENT, 1, False, False)] * 2
        assert desk.channel().succeeded_at == NOW

    def test_what_arrived_is_known_to_its_incident(self, place: Path, listen: Listen) -> None:
        desk = Desk(place, {"hook": hook(listen())})
        assert len(desk.run(BAD).sent) == 1
        [incident] = desk.records().incidents.values()
        assert incident.told["hook"].delivered == 1
        assert incident.told["hook"].delivered_at == NOW
        assert desk.drain().tried == 0

    @pytest.mark.parametrize("died_in", [1, 2])
    def test_a_run_that_dies_sends_it_again_under_the_same_id_or_not_at_all(self, place: Path, listen: Listen, died_in: int) -> None:
        listener = listen()
        desk = Desk(place, {"hook": hook(listener)})
        desk.queue(news())
        desk.book_of = lambda store: Failing(store, died_in, error=KeyboardInterrupt)
        with pytest.raises(KeyboardInterrupt):
            desk.drain()
        assert len(listener.requests) == died_in - 1
        desk.book_of = Alerts
        assert len(desk.drain().sent) == 1
        assert len(set(ids(listener))) == 1
        assert len(listener.requests) == died_in

    @pytest.mark.slow
    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
    def test_a_process_that_is_ended_while_it_waits_for_an_answer_sends_it_again_under_the_same_id(
        self, place: Path, listen: Listen, number: signal.Signals
    ) -> None:
        heard_of = threading.Event()

        def hang(sock: socket.socket, listener: Listener, heard: Heard) -> None:
            heard_of.set()
            if len(listener.requests) == 1:
                listener.over.wait(60)
            answering()(sock, listener, heard)

        listener = listen(hang)
        desk = Desk(place, {"hook": hook(listener, timeout=60.0)})
        desk.queue(news(1), news(2))
        program = (
            "import sys; from pathlib import Path; from tests.notify.desk import *; from tests.notify.listening import *\n"
            "listener = Listener(int(sys.argv[2]), answering())\n"
            "print(Desk(Path(sys.argv[1]), {'hook': hook(listener, timeout=60.0)}).drain())"
        )
        root = Path(__file__).parents[2]
        with subprocess.Popen([sys.executable, "-c", program, str(place), str(listener.port)], cwd=root, stderr=subprocess.DEVNULL) as run:
            assert heard_of.wait(30)
            run.send_signal(number)
            # it does not wait for the receiver, which would take a minute
            assert run.wait(30) != 0
        assert [(row.state, row.sending) for row in desk.rows()] == [(State.PENDING, True)] * 2
        assert len(desk.drain().sent) == 2
        assert len(ids(listener)) == 3
        assert len(set(ids(listener))) == 2

    def test_what_was_sent_and_cannot_be_written_down_stops_its_receiver_alone(self, place: Path, listen: Listen) -> None:
        first, second = listen(), listen()
        desk = Desk(place, {"a": hook(first, "a"), "b": hook(second, "b")})
        desk.queue(*(news(number, receiver=name) for number in (1, 2) for name in ("a", "b")))
        # the second transaction is the first receiver's that answers
        desk.book_of = lambda store: Failing(store, 2)
        drained = desk.drain()
        assert len(drained.sent) == 2
        assert len(drained.failed) == 1
        [trouble] = drained.troubles
        assert "cannot be written down: the disk is full" in trouble
        stopped, other = sorted((first, second), key=lambda listener: len(listener.requests))
        assert (len(stopped.requests), len(other.requests)) == (1, 2)
        assert sorted(fresh(row) for row in desk.pending()) == [(State.PENDING, 0, False, False), (State.PENDING, 0, True, False)]
        desk.book_of = Alerts
        assert len(desk.drain().sent) == 2
        assert len(ids(stopped)) == 3
        assert len(set(ids(stopped))) == 2

    def test_what_cannot_be_written_before_it_is_sent_is_not_sent(self, place: Path, listen: Listen) -> None:
        listener = listen()
        desk = Desk(place, {"hook": hook(listener)})
        desk.queue(news())
        desk.book_of = lambda store: Failing(store, 1)
        with pytest.raises(CannotWrite):
            desk.drain()
        assert not listener.requests
        assert [fresh(row) for row in desk.rows()] == [(State.PENDING, 0, False, False)]

    def test_that_the_last_word_cannot_be_written_is_said(self, place: Path, listen: Listen) -> None:
        desk = Desk(place, {"hook": hook(listen(answering("503 Busy")))})
        desk.queue(news(1), news(2))
        desk.book_of = lambda store: Failing(store, 3)
        drained = desk.drain()
        assert drained.troubles == ("the outbox cannot be written: the disk is full",)
        assert drained.waiting == 2

    def test_what_an_administrator_drops_meanwhile_stays_dropped(self, place: Path, listen: Listen) -> None:
        def drop(sock: socket.socket, listener: Listener, heard: Heard) -> None:
            desk.beside(lambda row: due.dropped(row, desk.clock.now()))
            answering("503 Busy" if len(listener.requests) == 1 else "200 OK")(sock, listener, heard)

        listener = listen(drop)
        desk = Desk(place, {"hook": hook(listener)})
        desk.queue(news(1), news(2))
        drained = desk.drain()
        assert (drained.sent, drained.failed, drained.waiting) == ((), (), 0)
        assert [row.state for row in desk.rows()] == [State.DROPPED] * 2
        assert len(listener.requests) == 1

    @pytest.mark.parametrize(("status", "sent"), [("200 OK", 1), ("422 No", 0), ("401 Who", 0)])
    def test_what_is_dropped_while_it_is_sent_stays_dropped_however_that_ends(
        self, place: Path, listen: Listen, status: str, sent: int
    ) -> None:
        def drop(sock: socket.socket, listener: Listener, heard: Heard) -> None:
            desk.beside(lambda row: due.dropped(row, desk.clock.now()))
            answering(status)(sock, listener, heard)

        desk = Desk(place, {"hook": hook(listen(drop))})
        desk.queue(news())
        # another refusal would be its end
        desk.beside(lambda row: replace(row, attempts=2))
        drained = desk.drain()
        assert (len(drained.sent), drained.failed, drained.dead) == (sent, (), ())
        assert [fresh(row) for row in desk.rows()] == [(State.DROPPED, 2, True, False)]
        assert (desk.channel().succeeded_at is not None) is bool(sent)

    def test_what_is_dropped_while_its_predecessor_is_sent_is_not_sent(self, place: Path, listen: Listen) -> None:
        def drop(sock: socket.socket, listener: Listener, heard: Heard) -> None:
            desk.beside(lambda row: due.dropped(row, desk.clock.now()) if row.attempts == 0 else row)
            answering()(sock, listener, heard)

        listener = listen(drop)
        desk = Desk(place, {"hook": hook(listener)})
        desk.queue(news(1), news(2), news(3))
        assert len(desk.drain().sent) == 1
        assert len(listener.requests) == 1
        # it did arrive, and its incident has to know
        assert desk.channel().succeeded_at is not None

    def test_a_message_that_was_not_accepted_by_everybody_says_so(self, place: Path) -> None:
        with mail_server() as mailbox:
            mailbox.refused["gone@lan"] = "550 no such user"
            desk = Desk(
                place,
                {
                    "mail": Smtp(
                        name="mail",
                        host="127.0.0.1",
                        port=mailbox.port,
                        sender="pvectl@lan",
                        recipients=("ann@lan", "gone@lan"),
                        security="plain",
                    )
                },
            )
            desk.queue(news(receiver="mail"))
            drained = desk.drain()
        assert drained.troubles == ("receiver mail: gone@lan was refused: 550 no such user",)
        assert drained.sent[0].error == "gone@lan was refused: 550 no such user"
        assert desk.rows() == drained.sent

    def test_what_is_queued_meanwhile_is_sent_too_unless_its_receiver_failed(self, place: Path, listen: Listen) -> None:
        def another(sock: socket.socket, listener: Listener, heard: Heard) -> None:
            if len(listener.requests) == 1:
                desk.queue_beside(news(2), news(2, receiver="fails"), news(2, receiver="picky"))
            answering()(sock, listener, heard)

        works, fails, picky = listen(another), listen(answering("503 Busy")), listen(answering("422 No"))
        desk = Desk(place, {"fails": hook(fails, "fails"), "picky": hook(picky, "picky"), "hook": hook(works)})
        desk.queue(news(1), news(1, receiver="fails"), news(1, receiver="picky"))
        drained = desk.drain()
        assert (len(drained.sent), len(drained.failed), drained.waiting) == (2, 2, 4)
        assert [len(each.requests) for each in (works, fails, picky)] == [2, 1, 1]

    def test_that_more_cannot_be_written_down_loses_nothing(self, place: Path, listen: Listen) -> None:
        desk = Desk(place, {"hook": hook(listen())})
        desk.queue(news())
        desk.book_of = lambda store: Failing(store, 3)
        drained = desk.drain()
        assert (len(drained.sent), drained.waiting) == (1, 0)
        assert drained.troubles == ("the outbox cannot be written: the disk is full",)


class TestUnkept:
    def send(self, desk: Desk, *notifications: Notification, seconds: float = 60) -> tuple[list[str], dict[str, str], tuple[str, ...]]:
        unkept = send_unkept(notifications, desk.receiver_of, words=desk.words, clock=desk.clock, deadline=Countdown(seconds))
        return sorted(each.id for each in unkept.sent), dict(unkept.failed), unkept.troubles

    def test_what_is_critical_is_sent_although_nothing_can_be_written(self, place: Path, listen: Listen) -> None:
        listener = listen()
        desk = Desk(place, {"hook": hook(listener)})
        told = (news(1), news(2, severity=Severity.WARNING), news(3, Kind.RESOLVED), news(4))
        sent, failed, troubles = self.send(desk, *told)
        assert sent == sorted(ids(listener)) == sorted((told[0].id, told[3].id))
        assert (failed, troubles) == ({}, ())
        assert not list(place.iterdir())

    def test_a_first_look_with_something_critical_is_sent_too(self, place: Path, listen: Listen) -> None:
        listener = listen()
        desk = Desk(place, {"hook": hook(listener)})
        stories = [news(1, severity=Severity.WARNING).stories[0], news(2).stories[0]]
        self.send(desk, digest(stories, "hook", Kind.BASELINE, cluster="lab", made_at=NOW))
        assert subjects(listener) == ["2 problems at the first look: 1 critical, 1 warning [lab]"]

    def test_who_cannot_be_told_is_left_alone_and_named(self, place: Path, listen: Listen) -> None:
        failing, picky, working = listen(answering("503 Busy")), listen(answering("422 No")), listen()
        desk = Desk(place, {"a": hook(failing, "a"), "b": hook(picky, "b"), "c": hook(working, "c")})
        sent, failed, _troubles = self.send(desk, *(news(number, receiver=name) for number in range(3) for name in "abc"))
        assert len(sent) == 3
        assert failed == {"a": "HTTP 503 Service Unavailable", "b": "HTTP 422 Unprocessable Entity"}
        assert [len(each.requests) for each in (failing, picky, working)] == [1, 3, 3]

    def test_when_time_is_up_it_says_who_was_not_told(self, place: Path, listen: Listen) -> None:
        desk = Desk(place, {"hook": hook(listen())})
        assert self.send(desk, news(), seconds=0) == ([], {"hook": "time was up"}, ())

    def test_what_a_person_should_know_of_an_attempt_is_passed_on(self, place: Path) -> None:
        with mail_server() as mailbox:
            mailbox.refused["gone@lan"] = "550 no"
            smtp = Smtp(name="m", host="127.0.0.1", port=mailbox.port, sender="p@lan", recipients=("ann@lan", "gone@lan"), security="plain")
            _sent, _failed, troubles = self.send(Desk(place, {"m": smtp}), replace(news(), receiver="m"))
        assert troubles == ("receiver m: gone@lan was refused: 550 no",)
