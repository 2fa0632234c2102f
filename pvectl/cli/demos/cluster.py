"""The cluster behind `pvectl demo` and `pvectl --demo`: a small company's, with all that makes a day interesting."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pvectl.clock import SystemClock
from pvectl.sim.demo import OPS_SECRET, OPS_TOKEN, demo_scenario

if TYPE_CHECKING:
    from pvectl.cli.demos.phone import Phone
    from pvectl.config.schema import PvectlFile
    from pvectl.pve.connection import Connection
    from pvectl.sim.clock import VirtualClock
    from pvectl.sim.cluster import SimCluster
    from pvectl.sim.server import SimServer

NAME = "demo"
OFFICE_TOKEN = "pvectl@pve!office"  # noqa: S105  (a name)
OFFICE_SECRET = "d3m0d3m0-0000-4000-8000-000000000003"  # noqa: S105  (opens nothing but this demo)

_GUESTS: tuple[dict[str, Any], ...] = (
    {"vmid": 203, "name": "kiosk", "node": "pve2", "status": "paused", "tags": "safe-shutdown"},
    {"vmid": 310, "name": "tickets", "type": "lxc", "node": "pve3", "status": "running", "tags": "prod", "ha": {"state": "started"}},
    {"vmid": 311, "name": "tickets-test", "type": "lxc", "node": "pve3", "status": "running", "tags": "safe-shutdwon;test"},
)
_REGISTERED = ("ci", "critical", "desktop", "legacy", "network", "prod", "safe-shutdown", "test")


def scenario() -> dict[str, Any]:
    """The company's cluster and what the tour needs besides: a paused guest, one under HA, a typo in a tag, a token in blinkers."""
    base = demo_scenario()
    return base | {
        "name": NAME,
        "guests": sorted([*base["guests"], *_GUESTS], key=lambda guest: guest["vmid"]),
        "tokens": base["tokens"] | {OFFICE_TOKEN: {"secret": OFFICE_SECRET, "privsep": 1}},
        "acl": [*base["acl"], {"path": "/pool/office", "type": "token", "ugid": OFFICE_TOKEN, "roleid": "PvectlAudit"}],
        "options": {"registered-tags": list(_REGISTERED)},
    }


class ClusterTime(SystemClock):
    """The simulated cluster's own time, so that whoever waits for an hour of it waits as long as the cluster does."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now(), UTC)

    def boottime(self) -> float:
        return self._clock.now()

    def sleep(self, seconds: float) -> None:
        self._clock.wait(seconds)


class Stage:
    """The demo cluster at work.

    `cluster` is what happens there, `server` its API, `clock` its time, `memory` its state directory, `phone` that of its administrator.
    """

    def __init__(self, cluster: SimCluster, server: SimServer, clock: ClusterTime, folder: Path, phone: Phone) -> None:
        self.cluster = cluster
        self.server = server
        self.clock = clock
        self.memory = folder / "state"
        self.phone = phone
        self._topic = folder / "ntfy.topic"
        self.memory.mkdir(mode=0o700)
        self._topic.touch(mode=0o600)
        self._topic.write_text(NAME, encoding="ascii")

    def connection(self, token_id: str = OPS_TOKEN, secret: str = OPS_SECRET) -> Connection:
        """How to reach it, by every node's own address, as one would write it into proxmox.yml."""
        from pvectl.core.secret import Secret
        from pvectl.pve.connection import Connection

        hosts = tuple(f"http://{self.server.host(node)}" for node in self.server.nodes)
        return Connection(cluster=NAME, hosts=hosts, token_id=token_id, token=Secret(secret), allow_http_loopback=True)

    def jobs(self) -> PvectlFile:
        """The company's pvectl.yml: pve2 may sleep, what is tagged for it goes down at night, and a phone is told of what goes wrong."""
        from pvectl.config.schema import Alert, IdleCheck, PvectlFile, RuleEntry, ScheduledShutdown, ScheduleEntry
        from pvectl.config.schema.receivers import NtfyEntry, SecretSource

        night = ScheduleEntry(name="night", at=("22:30",), tz="Europe/Berlin", select=("@tag-safe-shutdown",))
        phone = NtfyEntry(topic=SecretSource(file=str(self._topic)), server=self.phone.url)
        return PvectlFile(
            idle_check=IdleCheck(nodes=("pve2",), self="elsewhere"),
            scheduled_shutdown=ScheduledShutdown(schedules=(night,)),
            alert=Alert(
                receivers={"phone": phone}, rules=(RuleEntry(name="margins", checks=("cluster.margin", "cluster.n1"), receivers=()),)
            ),
        )


@contextmanager
def on_stage(speed: float) -> Iterator[Stage]:
    """Serve the demo cluster on loopback until the end of the block; its time passes `speed` times as fast as ours."""
    from tempfile import TemporaryDirectory

    from pvectl.cli.demos.phone import Phone
    from pvectl.sim.clock import VirtualClock
    from pvectl.sim.cluster import SimCluster
    from pvectl.sim.server import SimServer

    clock = VirtualClock(speed, start=SystemClock().now().timestamp())
    cluster = SimCluster(scenario(), clock=clock)
    with SimServer(cluster) as server, TemporaryDirectory(prefix="pvectl-demo-") as folder, Phone() as phone:
        yield Stage(cluster, server, ClusterTime(clock), Path(folder), phone)
