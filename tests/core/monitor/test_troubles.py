"""Every check tells its trouble, is silent without it, and never calls anything fine that it could not see."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace

from pvectl.core.model import Known, Unknown
from pvectl.core.monitor.checks.evaluation import Evaluation, evaluate
from pvectl.core.monitor.checks.registry import CHECKS
from pvectl.core.monitor.checks.sources import SOURCES
from pvectl.core.monitor.finding import Severity
from pvectl.core.monitor.monitored import FACTS, Fact, MonitorView
from tests.core.monitor.cluster import EVERYTHING, ids
from tests.core.monitor.troubles import TROUBLES, WHOLE, Trouble

EVERY_TROUBLE = pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES.keys())
HUNG = Unknown(reason="the node did not answer")


def told(trouble: Trouble, view: MonitorView | None = None) -> Evaluation:
    return evaluate(view or trouble.view, trouble.settings, only=(trouble.check,))


def test_a_cluster_that_is_fine_and_seen_whole_is_ok() -> None:
    evaluation = evaluate(WHOLE, EVERYTHING)

    assert evaluation.severity is Severity.OK
    assert ids(evaluation) == []
    assert all(verdict.examined for verdict in evaluation.verdicts if verdict.check not in ("guest.cpu", "guest.mem"))


@EVERY_TROUBLE
def test_every_trouble_is_told(trouble: Trouble) -> None:
    finding = next(each for each in told(trouble).findings if each.object == trouble.object)

    assert finding.severity == trouble.severity
    assert trouble.says in finding.message


def test_every_check_has_its_trouble() -> None:
    assert {trouble.check for trouble in TROUBLES.values()} == set(CHECKS)


@EVERY_TROUBLE
def test_no_trouble_turns_fine_when_any_source_is_missing(trouble: Trouble) -> None:
    for name, view in without_each_source(trouble.view):
        assert not_fine(trouble, view), f"without {name}"


@EVERY_TROUBLE
def test_no_trouble_turns_fine_when_any_field_is_missing(trouble: Trouble) -> None:
    for name, view in without_each_field(trouble.view, CHECKS[trouble.check].sources):
        assert not_fine(trouble, view), f"without {name}"


@pytest.mark.slow
@settings(max_examples=1500, deadline=None)
@given(st.sampled_from(sorted(TROUBLES)), st.sets(st.sampled_from(sorted(SOURCES)), min_size=2))
def test_no_trouble_turns_fine_whatever_is_missing_together(name: str, dark: set[str]) -> None:
    trouble = TROUBLES[name]
    view = trouble.view
    for source in dark:
        view = with_facts(view, source, lambda _fact: HUNG)

    assert evaluate(view, trouble.settings, only=(trouble.check,)).severity is not Severity.OK
    assert not_fine(trouble, view)


def not_fine(trouble: Trouble, view: MonitorView) -> bool:
    evaluation = told(trouble, view)
    severity = evaluation.severity_of(trouble.check, trouble.object)
    if severity is None:
        return any(each.severity is Severity.UNKNOWN and each.check == trouble.check for each in evaluation.findings)
    return severity is not Severity.OK


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS.keys())
def test_a_check_without_one_of_its_sources_says_so(check: Any) -> None:
    trouble = next(trouble for trouble in TROUBLES.values() if trouble.check == check.id)
    for name, view in without_each_source(WHOLE):
        if name not in check.sources or (check.id, name) in NOT_ALWAYS_NEEDED:
            continue
        evaluation = evaluate(view, trouble.settings, only=(check.id,))
        assert any(each.severity is Severity.UNKNOWN and each.check == check.id for each in evaluation.findings), f"without {name}"
        assert any(each.check == "self.coverage" for each in evaluation.findings), f"without {name}"
        assert evaluation.severity is Severity.UNKNOWN


NOT_ALWAYS_NEEDED = {
    # only where a guest has no backup at all, to tell how long it could have had one
    ("backup.age", "guest-settings"),
    # only where a guest's disks lie on its node
    ("cluster.n1", "node-replication"),
    # /cluster/status knows better
    ("node.offline", "resources"),
    # only while a guest is locked
    ("guest.lock_age", "running"),
    ("guest.lock_orphan", "running"),
}


def test_every_source_that_a_check_names_exists() -> None:
    named = {source for check in CHECKS.values() for source in check.sources}
    facts = {field if scope == "cluster" else f"{scope}-{field}" for scope, fields in FACTS.items() for field in fields}

    assert named <= facts == set(SOURCES)


def test_nothing_asked_is_nothing_known() -> None:
    evaluation = evaluate(MonitorView(taken_at=WHOLE.taken_at), EVERYTHING)

    assert evaluation.severity is Severity.UNKNOWN
    assert not any(verdict.examined for verdict in evaluation.verdicts)


def without_each_field(view: MonitorView, sources: Iterable[str]) -> Iterator[tuple[str, MonitorView]]:
    """The view with one field of one kind of row taken away, in all rows of the kind, in all answers of these sources."""
    for source in sources:
        values = [fact.value for fact in facts_of(view, source) if isinstance(fact, Known)]
        for kind in sorted(set[type[Struct]]().union(*map(kinds, values)), key=lambda kind: kind.__name__):
            defaults = zip(kind.__struct_fields__[::-1], kind.__struct_defaults__[::-1], strict=False)
            for field in [field for field, default in defaults if default is None and f"{kind.__name__}.{field}" not in NOTHING_LOST]:
                yield f"{kind.__name__}.{field}", with_facts(view, source, partial(dropped, kind=kind, field=field))


NOTHING_LOST = {
    # these only name things, or say where they belong: a finding then goes by another name
    *("Disk.serial", "Disk.model", "Storage.shared", "HaService.node", "Replication.source", "Replication.error", "Guest.pool"),
    # PVE leaves them out when there is nothing to say, so that nothing can be told from nothing
    *("Guest.lock", "Guest.hastate", "BackupVolume.verified", "HaStatus.manager", "HaStatus.armed", "Disk.life_left", "BackupJob.node"),
}


def without_each_source(view: MonitorView) -> Iterator[tuple[str, MonitorView]]:
    for source in SOURCES:
        yield source, with_facts(view, source, lambda _fact: HUNG)


def facts_of(view: MonitorView, source: str) -> list[Fact[Any]]:
    found: list[Fact[Any]] = []

    def note(fact: Fact[Any]) -> Fact[Any]:
        found.append(fact)
        return fact

    with_facts(view, source, note)
    return found


def with_facts(view: MonitorView, source: str, change: Callable[[Fact[Any]], Fact[Any]]) -> MonitorView:
    """The view with every answer of one source changed."""
    scope, _, field = source.rpartition("-")
    match scope:
        case "node":
            return replace(view, nodes=tuple(replace(node, **{field: change(getattr(node, field))}) for node in view.nodes))
        case "storage":
            return replace(view, storages=tuple(replace(one, **{field: change(getattr(one, field))}) for one in view.storages))
        case "guest":
            return replace(
                view, guests={vmid: replace(guest, **{field: change(getattr(guest, field))}) for vmid, guest in view.guests.items()}
            )
    return replace(view, **{field: change(getattr(view, field))})


def kinds(value: object) -> set[type[Struct]]:
    """The kinds of rows in an answer."""
    match value:
        case Struct():
            return {type(value)}.union(*(kinds(getattr(value, field)) for field in value.__struct_fields__))
        case tuple() if value:
            return kinds(value[0])
    return set()


def dropped(value: Any, *, kind: type[Struct], field: str) -> Any:
    match value:
        case Known():
            return replace(value, value=dropped(value.value, kind=kind, field=field))
        case Struct() if type(value) is kind:
            return replace(value, **{field: None})
        case Struct():
            return type(value)(**{name: dropped(getattr(value, name), kind=kind, field=field) for name in value.__struct_fields__})
        case tuple():
            return tuple(dropped(each, kind=kind, field=field) for each in value)
    return value
