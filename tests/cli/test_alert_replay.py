"""`pvectl alert replay|export`: what other rules would have sent, and the same rules for Prometheus."""

from __future__ import annotations

import csv
import io
import json
import shutil
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from msgspec.structs import replace

from pvectl.cli.alerts import replay as alert_replay
from pvectl.core.alerts.looks import is_whole, look_of
from pvectl.core.alerts.notification import notice
from pvectl.core.alerts.outbox import Row, State
from pvectl.core.alerts.silence import Silence
from pvectl.core.monitor.checks.evaluation import Evaluation
from tests.cli.alerts.desk import CANARY, DOWN, FULL, NOON, Desk
from tests.cli.test_alert_run import LAB, configure, minutes, switch
from tests.core.alerts.runs import saw
from tests.notify.listening import listening
from tests.support.stages import Stage

FINE = saw(fine={"node.offline": ["node/pve2"], "storage.usage": ["storage/nfs"]})
BOTH, ONE = saw(DOWN, FULL), saw(FULL, fine={"node.offline": ["node/pve2"]})
DAY = [FINE, *[BOTH] * 8, *[ONE] * 8, FINE]
RECEIVERS = "receivers: {phone: {type: ntfy, topic: {secret: topic}}}\n"
KEEP = "keep_firing_for: 5m\n"


class Night(Desk):
    """A desk whose runs keep what they saw."""

    whole: str | None = None

    def keep(self, evaluation: Evaluation) -> None:
        look = look_of(replace(evaluation, taken_at=self.clock.now()), self.whole)
        self.whole = look if is_whole(look) else self.whole
        with self.opened() as alerts:
            alerts.keep_look(self.clock.now(), look)

    def live(self, *evaluations: Evaluation) -> None:
        for evaluation in evaluations:
            self.run(evaluation)
            self.keep(evaluation)
            self.advance(60)


