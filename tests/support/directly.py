"""A connection that ends in the simulated cluster itself, without sockets: for suites whose number of runs leaves no time for HTTP.

Everything above the wire stays the real one: failover, retries, proofs of identity, what a status code means. Below it there is no
framing, no chunk, no thread. Of the faults only those that a whole answer or none can show are played: `status`, `reset`, `refuse`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar
from unittest import mock

import typer.main

from pvectl.errors import PvectlError
from pvectl.pve.deadline import Deadline
from pvectl.pve.hosts import Host
from pvectl.pve.line import Answer, Broken
from pvectl.sim import http11
from pvectl.sim.answer_faults import Status
from pvectl.sim.record import Record
from pvectl.sim.wire import Request

if TYPE_CHECKING:
    from tests.support.stages import StageServer

T = TypeVar("T")
_COMMANDS = cache(typer.main.get_command)


@contextmanager
def without_sockets(server: StageServer) -> Iterator[None]:
    """Every connection to one of the server's ports ends in its cluster; questions asked in parallel come one after the other."""
    nodes = {server.port(node): node for node in server.nodes}

    def open_line(host: Host, _secure: object, limit: Deadline) -> DirectLine:
        limit.check()
        node = nodes[host.port]
        if server.state(node) == "refuses" or server.faults.closes_port(node):
            raise Broken("connection refused", sent=False)
        return DirectLine(host, node, server)

    with ExitStack() as patches:
        patches.enter_context(mock.patch("pvectl.pve.pool.open_line", open_line))
        patches.enter_context(mock.patch("pvectl.pve.parallel.in_parallel", _one_by_one))
        # typer builds a command anew for each run, which takes as long as the run itself
        patches.enter_context(mock.patch("typer.main.get_command", _COMMANDS))
        yield


class DirectLine:
    """What pvectl's pool takes for a connection."""

    def __init__(self, host: Host, node: str, server: StageServer) -> None:
        self.host = host
        self.used = False
        self.is_open = True
        self._node = node
        self._server = server

    def close(self) -> None:
        self.is_open = False

    def idle_for(self) -> float:
        return 0.0

    def is_quiet(self) -> bool:
        """A node that lost its power has hung up."""
        return self._server.state(self._node) == "up"

    def exchange(self, method: str, head: bytes, body: bytes, limit: Deadline) -> Answer:
        """One request into the cluster, one answer out of it."""
        limit.check()
        self.used = True
        server, parsed = self._server, http11.parse_head(head.removesuffix(b"\r\n\r\n"))
        _, path = http11.split_format(parsed.path)
        authorization = parsed.headers["authorization"]
        params = http11.decode_params(parsed, body, version=server.cluster.world.version)
        record = Record(
            method=method,
            path=path,
            params=params,
            node=self._node,
            token_id=None,
            authorization_bytes=len(authorization),
            at=server.cluster.clock.now(),
            connection=0,
        )
        server.note(record)
        if server.state(self._node) != "up":
            self.close()
            raise Broken("it stopped answering", sent=True)
        request = Request(
            method=method, path=path, params=params, authorization=authorization, cookie=None, node=self._node, headers=parsed.headers
        )
        rule = next(iter(server.faults.take("answer", node=self._node, method=method, path=path)), None)
        if rule is not None:
            record.fault = rule.kind
            if rule.execute:
                server.cluster.answer(request)
            if not isinstance(rule.fault, Status):
                self.close()
                raise Broken("it closed the connection without an answer", sent=True)
            record.status = rule.fault.code
            return Answer(status_code=rule.fault.code, reason="", content_type="application/json;charset=UTF-8", body=b'{"data":null}')
        answer = server.cluster.answer(request)
        record.status, record.executed = answer.status, True
        encoded, content_type = http11.encode_body(answer)
        return Answer(status_code=answer.status, reason=answer.reason, content_type=content_type or "", body=encoded)


def _one_by_one(calls: Sequence[Callable[[], T]], **_: Any) -> list[T | PvectlError]:
    answers: list[T | PvectlError] = []
    for call in calls:
        try:
            answers.append(call())
        except PvectlError as error:
            answers.append(error)
    return answers
