"""The API addresses a cluster is reached at, as people write them."""

from __future__ import annotations

import re

from msgspec import Struct

from pvectl.errors import ConfigError

DEFAULT_PORT = 8006
_MAX_PORT = 65535
_LONGEST_NAME = 253
_NAME = r"\A[A-Za-z0-9_][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_][A-Za-z0-9_-]*)*\.?\Z"
_SPELLING = r"\A(?:\[(?P<v6>[0-9A-Fa-f:.]+(?:%[A-Za-z0-9_.-]+)?)\]|(?P<name>[^:\[\]]+))(?::(?P<port>[0-9]{1,5}))?\Z"


class Host(Struct, frozen=True, kw_only=True):
    """One address of the API. `label` is how messages name it: "pve1.lan:8006", "[::1]:8006"."""

    name: str
    port: int
    tls: bool = True

    @property
    def label(self) -> str:
        return f"[{self.name}]:{self.port}" if ":" in self.name else f"{self.name}:{self.port}"

    @property
    def subject(self) -> str:
        return f"host/{self.label}"

    @property
    def is_address(self) -> bool:
        """An IP address, so that nobody has to be asked what it means."""
        return ":" in self.name or self.name.replace(".", "").isdigit()


def parse_host(text: str, *, allow_http_loopback: bool = False) -> Host:
    """`pve1.lan`, `pve2.lan:8006`, `[::1]:8006`; `http://127.0.0.1:PORT` only for a simulated cluster on this machine.

    Raises:
        ConfigError: anything else, with a hint at what was probably meant.
    """
    spelling, tls = text, True
    if text.lower().startswith("http://"):
        spelling, tls = text[7:].removesuffix("/"), False
    elif "://" in text:
        raise _wrong(text, hint=f"leave the scheme and the path out: {_host_part(text)}")
    if spelling.count(":") > 1 and not spelling.startswith("["):
        raise _wrong(text, hint=f"an IPv6 address goes in brackets: [{spelling}]")
    found = re.match(_SPELLING, spelling)
    if found is None or not (found["v6"] or _is_name(found["name"])):
        raise _wrong(text, hint="write a name or an address, with a port if it is not 8006: pve1.lan, 10.0.0.5:8006, [fd00::5]:8006")
    port = int(found["port"] or DEFAULT_PORT)
    if not 0 < port <= _MAX_PORT:
        raise _wrong(text, hint="a port is a number from 1 to 65535")
    host = Host(name=found["v6"] or found["name"], port=port, tls=tls)
    if not tls and not (allow_http_loopback and is_loopback(host.name)):
        raise _wrong(
            text,
            hint="a token never travels without TLS: leave http:// out"
            " (only a simulated cluster on 127.0.0.1 may have it, with allow_http_loopback: true)",
        )
    return host


def is_loopback(name: str) -> bool:
    """Only what cannot be anything else; a name such as "localhost" is whatever the resolver makes of it."""
    return name == "::1" or re.fullmatch(r"127(?:\.[0-9]{1,3}){3}", name, re.ASCII) is not None


def _is_name(text: str) -> bool:
    return len(text) <= _LONGEST_NAME and re.match(_NAME, text) is not None


def _wrong(text: str, *, hint: str) -> ConfigError:
    return ConfigError(f"hosts: {text!r} is not an API address", hint=hint)


def _host_part(text: str) -> str:
    return re.split(r"[/?#]", text.partition("://")[2], maxsplit=1)[0].rpartition("@")[2] or "pve1.lan:8006"
