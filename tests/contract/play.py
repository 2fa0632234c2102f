"""A recorded group of calls played again against the simulated cluster, and what came out differently, call by call."""

from __future__ import annotations

import functools
import http.client
import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.contract.differences import in_json, in_shapes, short
from tests.contract.exchange import PASSING_HEADERS, Seen, exchange, raw_exchange, read_answer
from tests.contract.preparations import BEFORE, scenario_of
from tests.contract.recordings import Recording, group_of
from tests.contract.stage import Stage, make_certificate, staged

OVER_TLS = frozenset({"http"})
DIGEST = re.compile(r"(?:^|&)digest=([0-9a-f]{40})(?:&|$)")
GUEST = re.compile(r"/nodes/pve1/(qemu|lxc)/(\d+)/")
# lines of a worker's log that come from the machine of the recording: Perl's and QEMU's complaints about the sandbox
NOISE = re.compile(r"at /usr/share/perl5|^kvm: |^WARN: 401 No ticket|^lxc-start|monitor socket")
FAST_CLOSE_S = 0.2
BROADCAST_EVERY_S = 10
# numbered in the order of the day
WITHOUT_IDENTITY = frozenset({"get_cluster_log"})


@functools.cache
def played(version: str, group: str) -> dict[str, list[str]]:
    """Play a group once; the differences of every call, an empty list where all is as recorded."""
    with tempfile.TemporaryDirectory() as folder:
        certificate = make_certificate(Path(folder)) if group in OVER_TLS else None
        with staged(scenario_of(version, group), certificate=certificate, idle_s=FAST_CLOSE_S if group in OVER_TLS else None) as stage:
            return {recording.name: play(stage, recording) for recording in group_of(version, group)}


def play(stage: Stage, recording: Recording) -> list[str]:
    prepare = BEFORE.get((recording.group, recording.name))
    if prepare is not None:
        prepare(stage)
    try:
        special = BY_NAME.get(recording.name) or SPECIAL.get(recording.method)
        return special(stage, recording) if special else one_call(stage, recording)
    except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError) as error:
        return [f"broken: {type(error).__name__}: {error}"]


def one_call(stage: Stage, recording: Recording) -> list[str]:
    body = recording.request_body
    guest = GUEST.search(recording.url)
    if body and guest and (digest := DIGEST.search(body)) and digest[1].strip("0"):
        stage.know_digest(digest[1], int(guest[2]), guest[1])
    url, body = stage.translated(recording.url), None if body is None else stage.translated(body)
    headers = recording.request_headers
    if raw := recording.get("raw_authorization"):
        headers = {"Authorization": raw, **headers}
    try:
        seen = stage.send(recording.method, url, token=recording.get("token"), headers=headers, body=body)
    except http.client.RemoteDisconnected:
        return [] if "RemoteDisconnected" in (recording.get("error") or "") else ["status: recorded an answer, seen none"]
    if recording.get("error"):
        return [f"status: recorded {recording.get('error')}, seen {seen.status} {seen.reason}"]
    delay = stage.cluster.last_delay_s
    found = in_answer(stage, recording, seen) + in_duration(recording, delay)
    stage.advance(delay)
    return found + after_effects(stage, recording, seen)


def in_answer(stage: Stage, recording: Recording, seen: Seen) -> list[str]:
    found = []
    if recording.get("status") != seen.status:
        found.append(f"status: recorded {recording.get('status')}, seen {seen.status}")
    if without_pid(recording.get("reason")) != without_pid(seen.reason):
        found.append(f"reason: recorded {short(recording.get('reason'))}, seen {short(seen.reason)}")
    there = sorted((name, value) for name, value in recording.get("headers") if name.lower() not in PASSING_HEADERS)
    here = sorted((name, value) for name, value in seen.headers if name.lower() not in PASSING_HEADERS)
    found += [f"header {name}: recorded {value!r}, not seen" for name, value in there if (name, value) not in here]
    found += [f"header {name}: seen {value!r}, not recorded" for name, value in here if (name, value) not in there]
    lengths = [any(name.lower() == "content-length" for name, _ in headers) for headers in (recording.get("headers"), seen.headers)]
    if lengths[0] != lengths[1]:
        found.append(f"header Content-Length: recorded {lengths[0]}, seen {lengths[1]}")
    if len(there) != len(here) and not found:
        found.append(f"header: recorded {there}, seen {here}")
    return found + in_body(stage, recording, seen)


