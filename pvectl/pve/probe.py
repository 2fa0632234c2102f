"""One host of a cluster looked at by itself: does it answer, with which certificate, and what does it say it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from pvectl.errors import PermissionDenied, TlsFailure, Unavailable
from pvectl.pve import failures, rows, strict_json
from pvectl.pve.answers import Version
from pvectl.pve.identity import Identity
from pvectl.pve.line import Broken, open_line
from pvectl.pve.transport import Connection, Deadline, Session

if TYPE_CHECKING:
    import socket
    import ssl

    from pvectl.pve.hosts import Host


class Reached(Struct, frozen=True, kw_only=True):
    """A host that proved who it is. `certificate` is what it presented, in DER, `fingerprint` as PVE's pages show it; None without TLS."""

    host: str
    certificate: bytes | None = None
    fingerprint: str | None = None


class Introduction(Struct, frozen=True, kw_only=True):
    """What a host says about itself, its first answer having taken `took` seconds."""

    host: str
    took: float
    version: Version
    identity: Identity


def reach(connection: Connection, host: Host, deadline: Deadline) -> Reached:
    """Connect and have the host prove who it is; nothing of ours is sent.

    Raises:
        Unavailable: nobody there, or somebody who cannot prove it; `subject` names the host, the message does not.
    """
    shown: list[tuple[bytes, str]] = []
    try:
        open_line(host, _prover(connection, host, shown) if host.tls else None, deadline).close()
    except Broken as error:
        hint = failures.unreachable({host.label: error.words}, last=host.label).hint
        raise Unavailable(error.words, hint=hint, subject=host.subject) from None
    except TlsFailure as error:
        raise TlsFailure(str(getattr(error, "words", error)), hint=error.hint, subject=host.subject) from None
    certificate, fingerprint = shown[0] if shown else (None, None)
    return Reached(host=host.label, certificate=certificate, fingerprint=fingerprint)


def introduce(connection: Connection, host: Host, deadline: Deadline) -> Introduction:
    """Ask this host alone for its version and its cluster.

    Raises:
        PvectlError: it does not answer, or not as PVE does, or not to this token.
    """
    session = Session(replace(connection, hosts=(_spelled(host),)), deadline=deadline, read_only=True)
    try:
        started = time.monotonic()
        answer = session.request("GET", "/api2/json/version")
        took = time.monotonic() - started
        version = rows.version(strict_json.anything(answer.body), what="/version")
        return Introduction(host=host.label, took=took, version=version, identity=_identity(session))
    finally:
        session.close()


def _identity(session: Session) -> Identity:
    try:
        answer = session.request("GET", "/api2/json/cluster/status")
    except PermissionDenied:
        # the names of all nodes are shown to every token (pve-manager PVE/API2/Nodes.pm)
        nodes = rows.nodes(strict_json.rows(session.request("GET", "/api2/json/nodes").body), what="/nodes")
        return Identity(None, frozenset(node.name for node in nodes))
    status = rows.cluster_status(strict_json.rows(answer.body), what="/cluster/status")
    return Identity(status.name, frozenset(node.name for node in status.nodes))


def _prover(connection: Connection, host: Host, shown: list[tuple[bytes, str]]) -> Callable[[socket.socket, Deadline], ssl.SSLSocket]:
    from pvectl.pve import tls

    context = tls.make_context(connection.trust)

    def prove(sock: socket.socket, within: Deadline) -> ssl.SSLSocket:
        secured = tls.handshake(sock, context, host, connection.trust, within)
        shown.append((secured.getpeercert(binary_form=True) or b"", tls.spell(tls.fingerprint(secured))))
        return secured

    return prove


def _spelled(host: Host) -> str:
    return host.label if host.tls else f"http://{host.label}"
