"""Words for the shell's TAB that only the cluster or the configuration knows: asked quickly, read only, and silent about every failure."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from pvectl.config.load import Connections
    from pvectl.pve.answers import Resources
    from pvectl.pve.connection import Connection
    from pvectl.store.alerts import Alerts

LIMIT_S = 0.5
"""How long somebody who pressed TAB waits for the cluster; later answers are thrown away."""

Words: TypeAlias = list[tuple[str, str]]
"""What may be typed, and a word or two about it."""


def selectors(context: Any, incomplete: str) -> Words:
    """Guests by vmid and by name, and @all, @tag-, @pool-, @node-; behind a comma, and behind a minus sign, as well."""
    done, comma, part = incomplete.rpartition(",")
    minus = "-" if comma and part.startswith("-") else ""
    found = _within_the_limit(lambda: list(_selectors(_resources(context))))
    return [(f"{done}{comma}{minus}{word}", about) for word, about in found]


def guests(context: Any, _incomplete: str) -> Words:
    """Single guests, by vmid and by name."""
    return _within_the_limit(lambda: list(_guests(_resources(context))))


def tags(context: Any, incomplete: str) -> Words:
    """The tags in use; behind a comma as well."""
    done, comma, _ = incomplete.rpartition(",")
    found = _within_the_limit(lambda: [(tag, "") for tag in _tags(_resources(context))])
    return [(f"{done}{comma}{tag}", about) for tag, about in found]


def checks(_context: Any, incomplete: str) -> Words:
    """The checks of the monitor; behind a comma as well. Nobody is asked."""
    from pvectl.core.monitor.checks.registry import CHECKS

    done, comma, _ = incomplete.rpartition(",")
    return [(f"{done}{comma}{check.id}", check.title) for check in CHECKS.values()]


def nodes(context: Any, _incomplete: str) -> Words:
    return _within_the_limit(lambda: [(node.name, node.status) for node in sorted(_resources(context).nodes, key=lambda node: node.name)])


def holdable(context: Any, _incomplete: str) -> Words:
    """What a hold can keep on: nodes by name, guests by vmid."""

    def ask() -> Words:
        resources = _resources(context)
        named = [(node.name, node.status) for node in sorted(resources.nodes, key=lambda node: node.name)]
        return named + [(word, about) for word, about in _guests(resources) if word.isdigit()]

    return _within_the_limit(ask)


def holds(context: Any, _incomplete: str) -> Words:
    """The holds in force; the cluster is not asked."""

    def ask() -> Words:
        from pvectl import store
        from pvectl.clock import SystemClock

        cluster = choose_cluster(_connections(context), context.params.get("cluster"))
        with store.open_to_read(store.state_dir(context.params.get("state_dir"), os.environ), cluster) as opened:
            return [(hold.id, f"{hold.subject} {hold.reason}") for hold in opened.holds(at=SystemClock().now())]

    from pvectl.config.load import choose_cluster

    return _within_the_limit(ask)


def receivers(context: Any, _incomplete: str) -> Words:
    """The receivers of pvectl.yml; the cluster is not asked."""

    def ask() -> Words:
        from pvectl.config.load import find_config_dir, load_jobs

        found = load_jobs(find_config_dir(context.params.get("config_dir"), os.environ), os.environ).alert.receivers
        return [(name, str(entry.__struct_config__.tag)) for name, entry in found.items()]

    return _within_the_limit(ask)


def incidents(context: Any, _incomplete: str) -> Words:
    """The open incidents, by id and by what they are about; the cluster is not asked."""

    def ask() -> Words:
        with _alerts(context) as alerts:
            from pvectl.cli.alerts.words import open_ones

            found = open_ones(alerts.records())
            return [(each.id, each.finding.message) for each in found] + [(each.name, each.finding.message) for each in found]

    return _within_the_limit(ask)


def silences(context: Any, _incomplete: str) -> Words:
    """The silences in force; the cluster is not asked."""

    def ask() -> Words:
        from pvectl.clock import SystemClock

        now = SystemClock().now()
        with _alerts(context) as alerts:
            return [(each.id, each.reason) for each in alerts.silences() if each.in_force(now)]

    return _within_the_limit(ask)


def undelivered(context: Any, _incomplete: str) -> Words:
    """The messages that wait or were given up; the cluster is not asked."""

    def ask() -> Words:
        from pvectl.core.alerts.outbox import State

        with _alerts(context) as alerts:
            waiting = [each for each in alerts.rows() if each.state in (State.PENDING, State.DEAD)]
            return [(each.id, f"{each.receiver} {each.state.value}") for each in waiting]

    return _within_the_limit(ask)


def schedules(context: Any, _incomplete: str) -> Words:
    """The schedules of pvectl.yml; the cluster is not asked."""

    def ask() -> Words:
        from pvectl.config.load import find_config_dir, load_jobs

        found = load_jobs(find_config_dir(context.params.get("config_dir"), os.environ), os.environ).scheduled_shutdown.schedules
        return [(schedule.name, f"{', '.join(schedule.days)} {', '.join(schedule.at)} {schedule.tz}") for schedule in found]

    return _within_the_limit(ask)


def pools(context: Any, _incomplete: str) -> Words:
    return _within_the_limit(lambda: [(pool, "") for pool in sorted(_resources(context).pools)])


def clusters(context: Any, _incomplete: str) -> Words:
    """The clusters proxmox.yml names; nobody is asked."""
    return _within_the_limit(lambda: [(name, ", ".join(entry.hosts)) for name, entry in _connections(context).clusters.items()])


def _selectors(resources: Resources) -> Iterator[tuple[str, str]]:
    yield from _guests(resources)
    yield "@all", "every guest"
    yield from ((f"@tag-{tag}", "") for tag in _tags(resources))
    yield from ((f"@pool-{pool}", "") for pool in sorted(resources.pools))
    yield from ((f"@node-{node.name}", node.status) for node in sorted(resources.nodes, key=lambda node: node.name))


def _guests(resources: Resources) -> Iterator[tuple[str, str]]:
    ordered = sorted(resources.guests, key=lambda guest: guest.vmid)
    yield from ((str(guest.vmid), f"{guest.name or ''} {guest.status} on {guest.node}".strip()) for guest in ordered)
    yield from ((guest.name, f"{guest.vmid} {guest.status} on {guest.node}") for guest in ordered if guest.name)


def _tags(resources: Resources) -> Iterable[str]:
    from pvectl.core.tags import by_tag

    return sorted(by_tag(resources.guests))


@contextmanager
def _alerts(context: Any) -> Iterator[Alerts]:
    """What is remembered of the alerts, to read."""
    from pvectl import store
    from pvectl.config.load import choose_cluster
    from pvectl.store.alerts import Alerts

    cluster = choose_cluster(_connections(context), context.params.get("cluster"))
    with store.open_to_read(store.state_dir(context.params.get("state_dir"), os.environ), cluster) as opened:
        yield Alerts(opened)


def _within_the_limit(ask: Callable[[], Words]) -> Words:
    """The answer if it comes in time and nothing goes wrong; otherwise nothing, without a sound.

    In a thread of its own, because neither a name server nor a certificate store keeps to a deadline.
    """
    import threading

    answer: Words = []

    def run() -> None:
        try:
            answer.extend(ask())
        except Exception:  # noqa: BLE001  (no error message belongs into a half-typed command line)
            answer.clear()

    asking = threading.Thread(target=run, daemon=True)
    asking.start()
    asking.join(LIMIT_S)
    return [] if asking.is_alive() else list(answer)


def _resources(context: Any) -> Resources:
    if context.find_root().params.get("demo"):
        from pvectl.cli.demos.cluster import on_stage

        with on_stage(speed=1) as stage:
            return _asked(stage.connection())
    return _asked(_connection(context))


def _asked(connection: Connection) -> Resources:
    from pvectl.pve.client import ProxmoxClient
    from pvectl.pve.deadline import Deadline

    with ProxmoxClient.get_instance(connection, deadline=Deadline(LIMIT_S), read_only=True) as client:
        return client.resources()


def _connection(context: Any) -> Connection:
    from pvectl.cli.context import Options, Run
    from pvectl.config.load import choose_cluster
    from pvectl.errors import ConfigError

    connections = _connections(context)
    options = Options(cluster=context.params.get("cluster"), config_dir=context.params.get("config_dir"))
    if connections.clusters[choose_cluster(connections, options.cluster)].token_command:
        raise ConfigError("a program that fetches the secret may ask for a passphrase, and a TAB asks nothing")
    run = Run()
    run.options = options
    return run.connection()


def _connections(context: Any) -> Connections:
    from pvectl.config.load import find_config_dir, load_connections

    return load_connections(find_config_dir(context.params.get("config_dir"), os.environ), os.environ)
