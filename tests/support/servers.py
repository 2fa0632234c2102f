"""Simulated clusters behind real loopback sockets, for every suite that talks to one.

In a test, without any fixture:

    with serving({"name": "lab", "nodes": {"pve1": {}, "pve2": {}}}) as server:     # plain HTTP; without a name there is no cluster
        server.fault("status", path="/cluster/resources", code=502, times=1)
        ... server.host("pve1"), server.url(), server.token ...
        server.cluster.clock.advance(60)
        assert server.writes() == []

With TLS, certificates made once per session: put `from tests.support.servers import serve, tls_files  # noqa: F401` into the
conftest.py of the suite, then

    def test_something(serve, tls_files):
        server = serve(scenario, tls=True)          # closed when the test ends
        context = ssl.create_default_context(cafile=tls_files.ca_file)

Time runs a hundred times as fast as ours unless `speed` says otherwise (0: it stands still until `clock.advance`), so that the
three seconds before a 401 cost a test thirty milliseconds. Ports open and close with the nodes' power by themselves within a
tenth of a second; after a change made in Python (`server.cluster…`, `clock.advance`) `server.sync()` makes it so at once.
A scenario without tokens gets one with every right: `server.token`.
"""

from __future__ import annotations

import fnmatch
import hashlib
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import trustme

from pvectl.sim.clock import VirtualClock
from pvectl.sim.record import Record
from pvectl.sim.server import SimServer

TOKEN_ID = "pvectl@pve!ops"
TOKEN_SECRET = "5eb1d2c4-0000-4000-8000-00000000a11e"


@dataclass(frozen=True)
class TlsFiles:
    """A CA and a certificate it signed for 127.0.0.1 and localhost, as PEM files."""

    ca_file: Path
    cert_file: Path
    """The certificate with its chain."""
    key_file: Path

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate as PVE shows it: AA:BB:…"""
        der = ssl.PEM_cert_to_DER_cert(self.cert_file.read_text().partition("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n")
        return hashlib.sha256(der).digest().hex(":").upper()


def tls_material(directory: Path, *names: str, not_after: datetime | None = None) -> TlsFiles:
    """Make a CA and a certificate for `names` (default 127.0.0.1 and localhost) in `directory`, valid until `not_after`."""
    ca = trustme.CA()
    leaf = ca.issue_cert(*(names or ("127.0.0.1", "localhost")), not_after=not_after)
    files = TlsFiles(directory / "ca.pem", directory / "cert.pem", directory / "key.pem")
    ca.cert_pem.write_to_path(files.ca_file)
    leaf.private_key_pem.write_to_path(files.key_file)
    for number, blob in enumerate(leaf.cert_chain_pems):
        blob.write_to_path(files.cert_file, append=number > 0)
    return files


class TestServer(SimServer):
    """A SimServer with the token that opens it."""

    __test__ = False
    cluster: Any
    """The SimCluster (or the stand-in) behind it."""
    token: str
    """`USER@REALM!TOKENID=SECRET` of the first token of the scenario."""

    def __init__(self, cluster: Any, **options: Any) -> None:
        super().__init__(cluster, **options)
        self._heard = threading.Condition()

    def note(self, record: Record) -> None:
        super().note(record)
        with self._heard:
            self._heard.notify_all()

    def wait_for_requests(self, count: int, *, path: str = "*", within: float = 20.0) -> None:
        """Return as soon as `count` requests for a path (a glob) have been heard, answered or not."""

        def heard() -> bool:
            return sum(fnmatch.fnmatchcase(record.path, path) for record in list(self.requests)) >= count

        with self._heard:
            assert self._heard.wait_for(heard, within), f"{count} requests for {path} did not come: {self.requests}"

    @property
    def token_id(self) -> str:
        return self.token.partition("=")[0]

    @property
    def token_secret(self) -> str:
        return self.token.partition("=")[2]

    @property
    def authorization(self) -> dict[str, str]:
        """The header a request needs."""
        return {"Authorization": f"PVEAPIToken={self.token}"}


@contextmanager
def serving(scenario: Any, *, tls: TlsFiles | None = None, speed: float = 100.0, **options: Any) -> Iterator[TestServer]:
    """Serve a scenario, or a cluster made elsewhere (then with its own clock); `options` go to SimServer."""
    cluster, token = scenario, ""
    if isinstance(scenario, Mapping):
        from pvectl.sim.cluster import SimCluster

        scenario = with_token(scenario)
        cluster = SimCluster(scenario, clock=VirtualClock(speed))
        name, entry = next(iter(scenario["tokens"].items()))
        token = f"{name}={entry['secret']}"
    if tls is not None:
        options |= {"certfile": tls.cert_file, "keyfile": tls.key_file}
    server = TestServer(cluster, **options)
    server.token = token
    with server:
        yield server


def with_token(scenario: Mapping[str, Any]) -> dict[str, Any]:
    """Add a user and a token with every right, unless the scenario has tokens."""
    if scenario.get("tokens"):
        return dict(scenario)
    user = TOKEN_ID.partition("!")[0]
    return {
        **scenario,
        "users": {**scenario.get("users", {}), user: {"enable": 1}},
        "tokens": {TOKEN_ID: {"secret": TOKEN_SECRET, "privsep": 0}},
        "acl": [*scenario.get("acl", []), {"path": "/", "type": "user", "ugid": user, "roleid": "Administrator", "propagate": 1}],
    }


@pytest.fixture(scope="session")
def tls_files(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    """A CA and a certificate for 127.0.0.1 and localhost, made once."""
    return tls_material(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def serve(tls_files: TlsFiles) -> Iterator[Callable[..., TestServer]]:
    """`serve(scenario, tls=True, speed=…, nodes=…)` -> a running server, closed when the test ends."""
    with ExitStack() as stack:

        def start(scenario: Any, *, tls: bool = False, **options: Any) -> TestServer:
            return stack.enter_context(serving(scenario, tls=tls_files if tls else None, **options))

        yield start
