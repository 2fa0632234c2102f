"""Whoever cannot prove who it is never gets a byte of the token (safety rule S28)."""

from __future__ import annotations

import hashlib
import re
import ssl
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pvectl.core.model import Guest
from pvectl.core.secret import Secret
from pvectl.errors import ConfigError, DeadlineExceeded, TlsFailure, Unavailable, WriteForbidden
from pvectl.pve.client import ProxmoxClient
from pvectl.pve.deadline import Deadline
from pvectl.pve.hosts import parse_host
from pvectl.pve.presented import presented
from pvectl.pve.probe import reach
from pvectl.pve.transport import Connection, Trust
from tests.pve.listener import Listener, Script, drips, hangs, says

Connect = Callable[..., ProxmoxClient]
VERSION = {"version": "9.2.11", "release": "9.2"}
UPID = "UPID:pve1:000003F0:05265D31:6B034AA2:qmshutdown:100:pvectl@pve!ops:"
GUEST = Guest(vmid=100, type="qemu", node="pve1", status="running")


def _server_side(cert: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    cert.configure_cert(context)
    return context


def _fingerprint(cert: trustme.LeafCert) -> str:
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(cert.cert_chain_pems[0].bytes().decode())).hexdigest()


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def good(ca: trustme.CA) -> trustme.LeafCert:
    return ca.issue_cert("127.0.0.1", "localhost")