@pytest.fixture(autouse=True)
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(scope="module")
def lived_through(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    """A fine run at noon; a node and a storage are bad for eight minutes, the storage for eight more; then everything is fine."""
    desk = Night(tmp_path_factory.mktemp("night"))
    desk.live(*DAY)
    desk.advance(24 * 3600)
    yield desk
    desk.close()


@pytest.fixture
def night(tmp_path: Path, lived_through: Night) -> Iterator[Night]:
    """The same at a desk of its own."""
    desk = Night(tmp_path)
    shutil.copytree(lived_through.state, desk.state)
    desk.clock.at = lived_through.clock.at
    desk.home.env["TZ"] = "Europe/Berlin"
    yield desk
    desk.close()


def rules(desk: Desk, text: str) -> str:
    file = desk.home.folder / "rules.yml"
    file.write_text(text)
    return str(file)


def test_the_rules_in_force_would_have_sent_what_was_sent(night: Night) -> None:
    ended = night.pvectl("alert", "replay", "--rules", str(night.home.config / "pvectl.yml"), "--since", "2d")
    assert (ended.code, ended.err) == (0, "pvectl: nothing older than 2026-11-22 13:00 is kept; what was bad then comes in one message\n")
    assert ended.out.splitlines() == [
        "since 2026-11-21 13:18 CET, by the rules in force, from 18 runs:",
        "",
        "WHEN              RECEIVER  SUBJECT",
        "2026-11-22 13:03  mail      critical: node pve2 is offline [lab]",
        "2026-11-22 13:03  phone     critical: node pve2 is offline [lab]",
        "2026-11-22 13:06  mail      warning: storage nfs is 87% full [lab]",
        "2026-11-22 13:06  phone     warning: storage nfs is 87% full [lab]",
        "2026-11-22 13:14  mail      over, after 13m: node pve2 is offline [lab]",
        "2026-11-22 13:14  phone     over, after 13m: node pve2 is offline [lab]",
        "",
        "mail: 3 messages, just what was sent",
        "phone: 3 messages, just what was sent",
    ]


def test_other_rules_are_told_by_what_they_change(night: Night) -> None:
    text = "alert:\n  rules: [{checks: storage.*, for: 10m, keep_firing_for: 0}]\n  tz: America/New_York\n"
    text += "  keep_firing_for: 5m\n  " + RECEIVERS
    ended = night.pvectl("alert", "replay", "--rules", rules(night, text), "--since", "2026-11-22")
    assert ended.out.splitlines() == [
        "since 2026-11-21 18:00 EST, by these rules, from 18 runs:",
        "",
        "WHEN              RECEIVER  SUBJECT",
        "2026-11-22 07:03  phone     critical: node pve2 is offline [lab]",
        "2026-11-22 07:11  phone     warning: storage nfs is 87% full [lab]",
        "2026-11-22 07:14  phone     over, after 13m: node pve2 is offline [lab]",
        "2026-11-22 07:17  phone     over, after 16m: storage nfs is 87% full [lab]",
        "",
        "phone: 4 messages; 3 were sent, all of them alike",
        "mail: no message; 3 were sent, none of them alike",
    ]
    assert ended.err == "pvectl: nothing older than 2026-11-22 07:00 is kept; what was bad then comes in one message\n"


def test_a_machine_reads_the_messages_whole(night: Night) -> None:
    ended = night.pvectl("alert", "replay", "--rules", rules(night, RECEIVERS + KEEP), "-o", "json")
    data = ended.json["data"]
    assert (data["current"], data["runs"], data["unreadable"], data["zone"]) == (False, 18, 0, "Europe/Berlin")
    first = data["messages"][0]
    assert (first["at"], first["receiver"], first["kind"], first["severity"]) == ("2026-11-22T12:03:00Z", "phone", "firing", "critical")
    assert first["findings"] == ["node.offline/node/pve2"]
    assert "pvectl node wake pve2" in first["text"]
    assert data["receivers"] == [
        {"receiver": "phone", "would_get": 3, "was_sent": 3, "alike": 3},
        {"receiver": "mail", "would_get": 0, "was_sent": 3, "alike": 0},
    ]
    assert not json.dumps(data).count(CANARY)


def test_a_spreadsheet_gets_a_line_for_each_message(night: Night) -> None:
    ended = night.pvectl("alert", "replay", "--rules", rules(night, RECEIVERS + KEEP), "-o", "csv")
    titles, first, _second, third = csv.reader(io.StringIO(ended.out))
    assert titles == ["when", "receiver", "kind", "severity", "subject"]
    assert first == ["2026-11-22T12:03:00+00:00", "phone", "firing", "critical", "critical: node pve2 is offline [lab]"]
    assert third[2] == "resolved"


def test_rules_without_receivers_go_to_those_of_the_configuration(night: Night) -> None:
    ended = night.pvectl("alert", "replay", "--rules", rules(night, KEEP + "unknown_for: 2h\n"))
    assert "rules.yml names no receivers; those of pvectl.yml were taken\n" in ended.err
    assert ended.out.splitlines()[-1] == "phone: 3 messages, just what was sent"
    night.configure("alert: {}\n")
    ended = night.pvectl("alert", "replay", "--rules", rules(night, "# nothing\n"))
    assert "names no receivers, and neither does pvectl.yml, so nobody would be told" in ended.err
    assert "\nno message\n" in ended.out


@pytest.mark.slow
def test_a_template_words_the_messages_of_its_rule(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    text = RECEIVERS + KEEP + "templates: {terse: {subject: 'TERSE {{ object }}'}}\n"
    text += "rules: [{checks: node.*, template: terse}, {receivers: []}]\n"
    ended = night.pvectl("alert", "replay", "--rules", rules(night, text), "-o", "json")
    assert [(row["template"], row["subject"]) for row in ended.json["data"]["messages"]] == [("terse", "TERSE node/pve2")] * 2
    monkeypatch.setattr(alert_replay, "_WORDED", 1)
    ended = night.pvectl("alert", "replay", "--rules", rules(night, text), "-o", "json")
    assert [row["subject"] for row in ended.json["data"]["messages"]] == ["TERSE node/pve2", "over, after 13m: node pve2 is offline [lab]"]
    assert "of the messages with a template the first 1 are in its words" in ended.err


def test_what_is_wrong_in_the_file_is_told_with_its_place(night: Night) -> None:
    path = rules(night, RECEIVERS + "rules:\n  - {checks: nod.*, fro: 5m}\n  - {receivers: [phnoe]}\n")
    ended = night.pvectl("alert", "replay", "--rules", path)
    assert (ended.code, ended.out) == (78, "")
    assert [line for line in ended.err.splitlines() if line.startswith("pvectl: ")] == [
        f"pvectl: {path}:3:5: rules[0].checks[0]: there is no check 'nod.*'",
        f"pvectl: {path}:3:21: rules[0].fro: unknown key",
        f"pvectl: {path}:4:18: rules[1].receivers[0]: there is no receiver 'phnoe'",
    ]
    assert "did you mean for?" in ended.err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("alerts: {}\n", "did you mean alert?"),
        ("receivers: [\n", "is not YAML"),
        ("- 1\n", "expected a map"),
        ("alert: {receivers: {phone: {type: ntfy, topic: tk_in_the_clear}}}\n", "a secret does not stand in this file"),
    ],
)
def test_a_file_that_is_none_is_told(night: Night, text: str, told: str) -> None:
    ended = night.pvectl("alert", "replay", "--rules", rules(night, text))
    assert (ended.code, ended.out) == (78, "")
    assert told in ended.err
    assert "tk_in_the_clear" not in ended.err


