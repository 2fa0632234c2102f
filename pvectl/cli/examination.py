"""Gathers the facts for `pvectl doctor`, each on its own: one that cannot be had never stops the others."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct

from pvectl.core import checkup, privileges
from pvectl.core.checkup import Check, not_checked, ok, problem, unknown, warning
from pvectl.core.model import BlindSpot
from pvectl.errors import AuthenticationFailed, NodeUnreachable, PermissionDenied, PvectlError, TlsFailure

if TYPE_CHECKING:
    from pvectl.cli.context import Run
    from pvectl.core.model import ClusterView
    from pvectl.pve.client import ProxmoxClient
    from pvectl.pve.connection import Connection
    from pvectl.pve.deadline import Deadline
    from pvectl.pve.hosts import Host
    from pvectl.pve.probe import Introduction, Reached

T = TypeVar("T")

ORDER = ("config", "reach", "tls", "token", "privileges", "completeness", "clock", "quorum", "tags", "wake-on-lan")
"""What comes first explains what comes after it."""
_AFTER_CONFIG, _AFTER_REACH, _AFTER_TOKEN = ORDER[1:], ORDER[3:], ORDER[4:]

DEADLINE_S = 120
PER_HOST_S = 10.0
"""What one host of the list may take to say who it is, so that one that hangs leaves time for the others."""


class _Sight(Struct, frozen=True, kw_only=True):
    """What later checks rest on."""

    client: ProxmoxClient
    view: ClusterView
    standalone: bool | None
    switched: tuple[str, ...] = ()


def examine(run: Run) -> tuple[Check, ...]:
    """Every check, in ORDER; reads only."""
    return tuple(sorted(_examine(run), key=lambda check: ORDER.index(check.check)))


def _examine(run: Run) -> Iterator[Check]:
    from pvectl.pve.deadline import Deadline

    yield checkup.of_own_clock(run.clock.now())
    connection = yield from _configuration(run)
    if connection is None:
        yield from _left_out(_AFTER_CONFIG, "there is no usable configuration")
        return
    # both clocks start here: the client's, and that of the hosts asked one by one
    client, deadline = run.client(deadline=DEADLINE_S), Deadline(run.options.deadline or DEADLINE_S)
    reached = yield from _hosts(run, connection, deadline)
    if not reached:
        yield from _left_out(_AFTER_REACH, "no host can be reached")
        return
    let_in = yield from _introductions(connection, reached, deadline)
    if not let_in:
        yield from _left_out(_AFTER_TOKEN, "no host answers this token")
        return
    yield from _inside(run, client)


def _left_out(names: Sequence[str], why: str) -> Iterator[Check]:
    yield from (not_checked(name, "cluster", f"because {why}") for name in names)


def _configuration(run: Run) -> Generator[Check, None, Connection | None]:
    """Yields the checks of the two files; gives the connection, or None when there is none that can be used."""
    if run.reads_no_file:
        yield ok("config", "cluster", "no file was read: this is the simulated cluster")
        return run.connection()
    try:
        connection = run.connection()
        connection.checked_hosts()
    except PvectlError as error:
        yield from _wrong_configuration(error)
        return None
    from pvectl.config.load import find_config_dir, load_jobs
    from pvectl.config.places import CONNECTIONS, JOBS

    directory = find_config_dir(run.options.config_dir, run.env)
    hosts = "1 host" if len(connection.hosts) == 1 else f"{len(connection.hosts)} hosts"
    yield ok("config", "cluster", f"{directory / CONNECTIONS} is safe from others: cluster {connection.cluster}, {hosts}")
    try:
        jobs = load_jobs(directory)
    except PvectlError as error:
        yield from _wrong_configuration(error)
    else:
        there = "has no mistakes" if (directory / JOBS).exists() else "is not there, so everything in it has its default"
        yield ok("config", "cluster", f"{directory / JOBS} {there}")
        if jobs.alert.receivers or jobs.alert.heartbeat:
            from pvectl.cli.examination_receivers import of_receivers

            yield from of_receivers(jobs.alert, directory, run.env)
    return connection


def _wrong_configuration(error: PvectlError) -> Iterator[Check]:
    listed: Sequence[object] = getattr(error, "problems", ()) or ()
    mend = (error.hint,) if error.hint else ()
    if not listed:
        yield problem(error.exit_code, "config", error.subject or "cluster", error.message, *mend)
    for one in listed:
        yield problem(error.exit_code, "config", "cluster", str(one), *mend)


def _hosts(run: Run, connection: Connection, deadline: Deadline) -> Generator[Check, None, list[Host]]:
    """Yields what TLS makes of each host; gives those that proved who they are."""
    from pvectl.pve import parallel, probe

    hosts = connection.checked_hosts()
    answers = parallel.in_parallel([partial(probe.reach, connection, host, deadline) for host in hosts])
    reached = [host for host, answer in zip(hosts, answers, strict=True) if not isinstance(answer, PvectlError)]
    for host, answer in zip(hosts, answers, strict=True):
        if isinstance(answer, PvectlError):
            yield _of_unreached(host, answer, others=bool(reached))
        else:
            yield _of_trust(run, connection, answer)
    return reached


def _of_unreached(host: Host, error: PvectlError, *, others: bool) -> Check:
    mend = (error.hint,) if error.hint else ()
    check = "tls" if isinstance(error, TlsFailure) else "reach"
    if others and check == "reach":
        return warning(check, host.subject, f"{error.message}; the other hosts are used instead", *mend)
    return problem(error.exit_code, check, host.subject, error.message, *mend)


def _of_trust(run: Run, connection: Connection, reached: Reached) -> Check:
    trust = connection.trust
    if reached.certificate is None or reached.fingerprint is None:
        return ok("tls", f"host/{reached.host}", "plain HTTP, which never leaves this machine")
    if trust.insecure:
        return checkup.of_blind_faith(reached.host, reached.fingerprint)
    from pvectl.config.certificate import read_certificate

    by = "its pinned fingerprint" if trust.fingerprints else trust.ca_file or "the system's store"
    until = read_certificate(reached.certificate).not_after
    return checkup.of_certificate(reached.host, verified_by=by, fingerprint=reached.fingerprint, valid_until=until, now=run.clock.now())


def _introductions(connection: Connection, reached: Sequence[Host], deadline: Deadline) -> Generator[Check, None, bool]:
    """Yields what each host says it is; gives whether the token was let in anywhere."""
    from pvectl.pve import parallel, probe

    met: dict[str, Introduction] = {}
    failed: list[tuple[Host, PvectlError]] = []
    waiting = list(reached)
    # one after the other until one knows the token: PVE takes three seconds over each refusal
    while waiting and not met:
        host = waiting.pop(0)
        answer = _answer(partial(probe.introduce, connection, host, deadline.within(PER_HOST_S)))
        if isinstance(answer, AuthenticationFailed):
            mend = (answer.hint,) if answer.hint else ()
            yield problem(answer.exit_code, "token", connection.token_id, answer.message, *mend)
            return False
        _sort_in(host, answer, met, failed)
    answers = parallel.in_parallel([partial(probe.introduce, connection, host, deadline.within(PER_HOST_S)) for host in waiting])
    for host, answer in zip(waiting, answers, strict=True):
        _sort_in(host, answer, met, failed)
    for introduction in met.values():
        yield checkup.of_release(introduction.host, introduction.version.version, introduction.version.major, introduction.took)
    yield from (_of_unreached(host, error, others=bool(met)) for host, error in failed)
    together = checkup.of_clusters({host: (one.identity.name, one.identity.nodes) for host, one in met.items()})
    if together is not None:
        yield together
    return bool(met)


def _sort_in(host: Host, answer: Introduction | PvectlError, met: dict[str, Introduction], failed: list[tuple[Host, PvectlError]]) -> None:
    if isinstance(answer, PvectlError):
        failed.append((host, answer))
    else:
        met[host.label] = answer


def _inside(run: Run, client: ProxmoxClient) -> Iterator[Check]:
    """All that takes a token which is let in."""
    from pvectl import observe

    view = _answer(partial(observe.look, client, run.clock))
    if isinstance(view, PvectlError):
        yield _unread("completeness", "cluster", view)
        yield from _left_out([name for name in _AFTER_TOKEN if name != "completeness"], "the list of guests and nodes cannot be read")
        return
    status = _answer(client.cluster_status)
    standalone = None if isinstance(status, PvectlError) else status.standalone
    sight = _Sight(client=client, view=view, standalone=standalone, switched=_switched(run))
    yield from _rights(sight)
    yield _quorum(sight)
    yield from _tags(sight)
    # a node that hangs costs half a minute each time it is asked (pve-http-server AnyEvent.pm): once is enough
    silent = yield from _node_clocks(run, sight)
    yield from _wake(sight, silent)
    yield from _completeness(sight, silent)


def _switched(run: Run) -> tuple[str, ...]:
    """The nodes that idle-check is to switch off; none where the configuration cannot be read, which has been said by then."""
    try:
        job = run.jobs().idle_check
    except PvectlError:
        return ()
    return job.nodes if job.enabled else ()


def _online(view: ClusterView) -> list[str]:
    return sorted(node.name for node in view.nodes if node.status == "online")


def _rights(sight: _Sight) -> Iterator[Check]:
    client, token_id = sight.client, sight.client.connection.token_id
    listed = _answer(client.permissions)
    if isinstance(listed, PvectlError):
        yield _unread("privileges", "cluster", listed)
        return
    nodes = sorted(node.name for node in sight.view.nodes)
    switched = [node for node in sight.switched if node in nodes]
    paths = ["/", "/vms", *(["/storage"] if switched else []), *(f"/nodes/{node}" for node in nodes)]
    answers = client.in_parallel([partial(client.permissions, path) for path in paths])
    rights = dict(listed)
    for path, answer in zip(paths, answers, strict=True):
        if not isinstance(answer, PvectlError):
            rights[path] = answer.get(path, {})
    acl = _answer(client.acl)
    seen = "Sys.Audit" in rights.get("/access", {})
    held = privileges.Held(token_id=token_id, rights=rights, acl=acl if seen and not isinstance(acl, PvectlError) else None)
    yield privileges.of_separation(held)
    yield from privileges.of_rights(held, nodes)
    # what a token needs first is to see
    if switched and held.has("Sys.Audit", "/"):
        yield from privileges.of_switching(held, switched)


def _completeness(sight: _Sight, silent: Sequence[str]) -> Iterator[Check]:
    from pvectl import observe

    nodes = [node.name for node in sight.view.nodes if node.name not in silent]
    view = _answer(lambda: observe.prove_complete(sight.client, sight.view, nodes=nodes))
    if isinstance(view, PvectlError):
        yield _unread("completeness", "cluster", view)
        return
    spots = [BlindSpot(subject=f"node/{node}", reason=f"node {node} does not answer, so its guests stay unseen") for node in silent]
    yield from checkup.of_sight([*view.blind_spots, *spots], guests=len(view.guests), nodes=len(view.nodes))


def _node_clocks(run: Run, sight: _Sight) -> Generator[Check, None, list[str]]:
    """Yields the check of each node's clock; gives the nodes that do not answer."""

    def ask(node: str) -> Check:
        before = run.clock.now().timestamp()
        told = sight.client.node_time(node)
        return checkup.of_node_clock(node, told=told, before=before, after=run.clock.now().timestamp())

    return (yield from _each_node("clock", sight, ask))


