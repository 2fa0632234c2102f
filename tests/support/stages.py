"""A stage for whole runs: a simulated cluster whose time stands still, the real command beside it, and one clock for both.

    with Stage(tmp_path, SCENARIO, pvectl="idle_check: {nodes: [pve2], self: elsewhere}") as stage:
        ended = stage.pvectl("idle-check", "-o", "json")
        stage.advance(300)
        ...

Nothing but `advance`, and pvectl when it sleeps, lets time pass, so that a day takes as long as its runs. `at` plans something for a
moment that may well fall into the middle of a run. `on_request` is called with each request as it arrives, before it is answered.
`sockets=False` leaves the network out (tests.support.directly).
"""

from __future__ import annotations

import heapq
import io
import itertools
import json
import os
import socketserver
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from unittest import mock

from pvectl.sim.clock import VirtualClock
from pvectl.sim.cluster import SimCluster
from pvectl.sim.record import Record
from pvectl.sim.wire import Answer, Request
from tests.support.commands import Ended, Home
from tests.support.directly import without_sockets
from tests.support.servers import TOKEN_ID, TOKEN_SECRET, TestServer

MEMORY = Path("/dev/shm")
ADMIN_ID = "root@pam!desk"
ADMIN_SECRET = "ad314000-0000-4000-8000-00000000de5c"
START = datetime(2026, 12, 1, 18, 0, tzinfo=UTC).timestamp()
"""A Tuesday evening."""


class StageClock:
    """pvectl's clock on a stage: as the cluster's, but for what was done to the machine pvectl runs on."""

    def __init__(self, cluster: SimCluster) -> None:
        self._cluster = cluster
        self._events: list[tuple[float, int, Callable[[], object]]] = []
        self._order = itertools.count()
        self._lock = threading.RLock()
        self._boots = 1
        self._booted_at = cluster.clock.now() - 86_400.0
        self.wall_ahead = 0.0
        """How far a person or NTP has put the wall clock forward."""

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._cluster.clock.now() + self.wall_ahead, UTC)

    def boottime(self) -> float:
        return self._cluster.clock.now() - self._booted_at

    def boot_id(self) -> str | None:
        return f"b0070000-0000-4000-8000-{self._boots:012d}"

    def sleep(self, seconds: float) -> None:
        """Let time pass; what is planned happens on the way, each at its own moment."""
        with self._lock:
            until = self._cluster.clock.now() + seconds
            while self._events and self._events[0][0] <= until:
                when, _, event = heapq.heappop(self._events)
                self._go_to(when)
                event()
            self._go_to(until)

    def at(self, when: float, event: Callable[[], object]) -> None:
        with self._lock:
            heapq.heappush(self._events, (when, next(self._order), event))

    def reboot(self) -> None:
        """The machine pvectl runs on has booted anew."""
        self._boots += 1
        self._booted_at = self._cluster.clock.now() - 30.0

    def _go_to(self, when: float) -> None:
        if (left := when - self._cluster.clock.now()) > 0:
            self._cluster.advance(left)


