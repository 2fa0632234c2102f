"""The strict session under proxmoxer's resource tree: failover within one cluster, retries that can do no harm, one deadline."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec
from msgspec import Struct

from pvectl.core.text import clean
from pvectl.errors import ApiRefusal, DeadlineExceeded, ProtocolError, PvectlError, TlsFailure, Unavailable, WriteForbidden
from pvectl.pve import failures, paths, strict_json
from pvectl.pve.belonging import Belonging, Unvouched
from pvectl.pve.connection import Connection, Trust
from pvectl.pve.deadline import Deadline
from pvectl.pve.identity import STATUS, local_node
from pvectl.pve.line import Answer, Broken, Line
from pvectl.pve.pool import Pool

if TYPE_CHECKING:
    from pvectl.pve.hosts import Host

__all__ = ["Connection", "Deadline", "Exchange", "Parameters", "Session", "Trust"]

ROUNDS = 3
"""How often a GET goes through the hosts before giving up."""
PAUSE_S = 0.2
IDLE_READ_S = 4.0
"""pveproxy drops a connection after 5 s of silence."""
IDLE_WRITE_S = 2.0
"""A write must not meet the server's goodbye half-way: its outcome would be unknown."""

Parameters = Mapping[str, "str | int | bool | list[str] | tuple[str, ...] | None"]
_OK = range(200, 300)
_REDIRECT = range(300, 400)
_TIMED_OUT = 408
_LAST_KNOWN = 505
"""From here on no status says that nothing was done, but for those PVE itself answers with."""
_NOT_DONE = frozenset({506, failures.NEVER_CONNECTED})
"""pveproxy says 506 to what it does not understand, before it looks at it (pve-http-server AnyEvent.pm)."""
_SHORTEST_SECRET = 6
"""A shorter one, which PVE makes for nobody, may be part of any answer's grammar."""


class Exchange(Struct, frozen=True, kw_only=True):
    """One request as a log may show it; `status` is None when no whole answer came, `took` in seconds."""

    method: str
    path: str
    host: str
    status: int | None
    took: float


