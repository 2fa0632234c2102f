"""fakepve, an independent simulation of the PVE API, as a process of its own.

It is AGPL: installed for the tests, never imported here, and nothing of it is copied.
"""

from __future__ import annotations

import json
import selectors
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.contract.exchange import Door

READY_WITHIN_S = 30.0
DRIVER = Path(__file__).with_name("fakepve_driver.py")


@contextmanager
def running(scenario: Mapping[str, Any], certificate: Path) -> Iterator[Door]:
    """A fakepve with the scenario's nodes, guests, tokens and grants, behind TLS on a port of its own."""
    command = [sys.executable, "-I", str(DRIVER)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            process.stdin.write(json.dumps({**scenario, "certificate": str(certificate)}) + "\n")
            process.stdin.flush()
            line = first_line(process)
            if not line.strip().isdigit():
                process.kill()
                raise RuntimeError(f"fakepve did not start: {line}{process.stderr.read()}")
            yield Door("127.0.0.1", int(line), ssl.create_default_context(cafile=str(certificate.with_name("ca.pem"))))
        finally:
            process.stdin.close()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        if not selector.select(READY_WITHIN_S):
            process.kill()
            return "no word within the time\n"
    return process.stdout.readline()
