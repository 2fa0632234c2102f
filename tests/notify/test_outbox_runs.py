"""What becomes of messages run after run: back-off, giving up, summing up, and who hears of a receiver that does not work."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from pvectl.core.alerts.notification import notice
from pvectl.core.alerts.outbox import Limit, State
from pvectl.core.monitor.finding import Severity
from tests.core.alerts.runs import BAD, FINE, NOW, bad, saw
from tests.notify.desk import Desk, hook, ids, news, subjects
from tests.notify.listening import Heard, Listener, answering, in_turn

Listen = Callable[..., Listener]
BUSY = answering("429 Too Many Requests", Retry_After="90")
pytestmark = pytest.mark.usefixtures("no_thread_is_left")


class TestAcrossRuns:
    @pytest.mark.slow
    def test_a_day_of_failures_is_asked_ever_more_rarely_and_then_all_of_it_arrives(self, place: Path, listen: Listen) -> None:
        away = threading.Event()
        away.set()

        def answer(sock: socket.socket, listener: Listener, heard: Heard) -> None:
            answering("503 Busy" if away.is_set() else "200 OK")(sock, listener, heard)

        listener = listen(answer)
        desk = Desk(place, {"hook": hook(listener)})
        desk.run(FINE)
        desk.run(BAD)
        tries = [desk.clock.now()]
        for turn in range(144):
            desk.clock.go(minutes=10)
            desk.jitter = turn % 11 / 10
            if desk.run(BAD).tried:
                tries.append(desk.clock.now())
        gaps = [(after - before).total_seconds() for before, after in pairwise(tries)]
        assert gaps[0] == 600
        assert max(gaps) <= 3600 + 600
        assert 20 <= len(tries) <= 30
        # one message all the while: no repeat is made of what has not arrived
        assert len(set(ids(listener))) == 1
        away.clear()
        desk.clock.go(minutes=70)
        assert len(desk.run(BAD).sent) == 1
        assert desk.pending() == []

    @pytest.mark.slow
    def test_what_flaps_for_six_hours_makes_no_more_than_three_messages(self, place: Path, listen: Listen) -> None:
        listener = listen()
        desk = Desk(place, {"hook": hook(listener)})
        desk.run(FINE)
        for minute in range(360):
            desk.clock.go(minutes=1)
            desk.run(BAD if minute // 2 % 2 == 0 else FINE)
        assert 1 <= len(listener.requests) <= 3
        assert desk.pending() == []
        for _ in range(70):
            desk.clock.go(minutes=1)
            desk.run(FINE)
        assert listener.requests[-1].json()["status"] == "resolved"
        assert len(listener.requests) <= 4

    def test_what_came_and_went_while_nobody_could_be_told_is_told_as_such(self, place: Path, listen: Listen) -> None:
        # refused before anything was sent: surely nobody knows
        listener = listen(in_turn(BUSY, answering()))
        desk = Desk(place, {"hook": hook(listener)})
        desk.run(FINE)
        for minutes, evaluation in ((0, BAD), (1, FINE), (6, FINE), (1, FINE)):
            desk.clock.go(minutes=minutes)
            desk.run(evaluation)
        assert subjects(listener)[1:] == ["came and went: disk/pve1/sda is bad [lab]"]

    def test_after_three_days_a_message_is_given_up_and_the_incident_is_told_anew_later(self, place: Path, listen: Listen) -> None:
        listener = listen(answering("503 Busy"))
        desk = Desk(place, {"hook": hook(listener)})
        desk.run(FINE)
        desk.run(BAD)
        desk.clock.go(days=3)
        assert desk.run(BAD).dead == ()
        desk.clock.go(hours=1)
        drained = desk.run(BAD)
        assert drained.tried == 0
        [dead] = drained.dead
        assert dead.state is State.DEAD
        assert dead.error == "HTTP 503 Service Unavailable"
        incident = desk.records().incidents["disk.smart/disk/pve1/sda"]
        assert incident.told["hook"].given_up_at == desk.clock.now()
        desk.clock.go(hours=4)
        assert desk.run(BAD).tried == 1

    def test_what_exceeds_the_limit_comes_in_one_and_the_most_urgent_singly(self, place: Path, listen: Listen) -> None:
        listener = listen()
        desk = Desk(place, {"hook": hook(listener)}, hook=Limit(per_hour=2, burst=3))
        desk.queue(*(news(number, severity=Severity.WARNING) for number in range(10)), news(77), news(78))
        drained = desk.drain()
        assert len(drained.sent) == 3
        assert drained.waiting == 0
        assert sorted(subjects(listener)[:2]) == ["disk/pve1/77 is bad [lab]", "disk/pve1/78 is bad [lab]"]
        assert subjects(listener)[2] == "10 messages in one: 10 warnings [lab]"
        assert len(listener.requests[2].json()["parts"]) == 10
        desk.queue(news(99))
        assert desk.drain().tried == 0
        desk.clock.go(minutes=30)
        assert len(desk.drain().sent) == 1

    def test_a_receiver_that_is_broken_is_told_through_the_other_and_never_through_itself(self, place: Path, listen: Listen) -> None:
        gone, works = listen(answering("410 Gone")), listen()
        desk = Desk(place, {"a": hook(gone, "a"), "b": hook(works, "b")})
        desk.run(FINE)
        drained = desk.run(BAD)
        assert drained.broken == {"a": "HTTP 410 Gone"}
        desk.clock.go(minutes=1)
        desk.run(BAD)
        assert subjects(works) == ["disk/pve1/sda is bad [lab]", "receiver a takes no messages: HTTP 410 Gone [lab]"]
        assert len(gone.requests) == 1
        gone.act = answering()
        desk.clock.go(hours=1)
        assert desk.run(BAD).broken == {}
        for _ in range(6):
            desk.clock.go(minutes=5)
            desk.run(BAD)
        assert "receiver a takes no messages: HTTP 410 Gone" in subjects(works)[-1]
        assert works.requests[-1].json()["status"] == "resolved"
        assert not [subject for subject in subjects(gone) if "receiver" in subject]

    def test_what_waits_for_a_receiver_that_is_no_more_is_dropped_and_told_anew_when_it_comes_back(
        self, place: Path, listen: Listen
    ) -> None:
        listener = listen(in_turn(answering("401 Who"), answering()))
        desk = Desk(place, {"hook": hook(listener)})
        desk.run(FINE)
        desk.run(BAD)
        limits, desk.limits = desk.limits, {}
        drained = desk.drain()
        assert (drained.waiting, drained.broken) == (0, {})
        assert [row.state for row in desk.rows()] == [State.DROPPED]
        desk.limits = limits
        desk.clock.go(hours=4)
        assert len(desk.run(BAD).sent) == 1

    def test_a_notice_that_came_too_late_is_not_sent(self, place: Path, listen: Listen) -> None:
        listener = listen()
        desk = Desk(place, {"hook": hook(listener)})
        until = NOW + timedelta(minutes=5)
        desk.queue(
            notice("hook", "pve2 goes off in 5 minutes", "pvectl hold add pve2", cluster="lab", key="k", made_at=NOW, expires_at=until)
        )
        desk.clock.go(minutes=5)
        assert desk.drain().waiting == 0
        assert not listener.requests

    def test_only_the_receivers_asked_for_are_told(self, place: Path, listen: Listen) -> None:
        first, second = listen(), listen()
        desk = Desk(place, {"a": hook(first, "a"), "b": hook(second, "b")})
        desk.queue(news(receiver="a"), news(receiver="b"))
        drained = desk.drain(only={"b"})
        assert len(drained.sent) == len(second.requests) == 1
        assert drained.waiting == 0
        assert not first.requests
        assert [row.receiver for row in desk.pending()] == ["a"]

    def test_a_digest_that_arrived_tells_all_its_incidents(self, place: Path, listen: Listen) -> None:
        listener = listen()
        desk = Desk(place, {"hook": hook(listener)})
        drained = desk.run(saw(*(bad(object=f"disk/pve1/{number}") for number in range(40))))
        assert len(drained.sent) == len(listener.requests) == 1
        assert subjects(listener) == ["40 problems at the first look: 40 critical [lab]"]
        assert all(incident.told["hook"].delivered == 1 for incident in desk.records().incidents.values())
