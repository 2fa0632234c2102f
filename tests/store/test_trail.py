"""The audit trail: what was decided and why, what was about to be sent, and what came of it."""

from __future__ import annotations

import sqlite3
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvectl.errors import UsageError
from pvectl.store import open_beside, open_to_read
from pvectl.store.entries import as_written, fresh_id
from tests.store.stage import LAB, NOON, Credit, StandingClock, State, a_decision, a_hold, an_intent

DAY = timedelta(days=1)


def test_s32_a_decision_is_found_again_with_all_its_evidence(state: State) -> None:
    evidence = {"guests": [{"vmid": 100, "name": "größe\x1b[31m"}], "ratio": 0.25}
    entry = a_decision("0tvdq3sy", phase="drain", detail="…", payload=msgspec.Raw(msgspec.json.encode(evidence)))

    with state.run() as store:
        store.decided(entry)

    with open_to_read(state.directory, LAB) as reader:
        found = reader.decision("0tvdq3sy")
        assert found == entry
        assert found is not None
        assert msgspec.json.decode(found.payload) == evidence
        assert reader.decision("nope") is None
        assert reader.decision("") is None


def test_the_beginning_of_an_id_is_enough_in_capitals_too_and_an_ambiguous_one_names_the_candidates(state: State) -> None:
    with state.run() as store:
        store.decided(a_decision("0tvdq301"))
        store.decided(a_decision("0tvdq3b2", subject="node/pve3"))
        store.intend(an_intent("7zzzz999", decision="0tvdq301"))

        assert store.decision("0TVDQ3OL") == a_decision("0tvdq301")
        assert store.decision("0tvd-q3b") == a_decision("0tvdq3b2", subject="node/pve3")
        assert store.decision("7zz") == a_decision("0tvdq301")
        assert store.decision("%") is None
        with pytest.raises(UsageError, match=r"0tvdq301 \(node/pve2.*0tvdq3b2 \(node/pve3"):
            store.decision("0tvdq3")


def test_s24_an_intent_is_on_disk_when_intend_returns_and_stays_open_until_its_end_is_known(state: State) -> None:
    with state.run() as store:
        store.intend(an_intent("i1"), an_intent("i2", subject="guest/101"), decision=a_decision())
        with open_to_read(state.directory, LAB) as reader:
            assert reader.open_intents() == (an_intent("i1"), an_intent("i2", subject="guest/101"))
        store.ended("i1", status="done", at=NOON, upid="UPID:pve1:…", took=3)

    with state.run() as store:
        assert store.open_intents() == (an_intent("i2", subject="guest/101"),)
        (_, done), (_, unknown) = store.actions(since=NOON)
        assert done is not None
        assert (done.status, done.upid, done.error, done.took) == ("done", "UPID:pve1:…", None, 3.0)
        assert unknown is None
        assert store.actions(since=NOON + DAY) == ()


def test_s23_an_unknown_outcome_stays_open_until_somebody_has_seen_it(state: State) -> None:
    with state.run() as store:
        store.intend(an_intent("i1", verb="power-off", subject="node/pve2"), decision=a_decision())
        store.ended("i1", status="unknown", at=NOON, error="the connection was reset")
        assert [intent.id for intent in store.open_intents()] == ["i1"]

        store.ended("i1", status="done", at=NOON + DAY)
        store.ended("i1", status="done", at=NOON + DAY)
        assert store.open_intents() == ()
        with pytest.raises(ValueError, match="ended already: done"):
            store.ended("i1", status="failed", at=NOON + DAY)
        with pytest.raises(ValueError, match="no intent i9"):
            store.ended("i9", status="done", at=NOON)


def test_s32_nothing_is_intended_without_a_decision_behind_it(state: State) -> None:
    with state.run() as store:
        with pytest.raises(sqlite3.IntegrityError):
            store.intend(an_intent("i1", decision="d9"))
        assert store.open_intents() == ()
        with pytest.raises(sqlite3.IntegrityError):
            store.intend(an_intent("i1"), an_intent("i1"), decision=a_decision())
        assert store.decision("d1") is None


def test_s24_an_intent_within_a_transaction_would_not_be_on_disk_and_is_refused(state: State) -> None:
    with state.run() as store, store.transaction(), pytest.raises(RuntimeError):
        store.intend(an_intent(), decision=a_decision())


def test_evidence_that_is_no_json_is_a_mistake_of_ours(state: State) -> None:
    with state.run() as store, pytest.raises(msgspec.DecodeError):
        store.decided(a_decision(payload=msgspec.Raw(b'{"guests":')))


def test_text_that_has_no_utf8_is_kept_all_the_same(state: State) -> None:
    with state.run() as store:
        store.intend(an_intent(), decision=a_decision(detail="half a pair: \ud800"))
        store.ended("i1", status="failed", at=NOON, error="\udcff\x00")

    with state.run() as store:
        assert store.set_aside is None
        entry = store.decision("d1")
        assert entry is not None
        assert entry.detail == "half a pair: \\ud800"


