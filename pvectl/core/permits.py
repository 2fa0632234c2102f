"""Whether a token sees everything: PVE leaves out silently what a token may not see, so sight has to be proven (safety rule S1)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from shlex import quote
from typing import Protocol, TypeAlias

from msgspec import Struct

from pvectl.core.model import BlindSpot, Guest, Unknown

Rights: TypeAlias = Mapping[str, bool]
"""What a token holds at one path; the value says whether it goes on below. A privilege that is not listed is not held."""

ROOTS = ("/", "/vms", "/access")
_NO_ACCESS = "NoAccess"
_AUDITOR = "PVEAuditor"
_THEN = " && "


class AclLine(Protocol):
    """One line of /access/acl: `type` is user, group or token, `ugid` who that is."""

    @property
    def path(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def ugid(self) -> str: ...
    @property
    def roleid(self) -> str: ...
    @property
    def propagate(self) -> bool: ...


class NodeSight(Struct, frozen=True, kw_only=True):
    """What one node itself showed: the guests on its live lists, and those that move data over a network device of its own."""

    node: str
    listed: frozenset[int] | Unknown
    netstat: frozenset[int] | Unknown


class Evidence(Struct, frozen=True, kw_only=True):
    """All that the proof rests on. `rights` has an entry for each path of `paths_to_ask` and for ROOTS; what is missing is unknown."""

    token_id: str
    acl: tuple[AclLine, ...] | Unknown
    rights: Mapping[str, Rights | Unknown]
    nodes: tuple[NodeSight, ...] = ()


def paths_to_ask(token_id: str, acl: Iterable[AclLine] | Unknown, nodes: Iterable[str]) -> tuple[str, ...]:
    """The paths at which only PVE itself can say what the token holds: the nodes, and each place where an ACL may take something away."""
    return tuple(dict.fromkeys([*(f"/nodes/{node}" for node in nodes), *_overrides(token_id, acl)]))


def blind_spots(evidence: Evidence, seen: frozenset[int]) -> tuple[BlindSpot, ...]:
    """Everything that keeps `seen` (the vmids of the view) from being proven complete; nothing when the proof holds."""
    return tuple(dict.fromkeys([*_of_rights(evidence), *_of_overrides(evidence), *_of_nodes(evidence, seen)]))


def powerless(evidence: Evidence, node: str, guests: Iterable[Guest]) -> Iterator[BlindSpot]:
    """What the token plainly may not do that switching the node off takes; `guests` are those to be shut down before.

    Known in advance, as a refusal would come when they are off already. Rights nobody could read are blind spots of `blind_spots`.
    """
    path = f"/nodes/{node}"
    if _lacks(evidence, path, "Sys.PowerMgmt"):
        yield BlindSpot(subject=f"node/{node}", reason=f"the token lacks Sys.PowerMgmt on {path}, so it may not switch the node off")
    for guest in guests:
        if not _may_shut_down(evidence, guest):
            reason = f"the token lacks VM.PowerMgmt on /vms/{guest.vmid}, so it may not shut {guest.label} down"
            yield BlindSpot(subject=guest.subject, reason=reason)


def _may_shut_down(evidence: Evidence, guest: Guest) -> bool:
    """A rule on the guest itself replaces what comes down from /vms, and a role on its pool adds to either (PVE::AccessControl, roles)."""
    above, own, pool = (_rights(evidence, path) for path in ("/vms", f"/vms/{guest.vmid}", f"/pool/{guest.pool}"))
    if not isinstance(pool, Unknown) and "VM.PowerMgmt" in pool:
        return True
    if not isinstance(own, Unknown):
        return "VM.PowerMgmt" in own
    return isinstance(above, Unknown) or above.get("VM.PowerMgmt", False)


def _of_rights(evidence: Evidence) -> Iterable[BlindSpot]:
    vms = _rights(evidence, "/vms")
    if isinstance(vms, Unknown):
        yield _unread("cluster", "the token's rights on /vms", vms)
    elif not vms.get("VM.Audit", False):
        lack = "has VM.Audit on /vms, but not on what is below it" if "VM.Audit" in vms else "lacks VM.Audit on /vms"
        reason = f"the token {lack}, so Proxmox VE may leave out guests without a word"
        yield BlindSpot(subject="cluster", reason=reason, mend=mend(evidence, "/vms"))
    root = _rights(evidence, "/")
    if isinstance(root, Unknown):
        yield _unread("cluster", "the token's rights on /", root)
    elif "Sys.Audit" not in root:
        reason = "the token lacks Sys.Audit on /, so the state of the cluster, its HA and its tasks stay hidden"
        yield BlindSpot(subject="cluster", reason=reason, mend=mend(evidence, "/"))
    for sight in evidence.nodes:
        yield from _of_node_rights(evidence, sight.node)


def _of_node_rights(evidence: Evidence, node: str) -> Iterable[BlindSpot]:
    path = f"/nodes/{node}"
    rights = _rights(evidence, path)
    if isinstance(rights, Unknown):
        yield _unread(f"node/{node}", f"the token's rights on {path}", rights)
    elif "Sys.Audit" not in rights:
        reason = f"the token lacks Sys.Audit on {path}, so the tasks of the node and its guests' network devices stay hidden"
        yield BlindSpot(subject=f"node/{node}", reason=reason, mend=mend(evidence, path))


def _of_overrides(evidence: Evidence) -> Iterable[BlindSpot]:
    if isinstance(evidence.acl, Unknown):
        yield _unread("cluster", "the access control list", evidence.acl)
        return
    access = _rights(evidence, "/access")
    if isinstance(access, Unknown):
        yield _unread("cluster", "the token's rights on /access", access)
    elif "Sys.Audit" not in access:
        yield _closed_access(evidence)
    for path in _overrides(evidence.token_id, evidence.acl):
        yield from _of_override(evidence, path)


def _closed_access(evidence: Evidence) -> BlindSpot:
    root = _rights(evidence, "/")
    if not isinstance(root, Unknown) and root.get("Sys.Audit", False):
        # the rule that does this is one of those that cannot be read then
        reason = "a rule on /access takes Sys.Audit away, so one that hides guests may be hidden as well: `pveum acl list` shows it to root"
        return BlindSpot(subject="cluster", reason=reason)
    reason = "the token lacks Sys.Audit on /access, so a rule that hides single guests from it would itself stay hidden"
    return BlindSpot(subject="cluster", reason=reason, mend=mend(evidence, "/access"))


def _of_override(evidence: Evidence, path: str) -> Iterable[BlindSpot]:
    kind, _, name = path.removeprefix("/").partition("/")
    subject = f"{'guest' if kind == 'vms' else kind}/{name}" if name else "cluster"
    rights = _rights(evidence, path)
    if isinstance(rights, Unknown):
        yield _unread(subject, f"the token's rights on {path}", rights)
    elif path.startswith("/vms/") and "VM.Audit" not in rights:
        reason = f"an access rule on {path} takes VM.Audit away, so that guest is left out without a word"
        yield BlindSpot(subject=subject, reason=reason, mend=mend(evidence, path))
    elif path.startswith("/pool") and not rights:
        reason = f"an access rule gives NoAccess on {path}, so the guests of such a pool are left out without a word"
        yield BlindSpot(subject=subject, reason=reason, mend=mend(evidence, path))


def _of_nodes(evidence: Evidence, seen: frozenset[int]) -> Iterable[BlindSpot]:
    if not evidence.nodes:
        yield BlindSpot(subject="cluster", reason="no node was asked for its own lists, so the cluster's list was held against nothing")
    for sight in evidence.nodes:
        yield from _of_node(evidence, sight, seen)


def _of_node(evidence: Evidence, sight: NodeSight, seen: frozenset[int]) -> Iterable[BlindSpot]:
    subject = f"node/{sight.node}"
    if isinstance(sight.listed, Unknown) and sight.listed == sight.netstat:
        yield _unread(subject, f"what runs on node {sight.node}", sight.listed)
        return
    listed: frozenset[int] = frozenset()
    if isinstance(sight.listed, Unknown):
        yield _unread(subject, f"the guests of node {sight.node}", sight.listed)
    else:
        listed = sight.listed
    for vmid in sorted(listed - seen):
        reason = f"node {sight.node} has guest {vmid}, which is not on the cluster's list: look again, it may be new"
        yield BlindSpot(subject=f"guest/{vmid}", reason=reason)
    if isinstance(sight.netstat, Unknown):
        if _lacks(evidence, f"/nodes/{sight.node}", "Sys.Audit"):
            return  # said already, with the line that mends it
        yield _unread(subject, f"the network devices of node {sight.node}", sight.netstat)
        return
    if hidden := sorted(sight.netstat - seen - listed):
        yield _of_hidden(evidence, sight.node, hidden)


def _of_hidden(evidence: Evidence, node: str, hidden: Sequence[int]) -> BlindSpot:
    lines = dict.fromkeys(line for vmid in hidden for line in mend(evidence, f"/vms/{vmid}").split(_THEN))
    # where the right is missing on /vms already, that has been said with the lines that mend it for all guests
    mends = None if _lacks(evidence, "/vms", "VM.Audit") else _THEN.join(lines)
    if len(hidden) == 1:
        reason = f"guest {hidden[0]} runs on node {node}, but Proxmox VE does not show it to this token"
        return BlindSpot(subject=f"guest/{hidden[0]}", reason=reason, mend=mends)
    listed = f"{', '.join(map(str, hidden[:-1]))} and {hidden[-1]}"
    reason = f"{len(hidden)} guests run on node {node}, but Proxmox VE does not show them to this token: {listed}"
    return BlindSpot(subject=f"node/{node}", reason=reason, mend=mends)


def _lacks(evidence: Evidence, path: str, privilege: str) -> bool:
    rights = _rights(evidence, path)
    return not isinstance(rights, Unknown) and privilege not in rights


def _rights(evidence: Evidence, path: str) -> Rights | Unknown:
    return evidence.rights.get(path, Unknown(reason="nobody asked"))


def _overrides(token_id: str, acl: Iterable[AclLine] | Unknown) -> Iterable[str]:
    """The paths where a rule that may be ours replaces what comes from above: single guests, and pools it locks us out of."""
    if isinstance(acl, Unknown):
        return
    for line in acl:
        # NoAccess on a pool beats every other rule for its members; other roles there only add (pve-access-control, compile_acl_path)
        locked_pool = f"{line.path}/".startswith("/pool/") and line.roleid == _NO_ACCESS
        if (line.path.startswith("/vms/") or locked_pool) and may_be_ours(line, token_id):
            yield line.path


def may_be_ours(line: AclLine, token_id: str) -> bool:
    """Whether a rule may be about this token; in which groups its user is, a token cannot find out."""
    return line.type == "group" or line.ugid in (token_id, _user(token_id))


def _user(token_id: str) -> str:
    return token_id.partition("!")[0]


def mend(evidence: Evidence, path: str) -> str:
    """The pveum lines that give sight at `path`, joined by " && ".

    A token with privileges of its own holds only what its user holds as well, so each of the two gets a line, unless it has the role or
    plainly has the right there: what token and user hold together at a path, each of them holds.
    """
    privilege = "VM.Audit" if path.startswith(("/vms", "/pool")) else "Sys.Audit"
    there = {at for at, rights in evidence.rights.items() if not isinstance(rights, Unknown) and rights.get(privilege, False)}
    acl = () if isinstance(evidence.acl, Unknown) else evidence.acl
    lines = [line for line in acl if may_be_ours(line, evidence.token_id) and _covers(line.path, path)]
    user, token = _user(evidence.token_id), evidence.token_id
    mends = list(_grant("users", user, [line for line in lines if line.type != "token"], there))
    if not _is_its_user(evidence):
        mends += _grant("tokens", token, [line for line in lines if line.type == "token"], there)
    return _THEN.join(mends or [*_grant("users", user, [], ()), *_grant("tokens", token, [], ())])


def _is_its_user(evidence: Evidence) -> bool:
    """Whether the token plainly has all rights of its user: it holds some, and no rule among all rules names it."""
    access = _rights(evidence, "/access")
    if isinstance(evidence.acl, Unknown) or isinstance(access, Unknown) or "Sys.Audit" not in access:
        return False
    return not any(line.ugid == evidence.token_id for line in evidence.acl)


def _grant(option: str, who: str, lines: Sequence[AclLine], there: Collection[str]) -> Iterable[str]:
    """What gives `who` sight: at the deepest of its rules, as that one replaces all that comes from above; two roles at one path add up.

    Nothing where that rule is `there`: at one of the paths from which the right comes down already.
    """
    where = max((line.path for line in lines), key=len, default="/")
    own = {line.roleid: line.propagate for line in lines if line.path == where and line.ugid == who}
    if _NO_ACCESS in own:
        yield f"pveum acl delete {quote(where)} --{option} {quote(who)} --roles {_NO_ACCESS}"
    elif where not in there and not own.get(_AUDITOR, False):
        yield f"pveum acl modify {quote(where)} --{option} {quote(who)} --roles {_AUDITOR}"


def _covers(rule: str, path: str) -> bool:
    return path == rule or path.startswith(rule.rstrip("/") + "/")


def _unread(subject: str, what: str, unknown: Unknown) -> BlindSpot:
    return BlindSpot(subject=subject, reason=f"{what} could not be read: {unknown.reason}")
