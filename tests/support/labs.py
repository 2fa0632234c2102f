"""A simulated cluster whose time stands still unless somebody waits, the real client that speaks to it over HTTP, and one clock for both.

At another speed the cluster's time passes by itself: for tests in which a server takes its time.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pvectl.core.secret import Secret
from pvectl.pve.client import ProxmoxClient
from pvectl.pve.transport import Connection, Deadline, Trust
from pvectl.sim.cluster import SimCluster
from pvectl.sim.record import Record
from tests.support.servers import TestServer, serving


class LabClock:
    """The cluster's time, which at speed 0 passes only while somebody sleeps; `before_sleep` and `after_sleep` happen around that."""

    def __init__(self, server: TestServer) -> None:
        self._server = server
        self.naps: list[float] = []
        self.before_sleep: Callable[[int], object] = lambda _naps: None
        self.after_sleep: Callable[[int], object] = lambda _naps: None

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._server.cluster.clock.now(), UTC)

    def boottime(self) -> float:
        return float(self._server.cluster.clock.now()) - 1_700_000_000

    def boot_id(self) -> str | None:
        return None

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.before_sleep(len(self.naps))
        cluster = self._server.cluster
        if cluster.clock.speed:
            cluster.clock.wait(seconds)
        else:
            cluster.advance(seconds)
            self._server.sync()
        self.after_sleep(len(self.naps))


@dataclass(frozen=True)
class Lab:
    server: TestServer
    cluster: SimCluster
    client: ProxmoxClient
    clock: LabClock
    deadline: Deadline
    """By when the client gives up, in real seconds."""

    def asked(self) -> list[str]:
        """Method and path of each request so far."""
        return [f"{record.method} {record.path}" for record in self.server.requests]

    def wrote(self) -> list[str]:
        return [f"{record.method} {record.path}" for record in self.server.writes()]

    def on_request(self, event: Callable[[int, str], object]) -> None:
        """Let `event` happen with the number and the words of each request from now on, before it is answered."""
        note, count, one_by_one = self.server.note, itertools.count(1), threading.Lock()

        def told(record: Record) -> None:
            # its number is its place on the server's list, also where several come at once
            with one_by_one:
                note(record)
                number = next(count)
            event(number, f"{record.method} {record.path.removeprefix('/api2/json').partition('?')[0]}")

        self.server.note = told  # type: ignore[method-assign]


@contextmanager
def lab(
    scenario: Mapping[str, Any],
    *,
    hosts: Sequence[str] = (),
    token: str | None = None,
    speed: float = 0.0,
    deadline: float = 60.0,
    read_only: bool = False,
) -> Iterator[Lab]:
    """Serve the scenario and connect to these of its nodes in this order, to its first unless told.

    `token` is the id of one of the scenario's, its first unless told.
    """
    with serving({"name": "lab", **scenario}, speed=speed) as server:
        token_id = token or server.token_id
        secret = scenario["tokens"][token]["secret"] if token else server.token_secret
        connection = Connection(
            cluster="lab",
            hosts=tuple(f"http://{server.host(node)}" for node in hosts or server.nodes[:1]),
            token_id=token_id,
            token=Secret(secret),
            trust=Trust(),
            allow_http_loopback=True,
        )
        limit = Deadline(deadline)
        with ProxmoxClient.get_instance(connection, deadline=limit, read_only=read_only) as client:
            yield Lab(server=server, cluster=server.cluster, client=client, clock=LabClock(server), deadline=limit)
