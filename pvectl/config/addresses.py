"""Names and addresses of receivers as people type them, and the names of secrets, which messages never repeat."""

from __future__ import annotations

import re

from pvectl.config.document import Scalar
from pvectl.config.problems import LIKE_A_TOKEN, Misspelt, shown

# patterns, compiled when they are used: most runs name no receiver
_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}"
_SHORT_NAME = r"[A-Za-z][A-Za-z0-9_-]{0,31}"
_MAILBOX = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~][A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{0,63}(?:@(?:[A-Za-z0-9-]+\.)*[A-Za-z0-9-]+)?"
_LONGEST_MAILBOX = 254
_MAIL_HOST = r"[A-Za-z0-9._-]{1,253}|[0-9A-Fa-f:.]{2,45}"
_URL = r"[!-~]{1,4096}"
_HEADER_NAME = r"[A-Za-z0-9][A-Za-z0-9-]{0,99}"
_WEB_ADDRESS = "write https://name, with a path if it needs one"
_CHAT = r"-?[0-9]{1,20}|@[A-Za-z0-9_]{1,64}"
_OWN_HEADERS = frozenset(
    {"host", "content-length", "content-type", "content-encoding", "transfer-encoding", "connection", "authorization", "expect"}
)


def secret_name(text: str) -> str:
    """The name of a secret; messages never repeat it, because the secret itself is often put in its place."""
    if LIKE_A_TOKEN.search(text) or not re.fullmatch(_NAME, text):
        raise Misspelt(
            "is not a secret's name",
            "a name is made of letters, digits, dots, dashes and underscores; the secret itself goes under secrets: in proxmox.yml",
        )
    return text


def secret_file(text: str) -> str:
    """The path of a file; a URL in its place is the secret itself, and is not repeated."""
    if "://" in text or not text.strip() or not text.isprintable():
        raise Misspelt("is not the path of a file", "write the secret into a file, chmod 600, and put the file's path here")
    return text


def receiver_name(text: str) -> str:
    if LIKE_A_TOKEN.search(text) or not re.fullmatch(_SHORT_NAME, text):
        # names are shown in every message
        raise Misspelt(
            "a receiver's name begins with a letter and goes on with letters, digits, dashes and underscores, at most 32",
            "choose a short word, for example phone",
        )
    return text


def template_name(text: str) -> str:
    if not re.fullmatch(_SHORT_NAME, text):
        raise Misspelt(
            "a template's name begins with a letter and goes on with letters, digits, dashes and underscores, at most 32",
            "choose a short word, for example terse",
        )
    return text


def mailbox(text: str) -> str:
    """An address alone, with its domain."""
    if "@" not in mail_user(text):
        raise Misspelt(f"{shown(text)} has no domain", "write name@example.org; `type: sendmail` also writes to users of this machine")
    return text


def mail_user(text: str) -> str:
    if not re.fullmatch(_MAILBOX, text) or len(text) > _LONGEST_MAILBOX:
        raise Misspelt(f"{shown(text)} is not a mail address", "write name@example.org, without a name or brackets")
    return text


def mail_host(text: str) -> str:
    """The name or address of a mail server, without a port."""
    bare = text.removeprefix("[").removesuffix("]")
    name, colon, port = bare.rpartition(":")
    if colon and port.isdigit() and ":" not in name:
        raise Misspelt(f"{shown(text)} has a port in it", f"write host: {name} and port: {port}")
    if not re.fullmatch(_MAIL_HOST, bare):
        raise Misspelt(f"{shown(text)} is not the name of a mail server", "write a name or an address, for example mail.example.org")
    return bare


def plain_url(text: str) -> str:
    """A web address that opens nothing by itself; messages never repeat it, because it might."""
    from urllib.parse import urlsplit

    try:
        split = urlsplit(text if re.fullmatch(_URL, text) else "")
        fine = split.scheme in ("http", "https") and bool(split.hostname) and split.port != 0
    except ValueError:
        raise Misspelt("is not a web address", _WEB_ADDRESS) from None
    if not fine:
        raise Misspelt("is not a web address", _WEB_ADDRESS)
    if split.username is not None or split.password is not None:
        raise Misspelt("has a user or a password in it", "give them as user and password")
    if split.query or split.fragment:
        raise Misspelt("has more than a name and a path", "take out what stands behind ? or #; an access token goes into token")
    return text


def header_name(text: str) -> str:
    if not re.fullmatch(_HEADER_NAME, text):
        raise Misspelt("a header's name is made of letters, digits and dashes", "for example X-Api-Key")
    if text.lower() in _OWN_HEADERS:
        raise Misspelt(f"the header {text} is set by pvectl itself", "an authorization is given as token, or as user and password")
    return text


def program(text: str) -> str:
    """A program by its whole path: nothing is looked up on anybody's search path."""
    if not text.startswith("/") or not text.isprintable():
        raise Misspelt(f"{shown(text)} is not the whole path of a program", "write it from the root: /usr/sbin/sendmail")
    return text


def telegram_chat(scalar: Scalar) -> str:
    """A chat's number, in quotes or not, or @channel."""
    if not re.fullmatch(_CHAT, scalar.text):
        raise Misspelt("expected a chat's number or @channel", 'write -1001234567890, or "@channel" in quotes')
    return scalar.text


def is_loopback(url: str) -> bool:
    """Whether it leads to an address of this machine's own: not by name, which is whatever the resolver makes of it."""
    import ipaddress
    from urllib.parse import urlsplit

    try:
        return ipaddress.ip_address(urlsplit(url).hostname or "").is_loopback
    except ValueError:
        return False
