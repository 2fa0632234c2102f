"""Who sees what: tokens, ACLs, roles, pools (pve-access-control PVE/AccessControl.pm)."""

from __future__ import annotations

from typing import Any

import pytest

from pvectl.sim.wire import Request
from tests.sim.asking import ROOT_TOKEN, SECRET, Lab, ct, vm

MON = "u@pve!mon"


def acl(path: str, ugid: str, roleid: str, propagate: int = 1, kind: str | None = None) -> dict[str, Any]:
    return {"path": path, "type": kind or ("token" if "!" in ugid else "user"), "ugid": ugid, "roleid": roleid, "propagate": propagate}


def lab(*entries: dict[str, Any], privsep: int = 0, **more: Any) -> Lab:
    guests = [vm(100), vm(101), ct(200)]
    return Lab({"guests": guests, "tokens": {MON: {"privsep": privsep}}, "acl": entries, **more})


def test_guests_one_may_not_audit_are_left_out_without_a_word() -> None:
    cluster = lab(acl("/vms/100", "u@pve", "PVEAuditor"))
    assert cluster.shown(token=MON) == {100}
    assert [row["vmid"] for row in cluster.get("/nodes/pve1/qemu", token=MON)] == [100]
    assert cluster.get("/nodes/pve1/lxc", token=MON) == []


def test_a_token_without_any_right_gets_empty_lists_and_bare_nodes() -> None:
    cluster = lab()
    assert cluster.get("/cluster/resources", token=MON, type="vm") == []
    assert cluster.get("/access/permissions", token=MON) == {}
    rows = cluster.get("/cluster/resources", token=MON, type="node")
    assert {"cpu", "mem", "uptime", "maxcpu"}.isdisjoint(rows[0])
    assert rows[0]["status"] == "online"


def test_what_is_not_propagated_stays_where_it_is() -> None:
    cluster = lab(acl("/vms", "u@pve", "PVEAuditor", 0))
    assert cluster.shown(token=MON) == set()
    assert cluster.get("/access/permissions", token=MON, path="/vms")["/vms"]["VM.Audit"] == 0


def test_a_deeper_acl_replaces_what_comes_from_above() -> None:
    cluster = lab(acl("/", "u@pve", "PVEAuditor"), acl("/vms/100", "u@pve", "PVEDatastoreUser"))
    assert cluster.shown(token=MON) == {101, 200}


def test_no_access_makes_a_guest_vanish_from_every_view() -> None:
    cluster = lab(acl("/", "u@pve", "PVEAuditor"), acl("/vms/100", "u@pve", "NoAccess"))
    assert cluster.shown(token=MON) == {101, 200}
    assert "/vms/100" not in cluster.get("/access/permissions", token=MON)
    assert cluster.get("/access/permissions", token=MON, path="/vms/100") == {"/vms/100": {}}
    assert cluster.refused("GET", "/nodes/pve1/qemu/100/status/current", token=MON)[1] == "Permission check failed (/vms/100, VM.Audit)"
    assert acl("/vms/100", "u@pve", "NoAccess") in cluster.get("/access/acl", token=MON)


def test_no_access_beats_another_role_on_the_same_path() -> None:
    cluster = lab(acl("/vms", "u@pve", "PVEAuditor"), acl("/vms", "u@pve", "NoAccess"))
    assert cluster.shown(token=MON) == set()


def test_two_roles_on_one_path_add_up() -> None:
    cluster = lab(acl("/vms", "u@pve", "PVEAuditor"), acl("/vms", "u@pve", "PVETemplateUser"))
    held = cluster.get("/access/permissions", token=MON, path="/vms/100")["/vms/100"]
    assert {"VM.Audit", "VM.Clone"} <= held.keys()


def test_a_separated_token_holds_only_what_it_and_its_owner_both_hold() -> None:
    cluster = lab(acl("/vms", "u@pve", "PVEVMUser"), acl("/vms/100", MON, "PVEAuditor"), acl("/storage", MON, "PVEAuditor"), privsep=1)
    assert cluster.shown(token=MON) == {100}
    assert cluster.get("/access/permissions", token=MON, path="/storage/local") == {"/storage/local": {}}
    held = cluster.get("/access/permissions", token=MON, path="/vms/100")["/vms/100"]
    assert set(held) == {"VM.Audit", "VM.GuestAgent.Audit"}


