"""Measure pvectl against the floor, pair by pair, and hold the medians against the limits we promise."""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import trustme

HERE = Path(__file__).parent
TOKEN = "bench@pve!bench=11111111-1111-4111-8111-111111111111"
MIB = 1024


class Case(NamedTuple):
    """One command, measured at one size; `limit` is the promised ratio to the floor, `goal` the one we would like, `peak` in MiB.

    `seconds` is a promise in seconds, told but not held to: it is about a machine that does nothing else. `monitored`: against a whole
    cluster of eight nodes with 20 ms added to each request, by a run that finds what earlier ones left behind; `troubled`: with something
    wrong with every guest. `first`: by runs that find nothing, so that all guests are asked one by one. `against` another command of ours
    instead of the floor.
    """

    name: str
    words: tuple[str, ...]
    guests: int
    limit: float
    goal: float | None = None
    peak: int | None = None
    completion: str | None = None
    seconds: float | None = None
    monitored: bool = False
    troubled: bool = False
    first: bool = False
    against: tuple[str, ...] = ()


CASES = (
    Case("vm list -o json", ("vm", "list", "-o", "json"), 20, 2.3, 2.0),
    Case("vm list -o json", ("vm", "list", "-o", "json"), 10_000, 1.3, 1.2, peak=60),
    Case("vm list", ("vm", "list"), 10_000, 1.6, peak=60),
    Case("--help", ("--help",), 20, 1.4),
    Case("<TAB>", (), 20, 1.5, completion="pvectl vm "),
    Case("monitor", ("monitor",), 1_000, 6.0, seconds=1.0, peak=60, monitored=True),
    Case("monitor", ("monitor",), 8_000, 8.0, seconds=1.0, peak=100, monitored=True),
    Case("monitor -o prom.", ("monitor", "-o", "prometheus"), 10_000, 8.0, peak=120, monitored=True),
    Case("monitor -o prom.", ("monitor", "-o", "prometheus"), 10_000, 12.0, peak=120, monitored=True, troubled=True),
    Case("monitor first", ("monitor",), 8_000, 400.0, seconds=30.0, peak=100, monitored=True, first=True),
    Case("alert, no news", ("alert", "run"), 100, 1.2, peak=60, monitored=True, against=("monitor", "-o", "json")),
    Case("alert, no news", ("alert", "run"), 1_000, 1.2, peak=60, monitored=True, against=("monitor", "-o", "json")),
)
DELAY_S = 0.02


class Sample(NamedTuple):
    seconds: float
    cpu: float


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", default="", help="only the cases whose name begins so")
    parser.add_argument("--rounds", type=int, default=15, help="pairs per case (default 15)")
    arguments = parser.parse_args()
    rounds = arguments.rounds
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        material = _certificate(Path(folder))
        print(f"{'case':<18} {'guests':>6} {'wall ms':>8} {'floor ms':>8} {'ratio':>6} {'cpu':>6} {'limit':>6} {'MiB':>5}")
        for case in (case for case in CASES if case.name.startswith(arguments.only)):
            with _served(case, material, Path(folder)) as port:
                env = _environment(case, port, material, Path(folder))
                if case.monitored:
                    _warm(env, Path(folder), first=case.first)
                floor = [sys.executable, str(HERE / "floor.py"), str(port), material["ca"], TOKEN]
                if case.against:
                    floor = [str(Path(sys.executable).with_name("pvectl")), *case.against]
                pairs = _measured(case, floor, env, 1 if case.first else rounds)
                peak = _peak(case, env, Path(folder))
            failed |= _told(case, pairs, peak)
    return 1 if failed else 0