class _Hours(socketserver.ThreadingTCPServer):
    """Tells processes of their own what time it is on the stage, and lets it pass there while one of them sleeps."""

    daemon_threads = True
    # a crowd comes all at once
    request_queue_size = 128

    def __init__(self, clock: StageClock) -> None:
        class Asked(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                # whoever is killed in the middle of a question hears no answer
                with suppress(OSError):
                    for line in self.rfile:
                        if seconds := float(line):
                            clock.sleep(seconds)
                        self.wfile.write(json.dumps(_hour(clock)).encode() + b"\n")

        super().__init__(("127.0.0.1", 0), Asked)
        threading.Thread(target=self.serve_forever, name="stage-hours", daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        self.server_close()


class StageServer(TestServer):
    """Tells of each request as it arrives."""

    def __init__(self, cluster: SimCluster, **options: Any) -> None:
        self.on_request: Callable[[int, Record], object] | None = None
        self._heard_of = itertools.count(1)
        self._one_by_one = threading.Lock()
        super().__init__(cluster, **options)

    def note(self, record: Record) -> None:
        # its number is its place on the list, also where several come at once
        with self._one_by_one:
            super().note(record)
            number = next(self._heard_of)
        if self.on_request is not None:
            self.on_request(number, record)

    def count_anew(self) -> None:
        """The next request is the first one."""
        self._heard_of = itertools.count(1)


class Stage:
    """A cluster, a home with a configuration, and the command."""

    def __init__(
        self,
        folder: Path,
        scenario: Mapping[str, Any],
        *,
        pvectl: str = "",
        hosts: Sequence[str] = (),
        start: float = START,
        speed: float = 0.0,
        sockets: bool = True,
    ) -> None:
        self.folder = folder
        self.cluster = SimCluster({"name": "lab", **_with_people(scenario)}, clock=VirtualClock(speed, start=start))
        self.clock = StageClock(self.cluster)
        ports = None if sockets else {name: 8006 + number for number, name in enumerate(self.cluster.world.nodes)}
        self.server = StageServer(self.cluster, nodes=ports)
        self._sockets = sockets
        self._closing = ExitStack()
        self._hours: _Hours | None = None
        self.server.token = f"{TOKEN_ID}={TOKEN_SECRET}"
        self.home = Home(folder)
        # each run writes down what it saw and waits for the disk; a day of runs does not have to wait for a real one
        self._memory = tempfile.TemporaryDirectory(prefix="pvectl-", dir=MEMORY if os.access(MEMORY, os.W_OK) else folder)
        self.state = Path(self._memory.name) / "state"
        self.home.env["PVECTL_STATE_DIR"] = str(self.state)
        self._hosts = tuple(hosts)
        self.configure(pvectl)

    def configure(self, text: str) -> None:
        """Write pvectl.yml."""
        self.configuration = text
        self.home.write("pvectl.yml", text)

    def __enter__(self) -> Self:
        # a client that asks again waits in real time, which stands still here
        self._closing.enter_context(mock.patch("pvectl.pve.transport.PAUSE_S", 0.001))
        if self._sockets:
            self._closing.enter_context(self.server)
        else:
            self._closing.enter_context(without_sockets(self.server))
        nodes = self._hosts or [node.name for node in self.cluster.world.members if node.online]
        self.home.connect(*(f"http://127.0.0.1:{self.server.port(node)}" for node in nodes), token_id=TOKEN_ID, secret=TOKEN_SECRET)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._closing.__exit__(kind, error, trace)
        self._memory.cleanup()

    @property
    def now(self) -> float:
        """Epoch seconds on this stage, whatever pvectl's wall clock says."""
        return self.cluster.clock.now()

    def advance(self, seconds: float) -> None:
        self.clock.sleep(seconds)

    def pvectl(self, *words: str) -> Ended:
        """The real command line through its own door, in this process; the server is asked over HTTP."""
        from pvectl.cli.app import main
        from pvectl.cli.context import Run

        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
        self.server.sync()
        code = main(words, run=Run(env=self.home.env, stdin=io.StringIO(), stdout=out, stderr=err, clock=self.clock))
        return Ended(code, _written(out), _written(err))

    def command(self, *words: str, led: bool = False) -> list[str]:
        """The same as a process of its own, begun at this moment, at which its clock stands still but for its own sleeps.

        `led`: its clock is the stage's, and time passes there while it sleeps, as it does for `pvectl`.
        """
        clock = _hour(self.clock)
        if led:
            self._hours = self._hours or self._closing.enter_context(_Hours(self.clock))
            clock = {"port": self._hours.port}
        return [sys.executable, str(Path(__file__).with_name("clocked.py")), json.dumps(clock), *words]

    def ask_as_admin(self, method: str, path: str, **params: Any) -> Answer:
        """What somebody at the web interface does; answered by the first node that is up, without HTTP."""
        entry = next(node.name for node in self.cluster.world.members if node.online)
        given = {key: str(value) for key, value in params.items()}
        header = f"PVEAPIToken={ADMIN_ID}={ADMIN_SECRET}"
        request = Request(method=method, path=path, params=given, authorization=header, cookie=None, node=entry, headers={})
        return self.cluster.answer(request)

    def admin(self, verb: str, vmid: int, **params: Any) -> Answer:
        """Somebody clicks start, shutdown, stop, suspend or resume for a guest: a task of root's."""
        guest = self.cluster.guest(vmid)
        return self.ask_as_admin("POST", f"/nodes/{guest.node}/{guest.type}/{vmid}/status/{verb}", **params)

    def hold(self, subject: str, seconds: float) -> str:
        """Somebody places a hold, whether a run is going on or not; gives its id."""
        from pvectl.core.hold import Hold
        from pvectl.store import open_beside

        with open_beside(self.state, "lab", self.clock) as store:
            now = self.clock.now()
            hold = Hold(id=store.new_id(), subject=subject, until=now + timedelta(seconds=seconds), reason="film", who="desk", made_at=now)
            store.add_hold(hold)
        return hold.id

    def release(self, hold_id: str) -> None:
        """Somebody takes a hold away."""
        from pvectl.store import open_beside

        with open_beside(self.state, "lab", self.clock) as store:
            store.remove_hold(hold_id)

    @property
    def state_file(self) -> Path:
        return self.state / "lab" / "state.db"

    def power_offs(self) -> list[Record]:
        """The requests that switch a node off, whatever came of them."""
        return [record for record in self.server.writes() if record.path.endswith("/status") and record.path.count("/") == 3]

    def shutdowns(self) -> list[Record]:
        """The requests that shut a guest down, whatever came of them."""
        return [record for record in self.server.writes() if record.path.endswith("/status/shutdown")]


def _hour(clock: StageClock) -> dict[str, object]:
    """What a clock in another process begins with, or answers."""
    return {"wall": clock.now().timestamp(), "boottime": clock.boottime(), "boot_id": clock.boot_id()}


def _with_people(scenario: Mapping[str, Any]) -> dict[str, Any]:
    """The scenario with an administrator's token and pvectl's; pvectl's has every right unless the scenario has an ACL."""
    user = TOKEN_ID.partition("!")[0]
    tokens = {ADMIN_ID: {"secret": ADMIN_SECRET, "privsep": 0}, TOKEN_ID: {"secret": TOKEN_SECRET, "privsep": 0}}
    acl = scenario.get("acl", [{"path": "/", "type": "user", "ugid": user, "roleid": "Administrator", "propagate": 1}])
    return {
        **scenario,
        "users": {**scenario.get("users", {}), user: {"enable": 1}, "root@pam": {"enable": 1}},
        "tokens": tokens,
        "acl": acl,
    }


def _written(stream: io.TextIOWrapper) -> str:
    stream.flush()
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue().decode("utf-8", "backslashreplace")