def _wake(sight: _Sight, silent: Sequence[str]) -> Iterator[Check]:
    alone = len(sight.view.nodes) == 1

    def ask(node: str) -> Check:
        return checkup.of_wake(node, sight.client.node_config(node).wakeonlan, alone=alone)

    yield from _each_node("wake-on-lan", sight, ask, silent)


def _each_node(check: str, sight: _Sight, ask: Callable[[str], Check], silent: Sequence[str] = ()) -> Generator[Check, None, list[str]]:
    """Yields what `ask` makes of each node; gives those that do not answer."""
    nodes = [node for node in _online(sight.view) if node not in silent]
    answers = sight.client.in_parallel([partial(ask, node) for node in nodes])
    for node, answer in zip(nodes, answers, strict=True):
        yield _unread(check, f"node/{node}", answer) if isinstance(answer, PvectlError) else answer
    for other in sight.view.nodes:
        if other.status != "online":
            yield not_checked(check, other.subject, f"because the node is {other.status}")
        elif other.name in silent:
            yield not_checked(check, other.subject, "because the node does not answer")
    return [node for node, answer in zip(nodes, answers, strict=True) if isinstance(answer, NodeUnreachable)]


def _quorum(sight: _Sight) -> Check:
    status = _answer(sight.client.cluster_status)
    if isinstance(status, PvectlError):
        return _unread("quorum", "cluster", status)
    counted = _answer(sight.client.votes)
    device = _answer(sight.client.quorum_device)
    votes = checkup.Votes(
        votes=dict.fromkeys((node.name for node in status.nodes), 1) if isinstance(counted, PvectlError) else counted,
        online=frozenset(node.name for node in status.nodes if node.status == "online"),
        standalone=status.standalone,
        quorate=status.quorate,
        qdevice=None if isinstance(device, PvectlError) else device.state or "",
    )
    return checkup.of_quorum(votes)


def _tags(sight: _Sight) -> Iterator[Check]:
    options = _answer(sight.client.cluster_options)
    if isinstance(options, PvectlError):
        yield _unread("tags", "cluster", options)
        return
    shown = _answer(partial(sight.client.permissions, "/"))
    rules = None
    if not isinstance(shown, PvectlError) and "Sys.Audit" in shown.get("/", {}):
        rules = checkup.TagRules(
            registered=options.registered_tags or (),
            user_allow=options.user_allow or "free",
            user_allow_list=options.user_allow_list or (),
        )
    yield from checkup.of_tags(sight.view.guests, rules)


def _unread(check: str, subject: str, error: PvectlError) -> Check:
    if isinstance(error, PermissionDenied):
        # which commands grant it stands with the privileges
        return not_checked(check, subject, f"that takes {error.privilege} on {error.path}" if error.path else error.message)
    return unknown(check, subject, error.message, *((error.hint,) if error.hint else ()))


def _answer(call: Callable[[], T]) -> T | PvectlError:
    try:
        return call()
    except PvectlError as error:
        return error
