"""A desk to look at alerts from: a home with receivers, a state file that real steps have filled, and the command in this process.

desk = Desk(tmp_path)
desk.run(saw(down))            # a timer's run: the step, the outbox, and what its receivers answered
desk.advance(300)
ended = desk.pvectl("alert", "list")
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pvectl.cli.app import main
from pvectl.cli.context import Run
from pvectl.clock import SystemClock
from pvectl.core.alerts.incident import Incident, Kind
from pvectl.core.alerts.outbox import Answer, Channel, Limit, Result, Row, State, enqueued, settled
from pvectl.core.alerts.rules import Rule, Rules
from pvectl.core.alerts.step import step
from pvectl.core.alerts.telling import delivered
from pvectl.core.monitor.checks.evaluation import Evaluation
from pvectl.core.monitor.finding import Evidence, Levels, Severity, Unit
from pvectl.store import open_beside, open_to_alert
from pvectl.store.alerts import Alerts
from tests.core.alerts.runs import bad, saw
from tests.support.commands import Ended, Home

MEMORY = Path("/dev/shm")
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
CANARY = "whsec_c2VjcmV0LWNhbmFyeS0wODE1LWxvbmctZW5vdWdo"
SETTINGS = """
alert:
  keep_firing_for: 5m
  receivers:
    mail: {{type: sendmail, program: {program}, from: pve@lab.lan}}
    phone: {{type: ntfy, server: "https://ntfy.example.org", topic: {{secret: topic}}}}
  rules:
    - {{name: nodes, checks: node.*, for: 2m, repeat: 1h}}
