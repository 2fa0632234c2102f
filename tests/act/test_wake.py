from __future__ import annotations

from typing import Any

import pytest

from pvectl import act
from pvectl.core.plan import OutcomeStatus
from pvectl.errors import CannotWrite, DeadlineExceeded, PvectlError, Unavailable, UsageError, WriteForbidden
from tests.act.drains import DiaryInMemory, standing, world
from tests.support.labs import Lab

DONE, SKIPPED, TIMED_OUT, UNKNOWN = OutcomeStatus.DONE, OutcomeStatus.SKIPPED, OutcomeStatus.TIMED_OUT, OutcomeStatus.UNKNOWN
THE_CALL = "POST /nodes/pve2/wakeonlan"


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pvectl.pve.transport.PAUSE_S", 0.0001)


def asleep(**node: Any) -> dict[str, Any]:
    made = world()
    made["nodes"]["pve2"] = {"status": "offline", "wakeonlan": "02:00:00:00:00:02", "boot_s": 90, **node}
    return made


def woken(lab: Lab, **how: Any) -> Any:
    return act.wake("pve2", lab.client, lab.clock, **how)


def test_a_node_is_woken_through_another_and_waited_for_until_its_api_answers() -> None:
    with standing(asleep(), hosts=("pve2", "pve1")) as lab:
        diary = DiaryInMemory()
        lab.server.fault("status", path="/nodes/pve2/time", code=595, times=4)
        outcome = woken(lab, diary=diary)
        assert (outcome.status, outcome.mac, outcome.error, outcome.sent) == (DONE, "02:00:00:00:00:02", None, True)
        assert 90 <= outcome.online_after < outcome.took < 120
        assert lab.wrote() == [THE_CALL]
        assert diary.told() == [("wake", "node/pve2", "done")]


def test_a_node_that_is_online_is_not_woken() -> None:
    with standing(world()) as lab:
        outcome = woken(lab)
        assert (outcome.status, outcome.sent, outcome.error) == (SKIPPED, False, "it is online already")
        assert lab.wrote() == []


def test_a_node_that_is_none_is_a_usage_error_with_those_there_are() -> None:
    with standing(world()) as lab, pytest.raises(UsageError, match="the cluster has no node pve9") as caught:
        act.wake("pve9", lab.client, lab.clock)
    assert caught.value.hint == "its nodes are pve1, pve2, pve3"


@pytest.mark.parametrize("readable", [True, False])
def test_a_node_without_an_address_is_an_error_with_the_line_that_gives_it_one(*, readable: bool) -> None:
    with standing(asleep(wakeonlan="")) as lab:
        if readable:
            lab.server.fault("body", path="/nodes/pve2/config", body='{"data":{}}')
        diary = DiaryInMemory()
        with pytest.raises(PvectlError, match="no wake-on-LAN address") as caught:
            woken(lab, diary=diary)
        assert "pvesh set /nodes/pve2/config -wakeonlan MAC" in (caught.value.hint or "")
        # only the call itself tells of a node that is off, and then it was made for nothing
        assert diary.told() == ([] if readable else [("wake", "node/pve2", "failed")])


def test_s23_a_node_that_sleeps_on_has_timed_out_and_is_called_once() -> None:
    with standing(asleep(wakes=False)) as lab:
        outcome = woken(lab, within=120)
        assert outcome.status is TIMED_OUT
        assert "it is not online" in (outcome.error or "")
        assert outcome.hint
        assert 120 <= outcome.took < 130
        assert lab.wrote() == [THE_CALL]


@pytest.mark.slow
def test_a_node_whose_api_never_answers_has_timed_out_and_says_so() -> None:
    with standing(asleep()) as lab:
        lab.server.fault("status", path="/nodes/pve2/time", code=595)
        outcome = woken(lab, within=150)
        assert (outcome.status, outcome.online_after is not None) == (TIMED_OUT, True)
        assert "it is online, but its API does not answer" in (outcome.error or "")


