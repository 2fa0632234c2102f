"""The other signs of activity: what is not certain is unknown, which counts as busy."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pvectl import observe
from pvectl.config.schema import Activity, Probe
from pvectl.core.evidence import Signal, SignalState
from pvectl.core.model import Guest, Known, Unknown
from pvectl.observe.signals import MOST_OUTPUT, of_guest, of_probe, watched
from pvectl.pve.client import Sample
from tests.observe.world import NODE, WORLD, evidence
from tests.support.labs import lab

NOW = datetime(2026, 11, 22, 12, 0, 20, tzinfo=UTC)
MINUTE = int(NOW.timestamp()) // 60 * 60
GUEST = Guest(vmid=110, type="qemu", node=NODE, status="running", name="desk")
LIMITS = Activity(cpu=0.05, network=1000, window=300)
IDLE, BUSY, UNKNOWN = SignalState.IDLE, SignalState.BUSY, SignalState.UNKNOWN


def rows(count: int = 7, *, newest: int = MINUTE - 60, **changed: Any) -> list[Sample]:
    """One sample a minute, oldest first, with nothing much going on; `changed` is laid over all."""
    quiet = {"cpu": 0.01, "netin": 200.0, "netout": 100.0}
    return [Sample(time=newest - 60 * number, **{**quiet, **changed}) for number in reversed(range(count))]


def judged(samples: list[Sample], limits: Activity = LIMITS) -> tuple[SignalState, ...]:
    told = Known(value=tuple(samples), source="rrddata", taken_at=NOW)
    return tuple(signal.state for signal in of_guest(GUEST, told, limits, NOW))


def test_a_guest_below_both_limits_for_the_whole_window_is_idle() -> None:
    assert judged(rows()) == (IDLE, IDLE)
    assert judged(rows(), Activity(cpu=0.05, window=300)) == (IDLE,)
    assert judged(rows(), Activity()) == ()


@pytest.mark.parametrize(("peak", "state"), [(0.05, IDLE), (0.0501, BUSY)])
def test_one_minute_above_the_limit_is_enough(peak: float, state: SignalState) -> None:
    one = [*rows()[:-3], *rows(1, newest=MINUTE - 180, cpu=peak), *rows(2)]
    assert judged(one)[0] is state


@pytest.mark.parametrize(("netin", "netout", "state"), [(900.0, 100.0, IDLE), (900.0, 100.5, BUSY)])
def test_what_is_sent_and_received_counts_together(netin: float, netout: float, state: SignalState) -> None:
    assert judged(rows(netin=netin, netout=netout))[1] is state


def test_a_burst_before_the_window_is_over() -> None:
    assert judged([*rows(1, newest=MINUTE - 600, cpu=0.9), *rows()])[0] is IDLE


@pytest.mark.parametrize(
    "samples",
    [
        [],
        rows(newest=MINUTE - 240),
        rows(newest=MINUTE + 300),
        rows(3),
        rows(cpu=None, netin=None),
        [*rows()[:3], *rows()[4:]],
        [*rows()[:3], Sample(time=rows()[3].time), *rows()[4:]],
        rows(cpu=0.0, netin=0, netout=0),
    ],
    ids=["no rows", "stale", "in the future", "too short", "not measured", "a minute missing", "an empty minute", "exactly nothing"],
)
def test_s02_what_the_data_do_not_tell_is_unknown(samples: list[Sample]) -> None:
    assert judged(samples) == (UNKNOWN, UNKNOWN)


def test_s02_a_peak_is_busy_even_where_minutes_are_missing() -> None:
    assert judged(rows(1, cpu=0.9)) == (BUSY, UNKNOWN)


def test_s02_data_that_cannot_be_read_are_unknown_with_their_reason() -> None:
    signals = of_guest(GUEST, Unknown(reason="no such luck", source="x"), LIMITS, NOW)
    assert signals == (
        Signal(name="cpu of 110 (desk)", state=UNKNOWN, detail="no such luck"),
        Signal(name="network of 110 (desk)", state=UNKNOWN, detail="no such luck"),
    )


def test_the_running_guests_are_watched_all_or_the_tagged() -> None:
    guests = [
        Guest(vmid=1, type="qemu", node=NODE, status="running", tags=("Safe",)),
        Guest(vmid=2, type="qemu", node=NODE, status="paused"),
        Guest(vmid=3, type="qemu", node=NODE, status="stopped", tags=("safe",)),
        Guest(vmid=4, type="qemu", node=NODE, status="unknown", tags=("safe",), template=True),
    ]
    tagged = Activity(guests="tagged")
    assert [guest.vmid for guest in watched(guests, LIMITS, "safe", case_sensitive=False)] == [1, 2]
    assert [guest.vmid for guest in watched(guests, tagged, "safe", case_sensitive=False)] == [1]
    assert [guest.vmid for guest in watched(guests, tagged, "safe", case_sensitive=True)] == []


def test_the_highest_value_of_a_minute_is_asked_for_because_an_average_hides_a_burst() -> None:
    def burst(moment: float) -> float:
        return 0.9 if moment % 60 < 10 else 0.001

    guests = [{**guest, **({"rrd": {"cpu": burst}} if guest["vmid"] == 110 else {"load": 0.001})} for guest in WORLD["guests"]]
    with lab({**WORLD, "guests": guests}, speed=1) as one:
        found = {signal.name: signal.state for signal in evidence(one, activity=Activity(cpu=0.3)).signals}
        assert found == {"cpu of 110 (desk)": BUSY, "cpu of 210 (proxy)": IDLE}
        averaged = evidence(one, activity=Activity(network=10**6, guests="tagged"), tag="web").signals
        assert [(signal.name, signal.state) for signal in averaged] == [("network of 210 (proxy)", IDLE)]


def test_s02_a_guest_whose_data_are_refused_is_unknown_and_so_are_all_where_the_guests_are() -> None:
    with lab(WORLD, speed=1) as one:
        one.server.fault("status", path="*/110/rrddata", code=500, reason="no such luck")
        states = {signal.name: signal.state for signal in evidence(one, activity=Activity(cpu=0.9)).signals}
        assert states == {"cpu of 110 (desk)": UNKNOWN, "cpu of 210 (proxy)": IDLE}
        one.server.fault("status", path=f"/nodes/{NODE}/qemu", code=500)
        (signal,) = evidence(one, activity=Activity(cpu=0.9)).signals
        assert (signal.name, signal.state) == ("activity", UNKNOWN)


def probe(code: str, *arguments: str, timeout: int = 20) -> Probe:
    return Probe(name="probe", argv=(sys.executable, "-I", "-c", code, *arguments), timeout=timeout)


def asked(one: Probe, *, within: float = 30.0) -> Signal:
    return of_probe(one, NODE, [GUEST], within=within)


@pytest.mark.parametrize(
    ("code", "state", "detail"),
    [
        ("print('nobody is watching')", IDLE, "nobody is watching"),
        ("import sys; print('two streams'); sys.exit(1)", BUSY, "two streams"),
        ("import sys; sys.exit(1)", BUSY, "ended with 1"),
        ("import sys; sys.exit('cannot reach it')", BUSY, "cannot reach it"),
        ("import sys; print('odd'); sys.exit(2)", UNKNOWN, "ended with 2 odd"),
        ("import os; os.kill(os.getpid(), 9)", UNKNOWN, "was ended by signal 9"),
    ],
)
def test_a_probe_says_idle_with_0_busy_with_1_and_nothing_else(code: str, state: SignalState, detail: str) -> None:
    assert asked(probe(code)) == Signal(name="probe", state=state, detail=detail)


def test_a_probe_gets_the_node_as_json_no_shell_and_a_clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PVECTL_SECRET", "hush")
    code = "import json, os, sys; print(json.dumps([json.load(sys.stdin), sorted(os.environ), os.getcwd(), sys.argv[1:]]))"
    question, environment, folder, arguments = json.loads(asked_in_full(code, "$(id)"))
    assert question == {"node": NODE, "guests": [{"vmid": 110, "type": "qemu", "name": "desk", "status": "running", "tags": []}]}
    assert set(environment) <= {"PATH", "LANG", "LC_CTYPE"}
    assert (folder, arguments) == ("/", ["$(id)"])


def asked_in_full(code: str, *arguments: str) -> str:
    """What a probe prints, whole: a detail is cut."""
    from pvectl.observe import signals

    return signals._run((sys.executable, "-I", "-c", code, *arguments), signals._question(NODE, [GUEST]), 20)[1].decode()


def test_a_probe_that_does_not_end_is_ended_with_all_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    os.mkfifo(pids)
    # the child holds the fifo open for as long as it lives
    reading = os.open(pids, os.O_RDONLY | os.O_NONBLOCK)
    code = "import os, sys, time; open(sys.argv[1], 'w').write('x'); os.fork(); held = open(sys.argv[1], 'w'); time.sleep(600)"
    found = asked(probe(code, str(pids)), within=0.5)
    assert (found.state, found.detail) == (UNKNOWN, "no answer within 0.5 s")
    os.set_blocking(reading, True)
    with os.fdopen(reading) as left:
        # the end of the file comes when nobody holds it any more
        left.read()


def test_what_a_probe_leaves_running_does_not_make_us_wait() -> None:
    code = "import os, time, sys\nif os.fork() == 0:\n    time.sleep(600)\nsys.exit(0)"
    assert asked(probe(code)).state is IDLE


def test_a_probe_that_floods_us_is_read_no_further_than_needed() -> None:
    code = "import sys\nfor _ in range(64): sys.stdout.write('a' * 65536)"
    assert asked(probe(code)).state is IDLE
    assert len(asked_in_full(code)) <= MOST_OUTPUT


def test_a_probe_that_does_not_exist_is_unknown() -> None:
    found = asked(Probe(name="probe", argv=("/no/such/program",)))
    assert found.state is UNKNOWN
    assert "could not be started" in found.detail


def test_what_a_probe_says_cannot_steer_a_terminal() -> None:
    assert asked(probe("print(chr(27) + '[2Jgone')")).detail.isprintable()


def test_probes_are_part_of_the_evidence() -> None:
    with lab(WORLD, speed=0) as one:
        found = evidence(one, probes=(probe("import sys; sys.exit(1)"),))
        assert [signal.state for signal in found.signals] == [BUSY]
        assert one.asked()[-1] == f"GET /nodes/{NODE}/tasks"
        assert one.asked().count("GET /cluster/resources") == 1


def test_s03_what_a_slow_probe_has_made_old_is_read_again() -> None:
    with lab(WORLD, speed=1000) as one:
        seen = observe.glance(one.client, one.clock)
        slow = probe("import time; time.sleep(0.02)")
        found = observe.node_evidence(one.client, one.clock, seen, [NODE], asking=observe.Asking(probes=(slow,)))[NODE]
        assert [signal.state for signal in found.signals] == [IDLE]
        assert found.taken_at > seen.taken_at
        assert one.asked().count("GET /cluster/resources") == 2
