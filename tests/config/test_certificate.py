"""A certificate is read well enough for a person to compare it, and whatever else arrives is no error."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from pvectl.config.certificate import Certificate, read_certificate

BEGIN, END = datetime(1999, 1, 2, tzinfo=UTC), datetime(2055, 3, 4, 5, 6, 7, tzinfo=UTC)


@cache
def _like_pve() -> bytes:
    """A certificate with the names Proxmox VE gives a node's, valid into the years that need the longer form of time."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "PVE Cluster Node"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Proxmox Virtual Environment"),
            x509.NameAttribute(NameOID.COMMON_NAME, "pve1.läb"),
        ]
    )
    issuer = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, "Proxmox Virtual Environment"), x509.NameAttribute(NameOID.COUNTRY_NAME, "AT")]
    )
    names = x509.SubjectAlternativeName(
        [x509.IPAddress(ip_address("127.0.0.1")), x509.IPAddress(ip_address("fd00::1")), x509.DNSName("localhost"), x509.DNSName("pve1")]
    )
    builder = x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number(), BEGIN, END)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True).add_extension(names, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def test_everything_a_person_compares_is_read() -> None:
    assert read_certificate(_like_pve()) == Certificate(
        subject="CN=pve1.läb, O=Proxmox Virtual Environment, OU=PVE Cluster Node",
        issuer="CN=Proxmox Virtual Environment",
        names=("127.0.0.1", "fd00::1", "localhost", "pve1"),
        not_before=BEGIN,
        not_after=END,
    )


def test_a_certificate_of_another_maker_is_read_too() -> None:
    leaf = trustme.CA().issue_cert("pve1.lan", not_after=datetime.now(UTC) + timedelta(days=3))
    certificate = read_certificate(ssl.PEM_cert_to_DER_cert(leaf.cert_chain_pems[0].bytes().decode()))
    assert certificate.names == ("pve1.lan",)
    assert certificate.not_after is not None
    assert certificate.not_after > datetime.now(UTC)


@pytest.mark.parametrize("garbage", [b"", b"0", b"\x30\x00", b"\x30\x02\x30\x00", b"\x30\x80", b"\x30\x82\xff\xff", bytes(range(256)) * 4])
def test_what_is_no_certificate_has_nothing_to_say(garbage: bytes) -> None:
    assert read_certificate(garbage) == Certificate()


@given(st.integers(min_value=0), st.integers(min_value=0, max_value=255), st.integers(min_value=0))
def test_no_damage_to_a_certificate_is_an_error(at: int, byte: int, cut: int) -> None:
    der = bytearray(_like_pve())
    der[at % len(der)] = byte
    read_certificate(bytes(der))
    read_certificate(bytes(der[: cut % len(der)]))


@given(st.binary(max_size=200))
def test_no_bytes_at_all_are_an_error(data: bytes) -> None:
    read_certificate(data)
