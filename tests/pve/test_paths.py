"""No name, number or id can make a request reach another endpoint than the one meant."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvectl.core.model import Guest
from pvectl.core.secret import Secret
from pvectl.errors import ProtocolError, PvectlError
from pvectl.pve import paths
from pvectl.pve.client import ProxmoxClient
from pvectl.pve.line import Answer
from pvectl.pve.tasks import Upid, parse_upid
from pvectl.pve.transport import Connection, Deadline, Session, encoded

_TRAPS = ["", ".", "..", "../access", "n1/../../cluster", "n1?x=1", "n1#z", "%2e%2e", "n1%2fx", "n1\n", "n1;x", "a b", "n\x00"]
_ODD = st.text(max_size=30) | st.sampled_from([*_TRAPS, "n" * 64, "-n", "n-", "\uff4e1"])
_IDS = _ODD | st.from_regex(r"\A[a-z0-9-]{1,12}\Z")


class _Asked(Exception):
    pass


def _client(monkeypatch: pytest.MonkeyPatch) -> tuple[ProxmoxClient, list[str]]:
    """A client whose session only notes where each request would have gone."""
    asked: list[str] = []

    def note(self: Session, method: str, url: str, *, data: object = None, params: object = None) -> Answer:
        asked.append(f"{method} {url}")
        raise _Asked

    monkeypatch.setattr(Session, "request", note)
    connection = Connection(cluster="lab", hosts=("pve1.lan",), token_id="a@pve!b", token=Secret("s3cret"))
    return ProxmoxClient(connection, deadline=Deadline.never(), read_only=False), asked


@given(node=_IDS, kind=st.sampled_from(["qemu", "lxc"]) | _ODD, vmid=st.integers() | st.sampled_from(["..", "100", True, 100.0]))
def test_a_guest_call_reaches_that_guest_or_nothing(node: str, kind: str, vmid: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        client, asked = _client(patch)
        guest = Guest(vmid=vmid, type=kind, node=node, status="running")
        for call in (lambda: client.shutdown(guest, timeout=None, force_stop=False), lambda: client.guest_config(guest)):
            with pytest.raises((_Asked, ProtocolError)):
                call()
        expected = re.compile(
            r"(POST /api2/json/nodes/[A-Za-z0-9-]{1,63}/(qemu|lxc)/[1-9][0-9]{2,8}/status/shutdown"
            r"|GET /api2/json/nodes/[A-Za-z0-9-]{1,63}/(qemu|lxc)/[1-9][0-9]{2,8}/config)"
        )
        assert all(expected.fullmatch(line) for line in asked)
        assert all(f"/nodes/{node}/{kind}/{vmid}/" in line for line in asked)


@given(node=_IDS)
def test_a_node_call_reaches_that_node_or_nothing(node: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        client, asked = _client(patch)
        for call in (client.netstat, client.node_time, client.node_config, client.node_guests, client.active_tasks):
            with pytest.raises((_Asked, ProtocolError)):
                call(node)
        assert all(re.fullmatch(r"GET /api2/json/nodes/[A-Za-z0-9-]{1,63}/(netstat|time|config|qemu|tasks)", line) for line in asked)
        assert all(f"/nodes/{node}/" in line for line in asked)


@given(text=_ODD | st.from_regex(r"\AUPID:[^ ]{1,8}:[0-9A-F]{8}:[0-9A-F]{8}:[0-9A-F]{8}:[a-z]{1,6}:[^ ]{0,6}:[^ ]{1,8}:\Z"))
@pytest.mark.slow
def test_a_task_call_reaches_that_task_or_nothing(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        client, asked = _client(patch)
        with pytest.raises((_Asked, ProtocolError)):
            client.task(Upid(text=text, node="pve1", type="x", id="", user="u", starttime=0))
        for line in asked:
            path = line.removeprefix("GET /api2/json/nodes/")
            node, _, rest = path.partition("/")
            assert rest == f"tasks/{text}/status"
            assert text.startswith(f"UPID:{node}:")
            assert rest.count("/") == 2


@given(st.text(max_size=40))
def test_the_last_look_before_sending_lets_no_odd_path_through(tail: str) -> None:
    path = f"/api2/json/{tail}"
    if paths.is_clean(path):
        assert re.fullmatch(r"[A-Za-z0-9._~:@!%/-]+", path)
        assert not {".", "..", ""} & set(path.split("/")[1:])


def test_the_session_refuses_a_path_that_is_none() -> None:
    connection = Connection(cluster="lab", hosts=("pve1.lan",), token_id="a@pve!b", token=Secret("s3cret"))
    session = Session(connection, deadline=Deadline.never(), read_only=False)
    below = ("nodes/../access", "a?b=c", "/x", "a b", "a\r\nX: y", "")
    for path in ("/access/users", "", *(f"/api2/json/{tail}" for tail in below)):
        with pytest.raises(ProtocolError, match="not a path"):
            session.request("GET", path)


@given(st.dictionaries(st.from_regex(r"\A[a-z-]{1,8}\Z"), st.text(st.characters(codec="utf-8"), max_size=20), max_size=4))
@pytest.mark.slow
def test_no_value_can_become_another_parameter(form: dict[str, str]) -> None:
    from urllib.parse import unquote

    text = encoded(form)
    assert re.fullmatch(r"[A-Za-z0-9._~%=&-]*", text)
    pairs = [pair.split("=") for pair in text.split("&")] if text else []
    assert {key: unquote(value) for key, value in pairs} == form


def test_truth_is_sent_as_one_and_zero_nothing_is_left_out_and_a_list_repeats_its_key() -> None:
    assert encoded({"a": True, "b": False, "c": None, "d": ["x;y", "z"], "e": 5}) == "a=1&b=0&d=x%3By&d=z&e=5"


@pytest.mark.parametrize(
    "text",
    [
        "UPID:pve1:000003F0:05265D31:6B034AA2:qmshutdown:100:pvectl@pve!ops:",
        "UPID:pve-2:0000ABCD:105265D31:6B034AA2:vzdump::root@pam:",
        "UPID:n:000003F0:05265D31:6B034AA2:aptupdate::root@pam!a.b-c_d:",
    ],
)
def test_task_ids_as_pve_makes_them_are_understood(text: str) -> None:
    upid = parse_upid(text)
    assert upid.text == text
    assert upid.node == text.split(":")[1]
    assert upid.starttime == 0x6B034AA2


@pytest.mark.parametrize(
    "text",
    [
        None,
        5,
        "",
        "UPID:",
        "UPID:pve1:000003F0:05265D31:6B034AA2:qmshutdown:100:pvectl@pve!ops",
        "UPID:../x:000003F0:05265D31:6B034AA2:q:1:a@b:",
        "UPID:pve1:000003F0:05265D31:6B034AA2:q:1/2:a@b:",
        "UPID:pve1:000003F0:05265D31:6B034AA2:q:1:a@b:\n",
        "upid:pve1:000003F0:05265D31:6B034AA2:q:1:a@b:",
    ],
)
def test_what_is_no_task_id_is_refused(text: object) -> None:
    with pytest.raises(PvectlError):
        parse_upid(text)
