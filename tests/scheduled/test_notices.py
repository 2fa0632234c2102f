"""What people hear of a night: through a real receiver, each thing once, and nothing of it is lost when a run dies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.alert.stage import AlertStage, bodies, hook, subjects, times
from tests.scheduled.nights import CLUSTER, NIGHT, STAGED, asked, at, go_to, row, scheduled

ALERT = f"alert: {{receivers: {{{hook()}}}}}\n"
DEAF = {**CLUSTER, "guests": [dict(one, acpi=False) if one["vmid"] == 200 else one for one in CLUSTER["guests"]]}
pytestmark = pytest.mark.slow


class Killed(BaseException):
    """The process is gone: nothing catches this."""


def _die(*_: object, **__: object) -> None:
    raise Killed


@contextmanager
def _before_ten(folder: Path, pvectl: str = NIGHT, cluster: Mapping[str, Any] = CLUSTER) -> Iterator[AlertStage]:
    with AlertStage(folder, cluster, start=at("2026-12-01 21:55")) as stage:
        stage.configure(pvectl + ALERT)
        stage.receiver()
        assert scheduled(stage).code == 0
        yield stage
        assert set(times(stage.heard["hook"]).values()) <= {1}


def _told(stage: AlertStage) -> list[tuple[str, str, str]]:
    """What was heard: subject, severity, text."""
    heard = stage.heard["hook"]
    severities = [(body["severity"], body["text"]) for body in bodies(heard).values()]
    return [(subject.removesuffix(" [lab]"), *rest) for subject, rest in zip(subjects(heard), severities, strict=True)]


def _killed(stage: AlertStage, at_second: float) -> None:
    stage.clock.at(stage.now + at_second, _die)
    with pytest.raises(Killed):
        scheduled(stage)


def test_a_night_that_is_done_is_told_once(tmp_path: Path) -> None:
    with _before_ten(tmp_path) as stage:
        for moment in ("22:00", "22:05", "22:40"):
            go_to(stage, moment)
            assert scheduled(stage).code == 0
        assert _told(stage) == [("night: 3 guests shut down", "ok", "Tue 2026-12-01 22:00 is done.")]


def test_s22_who_is_not_off_is_named_with_what_to_do_about_it(tmp_path: Path) -> None:
    with _before_ten(tmp_path, STAGED, DEAF) as stage:
        go_to(stage, "22:00")
        ended = scheduled(stage)
        ((subject, severity, text),) = _told(stage)
        assert (subject, severity) == ("night was carried out in part", "warning")
        assert "not every guest of the stage 'desks' is off: 200 (timed-out)" in text
        assert "Not off: 200 (desk), 300 (app). By hand: pvectl vm shutdown 200 300. Why: pvectl explain" in text
        assert text.endswith(row(ended)["decision_id"])


def test_what_somebody_wants_on_is_no_warning(tmp_path: Path) -> None:
    with _before_ten(tmp_path, STAGED) as stage:
        go_to(stage, "22:00")
        stage.hold("guest/200", 3600)
        scheduled(stage)
        ((subject, severity, text),) = _told(stage)
        assert (subject, severity) == ("night was carried out in part", "ok")
        assert "By hand" not in text


def test_s16_times_that_were_missed_are_one_message(tmp_path: Path) -> None:
    with _before_ten(tmp_path) as stage:
        go_to(stage, "2026-12-05 07:00")
        scheduled(stage)
        stage.advance(300)
        scheduled(stage)
        ((subject, severity, text),) = _told(stage)
        assert (subject, severity) == ("night was missed, and nothing was shut down", "warning")
        assert "Missed 4 times in a row, the last one Fri 2026-12-04 22:00" in text


def test_s30_a_night_that_could_not_be_gone_on_with_is_told_with_who_was_left(tmp_path: Path) -> None:
    with _before_ten(tmp_path, STAGED) as stage:
        go_to(stage, "22:00")
        _killed(stage, 20)
        go_to(stage, "22:31")
        assert scheduled(stage).code == 1
        ((subject, severity, text),) = _told(stage)
        assert (subject, severity) == ("night failed", "warning")
        assert "Not off: 300 (app). By hand: pvectl vm shutdown 300" in text


def test_nights_and_nodes_are_told_each_and_a_run_that_died_in_between_loses_neither(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = NIGHT + "      then_power_off: [pve2]\nidle_check: {nodes: [pve2], min_uptime: 0, self: elsewhere}\n"
    with _before_ten(tmp_path, text) as stage:
        go_to(stage, "22:00")
        with monkeypatch.context() as patch:
            patch.setattr("pvectl.cli.announcing.send_announced", _die)
            with pytest.raises(Killed):
                scheduled(stage)
        assert (_told(stage), len(stage.waiting())) == ([], 2)
        go_to(stage, "22:05")
        scheduled(stage)
        assert {subject for subject, *_ in _told(stage)} == {"pve2 is off", "night: 3 guests shut down"}


def test_s30_an_end_that_was_not_written_down_was_not_told_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with _before_ten(tmp_path) as stage:
        go_to(stage, "22:00")
        with monkeypatch.context() as patch:
            patch.setattr("pvectl.store.alerts.Alerts.put_rows", _die)
            with pytest.raises(Killed):
                scheduled(stage)
        assert stage.rows() == ()
        go_to(stage, "22:05")
        assert row(scheduled(stage))["state"] == "done"
        assert sorted(asked(stage)) == [200, 201, 300]
        assert len(_told(stage)) == 1


def test_s18_nobody_hears_of_a_rehearsal(tmp_path: Path) -> None:
    with _before_ten(tmp_path, NIGHT.replace("  schedules:", "  dry_run: true\n  schedules:")) as stage:
        go_to(stage, "22:00")
        assert row(scheduled(stage))["state"] == "done"
        scheduled(stage, "--dry-run")
        assert stage.rows() == ()


def test_a_receiver_that_cannot_be_reached_keeps_nobody_up_and_is_told_of(tmp_path: Path) -> None:
    with _before_ten(tmp_path) as stage:
        stage.secret(hook="http://127.0.0.1:1/hook")
        go_to(stage, "22:00")
        ended = scheduled(stage)
        assert (ended.code, row(ended)["state"]) == (0, "done")
        assert "receiver hook was not told" in ended.err


def _interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(("cluster", "code"), [(CLUSTER, 0), (DEAF, 1)], ids=["done", "partial"])
def test_interrupted_while_it_tells_people_a_run_reports_what_it_did_with_its_own_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster: Mapping[str, Any], code: int
) -> None:
    with _before_ten(tmp_path, STAGED, cluster) as stage:
        go_to(stage, "22:00")
        with monkeypatch.context() as patch:
            patch.setattr("pvectl.cli.alerts.run.sent", _interrupted)
            ended = scheduled(stage)
        assert (ended.code, row(ended)["state"]) == (code, "partial" if code else "done")
        assert "interrupted before everybody was told; the next run goes on with it" in ended.err
        go_to(stage, "22:05")
        assert scheduled(stage).code == 0
        assert len(_told(stage)) == 1


def _wordless(*_: object, **__: object) -> str:
    raise ValueError("no words")


@pytest.mark.parametrize("where", ["schedules.notices.clean", "idle.notices.clean"])
def test_a_mistake_in_words_leaves_what_was_done_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    text = NIGHT + "      then_power_off: [pve2]\nidle_check: {nodes: [pve2], min_uptime: 0, self: elsewhere}\n"
    with _before_ten(tmp_path, text) as stage:
        monkeypatch.setattr(f"pvectl.cli.{where}", _wordless)
        go_to(stage, "22:00")
        ended = scheduled(stage)
        assert (ended.code, row(ended)["state"], len(stage.power_offs())) == (0, "done", 1), ended.err
        assert "notice.failed" in ended.err
        go_to(stage, "22:05")
        assert row(scheduled(stage))["state"] == "future"


@pytest.mark.parametrize("job", ["idle-check", "scheduled-shutdown"])
def test_s31_a_mistake_in_words_does_not_hide_that_the_state_file_was_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, job: str
) -> None:
    text = NIGHT + "idle_check: {nodes: [pve2], min_uptime: 0, self: elsewhere}\n"
    with _before_ten(tmp_path, text) as stage:
        (file,) = stage.state.rglob("state.db")
        file.write_bytes(b"nothing that can be read" * 100)
        monkeypatch.setattr("pvectl.cli.idle.notices.clean", _wordless)
        assert stage.pvectl(job).code == 65


def test_a_night_whose_run_died_when_all_was_done_but_to_say_so_is_told_as_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = NIGHT + "      then_power_off: [pve2]\nidle_check: {nodes: [pve2], min_uptime: 0, self: elsewhere}\n"
    with _before_ten(tmp_path, text) as stage:
        go_to(stage, "22:00")
        with monkeypatch.context() as patch:
            patch.setattr("pvectl.core.schedules.ledger.finish", _die)
            with pytest.raises(Killed):
                scheduled(stage)
        go_to(stage, "22:31")
        assert scheduled(stage).code == 0
        assert [told[:2] for told in _told(stage)] == [("pve2 is off", "ok"), ("night: 3 guests shut down", "ok")]
