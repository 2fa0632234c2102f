"""One HTTP request to a receiver: no redirects, no proxies, no retries, no cookies, bounded both ways; what came of it is a Result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from pvectl import __version__
from pvectl.clock import Clock
from pvectl.core.secret import Secret
from pvectl.errors import ConfigError
from pvectl.notify.discretion import Discretion
from pvectl.notify.endpoint import Address, Endpoint
from pvectl.notify.result import Countdown, Delivered, Permanent, Result, Retry, TimeLeft
from pvectl.notify.wire import Unreached, Wire, connect, words

if TYPE_CHECKING:
    from datetime import datetime
    from http.client import HTTPResponse

MOST_SENT = 64 << 10
"""Bytes of a message's body, and of an answer that are read."""
LONGEST_WAIT = 86_400.0
"""Seconds a receiver can make us wait."""

_REDIRECT = range(300, 400)
_LATER = frozenset({408, 425, 429})
_SETTINGS = frozenset({401, 402, 403, 404, 405, 407, 410})
_FAULT_OF_ASKING = range(400, 500)
_REPEATABLE = ("application/json", "application/problem+json", "text/plain")


class Answer(Struct, frozen=True, kw_only=True):
    """What a receiver answered. `text` is empty unless it came whole and is no page for a browser; `after` in seconds."""

    status: int
    text: str = ""
    after: float | None = None


class _Broken(Exception):
    """The connection failed after the request, or a part of it, had left."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


class Request:
    """What is to be sent where. `secrets` are those in the body, `after` finds in the answer's text how long to wait."""

    __slots__ = ("after", "body", "endpoint", "headers", "secrets")

    def __init__(
        self,
        endpoint: Endpoint,
        body: bytes | None,
        *,
        headers: Mapping[str, str],
        secrets: tuple[Secret, ...] = (),
        after: Callable[[str], float | None] | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.body = body
        self.headers = headers
        self.secrets = secrets
        self.after = after

    def __repr__(self) -> str:
        return "Request(***)"

    @property
    def method(self) -> str:
        return "GET" if self.body is None else "POST"


def in_json(
    endpoint: Endpoint, payload: Any, *, secrets: tuple[Secret, ...] = (), after: Callable[[str], float | None] | None = None
) -> Request:
    """`payload` as a request's body."""
    import msgspec

    return Request(endpoint, msgspec.json.encode(payload), headers={"Content-Type": "application/json"}, secrets=secrets, after=after)


def send(request: Request, *, deadline: TimeLeft, clock: Clock) -> Result:
    """POST the body, or GET when there is none."""
    if request.body is not None and len(request.body) > MOST_SENT:
        return Permanent(reason=f"the message is larger than {MOST_SENT >> 10} KiB", of_message=True)
    limit = Countdown(request.endpoint.timeout, within=deadline)
    try:
        answer = _asked(request, limit, clock)
    except Unreached as error:
        return Permanent(reason=error.words) if error.lasting else Retry(reason=error.words)
    except _Broken as error:
        return Retry(reason=error.words, maybe_delivered=True)
    except ConfigError as error:
        return Permanent(reason=error.message)
    return _judged(answer, Discretion((*request.endpoint.secrets(), *request.secrets)), request.after)


def _judged(answer: Answer, discretion: Discretion, after: Callable[[str], float | None] | None) -> Result:
    status = answer.status
    told = _told(status)
    if 200 <= status < 300:
        return Delivered(detail=told)
    if status in _REDIRECT:
        return Permanent(reason=f"{told}: redirects are not followed; give the address it leads to")
    excerpt = discretion.excerpt(answer.text)
    reason = f"{told}: {excerpt}" if excerpt else told
    if status in _LATER or status >= 500 or status < 200:
        wait = answer.after
        if wait is None and after is not None:
            wait = _bounded(after(answer.text))
        return Retry(reason=reason, after=wait, maybe_delivered=status not in _LATER)
    return Permanent(reason=reason, of_message=status in _FAULT_OF_ASKING and status not in _SETTINGS)


def _told(status: int) -> str:
    # not the server's own phrase, which may hold anything
    try:
        return f"HTTP {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"HTTP {status}"


def _asked(request: Request, limit: Countdown, clock: Clock) -> Answer:
    address = request.endpoint.address()
    written = _written(request, address)
    wire = connect(address.host, address.port, limit)
    try:
        if address.secure:
            wire = wire.secured(address.host, request.endpoint.tls)
        failed: str | None = None
        try:
            wire.sendall(written)
        except TimeoutError as error:
            raise _Broken(words(error, limit)) from None
        except OSError as error:
            # it may have answered before it hung up: 413, or 401
            failed = words(error, limit)
        return _answer(wire, request.method, limit, clock, failed)
    finally:
        wire.close()


def _written(request: Request, address: Address) -> bytes:
    lines = [
        f"{request.method} {address.target} HTTP/1.1",
        f"Host: {address.authority}",
        f"User-Agent: pvectl/{__version__}",
        "Accept: application/json, text/plain;q=0.9, */*;q=0.1",
        "Accept-Encoding: identity",
        "Connection: close",
        *(f"{name}: {value}" for name, value in request.headers.items()),
        *(f"{name}: {value}" for name, value in request.endpoint.authorization()),
    ]
    if request.body is not None:
        lines.append(f"Content-Length: {len(request.body)}")
    for line in lines:
        if not line.isascii() or not line.isprintable():
            raise ConfigError("a header is not one line of ASCII")
    return "\r\n".join([*lines, "", ""]).encode("ascii") + (request.body or b"")


def _answer(wire: Wire, method: str, limit: Countdown, clock: Clock, failed: str | None) -> Answer:
    from http.client import HTTPException, HTTPResponse

    response = HTTPResponse(wire, method=method)  # type: ignore[arg-type]
    try:
        # http.client would take what came so far for the whole head
        wire.strict_end = True
        try:
            response.begin()
        except (OSError, HTTPException) as error:
            told = words(error, limit) if isinstance(error, OSError) else "it does not answer in HTTP"
            raise _Broken(failed or told) from None
        wire.strict_end = False
        # the answer is known, whatever becomes of the rest, and of a good one nobody needs the rest
        text = _text(response) if response.status in _FAULT_OF_ASKING or response.status >= 500 else ""
        return Answer(status=response.status, text=text, after=_after(response, clock))
    finally:
        response.close()


def _text(response: HTTPResponse) -> str:
    from http.client import HTTPException

    if response.getheader("Content-Type", "text/plain").partition(";")[0].strip().lower() not in _REPEATABLE:
        return ""
    if response.getheader("Content-Encoding") is not None:
        return ""
    body = bytearray()
    try:
        while len(body) <= MOST_SENT:
            part = response.read1(16 << 10)
            if not part:
                # a part of an answer may end in the middle of a secret, where nothing recognises it
                return body.decode("utf-8", "replace") if response.chunked or response.length == 0 else ""
            body += part
    except (OSError, HTTPException):
        return ""
    return ""


def _after(response: HTTPResponse, clock: Clock) -> float | None:
    given = (response.getheader("Retry-After") or "").strip()
    if given.isascii() and given.isdigit():
        return _bounded(float(given[:12]))
    moment = _moment(given)
    if moment is None:
        return None
    # by the server's own clock, if it tells
    now = _moment(response.getheader("Date") or "") or clock.now()
    return _bounded((moment - now).total_seconds())


def _moment(text: str) -> datetime | None:
    if not text:
        return None
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else None


def _bounded(seconds: float | None) -> float | None:
    return None if seconds is None else min(max(seconds, 0.0), LONGEST_WAIT)
