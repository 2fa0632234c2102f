"""Thousands of runs that die at a random moment."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.whole import WHOLE

TRIALS = 10_000 if WHOLE else 3_000
"""How many runs are killed; a hundredth of a second of a processor each."""


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(2))
def test_of_thousands_of_runs_that_die_at_a_random_moment_none_loses_a_message_or_tells_it_twice(part: int) -> None:
    # another seed each time: what is found is told with it
    command = [sys.executable, "-m", "tests.alert.trials", str(TRIALS // 2), str(time.time_ns())]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=3500, check=False, cwd=Path(__file__).parents[2])
    assert ended.returncode == 0, ended.stdout + ended.stderr
    told = json.loads(ended.stdout)
    assert told["wrong"] == []
    assert told["killed"] >= TRIALS // 2
    assert told["messages"] > told["killed"] // 10, told
