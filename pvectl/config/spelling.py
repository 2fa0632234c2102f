"""Hosts, tokens, fingerprints and times as people type them, brought into one form or turned away with the form they should have."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from pvectl.config import addresses
from pvectl.config.document import Scalar
from pvectl.config.durations import parse_duration
from pvectl.config.problems import LIKE_A_TOKEN, Misspelt, shown
from pvectl.core.tags import pve_accepts, split

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOSTNAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_DOTTED_NUMBERS = re.compile(r"[0-9.]+")
# pve-access-control, PVE/Auth/Plugin.pm and PVE/AccessControl.pm: realm and token name begin with a letter
_WORD = r"[A-Za-z][A-Za-z0-9._-]*"
_USER = re.compile(rf"[^\s:/!=]+@{_WORD}")
_TOKEN_NAME = re.compile(_WORD)
_MINUTES_OF_A_DAY = 1440
_TOKEN_FORM = "write it as user@realm!tokenname, for example pvectl@pve!ops"  # noqa: S105 - a form, not a secret
_HEX = re.compile(r"[0-9a-f]*")
_SHA256_DIGITS = 64
_SHA1_DIGITS = 40
_CLUSTER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
# pve-common JSONSchema.pm, format pve-node
_NODE = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?")
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


def node_name(text: str) -> str:
    """A node as the cluster calls it: the host's name without its domain."""
    if LIKE_A_TOKEN.search(text):
        raise Misspelt("a node's name looks like a token's secret", "write the name Proxmox VE shows, for example pve2")
    if "." in text and all(_NODE.fullmatch(label) for label in text.split(".")):
        raise Misspelt(f"{shown(text)} is a name with its domain", f"write the node's name alone: {text.partition('.')[0]}")
    if not _NODE.fullmatch(text):
        raise Misspelt(f"{shown(text)} is not the name of a node", "write the name Proxmox VE shows, for example pve2")
    return text


def tag(text: str) -> str:
    """A tag as Proxmox VE stores it; in capitals it would never be found, because PVE turns tags into lower case."""
    if not pve_accepts(text):
        several = len(split(text)) > 1
        raise Misspelt(
            f"{shown(text)} is {'more than one tag' if several else 'not a tag'}",
            "give one" if several else "a tag begins with a letter, a digit or _, and goes on with those, -, + and .",
        )
    if text != text.lower():
        raise Misspelt(f"the tag {shown(text)} has capitals, and Proxmox VE stores tags in lower case", f"write {text.lower()}")
    return text


def duration(scalar: Scalar) -> int:
    try:
        return parse_duration(scalar.text)
    except ValueError as error:
        raise Misspelt(f"{error}, got {shown(scalar.text)}", "write 30m, 2h or 1d") from None


def time_of_day(scalar: Scalar) -> str:
    """`"22:30"`, in quotes: other YAML readers take a bare 22:30 for the number 1350."""
    from pvectl.core.schedules.when import ScheduleError, parse_time

    try:
        parse_time(_number(scalar))
    except ScheduleError as error:
        what = "the number " if scalar.kind in {"int", "float"} else ""
        digits = re.fullmatch(r"([01][0-9]|2[0-3])([0-5][0-9])", scalar.text)
        hint = f'write "{digits[1]}:{digits[2]}", in quotes' if digits and int(scalar.text) >= _MINUTES_OF_A_DAY else error.hint
        raise Misspelt(f"expected a time of day, got {what}{shown(scalar.text)}", hint) from None
    if scalar.plain:
        raise Misspelt("a time of day must stand in quotes", f'write "{scalar.text}": other YAML readers take the bare form for a number')
    return scalar.text


def _number(scalar: Scalar) -> str | int | float:
    """What other readers would take it for; what stands in quotes is text to all of them."""
    if scalar.kind == "int" and len(scalar.text) < 10:
        return int(scalar.text)
    return float(scalar.text) if scalar.kind == "float" else scalar.text


def selector(scalar: Scalar) -> str:
    """A vmid without quotes, or one of the words that ask for guests; in its canonical spelling."""
    from pvectl.core import select

    if scalar.kind not in {"str", "int"}:
        raise Misspelt(f"expected a vmid or a selector, got {shown(scalar.text)}", 'write 100, "100:110", "@tag-x"')
    if scalar.kind == "str" and scalar.text.strip().isdecimal():
        raise Misspelt(f"a vmid is a number, got the text {shown(scalar.text)}", f"write {scalar.text.strip()}, without quotes")
    try:
        return select.parse([scalar.text]).describe()
    except select.SelectorError as error:
        raise Misspelt(error.message, error.hint) from None


def days(text: str) -> str:
    """`mon-fri`, `sat`, `daily`: as it was written, once it is known to name days."""
    from pvectl.core.schedules.when import ScheduleError, parse_days

    try:
        parse_days(text)
    except ScheduleError as error:
        raise Misspelt(error.message, error.hint) from None
    return text.strip().lower()


def time_zone(text: str) -> str:
    from pvectl.core.schedules.when import ScheduleError, parse_zone

    try:
        return parse_zone(text)
    except ScheduleError as error:
        raise Misspelt(error.message, error.hint) from None


def schedule_name(text: str) -> str:
    if LIKE_A_TOKEN.search(text):
        # names are shown in every message
        raise Misspelt("a name looks like a token's secret", "choose a short name, for example night")
    if not _NAME.fullmatch(text):
        raise Misspelt(
            "a name is made of letters, digits, dots, dashes and underscores, at most 63", "choose a short one, for example night"
        )
    return text


TEXT_FORMS: Mapping[str, Callable[[str], str]] = {
    "host": host,
    "token-id": token_id,
    "user": user,
    "token-name": token_name,
    "fingerprint": fingerprint,
    "cluster-name": cluster_name,
    "node-name": node_name,
    "tag": tag,
    "days": days,
    "time-zone": time_zone,
    "schedule-name": schedule_name,
    "secret-name": addresses.secret_name,
    "secret-file": addresses.secret_file,
    "receiver-name": addresses.receiver_name,
    "template-name": addresses.template_name,
    "mailbox": addresses.mailbox,
    "mail-user": addresses.mail_user,
    "mail-host": addresses.mail_host,
    "plain-url": addresses.plain_url,
    "header-name": addresses.header_name,
    "program": addresses.program,
}
"""Forms of a string, by the name a schema field gives in `Meta(extra={"form": …})`."""

SCALAR_FORMS: Mapping[str, Callable[[Scalar], int | str]] = {
    "duration": duration,
    "time-of-day": time_of_day,
    "selector": selector,
    "telegram-chat": addresses.telegram_chat,
}
"""Forms that decide for themselves which spelling they take."""
