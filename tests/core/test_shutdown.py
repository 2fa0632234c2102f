from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvectl.config.durations import show_duration
from pvectl.core import shutdown
from pvectl.core.model import Guest
from pvectl.core.plan import Decision, Reason, Shutdown, Verdict
from tests.core.guests import guest, guests

NOW = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)


def decided(**known: Any) -> Decision:
    (decision,) = shutdown.plan([guest(**known)], timeout=120, now=NOW).decisions
    return decision


def test_a_running_guest_is_asked_to_shut_down() -> None:
    decision = decided()
    assert decision == Decision(
        subject="guest/100",
        verdict=Verdict.ACT,
        reason=Reason.REQUESTED,
        detail="shut down within 2m",
        action=Shutdown(guest=guest(), timeout=120, force_stop=False),
    )


def test_force_is_only_ever_explicit_and_said() -> None:
    (decision,) = shutdown.plan([guest()], timeout=30, force_stop=True, now=NOW).decisions
    assert decision.action == Shutdown(guest=guest(), timeout=30, force_stop=True)
    assert decision.detail == "shut down within 30s, then stopped by force"


@pytest.mark.parametrize(
    ("timeout", "words"), [(1, "1s"), (59, "59s"), (60, "1m"), (90, "1m30s"), (5400, "1h30m"), (86400, "1d"), (90061, "1d1h1m1s")]
)
def test_the_time_a_guest_gets_is_said_as_one_writes_it(timeout: int, words: str) -> None:
    assert Shutdown(guest=guest(), timeout=timeout).within == words == show_duration(timeout)


@pytest.mark.parametrize(
    ("known", "verdict", "reason", "detail"),
    [
        ({"status": "stopped"}, Verdict.KEEP, Reason.ALREADY_OFF, "it is stopped already"),
        ({"status": "stopped", "lock": "suspended"}, Verdict.KEEP, Reason.ALREADY_OFF, "it is stopped already"),
        ({"template": True, "status": "stopped"}, Verdict.KEEP, Reason.TEMPLATE, "it is a template, and templates never run"),
        (
            {"status": "paused"},
            Verdict.KEEP,
            Reason.PAUSED,
            "it is paused, and Proxmox VE does not shut a paused guest down: resume it first",
        ),
        (
            {"status": "io-error"},
            Verdict.KEEP,
            Reason.PAUSED,
            "its status is 'io-error', and only a running guest can shut down: look at its console",
        ),
        (
            {"lock": "backup"},
            Verdict.KEEP,
            Reason.LOCKED,
            "it is locked (backup): other work is going on with it, try again when that has ended",
        ),
        (
            {"hastate": "started"},
            Verdict.KEEP,
            Reason.HA_MANAGED,
            (
                "the HA manager runs it (state started): a shutdown would set its HA state to stopped for good, "
                "and stop it by force after 1m; "
                "if that is wanted, run: ha-manager set vm:100 --state stopped"
            ),
        ),
        (
            {"hastate": "started", "type": "lxc"},
            Verdict.KEEP,
            Reason.HA_MANAGED,
            (
                "the HA manager runs it (state started): a shutdown would set its HA state to stopped for good; "
                "if that is wanted, run: ha-manager set ct:100 --state stopped"
            ),
        ),
        (
            {"status": "unknown", "template": None, "name": None},
            Verdict.BLIND,
            Reason.STATUS_UNKNOWN,
            "its status is unknown: node pve1 is offline or has stopped reporting, and nothing is switched off unseen",
        ),
    ],
)
def test_a_guest_that_is_left_alone_is_told_why(known: dict[str, Any], verdict: Verdict, reason: Reason, detail: str) -> None:
    assert decided(**known) == Decision(subject="guest/100", verdict=verdict, reason=reason, detail=detail)


def test_a_guest_the_ha_manager_ignores_is_like_any_other() -> None:
    assert decided(hastate="ignored").verdict is Verdict.ACT


def test_s09_what_the_selection_takes_away_is_never_touched() -> None:
    plan = shutdown.plan([guest(100), guest(101)], excluded=[guest(101), guest(99)], timeout=5, now=NOW)
    assert [(decision.subject, decision.reason) for decision in plan.decisions] == [
        ("guest/99", Reason.EXCLUDED),
        ("guest/100", Reason.REQUESTED),
        ("guest/101", Reason.EXCLUDED),
    ]
    assert [action.guest.vmid for action in plan.actions] == [100]


@pytest.mark.parametrize("timeout", [0, -1])
def test_a_guest_is_given_a_second_at_least(timeout: int) -> None:
    with pytest.raises(ValueError, match="at least one second"):
        shutdown.plan([guest()], timeout=timeout, now=NOW)


def test_nobody_selected_is_nothing_decided() -> None:
    assert shutdown.plan([], timeout=1, now=NOW).decisions == ()


@given(guests(), guests(max_size=3), st.integers(1, 7200), st.booleans())
def test_every_guest_gets_one_decision_and_only_a_running_unburdened_one_an_action(
    cast: list[Guest], excluded: list[Guest], timeout: int, force_stop: bool
) -> None:
    plan = shutdown.plan(cast, excluded=excluded, timeout=timeout, force_stop=force_stop, now=NOW)
    everybody = {one.vmid for one in [*cast, *excluded]}
    assert plan.made_at == NOW
    assert [decision.subject for decision in plan.decisions] == [f"guest/{vmid}" for vmid in sorted(everybody)]
    spared = {one.vmid for one in excluded}
    for decision in plan.decisions:
        assert decision.detail
        assert (decision.action is not None) is (decision.verdict is Verdict.ACT)
        if decision.action is not None:
            chosen = decision.action.guest
            assert isinstance(decision.action, Shutdown)
            assert (decision.action.timeout, decision.action.force_stop) == (timeout, force_stop)
            assert chosen.vmid not in spared
            assert chosen.status == "running"
            assert not chosen.template
            assert chosen.lock is None
            assert chosen.hastate in (None, "ignored")


def test_a_guest_that_is_stopped_for_its_backup_is_not_taken_for_off() -> None:
    waiting = Guest(vmid=100, type="qemu", node="pve1", status="stopped", lock="backup")
    verdict, reason, _ = shutdown.reason_to_keep(waiting) or (None, None, "")
    assert (verdict, reason) == (Verdict.KEEP, Reason.LOCKED)
    off = shutdown.reason_to_keep(Guest(vmid=100, type="qemu", node="pve1", status="stopped", lock="suspended"))
    assert off is not None
    assert off[1] is Reason.ALREADY_OFF
