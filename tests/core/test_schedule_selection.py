from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvectl.core.hold import Hold
from pvectl.core.model import Guest, Node
from pvectl.core.plan import Decision, Reason, Shutdown, Verdict
from pvectl.core.schedules.scheduled import Chosen, Scope, Surroundings, choose
from pvectl.core.select import Selection, parse
from tests.core.guests import NODES, guest, guests
from tests.core.schedules import utc

NOW = utc("2026-11-21 21:30")
ONLINE = tuple(Node(name=name, status="online") for name in NODES)
SAFE = ("safe-shutdown",)
SCOPE = Scope(require_tag="safe-shutdown", timeout=120)


def hold(subject: str, minutes: int = 60) -> Hold:
    return Hold(id=subject, subject=subject, until=NOW + timedelta(minutes=minutes), reason="film night", who="ann", made_at=NOW)


def chosen(
    *cast: Guest,
    scope: Scope = SCOPE,
    words: tuple[str, ...] = ("@all",),
    exclude: tuple[str, ...] = (),
    holds: tuple[Hold, ...] = (),
    **known: Any,
) -> Chosen:
    picked = parse(words, exclude=exclude).pick(cast)
    return choose(picked, scope, Surroundings(**{"nodes": ONLINE, "holds": holds, "now": NOW, **known}))


def reason(*cast: Guest, **known: Any) -> Reason:
    (decision,) = chosen(*cast, **known).decisions
    assert decision.detail
    return decision.reason


def test_a_tagged_running_guest_is_asked() -> None:
    found = chosen(guest(tags=SAFE))
    assert found.decisions == (
        Decision(
            subject="guest/100",
            verdict=Verdict.ACT,
            reason=Reason.SCHEDULED,
            detail="shut down within 2m",
            action=Shutdown(guest=guest(tags=SAFE), timeout=120),
        ),
    )
    assert found.actions == (Shutdown(guest=guest(tags=SAFE), timeout=120),)
    assert found.why_empty is None


def test_s19_force_is_said() -> None:
    (decision,) = chosen(guest(tags=SAFE), scope=Scope(require_tag=None, timeout=5, force_stop=True)).decisions
    assert decision.detail == "shut down within 5s, then stopped by force"
    assert decision.action == Shutdown(guest=guest(tags=SAFE), timeout=5, force_stop=True)


def test_s09_d31_a_listed_guest_without_the_tag_is_never_touched() -> None:
    assert reason(guest(100), words=("100",)) is Reason.NOT_TAGGED
    assert reason(guest(100, tags=("safe-shutdowns",)), words=("100",)) is Reason.NOT_TAGGED


def test_lifting_the_tag_takes_an_explicit_none() -> None:
    assert reason(guest(100), scope=Scope(require_tag=None, timeout=5)) is Reason.SCHEDULED


def test_d23_a_tag_is_compared_as_pve_compares_it() -> None:
    assert reason(guest(tags=("Safe-Shutdown",))) is Reason.SCHEDULED
    strict = Scope(require_tag="safe-shutdown", timeout=5, case_sensitive=True)
    assert reason(guest(tags=("Safe-Shutdown",)), scope=strict) is Reason.NOT_TAGGED


def test_s09_exclusion_beats_the_tag_and_a_hold_beats_exclusion() -> None:
    assert reason(guest(tags=SAFE), exclude=("100",)) is Reason.EXCLUDED
    assert reason(guest(), exclude=("100",)) is Reason.EXCLUDED
    assert reason(guest(tags=SAFE), exclude=("100",), holds=(hold("guest/100"),)) is Reason.HELD


def test_s25_a_hold_keeps_a_guest_and_what_runs_on_a_held_node() -> None:
    found = chosen(
        guest(tags=SAFE), guest(101, tags=SAFE), guest(102, tags=SAFE, node="pve2"), holds=(hold("guest/100"), hold("node/pve2"))
    )
    assert [decision.reason for decision in found.decisions] == [Reason.HELD, Reason.SCHEDULED, Reason.HELD]
    assert [decision.subject for decision in found.held] == ["guest/100", "guest/102"]
    assert found.decisions[2].detail == "ann holds node/pve2 until 2026-11-21 22:30 UTC: film night"


@pytest.mark.parametrize(("minutes", "kept"), [(-1, Reason.SCHEDULED), (0, Reason.SCHEDULED), (1, Reason.HELD)])
def test_a_hold_that_has_ended_holds_nothing(minutes: int, kept: Reason) -> None:
    assert reason(guest(tags=SAFE), holds=(hold("guest/100", minutes),)) is kept