def test_history_tells_actions_changes_of_mind_and_holds_the_newest_first(state: State) -> None:
    clock = StandingClock()
    with state.run(clock) as store:
        for minute in range(4):
            at = NOON + timedelta(minutes=minute)
            verdict = ("keep", "busy") if minute < 2 else ("wait", "grace-period")
            store.decided(a_decision(f"d{minute}", at=at, acted=False, verdict=verdict[0], reason=verdict[1]))
        store.decided(a_decision("other", at=NOON, subject="node/pve3", verdict="keep", reason="busy", acted=False))
        store.add_hold(a_hold("h1", until=NOON + timedelta(minutes=30)))
        store.add_hold(a_hold("h2", subject="guest/100"))
        clock.go(minutes=10)
        store.intend(an_intent("i1", at=clock.now(), decision="d3"))
        clock.go(minutes=5)
        store.remove_hold("h2")
        clock.go(hours=1)

        told = [(entry.what, entry.subject, entry.id) for entry in store.history(since=NOON)]
        assert told == [
            ("hold-expired", "node/pve2", "h1"),
            ("hold-removed", "guest/100", "h2"),
            ("action", "guest/100", "i1"),
            ("decision", "node/pve2", "d2"),
            ("decision", "node/pve3", "other"),
            ("hold-added", "guest/100", "h2"),
            ("hold-added", "node/pve2", "h1"),
            ("decision", "node/pve2", "d0"),
        ]
        of_guest = store.history(since=NOON, subject="guest/100")
        assert [entry.what for entry in of_guest] == ["hold-removed", "action", "hold-added"]
        assert of_guest[1].status is None
        later = store.history(since=NOON + timedelta(minutes=1))
        assert ("decision", "d1") not in [(entry.what, entry.id) for entry in later]
        assert len(later) == 4


def test_actions_are_kept_for_ever_and_decisions_without_one_for_ninety_days(state: State) -> None:
    with state.run() as store:
        store.decided(a_decision("idle", acted=False))
        store.decided(a_decision("young", acted=False, at=NOON + DAY))
        store.decided(a_decision("kept", acted=False))
        store.intend(an_intent("i1", decision="kept"))
        store.decided(a_decision("acted"))
        store.add_hold(a_hold("h1", until=NOON + timedelta(seconds=1)))
        store.add_hold(a_hold("h2", until=NOON + 3 * DAY))

        store.prune(now=NOON + 90 * DAY)
        assert store.decision("idle") is not None
        store.prune(now=NOON + 90 * DAY + timedelta(seconds=2))

        assert [name for name in ("idle", "young", "kept", "acted") if store.decision(name)] == ["young", "kept", "acted"]
        assert [intent.id for intent in store.open_intents()] == ["i1"]
        assert [hold.id for hold in store.holds(at=NOON)] == ["h2"]


def test_evidence_that_grows_too_large_gives_up_its_oldest_decisions_first(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pvectl.store.pruning._EVIDENCE_LIMIT", 10_000)
    payload = msgspec.Raw(msgspec.json.encode("x" * 998))
    with state.run() as store:
        for minute in range(12):
            store.decided(a_decision(f"d{minute:02}", acted=minute == 0, at=NOON + timedelta(minutes=minute), payload=payload))
        store.prune(now=NOON)

        assert [number for number in range(12) if store.decision(f"d{number:02}")] == [0, *range(2, 12)]


def test_ids_are_short_sorted_by_time_and_never_given_twice(state: State) -> None:
    clock = StandingClock()
    with state.run(clock) as store:
        many = [store.new_id() for _ in range(1500)]
        clock.go(hours=1)
        store.decided(a_decision(later := store.new_id()))

        assert len(set(many)) == 1500
        assert {len(name) for name in many} == {8}
        assert max(many) < later
        assert all(as_written(name.upper().replace("0", "O").replace("1", "l")) == name for name in many)

    with open_beside(state.directory, LAB, clock) as beside:
        assert later not in {beside.new_id() for _ in range(500)}


@settings(deadline=None)
@given(st.integers(0, 2**34))
def test_an_id_lasts_past_the_year_2500(seconds: int) -> None:
    assert len(fresh_id(NOON + timedelta(seconds=min(seconds, 250_000_000_000)))) == 8


def test_a_run_that_keeps_a_record_and_a_decision_together_keeps_both(state: State) -> None:
    with state.run() as store, store.transaction():
        store.decided(a_decision())
        store.keep("idle", "node/pve2", Credit(seconds=5))

    with open_to_read(state.directory, LAB) as reader:
        assert reader.decision("d1") == a_decision()
        assert reader.recall("idle", "node/pve2", Credit) == Credit(seconds=5)