def test_a_file_that_cannot_be_read_is_told(night: Night) -> None:
    folder = night.home.folder
    assert "there is no file" in night.pvectl("alert", "replay", "--rules", f"{folder}/none.yml").err
    assert "there is no file" in night.pvectl("alert", "replay", "--rules", str(folder)).err
    assert "is larger than 256 KiB" in night.pvectl("alert", "replay", "--rules", rules(night, "#" * 300_000)).err


@pytest.mark.parametrize("since", ["2027-01-01", "soon", "0s"])
def test_a_time_that_is_none_is_told(night: Night, since: str) -> None:
    ended = night.pvectl("alert", "replay", "--rules", rules(night, RECEIVERS + KEEP), "--since", since)
    assert ended.code == 2
    assert "--since" in ended.err


def test_only_what_was_asked_for_is_shown_and_the_day_before_it_counts_as_known(night: Night) -> None:
    ended = night.pvectl("alert", "replay", "--rules", rules(night, RECEIVERS + KEEP), "--since", "2026-11-22 13:10", "-o", "json")
    data = ended.json["data"]
    assert ([row["kind"] for row in data["messages"]], data["runs"]) == (["resolved"], 8)
    assert "is kept; what was bad" not in ended.err


def test_looks_that_cannot_be_read_are_left_out_and_said(night: Night) -> None:
    with night.opened() as alerts:
        alerts.keep_look(NOON + timedelta(seconds=90), "c1.00000000.AAAA")
    ended = night.pvectl("alert", "replay", "--rules", rules(night, RECEIVERS + KEEP))
    assert "what 1 run saw could not be read, and is left out" in ended.err
    assert "2026-11-22 13:03  phone" in ended.out


def test_without_looks_it_says_where_they_come_from(tmp_path: Path) -> None:
    desk = Night(tmp_path)
    ended = desk.pvectl("alert", "replay", "--rules", rules(desk, RECEIVERS))
    assert ended.out == "nothing is kept of that time; every pvectl alert run keeps what it saw for 8 days\n"
    assert ended.code == 0
    assert not desk.state.exists()
    desk.close()


