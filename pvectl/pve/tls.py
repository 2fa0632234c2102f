"""TLS, and the other side proven before a byte of ours leaves: by the system's store, a CA file, or the certificate's own fingerprint."""

from __future__ import annotations

import socket
import ssl
from typing import Any

from pvectl.core.text import clean
from pvectl.errors import ConfigError, TlsFailure
from pvectl.pve.connection import Trust
from pvectl.pve.deadline import Deadline
from pvectl.pve.hosts import Host

_HOST_NAME_MISMATCH = 62  # X509_V_ERR_HOSTNAME_MISMATCH
_ADDRESS_MISMATCH = 64  # X509_V_ERR_IP_ADDRESS_MISMATCH
_EXPIRED = 10
_NOT_YET_VALID = 9


class Unproven(TlsFailure):
    """A host whose certificate does not prove who it is; `words` say it without the host's name, for a message about several."""

    def __init__(self, host: Host, fault: str, *, hint: str, shown: str | None = None) -> None:
        spelled = f"; its SHA-256 fingerprint is {spell(shown)}" if shown else ""
        super().__init__(f"{host.label} presents a certificate that {fault}{spelled}", hint=hint, subject=host.subject)
        self.words = f"its certificate {fault}"
        self._host, self._fault, self._mend = host, fault, hint

    def showing(self, fingerprint: str) -> Unproven:
        """The same, with the fingerprint of what was presented."""
        return Unproven(self._host, self._fault, hint=self._mend, shown=fingerprint)


def make_context(trust: Trust) -> ssl.SSLContext:
    """The TLS settings that carry `trust` out.

    Raises:
        ConfigError: the CA file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if trust.fingerprints or trust.insecure:
        # the fingerprint is compared right after the handshake, before a byte of the request leaves
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    # PVE clusters set up before pve-cluster 9.1 (2026-03) have a root CA without keyUsage, which Python 3.13's default refuses
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if trust.ca_file is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        return context
    try:
        context.load_verify_locations(cafile=trust.ca_file)
    except ssl.SSLError:
        raise ConfigError(f"{trust.ca_file} is not a CA certificate in PEM form", subject=f"file/{trust.ca_file}") from None
    except OSError as error:
        raise ConfigError(
            f"the CA file {trust.ca_file} cannot be read: {error.strerror}",
            hint="on a node it is /etc/pve/pve-root-ca.pem; copy it from there",
            subject=f"file/{trust.ca_file}",
        ) from None
    return context


def handshake(plain: socket.socket, context: ssl.SSLContext, host: Host, trust: Trust, limit: Deadline) -> ssl.SSLSocket:
    """TLS over `plain`, and the other side proven to be who it should be before a byte of ours leaves; closes `plain` on failure.

    Raises:
        Unproven: it is not; nothing was sent.
        OSError: the connection broke or timed out in the handshake.
    """
    # as bytes, so that Python does not load its IDNA codec for it
    name: Any = host.name.partition("%")[0].encode("ascii")
    try:
        secured = context.wrap_socket(plain, server_hostname=name, do_handshake_on_connect=False)
    except BaseException:
        plain.close()
        raise
    try:
        secured.settimeout(max(limit.left(), 0.001))
        secured.do_handshake()
        if trust.fingerprints:
            _compare(fingerprint(secured), host, trust)
    except ssl.SSLCertVerificationError as error:
        secured.close()
        raise _not_verified(host, error) from None
    except BaseException:
        secured.close()
        raise
    return secured


def _compare(shown: str, host: Host, trust: Trust) -> None:
    if shown not in trust.fingerprints:
        raise Unproven(
            host,
            "has another fingerprint than the one trusted",
            hint="if the certificate was renewed, compare its fingerprint with the node's own and trust it with `pvectl config trust`",
            shown=shown,
        )


def spell(digest: str) -> str:
    """A fingerprint as PVE's own pages show it, AA:BB:CC and so on."""
    return ":".join(digest[at : at + 2] for at in range(0, len(digest), 2)).upper()


def fingerprint(secured: ssl.SSLSocket) -> str:
    """SHA-256 of the certificate the other side presented, in lower-case hex."""
    import hashlib

    certificate = secured.getpeercert(binary_form=True)
    return hashlib.sha256(certificate or b"").hexdigest()


def _not_verified(host: Host, error: ssl.SSLCertVerificationError) -> Unproven:
    code = error.verify_code
    why = clean(error.verify_message or "it does not verify").rstrip(".")
    if code in (_HOST_NAME_MISMATCH, _ADDRESS_MISMATCH):
        return Unproven(
            host,
            "was made out to another name",
            hint="write the host as the certificate has it (the node's name, or its address), or trust it with `pvectl config trust`",
        )
    if code in (_EXPIRED, _NOT_YET_VALID):
        return Unproven(
            host,
            f"is not valid today ({why})",
            hint="check this machine's clock; renew the certificate on the node with `pvecm updatecerts --force`",
        )
    return Unproven(
        host,
        f"does not verify ({why})",
        hint="give the cluster's own CA (tls: {ca_file: /etc/pve/pve-root-ca.pem}) or trust the certificate with `pvectl config trust`",
    )
