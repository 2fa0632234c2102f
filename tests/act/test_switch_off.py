from __future__ import annotations

from collections.abc import Callable

import pytest

from pvectl import act
from pvectl.core.model import Guest
from pvectl.core.plan import OutcomeStatus, Reason
from pvectl.errors import Blind, WriteForbidden
from pvectl.pve.client import GuestNow
from tests.act.drains import Drain, draining, guest, world

SKIPPED, FAILED, DONE = OutcomeStatus.SKIPPED, OutcomeStatus.FAILED, OutcomeStatus.DONE


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pvectl.pve.transport.PAUSE_S", 0.0001)


def shutdowns(drain: Drain) -> list[int]:
    return [int(line.split("/")[4]) for line in drain.lab.wrote() if line.endswith("/status/shutdown")]


@pytest.mark.parametrize("version", ["8.4", "9.2"])
def test_s20_s21_s23_a_node_goes_off_when_its_guests_are_seen_off_and_is_seen_gone(version: str) -> None:
    with draining(world(guest(100), guest(101, type="lxc"), guest(102), version=version), (100, 101), (102,)) as drain:
        outcome = drain.run()
        assert (outcome.status, outcome.error, outcome.sent, outcome.unconfirmed) == (DONE, None, True, False)
        assert [one.status for one in outcome.guests] == [DONE] * 3
        assert sorted(drain.told, key=lambda one: one.action.guest.vmid) == list(outcome.guests)
        assert drain.lab.cluster.node("pve2").status == "offline"
        assert drain.lab.wrote()[2:] == ["POST /nodes/pve2/qemu/102/status/shutdown", "POST /nodes/pve2/status"]
        assert sorted(drain.diary.told()[:2]) == [("shutdown", "guest/100", "done"), ("shutdown", "guest/101", "done")]
        assert drain.diary.told()[2:] == [("shutdown", "guest/102", "done"), ("power-off", "node/pve2", "done")]
        assert {line.details["evidence"] for line in drain.diary.lines if line.what == "power-off"} == {"e1"}
        assert (outcome.took or 0) > 10


def test_a_node_without_guests_goes_off_after_one_look() -> None:
    with draining(world()) as drain:
        assert drain.run().status is DONE
        assert drain.looks.taken == [(frozenset(), frozenset())]


def test_s03_everything_is_looked_at_before_each_handful_and_once_more_at_the_end() -> None:
    with draining(world(*(guest(vmid) for vmid in range(100, 105))), (100, 101, 102), (103, 104)) as drain:
        outcome = drain.run(parallel=2)
        assert [sorted(asked) for _, asked in drain.looks.taken] == [
            [],
            [100, 101],
            [100, 101, 102],
            [100, 101, 102, 103, 104],
        ]
        assert drain.looks.taken[-1][0] == {one.upid for one in outcome.guests}


@pytest.mark.slow
def test_at_most_as_many_guests_as_told_shut_down_at_a_time() -> None:
    with draining(world(*(guest(vmid) for vmid in range(100, 107))), tuple(range(100, 107))) as drain:
        most = []
        drain.lab.clock.before_sleep = lambda _: most.append(len(drain.lab.cluster.tasks(type="qmshutdown", running=True)))
        assert drain.run(parallel=3).status is DONE
        assert max(most) == 3


def test_s22_a_guest_that_ignores_acpi_ends_the_sequence_and_the_node_stays_on() -> None:
    with draining(world(guest(100, acpi=False), guest(101, shutdown_s=20), guest(102)), (100, 101), (102,), timeout=30) as drain:
        outcome = drain.run()
        assert (outcome.status, outcome.sent) == (FAILED, False)
        assert outcome.error == "100 (vm100) is not off, so the node stays on: VM quit/powerdown failed - got timeout"
        assert [one.status for one in outcome.guests] == [OutcomeStatus.TIMED_OUT, DONE, SKIPPED]
        assert outcome.guests[2].error == "its turn never came, as 100 (vm100) went wrong: nothing was changed"
        assert sorted(shutdowns(drain)) == [100, 101]
        assert drain.power_offs == 0
        assert sorted(drain.diary.told()) == [("shutdown", "guest/100", "timed-out"), ("shutdown", "guest/101", "done")]


def test_s22_with_one_failed_guest_no_other_of_its_stage_is_asked() -> None:
    with draining(world(guest(100, acpi=False), guest(101)), (100, 101), timeout=10) as drain:
        assert drain.run(parallel=1).status is FAILED
        assert shutdowns(drain) == [100]


