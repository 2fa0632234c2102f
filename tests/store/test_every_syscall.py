"""A run that dies, or is refused, at any one of its calls to the kernel: strace does both, at each call in turn."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pvectl.errors import BadState
from pvectl.store import open_to_read
from tests.store.stage import LAB, NOON, Credit, State, a_hold, other
from tests.store.tracing import CALLS, REFUSABLE, Point, needs_strace, points

pytestmark = pytest.mark.slow

RUN = """
code = "done"
try:
    with open_to_write(directory, LAB, clock) as store:
        with store.transaction():
            store.keep("idle", "a", Credit(seconds=2))
            store.decided(a_decision("d1"))
        store.intend(an_intent("i1"))
        # here the request would leave
        (directory / "sent").touch()
        store.ended("i1", status="done", at=NOON)
except PvectlError as error:
    code = f"{type(error).__name__} {int(error.exit_code)}"
say(code)
"""
KINDS = ("first", "next", "broken")


def _prepared(state: State, kind: str) -> State:
    shutil.rmtree(state.directory)
    state.directory.mkdir(mode=0o700)
    if kind != "first":
        with state.begun(a=1).run() as store:
            store.add_hold(a_hold("h1"))
    if kind == "broken":
        content = state.file.read_bytes()
        state.file.write_bytes(content[:4096] + content[8192:] + content[4096:8192])
    return state


def _points(state: State, kind: str, log: Path, calls: tuple[str, ...]) -> list[Point]:
    return points(lambda: _prepared(state, kind), RUN, log, calls, says="BadState 65\n" if kind == "broken" else "done\n")


def _ends_well(state: State, kind: str, said: str) -> None:
    """What must be so after a run that ended anywhere."""
    sent = (state.directory / "sent").exists()
    with state.run() as store:
        credit = store.recall("idle", "a", Credit)
        before = Credit(seconds=1) if kind == "next" else None
        open_, done = store.open_intents(), [pair for pair in store.actions(since=NOON) if pair[1]]
        assert (store.set_aside is None) or kind == "broken", store.set_aside
        assert not sent or len(open_) + len(done) == 1, "a request without its intent"
        assert credit in (before, Credit(seconds=2))
        if kind == "next":
            assert [hold.id for hold in store.holds(at=NOON)] == ["h1"]
        if said == "done\n":
            assert (credit, len(done), open_) == (Credit(seconds=2), 1, ())
        assert kind != "broken" or not sent
    if kind == "broken":
        assert len(state.broken()) == 1
    left = {path.name for path in state.folder.iterdir()} - {"state.db", "state.db-journal", "state.lock"} - set(state.broken())
    assert left <= {name + "-journal" for name in state.broken()}


@needs_strace
@pytest.mark.parametrize("kind", KINDS)
def test_s24_s30_a_run_killed_at_any_call_leaves_the_old_or_the_new_state_and_no_request_without_intent(
    state: State, tmp_path: Path, kind: str
) -> None:
    for call, number in _points(state, kind, tmp_path / "log", CALLS):
        with other(_prepared(state, kind).directory, RUN, before=Point(call, number).kill()) as process:
            _, said = process.ended()
        # who only looks in between is never told anything else either
        try:
            open_to_read(state.directory, LAB).close()
        except BadState:
            assert kind == "broken", (call, number)
        try:
            _ends_well(state, kind, said)
        except AssertionError as error:
            raise AssertionError(f"after a kill at {call} number {number}: {said}") from error


@needs_strace
@pytest.mark.parametrize(("kind", "refusal"), [("first", "ENOSPC"), ("next", "ENOSPC"), ("next", "EIO")])
def test_s24_a_run_refused_at_any_call_says_so_and_claims_nothing(state: State, tmp_path: Path, kind: str, refusal: str) -> None:
    for call, number in _points(state, kind, tmp_path / "log", REFUSABLE[refusal]):
        with other(_prepared(state, kind).directory, RUN, before=Point(call, number).refuse(refusal)) as process:
            status, said = process.ended()
        try:
            assert status == 0, "an unexpected error"
            assert said in {"done\n", "CannotWrite 73\n", "BadState 65\n"}
            _ends_well(state, kind, said)
        except AssertionError as error:
            raise AssertionError(f"after {refusal} at {call} number {number}: {said}") from error


@needs_strace
def test_s31_a_state_that_can_only_be_opened_to_read_for_once_is_not_taken_for_broken(state: State) -> None:
    prepared = _prepared(state, "next")
    opening = ("strace", "-f", "-qq", "-o", "/dev/null", "-P", str(state.file), "-e", "trace=openat")
    with other(prepared.directory, RUN, before=(*opening, "-e", "inject=openat:error=EIO:when=1")) as process:
        assert process.ended() == (0, "CannotWrite 73\n")
    assert state.broken() == []
    _ends_well(state, "next", "CannotWrite 73\n")
