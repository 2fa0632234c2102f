"""The answers a real Proxmox VE 8.4 and 9.2 gave, read by our own eyes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from pvectl.errors import ApiRefusal, AuthenticationFailed, NodeUnreachable, NoQuorum, PermissionDenied, ProtocolError, PvectlError
from pvectl.pve import failures, rows, strict_json
from pvectl.pve.hosts import Host
from pvectl.pve.line import Answer
from pvectl.pve.tasks import parse_upid
from tests.contract.recordings import Recording, all_recordings

HOST = Host(name="pve1.lan", port=8006)
RECORDINGS = [recording for recording in all_recordings() if isinstance(recording.get("status"), int)]
REFUSED = [recording for recording in RECORDINGS if recording.fields["status"] >= 400]


def _body(recording: Recording) -> bytes:
    content = recording.get("body_json")
    if content is not None or "body_json" in recording.fields:
        return json.dumps(content).encode()
    return str(recording.get("body_text") or recording.get("body") or "").encode()


def _answer(recording: Recording) -> Answer:
    headers = {name.lower(): value for name, value in recording.get("headers") or ()}
    return Answer(
        status_code=recording.fields["status"],
        reason=recording.get("reason") or "",
        content_type=headers.get("content-type", ""),
        body=_body(recording),
    )


def _failure(recording: Recording) -> PvectlError:
    path = recording.url.partition("?")[0]
    return failures.from_answer(_answer(recording), method=recording.method, path=path, host=HOST, token_id="pvectl@pve!ops")


def _found(path: str, *, method: str = "GET") -> list[Recording]:
    found = [
        one
        for one in RECORDINGS
        if (one.fields["status"], one.method) == (200, method) and one.get("body_json") and one.url.partition("?")[0].endswith(path)
    ]
    assert found, path
    return found


def _named(recordings: list[Recording]) -> list[Any]:
    return [pytest.param(recording, id=recording.key) for recording in recordings]


@pytest.mark.parametrize("recording", _named(REFUSED))
def test_every_refusal_ends_in_an_error_of_its_kind_with_pves_own_words(recording: Recording) -> None:
    error = _failure(recording)
    expected: type[PvectlError] = {401: AuthenticationFailed, 403: PermissionDenied, 595: NodeUnreachable, 596: NodeUnreachable}.get(
        recording.fields["status"], ApiRefusal
    )
    assert isinstance(error, expected)
    said = recording.get("body_json") or {}
    words = (said.get("message") or recording.get("reason") or "").split()
    if expected is not NodeUnreachable:
        # a mark that steers instead of showing is spelled out, so such words are compared no further
        shown = [word for word in words if word.isprintable()][:6]
        assert all(word.rstrip(".:") in error.message for word in shown), error.message
    for name in said.get("errors") or {}:
        assert name[:20] in error.message
    assert error.message.isprintable()
    assert len(error.message) < 700


@pytest.mark.parametrize("recording", _named([one for one in REFUSED if "Permission check failed (/" in str(one.get("reason"))]))
def test_every_missing_privilege_is_named_with_its_place_and_who_knows_the_way(recording: Recording) -> None:
    error = _failure(recording)
    assert isinstance(error, PermissionDenied)
    assert error.path is not None
    assert error.privilege
    assert f"({error.path}, {error.privilege})" in recording.fields["reason"]
    assert "the token pvectl@pve!ops or its user lacks " in str(error.hint)
    assert f" on {error.path}" in str(error.hint)
    known = ("VM.Config.Options", "VM.PowerMgmt", "VM.Audit") if error.path.startswith("/vms/") else ("Sys.Audit",)
    doctors = [one for one in known if one in error.privilege]
    assert ("`pvectl doctor` gives the lines" in str(error.hint)) is bool(doctors)
    assert (doctors or [error.privilege.partition(" for ")[0]])[0] in str(error.hint)
    assert "pveum" not in str(error.hint)


@pytest.mark.parametrize(
    "recording", _named([one for one in REFUSED if "no quorum" in str(one.get("reason")) or "/etc/pve" in str(one.get("reason"))])
)
def test_a_cluster_without_quorum_is_no_question_of_rights(recording: Recording) -> None:
    error = _failure(recording)
    assert isinstance(error, NoQuorum)
    assert error.exit_code == 75


READERS: list[tuple[str, Callable[[bytes], object]]] = [
    ("/version", lambda body: rows.version(strict_json.anything(body), what="x")),
    ("/cluster/resources", lambda body: rows.resources(strict_json.rows(body), what="x")),
    ("/cluster/status", lambda body: rows.cluster_status(strict_json.rows(body), what="x")),
    ("/cluster/options", lambda body: rows.cluster_options(strict_json.anything(body), what="x")),
    ("/cluster/ha/resources", lambda body: rows.ha_resources(strict_json.rows(body), what="x")),
    ("/access/permissions", lambda body: rows.permissions(strict_json.anything(body), what="x")),
    ("/access/acl", lambda body: rows.acl(strict_json.rows(body), what="x")),
    ("json/nodes", lambda body: rows.nodes(strict_json.rows(body), what="x")),
    ("/netstat", lambda body: rows.netstat(strict_json.rows(body), what="x")),
    ("pve1/qemu", lambda body: rows.node_guests(strict_json.rows(body), node="pve1", kind="qemu", what="x")),
    ("pve1/lxc", lambda body: rows.node_guests(strict_json.rows(body), node="pve1", kind="lxc", what="x")),
    ("pve1/tasks", lambda body: rows.active_tasks(strict_json.rows(body), what="x")),
    ("/config", lambda body: rows.guest_config(strict_json.anything(body), what="x")),
    ("/log", lambda body: rows.task_log(strict_json.anything(body))),
]
CASES = [pytest.param(read, one, id=one.key) for path, read in READERS for one in _found(path) if "cluster/log" not in one.url]


@pytest.mark.parametrize(("read", "recording"), CASES)
def test_every_answer_is_understood(read: Callable[[bytes], object], recording: Recording) -> None:
    read(_body(recording))


@pytest.mark.parametrize("recording", _named([one for one in _found("/status/current") if "/cluster/" not in one.url]))
def test_every_guests_state_is_understood_and_belongs_to_it(recording: Recording) -> None:
    vmid = int(recording.url.split("/")[6])
    data = strict_json.anything(_body(recording))
    assert rows.guest_now(data, vmid=vmid, what="x").status == recording.fields["body_json"]["data"]["status"]
    with pytest.raises(ProtocolError, match="about guest"):
        rows.guest_now(data, vmid=vmid + 1, what="x")


STARTED = [one for one in RECORDINGS if str((one.get("body_json") or {}).get("data")).startswith("UPID:")]


@pytest.mark.parametrize("recording", _named(STARTED))
def test_every_task_id_is_understood(recording: Recording) -> None:
    text = recording.fields["body_json"]["data"]
    assert parse_upid(text).text == text


def test_guests_have_what_the_cluster_told_of_them() -> None:
    recording = next(one for one in RECORDINGS if one.key == "9.2/resources/all_full")
    seen = rows.resources(strict_json.rows(_body(recording)), what="x")
    by_vmid = {guest.vmid: guest for guest in seen.guests}
    assert by_vmid[101].tags == ("db", "prod")
    assert by_vmid[101].pool == "prodpool"
    assert by_vmid[103].template is True
    assert by_vmid[104].lock == "backup"
    assert by_vmid[106].tags == ("office-hours", "web")
    assert by_vmid[300].status == "unknown"
    assert by_vmid[300].name is None
    assert by_vmid[300].template is None
    assert seen.pools == {"prodpool": frozenset({101, 105})}
    assert {node.name: node.status for node in seen.nodes} == {"pve1": "online"}
