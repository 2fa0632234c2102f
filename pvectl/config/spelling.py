"""Hosts, tokens, fingerprints and times as people type them, brought into one form or turned away with the form they should have."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from pvectl.config.document import Scalar
from pvectl.config.durations import parse_duration
from pvectl.config.problems import LIKE_A_TOKEN, Misspelt, shown

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOSTNAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_DOTTED_NUMBERS = re.compile(r"[0-9.]+")
# pve-access-control, PVE/Auth/Plugin.pm and PVE/AccessControl.pm: realm and token name begin with a letter
_WORD = r"[A-Za-z][A-Za-z0-9._-]*"
_USER = re.compile(rf"[^\s:/!=]+@{_WORD}")
_TOKEN_NAME = re.compile(_WORD)
_TOKEN_FORM = "write it as user@realm!tokenname, for example pvectl@pve!ops"  # noqa: S105 - a form, not a secret
_HEX = re.compile(r"[0-9a-f]*")
_SHA256_DIGITS = 64
_SHA1_DIGITS = 40
_CLUSTER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_TIME = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]")
_HIGHEST_PORT = 65_535


def host(text: str) -> str:
    """`pve1.lan`, `pve1.lan:8006`, `[fd00::1]:8006`, or `http://127.0.0.1:8006` for a simulated cluster."""
    if not text.strip():
        raise Misspelt("a host is empty", "write a name or an address, for example pve1.lan")
    if LIKE_A_TOKEN.search(text):
        # hosts are shown in every message, and asked of DNS
        raise Misspelt("a host looks like a token's secret", "write a name or an address, for example pve1.lan")
    if "@" in text:
        raise Misspelt("a host holds an @; users and secrets do not belong there", "write only the name or address, for example pve1.lan")
    if any(char.isspace() for char in text):
        raise Misspelt(f"the host {shown(text)} has a space in it", "write each host as an entry of its own: [pve1.lan, pve2.lan]")
    scheme, separator, rest = text.rpartition("://")
    if scheme.lower() == "http":
        return f"http://{_loopback(rest)}"
    if separator or "/" in text or "?" in text or "#" in text:
        bare = re.split(r"[/?#]", rest, maxsplit=1)[0]
        raise Misspelt(f"the host {shown(text)} is written as a URL", f"write {bare or 'pve1.lan:8006'}")
    return _authority(text)


def _loopback(rest: str) -> str:
    authority = rest.removesuffix("/")
    if "/" in authority or not authority:
        raise Misspelt(f"the host {shown('http://' + rest)} has a path", "write http://127.0.0.1:8006, without a path")
    import ipaddress

    name = _split_port(authority)[0].strip("[]")
    try:
        # not "localhost", which is whatever the resolver makes of it
        local = ipaddress.ip_address(name).is_loopback
    except ValueError:
        local = False
    if not local:
        # a token sent over plain http can be read on the way, so there is no switch for it
        raise Misspelt(
            f"the host {shown('http://' + rest)} would send the token unencrypted", f"write {authority}: pvectl speaks https to it"
        )
    return _authority(authority)


def _authority(text: str) -> str:
    import ipaddress

    name, port = _split_port(text)
    if port is not None and not (
        port.isascii() and port.isdigit() and len(port) <= len(str(_HIGHEST_PORT)) and 0 < int(port) <= _HIGHEST_PORT
    ):
        what = f"the port {shown(port)} is not a number between 1 and {_HIGHEST_PORT}" if port else "the port after the colon is missing"
        raise Misspelt(f"in the host {shown(text)} {what}", f"write {name}:8006, or {name} alone for port 8006")
    if name.startswith("["):
        try:
            ipaddress.IPv6Address(name[1:-1])
        except ValueError:
            raise Misspelt(f"the host {shown(text)} is not an IPv6 address", 'write it as "[fd00::1]:8006", in quotes') from None
        return text
    if not name.isascii():
        raise Misspelt(f"the host {shown(text)} has letters DNS does not know", "write its ASCII form (xn--…) or its address")
    if _DOTTED_NUMBERS.fullmatch(name):
        try:
            ipaddress.IPv4Address(name)
        except ValueError:
            raise Misspelt(
                f"the host {shown(text)} is not a whole IPv4 address", "write four numbers from 0 to 255: 192.168.1.10"
            ) from None
    if not _HOSTNAME.fullmatch(name) or len(name) > 253:
        raise Misspelt(f"the host {shown(text)} is neither a name nor an address", "write a name or an address, for example pve1.lan")
    return text


def _split_port(text: str) -> tuple[str, str | None]:
    """Name and port; an IPv6 address must be in brackets, or its last group and the port cannot be told apart."""
    if text.startswith("["):
        name, bracket, rest = text.partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise Misspelt(f"the host {shown(text)} has a bracket without its counterpart", 'write it as "[fd00::1]:8006", in quotes')
        return name + "]", rest[1:] if rest else None
    if text.count(":") > 1:
        raise Misspelt(
            f"the host {shown(text)} looks like an IPv6 address without brackets", f'write "[{text}]" or "[{text}]:8006", in quotes'
        )
    name, colon, port = text.partition(":")
    return name, port if colon else None


def token_id(text: str) -> str:
    """`user@realm!tokenname`; messages never repeat it, because the secret is often pasted along with it."""
    user_part, bang, name = text.partition("!")
    if text.startswith("PVEAPIToken") or "=" in text:
        raise Misspelt("holds more than the token's id", f"{_TOKEN_FORM}; the secret goes into token_value or token_file")
    if not bang:
        raise Misspelt("lacks the token's name after an exclamation mark", _TOKEN_FORM)
    if "@" not in user_part:
        raise Misspelt("lacks the realm (@pam, @pve) before the exclamation mark", _TOKEN_FORM)
    if not _USER.fullmatch(user_part) or not _TOKEN_NAME.fullmatch(name):
        raise Misspelt("is not a token's id", _TOKEN_FORM)
    # not the user: a realm may name its users by UUID
    _refuse_secret_as_name(name)
    return text


def user(text: str) -> str:
    if "!" in text:
        raise Misspelt("holds the token's name too", "write token_id instead of user, or only user@realm here")
    if not _USER.fullmatch(text):
        raise Misspelt("is not a user with a realm", "write it as user@realm, for example pvectl@pve")
    return text


def token_name(text: str) -> str:
    if "!" in text or "@" in text:
        raise Misspelt("holds more than the token's name", "write only what follows the exclamation mark, for example ops")
    if not _TOKEN_NAME.fullmatch(text):
        raise Misspelt(
            "is not a token's name", "a name begins with a letter and goes on with letters, digits, dots, dashes and underscores"
        )
    _refuse_secret_as_name(text)
    return text


def _refuse_secret_as_name(name: str) -> None:
    if LIKE_A_TOKEN.search(name):
        raise Misspelt(
            "has a token's secret where its name should be", "the name is what was chosen when the token was made, for example ops"
        )


def fingerprint(text: str) -> str:
    """SHA-256 of a certificate, lower-case hex without colons."""
    digits = re.sub(r"^sha-?256[:=]", "", text.strip().lower()).replace(":", "")
    if not _HEX.fullmatch(digits):
        raise Misspelt(
            f"the fingerprint {shown(text)} has characters that are not hexadecimal digits", "pvectl config trust shows the right one"
        )
    if len(digits) == _SHA1_DIGITS:
        raise Misspelt("the fingerprint is a SHA-1 one (40 digits)", "give the SHA-256 one (64 digits); pvectl config trust shows it")
    if len(digits) != _SHA256_DIGITS:
        raise Misspelt(f"the fingerprint has {len(digits)} hexadecimal digits instead of 64", "pvectl config trust shows the right one")
    return digits


def cluster_name(text: str) -> str:
    if LIKE_A_TOKEN.search(text):
        # names are shown in every message
        raise Misspelt("a cluster's name looks like a token's secret", "choose a short name, for example lab")
    if not _CLUSTER.fullmatch(text):
        raise Misspelt(
            "a cluster's name is made of letters, digits, dots, dashes and underscores, at most 63", "choose a short name, for example lab"
        )
    return text


def duration(scalar: Scalar) -> int:
    try:
        return parse_duration(scalar.text)
    except ValueError as error:
        raise Misspelt(f"{error}, got {shown(scalar.text)}", "write 30m, 2h or 1d") from None


def time_of_day(scalar: Scalar) -> str:
    """`"22:30"`, in quotes: other YAML readers take a bare 22:30 for the number 1350."""
    if scalar.kind in {"int", "float"}:
        raise Misspelt(f"expected a time of day, got the number {shown(scalar.text)}", 'write "22:30", in quotes')
    if not _TIME.fullmatch(scalar.text):
        raise Misspelt(f"expected a time of day, got {shown(scalar.text)}", 'write "22:30", in quotes')
    if scalar.plain:
        raise Misspelt("a time of day must stand in quotes", f'write "{scalar.text}": other YAML readers take the bare form for a number')
    return scalar.text


TEXT_FORMS: Mapping[str, Callable[[str], str]] = {
    "host": host,
    "token-id": token_id,
    "user": user,
    "token-name": token_name,
    "fingerprint": fingerprint,
    "cluster-name": cluster_name,
}
"""Forms of a string, by the name a schema field gives in `Meta(extra={"form": …})`."""

SCALAR_FORMS: Mapping[str, Callable[[Scalar], int | str]] = {"duration": duration, "time-of-day": time_of_day}
"""Forms that decide for themselves which spelling they take."""
