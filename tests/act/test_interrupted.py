from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from pvectl import act, observe
from pvectl.act.guests import Doorway, begin
from pvectl.act.ledger import Ledger
from pvectl.act.tags import retag
from pvectl.core import shutdown, tagging
from pvectl.core.model import Guest
from pvectl.core.plan import Outcome, OutcomeStatus, Plan
from pvectl.core.tagging import Edit
from pvectl.errors import DeadlineExceeded
from tests.support.labs import Lab, lab

AGES = 100_000
NEVER_ASKED = "interrupted before it was its turn: nothing was changed"


def guest(vmid: int = 100, **manners: Any) -> dict[str, Any]:
    return {
        "vmid": vmid,
        "type": "qemu",
        "node": "pve1",
        "name": f"vm{vmid}",
        "status": "running",
        "tags": "a",
        "shutdown_s": AGES,
    } | manners


def world(*guests: dict[str, Any]) -> dict[str, Any]:
    return {"nodes": {"pve1": {}}, "guests": list(guests)}


def to_shut_down(one: Lab) -> Plan:
    return shutdown.plan(observe.look(one.client, one.clock).guests, timeout=AGES, now=one.clock.now())


def to_retag(one: Lab) -> Plan:
    return tagging.plan(observe.look(one.client, one.clock).guests, Edit(add=("web",)), now=one.clock.now())


def results(outcomes: tuple[Outcome, ...]) -> list[tuple[OutcomeStatus, str | None]]:
    return [(outcome.status, outcome.error) for outcome in outcomes]


class Settling:
    """`begun` is set when Ctrl-C has reached the act: nothing may leave from then on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun = threading.Event()
        interrupt = Ledger.interrupt

        def told(ledger: Ledger) -> None:
            wait_for = ledger._settled.wait_for

            def begun(*what: Any, **how: Any) -> Any:
                self.begun.set()
                return wait_for(*what, **how)

            monkeypatch.setattr(ledger._settled, "wait_for", begun)
            interrupt(ledger)

        monkeypatch.setattr(Ledger, "interrupt", told)

    def press_ctrl_c(self) -> None:
        """As a terminal would, from a thread that is not the main one."""
        main = threading.main_thread().ident
        assert main is not None
        signal.pthread_kill(main, signal.SIGINT)
        assert self.begun.wait(20)


@pytest.fixture
def settling(monkeypatch: pytest.MonkeyPatch) -> Iterator[Settling]:
    monkeypatch.setattr("pvectl.act.ledger._SETTLE_S", 30)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield Settling(monkeypatch)
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C waits for nothing: the threads come back after the report."""
    monkeypatch.setattr("pvectl.act.ledger._SETTLE_S", 0)


def test_ctrl_c_while_requests_are_on_their_way_waits_for_their_answers(settling: Settling) -> None:
    with lab(world(guest(), guest(101))) as one:
        original = one.client.shutdown

        def pressed_meanwhile(asked: Guest, **how: Any) -> Any:
            if asked.vmid == 100:
                settling.press_ctrl_c()
            return original(asked, **how)

        one.client.shutdown = pressed_meanwhile  # type: ignore[method-assign, assignment]
        outcomes = act.carry_out(to_shut_down(one), one.client, one.clock)
        assert results(outcomes)[0] == (OutcomeStatus.STARTED, "interrupted: its task goes on, and nobody waits for it")
        assert outcomes[1].status in (OutcomeStatus.STARTED, OutcomeStatus.SKIPPED)
        assert len(one.wrote()) == len([outcome for outcome in outcomes if outcome.upid])


def test_s19_ctrl_c_while_guests_are_looked_at_again_asks_none_of_them(settling: Settling) -> None:
    with lab(world(guest(), guest(101))) as one:
        look, both = one.client.guest_now, threading.Barrier(2)

        def pressed_meanwhile(asked: Guest) -> Any:
            now = look(asked)
            both.wait(20)
            if asked.vmid == 100:
                settling.press_ctrl_c()
            assert settling.begun.wait(20)
            return now

        one.client.guest_now = pressed_meanwhile  # type: ignore[method-assign, assignment]
        outcomes = act.carry_out(to_shut_down(one), one.client, one.clock)
        assert results(outcomes) == [(OutcomeStatus.SKIPPED, NEVER_ASKED)] * 2
        assert one.wrote() == []
        assert act.interrupted(outcomes)


