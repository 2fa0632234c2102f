"""Virtual time: events happen in order, at their time, and only when somebody looks."""

from __future__ import annotations

import threading

import pytest

from pvectl.sim.clock import Timeline, VirtualClock
from tests.sim.asking import NOON, Lab, vm


def test_a_clock_at_speed_zero_stands_still_until_it_is_moved() -> None:
    clock = VirtualClock(0, start=1000)
    assert [clock.now(), clock.now()] == [1000, 1000]
    clock.advance(60)
    assert clock.now() == 1060


def test_waiting_ends_as_soon_as_the_moment_has_come() -> None:
    clock = VirtualClock(0.001, start=1000)
    done = threading.Event()

    def sleeper() -> None:
        clock.wait(3600)
        done.set()

    thread = threading.Thread(target=sleeper)
    thread.start()
    assert not done.is_set()
    clock.advance(3601)
    assert done.wait(10)
    thread.join()


def test_waiting_on_a_clock_that_stands_still_returns_at_once() -> None:
    VirtualClock(0).wait(3600)


def test_a_clock_may_change_its_speed_and_goes_on_from_where_it_was() -> None:
    clock = VirtualClock(0, start=1000)
    clock.set_speed(1_000_000)
    clock.wait(5000)
    assert clock.now() >= 6000


def test_time_does_not_run_backwards() -> None:
    with pytest.raises(ValueError, match="backwards"):
        VirtualClock(-1)
    with pytest.raises(ValueError, match="backwards"):
        VirtualClock(0).advance(-1)
    with pytest.raises(ValueError, match="backwards"):
        VirtualClock(0).set_speed(-1)


def test_the_hour_of_a_scenario_counts_unless_the_clock_has_its_own() -> None:
    own, open_clock = VirtualClock(0, start=1000), VirtualClock(0)
    own.begin(NOON)
    open_clock.begin(NOON)
    assert (own.now(), open_clock.now()) == (1000, NOON)


def test_events_happen_in_order_each_at_its_own_time() -> None:
    timeline = Timeline(100)
    seen: list[tuple[str, float]] = []

    def first() -> None:
        seen.append(("first", timeline.now))
        timeline.after(5, lambda: seen.append(("between", timeline.now)))

    timeline.after(20, lambda: seen.append(("second", timeline.now)))
    timeline.after(10, first)
    timeline.catch_up(115)
    assert seen == [("first", 110), ("between", 115)]
    timeline.catch_up(200)
    assert seen[-1] == ("second", 120)
    assert timeline.now == 200


def test_an_event_that_is_overdue_happens_with_the_next_look() -> None:
    timeline = Timeline(100)
    seen: list[float] = []
    timeline.at(50, lambda: seen.append(timeline.now))
    timeline.catch_up(100)
    assert seen == [100]


def test_a_scripted_event_happens_while_the_cluster_runs() -> None:
    lab = Lab({"guests": [vm(100)]})
    lab.cluster.at(30, lambda: lab.cluster.lock(100, "backup"))
    lab.advance(29)
    assert lab.cluster.guest(100).lock is None
    lab.advance(1)
    assert lab.cluster.guest(100).lock == "backup"


def test_many_threads_may_ask_and_change_at_once() -> None:
    lab = Lab({"guests": [vm(100 + number) for number in range(20)]})
    errors: list[BaseException] = []

    def busy(offset: int) -> None:
        try:
            for number in range(20):
                vmid = 100 + (number + offset) % 20
                lab.get("/cluster/resources")
                lab.put_config(vmid, tags=f"t{offset}")
                lab.cluster.stop_guest(vmid)
                lab.cluster.start(vmid)
                lab.advance(0.5)
        except BaseException as failure:  # noqa: BLE001  (a thread's failure has to reach the test)
            errors.append(failure)

    threads = [threading.Thread(target=busy, args=(offset,)) for offset in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert {guest.status for guest in lab.cluster.world.guests.values()} == {"running"}
