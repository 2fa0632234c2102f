from __future__ import annotations

import shlex
from typing import Any

import pytest
from msgspec.structs import replace

from pvectl import observe
from pvectl.core.model import BlindSpot, Guest
from tests.support.labs import Lab, lab

SECRET = "5eb1d2c4-0000-4000-8000-00000000a11e"
TOKEN = "mon@pve!ro"

WORLD: dict[str, Any] = {
    "nodes": {"pve1": {}, "pve2": {}, "pve3": {}},
    "pools": {"secret": [102]},
    "guests": [
        {"vmid": 100, "type": "qemu", "node": "pve1", "name": "db", "status": "running", "tags": "prod;db"},
        {"vmid": 101, "type": "lxc", "node": "pve2", "name": "dns", "status": "running"},
        {"vmid": 102, "type": "qemu", "node": "pve3", "name": "vault", "status": "running"},
        {"vmid": 103, "type": "qemu", "node": "pve3", "name": "off", "status": "stopped"},
    ],
    "users": {"mon@pve": {"enable": 1, "groups": ["admins"]}},
    "groups": {"admins": {}},
    "tokens": {TOKEN: {"secret": SECRET, "privsep": 1}},
    "roles": {"Weak": "VM.PowerMgmt", "Power": "Sys.PowerMgmt"},
}


def rule(path: str, ugid: str = "mon@pve", roleid: str = "PVEAuditor", *, propagate: int = 1) -> dict[str, Any]:
    kind = "token" if "!" in ugid else "user" if "@" in ugid else "group"
    return {"path": path, "type": kind, "ugid": ugid, "roleid": roleid, "propagate": propagate}


USER, BOTH = [rule("/")], [rule("/"), rule("/", TOKEN)]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pvectl.pve.transport.PAUSE_S", 0.001)


def proven(one: Lab, **how: Any) -> tuple[BlindSpot, ...]:
    view = observe.prove_complete(one.client, observe.look(one.client, one.clock), **how)
    assert view.proven
    assert view.complete is (not view.blind_spots)
    return view.blind_spots


def test_a_look_is_one_request_and_shows_every_guest() -> None:
    with lab({**WORLD, "acl": BOTH}) as one:
        view = observe.look(one.client, one.clock)
        assert one.asked() == ["GET /cluster/resources"]
        assert [guest.vmid for guest in view.guests] == [100, 101, 102, 103]
        assert view.guests[0].tags == ("db", "prod")
        assert {node.name for node in view.nodes} == {"pve1", "pve2", "pve3"}
        assert view.pools == {"secret": frozenset({102})}
        assert (view.quorate, view.standalone, view.cluster, view.complete) == (None, None, None, False)


def test_quorum_is_asked_for_only_when_somebody_needs_it() -> None:
    with lab({**WORLD, "acl": BOTH}) as one:
        view = observe.look(one.client, one.clock, quorum=True)
        assert one.asked() == ["GET /cluster/resources", "GET /cluster/status"]
        assert (view.quorate, view.standalone, view.cluster) == (True, False, "lab")
        one.cluster.lose_quorum()
        assert observe.look(one.client, one.clock, quorum=True).quorate is False
        assert [source.path for source in view.sources] == ["/cluster/resources", "/cluster/status"]


def test_a_standalone_host_has_no_quorum_to_lose() -> None:
    with lab({**WORLD, "nodes": {"pve1": {}}, "guests": [], "pools": {}, "name": None, "acl": BOTH}) as one:
        view = observe.look(one.client, one.clock, quorum=True)
        assert (view.quorate, view.standalone, view.cluster) == (None, True, None)


def test_guests_nobody_has_heard_of_stay_on_the_list_and_what_is_not_known_is_none() -> None:
    with lab({**WORLD, "acl": BOTH}) as one:
        one.cluster.crash_node("pve3")
        one.cluster.advance(600)
        lost = observe.look(one.client, one.clock).guest(102)
        assert lost is not None
        assert lost.status == "unknown"
        assert not lost.is_off
        assert (lost.name, lost.template, lost.maxmem, lost.uptime) == (None, None, None, None)


