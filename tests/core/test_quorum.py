from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvectl.core import quorum
from pvectl.core.evidence import Device, Member
from pvectl.core.model import Unknown


def nodes(*votes: int | None, off: tuple[int, ...] = ()) -> tuple[Member, ...]:
    return tuple(Member(name=f"pve{index}", online=index not in off, votes=vote) for index, vote in enumerate(votes, start=1))


def judged(members: tuple[Member, ...], device: Device | None = None, *, node: str = "pve1") -> quorum.Remains:
    remains = quorum.without(node, members, device)
    assert isinstance(remains, quorum.Remains)
    return remains


@pytest.mark.parametrize(
    ("members", "device", "after", "needed", "stays"),
    [
        (nodes(1, 1, 1), None, 2, 2, True),
        (nodes(1, 1, 1, off=(3,)), None, 1, 2, False),
        (nodes(1, 1), None, 1, 2, False),
        (nodes(1, 1, 1, 1), None, 3, 3, True),
        (nodes(1, 1, 1, 1, off=(4,)), None, 2, 3, False),
        (nodes(1, 1), Device(connected=True, algorithm="ffsplit"), 2, 2, True),
        (nodes(1, 1), Device(connected=True, algorithm="Fifty-Fifty split"), 2, 2, True),
        (nodes(1, 1), Device(connected=False, algorithm="ffsplit"), 1, 2, False),
        (nodes(1, 1, 1), Device(connected=True, algorithm="LMS"), 4, 3, True),
        (nodes(1, 1, 1, off=(2, 3)), Device(connected=True, algorithm="Last Man Standing"), 2, 3, False),
        (nodes(2, 1, 1), None, 2, 3, False),
        (nodes(0, 1, 1), None, 2, 2, True),
        (nodes(1, 1, 1, off=(1,)), None, 2, 2, True),
    ],
)
def test_s21_the_votes_that_stay_decide(members: tuple[Member, ...], device: Device | None, after: int, needed: int, stays: bool) -> None:
    remains = judged(members, device)
    assert (remains.after, remains.needed, remains.quorate_after) == (after, needed, stays)


def test_the_votes_of_now_count_the_node_itself() -> None:
    remains = judged(nodes(1, 1, 1, off=(3,)))
    assert (remains.expected, remains.now) == (3, 2)


@pytest.mark.parametrize("algorithm", [None, "", "test", "2 Node LMS", "ffsplit-ish"])
def test_s21_a_device_nobody_knows_refuses(algorithm: str | None) -> None:
    assert quorum.without("pve1", nodes(1, 1), Device(connected=True, algorithm=algorithm)) == Unknown(
        reason="what the quorum device's vote weighs is not known"
    )


def test_s21_votes_that_are_not_known_refuse() -> None:
    assert quorum.without("pve1", nodes(1, None, 1), None) == Unknown(reason="the votes of node pve2 are not known")


def test_a_node_that_is_not_in_the_cluster_refuses() -> None:
    assert quorum.without("pve9", nodes(1, 1, 1), None) == Unknown(reason="pve9 is not among the cluster's nodes")


def test_two_nodes_without_a_device_lack_a_third() -> None:
    assert quorum.lacks_a_third(nodes(1, 1), None)
    assert not quorum.lacks_a_third(nodes(1, 1), Device(connected=False))
    assert not quorum.lacks_a_third(nodes(1, 1, 1), None)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=2, max_size=7))
def test_s21_one_node_more_that_is_down_never_helps(cast: list[tuple[int, bool]]) -> None:
    members = tuple(Member(name=f"pve{index}", online=online, votes=votes) for index, (votes, online) in enumerate(cast, start=1))
    without_second = tuple(Member(name=one.name, online=one.online and one.name != "pve2", votes=one.votes) for one in members)
    assert judged(without_second).quorate_after <= judged(members).quorate_after
