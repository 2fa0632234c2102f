"""Each scenario comes out as its file says, to the letter."""

from __future__ import annotations

import difflib
import itertools
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.engine import Line, in_turn, load, names, play


def _cases() -> list[Any]:
    return [pytest.param(name, marks=[] if load(name).quick else [pytest.mark.slow]) for name in names()]


@pytest.mark.parametrize("name", _cases())
def test_the_day_comes_out_as_its_file_says(name: str, tmp_path: Path) -> None:
    scenario = load(name)
    log = play(scenario, tmp_path)
    if log != scenario.log:
        diff = difflib.unified_diff(scenario.log.splitlines(), log.splitlines(), f"{name}.yml", "what happened", lineterm="", n=3)
        pytest.fail("\n".join(diff), pytrace=False)


def test_guests_of_one_moment_stand_by_vmid_and_all_else_as_it_happened() -> None:
    begun = [Line(at=10, place=1, text=f"asked {vmid}", guest=vmid) for vmid in (202, 201, 201, 200)]
    node = Line(at=10, place=1, text="node asked")
    late = Line(at=10, place=1, text="asked after the node", guest=100)
    gone = [Line(at=13, place=0, text=f"gone {vmid}", guest=vmid) for vmid in (201, 200)]
    orders = {
        tuple(line.text for line in in_turn([*some, *others, node, late]))
        for some, others in itertools.product(itertools.permutations(begun), itertools.permutations(gone))
    }
    assert orders == {("asked 200", "asked 201", "asked 201", "asked 202", "node asked", "asked after the node", "gone 200", "gone 201")}
