"""Hosts and tokens as people write them, and as they half-write them."""

from __future__ import annotations

from typing import Any

import pytest

from pvectl.core.secret import Secret
from pvectl.errors import ConfigError
from pvectl.pve.hosts import Host, parse_host
from pvectl.pve.transport import Connection, Trust

GOOD: dict[str, Any] = {"cluster": "lab", "hosts": ("pve1.lan",), "token_id": "pvectl@pve!ops", "token": Secret("5eb1d2c4-0000")}


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("pve1", "pve1:8006"),
        ("pve1.lan", "pve1.lan:8006"),
        ("pve1.lan.", "pve1.lan.:8006"),
        ("pve1.lan:443", "pve1.lan:443"),
        ("10.0.0.5", "10.0.0.5:8006"),
        ("[::1]", "[::1]:8006"),
        ("[fd00::5]:8007", "[fd00::5]:8007"),
        ("[fe80::1%eth0]", "[fe80::1%eth0]:8006"),
    ],
)
def test_a_host_is_a_name_or_an_address_with_or_without_a_port(text: str, label: str) -> None:
    host = parse_host(text)
    assert (host.label, host.tls) == (label, True)
    assert host.subject == f"host/{label}"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("https://pve1.lan:8006/", "pve1.lan:8006"),
        ("https://root@pve1.lan", "pve1.lan"),
        ("https://", "pve1.lan:8006"),
        ("pve1.lan:8006/api2", "write a name or an address"),
        ("pve1.lan/", "write a name or an address"),
        ("pve1.lan:", "write a name or an address"),
        ("pve1.lan:http", "write a name or an address"),
        ("pve1.lan:0", "from 1 to 65535"),
        ("pve1.lan:70000", "from 1 to 65535"),
        ("fd00::5", "[fd00::5]"),
        ("", "write a name or an address"),
        ("pve 1", "write a name or an address"),
        ("pve1\n", "write a name or an address"),
        ("-pve1", "write a name or an address"),
        ("pve1..lan", "write a name or an address"),
        ("pvé1", "write a name or an address"),
        ("root@pve1.lan", "write a name or an address"),
        ("a" * 254, "write a name or an address"),
    ],
)
def test_a_half_typed_address_is_refused_with_what_was_meant(text: str, hint: str) -> None:
    with pytest.raises(ConfigError, match="is not an API address") as caught:
        parse_host(text)
    assert hint in str(caught.value.hint)


def test_plain_http_is_for_a_simulated_cluster_on_this_machine() -> None:
    assert parse_host("http://127.0.0.1:8006", allow_http_loopback=True) == Host(name="127.0.0.1", port=8006, tls=False)
    assert parse_host("http://[::1]:99/", allow_http_loopback=True).tls is False
    for text, allowed in (("http://127.0.0.1:8006", False), ("http://127.0.0.1.example", True), ("http://pve1.lan", True)):
        with pytest.raises(ConfigError):
            parse_host(text, allow_http_loopback=allowed)


def test_the_same_host_twice_is_one_host() -> None:
    assert len(Connection(**{**GOOD, "hosts": ("pve1", "pve1:8006", "pve2")}).checked_hosts()) == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hosts": ()}, "no hosts"),
        ({"token_id": "pvectl@pve"}, "not a token's id"),
        ({"token_id": "pvectl!ops"}, "not a token's id"),
        ({"token_id": "pvectl@pve!ops=5eb1"}, "not a token's id"),
        ({"token_id": "pvectl@pve!ops\r\nX: y"}, "not a token's id"),
        ({"token": Secret("")}, "secret is empty"),
        ({"token": Secret("abc def")}, "secret is empty"),
        ({"token": Secret("abc\r\nX: y")}, "secret is empty"),
        ({"token": Secret("abc;def")}, "secret is empty"),
        ({"trust": Trust(fingerprints=("AA:BB",))}, "not a SHA-256 fingerprint"),
        ({"trust": Trust(fingerprints=("A" * 64,))}, "not a SHA-256 fingerprint"),
    ],
)
def test_what_could_never_work_or_would_bend_a_header_is_refused_before_anything_is_sent(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        Connection(**{**GOOD, **change}).checked_hosts()
    assert "abc" not in caught.value.message + str(caught.value.hint)
