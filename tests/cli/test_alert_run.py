"""`alert run` against the simulated cluster and a real receiver: told once, told when it is over, and nothing lost in between."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_mock import MockerFixture

from tests.notify.listening import Act, Listener, answering, listening
from tests.support.commands import Ended
from tests.support.stages import Stage

LAB: dict[str, Any] = {
    "name": "lab",
    "nodes": {"pve1": {}, "pve2": {}, "pve3": {}},
    "guests": [{"vmid": 100, "type": "qemu", "node": "pve1", "name": "db", "status": "running", "tags": "prod"}],
}
SETTINGS = """
monitor: {{disable: ["backup.*", "self.coverage", "cluster.*", "guest.*", "storage.*", "task.*"]}}
alert:
  keep_firing_for: 5m
  receivers:
    ops: {{type: webhook, url: {{file: {file}}}, body: raw}}
"""


@pytest.fixture
def hook() -> Iterator[Listener]:
    with listening() as listener:
        yield listener


@pytest.fixture
def stage(tmp_path: Path, hook: Listener) -> Iterator[Stage]:
    with Stage(tmp_path, LAB) as stage:
        configure(stage, hook)
        yield stage


def configure(stage: Stage, hook: Listener, more: str = "") -> None:
    file = stage.home.folder / "hook.url"
    file.write_text(hook.url())
    file.chmod(0o600)
    stage.configure(SETTINGS.format(file=file) + more)


def told(hook: Listener) -> list[tuple[str, str]]:
    return [(body["status"], body["subject"]) for body in (heard.json() for heard in hook.requests)]


def minutes(stage: Stage, count: int, *words: str) -> list[Ended]:
    """A run a minute."""
    ended = []
    for _ in range(count):
        ended.append(stage.pvectl("alert", "run", *words))
        stage.advance(60)
    return ended


def switch(stage: Stage, node: str, *, off: bool) -> None:
    if off:
        stage.ask_as_admin("POST", f"/nodes/{node}/status", command="shutdown")
    else:
        stage.cluster.wake(node)
    stage.advance(120)


def test_a_node_that_goes_down_is_told_once_and_once_that_it_is_back(stage: Stage, hook: Listener) -> None:
    minutes(stage, 2)
    assert told(hook) == []
    switch(stage, "pve2", off=True)
    minutes(stage, 10)
    assert [status for status, _ in told(hook)] == ["firing"]
    assert "pve2" in told(hook)[0][1]
    switch(stage, "pve2", off=False)
    minutes(stage, 10)
    assert [status for status, _ in told(hook)] == ["firing", "resolved"]
    assert len({heard.headers["webhook-id"] for heard in hook.requests}) == 2


def test_a_rehearsal_tells_nobody_and_keeps_nothing(stage: Stage, hook: Listener) -> None:
    switch(stage, "pve2", off=True)
    ended = stage.pvectl("alert", "run", "--dry-run")
    assert ended.code == 0
    assert "would tell ops:" in ended.out
    assert "pve2" in ended.out
    assert not hook.requests
    assert not stage.state_file.exists()


def test_a_receiver_that_fails_gets_it_later_and_the_exit_code_says_so_meanwhile(stage: Stage, hook: Listener) -> None:
    hook.act = answering("500 Internal Server Error")
    switch(stage, "pve2", off=True)
    first = stage.pvectl("alert", "run")
    assert first.code == 1
    assert "not delivered to ops yet" in first.out
    assert "HTTP 500" in first.out
    hook.act = answering()
    stage.advance(60)
    second = stage.pvectl("alert", "run")
    assert (second.code, "told ops:" in second.out) == (0, True)
    assert len({heard.headers["webhook-id"] for heard in hook.requests}) == 1


def test_the_monitor_tells_too_that_messages_wait(stage: Stage, hook: Listener) -> None:
    hook.act = answering("500 Internal Server Error")
    switch(stage, "pve2", off=True)
    stage.pvectl("alert", "run")
    stage.advance(2 * 3600)
    found = stage.pvectl("monitor", "--only", "self.delivery", "-o", "json").json["data"]["checks"]
    assert [(each["id"], each["status"]) for each in found] == [("self.delivery/outbox", "critical")]


def test_a_receiver_that_refuses_for_good_is_told_through_the_other(tmp_path: Path, hook: Listener) -> None:
    with listening(answering("401 Unauthorized")) as closed, Stage(tmp_path, LAB) as stage:
        file = stage.home.folder / "closed.url"
        file.write_text(closed.url())
        file.chmod(0o600)
        configure(stage, hook, f"    chat: {{type: webhook, url: {{file: {file}}}}}\n")
        switch(stage, "pve2", off=True)
        first = stage.pvectl("alert", "run")
        assert any("receiver chat takes no messages" in subject for _, subject in told(hook))
        stage.advance(60)
        second = stage.pvectl("alert", "run")
    assert first.code == 1
    assert "receiver chat takes no messages: HTTP 401" in first.out
    assert len([subject for _, subject in told(hook) if "receiver chat takes no messages" in subject]) == 1
    assert second.code == 1


def test_when_nobody_can_look_that_is_told_and_what_waits_is_still_sent(stage: Stage, hook: Listener) -> None:
    hook.act = answering("503 Service Unavailable")
    switch(stage, "pve2", off=True)
    assert stage.pvectl("alert", "run").code == 1
    hook.act = answering()
    stage.advance(60)
    for node in ("pve1", "pve2", "pve3"):
        stage.server.faults.add("refuse", node=node)
    assert stage.pvectl("alert", "run").code == 69
    (subject,) = [subject for _, subject in told(hook)[1:]]
    assert "pve2" in subject
    # restarting the API takes its time: nobody is told of that before ten minutes
    stage.advance(600)
    assert stage.pvectl("alert", "run").code == 69
    assert "the cluster cannot be looked at" in told(hook)[-1][1]


def test_a_first_run_that_cannot_look_says_so_at_once_and_the_next_tells_all_there_is_in_one_message(stage: Stage, hook: Listener) -> None:
    for node in ("pve1", "pve2", "pve3"):
        stage.server.faults.add("refuse", node=node)
    assert stage.pvectl("alert", "run").code == 69
    (subject,) = [subject for _, subject in told(hook)]
    assert "the cluster cannot be looked at" in subject
    stage.server.faults.clear()
    for node in ("pve2", "pve3"):
        switch(stage, node, off=True)
    assert stage.pvectl("alert", "run").code == 0
    assert len(hook.requests) == 2
    assert "2 problems at the first look" in told(hook)[-1][1]


def test_a_first_run_with_many_problems_is_one_message(tmp_path: Path, hook: Listener) -> None:
    guests = [{"vmid": 100 + each, "type": "lxc", "node": "pve1", "name": f"ct{each}", "status": "stopped"} for each in range(40)]
    with Stage(tmp_path, LAB | {"guests": guests, "backup_jobs": []}) as stage:
        configure(stage, hook)
        stage.configure((stage.home.config / "pvectl.yml").read_text().replace('"backup.*", ', ""))
        stage.pvectl("alert", "run")
    assert len(hook.requests) == 1
    assert hook.requests[0].json()["subject"].startswith("40 problems at the first look")


def test_quiet_says_nothing_when_there_is_nothing_to_tell(stage: Stage) -> None:
    assert stage.pvectl("alert", "run", "-q") == Ended(0, "", "")


def test_without_a_receiver_it_says_what_to_write(stage: Stage) -> None:
    stage.configure("")
    ended = stage.pvectl("alert", "run")
    assert ended.code == 78
    assert "alert: {receivers:" in ended.err


def test_switched_off_it_says_so_and_is_done(stage: Stage, hook: Listener) -> None:
    stage.configure((stage.home.config / "pvectl.yml").read_text().replace("alert:\n", "alert:\n  enabled: false\n"))
    ended = stage.pvectl("alert", "run")
    assert (ended.code, hook.requests) == (0, [])
    assert "alert.enabled is false" in ended.out


def test_json_tells_each_message_and_how_things_stand(stage: Stage) -> None:
    switch(stage, "pve2", off=True)
    told_of = stage.pvectl("alert", "run", "-o", "json").json
    assert told_of["schema"] == "pvectl/alert-run/v1"
    data = told_of["data"]
    assert (data["looked"], data["critical"], data["waiting"], data["broken"]) == (True, 1, 0, {})
    (message,) = data["messages"]
    assert (message["receiver"], message["kind"], message["status"], message["severity"]) == ("ops", "firing", "sent", "critical")


@pytest.mark.parametrize(("act", "sign"), [(answering(), ""), (answering("500 Internal Server Error"), "/fail")], ids=["well", "not"])
def test_the_heartbeat_is_success_only_when_all_was_done(stage: Stage, hook: Listener, act: Act, sign: str) -> None:
    with listening() as heart:
        file = stage.home.folder / "heart.url"
        file.write_text(heart.url("/ping"))
        file.chmod(0o600)
        configure(stage, hook, f"  heartbeat: {{type: healthchecks, url: {{file: {file}}}}}\n")
        hook.act = act
        switch(stage, "pve2", off=True)
        stage.pvectl("alert", "run")
        paths = [heard.target.partition("?")[0] for heard in heart.requests]
    assert paths == ["/ping/start", f"/ping{sign}"]


def test_an_alertmanager_is_shown_all_that_is_wrong_in_every_run(stage: Stage, hook: Listener) -> None:
    with listening() as mirror:
        configure(stage, hook, f"    am: {{type: alertmanager, url: {mirror.url('')}}}\n")
        assert minutes(stage, 1)[0].code == 0
        assert not mirror.requests
        switch(stage, "pve2", off=True)
        minutes(stage, 4)
        pushed = [[alert["labels"]["object"] for alert in heard.json()] for heard in mirror.requests]
    assert pushed
    assert set(map(tuple, pushed)) == {("node/pve2",)}
    assert len(hook.requests) == 1


@pytest.mark.slow
def test_an_alertmanager_that_takes_nothing_is_told_through_the_others_until_it_does_again(stage: Stage, hook: Listener) -> None:
    with listening(answering("401 Unauthorized")) as mirror:
        configure(stage, hook, f"    am: {{type: alertmanager, url: {mirror.url('')}}}\n")
        minutes(stage, 1)
        switch(stage, "pve2", off=True)
        ended = minutes(stage, 5)
        assert {each.code for each in ended[-3:]} == {1}
        assert [subject for _, subject in told(hook) if "receiver am takes no messages: HTTP 401" in subject] != []
        mirror.act = answering()
        assert minutes(stage, 2)[-1].code == 0
        minutes(stage, 8)
    assert "resolved" in [status for status, subject in told(hook) if "receiver am" in subject]


def test_a_receiver_whose_secret_is_gone_is_noticed_before_there_is_anything_to_tell(stage: Stage, hook: Listener) -> None:
    configure(stage, hook, "    chat: {type: webhook, url: {file: gone.url}}\n")
    ended = stage.pvectl("alert", "run", "-o", "json")
    assert ended.code == 1
    assert "gone.url" in ended.json["data"]["broken"]["chat"]
    assert [subject for _, subject in told(hook) if "receiver chat takes no messages" in subject] != []


def test_a_rehearsal_tells_what_waits_already(stage: Stage, hook: Listener) -> None:
    hook.act = answering("500 Internal Server Error")
    switch(stage, "pve2", off=True)
    stage.pvectl("alert", "run")
    ended = stage.pvectl("alert", "run", "--dry-run")
    assert "nobody would be told; 1 message waits" in ended.out


def test_a_run_by_hand_leaves_the_receivers_of_the_service_to_the_service(stage: Stage, hook: Listener) -> None:
    configure(stage, hook, "    chat: {type: webhook, url: {credential: chat-url}}\n")
    switch(stage, "pve2", off=True)
    ended = stage.pvectl("alert", "run", "-o", "json")
    assert ended.code == 0, ended
    assert "receiver chat is told by the service alone" in ended.err
    assert ended.json["data"]["broken"] == {}
    assert [row["receiver"] for row in stage.pvectl("alert", "outbox", "list", "-o", "json").json["data"]] == ["chat"]
    folder = stage.home.folder / "credentials"
    folder.mkdir(mode=0o700)
    for name in ("proxmox.yml", "pvectl.yml"):
        (folder / name).write_bytes((stage.home.config / name).read_bytes())
        (folder / name).chmod(0o600)
    (folder / "chat-url").write_text(hook.url("/chat"))
    (folder / "chat-url").chmod(0o600)
    stage.home.env["CREDENTIALS_DIRECTORY"] = str(folder)
    assert stage.pvectl("alert", "run").code == 0
    assert [heard.target for heard in hook.requests] == ["/hook", "/chat"]


def test_a_bug_in_looking_is_told_like_a_cluster_that_does_not_answer(stage: Stage, hook: Listener, mocker: MockerFixture) -> None:
    mocker.patch("pvectl.cli.monitoring.run.looked_once", side_effect=ZeroDivisionError)
    ended = stage.pvectl("alert", "run")
    assert ended.code == 70
    assert "ZeroDivisionError" in ended.err
    assert [subject for _, subject in told(hook) if "a bug in pvectl keeps it from looking" in subject] != []
