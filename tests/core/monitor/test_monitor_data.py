"""The answer as scripts read it, held against the schema it comes with; and the page people read."""

from __future__ import annotations

import json
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import msgspec
import pytest
from msgspec.structs import replace

from pvectl.core.model import Unknown
from pvectl.core.monitor import data as monitor_data
from pvectl.core.monitor import lines as monitor_page
from pvectl.core.monitor.checks.evaluation import evaluate
from pvectl.core.monitor.checks.settings import MonitorSettings
from pvectl.core.monitor.finding import Severity
from pvectl.core.monitor.monitored import CephCheck, GuestFacts, MonitorView, Remembered
from tests.core.monitor import troubles
from tests.core.monitor.cluster import (
    EVERYTHING,
    NOW,
    ago,
    changed_node,
    guest,
    known,
    listing,
    members,
    relisted,
    relisted_node,
    relisted_storage,
    task,
)
from tests.core.monitor.troubles import SOME_QUICKLY, TROUBLES, WHOLE, Trouble

HUNG = Unknown(reason="the node did not answer", source="/some/path")
HOSTILE = 'evil\x1b[31m\r\nx\u202e<script>|"'


def document(view: MonitorView, **envelope: Any) -> dict[str, Any]:
    whole = {
        "schema": monitor_data.SCHEMA,
        "generated_at": NOW,
        "cluster": "lab",
        "status": "ok",
        "complete": True,
        "exit_code": 0,
        "data": monitor_data.data(evaluate(view, EVERYTHING), EVERYTHING),
        "errors": (),
        **envelope,
    }
    read: dict[str, Any] = json.loads(msgspec.json.encode(whole))
    return read


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(monitor_data.schema())
    assert monitor_data.schema()["$id"] == "pvectl/monitor/v1"


@pytest.mark.parametrize("trouble", SOME_QUICKLY)
def test_every_answer_keeps_to_the_schema(trouble: Trouble) -> None:
    VALIDATOR.validate(document(trouble.view))


VALIDATOR = jsonschema.Draft202012Validator(monitor_data.schema())


@pytest.mark.parametrize("view", [WHOLE, MonitorView(taken_at=NOW), replace(WHOLE, resources=HUNG), replace(WHOLE, backup_jobs=HUNG)])
def test_blind_answers_keep_to_the_schema_too(view: MonitorView) -> None:
    VALIDATOR.validate(document(view))


def test_an_error_keeps_to_the_schema_and_nonsense_does_not() -> None:
    error = {"code": "deadline", "message": "m", "hint": None, "subject": None}
    VALIDATOR.validate(document(WHOLE, data=None, status="error", errors=(error,)))
    for field, wrong in {"status": "fine", "schema": "pvectl/monitor/v2", "exit_code": "0", "data": {}}.items():
        assert not VALIDATOR.is_valid(document(WHOLE, **{field: wrong}))


def test_what_is_found_is_told_with_what_it_rests_on() -> None:
    data = document(troubles.snapshot(10))["data"]
    told = next(each for each in data["checks"] if each["check"] == "guest.snapshot_age")

    assert told == {
        "id": "guest.snapshot_age/guest/100",
        "check": "guest.snapshot_age",
        "object": "guest/100",
        "status": "warning",
        "message": "guest 100 (web) has kept snapshot before for 10 days",
        "value": 864000.0,
        "unit": "seconds",
        "thresholds": {"warn": 604800.0, "crit": 2592000.0, "clear": None, "clear_crit": None, "falling": False},
        "lingers": False,
        "hint": None,
        "since": "2026-11-12T12:00:00Z",
        "key": None,
        "cause": None,
        "objects": [],
        "source_age_s": 2.0,
        "evidence": [{"path": "/nodes/pve1/qemu/100/snapshot", "field": "snaptime", "age_s": 2.0}],
    }
    assert data["summary"] == {
        "status": "warning",
        "critical": 0,
        "warning": 1,
        "unknown": 0,
        "checks": 43,
        "examined": 124,
        "blind": 0,
        "left_out": 3,
    }
    assert data["cluster"] == {"name": "lab", "standalone": False, "quorate": True, "release": "9.2.11"}