@pytest.fixture
def ca_file(ca: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(path)
    return str(path)


def test_a_certificate_of_the_given_ca_opens_the_door(connect: Connect, good: trustme.LeafCert, ca_file: str) -> None:
    with Listener(says(VERSION), context=_server_side(good)) as server:
        assert connect(server.host, trust=Trust(ca_file=ca_file)).version().major == 9
        assert b"Authorization: PVEAPIToken=pvectl@pve!ops=" in server.received[0]


def test_a_host_name_is_checked_like_an_address(connect: Connect, good: trustme.LeafCert, ca_file: str) -> None:
    with Listener(says(VERSION), context=_server_side(good)) as server:
        assert connect(f"localhost:{server.port}", trust=Trust(ca_file=ca_file)).version().major == 9


@pytest.mark.parametrize("trust", ["system", "other-ca"])
def test_a_certificate_of_another_ca_gets_nothing(
    connect: Connect, good: trustme.LeafCert, trust: str, tmp_path: Path
) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    with Listener(says(VERSION), context=_server_side(good)) as server:
        with pytest.raises(TlsFailure) as caught:
            connect(server.host, trust=Trust() if trust == "system" else Trust(ca_file=str(other))).version()
        assert server.received == []
    assert "does not verify" in caught.value.message
    assert ":".join(_fingerprint(good)[at : at + 2] for at in range(0, 64, 2)).upper() in caught.value.message
    assert "pvectl config trust" in str(caught.value.hint)


def test_a_certificate_made_out_to_another_name_gets_nothing(connect: Connect, ca: trustme.CA, ca_file: str) -> None:
    with Listener(says(VERSION), context=_server_side(ca.issue_cert("pve9.lan"))) as server:
        with pytest.raises(TlsFailure, match="another name") as caught:
            connect(server.host, trust=Trust(ca_file=ca_file)).version()
        assert server.received == []
    assert "as the certificate has it" in str(caught.value.hint)


def test_an_expired_certificate_gets_nothing(connect: Connect, ca: trustme.CA, ca_file: str) -> None:
    expired = ca.issue_cert("127.0.0.1", not_after=datetime.now(UTC) - timedelta(days=1), not_before=datetime.now(UTC) - timedelta(days=9))
    with Listener(says(VERSION), context=_server_side(expired)) as server:
        with pytest.raises(TlsFailure, match="not valid today"):
            connect(server.host, trust=Trust(ca_file=ca_file)).version()
        assert server.received == []


def test_the_right_fingerprint_opens_the_door_whatever_the_name_and_ca(connect: Connect) -> None:
    cert = trustme.CA().issue_cert("some.other.name")
    with Listener(says(VERSION), context=_server_side(cert)) as server:
        assert connect(server.host, trust=Trust(fingerprints=(_fingerprint(cert),))).version().major == 9


def test_either_of_two_fingerprints_opens_the_door_while_certificates_rotate(connect: Connect, good: trustme.LeafCert) -> None:
    with Listener(says(VERSION), context=_server_side(good)) as server:
        assert connect(server.host, trust=Trust(fingerprints=("0" * 64, _fingerprint(good)))).version().major == 9


def test_another_fingerprint_gets_nothing_even_with_a_good_certificate(connect: Connect, good: trustme.LeafCert, ca_file: str) -> None:
    with Listener(says(VERSION), context=_server_side(good)) as server:
        with pytest.raises(TlsFailure, match="another fingerprint") as caught:
            connect(server.host, trust=Trust(ca_file=ca_file, fingerprints=("0" * 64,))).version()
        assert server.received == []
    assert ":".join(_fingerprint(good)[at : at + 2] for at in range(0, 64, 2)).upper() in caught.value.message


FINGERPRINT = re.compile("(?:[0-9A-F]{2}:){31}[0-9A-F]{2}")


@pytest.mark.parametrize(
    ("trust", "said"),
    [
        (Trust(), "its certificate does not verify (unable to get local issuer certificate)"),
        (Trust(fingerprints=("0" * 64,)), "its certificate has another fingerprint than the one trusted"),
    ],
    ids=["system", "pinned"],
)
def test_hosts_that_fail_alike_are_named_once_each_and_told_once(connect: Connect, good: trustme.LeafCert, trust: Trust, said: str) -> None:
    context = _server_side(good)
    with Listener(says(VERSION), context=context) as one, Listener(says(VERSION), context=context) as other:
        with pytest.raises(TlsFailure) as caught:
            connect(one.host, other.host, trust=trust).version()
        assert one.received == other.received == []
    assert caught.value.message == f"no API host could prove who it is: {one.host}, {other.host}: {said}"
    assert "pvectl config trust" in str(caught.value.hint)


def test_hosts_that_fail_in_different_ways_are_named_once_each(connect: Connect, ca: trustme.CA, ca_file: str) -> None:
    strange, stranger = ca.issue_cert("pve9.lan"), trustme.CA().issue_cert("127.0.0.1")
    with (
        Listener(says(VERSION), context=_server_side(strange)) as one,
        Listener(says(VERSION), context=_server_side(stranger)) as other,
        pytest.raises(TlsFailure) as caught,
    ):
        connect(one.host, other.host, trust=Trust(ca_file=ca_file)).version()
    assert caught.value.message == (
        f"no API host could prove who it is: {one.host}: its certificate was made out to another name; "
        f"{other.host}: its certificate does not verify (unable to get local issuer certificate)"
    )


@pytest.mark.parametrize("trust", [Trust(), Trust(fingerprints=("0" * 64,))], ids=["system", "pinned"])
def test_one_host_alone_is_named_once_with_its_fingerprint(connect: Connect, good: trustme.LeafCert, trust: Trust) -> None:
    with Listener(says(VERSION), context=_server_side(good)) as server, pytest.raises(TlsFailure) as caught:
        connect(server.host, trust=trust).version()
    assert caught.value.message.count(server.host) == 1
    assert len(FINGERPRINT.findall(caught.value.message)) == 1
    assert len(FINGERPRINT.sub("", caught.value.message)) < 140


def test_a_host_looked_at_by_itself_is_named_by_the_subject_alone(good: trustme.LeafCert) -> None:
    def tried(host: str) -> Unavailable:
        connection = Connection(cluster="lab", hosts=(host,), token_id="a@pve!ops", token=Secret("5ec"), trust=Trust())
        with pytest.raises(Unavailable) as caught:
            reach(connection, parse_host(host), Deadline(10))
        return caught.value

    with Listener(says(VERSION), context=_server_side(good)) as server:
        unproven = tried(server.host)
    assert isinstance(unproven, TlsFailure)
    assert unproven.message == "its certificate does not verify (unable to get local issuer certificate)"
    assert unproven.subject == f"host/{server.host}"
    gone = tried(server.host)
    assert (gone.message, gone.subject) == ("connection refused", f"host/{server.host}")
    assert "8006" in str(gone.hint)


def test_s28_a_write_to_an_unproven_host_gets_nothing_either(connect: Connect, good: trustme.LeafCert) -> None:
    with Listener(says(UPID), context=_server_side(good)) as server:
        with pytest.raises(TlsFailure):
            connect(server.host, trust=Trust(fingerprints=("0" * 64,))).shutdown(GUEST, timeout=60, force_stop=False)
        assert server.received == []


def test_s28_insecure_reads_and_never_writes(connect: Connect, good: trustme.LeafCert) -> None:
    with Listener(says(VERSION), context=_server_side(good)) as server:
        client = connect(server.host, trust=Trust(insecure=True))
        assert client.version().major == 9
        with pytest.raises(WriteForbidden, match="only reads"):
            client.shutdown(GUEST, timeout=60, force_stop=False)
        with pytest.raises(WriteForbidden):
            client.start(GUEST)
        with pytest.raises(WriteForbidden):
            client.set_tags(GUEST, tags=("a",), digest="x")
        assert len(server.received) == 1


@pytest.mark.parametrize("python", ["as it is", "strict"])
def test_the_root_ca_of_an_old_pve_cluster_is_good_enough(
    connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, python: str
) -> None:
    ca_pem, chain = _old_pve_certificates(tmp_path)
    with pytest.raises(x509.ExtensionNotFound):
        x509.load_pem_x509_certificate(ca_pem.read_bytes()).extensions.get_extension_for_class(x509.KeyUsage)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    if python == "strict":
        relaxed: Callable[..., ssl.SSLContext] = ssl.SSLContext.__new__

        def strict(*args: object) -> ssl.SSLContext:
            """As Python 3.13 verifies by default."""
            made = relaxed(*args)
            made.verify_flags |= ssl.VERIFY_X509_STRICT
            return made

        monkeypatch.setattr("ssl.SSLContext.__new__", strict)
    with Listener(says(VERSION), context=context) as server:
        assert connect(server.host, trust=Trust(ca_file=str(ca_pem))).version().major == 9


def test_tls_older_than_1_2_is_not_spoken() -> None:
    from pvectl.pve.tls import make_context

    assert make_context(Trust(insecure=True)).minimum_version >= ssl.TLSVersion.TLSv1_2


def test_a_server_without_tls_gets_nothing(connect: Connect) -> None:
    with Listener(says(VERSION)) as server:
        with pytest.raises(Unavailable, match=r"does not speak TLS|closed the connection|broke off"):
            connect(server.host).version()
        assert not any(b"PVEAPIToken" in request for request in server.received)


@pytest.mark.parametrize("script", [hangs(), drips(b"\x16\x03\x03\x40\x00" + bytes(16_384), every_s=0.05)], ids=["silent", "dripping"])
def test_s29_a_handshake_that_never_ends_is_ended_by_the_deadline(connect: Connect, script: Script) -> None:
    with Listener(script) as server:
        client = connect(server.host, trust=Trust(insecure=True), deadline=0.3)
        with pytest.raises(DeadlineExceeded):
            client.version()


@pytest.mark.parametrize("host", ["http://pve1.lan:8006", "http://10.0.0.5:8006", "http://localhost:8006", "http://127.0.0.1.evil.example:80"])
def test_plain_http_is_refused_for_anything_but_the_loopback_address(connect: Connect, host: str) -> None:
    with pytest.raises(ConfigError, match="not an API address") as caught:
        connect(host)
    assert "never travels without TLS" in str(caught.value.hint)


def test_the_system_store_is_not_replaced_by_the_environment_of_other_tools(good: trustme.LeafCert, ca_file: str, tmp_path: Path) -> None:
    """What requests and curl believe in is their affair; nor is a proxy or a netrc ever asked for."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login root password hunter2\n")
    (tmp_path / ".netrc").chmod(0o600)
    code = (
        "import sys\n"
        "from pvectl.core.secret import Secret\n"
        "from pvectl.errors import TlsFailure\n"
        "from pvectl.pve.client import ProxmoxClient\n"
        "from pvectl.pve.transport import Connection, Trust\n"
        "host, fingerprint = sys.argv[1:]\n"
        "def client(trust):\n"
        "    connection = Connection(cluster='lab', hosts=(host,), token_id='a@pve!ops', token=Secret('5ec'), trust=trust)\n"
        "    return ProxmoxClient.get_instance(connection)\n"
        "try:\n"
        "    client(Trust()).version()\n"
        "except TlsFailure:\n"
        "    print('not verified')\n"
        "ProxmoxClient.reset_instance()\n"
        "print(client(Trust(fingerprints=(fingerprint,))).version().version)\n"
        "ProxmoxClient.reset_instance()\n"
    )
    with Listener(says(VERSION), context=_server_side(good)) as server, Listener(says(VERSION)) as proxy:
        env = {
            "HOME": str(tmp_path),
            "PATH": "/usr/bin:/bin",
            "REQUESTS_CA_BUNDLE": ca_file,
            "CURL_CA_BUNDLE": ca_file,
            **dict.fromkeys(("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"), proxy.url),
        }
        command = [sys.executable, "-W", "error", "-c", code, server.host, _fingerprint(good)]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
        assert (done.stdout, done.stderr) == ("not verified\n9.2.11\n", "")
        assert proxy.connections == 0
        assert len(server.received) == 1
        assert b"Basic" not in server.received[0]


def test_looking_at_a_certificate_sends_nothing_and_says_what_is_wrong_with_it(good: trustme.LeafCert, ca_file: str) -> None:
    with Listener(says(VERSION), context=_server_side(good)) as server:
        seen = presented(server.host, trust=Trust(), deadline=Deadline(10))
        assert (seen.host, seen.fingerprint) == (server.host, _fingerprint(good))
        assert "does not verify" in str(seen.problem)
        assert presented(server.host, trust=Trust(ca_file=ca_file), deadline=Deadline(10)).problem is None
        assert presented(server.host, trust=Trust(fingerprints=(seen.fingerprint,)), deadline=Deadline(10)).problem is None
        assert server.received == []


def test_a_ca_file_that_is_missing_or_no_certificate_is_a_mistake_in_the_configuration(connect: Connect, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        connect("127.0.0.1:1", trust=Trust(ca_file=str(tmp_path / "none.pem"))).version()
    assert "pve-root-ca.pem" in str(caught.value.hint)
    ProxmoxClient.reset_instance()
    (tmp_path / "bad.pem").write_text("hello\n")
    with pytest.raises(ConfigError, match="not a CA certificate"):
        connect("127.0.0.1:1", trust=Trust(ca_file=str(tmp_path / "bad.pem"))).version()


def _old_pve_certificates(directory: Path) -> tuple[Path, Path]:
    """A root CA as pve-cluster made it until 2026-03 (basicConstraints and key identifiers, no keyUsage), and a node's chain under it."""
    now = datetime.now(UTC)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Proxmox Virtual Environment")])
    ca = (
        x509.CertificateBuilder()
        .subject_name(ca_name)
        .issuer_name(ca_name)
        .public_key(ca_key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=3650))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    leaf = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pve1.lan")]))
        .issuer_name(ca_name)
        .public_key(key.public_key())
        .serial_number(2)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=700))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("pve1"), x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    ca_pem, chain = directory / "pve-root-ca.pem", directory / "pve-ssl.pem"
    ca_pem.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    chain.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + leaf.public_bytes(serialization.Encoding.PEM)
    )
    return ca_pem, chain