"""
NODE = "node.offline/node/pve2"
STORAGE = "storage.usage/storage/nfs"
READING = (("list",), ("list", "--all"), ("explain", NODE), ("silence", "list"), ("outbox", "list"), ("outbox", "list", "--all"))
RULES = Rules(cluster="lab", receivers=("mail", "phone"), rules=(Rule(name="nodes", checks=("node.*",), hold=120, repeat=3600),))

DOWN = bad(
    "node.offline",
    "node/pve2",
    node="pve2",
    message="node pve2 is offline",
    hint="pvectl node wake pve2",
    evidence=(Evidence(path="/cluster/resources", field="status", age=3.0),),
)
STOPPED = bad("guest.onboot_stopped", "guest/120", Severity.WARNING, node="pve2", tags=("lab",), message="guest 120 (web) is stopped")
FULL = bad(
    "storage.usage",
    "storage/nfs",
    Severity.WARNING,
    message="storage nfs is 87% full",
    value=0.87,
    unit=Unit.RATIO,
    levels=Levels(warn=0.85, crit=0.95, clear=0.8),
)

FINE = saw(fine={"node.offline": ["node/pve2"], "storage.usage": ["storage/nfs"], "guest.onboot_stopped": ["guest/120"]})


class DeskClock(SystemClock):
    """Stands still unless it is moved."""

    def __init__(self) -> None:
        self.at = NOON

    def now(self) -> datetime:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


class Desk:
    def __init__(self, folder: Path, *, settings: str = SETTINGS) -> None:
        self.home = Home(folder)
        self.home.connect("http://127.0.0.1:9", token_id="a@pve!b", secret="5eb1d2c4-0000-4000-8000-00000000a11e")
        with (self.home.config / "proxmox.yml").open("a", encoding="utf-8") as file:
            file.write(f"secrets: {{topic: {CANARY}}}\n")
        self.mailbox = folder / "mailbox"
        self.program = folder / "sendmail"
        self.answers(0)
        self.configure(settings.format(program=self.program) if "{program}" in settings else settings)
        self._memory = tempfile.TemporaryDirectory(prefix="pvectl-", dir=MEMORY if MEMORY.is_dir() else folder)
        self.state = Path(self._memory.name) / "state"
        self.home.env["PVECTL_STATE_DIR"] = str(self.state)
        self.clock = DeskClock()
        self.rules = RULES

    def close(self) -> None:
        self._memory.cleanup()

    def configure(self, text: str) -> None:
        self.home.write("pvectl.yml", text)

    def answers(self, status: int, said: str = "") -> None:
        """What the mail program does from now on, after it has taken the mail."""
        self.program.write_text(f"#!/bin/sh\ncat >> {self.mailbox}\necho '{said}' >&2\nexit {status}\n")
        self.program.chmod(0o755)

    def advance(self, seconds: float) -> None:
        self.clock.sleep(seconds)

    def pvectl(self, *words: str, typed: str | None = None, terminal: int = 0, **env: str) -> Ended:
        """The real command line through its own door; `terminal` is how wide a terminal its result is shown on.

        `typed` is what a person at a terminal types; without it nobody is there.
        """
        out, err = _Screen(terminal), _Screen(80 if typed is not None else 0)
        given = {**self.home.env, "COLUMNS": str(terminal or ""), "NO_COLOR": "1", **env}
        run = Run(env=given, stdin=_Keyboard(typed), stdout=out, stderr=err, clock=self.clock)
        code = main(words, run=run)
        return Ended(code, out.text(), err.text())

    @contextmanager
    def opened(self) -> Iterator[Alerts]:
        """What is remembered, to read and to write, beside whoever is at work."""
        with open_beside(self.state, "lab", self.clock) as store:
            yield Alerts(store)

    def run(self, evaluation: Evaluation, *, failing: Collection[str] = ()) -> list[tuple[str, Kind]]:
        """A timer's run; the messages that were queued, by receiver. Receivers in `failing` do not answer."""
        now = self.clock.now()
        with open_to_alert(self.state, "lab", self.clock) as store:
            alerts = Alerts(store)
            with alerts.transaction():
                before, rows = alerts.records(), alerts.rows()
                silences = [silence for silence in alerts.silences() if silence.in_force(now)]
                after, told, explanations = step(before, evaluation, self.rules, silences, now)
                channels = alerts.channels()
                sent = []
                for row in enqueued(rows, told, now):
                    channel = channels.get(row.receiver, Channel(receiver=row.receiver))
                    if row.state is State.PENDING and channel.is_open(now):
                        fails = row.receiver in failing
                        answer = Answer(result=Result.RETRY, error="no route to host") if fails else Answer(result=Result.ARRIVED)
                        tried, channels[row.receiver] = settled(row, channel, answer, Limit(), now, 0.5)
                        after = after if fails else delivered(after, row.notification, now)
                        sent.append(tried)
                    else:
                        sent.append(row)
                alerts.write_records(before, after)
                alerts.write_rows(rows, sent)
                alerts.put_channels(*channels.values())
                alerts.write_explanations({explanation.name: explanation for explanation in explanations})
        return sorted((notification.receiver, notification.kind) for notification in told)

    def begin(self) -> None:
        """A first run in which nothing was wrong, so that no other one is the first look."""
        self.run(FINE)
        self.advance(60)

    def incident(self, name: str = NODE) -> Incident:
        with self.opened() as alerts:
            return alerts.records().incidents[name]

    def rows(self) -> tuple[Row, ...]:
        with self.opened() as alerts:
            return alerts.rows()


class _Screen(io.TextIOWrapper):
    def __init__(self, width: int) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8")
        self._width = width

    def isatty(self) -> bool:
        return self._width > 0

    def text(self) -> str:
        self.flush()
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode("utf-8", "backslashreplace")


class _Keyboard(io.StringIO):
    def __init__(self, typed: str | None) -> None:
        super().__init__(typed or "")
        self._somebody_is_there = typed is not None

    def isatty(self) -> bool:
        return self._somebody_is_there


def waiting(desk: Desk) -> Row:
    """The one message that waits."""
    (row,) = [row for row in desk.rows() if row.state is State.PENDING]
    return row
