"""A simulated cluster, the real client that speaks to it over HTTP, and a clock that runs as fast as the cluster's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pvectl.clock import ScaledClock
from pvectl.core.secret import Secret
from pvectl.pve.client import ProxmoxClient
from pvectl.pve.transport import Connection, Deadline, Trust
from pvectl.sim.cluster import SimCluster
from tests.support.servers import TestServer, serving

SPEED = 200.0


class HurriedClock(ScaledClock):
    """As fast as the simulated cluster, and always at the hour the cluster has; `before_sleep` happens whenever somebody waits."""

    def __init__(self, speed: float = SPEED) -> None:
        super().__init__(speed)
        self.naps: list[float] = []
        self.before_sleep: Any = None

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        if self.before_sleep is not None:
            self.before_sleep(len(self.naps))
        super().sleep(seconds)


@dataclass(frozen=True)
class Lab:
    server: TestServer
    cluster: SimCluster
    client: ProxmoxClient
    clock: HurriedClock

    def asked(self) -> list[str]:
        """Method and path of each request so far."""
        return [f"{record.method} {record.path}" for record in self.server.requests]

    def wrote(self) -> list[str]:
        return [f"{record.method} {record.path}" for record in self.server.writes()]


@contextmanager
def lab(
    scenario: Mapping[str, Any], *, token: str | None = None, speed: float = SPEED, deadline: float = 60.0, read_only: bool = False
) -> Iterator[Lab]:
    """Serve the scenario and connect to its first node; `token` is the id of one of the scenario's, its first unless told."""
    with serving({"name": "lab", **scenario}, speed=speed) as server:
        token_id = token or server.token_id
        secret = scenario["tokens"][token]["secret"] if token else server.token_secret
        connection = Connection(
            cluster="lab",
            hosts=("http://" + server.host(),),
            token_id=token_id,
            token=Secret(secret),
            trust=Trust(),
            allow_http_loopback=True,
        )
        with ProxmoxClient.get_instance(connection, deadline=Deadline(deadline), read_only=read_only) as client:
            yield Lab(server=server, cluster=server.cluster, client=client, clock=HurriedClock(speed))
