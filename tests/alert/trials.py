"""Thousands of runs of the alerts that die at a random moment: `python -m tests.alert.trials COUNT SEED`; prints what came of it as JSON.

Every run is the job itself in a process of its own, on the real state file, telling a real receiver over HTTP; only the look at the
cluster is given. Its kernel kills it after a random time. Something begins, lasts, and is over, again and again, while the receiver
answers, refuses, or hangs up; each time there is at last a run that nobody disturbs.
"""

from __future__ import annotations

import gc
import json
import os
import random
import signal
import socket
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from pvectl.cli.alerts import run as alert_run
from pvectl.cli.context import Run
from pvectl.cli.monitoring import run as monitor_run
from pvectl.clock import SystemClock
from pvectl.config.load import load_jobs
from pvectl.config.schema import PvectlFile
from pvectl.core.monitor.checks.evaluation import Evaluation
from pvectl.core.monitor.checks.settings import MonitorSettings
from pvectl.core.secret import Secret
from pvectl.pve.transport import Connection, Trust
from tests.core.alerts.runs import bad, saw

PVECTL = """\
alert:
  receivers: {{hook: {{type: webhook, url: {{file: "{url}"}}, body: raw, per_hour: 3600, burst: 100}}}}
  rules: [{{for: 0, keep_firing_for: 0, repeat: 0}}]
"""
STEP = timedelta(seconds=4500)
"""Longer than any receiver is left alone after it has failed, and too long for anything to flap."""
EPISODES = 40
"""How many are told from one state file; then another one begins."""