def without_pid(text: Any) -> Any:
    """The name of a temporary file ends with the number of the process."""
    return re.sub(r"\.tmp\.\d+", ".tmp.PID", text) if isinstance(text, str) else text


def in_body(stage: Stage, recording: Recording, seen: Seen) -> list[str]:
    body = seen.plain()
    if "body_json" not in recording.fields:
        text = body.decode("utf-8", errors="replace")
        recorded = recording.get("body_text")
        return [] if recorded is None or recorded == text else [f"body: recorded {short(recorded)}, seen {short(text)}"]
    try:
        here = json.loads(body)
    except ValueError:
        return [f"body: recorded JSON, seen {short(body)}"]
    there = stage.in_our_terms(recording.get("body_json"))
    if not isinstance(there, dict) or not isinstance(here, dict):
        return in_json(there, here)
    found = [f"key .{name}: recorded, not seen" for name in sorted(there.keys() - here.keys())]
    found += [f"key .{name}: seen, not recorded" for name in sorted(here.keys() - there.keys())]
    for name in sorted(there.keys() & here.keys()):
        if name in {"message", "errors", "total"}:
            if without_pid(there[name]) != without_pid(here[name]):
                found.append(f"{name}: recorded {short(there[name])}, seen {short(here[name])}")
        elif recording.name in WITHOUT_IDENTITY:
            found += in_shapes(there[name], here[name], name)
        else:
            found += in_json(there[name], here[name], name)
    return found


def in_duration(recording: Recording, seen: float) -> list[str]:
    """Waits of PVE's own (3 s before a 401, 10 s for a lock, 30 s for a silent node) take virtual time here."""
    recorded = float(recording.get("elapsed_s") or 0)
    slack = 1.0 + recorded * 0.1
    return [] if abs(recorded - seen) <= slack else [f"duration: recorded {recorded} s, seen {seen} s"]


def after_effects(stage: Stage, recording: Recording, seen: Seen) -> list[str]:
    found: list[str] = []
    data = (recording.get("body_json") or {}).get("data")
    if isinstance(data, str) and data.startswith("UPID:") and seen.status == 200:
        upid = seen.json()["data"]
        stage.meet(data, upid)
        if changes := recording.get("task_status_changes"):
            found += in_task(stage, upid, changes, recording.get("task_log"))
    guest = GUEST.search(recording.url)
    if guest:
        kind, vmid = guest[1], int(guest[2])
        if (line := recording.get("config_line_after")) is not None:
            found += in_config_line(
                stage, vmid, [text if isinstance(text, str) else "".join(piece * times for piece, times in text) for text in line]
            )
        if (tags := recording.get("get_tags_after")) is not None and vmid != 999:
            tags = tags if isinstance(tags, str) else "".join(piece * times for piece, times in tags)
            read = stage.get(f"/nodes/pve1/{kind}/{vmid}/config").get("tags", "<absent>")
            if read != tags:
                found.append(f"tags: recorded {short(tags)}, seen {short(read)}")
        if current := recording.get("current_after"):
            found += in_json(current, stage.get(f"/nodes/pve1/{kind}/{vmid}/status/current"), "current_after")
    return found


def in_config_line(stage: Stage, vmid: int, recorded: list[str]) -> list[str]:
    raw = stage.cluster.raw_line(vmid, "tags")
    seen = [] if raw is None else [f"tags: {raw}"]
    # PVE writes an empty list as a blank, which makes two with the one behind the colon
    return [] if seen == recorded else [f"tags: recorded line {short(recorded)}, seen {short(seen)}"]


