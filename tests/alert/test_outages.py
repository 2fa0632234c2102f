"""Receivers that are away, a cluster nobody can reach, a disk without room, a file that is broken: what is told then, and afterwards."""

from __future__ import annotations

import random
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from pvectl.errors import ExitCode
from tests.alert.stage import INTERVAL, WATCHED, AlertStage, bodies, hook, subjects, times
from tests.notify.listening import Listener, answering
from tests.store.test_crash import mounts

pytestmark = pytest.mark.slow

TWO = f"receivers: {{{hook()}, {hook('desk')}}}, rules: [{{checks: [node.services], for: 0, keep_firing_for: 0}}]"
SERVICES = ("pvestatd", "pveproxy", "pvedaemon", "sshd", "pvescheduler", "pve-cluster")


def standing(listener: Listener) -> dict[str, str]:
    """Of each service, what somebody who reads all messages knows of it at the end."""
    known: dict[str, str] = {}
    for body in bodies(listener).values():
        for part in body["parts"] or [body]:
            if part["labels"].get("check") == "node.services":
                known[part["labels"]["object"].rpartition("/")[2]] = "over" if part["status"] == "resolved" else "lasts"
    return known


def about(listener: Listener, check: str) -> list[str]:
    """The status of each message about this check, those within another one too."""
    parts = (part for body in bodies(listener).values() for part in body["parts"] or [body])
    return [part["status"] for part in parts if part["labels"].get("check") == check]


