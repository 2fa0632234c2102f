"""Faults of the answer: well-formed HTTP that is not what was asked for."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable

import pytest

from pvectl.sim.server import SimServer
from pvectl.sim.wire import Answer
from tests.sim.echo import Echo, get


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("empty_object", b"{}"),
        ("null_body", b"null"),
        ("list_body", b"[]"),
        ("empty_body", b""),
        ("no_data", b'{"success":1,"message":""}'),
    ],
)
def test_a_body_may_be_well_formed_and_useless(server: SimServer, kind: str, body: bytes) -> None:
    server.fault(kind)
    reply = get(server)
    assert (reply.status, reply.headers["Content-Type"], reply.body) == (200, "application/json;charset=UTF-8", body)


def test_body_is_what_one_likes(server: SimServer) -> None:
    server.fault("body", body='{"data":[{"vmid":"100"}]}')
    assert get(server).json == {"data": [{"vmid": "100"}]}


def test_html_is_a_page_with_status_200(server: SimServer) -> None:
    server.fault("html")
    reply = get(server)
    assert (reply.status, reply.headers["Content-Type"]) == (200, "text/html;charset=UTF-8")
    assert reply.body.startswith(b"<!DOCTYPE html>")


@pytest.mark.parametrize("value", ["NaN", "-Infinity"])
def test_nan_takes_the_place_of_a_number(server: SimServer, echo: Echo, value: str) -> None:
    echo.answers["/version"] = Answer(data=[{"name": "db2", "cpu": 0.25, "mem": 5}])
    server.fault("nan", value=value)
    assert get(server).body == b'{"data":[{"name":"db2","cpu":' + value.encode() + b',"mem":5}]}'


def test_nan_is_all_there_is_where_there_is_no_number(server: SimServer, echo: Echo) -> None:
    echo.answers["/version"] = Answer(data=[])
    server.fault("nan")
    assert get(server).body == b'{"data":NaN}'


def test_duplicate_keys_come_before_the_true_ones(server: SimServer, echo: Echo) -> None:
    echo.answers["/version"] = Answer(data=[{"vmid": 1, "status": "running"}])
    server.fault("duplicate_keys", times=1)
    server.fault("duplicate_keys", key="status", value="stopped")
    assert get(server).body == b'{"data":null,"data":[{"vmid":1,"status":"running"}]}'
    assert get(server).body == b'{"data":[{"vmid":1,"status":"stopped","status":"running"}]}'


def test_gzip_comes_unasked(server: SimServer) -> None:
    server.fault("gzip")
    reply = get(server)
    assert reply.headers["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(reply.body))["data"]["path"] == "/version"


def test_a_gzip_bomb_is_small_on_the_wire(server: SimServer) -> None:
    server.fault("gzip_bomb", size=20_000_000)
    reply = get(server)
    assert len(reply.body) < 200_000
    assert len(gzip.decompress(reply.body)) == 20_000_000


@pytest.mark.parametrize("code", [301, 302, 307, 308])
@pytest.mark.parametrize(
    ("to", "where"),
    [
        (None, lambda server: f"{server.url('pve1')}/api2/json/version"),
        ("pve2", lambda server: f"{server.url('pve2')}/api2/json/version"),
        ("http://203.0.113.1/", lambda _: "http://203.0.113.1/"),
    ],
)
def test_redirects_lead_back_to_another_node_or_away(
    server: SimServer, code: int, to: str | None, where: Callable[[SimServer], str]
) -> None:
    server.fault("redirect", code=code, to=to)
    reply = get(server)
    assert (reply.status, reply.headers["Location"]) == (code, where(server))


@pytest.mark.parametrize(
    ("code", "reason", "body", "content_type"),
    [
        (401, "No ticket", b"", None),
        (403, "Forbidden", b'{"data":null,"message":"403\\n"}', "application/json;charset=UTF-8"),
        (500, "Internal Server Error", b'{"data":null,"message":"500\\n"}', "application/json;charset=UTF-8"),
        (502, "Bad Gateway", b'{"data":null,"message":"502\\n"}', "application/json;charset=UTF-8"),
        (595, "Connection refused", b"", None),
        (596, "Connection timed out", b"", None),
        (597, "Broken pipe", b"", None),
        (599, "Too many redirections", b"", None),
    ],
)
def test_a_status_comes_in_pveproxys_dress(server: SimServer, code: int, reason: str, body: bytes, content_type: str | None) -> None:
    server.fault("status", code=code)
    reply = get(server)
    assert (reply.status, reply.reason, reply.body, reply.headers["Content-Type"]) == (code, reason, body, content_type)
    assert reply.connection == ["close"]


def test_a_status_may_say_anything(server: SimServer) -> None:
    server.fault("status", code=400, reason="Parameter verification failed.", message="a\nb\n", errors={"tags": "bad"}, times=1)
    server.fault("status", code=504, reason="Gateway Time-out", body="<html>", content_type="text/html")
    assert get(server).json == {"data": None, "message": "a\nb\n", "errors": {"tags": "bad"}}
    assert get(server).body == b"<html>"


def test_a_content_type_may_lie_or_be_missing(server: SimServer) -> None:
    server.fault("wrong_content_type", times=1)
    server.fault("wrong_content_type", content_type=None)
    first, second = get(server), get(server)
    assert (first.headers["Content-Type"], second.headers["Content-Type"]) == ("text/html", None)
    assert first.json == second.json


def test_another_nodes_answer_is_given(server: SimServer) -> None:
    server.fault("other_node", path="/nodes/pve1/*", as_node="pve2")
    assert get(server, "/nodes/pve1/status").json["data"] == {"method": "GET", "path": "/nodes/pve2/status", "params": {}, "node": "pve2"}


def test_a_stale_answer_stays_as_it_was(server: SimServer, echo: Echo) -> None:
    echo.answers["/x"] = Answer(data=1)
    get(server, "/x")
    server.fault("stale", path="/x")
    echo.answers["/x"] = Answer(data=2)
    echo.answers["/y"] = Answer(data=3)
    assert [get(server, "/x").json["data"] for _ in range(2)] == [1, 1]
    assert get(server, "/y").json["data"] == 3
    server.clear_faults()
    assert get(server, "/x").json["data"] == 2


def test_a_stale_answer_may_be_one_behind(server: SimServer, echo: Echo) -> None:
    server.fault("stale", frozen=False)
    seen = []
    for number in range(4):
        echo.answers["/x"] = Answer(data=number)
        seen.append(get(server, "/x").json["data"])
    assert seen == [0, 0, 1, 2]