def in_task(stage: Stage, upid: str, recorded: list[Any], log: dict[str, Any] | None) -> list[str]:
    changes = stage.follow(upid)
    (ended, there), (stopped, here) = recorded[-1], changes[-1]
    found = []
    if there.get("exitstatus") != here.get("exitstatus"):
        found.append(f"task: recorded exitstatus {there.get('exitstatus')!r}, seen {here.get('exitstatus')!r}")
    found += in_json(there, here, "task")
    # workers that took no longer than a moment were sometimes caught running and sometimes not
    if abs(ended - stopped) > 1.5 + 0.15 * ended:
        found.append(f"task: recorded end after {ended} s, seen {stopped} s")
    if ended > 2 and [status["status"] for _, status in recorded] != [status["status"] for _, status in changes]:
        found.append(f"task: recorded {[s['status'] for _, s in recorded]}, seen {[s['status'] for _, s in changes]}")
    if log:
        lines = without_noise([line["t"] for line in log["data"]])
        seen = without_noise(stage.log_of(upid))
        if lines[-1] != seen[-1]:
            found.append(f"log: recorded {lines[-1]!r}, seen {seen[-1]!r}")
        elif lines != seen:
            found.append(f"loglines: recorded {lines}, seen {seen}")
    return found


def without_noise(lines: list[str]) -> list[str]:
    return [re.sub(r"UPID:\S+", "UPID", line) for line in lines if not NOISE.search(line)]


def one_poll(stage: Stage, recording: Recording) -> list[str]:
    """`poll UPID…`: a task started earlier is followed to its end."""
    if not recording.url.startswith("UPID:"):
        return TIMELINES[recording.name](stage, recording)
    ended, there = recording.get("body_json")[-1]
    changes = stage.follow(stage.upid(recording.url))
    stopped, here = changes[-1]
    found = in_json(there, here, "task")
    if abs(ended - stopped) > 1.5 + 0.15 * ended:
        found.append(f"task: recorded end after {ended} s, seen {stopped} s")
    return found


def one_raw_exchange(stage: Stage, recording: Recording) -> list[str]:
    """A whole exchange as bytes: request line, protocol versions, pipelining, plain HTTP on the TLS port."""
    door = stage.door
    if "plain_http" in recording.name:
        door = type(door)(door.host, door.port)
    there, here = in_one_spelling(recording.get("body_text")), in_one_spelling(raw_exchange(door, recording.url).decode())
    return [] if there == here else [f"exchange: recorded {there!r}, seen {here!r}"]


def in_one_spelling(exchange_text: str) -> str:
    """Without the headers of the day, the keys of JSON in one order."""
    kept = [line for line in exchange_text.split("\r\n") if line.partition(":")[0].lower() not in PASSING_HEADERS]
    return re.sub(r'\{"data":.*?\}\}', lambda found: json.dumps(json.loads(found[0]), sort_keys=True), "\n".join(kept))


def keep_alive_count(stage: Stage, recording: Recording) -> list[str]:
    """How many requests one connection serves, and what its last answer says."""
    recorded = recording.get("body_json")
    request = f"GET /api2/json/version HTTP/1.1\r\nHost: x\r\nAuthorization: {stage.authorization('full')}\r\n\r\n".encode()
    served, last = 0, ""
    with stage.door.open() as sock:
        while last != "close" and served < 2 * recorded["requests_until_close"]:
            sock.sendall(request)
            last = read_answer(sock, "GET").header("connection") or ""
            served += 1
        over = sock.recv(1) == b""
    seen = {"requests_until_close": served if over else None, "last_connection_header": last}
    return [] if seen == recorded else [f"body: recorded {recorded}, seen {seen}"]


