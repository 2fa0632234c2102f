"""Serves a simulated cluster over HTTP on loopback: one listener per node, pveproxy's manners, faults on demand.

    server = SimServer(cluster, certfile=cert, keyfile=key).start()
    server.fault("status", path="/cluster/resources", code=502, times=1)
    # a client that tries again leaves two records: "GET /cluster/resources -> 502 (status)", "GET /cluster/resources -> 200"

`server.close()`, or the end of a `with` block, closes every socket and waits for every thread.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from pvectl.sim import http11
from pvectl.sim.connection import Connection, Gone
from pvectl.sim.exchange import ClusterBroke, Exchange
from pvectl.sim.faults import FaultTable, Rule
from pvectl.sim.listeners import Listeners
from pvectl.sim.record import ConnectionRecord, Counters, Record
from pvectl.sim.wire import Answer, Request

_LAST_ANSWERS = 64
_KEPT_RECORDS = 100_000


class Clock(Protocol):
    @property
    def speed(self) -> float: ...
    def now(self) -> float: ...
    def wait(self, seconds: float) -> None: ...


class World(Protocol):
    @property
    def nodes(self) -> Mapping[str, object]: ...
    @property
    def version(self) -> str: ...


class Cluster(Protocol):
    """What the HTTP half needs of a cluster."""

    @property
    def clock(self) -> Clock: ...
    @property
    def world(self) -> World: ...
    def answer(self, request: Request) -> Answer: ...
    def node_accepts(self, name: str) -> str:
        """`up`, `refuses` or `hangs`."""


class SimServer:
    """A cluster's nodes on loopback ports, from `with` (or `start`) to `close`.

    `nodes` are the names to serve (default: all the cluster has), or a mapping from name to port. `real_delays=False` leaves out the
    time an answer takes (3 s for a 401). `idle_s` may be shortened where a test waits for pveproxy's 5 s of silence.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        certfile: str | Path | None = None,
        keyfile: str | Path | None = None,
        nodes: Iterable[str] | Mapping[str, int] | None = None,
        real_delays: bool = True,
    ) -> None:
        self.cluster = cluster
        self.real_delays = real_delays
        self.idle_s = http11.IDLE_S
        self.requests: list[Record] = []
        self.connections: list[ConnectionRecord] = []
        self.counters = Counters()
        self.faults = FaultTable()
        self.closing = threading.Event()
        self._broken: list[BaseException] = []
        wanted = cluster.world.nodes if nodes is None else nodes
        self._ports: dict[str, int] = dict(nodes) if isinstance(nodes, Mapping) else dict.fromkeys(wanted, 0)
        self._tls = _tls_context(certfile, keyfile)
        self._earlier: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()
        self._open: dict[Connection, threading.Thread] = {}
        self._leaving: list[threading.Thread] = []
        """Threads that are done with their connection, and may still be there for a moment."""
        self._listeners = Listeners(self)

    @property
    def nodes(self) -> tuple[str, ...]:
        return tuple(self._ports)

    def host(self, node: str | None = None) -> str:
        """`127.0.0.1:PORT` of a node, by default the first."""
        self.sync()
        return f"127.0.0.1:{self.port(node)}"

    def url(self, node: str | None = None) -> str:
        return f"{'https' if self._tls else 'http'}://{self.host(node)}"

    def port(self, node: str | None = None) -> int:
        return self._ports[next(iter(self._ports)) if node is None else node]

    def fault(self, kind: str, *, path: str = "*", method: str = "*", times: int | None = None, **details: Any) -> Rule:
        """Let something go wrong; see pvectl.sim.faults for the kinds. `node=` chooses the listener, `times=None` is always."""
        rule = self.faults.add(kind, path=path, method=method, times=times, **details)
        self.sync()
        return rule

    def clear_faults(self) -> None:
        self.faults.clear()
        self.sync()

    def reads(self) -> list[Record]:
        with self._lock:
            return [record for record in self.requests if not record.is_write]

    def writes(self) -> list[Record]:
        """POST, PUT and DELETE, whatever came of them."""
        with self._lock:
            return [record for record in self.requests if record.is_write]

    def clear(self) -> None:
        """Forget the requests so far; connections and counters stay."""
        with self._lock:
            self.requests.clear()

    def sync(self) -> None:
        """Open and close ports by what the nodes are now, without waiting for the watcher's next look."""
        self._listeners.sync()

    def start(self) -> Self:
        """Open the ports; does nothing when they are open."""
        if not self._listeners.started:
            self._listeners.start(self._ports)
        return self

    def close(self) -> None:
        """Close every socket and wait for every thread; raises what went wrong inside the cluster meanwhile, once."""
        if not self.closing.is_set():
            self.closing.set()
            self._listeners.close()
        while True:
            with self._lock:
                still = dict(self._open)
            if not still:
                break
            for connection, thread in still.items():
                connection.kill()
                thread.join(timeout=5)
        for thread in self._leaving:
            thread.join()
        if self._broken:
            raise self._broken.pop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self.close()
        except Exception as broken:
            if error is None:
                raise
            error.add_note(f"the simulated cluster broke, too: {broken!r}")

    def state(self, node: str) -> str:
        """What a node does with connections; `up` when the cluster cannot say, for the listeners must live on."""
        try:
            return self.cluster.node_accepts(node)
        except Exception as error:  # noqa: BLE001  (kept for close, which raises it)
            if not self._broken:
                self._broken.append(error)
            return "up"

    def drop(self, node: str) -> None:
        """End every connection of a node that lost power."""
        with self._lock:
            lost = [connection for connection in self._open if connection.record.node == node]
        for connection in lost:
            connection.kill()

    def take_connection(self, sock: socket.socket, node: str) -> None:
        with self._lock:
            self.counters.connections += 1
            record = ConnectionRecord(number=self.counters.connections, node=node)
            connection = Connection(sock, record, idle_s=self.idle_s)
            self.connections.append(record)
            del self.connections[:-_KEPT_RECORDS]
            thread = threading.Thread(target=self._serve, args=(connection,), name=f"pvesim-{node}-{record.number}", daemon=True)
            self._open[connection] = thread
            self._leaving = [gone for gone in self._leaving if gone.is_alive()]
        thread.start()

    def note(self, record: Record) -> None:
        with self._lock:
            self.requests.append(record)
            # by hand a server may run for weeks
            del self.requests[:-_KEPT_RECORDS]
            self.counters.requests += 1
            self.counters.authorization_bytes += record.authorization_bytes

    def remember(self, key: str, body: bytes) -> None:
        """Keep the last answer of a path, for stale ones."""
        with self._lock:
            self._earlier[key] = body
            self._earlier.move_to_end(key)
            while len(self._earlier) > _LAST_ANSWERS:
                self._earlier.popitem(last=False)

    def earlier(self, key: str) -> bytes | None:
        with self._lock:
            return self._earlier.get(key)

    def _serve(self, connection: Connection) -> None:
        try:
            if self._admit(connection):
                self._converse(connection)
        except (Gone, OSError):
            # the peer left, or the server closes: nobody is there to be told
            pass
        finally:
            connection.close()
            with self._lock:
                self.counters.bytes_received += connection.record.received
                self._leaving.append(self._open.pop(connection))

    def _admit(self, connection: Connection) -> bool:
        """Take a connection in: false when nothing is to be said on it."""
        node = connection.record.node
        for rule in self.faults.take("connect", node=node):
            Exchange(self, connection, None, rule).play()
            if rule.kind != "slow_accept":
                return False
        match self.state(node):
            case "hangs":
                connection.hold()
                return False
            case "refuses":
                connection.reset()
                return False
            case _:
                return self._tls is None or self._shake_hands(connection, self._tls)

    def _shake_hands(self, connection: Connection, context: ssl.SSLContext) -> bool:
        if not connection.speaks_tls():
            return True
        with self._lock:
            self.counters.handshakes += 1
        try:
            connection.start_tls(context)
        except OSError as error:
            connection.record.handshake_error = str(error) or type(error).__name__
            with self._lock:
                self.counters.failed_handshakes += 1
            return False
        return True

    def _converse(self, connection: Connection) -> None:
        insecure = self._tls is not None and connection.record.tls is None
        left = http11.REQUESTS_PER_CONNECTION
        keep = True
        try:
            while keep and not self.closing.is_set():
                left -= 1
                exchange = Exchange(self, connection, connection.read_head(), None, last=left == 0)
                keep = exchange.redirect_to_tls() if insecure else self._run(exchange)
                connection.record.requests += 1
                # a request may have switched a node off or on
                self.sync()
        except http11.Silence:
            connection.hold(seconds=self.idle_s)
            return
        connection.finish()

    def _run(self, exchange: Exchange) -> bool:
        try:
            return exchange.run()
        except ClusterBroke as error:
            # told to the client at once, and to whoever closes the server
            cause = error.__cause__ or error
            self._broken.append(cause)
            exchange.send(exchange.blank(500, f"pvectl.sim failed: {type(cause).__name__}: {cause}", b"", None))
            return False


def _tls_context(certfile: str | Path | None, keyfile: str | Path | None) -> ssl.SSLContext | None:
    if certfile is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certfile, keyfile)
    except OSError as error:
        why = error.strerror if isinstance(error, FileNotFoundError) else "no PEM certificate with the key that belongs to it"
        raise ValueError(f"certificate {certfile}{f' with key {keyfile}' if keyfile else ''}: {why}") from error
    return context
