"""One API call on its way through the simulated API, and the table entry that serves it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from pvectl.sim.refusals import lacks

if TYPE_CHECKING:
    from pvectl.sim.access import Caller
    from pvectl.sim.inventory import Node
    from pvectl.sim.parameters import Parameter
    from pvectl.sim.world import World

ACL_PATH = re.compile(r"[A-Za-z0-9.\-_/]+")


@dataclass(frozen=True, kw_only=True)
class Call:
    """Who wants what, and where it is carried out."""

    world: World
    caller: Caller
    node: str
    """The node that does the work."""
    params: Mapping[str, Any]
    """Before verification: as given; after it: Python values, path variables included."""
    entry: str = ""
    """The node whose pveproxy accepted the connection."""
    delays: list[float] = field(default_factory=list)

    @property
    def who(self) -> str:
        """The caller's whole id."""
        return self.caller.id

    @property
    def here(self) -> Node:
        """The node that does the work."""
        return self.world.nodes[self.node]

    @property
    def vmid(self) -> int:
        """The guest in the path."""
        return int(self.params["vmid"])

    def holds(self, path: str, privilege: str) -> bool:
        """Whether the caller has that privilege there."""
        return self.world.access.holds(self.who, path, privilege)

    def require(self, path: str, *privileges: str, any_of: bool = False) -> None:
        """Raise 403 unless the caller has the privileges (or one of them)."""
        self.world.access.require(self.who, path, *privileges, any_of=any_of)

    def takes(self, seconds: float) -> None:
        """The answer will be that late."""
        self.delays.append(seconds)


Handler: TypeAlias = Callable[[Call], Any]
Permission: TypeAlias = Callable[[Call], None]


@dataclass(frozen=True, kw_only=True)
class Route:
    """Method and path pattern, what the caller must hold, what may be said, and who does it."""

    method: str
    path: str
    handler: Handler
    permission: Permission
    schema: Mapping[str, Parameter]
    at_node: bool = False
    """Carried out on the node in the path (`proxyto => 'node'`)."""
    protected: bool = False
    """Carried out by pvedaemon, as root."""
    token_allowed: bool = True
    since: tuple[int, int] = (0, 0)
    """The version of PVE that brought it."""
    world_readable: bool = False


def anyone(_: Call) -> None:
    """Any authenticated user; the handler filters what is shown."""


def needs(template: str, *privileges: str, any_of: bool = False) -> Permission:
    """The privileges on the path that the template makes out of the parameters."""

    def check(call: Call) -> None:
        path = template.format_map({name: str(value) for name, value in call.params.items()})
        if not ACL_PATH.fullmatch(path):
            # PVE turns such a path into nothing, and nobody holds anything on nothing
            raise lacks("", *privileges)
        call.require(path, *privileges, any_of=any_of)

    return check
