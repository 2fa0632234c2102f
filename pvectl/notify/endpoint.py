"""A web address to tell things to, which is a secret, and what proves that we may."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from msgspec import Struct, field
from msgspec.structs import replace

from pvectl.core.secret import Secret
from pvectl.errors import ConfigError
from pvectl.notify.tls import Tls

TIMEOUT_S = 10.0

_URL = re.compile(r"[!-~]{1,4096}")
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}|[0-9A-Fa-f:.]{2,45}")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_HEADER_VALUE = re.compile(r"[ -~]{0,4096}")
_OURS = frozenset(
    {"host", "content-length", "content-type", "content-encoding", "transfer-encoding", "connection", "authorization", "expect"}
)


class Address(NamedTuple):
    """Where a URL leads."""

    secure: bool
    host: str
    port: int
    target: str
    """Path and query, as the request line has them."""
    authority: str
    """As the Host header has it."""


class Endpoint(Struct, frozen=True, kw_only=True):
    """Where to, how proven, and with which authorization: a bearer `token`, or `user` and `password`, or `headers` of its own.

    `url` is https, unless `allow_http` says that it may go over the network in the clear. `timeout`: seconds for one try as a whole.
    """

    url: Secret
    allow_http: bool = False
    tls: Tls = Tls()
    token: Secret | None = None
    user: str | None = None
    password: Secret | None = None
    headers: Mapping[str, Secret] = field(default_factory=dict)
    timeout: float = TIMEOUT_S

    def __post_init__(self) -> None:
        self.address()
        if (self.user is None) != (self.password is None):
            raise ConfigError("a user and a password go together", hint="or give a token")
        if self.token is not None and self.user is not None:
            raise ConfigError("a token or a user, not both")
        for name, value in self.headers.items():
            if not _HEADER_NAME.fullmatch(name) or name.lower() in _OURS:
                raise ConfigError(f"{name[:100]!r} cannot be set as a header")
            if not _HEADER_VALUE.fullmatch(value.reveal()):
                raise ConfigError(f"the value of the header {name} is not one line of ASCII")
        if self.token is not None and not _HEADER_VALUE.fullmatch(self.token.reveal()):
            raise ConfigError("the token is not one line of ASCII")

    def address(self) -> Address:
        """The parts of the URL.

        Raises:
            ConfigError: it has none, or not those it needs; never says what it is.
        """
        text = self.url.reveal()
        parts = _parts(text)
        if parts is None:
            raise ConfigError("the URL is not one", hint="it looks like https://host/path; write names with umlauts in their xn-- form")
        split, host, port = parts
        if split.scheme == "http" and not self.allow_http:
            raise ConfigError("the URL is not https", hint="allow_http: true sends messages over the network in the clear")
        if split.username is not None or split.password is not None:
            raise ConfigError("the URL has a user or a password in it", hint="give them as user and password")
        secure = split.scheme == "https"
        target = (split.path or "/") + (f"?{split.query}" if split.query else "")
        bracketed = f"[{host}]" if ":" in host else host
        authority = bracketed if port is None else f"{bracketed}:{port}"
        return Address(secure, host, port or (443 if secure else 80), target, authority)

    def at(self, url: str) -> Endpoint:
        """The same, with another URL."""
        return replace(self, url=Secret(url))

    def below(self, path: str, query: str = "") -> Endpoint:
        """The same, `path` added to the URL's own and `query` to its query."""
        split = urlsplit(self.url.reveal())
        joined = "&".join(part for part in (split.query, query) if part)
        return self.at(split._replace(path=split.path.rstrip("/") + path, query=joined).geturl())

    def asking(self, query: Mapping[str, str]) -> Endpoint:
        """The same, these keys of its query replaced."""
        split = urlsplit(self.url.reveal())
        kept = [(name, value) for name, value in parse_qsl(split.query, keep_blank_values=True) if name not in query]
        return self.at(split._replace(query=urlencode([*kept, *query.items()])).geturl())

    def authorization(self) -> Iterator[tuple[str, str]]:
        """The headers that open the door."""
        if self.token is not None:
            yield "Authorization", f"Bearer {self.token.reveal()}"
        if self.user is not None and self.password is not None:
            import base64

            yield "Authorization", "Basic " + base64.b64encode(f"{self.user}:{self.password.reveal()}".encode()).decode("ascii")
        for name, value in self.headers.items():
            yield name, value.reveal()

    def secrets(self) -> Iterator[Secret]:
        """All that must not be seen, in the forms in which it travels."""
        yield self.url
        if self.token is not None:
            yield self.token
        if self.user is not None and self.password is not None:
            yield self.password
            yield Secret(f"{self.user}:{self.password.reveal()}")
        yield from self.headers.values()


def _parts(text: str) -> tuple[SplitResult, str, int | None] | None:
    if not _URL.fullmatch(text) or "#" in text or "\\" in text:
        return None
    try:
        split = urlsplit(text)
        host, port = split.hostname, split.port
    except ValueError:
        return None
    if split.scheme not in ("http", "https") or not host or not _HOST.fullmatch(host) or port == 0:
        return None
    return split, host, port