@pytest.mark.parametrize(
    ("nodes", "kept", "words"),
    [
        (None, Reason.SCHEDULED, "shut down within 2m"),
        (frozenset({"pve1"}), Reason.SCHEDULED, "shut down within 2m"),
        (frozenset({"pve3", "pve2"}), Reason.OUT_OF_SCOPE, "it is on node pve1, and the schedule is for pve2, pve3"),
        (frozenset(), Reason.OUT_OF_SCOPE, "it is on node pve1, and the schedule is for no node"),
    ],
)
def test_s08_d33_only_guests_on_the_nodes_it_is_for_are_asked(nodes: frozenset[str] | None, kept: Reason, words: str) -> None:
    (decision,) = chosen(guest(tags=SAFE), scope=Scope(require_tag="safe-shutdown", nodes=nodes, timeout=120)).decisions
    assert (decision.reason, decision.detail) == (kept, words)


@pytest.mark.parametrize("nodes", [(), (Node(name="pve1", status="offline"),), (Node(name="pve1", status="unknown"),)])
def test_d35_guests_on_an_offline_node_are_unknown_and_the_others_proceed(nodes: tuple[Node, ...]) -> None:
    found = chosen(guest(tags=SAFE), guest(101, tags=SAFE, node="pve2"), nodes=(*nodes, Node(name="pve2", status="online")))
    assert [(decision.verdict, decision.reason) for decision in found.decisions] == [
        (Verdict.BLIND, Reason.NODE_UNSEEN),
        (Verdict.ACT, Reason.SCHEDULED),
    ]
    assert [decision.subject for decision in found.unseen] == ["guest/100"]


@pytest.mark.parametrize(
    ("known", "kept"),
    [
        ({"status": "stopped"}, Reason.ALREADY_OFF),
        ({"status": "paused"}, Reason.PAUSED),
        ({"status": "unknown"}, Reason.STATUS_UNKNOWN),
        ({"template": True}, Reason.TEMPLATE),
        ({"lock": "backup"}, Reason.LOCKED),
        ({"hastate": "started"}, Reason.HA_MANAGED),
    ],
)
def test_only_a_running_unburdened_guest_is_asked(known: dict[str, Any], kept: Reason) -> None:
    assert reason(guest(tags=SAFE, **known)) is kept


def test_an_empty_selection_says_why() -> None:
    assert chosen(guest(), words=("@tag-nope",)).why_empty == "nothing to shut down: no guest has the tag 'nope'"
    assert chosen(guest(), words=("@tag-nope",)).warnings == ("no guest has the tag 'nope'",)
    nobody = choose(Selection().pick([guest()]), SCOPE, Surroundings(nodes=ONLINE, now=NOW))
    assert nobody.why_empty == "nothing to shut down: the selection asks for nothing"
    assert chosen(guest()).why_empty == (
        "nothing to shut down: of 1 guest found, none may be asked: 1 because it does not carry the tag that permits it"
    )
    assert chosen(guest(), guest(101), guest(102, tags=SAFE, status="stopped")).why_empty == (
        "nothing to shut down: of 3 guests found, none may be asked: "
        "2 because it does not carry the tag that permits it; 1 because it is stopped already"
    )


@settings(max_examples=20)
@given(guests(), st.sets(st.integers(100, 120)), st.sets(st.integers(100, 120)), st.sets(st.sampled_from(NODES)))
def test_s09_who_is_asked_is_selected_tagged_in_scope_running_and_neither_excluded_nor_held(
    cast: list[Guest], excluded: set[int], held: set[int], nodes: set[str]
) -> None:
    found = chosen(
        *cast,
        scope=Scope(require_tag="safe-shutdown", nodes=frozenset(nodes), timeout=60),
        words=("100:115",),
        exclude=tuple(map(str, excluded)),
        holds=tuple(hold(f"guest/{vmid}") for vmid in held),
    )
    assert [decision.subject for decision in found.decisions] == [
        f"guest/{one.vmid}" for one in sorted(cast, key=lambda one: one.vmid) if 100 <= one.vmid <= 115
    ]
    for one in (action.guest for action in found.actions):
        assert 100 <= one.vmid <= 115
        assert one.vmid not in excluded | held
        assert "safe-shutdown" in one.tags
        assert one.node in nodes
        assert one.status == "running"
    assert (found.why_empty is None) is bool(found.actions)