def keep_alive_idle(stage: Stage, recording: Recording) -> list[str]:
    """The server ends an idle connection by itself; how long it waits is a setting here, so that nobody has to."""
    from pvectl.sim import http11

    with stage.door.open() as sock:
        sock.sendall(f"GET /api2/json/version HTTP/1.1\r\nHost: x\r\nAuthorization: {stage.authorization('full')}\r\n\r\n".encode())
        read_answer(sock, "GET")
        over = sock.recv(1) == b""
    seen = {"idle_seconds_until_server_close": http11.IDLE_S if over else None}
    return [] if seen == recording.get("body_json") else [f"body: recorded {recording.get('body_json')}, seen {seen}"]


def timeline_of_one_guest(stage: Stage, recording: Recording) -> list[str]:
    """After a start or a stop the broadcast lags: the live status is true at once, the list no later than the next broadcast."""
    there = recording.get("body_json")
    found = []
    for after, wanted in (there[0], there[-1]):
        stage.advance(after)
        row = next(row for row in stage.get("/cluster/resources?type=vm") if row["vmid"] == 105)
        current = stage.get("/nodes/pve1/qemu/105/status/current")
        seen = {"current.status": current["status"], "resources.status": row["status"]}
        recorded = {key: value for key, value in wanted.items() if key.endswith("status")}
        if seen != recorded:
            found.append(f"value after {after} s: recorded {recorded}, seen {seen}")
    uptimes = [wanted["resources.uptime"] for _, wanted in there]
    if uptimes not in (sorted(uptimes), sorted(uptimes, reverse=True)):
        found.append(f"back and forth: recorded uptimes {uptimes}, seen none of it")
    return found


def timeline_of_a_dead_pvestatd(stage: Stage, recording: Recording) -> list[str]:
    """Rows repeat the last broadcast until it expires, about 300 s later, and are bare from then on."""
    (_, alive), (forgotten_after, forgotten) = recording.get("body_json")
    stage.cluster.stop_pvestatd("pve1")
    found = in_rows_of_a_dead_pvestatd(stage, alive)
    # the last broadcast was up to ten seconds old when pvestatd died
    stage.advance(forgotten_after - BROADCAST_EVERY_S)
    found += in_rows_of_a_dead_pvestatd(stage, alive)
    stage.advance(2 * BROADCAST_EVERY_S)
    return found + in_rows_of_a_dead_pvestatd(stage, forgotten)


def in_rows_of_a_dead_pvestatd(stage: Stage, wanted: dict[str, dict[str, Any]]) -> list[str]:
    rows = {row["id"]: row for row in stage.get("/cluster/resources")}
    found = []
    for name, row in (("node", rows["node/pve1"]), ("vm101", rows["qemu/101"])):
        for key, value in wanted[name].items():
            there, here = (value, row.get(key)) if key != "uptime" else (value is None, row.get(key) is None)
            if there != here:
                found.append(f"value {name}.{key}: recorded {there!r}, seen {here!r}")
    return found


def tags_right_after_a_put(stage: Stage, recording: Recording) -> list[str]:
    tag = recording.get("body_json")["immediately"]
    exchange(stage.door, "PUT", "/api2/json/nodes/pve1/qemu/102/config", body=f"tags={tag}",
             headers={"Authorization": stage.authorization("full"), "Content-Type": "application/x-www-form-urlencoded"})  # fmt: skip
    row = next(row for row in stage.get("/cluster/resources?type=vm") if row["vmid"] == 102)
    return [] if row.get("tags") == tag else [f"value: recorded {tag!r}, seen {row.get('tags')!r}"]


SPECIAL: dict[str, Callable[[Stage, Recording], list[str]]] = {
    "poll": one_poll,
    "RAW": one_raw_exchange,
    "GET x N": keep_alive_count,
}
BY_NAME: dict[str, Callable[[Stage, Recording], list[str]]] = {"keepalive_idle": keep_alive_idle}
TIMELINES: dict[str, Callable[[Stage, Recording], list[str]]] = {
    "start_timeline": timeline_of_one_guest,
    "stop_timeline": timeline_of_one_guest,
    "pvestatd_dies_timeline": timeline_of_a_dead_pvestatd,
    "tags_after_put": tags_right_after_a_put,
}