@pytest.mark.usefixtures("hasty")
def test_a_guest_whose_last_look_ends_after_the_report_is_not_asked() -> None:
    with lab(world(guest())) as one:
        ledger = Ledger(to_shut_down(one).actions)
        look, reported = one.client.guest_now, []

        def reported_meanwhile(asked: Guest) -> Any:
            now = look(asked)
            ledger.interrupt()
            reported.extend(results(ledger.outcomes()))
            return now

        one.client.guest_now = reported_meanwhile  # type: ignore[method-assign, assignment]
        begin(ledger, 0, doorway(one))
        assert reported == results(ledger.outcomes()) == [(OutcomeStatus.SKIPPED, NEVER_ASKED)]
        assert one.wrote() == []


@pytest.mark.usefixtures("hasty")
def test_a_guest_whose_configuration_comes_after_the_report_keeps_its_tags() -> None:
    with lab(world(guest())) as one:
        read = one.client.guest_config
        ledger = Ledger(to_retag(one).actions)

        def reported_meanwhile(asked: Guest) -> Any:
            ledger.interrupt()
            assert results(ledger.outcomes()) == [(OutcomeStatus.SKIPPED, NEVER_ASKED)]
            return read(asked)

        one.client.guest_config = reported_meanwhile  # type: ignore[method-assign, assignment]
        begin(ledger, 0, doorway(one))
        assert results(ledger.outcomes()) == [(OutcomeStatus.SKIPPED, NEVER_ASKED)]
        assert one.wrote() == []


@pytest.mark.usefixtures("hasty")
def test_ctrl_c_between_two_attempts_at_an_edit_changes_nothing_and_says_so() -> None:
    with lab(world(guest())) as one:
        ledger = Ledger(to_retag(one).actions)
        one.server.fault(
            "status", method="PUT", path="*/config", code=500, reason="checksum mismatch (file change by other user?)", times=1
        )
        reported = []

        def pressed(_naps: int) -> None:
            ledger.interrupt()
            reported.extend(results(ledger.outcomes()))

        one.clock.before_sleep = pressed
        begin(ledger, 0, doorway(one))
        assert reported == results(ledger.outcomes()) == [(OutcomeStatus.SKIPPED, NEVER_ASKED)]
        assert len(one.wrote()) == 1
        assert one.cluster.guest(100).tags == "a"


def doorway(one: Lab) -> Doorway:
    return Doorway(
        client=one.client,
        clock=one.clock,
        retag=lambda action, gate: retag(action, gate, client=one.client, clock=one.clock, raw_tags=dict, case_sensitive=False),
    )


@pytest.mark.parametrize("verb", ["node_guests", "active_tasks", "task"])
def test_s29_the_first_answer_that_comes_too_late_ends_the_waiting_for_every_guest(verb: str) -> None:
    with lab(world(*(guest(vmid) for vmid in range(100, 120)))) as one:

        def too_late(_of: Any) -> Any:
            raise DeadlineExceeded("no answer within the 6 s this run may take")

        one.server.fault("status", path="/nodes/pve1/tasks", code=500, reason="so that single tasks are asked for")
        setattr(one.client, verb, too_late)
        told: list[int] = []
        outcomes = act.carry_out(
            to_shut_down(one), one.client, one.clock, parallel=4, progress=lambda outcome: told.append(outcome.action.guest.vmid)
        )
        words = "its task goes on, and nobody waits for it: no answer within the 6 s this run may take"
        assert set(results(outcomes)) == {(OutcomeStatus.TIMED_OUT, words)}
        assert sorted(told) == list(range(100, 120))
        assert len(one.clock.naps) == 1