@pytest.mark.parametrize("seed", range(2))
def test_whatever_happened_in_a_day_without_its_receiver_arrives_when_that_is_back(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    with AlertStage(tmp_path, alert=TWO, sockets=False) as stage:
        gone, desk = stage.receiver(act=answering("503 No")), stage.receiver("desk")
        stage.run()
        broken: set[str] = set()
        codes = Counter[int]()
        for _ in range(96):
            stage.advance(900)
            if dice.random() < 0.2:
                broken ^= {dice.choice(SERVICES)}
                stage.cluster.change_node("pve1", services=dict.fromkeys(broken, "failed"))
            codes[stage.run().code] += 1
        # a try now and then, and the days of the others go on
        assert set(codes) == {ExitCode.OK, ExitCode.FAILED}
        assert codes[ExitCode.FAILED] >= 20
        assert standing(desk) == {name: "lasts" if name in broken else "over" for name in standing(desk)}
        assert "self.delivery" in {body["labels"].get("check") for body in bodies(desk).values()}
        waiting = stage.waiting()
        assert len({row.notification.incident for row in waiting}) == len(waiting)
        before, told = len(gone.requests), set(bodies(gone))

        gone.act = answering()
        ended = [stage.run(), *stage.runs(14, 600)]
        assert [each.code for each in ended[-10:]] == [ExitCode.OK] * 10
        arrived = gone.requests[before:]
        assert max(Counter(heard.headers["webhook-id"] for heard in arrived).values()) == 1
        assert len(arrived) <= 12
        assert stage.waiting() == []
        late = Listener(0, gone.act, requests=arrived)
        assert standing(late) == standing(desk)
        assert about(desk, "self.delivery")[-1] == "resolved"
        assert told <= set(bodies(gone))


def test_while_a_receiver_is_away_the_exit_code_is_1_and_the_other_one_is_told_of_it(tmp_path: Path) -> None:
    with AlertStage(tmp_path, alert=TWO, sockets=False) as stage:
        gone, desk = stage.receiver(act=answering("410 Gone")), stage.receiver("desk")
        stage.run()
        stage.advance(INTERVAL)
        stage.breaks()
        assert stage.run().code == ExitCode.FAILED
        ended = stage.runs(3)
        assert [each.code for each in ended] == [ExitCode.FAILED] * 3
        assert [body["labels"]["check"] for body in bodies(desk).values()] == ["node.services", "self.delivery"]
        assert "Receiver hook takes no messages: HTTP 410 Gone" in [*bodies(desk).values()][1]["text"]
        assert ended[-1].json["data"]["broken"] == {"hook": "HTTP 410 Gone"}
        gone.act = answering()
        stage.advance(3600)
        assert stage.run().code == ExitCode.OK
        stage.runs(3)
        of_hook = [body["status"] for body in bodies(desk).values() if body["labels"]["object"] == "receiver/hook"]
        assert of_hook == ["firing", "resolved"]
        assert times(gone)[next(iter(bodies(gone)))] == 2
        assert about(gone, "node.services") == ["firing"]


def _down(stage: AlertStage, how: str) -> None:
    if how == "refuses":
        stage.server.fault("refuse")
    else:
        stage.server.fault("status", code=401)
    stage.server.sync()


@pytest.mark.parametrize(("how", "code"), [("refuses", ExitCode.UNAVAILABLE), ("wrong token", ExitCode.PERMISSION)])
def test_a_cluster_nobody_can_look_at_is_told_once_and_what_waits_is_sent_all_the_same(tmp_path: Path, how: str, code: ExitCode) -> None:
    with AlertStage(tmp_path) as stage:
        listener = stage.receiver(act=answering("503 No"))
        stage.run()
        stage.advance(INTERVAL)
        stage.breaks()
        assert stage.run().code == ExitCode.FAILED
        listener.requests.clear()
        listener.act = answering()
        _down(stage, how)
        ended = stage.runs(6)
        assert [each.code for each in ended] == [code] * 6
        assert [each.json["complete"] for each in ended] == [False] * 6
        assert about(listener, "node.services") == ["firing"]
        assert about(listener, "self.coverage") == ["firing"]
        stage.server.clear_faults()
        ended = stage.runs(4)
        assert [each.code for each in ended] == [ExitCode.OK] * 4
        assert about(listener, "self.coverage") == ["firing", "resolved"]
        assert about(listener, "node.services") == ["firing"]
        assert set(times(listener).values()) == {1}
        assert stage.records().incidents[WATCHED].ended_at is None


def test_a_broken_configuration_ends_the_run_and_loses_nothing_of_what_waits(tmp_path: Path) -> None:
    with AlertStage(tmp_path) as stage:
        listener = stage.receiver(act=answering("503 No"))
        stage.run()
        stage.advance(INTERVAL)
        stage.breaks()
        stage.run()
        good = stage.configuration
        stage.configure(good.replace("receivers", "recievers"))
        ended = stage.runs(2)
        assert [each.code for each in ended] == [ExitCode.CONFIG] * 2
        assert "did you mean" in ended[0].err
        listener.requests.clear()
        listener.act = answering()
        stage.configure(good)
        assert stage.runs(2)[-1].code == ExitCode.OK
        assert about(listener, "node.services") == ["firing"]


def test_a_secret_that_is_gone_is_told_through_the_others(tmp_path: Path) -> None:
    with AlertStage(tmp_path, alert=TWO) as stage:
        stage.receiver()
        desk = stage.receiver("desk")
        stage.run()
        stage.advance(INTERVAL)
        stage.secret(desk=desk.url("/desk"))
        stage.breaks()
        assert [each.code for each in (stage.run(), *stage.runs(2))] == [ExitCode.FAILED] * 3
        assert about(desk, "self.delivery") == ["firing"]
        assert about(desk, "node.services") == ["firing"]


ON_A_FULL_DISK = """
cp -a "$STATE" "$SAVED" && mount -t tmpfs -o size=1m,mode=0700 none "$STATE" && cp -a "$SAVED/." "$STATE/" && rm -r "$SAVED" || exit 99
cat /dev/zero > "$STATE/ballast" 2> /dev/null
exec "$@"
"""


def _run_on_a_full_disk(stage: AlertStage) -> int:
    """A run that finds the state file on a disk without room; nobody else sees that disk."""
    command = ["unshare", "-m", "--propagation", "private", "sh", "-c", ON_A_FULL_DISK, "sh", *stage.command("alert", "run")]
    env = {**stage.home.env, "STATE": str(stage.state_file.parent), "SAVED": str(stage.folder / "saved")}
    ended = subprocess.run(command, env=env, cwd=stage.folder, capture_output=True, text=True, check=False, timeout=60)
    assert "Traceback" not in ended.stderr, ended.stderr
    return ended.returncode


@mounts
def test_without_room_for_its_memory_a_run_tells_what_is_critical_and_says_so(tmp_path: Path) -> None:
    with AlertStage(tmp_path) as stage:
        listener = stage.receiver()
        stage.run()
        stage.advance(INTERVAL)
        stage.breaks()
        assert _run_on_a_full_disk(stage) == ExitCode.CANNOT_WRITE
        assert about(listener, "node.services") == ["firing"]
        stage.advance(INTERVAL)
        assert _run_on_a_full_disk(stage) == ExitCode.CANNOT_WRITE
        assert [each.code for each in stage.runs(3)] == [ExitCode.OK] * 3
        # whoever goes by the id has one message, however often it came
        assert about(listener, "node.services") == ["firing"]
        stage.mends()
        stage.runs(2)
        assert about(listener, "node.services") == ["firing", "resolved"]


@pytest.mark.parametrize("damage", ["cut", "rubbish", "foreign", "gone"])
def test_when_the_state_file_is_broken_that_is_told_once_and_what_is_open_once_more(tmp_path: Path, damage: str) -> None:
    with AlertStage(tmp_path) as stage:
        listener = stage.receiver()
        stage.run()
        stage.advance(INTERVAL)
        stage.breaks()
        stage.run()
        stage.runs(1)
        assert about(listener, "node.services") == ["firing"]
        first = set(bodies(listener))
        content = stage.state_file.read_bytes()
        if damage == "gone":
            stage.state_file.unlink()
        else:
            stage.state_file.write_bytes(
                {"cut": content[: len(content) // 2], "rubbish": b"\0" * 5000, "foreign": b"no database\n" * 9}[damage]
            )
        ended = stage.runs(4)
        assert [each.code for each in ended] == [ExitCode.OK] * 4
        assert about(listener, "self.state") == ["firing"], subjects(listener)
        again = [body for id_, body in bodies(listener).items() if id_ not in first]
        told = [part["labels"].get("check") for body in again for part in body["parts"] or [body]]
        assert told.count("node.services") == 1, again
        assert set(times(listener).values()) == {1}
        stage.mends()
        stage.runs(2)
        assert about(listener, "node.services")[-1] == "resolved"
