"""One thread's own, nearer deadline, and how long it waits for a silent host, are nobody else's."""

from __future__ import annotations

import math
import threading

import pytest

from pvectl.errors import DeadlineExceeded
from pvectl.pve.deadline import Deadline


def test_a_nearer_deadline_is_this_threads_alone_and_ends_with_its_block() -> None:
    run = Deadline(100)
    left: list[float] = []
    with run.in_this_thread(0):
        assert run.left() == 0
        assert run.within(50).left() == 0
        other = threading.Thread(target=lambda: left.append(run.left()))
        other.start()
        other.join()
        with pytest.raises(DeadlineExceeded, match="no answer within 0 s"):
            run.check()
    run.check()
    assert left[0] > 90


def test_a_nearer_deadline_never_outlasts_the_one_around_it_or_the_run() -> None:
    run = Deadline(5)
    with run.in_this_thread(2), run.in_this_thread(60):
        assert run.left() <= 2
    with run.in_this_thread(60):
        assert run.left() <= 5


def test_once_the_run_is_over_that_is_what_is_told() -> None:
    run = Deadline(0)
    with run.in_this_thread(60), pytest.raises(DeadlineExceeded, match="this run may take"):
        run.check()


def test_impatience_is_handed_on_to_the_parts_of_the_work_and_then_forgotten() -> None:
    run = Deadline.never()
    with run.impatient(3):
        assert (run.patience, run.within(50).patience) == (3, 3)
    assert run.patience == math.inf
