"""The /access endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pvectl.sim.access import USER_ID
from pvectl.sim.refusals import bad_parameters, died, unauthorized

if TYPE_CHECKING:
    from pvectl.sim.call import Call

SUBDIRS = ("users", "groups", "roles", "acl", "domains", "openid", "tfa", "ticket", "password")


def index(_: Call) -> list[dict[str, str]]:
    """GET /access."""
    return [{"subdir": name} for name in SUBDIRS]


def permissions(call: Call) -> dict[str, Any]:
    """GET /access/permissions: of the caller, or with Sys.Audit on /access of anybody.

    The value is the propagate flag; 0 means held here and not inherited below, never "denied".
    """
    userid = call.params.get("userid", call.who)
    if userid != call.who:
        call.require("/access", "Sys.Audit")
    path = call.params.get("path")
    if path is None:
        return call.world.access.effective(userid)
    if not path.startswith("/"):
        return {}
    return {path: dict(call.world.access.privileges(userid, path))}


def acl(call: Call) -> list[dict[str, Any]]:
    """GET /access/acl."""
    return call.world.access.visible_acl(call.who)


def roles(call: Call) -> list[dict[str, Any]]:
    """GET /access/roles."""
    access = call.world.access
    return [
        {"roleid": role, "privs": ",".join(sorted(privileges)), "special": int(role in access.predefined)}
        for role, privileges in access.roles.items()
    ]


def users(call: Call) -> list[dict[str, Any]]:
    """GET /access/users: everybody with the right to see them, otherwise oneself."""
    access = call.world.access
    sees_all = any(privilege in access.privileges(call.who, "/access/groups") for privilege in ("User.Modify", "Sys.Audit"))
    rows = []
    for user in access.users.values():
        if not (sees_all or user.userid == call.caller.user):
            continue
        row: dict[str, Any] = {
            "userid": user.userid,
            "enable": user.enable,
            "expire": user.expire,
            "email": user.email,
            "realm-type": user.userid.partition("@")[2],
        }
        if user.comment:
            row["comment"] = user.comment
        rows.append(row)
    return rows


def user(call: Call) -> dict[str, Any]:
    """GET /access/users/ID."""
    userid = call.params["userid"]
    if not USER_ID.fullmatch(userid) or "!" in userid:
        raise died(f"value '{userid}' does not look like a valid user name")
    found = call.world.access.users.get(userid)
    if found is None:
        raise died(f"no such user ('{userid}')")
    tokens = {name: {"privsep": token["privsep"], "expire": token["expire"]} for name, token in found.tokens.items()}
    return {"enable": found.enable, "expire": found.expire, "comment": found.comment, "groups": sorted(found.groups), "tokens": tokens}


def tokens(call: Call) -> list[dict[str, Any]]:
    """GET /access/users/ID/token."""
    found = call.world.access.users.get(call.params["userid"])
    if found is None:
        raise died(f"no such user ('{call.params['userid']}')")
    rows = []
    for name, token in found.tokens.items():
        row = {"tokenid": name, "privsep": token["privsep"], "expire": token["expire"]}
        if token.get("comment"):
            row["comment"] = token["comment"]
        rows.append(row)
    return rows


def domains(_: Call) -> list[dict[str, str]]:
    """GET /access/domains: the one list anybody may read."""
    return [
        {"realm": "pam", "type": "pam", "comment": "Linux PAM standard authentication"},
        {"realm": "pve", "type": "pve", "comment": "Proxmox VE authentication server"},
    ]


def ticket(call: Call) -> dict[str, Any]:
    """POST /access/ticket: a login with the password the scenario gave the user."""
    access = call.world.access
    userid = call.params["username"]
    if "@" not in userid:
        userid = f"{userid}@{call.params.get('realm', 'pam')}"
    found = access.users.get(userid)
    if found is None or not found.enable or found.password is None or found.password != call.params["password"]:
        raise unauthorized("authentication failure")
    stamp = f"{int(call.world.now):08X}"
    issued = f"PVE:{userid}:{stamp}::sim{len(access.tickets):06d}"
    access.tickets[issued] = userid
    return {
        "username": userid,
        "ticket": issued,
        "CSRFPreventionToken": f"{stamp}:sim",
        "clustername": call.world.name,
        "cap": _capabilities(call, userid),
    }


def _capabilities(call: Call, userid: str) -> dict[str, dict[str, int]]:
    tops = {"dc": "/", "nodes": "/nodes", "vms": "/vms", "storage": "/storage", "access": "/access", "sdn": "/sdn", "mapping": "/mapping"}
    prefixes = {
        "dc": ("Sys.", "SDN."),
        "nodes": ("Sys.",),
        "vms": ("VM.",),
        "storage": ("Datastore.",),
        "access": ("User.", "Group."),
        "sdn": ("SDN.",),
        "mapping": ("Mapping.",),
    }
    held = call.world.access.privileges
    return {name: {p: 1 for p in held(userid, path) if p.startswith(prefixes[name])} for name, path in tops.items()}


def reject_password_change(call: Call) -> None:
    """PUT /access/password is not simulated beyond refusing it."""
    raise bad_parameters({"userid": f"password change of '{call.params.get('userid')}' is not possible"})
