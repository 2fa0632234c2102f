"""Whether anybody but a node itself will see what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pvectl.errors import ConfigError, DeadlineExceeded
from pvectl.pve.client import ProxmoxClient
from tests.support.servers import TestServer

Connect = Callable[..., ProxmoxClient]
Serve = Callable[..., TestServer]
WORLD: dict[str, Any] = {"name": "lab", "nodes": {"pve1": {}, "pve2": {}, "pve3": {}}}


def test_another_node_in_the_list_of_hosts_will_see_it(serve: Serve, connect: Connect) -> None:
    server = serve(WORLD)
    client = connect(server.url("pve1"), server.url("pve2"))
    assert client.other_entry("pve1")
    assert client.other_entry("pve2")
    # the first host is not pve3, and one that is not is enough
    assert client.other_entry("pve3")


def test_with_one_host_only_that_one_can(serve: Serve, connect: Connect) -> None:
    server = serve(WORLD)
    client = connect(server.url("pve1"))
    assert not client.other_entry("pve1")
    assert client.other_entry("pve2")


def test_a_host_that_is_dead_sees_nothing(serve: Serve, connect: Connect) -> None:
    server = serve(WORLD)
    client = connect(server.url("pve1"), server.url("pve2"), server.url("pve3"))
    server.cluster.crash_node("pve2")
    server.fault("reset", node="pve3")
    server.sync()
    assert not client.other_entry("pve1")
    assert client.other_entry("pve2")


@pytest.mark.parametrize("fault", [{"kind": "status", "code": 403}, {"kind": "html"}, {"kind": "body", "body": '{"data":[]}'}])
def test_a_host_that_does_not_say_who_it_is_counts_for_nothing(serve: Serve, connect: Connect, fault: dict[str, Any]) -> None:
    server = serve(WORLD)
    client = connect(server.url("pve1"))
    server.fault(path="/cluster/status", **fault)
    assert not client.other_entry("pve2")


def test_a_page_that_was_read_anyway_tells_which_cluster_it_is(serve: Serve, connect: Connect) -> None:
    server = serve(WORLD)
    client = connect(server.url("pve1"), server.url("pve2"))
    client.cluster_status()
    client.resources()
    assert [record.path for record in server.requests] == ["/cluster/status", "/cluster/resources"]
    # and that is enough to turn to the other
    server.cluster.crash_node("pve1")
    server.sync()
    assert client.cluster_status().name == "lab"
    assert server.requests[-1].node == "pve2"


def test_a_host_without_a_cluster_is_still_asked_for_more(serve: Serve, connect: Connect) -> None:
    server = serve({"nodes": {"pve1": {}}})
    client = connect(server.url("pve1"), server.url("pve1").replace("127.0.0.1", "[::1]"))
    client.cluster_status()
    client.version()
    assert [record.path for record in server.requests] == ["/cluster/status", "/cluster/status", "/nodes", "/version"]


def test_a_host_of_another_cluster_ends_the_run(serve: Serve, connect: Connect) -> None:
    ours, theirs = serve(WORLD), serve({**WORLD, "name": "other"})
    client = connect(ours.url("pve1"), theirs.url("pve2"))
    with pytest.raises(ConfigError):
        client.other_entry("pve1")


def test_s29_asking_around_ends_with_the_deadline(serve: Serve, connect: Connect) -> None:
    server = serve(WORLD)
    server.fault("hang", path="/cluster/status", node="pve2")
    client = connect(server.url("pve1"), server.url("pve2"), deadline=0.3)
    with pytest.raises(DeadlineExceeded):
        client.other_entry("pve1")