def test_a_separated_token_without_an_acl_of_its_own_holds_nothing() -> None:
    cluster = lab(acl("/", "u@pve", "Administrator"), privsep=1)
    assert cluster.get("/access/permissions", token=MON) == {}
    assert cluster.get("/nodes/pve1/qemu", token=MON) == []


def test_an_acl_that_names_a_token_that_is_not_separated_has_no_effect() -> None:
    cluster = lab(acl("/", "u@pve", "PVEAuditor"), acl("/vms/100", MON, "NoAccess"))
    assert cluster.shown(token=MON) == {100, 101, 200}


def test_propagation_of_user_and_token_must_agree() -> None:
    cluster = lab(acl("/vms", "u@pve", "PVEAuditor", 0), acl("/vms", MON, "PVEAuditor", 1), privsep=1)
    assert cluster.get("/access/permissions", token=MON, path="/vms")["/vms"]["VM.Audit"] == 0


def test_a_user_entry_goes_before_a_group_entry_on_the_same_path() -> None:
    entries = (acl("/vms", "ops", "PVEAuditor", kind="group"), acl("/vms", "u@pve", "PVEDatastoreUser"))
    assert lab(entries[0], groups={"ops": ["u@pve"]}).shown(token=MON) == {100, 101, 200}
    assert lab(*entries, groups={"ops": ["u@pve"]}).shown(token=MON) == set()


def test_rights_from_a_pool_work_and_are_shown_as_not_propagated() -> None:
    cluster = lab(acl("/pool/prod", "u@pve", "PVEVMUser"), pools={"prod": [100]})
    assert cluster.shown(token=MON) == {100}
    assert set(cluster.get("/access/permissions", token=MON, path="/vms/100")["/vms/100"].values()) == {0}
    assert cluster.finish(cluster.post("/nodes/pve1/qemu/100/status/shutdown", token=MON))[0] == "OK"


def test_no_access_on_a_pool_beats_rights_from_elsewhere() -> None:
    cluster = lab(acl("/", "u@pve", "PVEAuditor"), acl("/pool/prod", "u@pve", "NoAccess"), pools={"prod": [100]})
    assert cluster.shown(token=MON) == {101, 200}


def test_no_access_on_the_guest_beats_rights_from_its_pool() -> None:
    cluster = lab(acl("/vms/100", "u@pve", "NoAccess"), acl("/pool/prod", "u@pve", "PVEVMUser"), pools={"prod": [100, 101]})
    assert cluster.shown(token=MON) == {101}


def test_permissions_lists_the_roots_the_acl_paths_and_pool_members_only() -> None:
    cluster = lab(acl("/", "u@pve", "PVEAuditor"), acl("/nodes/pve1", "x@pve", "PVEAuditor"), pools={"prod": [101]})
    roots = {"/", "/access", "/access/groups", "/nodes", "/pool", "/sdn", "/storage", "/vms"}
    assert cluster.get("/access/permissions", token=MON).keys() == roots | {"/nodes/pve1", "/vms/101"}


def test_the_permissions_of_others_need_sys_audit_on_access() -> None:
    cluster = lab(acl("/vms", "u@pve", "PVEAuditor"))
    assert cluster.refused("GET", "/access/permissions", token=MON, userid="x@pve") == (403, "Permission check failed (/access, Sys.Audit)")
    assert "/vms" in cluster.get("/access/permissions", userid="u@pve")


def test_a_path_without_its_slash_gives_an_empty_object() -> None:
    assert lab().get("/access/permissions", path="vms") == {}


def test_the_acl_is_shown_whole_with_sys_audit_on_access_and_not_at_all_without() -> None:
    entries = (acl("/nodes", "u@pve", "PVEAuditor"), acl("/vms/100", "x@pve", "NoAccess"))
    assert lab(*entries).get("/access/acl", token=MON) == []
    assert len(lab(*entries, acl("/access", "u@pve", "PVEAuditor")).get("/access/acl", token=MON)) == 3


def test_sys_powermgmt_is_in_no_role_but_administrator() -> None:
    roles = lab().get("/access/roles")
    assert [role["roleid"] for role in roles if "Sys.PowerMgmt" in role["privs"]] == ["Administrator"]
    assert all(role["special"] == 1 for role in roles)


