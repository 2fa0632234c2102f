"""The listening sockets of the nodes: a node without power refuses connections, and comes back on the same port."""

from __future__ import annotations

import selectors
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pvectl.sim.server import SimServer

_WATCH_S = 0.1


class Listeners:
    """One thread accepts for all nodes, and looks from time to time whether one has to go or to come."""

    def __init__(self, server: SimServer) -> None:
        self._server = server
        self._sockets: dict[str, socket.socket] = {}
        """Each is bound; one that does not listen keeps the port ours, and connection refused."""
        self._listening: set[str] = set()
        self._applied: dict[str, str] = {}
        self._change = threading.Condition()
        self._asked = self._done = 0
        self._thread: threading.Thread | None = None

    @property
    def started(self) -> bool:
        return self._thread is not None

    def start(self, ports: dict[str, int]) -> None:
        """Bind the ports, and put the true number where one is 0; raises OSError naming a port that is taken."""
        try:
            for node, port in ports.items():
                self._sockets[node] = _bound(port)
                ports[node] = self._sockets[node].getsockname()[1]
        except BaseException:
            self._close_sockets()
            raise
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._woken.settimeout(0.0)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._apply()
        self._thread = threading.Thread(target=self._accept, name="pvesim-accept", daemon=True)
        self._thread.start()

    def sync(self) -> None:
        """Return once the ports are open and closed as the nodes are now."""
        if self._thread is None or self._server.closing.is_set() or self._states() == self._applied:
            return
        with self._change:
            self._asked += 1
            mine = self._asked
            self._wake.send(b"!")
            self._change.wait_for(lambda: self._done >= mine or self._server.closing.is_set(), timeout=5)

    def close(self) -> None:
        """Once the server is closing: end the thread, close every socket."""
        with self._change:
            self._change.notify_all()
        if self._thread is not None:
            self._wake.send(b"!")
            self._thread.join()
            self._wake.close()
            self._woken.close()
            self._selector.close()
        self._close_sockets()

    def _close_sockets(self) -> None:
        for sock in self._sockets.values():
            sock.close()

    def _states(self) -> dict[str, str]:
        server = self._server
        return {node: "refuses" if server.faults.closes_port(node) else server.state(node) for node in self._sockets}

    def _apply(self) -> None:
        states = self._states()
        for node, state in states.items():
            if state == "refuses" and node in self._listening:
                self._stop(node)
            elif state != "refuses" and node not in self._listening:
                self._listen(node)
            if state == "refuses" and self._server.state(node) == "refuses":
                self._server.drop(node)
        self._applied = states

    def _listen(self, node: str) -> None:
        sock = self._sockets[node]
        sock.listen(128)
        sock.settimeout(0.0)
        self._selector.register(sock, selectors.EVENT_READ, node)
        self._listening.add(node)

    def _stop(self, node: str) -> None:
        sock = self._sockets[node]
        port = sock.getsockname()[1]
        self._listening.remove(node)
        self._selector.unregister(sock)
        sock.close()
        self._sockets[node] = _bound(port)

    def _accept(self) -> None:
        while not self._server.closing.is_set():
            for key, _ in self._selector.select(timeout=_WATCH_S):
                if key.data is None:
                    self._woken.recv(4096)
                else:
                    self._accept_from(key.data)
            with self._change:
                asked = self._asked
            if self._states() != self._applied:
                self._apply()
            with self._change:
                self._done = asked
                self._change.notify_all()

    def _accept_from(self, node: str) -> None:
        try:
            sock, _ = self._sockets[node].accept()
        except OSError:
            # the client was faster to leave than we to take it
            return
        self._server.take_connection(sock, node)


def _bound(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", port))
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"port {port} of 127.0.0.1: {error.strerror}") from error
    return sock
