"""At every single point of a whole drain something happens: nothing that cannot be taken back leaves after it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator

import pytest

from pvectl.core.plan import OutcomeStatus
from tests.act.drains import DiaryInMemory, Drain, draining, guest, world

THE_POST = "POST /nodes/pve2/status"
GUESTS = (guest(100), guest(101, type="lxc"), guest(102), guest(190, tags=None, status="stopped"))
STAGES = ((100, 101), (102,))
DONE, UNKNOWN, STARTED, SKIPPED, FAILED = (OutcomeStatus(word) for word in ("done", "unknown", "started", "skipped", "failed"))


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pvectl.pve.transport.PAUSE_S", 0.0001)


def a_whole_drain(parallel: int = 1) -> list[str]:
    with draining(world(*GUESTS), *STAGES) as drain:
        assert drain.run(parallel=parallel).status is DONE
        return drain.lab.asked()


def to_full(drain: Drain) -> list[str]:
    """What had been written to the cluster when the diary's disk was full; changed in place."""
    before: list[str] = []
    drain.diary.on_full = lambda: before.extend(drain.lab.wrote()) if not before else None
    return before


@pytest.mark.parametrize("breaks_at", range(1, 9))
def test_s24_when_the_diary_cannot_be_written_no_request_leaves_any_more(breaks_at: int) -> None:
    with draining(world(*GUESTS), *STAGES, diary=DiaryInMemory(breaks_at=breaks_at)) as drain:
        written_before = to_full(drain)
        outcome = drain.run(parallel=1)
        assert drain.diary.writes >= breaks_at
        assert drain.lab.wrote() == written_before
        if breaks_at == 8:  # the power-off's own outcome
            assert (outcome.status, drain.power_offs) == (DONE, 1)
        else:
            assert (outcome.status, outcome.kind, outcome.sent) == (FAILED, "cannot-write", False)
            assert outcome.error is not None
            assert "no space left on device" in outcome.error


def starts_an_untagged_one(drain: Drain) -> None:
    drain.lab.cluster.start(190)


def holds_the_node(drain: Drain) -> None:
    drain.diary.holds["node/pve2"] = "eva holds it"


def cuts_the_node_off(drain: Drain) -> None:
    drain.lab.server.fault("status", path="/nodes/pve2/*", code=595)


def silences_the_node(drain: Drain) -> None:
    drain.lab.server.fault("status", path="/nodes/pve2/*", code=596)


def crashes_the_node(drain: Drain) -> None:
    drain.lab.cluster.crash_node("pve2")


def reboots_the_node(drain: Drain) -> None:
    drain.lab.cluster.crash_node("pve2")
    drain.lab.cluster.wake("pve2")
    drain.lab.cluster.advance(100)


def takes_the_tag_away(drain: Drain) -> None:
    drain.lab.cluster.set_tags(102, "prod")


def interfered(k: int, meddle: Callable[[Drain], None]) -> tuple[Drain, list[str], list[str]]:
    """The drain after something happened at its k-th request: with the requests before that, and those after."""
    with draining(world(*GUESTS), *STAGES, timeout=10) as drain:
        drain.lab.on_request(lambda number, _: meddle(drain) if number == k else None)
        outcome = drain.run(parallel=1)
        asked = drain.lab.asked()
        posts = asked.count(THE_POST)
        assert posts <= 1
        assert outcome.sent is bool(posts)
        if not posts:
            assert outcome.status in (SKIPPED, FAILED)
            assert drain.diary.open() == []
        return drain, asked[:k], asked[k:]


@pytest.mark.slow
@pytest.mark.parametrize("meddle", [holds_the_node, cuts_the_node_off, silences_the_node, crashes_the_node])
def test_s02_s25_after_any_request_a_hold_or_a_silent_node_lets_no_power_off_follow(meddle: Callable[[Drain], None]) -> None:
    whole = a_whole_drain()
    for k in range(1, whole.index(THE_POST) + 1):
        drain, _, after = interfered(k, meddle)
        refused = [record for record in drain.lab.server.requests if f"{record.method} {record.path}" == THE_POST and not record.executed]
        if meddle is holds_the_node:
            assert [line for line in after if line.startswith("POST")] == [], f"after request {k}"
        else:
            # a node that cannot be reached cannot be told either: such a request may leave, and comes to nothing
            assert after.count(THE_POST) == len(refused), f"after request {k}"


@pytest.mark.slow
def test_s03_s21_after_any_request_a_guest_that_starts_keeps_the_node_on() -> None:
    whole = a_whole_drain()
    last_look = max(k for k, words in enumerate(whole[: whole.index(THE_POST)], 1) if words == "GET /nodes/pve2/qemu")
    for k in range(1, last_look + 1):
        _, _, after = interfered(k, starts_an_untagged_one)
        assert THE_POST not in after, f"after request {k}"


@pytest.mark.slow
def test_s03_after_any_request_a_node_that_was_rebooted_meanwhile_stays_on() -> None:
    whole = a_whole_drain()
    last_look = max(k for k, words in enumerate(whole[: whole.index(THE_POST)], 1) if words == "GET /nodes")
    for k in range(1, last_look + 1):
        drain, _, after = interfered(k, reboots_the_node)
        assert [line for line in after if line.startswith("POST")] == [], f"after request {k}"
        assert drain.power_offs == 0, f"after request {k}"


@pytest.mark.slow
def test_s09_after_any_request_a_guest_without_its_tag_is_not_asked() -> None:
    whole = a_whole_drain()
    last_look = whole.index("POST /nodes/pve2/qemu/102/status/shutdown")
    for k in range(1, last_look + 1):
        drain, _, after = interfered(k, takes_the_tag_away)
        assert "POST /nodes/pve2/qemu/102/status/shutdown" not in after, f"after request {k}"
        assert drain.power_offs == 0


@pytest.fixture
def _ctrl_c_works() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.slow
@pytest.mark.usefixtures("_ctrl_c_works")
@pytest.mark.parametrize("parallel", [1, 2])
def test_s30_ctrl_c_at_any_request_is_told_truthfully_and_leaves_the_tasks_alone(parallel: int) -> None:
    whole = a_whole_drain(parallel)
    main = threading.main_thread().ident
    assert main is not None
    for k in range(1, len(whole) + 1):
        with draining(world(*GUESTS), *STAGES) as drain:
            drain.lab.on_request(lambda number, _, k=k: signal.pthread_kill(main, signal.SIGINT) if number == k else None)  # type: ignore[misc]
            try:
                outcome = drain.run(parallel=parallel)
            except KeyboardInterrupt:
                # the very last request: everything had been told when it came
                assert k == len(whole)
                continue
            # an answer that was awaited when it came may still arrive; nothing else does
            assert drain.power_offs == int(outcome.sent), f"at request {k}"
            posted = {int(words.split("/")[4]) for words in drain.lab.wrote() if words.endswith("/shutdown")}
            for one in outcome.guests:
                was_asked = one.action.guest.vmid in posted
                assert (one.status in (DONE, STARTED, UNKNOWN)) is was_asked, f"at request {k}: {one}"
            assert not [words for words in drain.lab.wrote() if words.startswith("DELETE")]
            assert drain.diary.open() == (["node/pve2"] if outcome.status in (STARTED, UNKNOWN) else []), f"at request {k}"