def test_8_and_9_know_other_privileges() -> None:
    assert any("VM.Monitor" in role["privs"] for role in lab(version="8.4").get("/access/roles"))
    assert not any("VM.Monitor" in role["privs"] for role in lab().get("/access/roles"))


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (None, "No ticket"),
        ("Bearer x", "No ticket"),
        (f"pveapitoken={ROOT_TOKEN}={SECRET}", "No ticket"),
        (f"PBSAPIToken={ROOT_TOKEN}:{SECRET}", "No ticket"),
        (f"PVEAPIToken={ROOT_TOKEN}={SECRET[:-1]}2", "Authentication failed!"),
        (f"PVEAPIToken={ROOT_TOKEN}", "Authentication failed!"),
        (f"PVEAPIToken={ROOT_TOKEN}:{SECRET}", "Authentication failed!"),
        (f'PVEAPIToken="{ROOT_TOKEN}={SECRET}"', "Authentication failed!"),
        (f"PVEAPIToken=ghost@pve!xx={SECRET}", "Authentication failed!"),
        (f"PVEAPIToken=off@pve!tok={SECRET}", "Authentication failed!"),
        (f"PVEAPIToken=old@pve!tok={SECRET}", "Authentication failed!"),
        (f"PVEAPIToken=u@pve!old={SECRET}", "Authentication failed!"),
    ],
)
def test_a_bad_token_is_refused_after_three_seconds_before_anything_else(header: str | None, reason: str) -> None:
    cluster = lab(
        users={"off@pve": {"enable": 0}, "old@pve": {"expire": 1_700_000_000}},
        tokens={"off@pve!tok": {}, "old@pve!tok": {}, "u@pve!old": {"expire": 1_700_000_000}},
    )
    answer = cluster.cluster.answer(
        Request(method="GET", path="/nosuch", params={}, authorization=header, cookie=None, node="pve1", headers={})
    )
    assert (answer.status, answer.reason, answer.delay_s, answer.body, answer.content_type) == (401, reason, 3.0, b"", None)


@pytest.mark.parametrize(
    "header",
    [
        f"PVEAPIToken={ROOT_TOKEN}={SECRET}",
        f"PVEAPIToken {ROOT_TOKEN}={SECRET}",
        f"PVEAPIToken=root%40pam%21full={SECRET}",
        f"PVEAPIToken={ROOT_TOKEN}={SECRET};x",
    ],
)
def test_every_spelling_pve_takes_is_taken(header: str) -> None:
    request = Request(method="GET", path="/version", params={}, authorization=header, cookie=None, node="pve1", headers={})
    assert lab().cluster.answer(request).status == 200


def test_a_stale_cookie_beats_a_good_token() -> None:
    header = f"PVEAPIToken={ROOT_TOKEN}={SECRET}"
    request = Request(method="GET", path="/version", params={}, authorization=header, cookie="PVEAuthCookie=stale", node="pve1", headers={})
    assert lab().cluster.answer(request).status == 401


def test_a_token_cannot_get_a_ticket_and_a_password_can() -> None:
    cluster = lab(users={"u@pve": {"password": "secret1"}})
    text = "URI '/access/ticket' not available with API token, need proper ticket."
    assert cluster.refused("POST", "/access/ticket", username="u@pve", password="secret1") == (403, text)
    login = cluster.ask("POST", "/access/ticket", token=None, params={"username": "u@pve", "password": "secret1"})
    assert login.status == 200
    request = Request(
        method="GET",
        path="/version",
        params={},
        authorization=None,
        cookie=f"PVEAuthCookie={login.data['ticket']}",
        node="pve1",
        headers={},
    )
    assert cluster.cluster.answer(request).status == 200
    assert cluster.refused("POST", "/access/ticket", token=None, username="u@pve", password="wrong")[0] == 401


def test_roots_token_is_not_root() -> None:
    cluster = lab()
    assert cluster.wrong("PUT", "/nodes/pve1/qemu/100/config", tags="x", skiplock=1) == {"skiplock": "Only root may use this option."}


def test_a_scenario_with_an_impossible_token_name_is_refused() -> None:
    with pytest.raises(ValueError, match="at least two characters"):
        lab(tokens={"u@pve!x": {}})


def test_rights_can_change_while_the_cluster_runs() -> None:
    cluster = lab()
    cluster.cluster.grant("/vms", "u@pve", "PVEAuditor")
    assert cluster.shown(token=MON) == {100, 101, 200}
    cluster.cluster.revoke("/vms", "u@pve")
    assert cluster.shown(token=MON) == set()