@pytest.mark.slow
def test_s20_a_task_that_ends_well_while_the_guest_runs_on_keeps_the_node_on() -> None:
    with draining(world(guest(100, acpi=False)), (100,), timeout=20) as drain:
        lab = drain.lab
        lab.clock.before_sleep = lambda naps: lab.cluster.end_task(lab.cluster.tasks()[-1].upid) if naps == 1 else None
        outcome = drain.run()
        assert outcome.status is FAILED
        assert "its task ended well, but after" in (outcome.error or "")
        assert drain.power_offs == 0


def starts_an_untagged_one(drain: Drain) -> None:
    drain.lab.cluster.start(190)


def takes_the_tag_away(drain: Drain) -> None:
    drain.lab.cluster.set_tags(101, "prod")


def backs_up(drain: Drain) -> None:
    drain.lab.cluster.back_up(190)


def reboots_the_node(drain: Drain) -> None:
    drain.lab.cluster.crash_node("pve2")
    drain.lab.cluster.wake("pve2")
    drain.lab.cluster.advance(100)
    drain.lab.server.sync()


def holds_the_node(drain: Drain) -> None:
    drain.diary.holds["node/pve2"] = "eva holds it until 18:00: demo"


def holds_the_guest(drain: Drain) -> None:
    drain.diary.holds["guest/101"] = "eva holds it until 18:00: demo"


def pauses_the_next(drain: Drain) -> None:
    drain.lab.cluster.set_guest_status(101, "paused")


MEDDLING = [starts_an_untagged_one, takes_the_tag_away, backs_up, reboots_the_node, holds_the_node, holds_the_guest, pauses_the_next]


@pytest.mark.parametrize("meddle", MEDDLING)
def test_s03_s25_whatever_happens_in_mid_drain_the_node_stays_on_and_nobody_else_is_asked(meddle: Callable[[Drain], None]) -> None:
    with draining(world(guest(100), guest(101), guest(190, tags=None, status="stopped")), (100,), (101,)) as drain:
        drain.lab.clock.after_sleep = lambda naps: meddle(drain) if naps == 1 else None
        outcome = drain.run()
        assert outcome.status in (SKIPPED, FAILED)
        assert outcome.error
        assert not outcome.sent
        assert shutdowns(drain) == [100]
        assert drain.power_offs == 0
        assert drain.diary.open() == []


@pytest.mark.parametrize(
    ("meddle", "reason", "words"),
    [
        (takes_the_tag_away, Reason.NOT_TAGGED, "it does not carry the tag safe-shutdown any more"),
        (holds_the_node, Reason.HELD, "eva holds it until 18:00: demo"),
        (holds_the_guest, Reason.HELD, "eva holds it until 18:00: demo"),
        (pauses_the_next, Reason.PAUSED, "it is paused"),
    ],
)
def test_s09_s25_tag_and_holds_are_looked_at_once_more_right_before_the_request(
    meddle: Callable[[Drain], None], reason: Reason, words: str
) -> None:
    with draining(world(guest(101), guest(102)), (101,), (102,)) as drain:
        look = drain.lab.client.guest_now

        def meddled_just_before(one: Guest) -> GuestNow:
            meddle(drain)
            return look(one)

        # after the full look, and before the guest's own
        drain.lab.client.guest_now = meddled_just_before  # type: ignore[method-assign, assignment]
        outcome = drain.run()
        assert (outcome.status, outcome.reason) == (SKIPPED, reason)
        assert words in (outcome.error or "")
        assert drain.lab.wrote() == []
        assert drain.diary.open() == []


def test_s25_a_hold_that_comes_at_the_very_last_moment_keeps_the_node_on() -> None:
    with draining(world(guest(100)), (100,)) as drain:
        drain.diary.before = lambda what, _: holds_the_node(drain) if what == "intend power-off" else None
        outcome = drain.run()
        assert (outcome.status, outcome.reason, outcome.sent) == (SKIPPED, Reason.HELD, False)
        assert drain.power_offs == 0
        assert drain.diary.told()[-1] == ("power-off", "node/pve2", "skipped")


def test_s21_a_tagged_guest_that_was_started_meanwhile_keeps_the_node_on() -> None:
    with draining(world(guest(100), guest(191, status="stopped")), (100,)) as drain:
        drain.lab.clock.after_sleep = lambda naps: drain.lab.cluster.start(191) if naps == 1 else None
        outcome = drain.run()
        assert (outcome.status, outcome.reason, outcome.error) == (SKIPPED, Reason.STARTED_MEANWHILE, "still running: 191 (vm191)")
        assert drain.power_offs == 0


