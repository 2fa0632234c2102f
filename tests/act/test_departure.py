from __future__ import annotations

import json
from typing import Any

import pytest

from pvectl import act
from pvectl.core.plan import OutcomeStatus
from tests.act.drains import draining, guest, world

DONE, FAILED, UNKNOWN = OutcomeStatus.DONE, OutcomeStatus.FAILED, OutcomeStatus.UNKNOWN
THE_POST: dict[str, Any] = {"method": "POST", "path": "/nodes/pve2/status"}


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pvectl.pve.transport.PAUSE_S", 0.0001)


def test_s23_without_another_entry_half_a_minute_of_silence_is_done_and_unconfirmed() -> None:
    with draining(world(), hosts=("pve2",)) as drain:
        outcome = drain.run()
        assert (outcome.status, outcome.unconfirmed, outcome.sent) == (DONE, True, True)
        assert 30 <= (outcome.took or 0) < 60
        assert drain.diary.told() == [("power-off", "node/pve2", "done")]


def test_s23_a_standalone_host_goes_off_unconfirmed() -> None:
    with draining({"name": None, "nodes": {"pve1": {}}, "guests": [guest(100, node="pve1")]}, (100,), node="pve1") as drain:
        outcome = drain.run()
        assert (outcome.status, outcome.unconfirmed) == (DONE, True)


@pytest.mark.slow
def test_s23_where_another_entry_exists_its_silence_proves_nothing() -> None:
    with draining(world(), hosts=("pve1", "pve2")) as drain:
        drain.lab.clock.after_sleep = lambda naps: drain.lab.cluster.crash_node("pve1") if naps == 1 else None
        outcome = drain.run()
        assert (outcome.status, outcome.unconfirmed, outcome.sent) == (UNKNOWN, False, True)
        assert "no API host has answered since" in (outcome.error or "")
        assert drain.diary.told() == [("power-off", "node/pve2", "unknown")]


@pytest.mark.parametrize("hosts", [("pve1", "pve2"), ("pve2", "pve1"), ("pve1",)])
def test_s23_the_end_is_seen_through_another_node(hosts: tuple[str, ...]) -> None:
    with draining(world(), hosts=hosts) as drain:
        outcome = drain.run()
        assert (outcome.status, outcome.unconfirmed) == (DONE, False)


def test_s23_a_node_that_does_not_go_is_an_unknown_outcome_and_is_not_told_again() -> None:
    with draining(world()) as drain:
        drain.lab.server.fault("body", **THE_POST, body='{"data":null}', execute=False)
        outcome = drain.run()
        assert (outcome.status, outcome.sent) == (UNKNOWN, True)
        assert "it is not seen off" in (outcome.error or "")
        assert outcome.hint
        assert act.OFF_WITHIN_S <= (outcome.took or 0) < act.OFF_WITHIN_S + 20
        assert drain.power_offs == 1
        assert drain.lab.cluster.node("pve2").status == "online"


@pytest.mark.slow
def test_s23_a_node_that_has_lost_the_others_is_no_witness() -> None:
    with draining(world(), hosts=("pve1",)) as drain:
        drain.lab.clock.after_sleep = lambda naps: drain.lab.cluster.crash_node("pve3") if naps == 1 else None
        outcome = drain.run()
        assert (outcome.status, outcome.sent) == (UNKNOWN, True)


def test_s24_a_lost_answer_is_made_up_for_by_seeing_the_node_go() -> None:
    with draining(world()) as drain:
        drain.lab.server.fault("reset", **THE_POST, after=0, execute=True)
        outcome = drain.run()
        assert (outcome.status, outcome.sent, outcome.unconfirmed) == (DONE, True, False)
        assert drain.power_offs == 1


@pytest.mark.parametrize("hosts", [(), ("pve2",)], ids=["seen by others", "seen by nobody"])
def test_s24_a_lost_answer_and_a_node_nobody_saw_go_is_an_unknown_outcome_and_is_not_sent_again(hosts: tuple[str, ...]) -> None:
    with draining(world(), hosts=hosts) as drain:
        drain.lab.server.fault("reset", **THE_POST, after=0, execute=hosts != ())
        outcome = drain.run()
        assert (outcome.status, outcome.sent, outcome.unconfirmed) == (UNKNOWN, True, False)
        assert "may or may not have happened" in (outcome.error or "")
        assert drain.power_offs == 1
        assert drain.diary.told() == [("power-off", "node/pve2", "unknown")]


