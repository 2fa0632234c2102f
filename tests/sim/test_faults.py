"""Which requests a fault strikes, how often, and what is left behind."""

from __future__ import annotations

import threading
from contextlib import closing, suppress
from http.client import HTTPException
from typing import Any

import pytest

from pvectl.sim.faults import KINDS
from pvectl.sim.server import SimServer
from tests.sim.echo import Echo, ask, call, client, get
from tests.support.servers import TlsFiles, serving


def test_a_fault_strikes_the_path_method_and_node_it_is_meant_for(server: SimServer) -> None:
    server.fault("status", path="/nodes/*/status", method="get", node="pve1", code=502)
    assert get(server, "/nodes/pve2/status").status == 502
    assert get(server, "/nodes/pve2/qemu").status == 200
    assert call(server, "POST", "/nodes/pve2/status").status == 200
    assert call(server, "GET", "/nodes/pve2/status", node="pve2").status == 200


def test_a_fault_strikes_as_often_as_told_and_says_how_often_it_did(server: SimServer) -> None:
    rule = server.fault("status", code=503, times=2)
    assert [get(server).status for _ in range(3)] == [503, 503, 200]
    assert (rule.hits, rule.struck.is_set()) == (2, True)


def test_the_oldest_fault_strikes_first(server: SimServer) -> None:
    server.fault("status", code=502, times=1)
    server.fault("status", code=503, times=1)
    assert [get(server).status for _ in range(3)] == [502, 503, 200]


def test_cleared_faults_are_gone(server: SimServer) -> None:
    server.fault("status", code=502)
    server.clear_faults()
    assert get(server).status == 200


def test_a_request_is_recorded_with_the_fault_that_met_it(server: SimServer, echo: Echo) -> None:
    server.fault("html", times=1)
    get(server)
    get(server)
    assert [str(record) for record in server.requests] == ["GET /version -> 200 (html)", "GET /version -> 200"]
    assert [record.executed for record in server.requests] == [False, True]
    assert len(echo.asked) == 1


@pytest.mark.parametrize(
    ("kind", "options", "text"),
    [
        ("nosuch", {}, "no fault named 'nosuch'; known are .*truncate"),
        ("status", {"cod": 5}, "status has no cod; its details are .*code.*execute.*reason"),
        ("hang", {"after": "lunch"}, "hang: after is one of body, headers, request; got 'lunch'"),
        ("other_node", {}, "other_node: .*as_node"),
        ("refuse", {"path": "/version"}, "refuse strikes connections"),
        ("html", {"times": 0}, "times is 1 or more"),
    ],
)
def test_an_unknown_fault_is_refused_with_the_known_ones(server: SimServer, kind: str, options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        server.fault(kind, **options)


def test_every_fault_explains_itself() -> None:
    assert [kind for kind, fault in KINDS.items() if not fault.__doc__ or fault.__doc__.startswith(fault.__name__)] == []


def test_refuse_closes_the_port_until_it_is_cleared(server: SimServer) -> None:
    server.fault("refuse", node="pve2")
    with pytest.raises(ConnectionRefusedError):
        call(server, "GET", "/version", node="pve2")
    assert get(server).status == 200
    server.clear_faults()
    assert call(server, "GET", "/version", node="pve2").status == 200


DETAILS: dict[str, dict[str, Any]] = {
    "other_node": {"as_node": "pve2"},
    "huge": {"size": 5_000_000},
    "gzip_bomb": {"size": 5_000_000},
    "header_flood": {"limit": 500_000},
    "refuse": {"times": 1},
    "drip": {"interval": 60},
}


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.slow
def test_after_any_fault_the_next_client_is_served(echo: Echo, tls_files: TlsFiles, kind: str, tls: bool) -> None:
    ca_file = tls_files.ca_file if tls else None
    with serving(echo, tls=tls_files if tls else None) as server:
        rule = server.fault(kind, **DETAILS.get(kind, {}))
        with closing(client(server, ca_file=ca_file, timeout=1)) as conn, suppress(OSError, HTTPException):
            for _ in range(2):
                ask(conn, "GET", "/version")
        assert rule.struck.wait(5)
        server.clear_faults()
        with closing(client(server, ca_file=ca_file)) as conn:
            assert ask(conn, "GET", "/version").json["data"]["path"] == "/version"
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("pvesim")] == []
