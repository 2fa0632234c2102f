"""A value that was bad is bad until it is back where it counts as good."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from pvectl.core.monitor import hysteresis
from pvectl.core.monitor.checks.evaluation import Evaluation, evaluate
from pvectl.core.monitor.finding import Levels, Severity, Unit, lingering
from tests.core.monitor.cluster import GIB, relisted_node, relisted_storage, whole

CPU, NFS = "node.cpu/node/pve1", "storage.usage/storage/nfs"


def storage_at(share: float) -> Evaluation:
    return evaluate(relisted_storage(whole(), disk=int(share * 1000 * GIB)), only=("storage.usage",))


def severity(evaluation: Evaluation, id_: str = NFS) -> Severity:
    return next(each.severity for each in evaluation.findings if each.id == id_)


@pytest.mark.parametrize(
    ("share", "before", "now"),
    [
        (0.79, None, Severity.OK),
        (0.79, Severity.WARNING, Severity.WARNING),
        (0.78, Severity.WARNING, Severity.OK),
        (0.93, Severity.WARNING, Severity.WARNING),
        (0.93, Severity.CRITICAL, Severity.CRITICAL),
        (0.90, Severity.CRITICAL, Severity.WARNING),
        (0.79, Severity.CRITICAL, Severity.WARNING),
        (0.50, Severity.CRITICAL, Severity.OK),
        (0.97, Severity.WARNING, Severity.CRITICAL),
    ],
)
def test_a_level_ends_where_it_says(share: float, before: Severity | None, now: Severity) -> None:
    assert severity(hysteresis.held(storage_at(share), {NFS: before} if before else {})) is now


def test_what_stays_bad_says_that_it_lingers_and_comes_before_what_is_fine() -> None:
    held = hysteresis.held(storage_at(0.79), {NFS: Severity.WARNING})

    assert (held.findings[0].id, held.findings[0].lingers) == (NFS, True)
    assert held.severity is Severity.WARNING


def test_an_evaluation_that_nothing_lingers_in_is_handed_on_as_it_is() -> None:
    evaluation = storage_at(0.5)

    assert hysteresis.held(evaluation, {"node.cpu/node/gone": Severity.CRITICAL}) is evaluation


def test_what_cannot_be_seen_stays_unknown_whatever_it_was() -> None:
    view = relisted_node(whole(), cpu=None)

    assert severity(hysteresis.held(evaluate(view, only=("node.cpu",)), {CPU: Severity.CRITICAL}), CPU) is Severity.UNKNOWN


def test_only_what_is_bad_by_a_level_is_remembered() -> None:
    view = relisted_node(relisted_storage(whole(), disk=970 * GIB), cpu=None)
    evaluation = evaluate(view, only=("node.cpu", "storage.usage"))

    assert hysteresis.bad(evaluation) == {NFS: Severity.CRITICAL}
    assert replace(evaluation).severity is Severity.CRITICAL


@pytest.mark.parametrize(
    ("value", "falling", "unit", "lingers"),
    [
        (30.0, True, None, True),
        (31.0, True, None, True),
        (41.0, True, None, False),
        (40.0, False, None, False),
        (40.0, False, Unit.COUNT, True),
    ],
)
def test_a_value_lingers_up_to_its_end_on_either_side(value: float, *, falling: bool, unit: Unit | None, lingers: bool) -> None:
    assert lingering(value, Levels(clear=40.0), unit=unit, falling=falling) is lingers