def test_sources_are_told_and_those_of_guests_summed_up() -> None:
    view = changed_node(replace(WHOLE, took={"/nodes/pve1/status": 0.25}), clock=HUNG)
    view = replace(view, guests={**view.guests, 100: GuestFacts(vmid=100, settings=HUNG, snapshots=view.guests[100].snapshots)})
    rows = {(row["name"], row["object"]): row for row in document(view)["data"]["sources"]}

    assert rows["node-status", "node/pve1"]["duration_ms"] == 250
    assert rows["node-status", "node/pve1"]["node"] == "pve1"
    assert rows["node-clock", "node/pve1"] == {
        **dict.fromkeys(("taken_at", "age_s", "duration_ms")),
        "name": "node-clock",
        "object": "node/pve1",
        "node": "pve1",
        "path": "/some/path",
        "status": "unknown",
        "error": "the node did not answer",
        "count": 1,
        "failed": 1,
    }
    assert (rows["guest-settings", "guests"]["count"], rows["guest-settings", "guests"]["failed"]) == (4, 1)
    assert rows["guest-settings", "guests"]["error"] == "the node did not answer"
    assert rows["guest-snapshots", "guests"]["status"] == "ok"


def test_backup_truth_stands_beside_each_guest() -> None:
    guests = {each["vmid"]: each for each in document(WHOLE)["data"]["guests"]}

    assert guests[100]["backup"] == {
        "restorable_at": "2026-11-22T02:00:00Z",
        "storage": "nfs",
        "verified": "ok",
        "excluded": [],
        "jobs": ["backup-nightly"],
        "period_s": 86400.0,
        "last_run_at": None,
        "last_run_status": None,
        "known": True,
    }
    assert guests[900]["backup"] is None
    assert document(troubles.backups())["data"]["guests"][0]["backup"]["restorable_at"] is None
    assert document(troubles.storage(backups=HUNG))["data"]["guests"][0]["backup"]["known"] is False


def test_a_node_that_pvectl_switched_off_says_since_when() -> None:
    view = replace(relisted_node(members(WHOLE, pve3=False), "pve3", status="offline"), remembered=Remembered(off={"pve3": ago(hours=1)}))
    nodes = {each["name"]: each["off_by_pvectl"] for each in document(view)["data"]["nodes"]}

    assert nodes == {"pve1": None, "pve2": None, "pve3": "2026-11-22T11:00:00Z"}
    assert "pve3 switched off by pvectl" in monitor_page.page(evaluate(view)).summary


def test_storages_are_told_once_with_their_nodes() -> None:
    storages = {each["object"]: each for each in document(relisted_storage(WHOLE, "local", disk=None))["data"]["storages"]}

    assert storages["storage/nfs"]["nodes"] == ["pve1", "pve2", "pve3"]
    assert storages["storage/pve1/local"]["used"] is None


def hostile() -> MonitorView:
    view = relisted(WHOLE, name=HOSTILE, tags=(HOSTILE,), status="stopped", lock=None)
    view = replace(view, remembered=replace(WHOLE.remembered, locks={}))
    view = replace(view, ceph=troubles.ceph("HEALTH_ERR", CephCheck(code=HOSTILE, severity="HEALTH_ERR", summary=HOSTILE)).ceph)
    bad = replace(task("pve1", "vzdump", status=HOSTILE), upid=HOSTILE)
    view = changed_node(view, tasks=troubles.tasks(bad).nodes[0].tasks)
    view = changed_node(view, disks=troubles.disk(health=HOSTILE, serial=HOSTILE, path=HOSTILE).nodes[0].disks)
    return changed_node(view, clock=Unknown(reason=HOSTILE, source=HOSTILE), services=troubles.service(HOSTILE).nodes[0].services)


