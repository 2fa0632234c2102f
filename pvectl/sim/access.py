"""Users, tokens, groups, roles and ACLs: who is asking, and what that caller may do where."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from pvectl.sim.refusals import lacks, unauthorized
from pvectl.sim.roles import predefined_roles

ROOT = "root@pam"
TOP_PATHS = ("/", "/access", "/access/groups", "/nodes", "/pool", "/sdn", "/storage", "/vms")
TOKEN_SCHEME = re.compile(r"PVEAPIToken(?:=|\s+)(.*)", re.DOTALL)
TOKEN = re.compile(r"(?P<user>[^\s:/@]+@[A-Za-z][A-Za-z0-9.\-_]+)!(?P<token>[A-Za-z][A-Za-z0-9.\-_]+)=(?P<secret>.*)")
TOKEN_NAME = re.compile(r"[A-Za-z][A-Za-z0-9.\-_]+")
USER_ID = re.compile(r"[^\s:/]+@[A-Za-z][A-Za-z0-9.\-_]+")
COOKIE = re.compile(r"(?:^|;\s*)PVEAuthCookie=([^;]*)")


@dataclass(frozen=True)
class Caller:
    """Who is asking: a user, or one of a user's API tokens."""

    user: str
    token: str | None = None

    @property
    def id(self) -> str:
        """`user@realm`, or `user@realm!token`."""
        return f"{self.user}!{self.token}" if self.token else self.user


@dataclass
class User:
    """One user with its tokens."""

    userid: str
    enable: int = 1
    expire: int = 0
    comment: str = ""
    email: str = ""
    password: str | None = None
    groups: set[str] = field(default_factory=set)
    tokens: dict[str, dict[str, Any]] = field(default_factory=dict)