def test_a_guest_that_stopped_by_itself_is_as_good_as_shut_down() -> None:
    with draining(world(guest(100), guest(101)), (100,), (101,)) as drain:
        drain.lab.clock.after_sleep = lambda naps: drain.lab.cluster.stop_guest(101) if naps == 1 else None
        outcome = drain.run()
        assert outcome.status is DONE
        assert [(one.status, one.kind) for one in outcome.guests] == [(DONE, None), (SKIPPED, "already-off")]


def test_s02_a_look_that_fails_keeps_the_node_on() -> None:
    with draining(world(guest(100)), (100,)) as drain:

        def blind(_looks: int) -> None:
            raise Blind("the guests of pve2 could not be read")

        drain.looks.before = blind
        outcome = drain.run()
        assert (outcome.status, outcome.error, outcome.kind) == (FAILED, "the guests of pve2 could not be read", "blind")
        assert drain.lab.wrote() == []


@pytest.mark.parametrize("stages", [((100,),), ()], ids=["before a guest", "before the power-off"])
def test_s03_a_look_that_takes_too_long_is_taken_again_and_in_the_end_given_up(stages: tuple[tuple[int, ...], ...]) -> None:
    with draining(world(*(guest(vmid) for stage in stages for vmid in stage)), *stages) as drain:
        drain.looks.before = lambda _: drain.lab.cluster.advance(16)
        outcome = drain.run()
        assert (outcome.status, outcome.reason, outcome.sent) == (FAILED, Reason.OUT_OF_DATE, False)
        assert drain.lab.wrote() == []
        assert len(drain.looks.taken) == 3
        assert {status for _, _, status in drain.diary.told()} == {"skipped"}


def test_s03_one_slow_look_costs_another_one_and_no_more() -> None:
    with draining(world(guest(100), guest(101)), (100, 101)) as drain:
        drain.looks.before = lambda looks: drain.lab.cluster.advance(16) if looks in (1, 3) else None
        assert drain.run().status is DONE
        assert len(drain.looks.taken) == 4
        assert drain.power_offs == 1


def test_s18_a_dry_run_looks_at_nothing_and_sends_nothing() -> None:
    with draining(world(guest(100)), (100,)) as drain:
        outcome = drain.run(dry_run=True)
        assert outcome.status is OutcomeStatus.DRY_RUN
        assert [one.status for one in outcome.guests] == [OutcomeStatus.DRY_RUN]
        assert (drain.lab.asked(), drain.diary.lines, drain.looks.taken) == ([], [], [])


@pytest.mark.parametrize("stages", [((100,),), ()], ids=["a guest", "the power-off"])
def test_s18_over_a_connection_that_may_only_read_nothing_is_sent_and_no_intent_stays_open(stages: tuple[tuple[int, ...], ...]) -> None:
    with draining(world(*(guest(vmid) for stage in stages for vmid in stage)), *stages, read_only=True) as drain:
        with pytest.raises(WriteForbidden):
            drain.run()
        assert drain.lab.wrote() == []
        assert drain.diary.open() == []


def test_s20_a_guest_of_the_ha_manager_is_left_alone_unless_told() -> None:
    with draining(world(guest(100, ha={"state": "started"})), (100,)) as drain:
        outcome = drain.run()
        assert (outcome.status, outcome.reason) == (SKIPPED, Reason.HA_MANAGED)
        assert drain.lab.wrote() == []


@pytest.mark.parametrize("kind", ["qemu", "lxc"])
def test_s20_through_the_ha_manager_its_state_before_is_written_down_first(kind: str) -> None:
    with draining(world(guest(100, type=kind, ha={"state": "started"})), (100,), through_ha=True) as drain:
        outcome = drain.run()
        assert outcome.status is DONE
        assert "hastop" in (outcome.guests[0].upid or "")
        assert drain.diary.lines[0].details["ha_state"] == "started"


def test_s20_a_guest_whose_ha_state_cannot_be_told_is_not_asked() -> None:
    with draining(world(guest(100, ha={"state": "started"})), (100,), through_ha=True) as drain:
        drain.lab.server.fault("status", path="/cluster/ha/resources", code=500, reason="no")
        assert drain.run().status is FAILED
        assert drain.lab.wrote() == []


