"""What a run keeps is what the next one finds: whole, in one transaction, and of the kind it asks for."""

from __future__ import annotations

import threading
from contextlib import suppress

import pytest
from msgspec import Struct

from pvectl.errors import BadState, CannotWrite
from pvectl.store import open_beside, open_to_read
from tests.store.stage import LAB, NOON, Credit, StandingClock, State, a_decision, a_hold, an_intent


class Blockers(Struct, frozen=True, kw_only=True):
    names: tuple[str, ...]


def test_the_next_run_finds_what_was_kept_and_what_was_forgotten_is_gone(state: State) -> None:
    with state.run() as store:
        assert store.recall("idle", "node/pve2", Credit) is None
        store.keep("idle", "node/pve2", Credit(seconds=600))
        store.keep("idle", "node/pve2", Credit(seconds=900))
        store.keep("idle", "node/pve3", Credit(seconds=30))
        store.keep("ledger", "night", Blockers(names=("größe", "日本", "a\x00b")))
        store.forget("idle", "node/pve3")
        store.forget("idle", "node/pve9")

    with state.run() as store:
        assert store.set_aside is None
        assert store.warnings == ()
        assert store.recall("idle", "node/pve2", Credit) == Credit(seconds=900)
        assert store.recall_all("idle", Credit) == {"node/pve2": Credit(seconds=900)}
        assert store.recall("ledger", "night", Blockers) == Blockers(names=("größe", "日本", "a\x00b"))


def test_a_transaction_is_kept_whole_or_not_at_all(state: State) -> None:
    state.begun(a=1)

    with state.run() as store, suppress(ZeroDivisionError), store.transaction():
        store.keep("idle", "a", Credit(seconds=2))
        store.decided(a_decision())
        raise ZeroDivisionError

    with state.run() as store:
        assert store.recall_all("idle", Credit) == {"a": Credit(seconds=1)}
        assert store.decision("d1") is None


def test_a_transaction_within_another_is_undone_for_itself(state: State) -> None:
    with state.run() as store, store.transaction():
        store.keep("idle", "a", Credit(seconds=1))
        with suppress(ZeroDivisionError), store.transaction():
            store.keep("idle", "b", Credit(seconds=2))
            raise ZeroDivisionError
        store.keep("idle", "c", Credit(seconds=3))

    with open_to_read(state.directory, LAB) as reader:
        assert reader.recall_all("idle", Credit) == {"a": Credit(seconds=1), "c": Credit(seconds=3)}


def test_a_transaction_that_sqlite_ended_by_itself_is_not_taken_for_kept(state: State) -> None:
    with state.run() as store:
        transaction = store.transaction()
        transaction.__enter__()
        store.keep("idle", "a", Credit(seconds=1))
        store._connection.execute("ROLLBACK")
        with pytest.raises(CannotWrite):
            transaction.__exit__(None, None, None)
        assert store.recall("idle", "a", Credit) is None
        store.keep("idle", "a", Credit(seconds=2))


def test_threads_share_a_store_and_none_writes_into_the_transaction_of_another(state: State) -> None:
    with state.run() as store:
        inside, done = threading.Event(), threading.Event()

        def keep() -> None:
            inside.wait()
            store.keep("idle", "thread", Credit(seconds=2))
            done.set()

        thread = threading.Thread(target=keep)
        thread.start()
        with suppress(ZeroDivisionError), store.transaction():
            store.keep("idle", "main", Credit(seconds=1))
            inside.set()
            assert not done.wait(0.02)
            raise ZeroDivisionError
        thread.join()

        assert store.recall_all("idle", Credit) == {"thread": Credit(seconds=2)}


def test_s31_a_record_that_cannot_be_understood_is_reported_once_and_never_guessed(state: State) -> None:
    state.begun(a=1)

    with state.run() as store:
        with pytest.raises(BadState, match="idle a") as refused:
            store.recall("idle", "a", Blockers)
        assert refused.value.exit_code == 65
        with pytest.raises(BadState, match="nothing is switched off"):
            store.intend(an_intent(), decision=a_decision())

    with state.run() as store:
        assert store.set_aside is None
        assert store.recall("idle", "a", Blockers) is None
        (loss,) = store.history(since=NOON)
        assert loss.what == "set-aside"
        assert "idle a" in loss.id
        assert '{"seconds":1' in str(loss.detail)


def test_a_reader_that_does_not_understand_a_record_leaves_it(state: State) -> None:
    state.begun(a=1)

    with open_to_read(state.directory, LAB) as reader, pytest.raises(BadState):
        reader.recall_all("idle", Blockers)

    with state.run() as store:
        assert store.recall("idle", "a", Credit) == Credit(seconds=1)


def test_who_looks_or_only_places_holds_writes_nothing_else(state: State) -> None:
    state.begun(a=1)
    before = state.file.read_bytes()

    with open_to_read(state.directory, LAB) as reader, open_beside(state.directory, LAB, StandingClock()) as beside:
        for store in (reader, beside):
            with pytest.raises(RuntimeError):
                store.keep("idle", "a", Credit(seconds=2))
            with pytest.raises(RuntimeError):
                store.decided(a_decision())
            with pytest.raises(RuntimeError):
                store.intend(an_intent(), decision=a_decision())
            with pytest.raises(RuntimeError):
                store.ended("i1", status="done", at=NOON)
            with pytest.raises(RuntimeError):
                store.prune(now=NOON)
            with pytest.raises(RuntimeError):
                store.forget("idle", "a")
        with pytest.raises(RuntimeError):
            reader.add_hold(a_hold())
        with pytest.raises(RuntimeError):
            reader.remove_hold("h1")

    assert state.file.read_bytes() == before