@pytest.mark.parametrize("version", ["8.4", "9.2"])
def test_s01_a_token_that_sees_all_proves_it(version: str) -> None:
    with lab({**WORLD, "version": version, "acl": BOTH}) as one:
        assert proven(one) == ()
        assert one.wrote() == []


def test_s01_when_the_rules_cannot_all_be_read_there_is_no_proof() -> None:
    with lab({**WORLD, "acl": [*BOTH, rule("/access", "mon@pve", "NoAccess"), rule("/vms/103", TOKEN, "NoAccess")]}) as one:
        (spot,) = proven(one)
        assert spot.reason.startswith("a rule on /access takes Sys.Audit away")
        assert one.client.acl() == ()


def test_s01_rights_from_two_roles_in_the_right_places_are_enough() -> None:
    acl = [rule("/", ugid, "PVEAuditor") for ugid in ("mon@pve", TOKEN)] + [rule("/vms/100", TOKEN, "PVEAuditor", propagate=0)]
    with lab({**WORLD, "acl": acl}) as one:
        assert proven(one) == ()


BLIND = {
    "the token has no rule of its own": USER,
    "the user has no rule": [rule("/", TOKEN)],
    "nobody has any": [],
    "the rule on / does not propagate": [rule("/", propagate=0), rule("/", TOKEN)],
    "a rule on /vms replaces the one on /": [*BOTH, rule("/vms", TOKEN, "Weak")],
    "a rule on a node replaces the one on /": [*BOTH, rule("/nodes/pve2", "mon@pve", "Power")],
    "a rule on all nodes replaces the one on /": [*BOTH, rule("/nodes", TOKEN, "Power")],
    "a guest is closed to the user": [*BOTH, rule("/vms/102", "mon@pve", "NoAccess")],
    "a guest is closed to the token": [*BOTH, rule("/vms/103", TOKEN, "NoAccess")],
    "a guest is closed to the user's group": [*BOTH, rule("/vms/103", "admins", "NoAccess")],
    "a weaker role replaces the one on a guest": [*BOTH, rule("/vms/103", TOKEN, "Weak", propagate=0)],
    "a pool is closed to the user": [*BOTH, rule("/pool/secret", "mon@pve", "NoAccess")],
    "a pool is closed to the token": [*BOTH, rule("/pool/secret", TOKEN, "NoAccess")],
    "all pools are closed to the user's group": [*BOTH, rule("/pool", "admins", "NoAccess")],
}


@pytest.mark.parametrize("acl", BLIND.values(), ids=BLIND)
@pytest.mark.slow
def test_s01_whatever_takes_sight_away_is_found_and_the_line_that_mends_it_mends_it(acl: list[dict[str, Any]]) -> None:
    with lab({**WORLD, "acl": acl}) as one:
        spots = proven(one)
        assert spots
        for _ in range(3):
            for line in {line for spot in spots for line in (spot.mend or "").split(" && ") if line}:
                run_pveum(one, line)
            spots = proven(one)
        assert spots == ()


def run_pveum(one: Lab, line: str) -> None:
    """Do to the simulated cluster what an admin would do with this line."""
    command, acl, verb, path, option, who, roles, role = shlex.split(line)
    assert (command, acl, roles) == ("pveum", "acl", "--roles")
    assert option in ("--users", "--tokens")
    if verb == "delete":
        one.cluster.revoke(path, who, role)
    else:
        one.cluster.grant(path, who, role)


def test_s01_for_a_token_with_all_rights_of_its_user_only_the_users_rules_are_mended() -> None:
    tokens = {TOKEN: {"secret": SECRET, "privsep": 0}}
    with lab({**WORLD, "tokens": tokens, "acl": [*USER, rule("/vms/103", roleid="NoAccess")]}) as one:
        (spot,) = proven(one)
        assert spot.mend == "pveum acl delete /vms/103 --users mon@pve --roles NoAccess"
        run_pveum(one, spot.mend)
        assert proven(one) == ()


