"""An intent is on disk before each request of the ordinary commands leaves, and its outcome after."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pvectl import act, observe
from pvectl.act import NeededTag
from pvectl.act.guests import Doorway, begin
from pvectl.act.ledger import Ledger
from pvectl.core import shutdown, start, tagging
from pvectl.core.plan import Outcome, OutcomeStatus, Plan
from pvectl.core.tagging import Edit
from pvectl.errors import CannotWrite, WriteForbidden
from tests.act.drains import DiaryInMemory, guest, standing, world
from tests.support.labs import Lab

DONE, SKIPPED, FAILED = OutcomeStatus.DONE, OutcomeStatus.SKIPPED, OutcomeStatus.FAILED
GUESTS = (guest(100), guest(101, type="lxc"), guest(102, status="stopped"))


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pvectl.pve.transport.PAUSE_S", 0.0001)


def to_shut_down(lab: Lab) -> Plan:
    return shutdown.plan(observe.look(lab.client, lab.clock).guests, timeout=60, now=lab.clock.now())


def to_start(lab: Lab) -> Plan:
    return start.plan(observe.look(lab.client, lab.clock).guests, timeout=60, now=lab.clock.now())


def to_retag(lab: Lab) -> Plan:
    return tagging.plan(observe.look(lab.client, lab.clock).guests, Edit(add=("web",)), now=lab.clock.now())


def carried_out(lab: Lab, plan: Plan, diary: DiaryInMemory, **how: Any) -> dict[int, Outcome]:
    outcomes = act.carry_out(plan, lab.client, lab.clock, diary=diary, **how)
    return {outcome.action.guest.vmid: outcome for outcome in outcomes}


@pytest.mark.parametrize(
    ("plan", "verb", "subjects"),
    [(to_shut_down, "shutdown", [100, 101]), (to_start, "start", [102]), (to_retag, "set-tags", [100, 101, 102])],
)
def test_s24_the_intent_is_on_disk_before_the_request_leaves_and_its_outcome_after(plan: Any, verb: str, subjects: list[int]) -> None:
    with standing(world(*GUESTS)) as lab:
        diary = DiaryInMemory()
        made = plan(lab)
        intended: list[int] = []
        lab.on_request(lambda _, words: intended.append(len(diary.lines)) if not words.startswith("GET") else None)
        outcomes = carried_out(lab, made, diary, parallel=1)
        assert intended == list(range(1, len(subjects) + 1))
        assert diary.told() == [(verb, f"guest/{vmid}", "done") for vmid in subjects]
        assert [line.upid for line in diary.lines] == [outcomes[vmid].upid for vmid in subjects]


@pytest.mark.parametrize("plan", [to_shut_down, to_start, to_retag])
def test_s24_what_cannot_be_written_down_is_not_sent(plan: Any) -> None:
    with standing(world(*GUESTS)) as lab:
        outcomes = carried_out(lab, plan(lab), DiaryInMemory(breaks_at=1))
        assert {(one.status, one.error, one.kind) for one in outcomes.values()} == {(FAILED, "no space left on device", "cannot-write")}
        assert lab.wrote() == []


@pytest.mark.parametrize("mends", [False, True])
def test_s24_an_outcome_that_cannot_be_written_down_is_told_and_nothing_else_is_sent(*, mends: bool) -> None:
    with standing(world(guest(100), guest(101))) as lab:
        outcomes = carried_out(lab, to_shut_down(lab), DiaryInMemory(breaks_at=2, mends=mends), at_once=1)
        assert [(one.status, one.kind) for one in outcomes.values()] == [(DONE, None), (FAILED, "cannot-write")]
        assert len(lab.wrote()) == 1


def test_s09_s25_a_held_guest_is_left_alone_and_the_others_are_not() -> None:
    with standing(world(guest(100), guest(101))) as lab:
        diary = DiaryInMemory()
        diary.holds["guest/100"] = "eva holds it until 18:00: demo"
        outcomes = carried_out(lab, to_shut_down(lab), diary)
        assert (outcomes[100].status, outcomes[100].error, outcomes[100].kind) == (SKIPPED, "eva holds it until 18:00: demo", "held")
        assert outcomes[101].status is DONE
        assert sorted(diary.told()) == [("shutdown", "guest/100", "skipped"), ("shutdown", "guest/101", "done")]


def test_s25_holds_that_cannot_be_read_keep_every_guest_up() -> None:
    with standing(world(guest(100))) as lab:
        diary = DiaryInMemory()

        def unreadable(what: str, _subject: str) -> None:
            if what == "held":
                raise CannotWrite("the holds cannot be read")

        diary.before = unreadable
        outcomes = carried_out(lab, to_shut_down(lab), diary)
        assert (outcomes[100].status, outcomes[100].error) == (FAILED, "the holds cannot be read")
        assert lab.wrote() == []
        assert diary.told() == [("shutdown", "guest/100", "skipped")]


def test_a_hold_has_nothing_against_a_start_or_a_tag() -> None:
    with standing(world(*GUESTS)) as lab:
        diary = DiaryInMemory()
        diary.holds |= dict.fromkeys(("guest/100", "guest/101", "guest/102"), "eva holds it")
        assert carried_out(lab, to_retag(lab), diary)[100].status is DONE
        assert carried_out(lab, to_start(lab), diary)[102].status is DONE


def test_s09_a_guest_that_lost_the_tag_it_was_chosen_by_is_left_alone() -> None:
    with standing(world(guest(100, tags="Safe-Shutdown"), guest(101), guest(102, tags="v1,größe;safe-shutdown"))) as lab:
        plan = to_shut_down(lab)
        lab.cluster.set_tags(101, "prod")
        outcomes = carried_out(lab, plan, DiaryInMemory(), needed=NeededTag(tag="safe-shutdown"))
        # with a tag that it does not accept, PVE tells none of a guest's tags: that proves nothing
        assert [(one.status, one.kind) for one in outcomes.values()] == [(DONE, None), (SKIPPED, "not-tagged"), (SKIPPED, "not-tagged")]


def test_s09_where_capitals_count_they_count() -> None:
    with standing(world(guest(100, tags="Safe-Shutdown"))) as lab:
        needed = NeededTag(tag="safe-shutdown", case_sensitive=True)
        assert carried_out(lab, to_shut_down(lab), DiaryInMemory(), needed=needed)[100].status is SKIPPED


@pytest.mark.parametrize("stop", [Ledger.interrupt, lambda ledger: ledger.close("the node stays on")], ids=["ctrl-c", "closed"])
def test_s30_a_request_whose_intent_was_just_written_does_not_leave_when_it_is_too_late(stop: Callable[[Ledger], None]) -> None:
    with standing(world(guest(100))) as lab:
        diary = DiaryInMemory()
        ledger = Ledger(to_shut_down(lab).actions, diary=diary)
        ledger.in_hand = NobodyWaits()
        diary.before = lambda what, _: stop(ledger) if what == "held" else None
        begin(ledger, 0, Doorway(client=lab.client, clock=lab.clock, retag=lambda *_: pytest.fail("nothing is to be tagged")))
        assert [outcome.status for outcome in ledger.outcomes()] == [SKIPPED]
        assert lab.wrote() == []
        assert diary.told() == [("shutdown", "guest/100", "skipped")]


class NobodyWaits(set[int]):
    """Hands that are always empty, so that one thread can play both parts."""

    def __bool__(self) -> bool:
        return False


def test_each_attempt_at_an_edit_has_an_intent_of_its_own() -> None:
    with standing(world(guest(100))) as lab:
        diary = DiaryInMemory()
        reason = "checksum mismatch (file change by other user?)"
        lab.server.fault("status", method="PUT", path="*/config", code=500, reason=reason, times=1)
        assert carried_out(lab, to_retag(lab), diary)[100].status is DONE
        assert [status for _, _, status in diary.told()] == ["failed", "done"]


def test_a_refused_request_is_written_down_as_failed() -> None:
    with standing(world(guest(100, type="lxc"))) as lab:
        diary = DiaryInMemory()
        lab.server.fault("status", method="POST", code=500, reason="CT 100 not running")
        assert carried_out(lab, to_shut_down(lab), diary)[100].status is FAILED
        assert diary.told() == [("shutdown", "guest/100", "failed")]
        assert "CT 100 not running" in (diary.lines[0].error or "")


def test_without_waiting_the_intents_end_as_started() -> None:
    with standing(world(guest(100), guest(101))) as lab:
        diary = DiaryInMemory()
        carried_out(lab, to_shut_down(lab), diary, wait=False)
        assert sorted(diary.told()) == [("shutdown", "guest/100", "started"), ("shutdown", "guest/101", "started")]
        assert all(line.upid for line in diary.lines)


def test_ctrl_c_ends_what_was_written_down() -> None:
    with standing(world(guest(100, shutdown_s=500), guest(101, shutdown_s=1))) as lab:
        diary = DiaryInMemory()
        lab.clock.before_sleep = raise_at_second
        outcomes = carried_out(lab, to_shut_down(lab), diary)
        assert [one.kind for one in outcomes.values()] == ["interrupted", None]
        assert sorted(diary.told()) == [("shutdown", "guest/100", "started"), ("shutdown", "guest/101", "done")]


def raise_at_second(naps: int) -> None:
    if naps == 2:
        raise KeyboardInterrupt


@pytest.mark.parametrize("plan", [to_shut_down, to_retag])
def test_s18_a_connection_that_may_only_read_leaves_no_intent_open(plan: Any) -> None:
    with standing(world(guest(100)), read_only=True) as lab:
        diary = DiaryInMemory()
        with pytest.raises(WriteForbidden):
            carried_out(lab, plan(lab), diary)
        assert diary.open() == []


def test_s18_a_dry_run_writes_nothing_down() -> None:
    with standing(world(guest(100))) as lab:
        diary = DiaryInMemory()
        carried_out(lab, to_shut_down(lab), diary, dry_run=True)
        assert diary.lines == []
