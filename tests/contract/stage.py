"""The recorded cluster, rebuilt: a simulated cluster behind real sockets, and what the recorder's side of it remembers."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import trustme

from pvectl.sim.clock import VirtualClock
from pvectl.sim.cluster import SimCluster
from pvectl.sim.recorded import SECRETS
from pvectl.sim.server import SimServer
from pvectl.sim.tasks import abort
from pvectl.sim.wire import Answer, Request
from tests.contract.exchange import Door, Seen, exchange

TOKEN_IDS = {token_id.partition("!")[2]: token_id for token_id in SECRETS}
UPID_NUMBERS = re.compile(r"UPID:[^:]+:([0-9A-F]{8}):([0-9A-F]{8}):([0-9A-F]{8}):")


class WatchedCluster(SimCluster):
    """A simulated cluster that remembers how long its last answer took, and whose world is within reach, as the real host was."""

    last_delay_s = 0.0

    def answer(self, request: Request) -> Answer:
        answer = super().answer(request)
        self.last_delay_s = answer.delay_s
        return answer

    def raw_line(self, vmid: int, key: str) -> str | None:
        """One line of a guest's configuration file; None as well when there is no such guest."""
        return self.guest(vmid).config.get(key) if vmid in self.world.guests else None

    def kill_workers(self, status: str, *upids: str) -> None:
        """kill -9: no last line in the log."""
        for task in self.tasks(running=True):
            if not upids or task.upid in upids:
                abort(self.world, task, status, last_line=False)


class Stage:
    """One cluster standing still in virtual time until a test moves it on."""

    def __init__(self, cluster: WatchedCluster, server: SimServer, door: Door) -> None:
        self.cluster = cluster
        self.server = server
        self.door = door
        self._upids: dict[str, str] = {}
        self._digests: dict[str, str] = {}

    def authorization(self, token: str) -> str:
        token_id = TOKEN_IDS[token]
        return f"PVEAPIToken={token_id}={SECRETS[token_id]}"

    def get(self, path: str, *, token: str = "full") -> Any:
        return exchange(self.door, "GET", f"/api2/json{path}", headers={"Authorization": self.authorization(token)}).json()["data"]

    def send(self, method: str, url: str, *, token: str | None, headers: Mapping[str, str], body: str | None) -> Seen:
        named = {"Authorization": self.authorization(token)} if token else {}
        self.cluster.last_delay_s = 0.0
        return exchange(self.door, method, url, headers={**named, **headers}, body=body)

    def advance(self, seconds: float) -> None:
        self.cluster.clock.advance(seconds)

    def meet(self, recorded: str, seen: str) -> None:
        """The recorded task and the one just started are the same."""
        self._upids[recorded] = seen

    def upid(self, recorded: str) -> str:
        return self._upids.get(recorded, recorded)

    def in_our_terms(self, recorded: Any) -> Any:
        """A recorded body with this cluster's task ids."""
        if isinstance(recorded, dict):
            return {key: self.in_our_terms(value) for key, value in recorded.items()}
        if isinstance(recorded, list):
            return [self.in_our_terms(value) for value in recorded]
        return self.upid(recorded) if isinstance(recorded, str) else recorded

    def translated(self, text: str) -> str:
        """The recorded text with this cluster's task ids and digests in it, number by number, so that mutilated ids stay mutilated."""
        for was, now in self._digests.items():
            text = text.replace(was, now)
        for recorded, seen in self._upids.items():
            old, new = UPID_NUMBERS.match(recorded), UPID_NUMBERS.match(seen)
            if old is None or new is None or old[2].lower() not in text.lower():
                continue
            numbers = dict(zip(old.groups(), new.groups(), strict=True))
            numbers = {was.lower(): now.lower() for was, now in numbers.items()} | numbers
            return re.sub("|".join(rf"{was}(?=:|%3A)" for was in numbers), lambda found: numbers[found[0]], text)  # noqa: B023  (used at once)
        return text

    def know_digest(self, recorded: str, vmid: int, kind: str) -> None:
        """The first time a recorded digest is sent it is the present one; later it stays what it was."""
        if recorded not in self._digests:
            self._digests[recorded] = self.get(f"/nodes/pve1/{kind}/{vmid}/config")["digest"]

    def follow(self, upid: str, *, step: float = 0.25, patience: float = 200.0) -> list[tuple[float, dict[str, Any]]]:
        """Poll a task until it has stopped: when its status changed, in virtual seconds from now."""
        path = f"/nodes/{upid.split(':')[1]}/tasks/{quote(upid, safe='')}/status"
        start = self.cluster.clock.now()
        changes: list[tuple[float, dict[str, Any]]] = []
        while True:
            status = self.get(path)
            after = self.cluster.clock.now() - start
            if not changes or changes[-1][1] != status:
                changes.append((round(after, 2), status))
            if status["status"] == "stopped" or after > patience:
                return changes
            self.advance(step)

    def log_of(self, upid: str) -> list[str]:
        lines = self.get(f"/nodes/{upid.split(':')[1]}/tasks/{quote(upid, safe='')}/log?limit=0")
        return [line["t"] for line in lines]


@contextmanager
def staged(
    scenario: Mapping[str, Any], *, certificate: Path | None = None, idle_s: float | None = None, speed: float = 0
) -> Iterator[Stage]:
    """A cluster behind its sockets; its time stands still unless `speed` lets it run."""
    cluster = WatchedCluster(scenario, clock=VirtualClock(speed, start=float(scenario["now"])))
    server = SimServer(cluster, certfile=certificate, real_delays=False)
    if idle_s is not None:
        server.idle_s = idle_s
    trust = None
    if certificate is not None:
        trust = ssl.create_default_context(cafile=str(certificate.with_name("ca.pem")))
    with server:
        host, _, port = server.host("pve1").rpartition(":")
        yield Stage(cluster, server, Door(host, int(port), trust))


def make_certificate(folder: Path) -> Path:
    """A certificate for loopback with its key in one file, and the authority beside it as ca.pem."""
    authority = trustme.CA()
    leaf = authority.issue_cert("127.0.0.1", "localhost")
    path = folder / "pveproxy.pem"
    path.write_bytes(leaf.private_key_and_cert_chain_pem.bytes())
    authority.cert_pem.write_to_path(str(path.with_name("ca.pem")))
    return path
