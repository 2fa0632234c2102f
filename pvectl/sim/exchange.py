"""One request and its answer: from the head that came in to the bytes that go out, with whatever fault is in force."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from pvectl.sim import http11
from pvectl.sim.connection import Connection, Gone
from pvectl.sim.faults import Rule
from pvectl.sim.http11 import Refused, Response
from pvectl.sim.mischief import JSON
from pvectl.sim.record import Record, token_id, without_secrets
from pvectl.sim.wire import Answer, Request

if TYPE_CHECKING:
    from pvectl.sim.server import SimServer

_WAIT_SLICE_S = 0.25
_FORMATS = frozenset({"json", "extjs", "html"})
_WELCOME = b"<!DOCTYPE html>\n<html><head><title>Proxmox Virtual Environment</title></head><body></body></html>\n"


class ClusterBroke(Exception):
    """The simulation itself raised; the cause says what."""


class Exchange:
    """What happens to one request; a fault plays on it."""

    request: Request

    def __init__(self, server: SimServer, conn: Connection, block: bytes | None, rule: Rule | None, *, last: bool = False) -> None:
        self.conn = conn
        self._server = server
        self._block = block or b""
        self._rule = rule
        self._keep = not last
        self._sent = 0
        self._version = "HTTP/1.0"
        self._accept_encoding = ""
        self._format = "json"
        self._record: Record | None = None
        self._true: Response | None = None
        self._before: bytes | None = None

    def run(self) -> bool:
        """Answer; true when the connection stays open."""
        try:
            head = http11.parse_head(self._block)
            self._open(head)
            http11.check_transfer(head)
            if not head.path.startswith(http11.API):
                return self._outside_the_api(head)
            self._format, path = http11.split_format(head.path)
        except Refused as error:
            return self._refuse(error)
        try:
            http11.check_content(head)
            body = self.conn.read_body(head.length) if head.length else b""
            params = http11.decode_params(head, body, version=self._server.cluster.world.version)
            self._hear(path, params)
        except Refused as error:
            return self._refuse(error, unless_unauthorized=True)
        return self._answer()

    def redirect_to_tls(self) -> bool:
        """Plain HTTP on the TLS port: pveproxy sends GET with 301 and everything else with 308 to https."""
        try:
            head = http11.parse_head(self._block)
        except Refused as error:
            return self._refuse(error)
        self._open(head)
        if head.length:
            self.conn.read_body(min(head.length, http11.MAX_BODY))
        status, reason = (301, "Moved Permanently") if head.method == "GET" else (308, "Permanent Redirect")
        host = head.headers.get("host") or f"127.0.0.1:{self._server.port(self.conn.record.node)}"
        target = head.path + (f"?{head.query}" if head.query else "")
        self.send(dataclasses.replace(self.blank(status, reason, reason.encode(), None), location=f"https://{host}{target}"), keep=True)
        return self._keep

    def play(self) -> None:
        """Let the rule's fault do its work."""
        if self._rule is None:
            return
        if self._record is not None:
            self._record.fault = self._rule.kind
        self._before = self._server.earlier(self._key()) if self._record is not None else None
        if self._rule.execute:
            self.response()
        self._rule.fault.play(self)

    def response(self, request: Request | None = None) -> Response:
        if self._rule is not None and not self._rule.execute:
            return self.blank(200, "OK", b'{"data":null}')
        if request is not None:
            return self._ask(request)
        if self._true is None:
            self._true = self._ask(self.request)
        return self._true

    def blank(self, status: int, reason: str, body: bytes = b"", content_type: str | None = JSON) -> Response:
        return Response(
            status=status, reason=reason, body=body, content_type=content_type, version=self._version, now=self._server.cluster.clock.now()
        )

    def begin(self, response: Response) -> None:
        if self._record is not None:
            self._record.status = response.status

    def send(self, response: Response, *, keep: bool = False) -> None:
        self._keep = self._keep and keep and response.status < 400
        word = "Keep-Alive" if self._keep else "close"
        response = dataclasses.replace(response, connection=("close", word) if len(response.connection) > 1 else (word,))
        if response.encoding is None and self._accept_encoding:
            body, encoding = http11.compress(response.body, self._accept_encoding)
            response = dataclasses.replace(response, body=body, encoding=encoding)
        self.begin(response)
        self._sent += 1
        self.conn.send(response.encode())

    def pause(self, seconds: float) -> None:
        if self._server.closing.wait(seconds):
            raise Gone

    def earlier(self) -> bytes | None:
        return self._before

    def base_url(self, node: str | None) -> str:
        return self._server.url(self.conn.record.node if node is None else node)

    def _open(self, head: http11.Head) -> None:
        """Note a request as soon as its head is known: a body may never come."""
        self._version = head.version
        self._accept_encoding = head.headers.get("accept-encoding", "")
        self._keep = self._keep and head.keeps_alive
        authorization = head.headers.get("authorization")
        self._record = Record(
            method=head.method,
            path=head.path,
            params={},
            node=self.conn.record.node,
            token_id=token_id(authorization),
            authorization_bytes=len(authorization or ""),
            at=self._server.cluster.clock.now(),
            connection=self.conn.record.number,
        )
        self._server.note(self._record)
        self.request = Request(
            method=head.method,
            path=head.path,
            params={},
            authorization=authorization,
            cookie=head.headers.get("cookie"),
            node=self.conn.record.node,
            headers=head.headers,
        )

    def _outside_the_api(self, head: http11.Head) -> bool:
        if (head.method, head.path) != ("GET", "/"):
            raise Refused(500, f"no such file '{head.path}'\n")
        self.send(self.blank(200, "OK", _WELCOME, "text/html;charset=UTF-8"), keep=True)
        return self._keep

    def _hear(self, path: str, params: dict[str, object]) -> None:
        self.request = dataclasses.replace(self.request, path=path, params=params)
        if self._record is not None:
            self._record.path = path
            self._record.params = without_secrets(params)
        if self._format not in _FORMATS:
            self._format, unknown = "json", self._format
            raise Refused(501, f"no formatter for uri {path}, {unknown}")

    def _answer(self) -> bool:
        match self._server.state(self.conn.record.node):
            case "hangs":
                self.conn.hold()
                return False
            case "refuses":
                self.conn.reset()
                return False
        if not self._server.faults.empty and self._strike():
            return self._keep
        self.send(self.response(), keep=True)
        return self._keep

    def _strike(self) -> bool:
        """Let the faults in force play; true when one of them has taken the place of the answer."""
        request = self.request
        for stage in ("idle", "before", "answer"):
            if stage == "idle" and not self.conn.record.requests:
                continue
            for rule in self._server.faults.take(stage, node=self.conn.record.node, method=request.method, path=request.path):
                self._rule, sent = rule, self._sent
                self.play()
                if stage != "before":
                    self._keep = self._keep and self._sent > sent
                    return True
        self._rule = None
        return False

    def _ask(self, request: Request) -> Response:
        try:
            answer = self._server.cluster.answer(request)
        except Exception as error:
            raise ClusterBroke from error
        if self._record is not None:
            self._record.executed = True
        self._wait(answer.delay_s)
        return self._translate(answer)

    def _translate(self, answer: Answer) -> Response:
        body, content_type = http11.encode_body(answer, envelope=self._format)
        # extjs wraps every outcome into a 200, except that nobody is logged in
        status, reason = (200, "OK") if self._format == "extjs" and answer.status != 401 else (answer.status, answer.reason)
        response = self.blank(status, reason, body, content_type)
        if status == 200 and self.request.method == "GET":
            self._server.remember(self._key(), body)
        response = dataclasses.replace(response, extra=tuple(answer.headers.items()))
        return dataclasses.replace(response, connection=("close", "close")) if answer.proxied else response

    def _wait(self, seconds: float) -> None:
        """Let virtual seconds pass, in slices, so that a closing server is not held up."""
        clock = self._server.cluster.clock
        if not self._server.real_delays or seconds <= 0:
            return
        until = clock.now() + seconds
        while clock.speed > 0 and (left := until - clock.now()) > 0:
            clock.wait(min(left, _WAIT_SLICE_S * clock.speed))
            self.pause(0.0)

    def _refuse(self, error: Refused, *, unless_unauthorized: bool = False) -> bool:
        if unless_unauthorized and self._is_unauthorized():
            return False
        self.send(self.blank(error.status, error.text, error.body, None))
        return False

    def _is_unauthorized(self) -> bool:
        """Answer with the 401 that precedes every other refusal (pveproxy looks at the token before it looks at the body)."""
        probe = dataclasses.replace(self.request, method="GET", path="/version", params={})
        answer = self._server.cluster.answer(probe)
        if answer.status != 401:
            return False
        self._wait(answer.delay_s)
        self.send(self._translate(answer))
        return True

    def _key(self) -> str:
        return f"{self.request.method} {self.request.path} {sorted(self.request.params.items())}"
