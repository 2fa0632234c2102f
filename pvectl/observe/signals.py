"""Other signs of activity: what guests have done in the last minutes, and what a program of the administrator's says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

from pvectl.core.evidence import Fact, Signal, SignalState
from pvectl.core.model import Guest, Unknown
from pvectl.core.text import clean

if TYPE_CHECKING:
    import subprocess
    from datetime import datetime

    from pvectl.pve.client import Sample

    _Field = Callable[[Sample], float | None]

MOST_OUTPUT = 64 << 10
"""Bytes of a probe's output that are read; the rest is thrown away."""
_LONGEST_DETAIL = 200
_STEP = 60
_FRESH = 2 * _STEP
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
_STATES = {0: SignalState.IDLE, 1: SignalState.BUSY}


class Limits(Protocol):
    """How much a guest may do and still count as idle; `window` in seconds, `network` in bytes per second, `guests` all or tagged."""

    @property
    def cpu(self) -> float | None: ...
    @property
    def network(self) -> int | None: ...
    @property
    def window(self) -> int: ...
    @property
    def guests(self) -> str: ...


class Probe(Protocol):
    """A program that knows whether the node is idle."""

    @property
    def name(self) -> str: ...
    @property
    def argv(self) -> Sequence[str]: ...
    @property
    def timeout(self) -> int: ...


def watched(guests: Sequence[Guest], limits: Limits, tag: str, *, case_sensitive: bool) -> tuple[Guest, ...]:
    """The running guests whose activity counts."""
    running = [guest for guest in guests if not guest.is_off and not guest.template]
    if limits.guests == "all":
        return tuple(running)
    wanted = tag if case_sensitive else tag.lower()
    return tuple(guest for guest in running if wanted in (guest.tags if case_sensitive else map(str.lower, guest.tags)))


def of_guest(guest: Guest, told: Fact[tuple[Sample, ...]], limits: Limits, now: datetime) -> tuple[Signal, ...]:
    """What the guest's round-robin data say of its CPU and network; a minute that nobody measured is unknown, which counts as busy."""
    return tuple(
        _judged(f"{what} of {guest.label}", told, field, limit, limits.window, now)
        for what, field, limit in (("cpu", _cpu, limits.cpu), ("network", _network, limits.network))
        if limit is not None
    )


def _cpu(sample: Sample) -> float | None:
    return sample.cpu


def _network(sample: Sample) -> float | None:
    return None if sample.netin is None or sample.netout is None else sample.netin + sample.netout


def _judged(name: str, told: Fact[tuple[Sample, ...]], field: _Field, limit: float, window: int, now: datetime) -> Signal:
    if isinstance(told, Unknown):
        return Signal(name=name, state=SignalState.UNKNOWN, detail=told.reason)
    moment = now.timestamp()
    rows = [sample for sample in told.value if sample.time > moment - window - _STEP]
    values = [field(sample) for sample in rows]
    peak = max((value for value in values if value is not None), default=None)
    if peak is not None and peak > limit:
        return Signal(name=name, state=SignalState.BUSY, detail=f"{peak:.6g} at its highest, more than {limit:g}")
    if why := _gap(rows, values, window, moment):
        return Signal(name=name, state=SignalState.UNKNOWN, detail=why)
    return Signal(name=name, state=SignalState.IDLE, detail=f"{peak:.6g} at its highest, no more than {limit:g}")


def _gap(rows: Sequence[Sample], values: Sequence[float | None], window: int, moment: float) -> str | None:
    """Why these rows do not tell the whole window."""
    if not rows:
        return "nothing was recorded"
    times = sorted(sample.time for sample in rows)
    if not -_FRESH <= moment - times[-1] <= _FRESH:
        return f"the newest value is {moment - times[-1]:.0f} s old"
    if any(value is None for value in values):
        return "minutes are missing"
    if moment - times[0] < window - _STEP or any(later - earlier > _STEP for earlier, later in pairwise(times)):
        return "minutes are missing"
    # PVE starts every counter at exactly nothing before it has measured (qemu-server QemuServer.pm, vmstatus)
    if not any(values):
        return "exactly 0 throughout, which is what PVE says before it has measured anything"
    return None


def of_probe(probe: Probe, node: str, guests: Sequence[Guest], *, within: float) -> Signal:
    """Ask the program: without a shell, the node as JSON on its standard input, in a process group that is ended with it.

    It ends with 0 for idle and 1 for busy; anything else is unknown, and so is one that takes longer than its time or `within` seconds.
    """
    limit = min(float(probe.timeout), within)
    try:
        code, output = _run(probe.argv, _question(node, guests), limit)
    except TimeoutError:
        return Signal(name=probe.name, state=SignalState.UNKNOWN, detail=f"no answer within {limit:g} s")
    except (OSError, ValueError) as error:
        return Signal(name=probe.name, state=SignalState.UNKNOWN, detail=clean(f"could not be started: {error}")[:_LONGEST_DETAIL])
    said = clean(output.decode("utf-8", "replace").strip().partition("\n")[0])[:_LONGEST_DETAIL]
    state = _STATES.get(code, SignalState.UNKNOWN)
    ended = f"ended with {code}" if code >= 0 else f"was ended by signal {-code}"
    return Signal(name=probe.name, state=state, detail=said if said and state is not SignalState.UNKNOWN else f"{ended} {said}".strip())


def _question(node: str, guests: Sequence[Guest]) -> bytes:
    import json

    listed = [
        {"vmid": guest.vmid, "type": guest.type, "name": guest.name, "status": guest.status, "tags": sorted(guest.tags)} for guest in guests
    ]
    return json.dumps({"node": node, "guests": listed}).encode()


def _run(argv: Sequence[str], question: bytes, limit: float) -> tuple[int, bytes]:
    import os
    import signal
    import subprocess
    import time
    from contextlib import suppress

    by = time.monotonic() + limit
    # a file, so that a program which does not read its question cannot make us wait
    with os.fdopen(os.memfd_create("question"), "w+b") as question_file:
        question_file.write(question)
        question_file.seek(0)
        process = subprocess.Popen(  # noqa: S603 — the administrator's own program, from a file only they can write
            list(argv),
            stdin=question_file,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=_ENVIRONMENT,
            start_new_session=True,
            close_fds=True,
        )
    with process:
        try:
            output = _listened(process, by)
        finally:
            # before it is waited for, so that its number cannot be somebody else's yet; with it goes what it left behind
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return process.returncode, output


def _listened(process: subprocess.Popen[bytes], by: float) -> bytes:
    """The first of its output, once it has ended.

    Raises:
        TimeoutError: it has not, in time.
    """
    import os
    import selectors
    import time

    assert process.stdout is not None
    pipe, ended = process.stdout.fileno(), os.pidfd_open(process.pid)
    os.set_blocking(pipe, False)
    kept = bytearray()
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            selector.register(ended, selectors.EVENT_READ)
            while (left := by - time.monotonic()) > 0:
                ready = {key.fd for key, _ in selector.select(left)}
                if pipe in ready and not _read_some(pipe, kept):
                    selector.unregister(pipe)
                if ended in ready:
                    _read_some(pipe, kept)
                    return bytes(kept)
    finally:
        os.close(ended)
    raise TimeoutError


def _read_some(pipe: int, kept: bytearray) -> bool:
    """Read once; False at the end. What is more than enough is thrown away."""
    import os

    try:
        piece = os.read(pipe, MOST_OUTPUT)
    except BlockingIOError:
        return True
    kept += piece[: MOST_OUTPUT - len(kept)]
    return bool(piece)
