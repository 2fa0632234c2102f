"""Every route answers whatever it is given in PVE's ways, and never breaks the simulator."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pvectl.sim.call import Route
from pvectl.sim.routes import ROUTES
from tests.sim.asking import Lab, ct, vm

SCENARIO: dict[str, Any] = {
    "nodes": {"pve1": {"wakeonlan": "aa:bb:cc:dd:ee:ff"}, "pve2": {"status": "offline"}, "pve3": {"status": "hangs"}},
    "guests": [
        vm(100, ha={"state": "started"}),
        vm(101, tags="a;b", status="paused"),
        ct(200),
        ct(201, status="stopped"),
        vm(300, node="pve2"),
    ],
    "pools": {"prod": [100]},
    "replication": [{"id": "100-0", "target": "pve2"}],
    "backup_jobs": [{"all": 1}],
    "ceph": {"mons": ["pve1"], "osds": [{"id": 0, "host": "pve1"}]},
    "qdevice": {"votes": 1},
    "tasks": [{"type": "vzdump", "started_ago": 100}, {"type": "vzdump", "took": None}],
    "tokens": {"no@pve!body": {"privsep": 0}},
}
GOOD = {
    "timeframe": "hour",
    "command": "shutdown",
    "service": "osd",
    "id": "0",
    "action": "stop",
    "tags": "x",
    "username": "u@pve",
    "password": "x",
}
ODD: tuple[Any, ...] = ("", " ", "0", "-1", "1.5", "x" * 300, "a\nb", "ü", "/", "..", "%", "true", ["a", "b"], {"a": 1}, True)


def filled(lab: Lab, path: str, *, node: str = "pve1") -> str:
    upid = lab.cluster.world.tasks[-1].upid
    values = {
        "node": node,
        "vmid": "200" if "/lxc/" in path else "100",
        "upid": upid,
        "storage": "local",
        "poolid": "prod",
        "userid": "root@pam",
        "id": "100-0",
    }
    return path.format_map(values)


def asked(lab: Lab, route: Route, path: str, params: dict[str, Any], **more: Any) -> int:
    answer = lab.ask(route.method, path, params=params, **more)
    if answer.body is None:
        json.dumps({"data": answer.data, "message": answer.message, "errors": answer.errors})
    assert answer.status in {200, 400, 401, 403, 500, 501, 595, 596}, answer
    assert (answer.status == 200) == (answer.reason == "OK")
    lab.advance(1)
    return answer.status


ids = [f"{route.method} {route.path}" for route in ROUTES]


@pytest.mark.parametrize("version", ["8.4", "9.2"])
@pytest.mark.parametrize("route", ROUTES, ids=ids)
def test_a_plain_call_is_answered(route: Route, version: str) -> None:
    lab = Lab({**SCENARIO, "version": version})
    params = {name: value for name, value in GOOD.items() if name in route.schema and f"{{{name}}}" not in route.path}
    for node in ("pve1", "pve2", "pve3", "localhost", "nosuch"):
        asked(lab, route, filled(lab, route.path, node=node), params)
    assert asked(lab, route, filled(lab, route.path), params, token="no@pve!body") in {200, 400, 403, 500, 501}
    if not route.world_readable:
        assert asked(lab, route, filled(lab, route.path), params, token=None) == 401
    lab.advance(600)


@pytest.mark.parametrize("route", ROUTES, ids=ids)
@pytest.mark.slow
def test_odd_values_are_refused_or_taken_and_nothing_breaks(route: Route) -> None:
    lab = Lab(SCENARIO)
    for name in (*route.schema, "bogus"):
        for odd in ODD:
            asked(lab, route, filled(lab, route.path), {name: odd})
    lab.advance(600)


@pytest.mark.parametrize("route", [route for route in ROUTES if "{" in route.path], ids=[one for one in ids if "{" in one])
def test_odd_paths_are_refused_and_nothing_breaks(route: Route) -> None:
    lab = Lab(SCENARIO)
    for odd in (
        "0",
        "99",
        "0100",
        "999",
        "abc",
        "a b",
        "ü",
        "..",
        "x" * 300,
        "%2e",
        "UPID:",
        "UPID:pve1:00000001:00000001:00000001:x:y:z:",
    ):
        path = "/".join(odd if part.startswith("{") else part for part in route.path.split("/"))
        asked(lab, route, path, {})
