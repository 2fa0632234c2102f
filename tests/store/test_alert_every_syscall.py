"""An alert run that dies, or is refused, at any one of its calls to the kernel: no message is lost, and none is claimed to be sent."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pvectl.core.alerts.incident import Incident, Records
from pvectl.core.alerts.outbox import State as Stands
from pvectl.errors import BadState
from pvectl.store import open_to_read
from pvectl.store.alerts import Alerts
from tests.store.alerting import a_row, a_silence, an_incident, records_of
from tests.store.stage import LAB, NOON, Credit, State, a_hold, other
from tests.store.test_forms import OF_FORM_1
from tests.store.tracing import CALLS, REFUSABLE, Point, needs_strace, points
from tests.support.whole import WHOLE

pytestmark = pytest.mark.slow

RUN = """
from msgspec.structs import replace
from pvectl.core.alerts.incident import Records
from pvectl.core.alerts.outbox import State as Stands
from pvectl.store import open_to_alert
from pvectl.store.alerts import Alerts
from tests.store.alerting import a_row, an_incident, records_of

after = records_of([an_incident(number) for number in range(5)])
code = "done"
try:
    with open_to_alert(directory, LAB, clock) as store:
        alerts = Alerts(store)
        with alerts.transaction():
            alerts.take_losses()
            before, rows = alerts.records(), alerts.rows()
            alerts.write_records(before, replace(after, incidents={**before.incidents, **after.incidents}))
            alerts.write_rows(rows, [*rows, a_row(an_incident(0))])
            alerts.keep_look(NOON, "x" * 9000)
            store.keep("monitor", "answers", Credit(seconds=1))
        # here the message would leave
        (directory / "sent").touch()
        with alerts.transaction():
            alerts.put_rows(a_row(an_incident(0), state=Stands.SENT))
except PvectlError as error:
    code = f"{type(error).__name__} {int(error.exit_code)}"
say(code)
"""
KINDS = ("first", "next", "broken", "of the first form")
SAMPLED = 1 if WHOLE else 3
NEW = records_of([an_incident(number) for number in range(5)])


def _prepared(state: State, kind: str) -> State:
    shutil.rmtree(state.directory)
    state.directory.mkdir(mode=0o700)
    if kind in ("next", "broken"):
        with state.begun(a=1).run() as store:
            store.add_hold(a_hold("h1"))
            alerts = Alerts(store)
            alerts.write_records(Records(), records_of([_old()]))
            alerts.put_rows(a_row(_old()))
            alerts.add_silence(a_silence())
    if kind == "broken":
        content = state.file.read_bytes()
        state.file.write_bytes(content[:4096] + content[8192:12288] + content[4096:8192] + content[12288:])
    if kind == "of the first form":
        state.folder.mkdir(mode=0o700)
        shutil.copy(OF_FORM_1, state.file)
        state.file.chmod(0o600)
    return state


def _old() -> Incident:
    return an_incident(900)


def _ends_well(state: State, kind: str, said: str) -> None:
    """What must be so after an alert run that ended anywhere."""
    sent = (state.directory / "sent").exists()
    old = {_old().name: _old()} if kind in ("next", "broken") else {}
    with state.alert_run() as store:
        assert store.set_aside is None or kind == "broken", store.set_aside
        alerts = Alerts(store)
        incidents = dict(alerts.records().incidents)
        rows = {row.id: row for row in alerts.rows()}
        looks, answers = list(alerts.looks(NOON)), store.recall("monitor", "answers", Credit)
        if old:
            assert incidents.pop(_old().name) == _old()
            assert rows.pop(a_row(_old()).id) == a_row(_old())
            assert alerts.silences() == (a_silence(),)
        assert incidents in ({}, NEW.incidents)
        evaluated = bool(incidents)
        assert (len(looks), answers) == ((1, Credit(seconds=1)) if evaluated else (0, None)), "half an evaluation"
        assert set(rows) == ({a_row(an_incident(0)).id} if evaluated else set()), "an incident without its message"
        assert evaluated or not sent, "a message that nobody remembers"
        if said == "done\n":
            assert [row.state for row in rows.values()] == [Stands.SENT]
        elif not sent:
            assert [row.state for row in rows.values()] in ([], [Stands.PENDING])
    with state.run() as acting:
        assert (acting.set_aside is None) == (kind != "broken")
        if kind == "next":
            assert acting.recall("idle", "a", Credit) == Credit(seconds=1)
        if kind != "first":
            assert [hold.id for hold in acting.holds(at=NOON)] == ["h1"]
    assert len(state.broken()) == (kind == "broken")


def _points(state: State, kind: str, log: Path, calls: tuple[str, ...]) -> list[Point]:
    return points(lambda: _prepared(state, kind), RUN, log, calls, says="done\n")


@needs_strace
@pytest.mark.parametrize("kind", KINDS)
def test_s30_an_alert_run_killed_at_any_call_loses_no_message_and_leaves_no_half_evaluation(
    state: State, tmp_path: Path, kind: str
) -> None:
    for point in _points(state, kind, tmp_path / "log", CALLS)[::SAMPLED]:
        with other(_prepared(state, kind).directory, RUN, before=point.kill()) as process:
            _, said = process.ended()
        try:
            open_to_read(state.directory, LAB).close()
        except BadState:
            assert kind == "broken", point
        try:
            _ends_well(state, kind, said)
        except AssertionError as error:
            raise AssertionError(f"after a kill at {point}: {said}") from error


@needs_strace
@pytest.mark.parametrize(("kind", "refusal"), [("next", "ENOSPC"), ("next", "EIO"), ("of the first form", "ENOSPC")])
def test_an_alert_run_refused_at_any_call_says_so_and_claims_nothing(state: State, tmp_path: Path, kind: str, refusal: str) -> None:
    for point in _points(state, kind, tmp_path / "log", REFUSABLE[refusal])[::SAMPLED]:
        with other(_prepared(state, kind).directory, RUN, before=point.refuse(refusal)) as process:
            status, said = process.ended()
        try:
            assert status == 0, "an unexpected error"
            assert said in {"done\n", "CannotWrite 73\n", "BadState 65\n"}
            _ends_well(state, kind, said)
        except AssertionError as error:
            raise AssertionError(f"after {refusal} at {point}: {said}") from error