@pytest.mark.parametrize(
    ("fault", "sent", "kind"),
    [
        ({"code": 403, "reason": "Permission check failed (/nodes/pve2, Sys.PowerMgmt)"}, True, "permission"),
        ({"code": 500, "reason": "no"}, True, "refused"),
        ({"code": 595}, True, "node-unreachable"),
    ],
)
def test_a_power_off_that_was_refused_leaves_the_node_on(fault: dict[str, Any], sent: bool, kind: str) -> None:
    with draining(world()) as drain:
        drain.lab.server.fault("status", **THE_POST, execute=False, **fault)
        outcome = drain.run()
        assert (outcome.status, outcome.sent, outcome.kind) == (FAILED, sent, kind)
        assert drain.diary.told() == [("power-off", "node/pve2", "failed")]
        assert drain.power_offs == 1


@pytest.mark.parametrize("body", ['{"data":"UPID:pve2:nonsense"}', '{"data":0}', "null", "[]"])
def test_s24_an_answer_that_is_not_pves_leaves_it_open_and_the_node_is_watched(body: str) -> None:
    with draining(world()) as drain:
        drain.lab.server.fault("body", **THE_POST, body=body, execute=True)
        outcome = drain.run()
        assert (outcome.status, outcome.sent) == (DONE, True)
        assert drain.power_offs == 1


def test_a_power_off_that_never_left_is_not_sent() -> None:
    with draining(world()) as drain:
        send = drain.lab.client.power_off

        def with_all_hosts_gone(node: str) -> None:
            for name in ("pve1", "pve2", "pve3"):
                drain.lab.cluster.crash_node(name)
            drain.lab.server.sync()
            send(node)

        drain.lab.client.power_off = with_all_hosts_gone  # type: ignore[method-assign]
        outcome = drain.run()
        assert (outcome.status, outcome.sent, outcome.kind) == (FAILED, False, "unavailable")
        assert drain.diary.told() == [("power-off", "node/pve2", "skipped")]


def test_s13_s23_on_the_node_itself_the_request_is_the_last_act_and_stays_open() -> None:
    with draining(world(guest(100)), (100,), hosts=("pve2",)) as drain:
        writes: list[int] = []
        drain.lab.on_request(lambda _, words: writes.append(drain.diary.writes) if words == "POST /nodes/pve2/status" else None)
        outcome = drain.run(on_this_node=True)
        assert (outcome.status, outcome.sent, outcome.error) == (OutcomeStatus.STARTED, True, None)
        assert drain.lab.asked()[-1] == "POST /nodes/pve2/status"
        assert drain.diary.open() == ["node/pve2"]
        assert writes == [drain.diary.writes]


def test_s29_when_the_runs_own_time_is_over_nobody_saw_it_go(monkeypatch: pytest.MonkeyPatch) -> None:
    from pvectl.errors import DeadlineExceeded

    with draining(world()) as drain:
        real = drain.lab.client.cluster_status

        def too_late() -> Any:
            if drain.power_offs:
                raise DeadlineExceeded("no answer within the 60 s this run may take")
            return real()

        monkeypatch.setattr(drain.lab.client, "cluster_status", too_late)
        outcome = drain.run()
        assert (outcome.status, outcome.sent) == (UNKNOWN, True)
        assert "nobody saw it go: no answer within the 60 s" in (outcome.error or "")


@pytest.mark.slow
def test_answers_that_are_no_answers_are_no_silence() -> None:
    with draining(world(), hosts=("pve2",)) as drain:
        drain.lab.on_request(
            lambda _, words: (
                drain.lab.server.fault("status", path="/cluster/status", code=500, reason="no")
                if words == "POST /nodes/pve2/status"
                else None
            )
        )
        drain.lab.server.fault("body", **THE_POST, body='{"data":null}', execute=False)
        outcome = drain.run()
        assert (outcome.status, outcome.unconfirmed) == (UNKNOWN, False)


def test_s23_what_a_node_says_of_itself_is_no_proof_that_it_is_off() -> None:
    with draining(world()) as drain:
        rows = [{"type": "cluster", "name": "lab", "quorate": 1, "nodes": 2, "id": "cluster", "version": 2}]
        rows += [
            {"type": "node", "name": f"pve{n}", "nodeid": n, "online": int(n != 2), "local": int(n == 2), "id": f"node/pve{n}"}
            for n in (1, 2)
        ]
        drain.lab.on_request(
            lambda _, words: (
                drain.lab.server.fault("body", path="/cluster/status", body=json.dumps({"data": rows}))
                if words == "POST /nodes/pve2/status"
                else None
            )
        )
        assert drain.run().status is UNKNOWN
