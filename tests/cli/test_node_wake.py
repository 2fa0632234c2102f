"""`pvectl node wake`: through another node, until it is back, and remembered."""

from pathlib import Path

from tests.idle.days import IDLE, PVECTL, about_to_act, idle_check
from tests.support.stages import Stage


def test_a_node_that_was_switched_off_comes_back_and_that_is_remembered(tmp_path: Path) -> None:
    with about_to_act(tmp_path, pvectl=PVECTL + "  wake: optional\n") as stage:
        assert idle_check(stage).json["data"][0]["actions"][-1]["status"] == "done"
        woken = stage.pvectl("node", "wake", "pve2", "-o", "json")
        assert woken.code == 0, woken.err
        row = woken.json["data"][0]
        assert (row["status"], row["mac"]) == ("done", "aa:bb:cc:dd:ee:02")
        assert stage.pvectl("node", "wake", "pve2").out == "pve2 is online already\n"
        told = [one for one in stage.pvectl("history", "-o", "json").json["data"] if one["verb"] == "wake"]
        assert [one["status"] for one in told] == ["done"]
        explained = stage.pvectl("explain", told[0]["decision_id"])
        assert (explained.code, explained.err) == (0, "")
        assert "somebody asked for pve2 to be woken" in explained.out
        # the last decision is of a node that was about to go off
        assert "pve2 is on, and idle-check has not looked at it since it last acted" in stage.pvectl("node", "list").out


def test_s26_a_node_without_an_address_is_not_called(tmp_path: Path) -> None:
    with Stage(tmp_path, IDLE, pvectl=PVECTL) as stage:
        stage.cluster.power_off("pve3")
        stage.advance(120)
        ended = stage.pvectl("node", "wake", "pve3")
        assert ended.code == 1
        assert "no wake-on-LAN address" in ended.err


def test_s26_a_node_that_does_not_come_back_goes_into_quarantine(tmp_path: Path) -> None:
    with about_to_act(tmp_path) as stage:
        idle_check(stage)
        stage.cluster.change_node("pve2", wakes=False)
        failed = stage.pvectl("node", "wake", "pve2", "--within", "5m")
        assert failed.code == 1
        assert "is not online" in failed.err
        stage.cluster.wake("pve2")
        stage.advance(1000)
        assert idle_check(stage).json["data"][0]["phase"] == "quarantine"


def test_a_node_nobody_knows_is_a_mistake(tmp_path: Path) -> None:
    with Stage(tmp_path, IDLE, pvectl=PVECTL) as stage:
        ended = stage.pvectl("node", "wake", "pve9")
        assert ended.code == 2
        assert "the cluster has no node pve9" in ended.err


def test_nobody_has_to_wait(tmp_path: Path) -> None:
    with about_to_act(tmp_path) as stage:
        idle_check(stage)
        ended = stage.pvectl("node", "wake", "pve2", "--no-wait")
        assert ended.code == 0, ended.err
        assert "nobody waited for it" in ended.out
