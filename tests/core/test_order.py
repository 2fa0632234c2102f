from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvectl.core import order
from pvectl.core.order import Startup
from pvectl.core.plan import Shutdown
from tests.core.guests import guest


def asked(*vmids: int, type: str = "qemu") -> tuple[Shutdown, ...]:  # noqa: A002 - PVE's own name for it
    return tuple(Shutdown(guest=guest(vmid, type=type), timeout=180) for vmid in vmids)


def numbers(stages: tuple[tuple[Shutdown, ...], ...]) -> list[list[int]]:
    return [[action.guest.vmid for action in stage] for stage in stages]


@pytest.mark.parametrize(
    ("line", "startup"),
    [
        (None, Startup()),
        ("", Startup()),
        ("1", Startup(order=1)),
        ("order=1", Startup(order=1)),
        ("order=2,up=30,down=90", Startup(order=2, up=30, down=90)),
        ("3,down=60", Startup(order=3, down=60)),
        ("up=30", Startup(up=30)),
        ("down=90", Startup(down=90)),
        (" order=4 ; up=5 ", Startup(order=4, up=5)),
        ("order=one", Startup()),
        ("order=1,sideways=2", Startup()),
        ("order=-1", Startup()),
    ],
)
def test_a_startup_line_is_read_as_pve_reads_it(line: str | None, startup: Startup) -> None:
    assert order.parse(line) == startup


def test_those_without_an_order_go_first_then_the_highest_down_to_the_lowest() -> None:
    startup = {100: "order=1", 101: "order=5", 102: None, 103: "order=5", 105: "nonsense"}
    assert numbers(order.stages(asked(100, 101, 102, 103, 104, 105), startup)) == [[105, 104, 102], [103, 101], [100]]


def test_inside_a_stage_the_higher_vmid_stands_first() -> None:
    assert numbers(order.stages(asked(100, 300, 200), {})) == [[300, 200, 100]]


def test_a_vm_gets_the_time_its_own_line_gives_it_and_a_container_does_not() -> None:
    lines: dict[int, str | None] = {100: "order=1,down=600", 101: "order=1,down=0", 102: "order=1"}
    (stage,) = order.stages(asked(100, 101, 102), lines)
    assert {action.guest.vmid: action.timeout for action in stage} == {100: 600, 101: 180, 102: 180}
    ((container,),) = order.stages(asked(100, type="lxc"), {100: "order=1,down=600"})
    assert container.timeout == 180


def test_nobody_to_shut_down_is_no_stage() -> None:
    assert order.stages((), {100: "order=1"}) == ()


@settings(max_examples=40)
@given(st.dictionaries(st.integers(100, 120), st.sampled_from([None, "1", "order=2", "order=2,down=9", "x"])))
def test_everybody_goes_once_and_in_falling_order(startup: dict[int, str | None]) -> None:
    stages = order.stages(asked(*startup), startup)
    assert sorted(vmid for stage in numbers(stages) for vmid in stage) == sorted(startup)
    levels = [{order.parse(startup[vmid]).order for vmid in stage} for stage in numbers(stages)]
    assert all(len(level) == 1 for level in levels)
    ranks = [float("inf") if (one := next(iter(level))) is None else one for level in levels]
    assert ranks == sorted(ranks, reverse=True)


def test_guests_are_started_the_other_way_round() -> None:
    startup: dict[int, str | None] = {100: "order=1", 101: "order=5", 102: None, 103: "order=1"}
    assert order.starts((104, 103, 102, 101, 100), startup) == ((100, 103), (101,), (102, 104))


def test_nobody_is_started_in_the_seconds_after_a_guest_that_has_an_up() -> None:
    startup: dict[int, str | None] = {100: "order=1,up=30", 101: "order=1", 102: "order=2,up=0", 103: "order=2", 104: "up=5"}
    assert order.starts((100, 101, 102, 103, 104, 105), startup) == ((100,), (101,), (102, 103), (104,), (105,))
