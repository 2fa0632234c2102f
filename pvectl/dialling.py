"""A TCP connection within a time limit: neither a resolver that hangs nor a dead address takes the time of what comes after it."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any, Protocol

Address = tuple[socket.AddressFamily, socket.SocketKind, int, Any]


class Limit(Protocol):
    """How long it may take."""

    def left(self) -> float:
        """Seconds still to go; never negative."""
        ...


def connected(addresses: Sequence[Address], limit: Limit) -> socket.socket:
    """A connection to the first of the addresses that takes one.

    Raises:
        OSError: why the last one did not; a TimeoutError where no time was left for any.
    """
    last: OSError = TimeoutError()
    for position, (family, kind, protocol, address) in enumerate(addresses):
        if not limit.left():
            break
        sock = socket.socket(family, kind, protocol)
        try:
            # a dead address leaves its share of the time to those after it
            sock.settimeout(max(limit.left() / (len(addresses) - position), 0.001))
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            sock.close()
            last = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise last


def resolved(name: str, port: int, limit: Limit, *, thread: str) -> list[Address]:
    """The addresses of a name of ASCII letters; `thread` is what the thread is called that asks.

    Raises:
        OSError: the resolver's; a TimeoutError where it did not answer in time.
    """
    # the resolver keeps its own time, often 10 s and more, and nothing can interrupt it: it is left behind in a thread
    import threading

    found: list[list[Address]] = []
    failed: list[OSError] = []

    def resolve() -> None:
        try:
            found.append(looked_up(name, port))
        except OSError as error:
            failed.append(error)

    asking = threading.Thread(target=resolve, name=thread, daemon=True)
    asking.start()
    asking.join(limit.left())
    if failed:
        raise failed[0]
    if not found:
        raise TimeoutError
    return found[0]


def looked_up(name: str, port: int, flags: int = 0) -> list[Address]:
    """What the resolver says, however long that takes."""
    # as bytes: for a str Python would load its IDNA codec, and whoever checks a host lets nothing but ASCII through
    found = socket.getaddrinfo(name.encode("ascii"), port, type=socket.SOCK_STREAM, flags=flags)
    return [(family, kind, protocol, address) for family, kind, protocol, _, address in found]
