"""Each scenario comes out as its file says, to the letter."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.engine import load, names, play


def _cases() -> list[Any]:
    return [pytest.param(name, marks=[] if load(name).quick else [pytest.mark.slow]) for name in names()]


@pytest.mark.parametrize("name", _cases())
def test_the_day_comes_out_as_its_file_says(name: str, tmp_path: Path) -> None:
    scenario = load(name)
    log = play(scenario, tmp_path)
    if log != scenario.log:
        diff = difflib.unified_diff(scenario.log.splitlines(), log.splitlines(), f"{name}.yml", "what happened", lineterm="", n=3)
        pytest.fail("\n".join(diff), pytrace=False)