class Given(SystemClock):
    """Wall time as the trial has it."""

    def __init__(self) -> None:
        self.at = datetime(2026, 12, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at


class Receiver:
    """A web server in a process of its own that writes down what it took, one line each; it answers as the file `mood` says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.heard = folder / "heard"
        self.heard.touch()
        server = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = server.getsockname()[1]
        self.process = os.fork()
        if not self.process:
            with suppress(KeyboardInterrupt):
                self._serve(server)
            os._exit(0)
        server.close()

    def mood(self, mood: str) -> None:
        (self.folder / "mood").write_text(mood, encoding="ascii")

    def took(self) -> list[dict[str, str]]:
        """All it has heard so far."""
        with socket.create_connection(("127.0.0.1", self.port)) as line:
            # one after the other: when this is answered, everything before it is written down
            line.sendall(b"GET / HTTP/1.1\r\n\r\n")
            line.recv(100)
        return [json.loads(each) for each in self.heard.read_text(encoding="utf-8").splitlines()]

    def forget(self) -> None:
        self.heard.write_text("", encoding="ascii")

    def _serve(self, server: socket.socket) -> None:
        while True:
            line, _ = server.accept()
            line.settimeout(5)
            with line, suppress(OSError):
                self._answer(line)

    def _answer(self, line: socket.socket) -> None:
        raw = b""
        while b"\r\n\r\n" not in raw or len(raw.partition(b"\r\n\r\n")[2]) < _length(raw):
            part = line.recv(65536)
            if not part:
                return
            raw += part
        if raw.startswith(b"POST"):
            mood = (self.folder / "mood").read_text(encoding="ascii")
            if mood in ("takes", "takes and hangs up"):
                body = json.loads(raw.partition(b"\r\n\r\n")[2])
                told = {"id": body["id"], "incident": body["incident"], "status": body["status"], "object": body["labels"]["object"]}
                with self.heard.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(told) + "\n")
            if mood.endswith("hangs up"):
                return
            if mood == "refuses":
                line.sendall(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
                return
        line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def _length(raw: bytes) -> int:
    for row in raw.partition(b"\r\n\r\n")[0].lower().split(b"\r\n"):
        if row.startswith(b"content-length:"):
            return int(row[15:])
    return 0


class Trials:
    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.random = random.Random(seed)
        self.receiver = Receiver(folder)
        url = folder / "url"
        url.touch(mode=0o600)
        url.write_text(f"http://127.0.0.1:{self.receiver.port}/", encoding="ascii")
        config = folder / "config"
        config.mkdir(mode=0o700)
        (config / "pvectl.yml").write_text(PVECTL.format(url=url), encoding="ascii")
        self.jobs: PvectlFile = load_jobs(config, {})
        self.clock = Given()
        self.usual = 0.05
        self.runs = self.killed = self.twice = self.messages = 0
        self.wrong: list[str] = []

    def state(self, number: int) -> dict[str, str]:
        return {"PVECTL_STATE_DIR": str(self.folder / f"state{number}"), "PATH": os.environ["PATH"], "HOME": str(self.folder)}

    def load(self) -> None:
        """Load here what each run would have to load; what comes after is about this one no more."""
        self.receiver.mood("takes")
        assert self._job(self.state(-1), saw(bad())) == 0
        assert len(self.receiver.took()) == 1
        # a child that collects garbage copies all of its parent's memory
        gc.collect()
        gc.disable()
        gc.freeze()

    def run(self, env: dict[str, str], evaluation: Evaluation, *, disturbed: bool) -> bool:
        """One run; whether it came to its end."""
        self.clock.at += STEP
        after = self.random.random() * self.usual * 1.1 if disturbed else 0.0
        began = time.perf_counter()
        child = os.fork()
        if not child:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            if after:
                signal.setitimer(signal.ITIMER_REAL, max(after, 1e-5))
            os._exit(self._job(env, evaluation))
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        self.runs += 1
        if code == -signal.SIGALRM:
            self.killed += 1
            return False
        if code not in (0, 1):
            self.wrong.append(f"a run ended with {code}")
        if not disturbed:
            # of several the shortest: a run that had to wait for its turn says nothing
            self.usual = min(self.usual * 1.05, time.perf_counter() - began)
        return True

    def _job(self, env: dict[str, str], evaluation: Evaluation) -> int:
        def look(_run: Run, before: Any, **_: Any) -> tuple[monitor_run.Looked, Any]:
            seen = replace(evaluation, taken_at=self.clock.at)
            return monitor_run.Looked(evaluation=seen, settings=MonitorSettings(), took=0.0), before

        monitor_run.looked_once = look  # type: ignore[assignment]
        trust = Trust()
        connection = Connection(
            cluster="lab", hosts=("127.0.0.1",), token_id="a@pve!b", token=Secret("x"), trust=trust, allow_http_loopback=True
        )
        run = Run(env=env, clock=self.clock, connection=connection, jobs=self.jobs)
        try:
            result = alert_run.ran(run, dry_run=False)
            run.close()
        except Exception as error:  # noqa: BLE001 - whatever it is, a run must not end so
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            return 99
        return int(result.drained is not None and bool(result.drained.failed))

    def episode(self, env: dict[str, str], number: int) -> None:
        """Something begins, lasts, and is over."""
        name = f"disk/pve1/{number}"
        seen = saw(bad(object=name))
        fine = saw(fine={"disk.smart": [name]})
        quiet_while_it_lasts = self.random.random() < 0.8
        self._unquiet(env, seen)
        if quiet_while_it_lasts:
            self._undisturbed(env, seen)
            self._judge(name, ["firing"], number)
        self._unquiet(env, fine)
        self._undisturbed(env, fine)
        self._judge(name, ["firing", "resolved"] if quiet_while_it_lasts else None, number)

    def _unquiet(self, env: dict[str, str], evaluation: Evaluation) -> None:
        for _ in range(self.random.randint(2, 6)):
            self.receiver.mood(self.random.choice(("takes", "takes", "takes", "takes and hangs up", "hangs up", "refuses")))
            self.run(env, evaluation, disturbed=True)

    def _undisturbed(self, env: dict[str, str], evaluation: Evaluation) -> None:
        self.receiver.mood("takes")
        self.run(env, evaluation, disturbed=False)

    def _judge(self, name: str, wanted: list[str] | None, number: int) -> None:
        heard = [each for each in self.receiver.took() if each["object"] == name]
        ids: dict[str, set[str]] = defaultdict(set)
        for each in heard:
            ids[each["status"]].add(each["id"])
        told = sorted(status for status, those in ids.items() for _ in those)
        # nobody may have seen it while it lasted; whoever was told that it began was told that it is over, or all of it at once
        good = told in ([], ["firing", "resolved"], ["resolved"]) if wanted is None else told == wanted
        if not good or len({each["incident"] for each in heard}) > 1:
            self.wrong.append(f"episode {number}: expected {wanted}, heard {heard}")
        if wanted != ["firing"]:
            self.messages += len(told)
            self.twice += len(heard) - len(told)


def main() -> int:
    count, seed = int(sys.argv[1]), int(sys.argv[2])
    began = time.process_time()
    with tempfile.TemporaryDirectory(prefix="pvectl-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        trials = Trials(Path(folder), seed)
        try:
            trials.load()
            for number in _until(trials, count):
                if number % EPISODES == 0:
                    trials.receiver.forget()
                trials.episode(trials.state(number // EPISODES), number)
        finally:
            os.kill(trials.receiver.process, signal.SIGKILL)
            os.waitpid(trials.receiver.process, 0)
    used = os.times()
    told = {name: getattr(trials, name) for name in ("runs", "killed", "messages", "twice", "wrong")}
    sys.stdout.write(
        json.dumps({**told, "seed": seed, "cpu_s": round(time.process_time() - began + used.children_user + used.children_system)})
    )
    return 1 if trials.wrong else 0


def _until(trials: Trials, count: int) -> Iterator[int]:
    number = 0
    while trials.killed < count and not trials.wrong:
        yield number
        number += 1


if __name__ == "__main__":
    sys.exit(main())
