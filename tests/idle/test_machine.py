"""Whatever happens to the cluster, in whatever order: nothing is switched off that a witness who sees the truth would have kept on."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.idle.machine import Machine
from tests.support.whole import LIMIT_S, WHOLE

STEPS = 100_000 if WHOLE else 12_000
"""Each thing that happens is a step, and so is each run of the timer."""
PARTS = 8 if WHOLE else 2
QUICK_STEPS = 2_000
STEPS_OVER_HTTP = 200
"""There, a run takes three times as long."""
PER_EXAMPLE = 50
STEPS_PER_RULE = 1.1
"""How many steps a rule makes at the very least, on average over many examples: most make one, a quiet time up to eight."""


def _play(part: int, steps: int, *, sockets: bool) -> Counter[str]:
    class Numbered(Machine):
        pass

    Numbered.sockets, Numbered.tally = sockets, Counter()
    how = settings(
        max_examples=max(1, int(steps / PER_EXAMPLE / STEPS_PER_RULE)),
        stateful_step_count=PER_EXAMPLE,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    run_state_machine_as_test(seed(part)(Numbered), settings=how)
    return Numbered.tally


def test_nothing_is_switched_off_that_has_to_stay_on() -> None:
    tally = _play(0, QUICK_STEPS, sockets=False)
    assert tally["steps"] >= QUICK_STEPS
    assert tally["power-offs"] > 2


@pytest.mark.slow
def test_nothing_is_switched_off_over_http_that_has_to_stay_on() -> None:
    tally = _play(0, STEPS_OVER_HTTP, sockets=True)
    assert tally["steps"] > STEPS_OVER_HTTP / 2


@pytest.mark.slow
@pytest.mark.timeout(LIMIT_S)
@pytest.mark.parametrize("part", range(1, PARTS + 1))
def test_nothing_is_ever_switched_off_that_has_to_stay_on(part: int) -> None:
    tally = _play(part, STEPS // PARTS, sockets=False)
    assert tally["steps"] >= STEPS // PARTS
    # it is no proof of anything if nothing was ever switched off
    assert tally["power-offs"] > 20
    assert tally["shutdowns"] > 10
