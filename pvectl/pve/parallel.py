"""Several questions at once, each in a thread of its own, the answers in the order they were asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar, cast

from pvectl.errors import PvectlError

T = TypeVar("T")

MOST_WORKERS = 8


def in_parallel(calls: Sequence[Callable[[], T]], *, workers: int = MOST_WORKERS) -> list[T | PvectlError]:
    """What each call answers, or the `PvectlError` it raised; any other exception ends the whole and is raised here."""
    count = max(1, min(workers, MOST_WORKERS, len(calls)))
    results: list[T | PvectlError | None] = [None] * len(calls)
    waiting = iter(enumerate(calls))
    lock = threading.Lock()
    crashed: list[BaseException] = []

    def work() -> None:
        while not crashed:
            with lock:
                position, call = next(waiting, (-1, None))
            if call is None:
                return
            try:
                results[position] = call()
            except PvectlError as error:
                results[position] = error
            except BaseException as error:  # noqa: BLE001 — raised again in the thread that asked
                crashed.append(error)

    if count == 1:
        work()
    else:
        threads = [threading.Thread(target=work, daemon=True) for _ in range(count)]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        except BaseException:
            crashed.append(KeyboardInterrupt())
            raise
    if crashed:
        raise crashed[0]
    return cast("list[T | PvectlError]", results)


class Shared(Generic[T]):
    """One reading for all the threads that wait for it; nobody gets an answer that had been on its way before they asked."""

    def __init__(self, read: Callable[[], T]) -> None:
        self._read = read
        self._turn = threading.Lock()
        self._begun = 0
        self._latest: tuple[int, T] | None = None

    def __call__(self) -> T:
        before = self._begun
        with self._turn:
            if self._latest is not None and self._latest[0] > before:
                return self._latest[1]
            self._begun += 1
            answer = self._read()
            self._latest = self._begun, answer
            return answer
