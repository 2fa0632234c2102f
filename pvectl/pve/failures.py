"""What went wrong between us and the API, in words a person can act on."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from pvectl.core.text import clean
from pvectl.errors import (
    ApiRefusal,
    AuthenticationFailed,
    NodeUnreachable,
    NoQuorum,
    OutcomeUnknown,
    PermissionDenied,
    ProtocolError,
    PvectlError,
    TlsFailure,
    Unavailable,
)
from pvectl.pve.hosts import Host
from pvectl.pve.line import Answer
from pvectl.pve.paths import node_of

BAD_GATEWAY = frozenset({502, 503, 504})
"""Somebody between us and PVE could not reach it."""
NODE_FAULTS = frozenset({595, 596, 597, 598, 599})
"""pveproxy could not reach the node it was to pass the request on to; the meanings are AnyEvent::HTTP's."""
NEVER_CONNECTED = 595
_UNAUTHORIZED = 401
_FORBIDDEN = 403
_MAX_WORDS = 500
_MAX_ERROR_BODY = 64 << 10

_CHECK_FAILED = r"Permission check failed \((?P<path>/[^,()]*), (?P<privilege>[^()]+)\)"
_MODIFYING_TAG = " for modifying tag "
# pve-cluster answers both when it is not quorate: the second is the file system /etc/pve turning read-only, no question of rights
_NO_QUORUM = r"(?i)no quorum|unable to open file '/etc/pve/[^']*' - Permission denied"
# what `pvectl doctor` gives the lines for, and from which path down
_EXAMINED = (("VM.Config.Options", "/vms"), ("VM.PowerMgmt", "/vms"), ("VM.Audit", "/vms"), ("Sys.Audit", "/"))


def from_answer(answer: Answer, *, method: str, path: str, host: Host, token_id: str) -> PvectlError:
    """The error an answer other than success stands for."""
    status = answer.status_code
    words, errors = _said(answer)
    asked = f"{method} {_below_api(path)}"
    if status == _UNAUTHORIZED:
        return _not_let_in(words, host, token_id)
    if status == _FORBIDDEN:
        return _denied(words, asked, path, token_id)
    if status in NODE_FAULTS:
        return node_unreachable(answer, path=path, host=host)
    if status in BAD_GATEWAY:
        return Unavailable(
            f"{host.label} answered {status} {words}", hint="is there a proxy in between, or pveproxy restarting?", subject=host.subject
        )
    if 300 <= status < 400:
        return ProtocolError(
            f"{host.label} answered {asked} with a redirect ({status}), and pvectl follows none",
            hint="write the host and port of the API itself",
            subject=host.subject,
        )
    if not 400 <= status < 600:
        return ProtocolError(f"{host.label} answered {asked} with status {status}", subject=host.subject)
    kind = NoQuorum if re.search(_NO_QUORUM, words) else ApiRefusal
    hint = "see `pvecm status` on a node; reading works, changes have to wait" if kind is NoQuorum else None
    return kind(f"{asked}: {words}", status=status, errors=errors, hint=hint, subject=subject_of(path))


def node_unreachable(answer: Answer, *, path: str, host: Host) -> PvectlError:
    """595 and its like: the host is well, the node behind it is not to be reached."""
    words = _said(answer)[0]
    node = node_of(path)
    if node is None:
        return Unavailable(f"{host.label} answered {answer.status_code} {words}", subject=host.subject)
    how = "cannot be reached" if answer.status_code == NEVER_CONNECTED else "did not answer"
    return NodeUnreachable(
        f"node {node} {how} from {host.label} ({answer.status_code} {words})",
        hint="it may be off, starting or cut off; that says nothing about its guests",
        subject=f"node/{node}",
    )


def unreachable(words: dict[str, str], *, last: str, certificates: list[TlsFailure] | None = None) -> Unavailable:
    """No host answered; `words` has each host's label and what happened, in the order they were tried."""
    alike = {what: ", ".join(label for label, other in words.items() if other == what) for what in words.values()}
    told = "; ".join(f"{labels}: {what}" for what, labels in alike.items())
    if certificates and len(certificates) == len(words):
        return TlsFailure(f"no API host could prove who it is: {told}", hint=certificates[0].hint, subject=certificates[0].subject)
    return Unavailable(
        f"no API host answered: {told}",
        hint="check the address, the port (8006) and the firewall; is pveproxy running?",
        subject=f"host/{last}",
    )