def _told(case: Case, pairs: Sequence[tuple[Sample, Sample]], peak: float) -> bool:
    ours, floors = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    ratio = statistics.median(mine.seconds / floor.seconds for mine, floor in pairs)
    cpu = statistics.median(mine.cpu / floor.cpu for mine, floor in pairs)
    wall, floor_wall = (statistics.median(sample.seconds for sample in samples) * 1000 for samples in (ours, floors))
    over = ratio > case.limit or (case.peak is not None and peak > case.peak)
    verdict = "OVER" if over else "goal" if case.goal and ratio <= case.goal else "ok"
    if case.seconds is not None:
        verdict += f" (promised {case.seconds:g} s)"
    figures = f"{wall:>8.1f} {floor_wall:>8.1f} {ratio:>6.2f} {cpu:>6.2f} {case.limit:>6.2f} {peak:>5.0f}"
    print(f"{case.name:<18} {case.guests:>6} {figures}  {verdict}", flush=True)
    return over


def _environment(case: Case, port: int, material: dict[str, str], folder: Path) -> dict[str, str]:
    config = folder / f"config-{port}"
    config.mkdir(mode=0o700, exist_ok=True)
    file = config / "proxmox.yml"
    file.touch(mode=0o600)
    user, secret = TOKEN.split("=")
    file.write_text(
        f'clusters:\n  bench:\n    hosts: ["127.0.0.1:{port}"]\n    token_id: "{user}"\n    token_value: "{secret}"\n'
        f'    tls: {{ca_file: "{material["ca"]}"}}\n'
    )
    # nobody is told of anything, but it has to be asked who would be
    (config / "pvectl.yml").write_text("alert: {receivers: {mail: {type: sendmail, program: /bin/true}}}\n")
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "PVECTL_CONFIG_DIR": str(config)}
    env["PVECTL_STATE_DIR"] = str(folder / f"state-{port}")
    if case.completion is not None:
        env |= {"_PVECTL_COMPLETE": "complete_bash", "_TYPER_COMPLETE_ARGS": case.completion}
    return env


def _measured(case: Case, floor: list[str], env: dict[str, str], rounds: int) -> list[tuple[Sample, Sample]]:
    ours = [str(Path(sys.executable).with_name("pvectl")), *case.words]
    for command in (floor,) if case.first else (floor, ours):
        _run(command, env)
    pairs = []
    for _ in range(rounds):
        if case.first:
            _forget(env)
        pairs.append((_run(ours, env), _run(floor, env)))
    return pairs


def _peak(case: Case, env: dict[str, str], folder: Path) -> float:
    """The most memory one run held, in MiB."""
    file = folder / "peak"
    if case.first:
        _forget(env)
    _run([sys.executable, str(HERE.parent / "support" / "peak.py"), str(file), *case.words], env)
    return int(file.read_text()) / MIB


def _run(command: Sequence[str], env: dict[str, str]) -> Sample:
    began = time.perf_counter()
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    complaint = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.stderr.close()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}: {complaint.decode()}")
    return Sample(seconds, usage.ru_utime + usage.ru_stime)


def _forget(env: dict[str, str]) -> None:
    shutil.rmtree(env["PVECTL_STATE_DIR"], ignore_errors=True)


def _warm(env: dict[str, str], folder: Path, *, first: bool) -> None:
    """Let the monitor read all there is, unless its first look is what is measured, and slow the server down from then on."""
    command = [str(Path(sys.executable).with_name("pvectl")), "monitor"]
    for _ in range(0 if first else 20):
        ended = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
        if "not read yet" not in ended.stdout:
            break
    (folder / "delay").write_text(f"{DELAY_S}", encoding="ascii")


@contextmanager
def _served(case: Case, material: dict[str, str], folder: Path) -> Iterator[int]:
    (folder / "delay").unlink(missing_ok=True)
    script = "monitored.py" if case.monitored else "server.py"
    command = [sys.executable, str(HERE / script), str(case.guests), material["cert"], material["key"], str(folder / "delay")]
    command += ["troubled"] if case.troubled else []
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        yield int(server.stdout.readline())
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def _certificate(folder: Path) -> dict[str, str]:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost")
    paths = {name: str(folder / f"{name}.pem") for name in ("ca", "cert", "key")}
    authority.cert_pem.write_to_path(paths["ca"])
    issued.cert_chain_pems[0].write_to_path(paths["cert"])
    issued.private_key_pem.write_to_path(paths["key"])
    return paths


if __name__ == "__main__":
    sys.exit(main())
