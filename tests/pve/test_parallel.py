from __future__ import annotations

import threading

import pytest

from pvectl.pve.parallel import Shared, in_parallel


def test_ctrl_c_while_the_threads_are_still_being_started_ends_those_that_run(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[threading.Thread] = []
    first_call, go_on = threading.Event(), threading.Event()
    called: list[int] = []
    start = threading.Thread.start

    def pressed_at_the_second(thread: threading.Thread) -> None:
        if started:
            assert first_call.wait(20)
            raise KeyboardInterrupt
        started.append(thread)
        start(thread)

    def call(number: int) -> int:
        called.append(number)
        first_call.set()
        assert go_on.wait(20)
        return number

    monkeypatch.setattr(threading.Thread, "start", pressed_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        in_parallel([lambda number=number: call(number) for number in range(10)], workers=4)  # type: ignore[misc]
    go_on.set()
    started[0].join(20)
    assert not started[0].is_alive()
    assert called == [0]


class Turnstile:
    """A lock that tells who has come to it."""

    def __init__(self) -> None:
        self.arrived = threading.Semaphore(0)
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self.arrived.release()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_threads_that_ask_while_another_reads_share_the_next_reading_and_never_that_one(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on, turnstile = threading.Event(), threading.Event(), Turnstile()
    readings: list[int] = []
    answers: list[int] = []

    def read() -> int:
        number = len(readings)
        readings.append(number)
        begun.set()
        assert go_on.wait(20)
        return number

    shared = Shared(read)
    monkeypatch.setattr(shared, "_turn", turnstile)
    threads = [threading.Thread(target=lambda: answers.append(shared())) for _ in range(6)]
    threads[0].start()
    assert begun.wait(20)
    for thread in threads[1:]:
        thread.start()
    assert all(turnstile.arrived.acquire(timeout=20) for _ in threads)
    go_on.set()
    for thread in threads:
        thread.join(20)
    assert sorted(answers) == [0, 1, 1, 1, 1, 1]
    assert readings == [0, 1]
    assert shared() == 2


def test_a_reading_that_failed_is_shared_with_nobody() -> None:
    divisors = iter([0, 1])
    shared = Shared(lambda: 7 // next(divisors))
    with pytest.raises(ZeroDivisionError):
        shared()
    assert shared() == 7