def test_silences_hold_and_notices_and_trials_are_no_messages_of_rules(night: Night) -> None:
    def sent(row: Row) -> Row:
        return replace(row, state=State.SENT, ended_at=NOON + timedelta(minutes=5))

    hidden = Silence(id="s", checks=("node.*",), until=NOON + timedelta(days=1), author="ann", reason="x", made_at=NOON)
    said = notice("phone", "pve2 goes off", "soon", cluster="lab", key="k", made_at=NOON)
    with night.opened() as alerts:
        (first, *_rest) = [row for row in alerts.rows() if row.receiver == "phone"]
        story = first.notification.stories[0]
        trial = replace(first.notification, id="0" * 32, stories=(replace(story, finding=replace(story.finding, object="test")),))
        alerts.put_rows(*(sent(Row(notification=each, queued_at=NOON, waiting_since=NOON)) for each in (said, trial)))
        alerts.add_silence(hidden)
    ended = night.pvectl("alert", "replay", "--rules", str(night.home.config / "pvectl.yml"), "-o", "json")
    assert ended.json["data"]["current"]
    assert ended.json["data"]["receivers"][1] == {"receiver": "phone", "would_get": 1, "was_sent": 3, "alike": 1}
    assert "acknowledgements, receivers that failed" in ended.err


def test_a_narrow_terminal_shows_all_of_a_subject(night: Night) -> None:
    ended = night.pvectl("alert", "replay", "--rules", rules(night, RECEIVERS + KEEP), terminal=60)
    assert max(map(len, ended.out.splitlines()[2:])) <= 60
    assert "critical: node pve2 is" in ended.out


def test_the_export_is_a_rule_file_and_nothing_else(night: Night) -> None:
    ended = night.pvectl("alert", "export", "prometheus")
    assert (ended.code, ended.err) == (0, "")
    (group,) = yaml.safe_load(ended.out)["groups"]
    nodes = [rule for rule in group["rules"] if rule["labels"].get("rule") == "nodes"]
    assert group["name"] == "pvectl-lab"
    assert {rule["for"] for rule in nodes} == {"120s"}
    machine = night.pvectl("alert", "export", "prometheus", "-o", "json").json["data"]
    assert machine == {"rule_file": ended.out}


def test_the_export_says_what_a_mirror_beside_it_would_do(night: Night) -> None:
    night.configure("alert: {receivers: {am: {type: alertmanager, url: 'http://127.0.0.1:9093'}}}\n")
    ended = night.pvectl("alert", "export", "prometheus")
    assert "receiver am would be told everything twice" in ended.err


@pytest.mark.slow
def test_a_week_at_a_run_a_minute_is_replayed_whole(night: Night) -> None:
    begin = night.clock.at - timedelta(days=7)
    whole: str | None = None
    with night.opened() as alerts, alerts.transaction():
        for minute in range(7 * 1440):
            at = begin + timedelta(minutes=minute)
            look = look_of(replace(BOTH if minute % 60 < 10 else FINE, taken_at=at), whole)
            whole = look if is_whole(look) else whole
            alerts.keep_look(at, look)
    data = night.pvectl("alert", "replay", "--rules", rules(night, RECEIVERS + KEEP), "-o", "json").json["data"]
    assert data["runs"] >= 7 * 1440
    # the node flaps, and is told so
    assert "flapping" in {row["kind"] for row in data["messages"]} or len(data["messages"]) > 100


@pytest.mark.slow
def test_what_real_runs_sent_is_what_their_own_looks_replay(tmp_path: Path) -> None:
    """A node of a simulated cluster goes down and comes back; a real receiver hears of it, and the replay says the same."""
    with listening() as hook, Stage(tmp_path, LAB) as stage:
        configure(stage, hook)
        minutes(stage, 2)
        switch(stage, "pve2", off=True)
        minutes(stage, 8)
        switch(stage, "pve2", off=False)
        minutes(stage, 9)
        ended = stage.pvectl("alert", "replay", "--rules", str(stage.home.config / "pvectl.yml"), "--since", "1h", "-o", "json")
        data = ended.json["data"]
        assert (data["current"], data["runs"], data["unreadable"]) == (True, 19, 0)
        assert [(row["kind"], row["findings"]) for row in data["messages"]] == [
            ("firing", ["node.offline/node/pve2"]),
            ("resolved", ["node.offline/node/pve2"]),
        ]
        assert data["receivers"] == [{"receiver": "ops", "would_get": 2, "was_sent": 2, "alike": 2}]
        assert len(hook.requests) == 2
