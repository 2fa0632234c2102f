"""Serves a simulated cluster by hand: `python -m pvectl.sim --demo`."""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pvectl.sim.clock import VirtualClock
from pvectl.sim.cluster import SimCluster
from pvectl.sim.demo import demo_scenario
from pvectl.sim.recorded import recorded_scenario
from pvectl.sim.server import SimServer

_USAGE = 2
_VERSIONS = ("8.4", "9.2")


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until Ctrl-C or SIGTERM; gives 0, or 2 for what cannot be served."""
    options = _parser().parse_args(arguments)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    try:
        scenario = _scenario(options)
        cluster = SimCluster(scenario, clock=VirtualClock(options.speed))
        first = options.port
        names = list(cluster.world.nodes)
        ports = {name: first + position if first else 0 for position, name in enumerate(names)}
        server = SimServer(cluster, certfile=options.cert, keyfile=options.key, nodes=ports).start()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        sys.stderr.write(f"pvectl.sim: {_sentence(error)}\n")
        return _USAGE
    with server:
        _introduce(server, scenario, options)
        ended.wait()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pvectl.sim", description="Serve a simulated Proxmox VE cluster on loopback, one port per node.", allow_abbrev=False
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--scenario", metavar="FILE.json", help="serve this scenario; - reads it from standard input")
    what.add_argument("--recorded", choices=_VERSIONS, help="serve the cluster whose answers were recorded on a real PVE of that version")
    what.add_argument("--demo", action="store_true", help="serve the demo cluster (the default)")
    parser.add_argument("--port", type=_port, default=0, metavar="N", help="port of the first node, the next ones follow (default: any)")
    parser.add_argument("--speed", type=_speed, default=1.0, metavar="X", help="how much faster than ours its time runs (default: 1)")
    parser.add_argument("--cert", metavar="FILE", help="PEM certificate (with chain): serve https")
    parser.add_argument("--key", metavar="FILE", help="PEM key of the certificate, unless it is in the same file")
    parser.add_argument("--version", action="version", version=f"plays Proxmox VE {' and '.join(_VERSIONS)}")
    return parser


def _port(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 65_535:
        raise argparse.ArgumentTypeError(f"a port is a number from 1 to 65535, not {text!r}")
    return int(text)


def _speed(text: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        speed = -1.0
    if not 0 <= speed < float("inf"):
        raise argparse.ArgumentTypeError(f"a speed is 0 or more, not {text!r}")
    return speed


def _scenario(options: argparse.Namespace) -> dict[str, Any]:
    if options.key and not options.cert:
        raise ValueError("--key needs --cert")
    if options.recorded:
        return recorded_scenario(options.recorded)
    if options.scenario is None:
        return demo_scenario()
    text = sys.stdin.read() if options.scenario == "-" else Path(options.scenario).read_text(encoding="utf-8")
    try:
        scenario = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{options.scenario} is no JSON: {error}") from None
    if not isinstance(scenario, dict):
        raise ValueError(f"{options.scenario}: a scenario is an object, not a {type(scenario).__name__}")  # noqa: TRY004  (one sentence for all)
    return scenario


def _sentence(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"the scenario lacks, or does not know, {error}"
    if isinstance(error, TypeError | AttributeError):
        return f"the scenario does not fit: {error}"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split())


def _introduce(server: SimServer, scenario: dict[str, Any], options: argparse.Namespace) -> None:
    _say(f"A simulated Proxmox VE {server.cluster.world.version} cluster on loopback; Ctrl-C ends it.")
    for node in server.nodes:
        state = server.cluster.node_accepts(node)
        _say(f"  {node:<12} {server.url(node)}" + ("" if state == "up" else f"  ({state})"))
    token = next((f"{name}={values['secret']}" for name, values in (scenario.get("tokens") or {}).items()), None)
    if token is None:
        _say("The scenario has no tokens: every call will be answered with 401.")
        return
    _say(f"Token: {token}")
    up = next((node for node in server.nodes if server.cluster.node_accepts(node) == "up"), None)
    trust = f" --cacert {shlex.quote(options.cert)}" if options.cert else ""
    _say(f"curl{trust} -H 'Authorization: PVEAPIToken={token}' {server.url(up)}/api2/json/cluster/resources")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