class Session:
    """Sends each request to whichever host of the cluster answers; one request at a time per calling thread."""

    def __init__(
        self, connection: Connection, *, deadline: Deadline, read_only: bool, on_exchange: Callable[[Exchange], None] | None = None
    ) -> None:
        self._hosts = connection.checked_hosts()
        self._connection = connection
        self._deadline = deadline
        self._read_only = read_only
        self._on_exchange = on_exchange
        self._pool = Pool(connection.trust)
        self._dead: set[Host] = set()
        self._belonging = Belonging(self._hosts, self._get, dead=self._dead)

    def __repr__(self) -> str:
        return f"Session({self._connection.cluster})"

    def close(self) -> None:
        self._pool.close()

    def request(self, method: str, url: str, *, data: Parameters | None = None, params: Parameters | None = None) -> Answer:
        """One API call, as proxmoxer's resource tree asks for it; only a success comes back.

        Raises:
            PvectlError: anything else.
        """
        if not paths.is_clean(url):
            raise ProtocolError(f"{url[:100]!r} is not a path of the API")
        query = encoded(params)
        target = f"{url}?{query}" if query else url
        if method == "GET":
            self._belonging.learn()
            return self._read(url, target)
        self._forbid_writes(method, url)
        self._belonging.learn()
        return self._write(method, url, target, encoded(data).encode("ascii"))

    def answers_beside(self, node: str) -> bool:
        """Whether one of the hosts is another node than this one, answers, and belongs to the same cluster.

        Raises:
            ConfigError: a host is of another cluster.
            DeadlineExceeded: no time is left.
        """
        for host in self._in_order(dead_too=True):
            try:
                answer = self._ask(host, STATUS)
                teller = local_node(answer)
            except (Unvouched, ProtocolError):
                continue
            except (Broken, TlsFailure):
                self._dead.add(host)
                continue
            if teller is not None and teller != node:
                return True
        return False

    def prove_hosts(self) -> None:
        """Hold every host that answers against the first one's cluster, for acts that must not rest on a list of two clusters' hosts.

        Raises:
            ConfigError: a host is of another cluster.
            DeadlineExceeded: no time is left.
        """
        for host in self._in_order(dead_too=True):
            try:
                self._belonging.prove(host)
            except Unvouched:
                continue
            except (Broken, TlsFailure):
                self._dead.add(host)

    def _forbid_writes(self, method: str, path: str) -> None:
        asked = f"{method} {path.removeprefix('/api2/json')}"
        if self._read_only:
            raise WriteForbidden(f"{asked} was not sent: this run only reads", subject=failures.subject_of(path))
        if self._connection.trust.insecure:
            raise WriteForbidden(
                f"{asked} was not sent: with `insecure: true` or `verify_ssl: false` nobody knows who is listening, so pvectl only reads",
                hint="trust the host's certificate with `pvectl config trust`",
                subject=failures.subject_of(path),
            )

    def _read(self, path: str, target: str) -> Answer:
        trouble = _Trouble()
        for turn in range(ROUNDS):
            if turn:
                self._pause(turn)
            for host in self._in_order(dead_too=turn > 0):
                try:
                    answer = self._ask(host, target)
                except Unvouched as fault:
                    trouble.note(host, fault.why)
                    continue
                except (Broken, TlsFailure) as fault:
                    self._dead.add(host)
                    trouble.note(host, fault)
                    continue
                node_fault = answer.status_code in failures.NODE_FAULTS
                if node_fault and paths.node_of(path) is not None:
                    teller, answer = self._once_more(host, target, answer)
                    return self._judged(teller, "GET", path, answer)
                if node_fault or answer.status_code in failures.BAD_GATEWAY:
                    trouble.note(host, self._judged_failure(host, "GET", path, answer))
                    continue
                self._dead.discard(host)
                return self._judged(host, "GET", path, answer)
            if trouble.is_final(self._hosts):
                break
        raise trouble.told(self._hosts)

    def _once_more(self, host: Host, target: str, answer: Answer) -> tuple[Host, Answer]:
        """A node one host cannot reach is tried from at most one other: most likely the node itself is down."""
        others = [other for other in self._hosts if other != host and other not in self._dead]
        if not others and answer.status_code != failures.NEVER_CONNECTED:
            return host, answer  # pveproxy has waited 30 s for the node already
        self._pause(1)
        for other in others or [host]:
            try:
                return other, self._ask(other, target)
            except Unvouched:
                continue
            except DeadlineExceeded:
                raise
            except (Broken, Unavailable):
                break
        return host, answer

    def _ask(self, host: Host, target: str) -> Answer:
        """One GET from one host, which is the first of its run or has been proven to be of the same cluster.

        Raises:
            Unvouched: there is no telling whether it is; it was not asked.
        """
        with self._belonging.one_by_one_at_first():
            self._belonging.prove(host)
            answer = self._get(host, target)
            self._belonging.settle(host, target, answer)
        return answer

    def _get(self, host: Host, target: str) -> Answer:
        line = self._pool.resting(host, at_most_s=IDLE_READ_S)
        if line is not None:
            try:
                return self._exchange(line, "GET", target)
            except Broken:
                # the server hung up just as we asked, which is no fault of the host
                self._deadline.check()
        return self._exchange(self._pool.fresh(host, self._deadline), "GET", target)

    def _write(self, method: str, path: str, target: str, form: bytes) -> Answer:
        with self._belonging.one_by_one_at_first():
            return self._write_once(method, path, target, form)

    def _write_once(self, method: str, path: str, target: str, form: bytes) -> Answer:
        line = self._line_for_write()
        host = line.host
        try:
            self._deadline.check()
        except DeadlineExceeded:
            line.close()
            raise
        try:
            answer = self._exchange(line, method, target, form)
            self._belonging.settle(host, target, answer)
            if answer.status_code in _OK:
                self._judged(host, method, path, answer)
                strict_json.anything(answer.body)
                return answer
        except Broken as fault:
            if not fault.sent:
                raise failures.unreachable({host.label: fault.words}, last=host.label) from None
            raise failures.outcome_unknown(fault.words, method=method, path=path, host=host) from None
        except (DeadlineExceeded, ProtocolError) as fault:
            raise failures.outcome_unknown(fault.message, method=method, path=path, host=host) from None
        status = answer.status_code
        failure = self._judged_failure(host, method, path, answer)
        lost = status in failures.BAD_GATEWAY or status == _TIMED_OUT or (status >= _LAST_KNOWN and status not in _NOT_DONE)
        if lost or (isinstance(failure, ProtocolError) and status not in _REDIRECT):
            why = f"it answered {status} {clean(answer.reason[:200])}".rstrip() if isinstance(failure, ApiRefusal) else failure.message
            raise failures.outcome_unknown(why, method=method, path=path, host=host)
        raise failure

    def _line_for_write(self) -> Line:
        """A connection on which the server is listening; nothing of the request has left yet, so every host may be tried for it."""
        trouble = _Trouble()
        for host in self._in_order(dead_too=True):
            try:
                self._belonging.prove(host)
                return self._pool.resting(host, at_most_s=IDLE_WRITE_S) or self._pool.fresh(host, self._deadline)
            except Unvouched as fault:
                trouble.note(host, fault.why)
            except (Broken, TlsFailure) as fault:
                self._dead.add(host)
                trouble.note(host, fault)
        raise trouble.told(self._hosts)

    def _exchange(self, line: Line, method: str, target: str, form: bytes = b"") -> Answer:
        lines = [
            f"{method} {target} HTTP/1.1",
            f"Host: {line.host.label}",
            f"Authorization: PVEAPIToken={self._connection.token_id}={self._connection.token.reveal()}",
            "Accept: application/json",
            "Accept-Encoding: identity",
            "User-Agent: pvectl",
        ]
        if method in ("POST", "PUT"):
            lines += ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(form)}"]
        began, status = time.monotonic(), None
        try:
            answer = line.exchange(method, ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8"), form, self._deadline)
            answer = self._without_secret(answer)
            status = answer.status_code
        finally:
            if self._on_exchange is not None:
                took = time.monotonic() - began
                self._on_exchange(Exchange(method=method, path=target, host=line.host.label, status=status, took=took))
        self._pool.keep(line)
        return answer

    def _without_secret(self, answer: Answer) -> Answer:
        """What a server repeats of the request must not bring the secret into an error, a task's end or a log."""
        secret = self._connection.token.reveal()
        if answer.status_code in _OK and len(secret) < _SHORTEST_SECRET:
            return answer
        return answer.without(_spellings(secret))

    def _judged(self, host: Host, method: str, path: str, answer: Answer) -> Answer:
        if answer.status_code not in _OK:
            raise self._judged_failure(host, method, path, answer)
        failures.check_content_type(answer, method=method, path=path, host=host)
        return answer

    def _judged_failure(self, host: Host, method: str, path: str, answer: Answer) -> PvectlError:
        return failures.from_answer(answer, method=method, path=path, host=host, token_id=self._connection.token_id)

    def _in_order(self, *, dead_too: bool) -> Iterator[Host]:
        """The hosts worth asking, the one that answered before first; the dead last, or when nobody else is left."""
        dead = self._dead.copy()
        live = sorted((host for host in self._hosts if host not in dead), key=lambda host: host != self._belonging.home)
        yield from live
        if dead_too or not live:
            yield from (host for host in self._hosts if host in dead)

    def _pause(self, turn: int) -> None:
        """Wait a moment, not the same one as everybody else."""
        jitter = 0.5 + os.urandom(1)[0] / 512
        time.sleep(min(PAUSE_S * 2**turn * jitter, self._deadline.left()))
        self._deadline.check()


class _Trouble:
    """What went wrong with each host, while there are others to try."""

    def __init__(self) -> None:
        self._by_host: dict[Host, Broken | PvectlError] = {}

    def note(self, host: Host, fault: Broken | PvectlError) -> None:
        self._by_host[host] = fault

    def is_final(self, hosts: tuple[Host, ...]) -> bool:
        """Every host has shown a certificate that will not get better by asking again."""
        return all(isinstance(self._by_host.get(host), TlsFailure) for host in hosts)

    def told(self, hosts: tuple[Host, ...]) -> PvectlError:
        errors = [fault for fault in self._by_host.values() if isinstance(fault, PvectlError)]
        if len(self._by_host) == 1 and errors:
            return errors[0]
        words = {host.label: str(getattr(fault, "words", fault)) for host, fault in self._by_host.items()}
        return failures.unreachable(words, last=hosts[0].label, certificates=[fault for fault in errors if isinstance(fault, TlsFailure)])


def _spellings(secret: str) -> tuple[bytes, ...]:
    """A secret as a server may repeat it: as it is, escaped for a URL, and escaped for JSON with and without its slashes."""
    in_json = msgspec.json.encode(secret).decode()[1:-1]
    spelled = (secret, quote(secret, safe=""), quote(secret, safe="").lower(), in_json, in_json.replace("/", "\\/"))
    return tuple(dict.fromkeys(one.encode() for one in spelled))


def encoded(parameters: Parameters | None) -> str:
    """A query or a form as PVE reads it: every reserved character escaped, truth as 1 and 0, a list by repeating its key.

    pveproxy splits on ";" as well as "&", and cuts a value at its second "=" (pve-http-server AnyEvent.pm).
    """
    if not parameters:
        return ""
    pairs = []
    for key, value in parameters.items():
        if value is None:
            continue
        for one in value if isinstance(value, list | tuple) else (value,):
            text = str(int(one)) if isinstance(one, bool) else str(one)
            pairs.append(f"{quote(key, safe='')}={quote(text, safe='')}")
    return "&".join(pairs)