@pytest.mark.parametrize("wakes", [True, False])
def test_s24_a_lost_answer_is_made_up_for_by_the_node_itself_and_the_call_is_not_repeated(*, wakes: bool) -> None:
    with standing(asleep(wakes=wakes)) as lab:
        lab.server.fault("reset", method="POST", path="*/wakeonlan", after=0, execute=True)
        outcome = woken(lab, within=120)
        assert outcome.status is (DONE if wakes else UNKNOWN)
        assert (outcome.error is None) is wakes
        assert lab.wrote() == [THE_CALL]


def test_s24_a_call_answered_without_an_address_may_have_been_heard() -> None:
    with standing(asleep()) as lab:
        lab.server.fault("body", method="POST", path="*/wakeonlan", body='{"data":null}', execute=False)
        outcome = woken(lab, within=10)
        assert (outcome.status, outcome.mac, outcome.kind) == (UNKNOWN, None, "outcome-unknown")


def test_without_waiting_the_call_is_made_and_no_more() -> None:
    with standing(asleep()) as lab:
        outcome = woken(lab, wait=False)
        assert (outcome.status, outcome.took) == (OutcomeStatus.STARTED, None)
        assert lab.clock.naps == []


def test_ctrl_c_while_waiting_says_that_the_call_was_made() -> None:
    with standing(asleep()) as lab:
        diary = DiaryInMemory()

        def pressed(naps: int) -> None:
            if naps == 2:
                raise KeyboardInterrupt

        lab.clock.before_sleep = pressed
        outcome = woken(lab, diary=diary)
        assert (outcome.status, outcome.sent, outcome.kind) == (OutcomeStatus.STARTED, True, "interrupted")
        assert act.interrupted([outcome])
        assert diary.told() == [("wake", "node/pve2", "started")]


def test_s24_a_call_that_cannot_be_written_down_is_not_made() -> None:
    with standing(asleep()) as lab:
        with pytest.raises(CannotWrite):
            woken(lab, diary=DiaryInMemory(breaks_at=1))
        assert lab.wrote() == []


def test_s18_over_a_connection_that_may_only_read_nobody_is_called() -> None:
    with standing(asleep(), read_only=True) as lab:
        diary = DiaryInMemory()
        with pytest.raises(WriteForbidden):
            woken(lab, diary=diary)
        assert diary.told() == [("wake", "node/pve2", "skipped")]


def test_a_node_cannot_wake_itself() -> None:
    with standing(asleep()) as lab:
        reason = "'pve2' is local node, cannot wake my self!"
        lab.server.fault("status", method="POST", path="*/wakeonlan", code=500, reason=reason)
        with pytest.raises(PvectlError, match="only be woken through another node") as caught:
            woken(lab)
        assert caught.value.hint == "name another node among the hosts in proxmox.yml"


def test_any_other_refusal_has_pves_own_words() -> None:
    with standing(asleep()) as lab:
        lab.server.fault("status", method="POST", path="*/wakeonlan", code=500, reason="no such cluster node 'pve2'")
        with pytest.raises(PvectlError, match="no such cluster node"):
            woken(lab)


def test_s29_when_the_runs_own_time_is_over_nobody_saw_it_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    with standing(asleep()) as lab:
        real = lab.client.cluster_status

        def too_late() -> Any:
            if lab.wrote():
                raise DeadlineExceeded("no answer within the 60 s this run may take")
            return real()

        monkeypatch.setattr(lab.client, "cluster_status", too_late)
        outcome = woken(lab)
        assert outcome.status is TIMED_OUT
        assert "nobody saw it come back: no answer within the 60 s" in (outcome.error or "")


def test_a_cluster_that_does_not_answer_is_no_ground_to_call_anybody() -> None:
    with standing(asleep()) as lab:
        lab.server.fault("status", path="/cluster/status", code=502)
        with pytest.raises(Unavailable):
            woken(lab)
        assert lab.wrote() == []
