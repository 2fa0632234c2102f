"""`pvectl explain` and `pvectl history`: every decision can be made once more, and every act is told."""

from pathlib import Path

import pytest

from tests.idle.days import about_to_act, idle_check


def test_s32_a_decision_is_made_once_more_from_what_was_kept(tmp_path: Path) -> None:
    with about_to_act(tmp_path) as stage:
        acted = idle_check(stage).json["data"][0]
        assert [action["status"] for action in acted["actions"]] == ["done", "done", "done"]
        kept = idle_check(stage).json["data"][0]
        for decided in (acted, kept):
            explained = stage.pvectl("explain", decided["decision_id"], "-o", "json")
            assert explained.code == 0, explained.err
            data = explained.json["data"]
            assert (data["verdict"], data["reason"], data["replayed"]) == (decided["verdict"], decided["reason"], True)
        page = stage.pvectl("explain", acted["decision_id"]).out
    assert "pve2 has been idle for" in page
    assert "made once more from this evidence: the same decision" in page
    assert "power-off" in page
    assert "/nodes/pve2/qemu" in page


@pytest.mark.slow
def test_s32_the_history_tells_every_request_with_its_outcome(tmp_path: Path) -> None:
    with about_to_act(tmp_path) as stage:
        idle_check(stage)
        sent = [record.path for record in stage.server.writes()]
        told = stage.pvectl("history", "-o", "json").json["data"]
    actions = [(one["verb"], one["subject"], one["status"]) for one in reversed(told) if one["what"] == "action"]
    assert sorted(actions) == [("power-off", "node/pve2", "done"), ("shutdown", "guest/200", "done"), ("shutdown", "guest/201", "done")]
    assert len(sent) == len(actions)
    assert actions[-1][0] == "power-off"


def test_s32_the_last_look_before_a_power_off_can_be_explained_as_well(tmp_path: Path) -> None:
    with about_to_act(tmp_path) as stage:
        idle_check(stage)
        looks = [one["id"] for one in stage.pvectl("history", "-o", "json").json["data"] if one["phase"] == "last-look"]
        explained = stage.pvectl("explain", looks[0], "-o", "json")
    assert explained.code == 0, explained.err
    assert explained.json["data"]["kept"]["kept"] == "look"
    assert explained.json["data"]["replayed"] is True


def test_what_was_asked_for_at_the_command_line_is_told_too(tmp_path: Path) -> None:
    with about_to_act(tmp_path) as stage:
        assert stage.pvectl("vm", "shutdown", "201", "--yes").code == 0
        told = [one for one in stage.pvectl("history", "201", "-o", "json").json["data"] if one["what"] == "action"]
        assert [(one["job"], one["verb"], one["status"]) for one in told] == [("vm-shutdown", "shutdown", "done")]
        explained = stage.pvectl("explain", told[0]["decision_id"])
    assert explained.code == 0, explained.err
    assert "somebody asked for it: Shut down 1 guest" in explained.out


def test_an_id_nobody_gave_is_a_mistake(tmp_path: Path) -> None:
    with about_to_act(tmp_path) as stage:
        ended = stage.pvectl("explain", "zzzzzzzz")
        assert ended.code == 2
        assert "there is no decision 'zzzzzzzz'" in ended.err
        assert stage.pvectl("history", "--since", "soon").code == 2
        assert stage.pvectl("history", "nosuch").out == "nothing happened in the last 7d to nosuch\n"


def test_reading_commands_leave_no_trace_where_nothing_was_ever_kept(tmp_path: Path) -> None:
    with about_to_act(tmp_path) as stage:
        empty = tmp_path / "nothing"
        for words in (("history",), ("hold", "list"), ("node", "list"), ("vm", "show", "100")):
            ended = stage.pvectl(*words, "--state-dir", str(empty))
            assert ended.code == 0, ended.err
        assert not empty.exists()
