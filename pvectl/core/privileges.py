"""Which privileges pvectl needs for what, which of them a token has, and which it had better not have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from shlex import quote

from msgspec import Struct

from pvectl.core import permits
from pvectl.core.checkup import Check, not_checked, note, ok, problem, warning
from pvectl.core.model import Unknown
from pvectl.core.permits import AclLine, Rights
from pvectl.errors import ExitCode


class Purpose(Struct, frozen=True, kw_only=True):
    """Something pvectl does, in words that follow "can" and "cannot", and the role that allows it.

    A role Proxmox VE comes with has no `role_privileges` here.
    """

    verb: str
    command: str
    privilege: str
    at: str
    role: str
    role_privileges: str


SEE = Purpose(
    verb="see guests, nodes and tasks",
    command="every command",
    privilege="VM.Audit",
    at="/vms",
    role="PVEAuditor",
    role_privileges="",
)
_TAG = Purpose(
    verb="change tags",
    command="pvectl tags add|remove|set",
    privilege="VM.Config.Options",
    at="/vms",
    role="PvectlTagger",
    role_privileges="VM.Audit VM.Config.Options",
)
_SHUT_DOWN = Purpose(
    verb="shut guests down",
    command="pvectl vm shutdown",
    privilege="VM.PowerMgmt",
    at="/vms",
    role="PvectlGuestPwr",
    role_privileges="VM.Audit VM.PowerMgmt",
)

_SEE_STORAGES = Purpose(
    verb="see which storages a node serves",
    command="pvectl idle-check",
    privilege="Datastore.Audit",
    at="/storage",
    role="PVEAuditor",
    role_privileges="",
)
_POWER = Purpose(
    verb="switch off or wake nodes",
    command="pvectl idle-check, pvectl node wake",
    privilege="Sys.PowerMgmt",
    at="/nodes",
    role="PvectlNodePwr",
    role_privileges="Sys.Audit Sys.PowerMgmt",
)

GRAVE: Mapping[str, str] = {
    "Permissions.Modify": "can give itself every other right",
    "Sys.Modify": "can change the cluster's settings and registered tags",
    "Sys.Console": "can open a root shell on the nodes",
    "VM.Allocate": "can create guests and destroy them with their disks",
    "VM.Console": "can sit at the guests' consoles",
    "VM.GuestAgent.Unrestricted": "can run any command inside guests",
    "VM.Monitor": "can run commands inside guests by way of the QEMU monitor",
    "VM.GuestAgent.FileWrite": "can write files inside guests",
    "VM.Snapshot.Rollback": "can throw away what guests have written since a snapshot",
    "VM.Config.Disk": "can attach and detach disks",
    "Datastore.Allocate": "can delete disks and backups",
    "Realm.Allocate": "can change how people log in",
    "User.Modify": "can create users and change their passwords",
    "Sys.Incoming": "can receive guests from elsewhere",
    "Sys.AccessNetwork": "can make the nodes fetch files from anywhere",
}
"""Privileges whose loss with a stolen token would hurt most, and what they allow; pvectl never uses them for its own work."""

# and what only lets one look, which comes along with the role PVEAuditor
_USED = frozenset({"VM.Config.Options", "VM.PowerMgmt", "Sys.PowerMgmt"}) | {
    f"{kind}.Audit" for kind in ("VM", "Sys", "Datastore", "Pool", "SDN", "Mapping", "VM.GuestAgent")
}
_SPELLED_OUT = 3
_TOP = "/"


class Held(Struct, frozen=True, kw_only=True):
    """All that is known about what a token may do: its rights by path, and the access rules as far as it may read them."""

    token_id: str
    rights: Mapping[str, Rights]
    acl: tuple[AclLine, ...] | None = None

    def has(self, privilege: str, path: str) -> bool:
        return privilege in self.rights.get(path, {})

    def has_somewhere(self, privilege: str, below: str) -> int:
        """On how many paths below `below` the privilege is held."""
        return sum(path.startswith(below.rstrip("/") + "/") and privilege in rights for path, rights in self.rights.items())

    @property
    def user(self) -> str:
        return self.token_id.partition("!")[0]


def of_rights(held: Held, nodes: Sequence[str]) -> tuple[Check, ...]:
    """What the token can be used for and what not, purpose by purpose; not being able to is only a problem where it is about seeing."""
    lines = [_of_sight(held, nodes), _of_purpose(held, _TAG), _of_purpose(held, _SHUT_DOWN)]
    lines += [_of_node_power(held, nodes)] if nodes else []
    return (*lines, _of_excess(held))


def of_switching(held: Held, nodes: Sequence[str]) -> tuple[Check, ...]:
    """What is missing for the nodes that idle-check is configured to switch off: there it is a problem not to be able to."""
    lacking = [node for node in nodes if not held.has(_POWER.privilege, f"/nodes/{node}")]
    found: list[Check] = []
    if lacking:
        lines = dict.fromkeys(line for node in lacking for line in _granting(held, _POWER, f"/nodes/{node}"))
        told = _listed([f"{_POWER.privilege} on /nodes/{node}" for node in lacking])
        message = f"idle-check cannot switch its nodes off, for want of {told}"
        found.append(problem(ExitCode.PERMISSION, "privileges", "idle-check", message, *lines))
    for purpose in (_SHUT_DOWN, _SEE_STORAGES):
        if not held.has(purpose.privilege, purpose.at) and not held.has_somewhere(purpose.privilege, purpose.at):
            message = f"idle-check cannot {purpose.verb}, for want of {purpose.privilege} on {purpose.at}"
            found.append(problem(ExitCode.PERMISSION, "privileges", "idle-check", message, *_granting(held, purpose, purpose.at)))
    return tuple(found)


def of_separation(held: Held) -> Check:
    """Whether the token is fenced in by rules of its own, or can do whatever its user can."""
    if held.user == "root@pam":
        message = "it belongs to root@pam: whoever steals it owns the cluster; make a user for pvectl"
        mend = ("pveum user add pvectl@pve", "pveum user token add pvectl@pve ops --privsep 1")
        return warning("token", held.token_id, message, *mend)
    if held.acl is None:
        message = "whether it has rules of its own: reading them takes Sys.Audit on /access"
        return not_checked("token", held.token_id, message)
    if any(line.type == "token" and line.ugid == held.token_id for line in held.acl) or not any(held.rights.values()):
        return ok("token", held.token_id, "accepted; access rules of its own fence it in")
    # a privilege-separated token without a rule of its own has no rights at all (pve-access-control PVE/RPCEnvironment.pm)
    message = f"no access rule names it, and yet it has rights: it is not privilege-separated and can do whatever {held.user} can"
    name = held.token_id.partition("!")[2]
    fence = f"pveum user token modify {quote(held.user)} {quote(name)} --privsep 1"
    return warning("token", held.token_id, message, fence, *_granting(held, SEE, "/", token_only=True))


def _of_sight(held: Held, nodes: Sequence[str]) -> Check:
    missing = {} if held.rights.get("/vms", {}).get("VM.Audit") else {"/vms": "VM.Audit on /vms"}
    dark = {path: f"Sys.Audit on {path}" for path in (f"/nodes/{node}" for node in nodes) if not held.has("Sys.Audit", path)}
    missing |= dark if held.has("Sys.Audit", _TOP) else {_TOP: "Sys.Audit on /"}
    if not missing:
        return ok("privileges", "see", f"can {SEE.verb}")
    message = f"cannot {SEE.verb} reliably, for want of {_listed(list(missing.values()))}"
    acl = Unknown(reason="it takes Sys.Audit on /access") if held.acl is None else held.acl
    evidence = permits.Evidence(token_id=held.token_id, acl=acl, rights=held.rights)
    lines = dict.fromkeys(line for path in missing for line in permits.mend(evidence, path).split(" && "))
    return problem(ExitCode.PERMISSION, "privileges", "see", message, *lines)


def _of_purpose(held: Held, purpose: Purpose) -> Check:
    subject = purpose.command.removeprefix("pvectl ").split(" ")[0]
    if held.has(purpose.privilege, purpose.at):
        return _of_exceptions(held, purpose, subject)
    mend = _granting(held, purpose, purpose.at)
    if some := held.has_somewhere(purpose.privilege, purpose.at):
        return note("privileges", subject, f"can {purpose.verb}, but only on {_many_paths(some)} ({purpose.command})", *mend)
    message = f"cannot {purpose.verb} ({purpose.command}): no {purpose.privilege} on {purpose.at}; grant it only if it should"
    return note("privileges", subject, message, *mend)


def _of_exceptions(held: Held, purpose: Purpose, subject: str) -> Check:
    """Whether a rule below takes away what is held at the top: it replaces all that comes from above."""
    below = [path for path, rights in held.rights.items() if path.startswith(f"{purpose.at}/") and purpose.privilege not in rights]
    if not below:
        return ok("privileges", subject, f"can {purpose.verb} ({purpose.command})")
    message = f"can {purpose.verb} ({purpose.command}), but not on {_listed(below)}, where rules of their own leave out {purpose.privilege}"
    # without the rules, a line for the wrong one of user and token would take away from him what comes from above
    lines = dict.fromkeys(line for path in below for line in _granting(held, purpose, path)) if held.acl is not None else ()
    return note("privileges", subject, message, *lines)


def _of_node_power(held: Held, nodes: Sequence[str]) -> Check:
    able = [node for node in nodes if held.has("Sys.PowerMgmt", f"/nodes/{node}")]
    if able:
        message = f"can switch off and wake {_listed([f'node {node}' for node in able])}"
        return ok("privileges", "node", message)
    message = f"cannot switch off or wake nodes ({_POWER.command}): no {_POWER.privilege} on /nodes; grant it only if it should"
    return note("privileges", "node", message, *_granting(held, _POWER, f"/nodes/{nodes[0]}"))


def _of_excess(held: Held) -> Check:
    everything = {privilege for rights in held.rights.values() for privilege in rights}
    grave = [privilege for privilege in GRAVE if privilege in everything]
    others = sorted(everything - _USED - set(GRAVE))
    if not grave and not others:
        return ok("privileges", "excess", "has none that pvectl never uses")
    if not grave:
        return note("privileges", "excess", f"has {len(others)} that pvectl never uses, none of them grave", *_looking_up(held))
    told = _listed([f"{GRAVE[privilege]} ({privilege})" for privilege in grave[:_SPELLED_OUT]])
    rest = f", and has {len(grave) - _SPELLED_OUT} more of that kind: {', '.join(grave[_SPELLED_OUT:])}" if grave[_SPELLED_OUT:] else ""
    return warning("privileges", "excess", f"has more than pvectl needs: whoever steals the token {told}{rest}", *_looking_up(held))


def _looking_up(held: Held) -> tuple[str, ...]:
    return (f"pveum user token permissions {quote(held.user)} {quote(held.token_id.partition('!')[2])}",)


def _granting(held: Held, purpose: Purpose, path: str, *, token_only: bool = False) -> tuple[str, ...]:
    """The pveum lines that allow a purpose at `path`: a role of its own, for the token and, as it never has more than him, for its user.

    Who plainly has the right where his rule stands needs no line.
    """
    lines = [f'pveum role add {purpose.role} --privs "{purpose.role_privileges}"'] if purpose.role_privileges else []
    who = {"token": held.token_id} if token_only else {"user": held.user, "token": held.token_id}
    places = {kind: _where(held, kind, path) for kind in who}
    lacking = [kind for kind, place in places.items() if not held.rights.get(place, {}).get(purpose.privilege)]
    lines += [f"pveum acl modify {quote(places[kind])} --{kind}s {quote(who[kind])} --roles {purpose.role}" for kind in lacking or who]
    return tuple(lines)


def _where(held: Held, kind: str, path: str) -> str:
    """Where the rule belongs: beside the deepest one that is already there, as a deeper one replaces it and roles on one path add up."""
    who = held.user if kind == "user" else held.token_id
    ours = [line.path for line in held.acl or () if line.type == kind and line.ugid == who and _covers(line.path, path)]
    return max(ours, key=len, default=path)


def _many_paths(count: int) -> str:
    return f"{count} path{'' if count == 1 else 's'} below /vms"


def _covers(rule: str, path: str) -> bool:
    return path == rule or path.startswith(rule.rstrip("/") + "/")


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
