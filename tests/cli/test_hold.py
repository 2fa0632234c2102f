"""`pvectl hold`: what is held stays on, whoever forgets about it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.stages import Stage

SCENARIO = {
    "nodes": {"pve1": {}, "pve2": {}, "pve3": {}},
    "guests": [{"vmid": 110, "node": "pve2", "name": "db", "status": "running"}],
}


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Stage(tmp_path, SCENARIO, pvectl="idle_check: {nodes: [pve2], self: elsewhere}") as opened:
        yield opened


def test_a_hold_says_until_when_and_how_to_end_it(stage: Stage) -> None:
    ended = stage.pvectl("hold", "add", "pve2", "--for", "2h", "--reason", "Anna renders")
    assert ended.code == 0, ended.err
    assert "pve2 stays on until" in ended.out
    assert "(2h): Anna renders" in ended.out
    listed = stage.pvectl("hold", "list", "-o", "json").json["data"]
    assert [(one["subject"], one["left_s"], one["reason"]) for one in listed] == [("node/pve2", 7200, "Anna renders")]
    assert f"pvectl hold remove {listed[0]['id']}" in ended.out


def test_s25_a_hold_ends_by_itself_after_eight_hours_unless_told(stage: Stage) -> None:
    stage.pvectl("hold", "add", "110", "--reason", "copying")
    stage.advance(8 * 3600 - 1)
    assert [one["subject"] for one in stage.pvectl("hold", "list", "-o", "json").json["data"]] == ["guest/110"]
    stage.advance(1)
    assert stage.pvectl("hold", "list").out == "nothing is held\n"


def test_s25_a_held_node_and_a_node_with_a_held_guest_stay_on(stage: Stage) -> None:
    stage.cluster.set_tags(110, "safe-shutdown")
    for subject, reason in (("pve2", "held"), ("110", "held")):
        stage.pvectl("hold", "add", subject, "--for", "1h", "--reason", "film")
        decided = stage.pvectl("idle-check", "-o", "json").json["data"][0]
        assert (decided["verdict"], decided["reason"], decided["phase"]) == ("keep", reason, "held")
        assert stage.pvectl("hold", "remove", subject).code == 0
    after = stage.pvectl("idle-check", "-o", "json").json["data"][0]
    assert (after["verdict"], after["phase"]) == ("wait", "idle"), after


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("pve22", "--reason", "x"), "there is no node 'pve22'; nothing is held\nhint: the nodes are pve1, pve2, pve3; "),
        (("db", "--reason", "x"), "there is no node 'db'; nothing is held\nhint: guest 110 (db): name it by its vmid"),
        (("111", "--reason", "x"), "there is no guest 111; nothing is held"),
        (("pve2", "--reason", " "), "--reason: say why"),
        (("pve2", "--reason", "x", "--for", "8d"), "a hold lasts 7 days at most"),
        (("pve2", "--reason", "x", "--for", "soon"), "--for: "),
        (("pve2", "--reason", "x", "--until", "25:00"), "--until: expected a time like 18:00"),
        (("pve2", "--reason", "x", "--until", "2020-01-01 10:00"), "is over already"),
        (("pve2", "--reason", "x", "--until", "18:00", "--for", "1h"), "give one of the two"),
    ],
)
def test_a_hold_that_would_hold_nothing_is_refused(stage: Stage, words: tuple[str, ...], complaint: str) -> None:
    ended = stage.pvectl("hold", "add", *words)
    assert ended.code == 2
    assert complaint in ended.err
    assert stage.pvectl("hold", "list").out == "nothing is held\n"


def test_a_time_of_day_is_the_next_one_that_comes(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        # it is 19:00 in Berlin on this stage
        for word, expected in (
            ("19:30", "2026-12-01T18:30:00Z"),
            ("18:30", "2026-12-02T17:30:00Z"),
            ("2026-12-03 07:00", "2026-12-03T06:00:00Z"),
        ):
            added = stage.pvectl("hold", "add", "pve2", "--until", word, "--reason", "x", "-o", "json").json["data"]
            assert added[0]["until"] == expected
    finally:
        monkeypatch.undo()
        time.tzset()


def test_what_is_not_held_cannot_be_let_go_of(stage: Stage) -> None:
    stage.pvectl("hold", "add", "pve1", "--reason", "x")
    ended = stage.pvectl("hold", "remove", "pve2")
    assert ended.code == 2
    assert "there is no hold 'pve2'" in ended.err
    assert "(pve1)" in ended.err


def test_while_the_cluster_does_not_answer_a_configured_node_can_still_be_held(stage: Stage) -> None:
    for node in ("pve1", "pve2", "pve3"):
        stage.server.fault("reset", node=node)
    held = stage.pvectl("hold", "add", "pve2", "--reason", "nobody knows")
    assert held.code == 0, held.err
    assert "whether pve2 exists could not be checked" in held.err
    assert stage.pvectl("hold", "add", "pve9", "--reason", "x").code == 69


def test_control_codes_in_a_reason_reach_no_terminal(stage: Stage) -> None:
    stage.pvectl("hold", "add", "pve2", "--reason", "nice\x1b]52;c;ZXZpbA==\x07try")
    for words in (("hold", "list"), ("hold", "list", "-o", "csv"), ("history",), ("idle-check",)):
        assert "\x1b" not in stage.pvectl(*words).out


def test_s25_a_hold_that_no_job_has_looked_for_yet_says_so(stage: Stage) -> None:
    """Placed on another machine than the timer's, or by another user, it would keep nothing on."""
    first = stage.pvectl("hold", "add", "pve2", "--reason", "film")
    assert first.code == 0
    assert f"no job has run yet with the state in {stage.state}" in first.err
    stage.pvectl("idle-check")
    assert stage.pvectl("hold", "add", "pve2", "--reason", "film").err == ""


def test_a_held_guest_shows_the_hold_wherever_it_is_told(stage: Stage) -> None:
    stage.pvectl("hold", "add", "110", "--for", "2h", "--reason", "Anna renders")
    page = stage.pvectl("vm", "show", "110").out
    assert re.search(r"vm shutdown +held until .* by .*: Anna renders", page)
    added = next(line for line in stage.pvectl("history").out.splitlines() if "hold added" in line)
    assert "Anna renders (placed by " in added
    assert ", until " in added
    assert stage.pvectl("hold", "list", "-o", "json").json["cluster"] == "lab"
    titles, row = stage.pvectl("hold", "list", "-o", "csv").out.splitlines()
    assert titles == "id,subject,until,left_s,reason,who,made_at"
    assert ",guest/110," in row
