"""What a certificate says about itself: whose it is, for which names, by whom, from when until when.

The ssl module tells this only of certificates it has verified, and here somebody is being asked whether to trust one.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from datetime import UTC, datetime

from msgspec import Struct

_OID, _BOOLEAN, _OCTETS = 0x06, 0x01, 0x04
_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18
_VERSION, _EXTENSIONS = 0xA0, 0xA3
_DNS_NAME, _IP_ADDRESS = 0x82, 0x87
_SUBJECT_ALT_NAME = bytes.fromhex("551d11")
# the parts of a name people know a certificate by, RFC 4519
_NAME_PARTS = {bytes.fromhex("550403"): "CN", bytes.fromhex("55040b"): "OU", bytes.fromhex("55040a"): "O"}
_TEXT_KINDS = {0x0C: "utf-8", 0x13: "ascii", 0x14: "latin-1", 0x16: "ascii", 0x1E: "utf-16-be"}
_LONG_FORM = 0x80
_LONGEST_LENGTH = 4


class Certificate(Struct, frozen=True, kw_only=True):
    """The fields a person can compare; None or empty where they could not be read."""

    subject: str | None = None
    issuer: str | None = None
    names: tuple[str, ...] = ()
    not_before: datetime | None = None
    not_after: datetime | None = None


def read_certificate(der: bytes) -> Certificate:
    """Read what can be read; a certificate that is no certificate has nothing to say, and that is no error here."""
    try:
        return _read(der)
    except (ValueError, IndexError, StopIteration):
        return Certificate()


def _read(der: bytes) -> Certificate:
    ((_, whole),) = _elements(der)
    _, to_be_signed = next(_elements(whole))
    fields = list(_elements(to_be_signed))
    if fields[0][0] == _VERSION:
        del fields[0]
    # RFC 5280, TBSCertificate: serial, algorithm, issuer, validity, subject, key, … extensions
    (_, _serial), (_, _algorithm), (_, issuer), (_, validity), (_, subject) = fields[:5]
    begin, end = (_time(kind, content) for kind, content in _elements(validity))
    extensions = next((content for kind, content in fields[5:] if kind == _EXTENSIONS), b"")
    return Certificate(subject=_name(subject), issuer=_name(issuer), names=tuple(_alt_names(extensions)), not_before=begin, not_after=end)


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind and content of each DER element."""
    at = 0
    while at < len(data):
        kind, length = data[at], data[at + 1]
        at += 2
        if length & _LONG_FORM:
            size = length & ~_LONG_FORM
            if not 0 < size <= _LONGEST_LENGTH:
                raise ValueError("a length nobody needs")
            length = int.from_bytes(data[at : at + size], "big")
            at += size
        if at + length > len(data):
            raise ValueError("cut off")
        yield kind, data[at : at + length]
        at += length


def _name(content: bytes) -> str | None:
    parts = []
    for _, group in _elements(content):
        for _, pair in _elements(group):
            (_, oid), (kind, text) = _elements(pair)
            if oid in _NAME_PARTS:
                parts.append(f"{_NAME_PARTS[oid]}={text.decode(_TEXT_KINDS.get(kind, 'latin-1'), 'replace')}")
    return ", ".join(reversed(parts)) or None


def _time(kind: int, content: bytes) -> datetime | None:
    text = content.decode("ascii")
    if kind == _UTC_TIME:
        # RFC 5280: two-digit years from 50 on belong to the last century
        text = ("19" if text[:2] >= "50" else "20") + text
    elif kind != _GENERALIZED_TIME:
        return None
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _alt_names(content: bytes) -> Iterator[str]:
    for _, extensions in _elements(content):
        for _, extension in _elements(extensions):
            parts = [part for part in _elements(extension) if part[0] != _BOOLEAN]
            if parts[0] != (_OID, _SUBJECT_ALT_NAME) or parts[1][0] != _OCTETS:
                continue
            ((_, names),) = _elements(parts[1][1])
            for kind, name in _elements(names):
                if kind == _DNS_NAME:
                    yield name.decode("ascii", "replace")
                elif kind == _IP_ADDRESS:
                    yield str(ipaddress.ip_address(name))
