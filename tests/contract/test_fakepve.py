"""The simulated cluster and fakepve, independent of each other, answer the same requests alike, save for fakepve's known gaps."""

from __future__ import annotations

import pytest

from tests.contract.fakepve_gaps import GAPS
from tests.contract.side_by_side import ASKED, compared

pytestmark = pytest.mark.xdist_group("fakepve")


@pytest.mark.parametrize("name", [ask.name for ask in ASKED])
@pytest.mark.slow
def test_both_answer_alike(name: str) -> None:
    differences = compared()[name]
    known = GAPS.get(name, ())
    assert [difference for difference in differences if not difference.startswith(tuple(beginning for beginning, _ in known) or "\0")] == []
    unneeded = [gap for gap in known if not any(difference.startswith(gap[0]) for difference in differences)]
    assert not unneeded, "fakepve has learnt that"


def test_every_gap_names_a_request_that_is_made() -> None:
    assert GAPS.keys() <= {ask.name for ask in ASKED}
