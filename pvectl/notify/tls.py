"""Whom a receiver's TLS certificate has to satisfy: the system's store, a CA file, or its own fingerprint (safety rule S28)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec import Struct

from pvectl.core.text import clean
from pvectl.errors import ConfigError

if TYPE_CHECKING:
    import ssl

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


class Tls(Struct, frozen=True, kw_only=True):
    """How the other side proves who it is: `fingerprints` (SHA-256, hex) if there are any, else `ca_file`, else the system's store."""

    ca_file: str | None = None
    fingerprints: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.ca_file is not None and not self.ca_file.isprintable():
            raise ConfigError("the path of the CA file is not one line")
        for given in self.fingerprints:
            if not _FINGERPRINT.fullmatch(_hex(given)):
                raise ConfigError(f"{given[:100]!r} is not a SHA-256 fingerprint", hint="64 hexadecimal digits, with or without colons")


class Unproven(Exception):
    """The other side has not proven who it is; `words` say why."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


def make_context(tls: Tls) -> ssl.SSLContext:
    """The TLS settings that carry `tls` out.

    Raises:
        ConfigError: the CA file cannot be used.
    """
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.fingerprints:
        # compared in prove(), right after the handshake and before a byte of ours
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    if tls.ca_file is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        return context
    try:
        context.load_verify_locations(cafile=tls.ca_file)
    except ssl.SSLError:
        raise ConfigError(f"{tls.ca_file} is not a CA certificate in PEM form", subject=f"file/{tls.ca_file}") from None
    except OSError as error:
        raise ConfigError(f"the CA file {tls.ca_file} cannot be read: {error.strerror}", subject=f"file/{tls.ca_file}") from None
    return context


def prove(secured: ssl.SSLSocket, tls: Tls) -> None:
    """Shake hands, and have the other side prove who it is.

    Raises:
        Unproven: it does not.
        OSError: the connection broke or timed out.
    """
    import ssl

    try:
        secured.do_handshake()
    except ssl.SSLCertVerificationError as error:
        raise Unproven(f"its certificate does not verify: {clean(error.verify_message or 'unknown reason').rstrip('.')}") from None
    if not tls.fingerprints:
        return
    import hashlib

    shown = hashlib.sha256(secured.getpeercert(binary_form=True) or b"").hexdigest()
    if shown not in {_hex(given) for given in tls.fingerprints}:
        raise Unproven("its certificate has another fingerprint than the one trusted")


def _hex(fingerprint: str) -> str:
    return fingerprint.replace(":", "").lower()