class Access:
    """PVE's access control (pve-access-control PVE/AccessControl.pm and PVE/RPCEnvironment.pm)."""

    def __init__(self, *, since_9: bool) -> None:
        self.users: dict[str, User] = {ROOT: User(ROOT)}
        self.predefined = predefined_roles(since_9=since_9)
        self.roles: dict[str, frozenset[str]] = dict(self.predefined)
        self.acl: dict[str, dict[tuple[str, str], dict[str, int]]] = {}
        self.pools: dict[str, list[int]] = {}
        self.pool_storages: dict[str, list[str]] = {}
        self.pool_comments: dict[str, str] = {}
        self.tickets: dict[str, str] = {}
        self._known: dict[tuple[str, str], dict[str, int]] = {}

    def changed(self) -> None:
        """Forget what was worked out; call after any change."""
        self._known.clear()

    def grant(self, path: str, kind: str, ugid: str, roleid: str, *, propagate: bool = True) -> None:
        """Add one ACL entry."""
        self.acl.setdefault(path, {}).setdefault((kind, ugid), {})[roleid] = int(propagate)
        self.changed()

    def revoke(self, path: str, ugid: str, roleid: str | None = None) -> None:
        """Take entries of a user, group or token away from a path."""
        for (kind, who), roles in list(self.acl.get(path, {}).items()):
            if who != ugid:
                continue
            for role in list(roles):
                if roleid in (None, role):
                    del roles[role]
            if not roles:
                del self.acl[path][(kind, who)]
        self.changed()

    def authenticate(self, authorization: str | None, cookie: str | None, now: float) -> Caller:
        """Who is asking; raises 401. A cookie, even a stale one, beats a token."""
        if cookie is not None and (found := COOKIE.search(cookie)):
            holder = self.tickets.get(unquote(found[1]))
            if holder is None:
                raise unauthorized("Authentication failed!" if found[1] else "No ticket")
            return Caller(holder)
        scheme = TOKEN_SCHEME.match(authorization or "")
        if scheme is None:
            raise unauthorized("No ticket")
        parts = TOKEN.fullmatch(unquote(scheme[1].split(";", 1)[0]))
        if parts is None:
            raise unauthorized("Authentication failed!")
        user_id, name = parts["user"], parts["token"]
        user = self.users.get(user_id)
        token = user.tokens.get(name) if user else None
        if user is None or token is None or not user.enable or token["secret"] != parts["secret"]:
            raise unauthorized("Authentication failed!")
        if _over(user.expire, now) or _over(token["expire"], now):
            raise unauthorized("Authentication failed!")
        return Caller(user_id, name)

    def privileges(self, who: str, path: str) -> dict[str, int]:
        """Privilege to propagate flag; a privilege is held exactly when it is a key."""
        known = self._known.get((who, path))
        if known is None:
            known = self._known[(who, path)] = self._work_out(who, path)
        return known

    def holds(self, who: str, path: str, privilege: str) -> bool:
        """Whether the caller has that privilege there."""
        return privilege in self.privileges(who, path)

    def require(self, who: str, path: str, *privileges: str, any_of: bool = False) -> None:
        """Raise 403 unless the caller has the privileges (or one of them)."""
        held = self.privileges(who, path)
        if any_of:
            if not any(privilege in held for privilege in privileges):
                raise lacks(path, *privileges)
            return
        for privilege in privileges:
            if privilege not in held:
                raise lacks(path, *privileges)

    def sees_guest(self, who: str, privilege: str) -> Callable[[int], bool]:
        """A fast test for many guests at once: one answer for all, save those with an ACL or a pool of their own."""
        inherited = self.privileges(who, "/vms/-")
        default = privilege in inherited
        special = {int(path[5:]) for path in self.acl if path.startswith("/vms/") and path[5:].isdigit()}
        for members in self.pools.values():
            special.update(members)
        exceptions = {vmid: self.holds(who, f"/vms/{vmid}", privilege) for vmid in special}
        return lambda vmid: exceptions.get(vmid, default)

    def effective(self, who: str) -> dict[str, dict[str, int]]:
        """What GET /access/permissions lists: fixed roots, ACL paths, pool members; paths without any right are left out."""
        paths = {*TOP_PATHS, *self.acl_paths()}
        for members in self.pools.values():
            paths.update(f"/vms/{vmid}" for vmid in members)
        for storages in self.pool_storages.values():
            paths.update(f"/storage/{storage}" for storage in storages)
        return {path: dict(held) for path in sorted(paths) if (held := self.privileges(who, path))}

    def acl_paths(self) -> Iterator[str]:
        """Every node of the ACL tree."""
        for path in self.acl:
            parts = path.strip("/").split("/")
            yield from ("/" + "/".join(parts[: depth + 1]) for depth in range(len(parts)))

    def visible_acl(self, who: str) -> list[dict[str, Any]]:
        """ACL entries: all with Sys.Audit on /access, else only those the caller may modify."""
        audit = self.holds(who, "/access", "Sys.Audit")
        return [
            {"path": path, "type": kind, "ugid": ugid, "roleid": role, "propagate": propagate}
            for path, entries in sorted(self.acl.items())
            if audit or self._may_modify(who, path)
            for (kind, ugid), roles in entries.items()
            for role, propagate in roles.items()
        ]

    def _may_modify(self, who: str, path: str) -> bool:
        allocate = {"vms": "VM.Allocate", "storage": "Datastore.Allocate", "pool": "Pool.Allocate", "sdn": "SDN.Allocate"}
        special = allocate.get(path.strip("/").split("/")[0])
        return self.holds(who, path, "Permissions.Modify") or (special is not None and self.holds(who, path, special))

    def _work_out(self, who: str, path: str) -> dict[str, int]:
        if who == ROOT:
            return dict.fromkeys(self.predefined["Administrator"], 1)
        user_id, _, token_name = who.partition("!")
        user = self.users.get(user_id)
        if user is None:
            return {}
        if token_name:
            token = user.tokens.get(token_name)
            if token is None:
                return {}
            if not token["privsep"]:
                return self.privileges(user_id, path)
        held: dict[str, int] = {}
        for role, propagate in self._roles_with_pools(who, path).items():
            for privilege in self.roles.get(role, frozenset()):
                held[privilege] = held.get(privilege, 0) or propagate
        if token_name and user_id != ROOT:
            owner = self.privileges(user_id, path)
            held = {privilege: flag and owner[privilege] for privilege, flag in held.items() if privilege in owner}
        return held

    def _roles_with_pools(self, who: str, path: str) -> dict[str, int]:
        roles = self._roles(who, path)
        if "NoAccess" in roles:
            return roles
        from_pools = {role for pool in self._pools_of(path) for role in self._roles(who, f"/pool/{pool}")}
        if "NoAccess" in from_pools:
            return {"NoAccess": 0}
        return {**dict.fromkeys(from_pools, 0), **roles}

    def _pools_of(self, path: str) -> list[str]:
        kind, _, name = path.lstrip("/").partition("/")
        if kind == "vms" and name.isdigit():
            return [pool for pool, members in self.pools.items() if int(name) in members]
        if kind == "storage":
            return [pool for pool, members in self.pool_storages.items() if name in members]
        return []

    def _roles(self, who: str, path: str) -> dict[str, int]:
        if not path.startswith("/"):
            return {}
        groups = self.users[who].groups if who in self.users else set[str]()
        parts = path.strip("/").split("/") if path != "/" else []
        roles: dict[str, int] = {}
        for depth in range(len(parts) + 1):
            entries = self.acl.get("/" + "/".join(parts[:depth]))
            if not entries:
                continue
            final = depth == len(parts)
            found = _applying(entries.get(("token", who)), final=final) or _applying(entries.get(("user", who)), final=final)
            if not found:
                for (kind, ugid), granted in entries.items():
                    if kind == "group" and ugid in groups:
                        for role, propagate in _applying(granted, final=final).items():
                            found[role] = found.get(role, 0) or propagate
            roles = found or roles
        return {"NoAccess": roles["NoAccess"]} if "NoAccess" in roles else roles


def _applying(granted: Mapping[str, int] | None, *, final: bool) -> dict[str, int]:
    return {role: propagate for role, propagate in (granted or {}).items() if final or propagate}


def _over(expire: int, now: float) -> bool:
    return bool(expire) and expire <= now
