"""The road of one call: find the route, authenticate, check the permission, go to the node, verify the parameters, answer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pvectl.sim.access import Caller
from pvectl.sim.call import Call, Route
from pvectl.sim.configs import WORDS
from pvectl.sim.parameters import TEXT, verify
from pvectl.sim.refusals import bad_parameters, connection_refused, connection_timed_out, forbidden, not_implemented
from pvectl.sim.routes import ROUTES
from pvectl.sim.wire import Answer, ApiError, Request

if TYPE_CHECKING:
    from pvectl.sim.world import World

DUPLICATE = "duplicate parameter (already defined in URI) with conflicting values!"
ANY_PART, ROUTES_HERE = "{}", ""


class Router:
    """The routes of one version as a tree of path parts."""

    def __init__(self, version: str) -> None:
        self._tree: dict[str, Any] = {}
        release = tuple(int(part) for part in version.split("."))
        for route in ROUTES:
            if release >= route.since:
                branch = self._tree
                for part in parts_of(route.path):
                    branch = branch.setdefault(ANY_PART if part.startswith("{") else part, {})
                branch.setdefault(ROUTES_HERE, {})[route.method] = route

    def find(self, method: str, path: str) -> tuple[Route | None, dict[str, str]]:
        """The route and what stands in its variable parts; a fixed part goes before a variable one."""
        branch, values = self._tree, []
        for part in parts_of(path):
            if part in branch and part != ANY_PART:
                branch = branch[part]
            elif ANY_PART in branch:
                values.append(part)
                branch = branch[ANY_PART]
            else:
                return None, {}
        route: Route | None = branch.get(ROUTES_HERE, {}).get(method)
        if route is None:
            return None, {}
        names = [part[1:-1] for part in parts_of(route.path) if part.startswith("{")]
        return route, dict(zip(names, values, strict=True))


def parts_of(path: str) -> list[str]:
    """The parts of a path; doubled slashes count as one."""
    return [part for part in path.split("/") if part]


def serve(world: World, router: Router, request: Request) -> Answer:
    """Answer one request, in PVE's order of checks (pve-manager PVE/HTTPServer.pm rest_handler); raises ApiError."""
    path = "/" + "/".join(parts_of(request.path))
    route, variables = router.find(request.method, path)
    open_to_all = route is not None and route.world_readable and (route.token_allowed or request.authorization is None)
    caller = Caller("") if open_to_all else world.access.authenticate(request.authorization, request.cookie, world.now)
    if route is None:
        raise not_implemented(request.method, path)
    given = {name: value for name, value in request.params.items() if name != "_dc"}
    conflicts = {name: DUPLICATE for name, value in variables.items() if name in given and str(given[name]) != value}
    if conflicts:
        raise bad_parameters(conflicts)
    given |= variables
    if caller.token is not None and not route.token_allowed:
        raise forbidden(f"URI '{path}' not available with API token, need proper ticket.")
    target = variables["node"] if route.at_node else "localhost"
    node = request.node if target == "localhost" else target
    call = Call(world=world, caller=caller, node=node, params=given, entry=request.node)
    route.permission(call)
    if node != request.node:
        _connect(world, node)
    schema = dict(route.schema)
    if "tags" in schema:
        schema |= {name: TEXT for name in given if WORDS.fullmatch(name)}
    call = replace(call, params=verify(schema, given))
    try:
        data = route.handler(call)
    except ApiError as refusal:
        raise ApiError(replace(refusal.answer, delay_s=refusal.answer.delay_s + sum(call.delays))) from None
    answer = data if isinstance(data, Answer) else Answer(data=data)
    return replace(answer, delay_s=sum(call.delays), proxied=route.protected or node != request.node)


def _connect(world: World, name: str) -> None:
    """What pveproxy meets when it forwards a call to another node."""
    status = world.node(name).status
    if status == "offline":
        raise connection_refused()
    if status == "hangs":
        raise connection_timed_out()