def test_s01_a_hidden_guest_is_named() -> None:
    with lab({**WORLD, "acl": [*BOTH, rule("/vms/102", "mon@pve", "NoAccess")]}) as one:
        reasons = {spot.subject: spot.reason for spot in proven(one)}
        assert set(reasons) == {"guest/102"}
        spots = proven(one)
        assert [spot.reason for spot in spots] == [
            "an access rule on /vms/102 takes VM.Audit away, so that guest is left out without a word",
            "guest 102 runs on node pve3, but Proxmox VE does not show it to this token",
        ]
        assert spots[0].mend == "pveum acl delete /vms/102 --users mon@pve --roles NoAccess"


def test_s01_rules_for_groups_and_pools_that_are_not_ours_leave_the_proof_standing() -> None:
    acl = [
        *BOTH,
        rule("/vms/102", "others", "NoAccess"),
        rule("/pool/secret", "others", "NoAccess"),
        rule("/vms/100", "other@pve", "NoAccess"),
    ]
    world = {**WORLD, "users": {**WORLD["users"], "other@pve": {"enable": 1, "groups": ["others"]}}, "groups": {"admins": {}, "others": {}}}
    with lab({**world, "acl": acl}) as one:
        assert proven(one) == ()


def test_s01_a_token_without_separated_privileges_is_not_bound_by_rules_in_its_name() -> None:
    tokens = {TOKEN: {"secret": SECRET, "privsep": 0}}
    with lab({**WORLD, "tokens": tokens, "acl": [*USER, rule("/vms/102", TOKEN, "NoAccess")]}) as one:
        assert proven(one) == ()


def test_s01_a_guest_that_appears_after_the_look_makes_the_view_incomplete() -> None:
    with lab({**WORLD, "acl": BOTH}) as one:
        view = observe.look(one.client, one.clock)
        one.cluster.add_guest(vmid=110, type="qemu", node="pve1", status="running")
        (spot,) = observe.prove_complete(one.client, view).blind_spots
        assert spot.reason == "node pve1 has guest 110, which is not on the cluster's list: look again, it may be new"


def test_s01_a_node_that_cannot_be_asked_is_a_blind_spot_unless_nobody_asks_about_it() -> None:
    with lab({**WORLD, "acl": BOTH}) as one:
        one.cluster.crash_node("pve3")
        (spot,) = proven(one)
        assert spot.subject == "node/pve3"
        assert spot.reason.startswith("what runs on node pve3 could not be read: node pve3 cannot be reached")
        assert "GET /nodes/pve3/netstat" not in one.asked()
        one.server.clear()
        assert proven(one, nodes=["pve1", "pve2"]) == ()
        assert not [path for path in one.asked() if "pve3" in path]


@pytest.mark.parametrize(
    ("path", "subject", "what"),
    [
        ("/access/acl", "cluster", "the access control list could not be read: "),
        ("/nodes/pve2/netstat", "node/pve2", "the network devices of node pve2 could not be read: "),
        ("/nodes/pve2/lxc", "node/pve2", "the guests of node pve2 could not be read: "),
    ],
)
@pytest.mark.parametrize("code", [403, 500])
def test_s02_what_could_not_be_read_is_a_blind_spot_and_never_a_pass(path: str, subject: str, what: str, code: int) -> None:
    with lab({**WORLD, "acl": BOTH}) as one:
        one.server.fault("status", path=path, code=code, reason="Permission check failed (/x, Y)")
        (spot,) = proven(one)
        assert spot.subject == subject
        assert spot.reason.startswith(what)
        assert "Permission check failed" in spot.reason


def test_s02_rights_that_could_not_be_read_are_a_blind_spot_each() -> None:
    with lab({**WORLD, "acl": BOTH}) as one:
        one.server.fault("status", path="/access/permissions", code=500, reason="no")
        subjects = [spot.subject for spot in proven(one)]
        assert subjects == ["cluster", "cluster", "node/pve1", "node/pve2", "node/pve3", "cluster"]