def outcome_unknown(why: str, *, method: str, path: str, host: Host) -> OutcomeUnknown:
    """A request that changes something left, and what became of it is not known."""
    return OutcomeUnknown(
        f"{method} {_below_api(path)} was sent to {host.label}, but {why}: it may or may not have happened",
        hint="look at the guest and at the node's task log before trying again",
        subject=subject_of(path),
    )


def unclear(words: str, *, subject: str | None) -> OutcomeUnknown:
    """A request that changes something was answered, but not so that anybody knows what became of it."""
    return OutcomeUnknown(words, hint="look at the guest and at the node's task log before trying again", subject=subject)


def check_content_type(answer: Answer, *, method: str, path: str, host: Host) -> None:
    """A success that is not JSON is not PVE's.

    Raises:
        ProtocolError: it says that it is something else, or does not say.
    """
    kind = answer.content_type.partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ProtocolError(
            f"{host.label} answered {method} {_below_api(path)} with {clean(kind)[:60] or 'no content type'} where Proxmox VE sends JSON",
            hint="is this the port of the API (8006), or a log-in page in between?",
            subject=host.subject,
        )


def subject_of(path: str) -> str | None:
    """What a path is about: "guest/100", "node/pve3", or None."""
    parts = path.split("/")
    if len(parts) > 6 and parts[3] == "nodes" and parts[5] in ("qemu", "lxc"):
        return f"guest/{parts[6]}"
    node = node_of(path)
    return f"node/{node}" if node else None


def _not_let_in(words: str, host: Host, token_id: str) -> AuthenticationFailed:
    user, _, name = token_id.partition("!")
    return AuthenticationFailed(
        f"{host.label} does not accept the token {token_id}: {words}",
        hint=f"PVE does not say which: wrong secret, unknown, disabled or expired; see `pveum user token list {user}`"
        + ("" if name else "; a token id has the form user@realm!name"),
        subject=host.subject,
    )


def _denied(words: str, asked: str, path: str, token_id: str) -> PermissionDenied:
    found = re.search(_CHECK_FAILED, words)
    if found is None:
        return PermissionDenied(f"{asked}: {words}", subject=subject_of(path))
    where, privilege = found["path"], found["privilege"].strip()
    registered = _MODIFYING_TAG in privilege
    hint = _lacking(where, privilege.partition(" ")[0] if registered else privilege, token_id)
    if registered:
        hint = "the tag is registered, or tags are restricted, in the datacenter's options; " + hint
    return PermissionDenied(f"{asked}: {words}", path=where, privilege=privilege, hint=hint, subject=subject_of(path))


def _lacking(path: str, privilege: str, token_id: str) -> str:
    # PVE writes "A|B" where one of them is enough
    choice = privilege.split("|")
    for needed, root in _EXAMINED:
        if needed in choice and f"{path}/".startswith(root):
            return f"the token {token_id} or its user lacks {needed} on {path}: `pvectl doctor` gives the lines that grant it"
    return f"the token {token_id} or its user lacks {privilege} on {path}, and both of them need it"


def _said(answer: Answer) -> tuple[str, dict[str, str]]:
    """PVE's own words and its remarks by parameter: the JSON message (all lines) before the reason phrase (the first line only)."""
    message, errors = "", {}
    if answer.content_type.partition(";")[0].strip().lower() == "application/json" and len(answer.body) <= _MAX_ERROR_BODY:
        try:
            found = msgspec.json.decode(answer.body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            found = None
        if isinstance(found, dict):
            message = found["message"] if isinstance(found.get("message"), str) else ""
            errors = _remarks(found.get("errors"))
    words = _tidy(message) or _tidy(answer.reason) or "no reason given"
    if errors:
        words = f"{words.rstrip('.')}: " + "; ".join(f"{name}: {remark}" for name, remark in errors.items())
    return words[:_MAX_WORDS], errors


def _remarks(errors: Any) -> dict[str, str]:
    if not isinstance(errors, dict):
        return {}
    return {_tidy(str(name))[:60]: _tidy(str(remark)) for name, remark in errors.items()}


def _tidy(text: str) -> str:
    return clean(" ".join(text.split()))[:_MAX_WORDS]


def _below_api(path: str) -> str:
    return path.removeprefix("/api2/json")