def test_nothing_raw_reaches_a_reader() -> None:
    evaluation = evaluate(hostile())
    page = monitor_page.page(evaluation)

    lines = (*page.wrong, *page.blind)
    printed = [page.verdict, page.summary, *(word for line in lines for word in (line.object, line.text, line.hint or ""))]
    assert any("evil\\x1b[31m\\x0d\\x0ax\\u202e" in word for word in printed)
    assert all(word.isprintable() for word in printed)
    data = document(hostile())["data"]
    told = [check[field] or "" for check in data["checks"] for field in ("id", "object", "message", "hint", "key")]
    assert all(word.isprintable() for word in told)
    assert all(word.isprintable() for each in data["guests"] for word in (each["name"], *each["tags"]))
    VALIDATOR.validate(document(hostile()))


def test_a_hint_is_a_command_line_no_name_can_break_out_of() -> None:
    view = troubles.service("x; rm -rf /")

    hint = next(each.hint for each in evaluate(view).findings if each.check == "node.services")
    assert hint == "on pve1: systemctl status 'x; rm -rf /'"


@pytest.mark.parametrize(
    ("view", "severity", "verdict"),
    [
        (WHOLE, "ok", "everything that was checked is fine"),
        (TROUBLES["storage full"].view, "critical", "1 critical"),
        (replace(WHOLE, ceph=HUNG), "unknown", "nothing wrong was seen, but 1 thing could not be checked"),
        (replace(troubles.snapshot(10), ceph=HUNG, votes=HUNG, running=HUNG), "warning", "1 warning; 1 thing could not be checked"),
        (MonitorView(taken_at=NOW), "unknown", "nothing could be checked"),
    ],
)
def test_the_page_begins_with_the_verdict(view: MonitorView, severity: str, verdict: str) -> None:
    page = monitor_page.page(evaluate(view))

    assert (page.severity, page.verdict) == (severity, verdict)


def test_the_page_tells_what_is_wrong_then_what_is_blind_then_what_was_checked() -> None:
    view = relisted_node(changed_node(troubles.snapshot(10), "pve2", zfs=HUNG), cpu=0.99)
    page = monitor_page.page(evaluate(view), took=0.42)

    assert [(line.severity, line.object) for line in page.wrong] == [("critical", "node/pve1"), ("warning", "guest/100")]
    assert [(line.severity, line.object) for line in page.blind] == [("unknown", "node/pve2")]
    assert page.summary == (
        "41 checks on 3 nodes, 3 guests and 4 storages; 115 of 118 looked at; oldest answer 10 min (the history of storage nfs); 0.4 s"
    )


def test_the_page_names_a_few_of_many() -> None:
    guests = tuple(guest(vmid) for vmid in range(1000, 1020))
    facts = {each.vmid: replace(troubles.snapshot(40).guests[100], vmid=each.vmid) for each in guests}
    page = monitor_page.page(evaluate(replace(listing(WHOLE, guests=guests), guests=facts), only=("guest.snapshot_age",)))

    assert [line.object for line in page.wrong] == ["guest/1000", "guest/1001", "guest/1002", "guest.snapshot_age"]
    assert page.wrong[-1].text == "and 17 more like these"
    assert page.severity is Severity.CRITICAL


@pytest.mark.parametrize(("age", "told"), [(90, "2 min"), (3 * 3600, "3 h"), (5 * 86400, "5 days")])
def test_the_oldest_answer_is_told_when_it_is_old(age: float, told: str) -> None:
    young = replace(WHOLE, nodes=(), storages=())
    patient = MonitorSettings(oldest_answer=10 * 86400)
    page = monitor_page.page(evaluate(replace(young, ceph=known(None, "x", age=age)), patient))

    assert f"oldest answer {told} (the health of Ceph)" in page.summary
    assert "oldest" not in monitor_page.page(evaluate(young)).summary