def test_the_sources_of_a_view_say_what_was_asked_and_how_it_went() -> None:
    with lab({**WORLD, "acl": BOTH}) as one:
        one.server.fault("status", path="/access/acl", code=500, reason="no")
        view = observe.prove_complete(one.client, observe.look(one.client, one.clock), nodes=["pve1"])
        assert {source.path: source.status for source in view.sources} == {
            "/cluster/resources": "ok",
            "/access/acl": "GET /access/acl: no",
            "/access/permissions?path=/": "ok",
            "/access/permissions?path=/vms": "ok",
            "/access/permissions?path=/access": "ok",
            "/nodes/pve1/qemu": "ok",
            "/nodes/pve1/netstat": "ok",
        }


def test_s03_a_closer_look_asks_the_nodes_themselves() -> None:
    world = {**WORLD, "guests": [*WORLD["guests"], {"vmid": 104, "type": "qemu", "node": "pve1", "name": "asleep", "status": "paused"}]}
    with lab({**world, "acl": BOTH}, speed=0) as one:
        view = observe.look(one.client, one.clock)
        one.cluster.stop_guest(100)
        one.cluster.lock(101, "backup")
        closer = observe.look_closer(one.client, view, [guest for guest in view.guests if guest.node != "pve3"])

        assert [(guest.vmid, guest.status) for guest in view.guests if guest.vmid in (100, 104)] == [(100, "running"), (104, "running")]
        assert {guest.vmid: (guest.status, guest.lock) for guest in closer.guests} == {
            100: ("stopped", None),
            101: ("running", "backup"),
            102: ("running", None),
            103: ("stopped", None),
            104: ("paused", None),
        }
        assert closer.guests[0].tags == ("db", "prod")
        asked = sorted(one.asked())
        assert asked == ["GET /cluster/resources", *(f"GET /nodes/{node}/{kind}" for node in ("pve1", "pve2") for kind in ("lxc", "qemu"))]


def test_s02_a_guest_its_node_does_not_speak_of_is_unknown() -> None:
    with lab({**WORLD, "acl": BOTH}) as one:
        view = observe.look(one.client, one.clock)
        one.cluster.remove_guest(103)
        one.server.fault("status", path="/nodes/pve1/*", code=595, reason="Connection refused")
        closer = observe.look_closer(one.client, view, view.guests)

        assert {guest.vmid: guest.status for guest in closer.guests} == {100: "unknown", 101: "running", 102: "running", 103: "unknown"}
        assert any("pve1" in source.path and source.status != "ok" for source in closer.sources)


def test_s03_a_closer_look_tells_a_guest_that_was_renamed_or_made_a_template() -> None:
    with lab({**WORLD, "acl": BOTH}, speed=0) as one:
        view = observe.look(one.client, one.clock)
        one.cluster.set_config(100, name="archive")
        one.cluster.set_config(103, template="1")
        closer = observe.look_closer(one.client, view, view.guests)

        assert [(guest.vmid, guest.name, bool(guest.template)) for guest in view.guests if guest.vmid in (100, 103)] == [
            (100, "db", False),
            (103, "off", False),
        ]
        assert {guest.vmid: (guest.name, bool(guest.template)) for guest in closer.guests} == {
            100: ("archive", False),
            101: ("dns", False),
            102: ("vault", False),
            103: ("off", True),
        }


def test_s03_a_guest_that_moved_to_another_node_meanwhile_is_unknown() -> None:
    with lab({**WORLD, "acl": BOTH}) as one:
        view = observe.look(one.client, one.clock)
        one.cluster.move(100, "pve3")
        closer = observe.look_closer(one.client, view, view.guests)

        assert {guest.vmid: guest.status for guest in closer.guests} == {100: "unknown", 101: "running", 102: "running", 103: "stopped"}


def test_what_a_node_leaves_out_stays_as_it_was_seen() -> None:
    with lab({**WORLD, "acl": BOTH}) as one:
        view = observe.look(one.client, one.clock)
        golden = replace(view.guests[3], template=True)
        view = replace(view, guests=(*view.guests[:3], golden))
        one.client.node_guests = lambda node, **_: (  # type: ignore[method-assign]
            Guest(vmid=103, type="qemu", node=node, status="stopped"),
        )
        closer = observe.look_closer(one.client, view, [golden])

        assert (closer.guests[3].name, closer.guests[3].template) == ("off", True)