def test_s22_s24_a_guest_whose_answer_was_lost_is_unknown_and_ends_the_sequence() -> None:
    with draining(world(guest(100), guest(101)), (100,), (101,)) as drain:
        drain.lab.server.fault("reset", method="POST", path="*/100/status/shutdown", after=0)
        outcome = drain.run()
        assert (outcome.status, outcome.sent) == (FAILED, False)
        assert [one.status for one in outcome.guests] == [OutcomeStatus.UNKNOWN, SKIPPED]
        assert shutdowns(drain) == [100]
        assert drain.diary.told() == [("shutdown", "guest/100", "unknown")]


def test_s22_a_guest_that_fails_weighs_more_than_a_hold_that_came_meanwhile() -> None:
    with draining(world(guest(100, acpi=False), guest(101, shutdown_s=1), guest(102)), (100, 101, 102), timeout=10) as drain:
        drain.lab.clock.after_sleep = lambda naps: holds_the_node(drain) if naps == 1 else None
        outcome = drain.run(parallel=2)
        assert [one.status for one in outcome.guests] == [OutcomeStatus.TIMED_OUT, DONE, SKIPPED]
        assert "eva holds it" in (outcome.guests[2].error or "")
        assert (outcome.status, outcome.sent) == (FAILED, False)


def test_ctrl_c_in_mid_drain_says_what_goes_on_and_leaves_the_node_on() -> None:
    with draining(world(guest(100, shutdown_s=500), guest(101)), (100,), (101,)) as drain:

        def pressed(naps: int) -> None:
            if naps == 2:
                raise KeyboardInterrupt

        drain.lab.clock.before_sleep = pressed
        outcome = drain.run()
        assert (outcome.status, outcome.sent) == (SKIPPED, False)
        assert outcome.error == "interrupted before the node was told to power off: it stays on"
        assert act.interrupted([outcome])
        assert [one.status for one in outcome.guests] == [OutcomeStatus.STARTED, SKIPPED]
        assert drain.lab.wrote() == ["POST /nodes/pve2/qemu/100/status/shutdown"]
        assert drain.lab.cluster.tasks(type="qmshutdown", running=True)
        assert drain.diary.told() == [("shutdown", "guest/100", "started")]


def test_ctrl_c_while_the_node_goes_says_that_it_was_told_to_and_leaves_the_intent_open() -> None:
    with draining(world()) as drain:

        def pressed(_naps: int) -> None:
            raise KeyboardInterrupt

        drain.lab.clock.before_sleep = pressed
        outcome = drain.run()
        assert (outcome.status, outcome.sent) == (OutcomeStatus.STARTED, True)
        assert outcome.error == "interrupted: it was told to power off, and nobody watched it go"
        assert drain.diary.open() == ["node/pve2"]


def test_ctrl_c_in_the_middle_of_the_power_off_leaves_it_unknown() -> None:
    with draining(world()) as drain:

        def pressed(_node: str) -> None:
            raise KeyboardInterrupt

        drain.lab.client.power_off = pressed  # type: ignore[method-assign, assignment]
        outcome = drain.run()
        assert (outcome.status, outcome.sent) == (OutcomeStatus.UNKNOWN, True)
        assert "may or may not have happened" in (outcome.error or "")
        assert drain.diary.open() == ["node/pve2"]


@pytest.mark.parametrize("what", ["intend", "ended"])
def test_a_mistake_in_the_diary_ends_the_run_and_nothing_leaves_after_it(what: str) -> None:
    with draining(world(guest(100), guest(101)), (100,), (101,)) as drain:

        def broken(done: str, _subject: str) -> None:
            if done.startswith(what):
                raise RuntimeError("a mistake")

        drain.diary.before = broken
        with pytest.raises(RuntimeError, match="a mistake"):
            drain.run()
        assert shutdowns(drain) == ([] if what == "intend" else [100])
        assert drain.power_offs == 0


@pytest.mark.slow
def test_how_long_it_may_take_is_known_beforehand() -> None:
    with draining(world(guest(100, acpi=False), guest(101, acpi=False)), (100, 101), timeout=30) as drain:
        began = drain.lab.clock.boottime()
        drain.run(parallel=1)
        assert drain.lab.clock.boottime() - began <= act.longest_switch_off(drain.action, 1)
        assert act.longest_switch_off(drain.action, 2) == act.OFF_WITHIN_S + 30 + 3 + 15
