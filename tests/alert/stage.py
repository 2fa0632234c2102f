"""A cluster with something to tell, a receiver that writes down all it hears, and runs of the alerts on a clock that stands still."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

from pvectl.core.alerts.incident import Records
from pvectl.core.alerts.outbox import Row, State
from pvectl.core.alerts.silence import Silence
from pvectl.store import Store, open_to_read
from pvectl.store.alerts import Alerts
from tests.notify.listening import Act, Heard, Listener, listening
from tests.support.commands import Ended
from tests.support.stages import Stage

INTERVAL = 300
HEALTHY: dict[str, Any] = {
    "nodes": {"pve1": {}},
    "guests": [{"vmid": 100, "node": "pve1", "name": "db", "status": "running"}],
    "storages": [{"name": "local", "content": "iso,images"}],
}
"""One node with one guest, and nothing to tell of it."""
WATCHED = "node.services/service/pve1/pvestatd"
MONITOR = "monitor: {disable: [backup.*]}\n"
AT_ONCE = "rules: [{checks: [node.services], for: 0, keep_firing_for: 0}]"
"""The one thing that breaks here is told in the run that sees it, and so is its end."""


def hook(name: str = "hook", more: str = "") -> str:
    """A webhook whose URL is the secret of the same name; it waits for its answer until others have done what they do meanwhile."""
    return f"{name}: {{type: webhook, url: {{secret: {name}}}, body: raw, timeout: 30{more}}}"


class AlertStage(Stage):
    """A stage with receivers: `heard` by their names."""

    def __init__(self, folder: Path, scenario: Mapping[str, Any] = HEALTHY, *, alert: str | None = None, **options: Any) -> None:
        self.heard: dict[str, Listener] = {}
        self._listening = ExitStack()
        alert = f"receivers: {{{hook()}}}, {AT_ONCE}" if alert is None else alert
        super().__init__(folder, scenario, pvectl=f"{MONITOR}alert: {{{alert}}}\n", **options)

    def __enter__(self) -> Self:
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:  # noqa: PYI036 - handed on as they come
        self._listening.close()
        super().__exit__(*error)

    def receiver(self, name: str = "hook", act: Act | None = None) -> Listener:
        """Somebody listens, and the secret of this name is where."""
        listener = self._listening.enter_context(listening(act))
        self.heard[name] = listener
        self.secret(**{each: one.url(f"/{each}") for each, one in self.heard.items()})
        return listener

    def secret(self, **values: str) -> None:
        """Write these, and no others, under `secrets:` in proxmox.yml."""
        file = self.home.config / "proxmox.yml"
        before = file.read_text(encoding="utf-8").partition("secrets:\n")[0]
        lines = "".join(f"  {name}: {json.dumps(value)}\n" for name, value in values.items())
        self.home.write("proxmox.yml", f"{before}secrets:\n{lines}")

    def breaks(self, service: str = "pvestatd", node: str = "pve1") -> None:
        self.cluster.change_node(node, services={service: "failed"})

    def mends(self, node: str = "pve1") -> None:
        self.cluster.change_node(node, services={})

    def run(self, *words: str) -> Ended:
        return self.pvectl("alert", "run", "-o", "json", *words)

    def runs(self, count: int, every: float = INTERVAL) -> list[Ended]:
        """So many undisturbed runs, with a look at the clock before each."""
        ended = []
        for _ in range(count):
            self.advance(every)
            ended.append(self.run())
        return ended

    @contextmanager
    def book(self) -> Iterator[Alerts]:
        with self.store() as store:
            yield Alerts(store)

    @contextmanager
    def store(self) -> Iterator[Store]:
        with open_to_read(self.state, "lab", self.clock) as store:
            yield store

    def records(self) -> Records:
        with self.book() as alerts:
            return alerts.records()

    def rows(self) -> tuple[Row, ...]:
        with self.book() as alerts:
            return alerts.rows()

    def waiting(self) -> list[Row]:
        return [row for row in self.rows() if row.state is State.PENDING]

    def silences(self) -> tuple[Silence, ...]:
        with self.book() as alerts:
            return alerts.silences()


def bodies(listener: Listener) -> dict[str, Any]:
    """What was said under each id, the first time it was."""
    told: dict[str, Any] = {}
    for heard in listener.requests:
        told.setdefault(id_of(heard), heard.json())
    return told


def id_of(heard: Heard) -> str:
    return heard.headers["webhook-id"]


def subjects(listener: Listener) -> list[str]:
    """Of each message once, in the order they first came."""
    return [body["subject"] for body in bodies(listener).values()]


def times(listener: Listener) -> Counter[str]:
    """How often something came under each id."""
    return Counter(map(id_of, listener.requests))
