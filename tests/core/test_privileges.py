"""What a token can be used for, and what it should not be able to."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from msgspec.structs import replace

from pvectl.core import privileges
from pvectl.core.checkup import Check, Health
from pvectl.core.privileges import GRAVE, Held

TOKEN = "pvectl@pve!ops"
AUDIT = {"VM.Audit": True, "Sys.Audit": True}


class Line(NamedTuple):
    path: str
    type: str
    ugid: str
    roleid: str
    propagate: bool = True


Rights = dict[str, dict[str, bool]]


def held(*more: str, acl: tuple[Line, ...] | None = (), token_id: str = TOKEN, but: Rights | None = None) -> Held:
    """A token that may look at everything, and has `more` everywhere, but at some paths other rights."""
    everywhere = AUDIT | dict.fromkeys(more, True)
    rights = dict.fromkeys(("/", "/vms", "/access", "/nodes/pve1", "/nodes/pve2"), everywhere)
    return Held(token_id=token_id, rights=rights | (but or {}), acl=acl)


def checks(of: Held) -> dict[str, Check]:
    return {check.subject: check for check in privileges.of_rights(of, ["pve1", "pve2"])}


def test_a_token_that_only_looks_is_all_right() -> None:
    told = checks(held())

    assert told["see"].health is Health.OK
    assert {told[subject].health for subject in ("tags", "vm", "node")} == {Health.NOTE}
    assert told["excess"].health is Health.OK


def test_what_is_missing_for_a_purpose_is_granted_to_the_user_and_to_the_token() -> None:
    told = checks(held())["vm"]

    assert told.mend == (
        'pveum role add PvectlGuestPwr --privs "VM.Audit VM.PowerMgmt"',
        "pveum acl modify /vms --users pvectl@pve --roles PvectlGuestPwr",
        "pveum acl modify /vms --tokens 'pvectl@pve!ops' --roles PvectlGuestPwr",
    )


def test_a_new_rule_stands_beside_the_old_one_because_a_deeper_one_would_replace_it() -> None:
    acl = (Line("/", "user", "pvectl@pve", "Mine"), Line("/vms", "token", TOKEN, "Mine"), Line("/vms/7", "token", TOKEN, "Mine"))
    lines = checks(held(acl=acl))["tags"].mend

    assert "pveum acl modify / --users pvectl@pve --roles PvectlTagger" in lines
    assert "pveum acl modify /vms --tokens 'pvectl@pve!ops' --roles PvectlTagger" in lines


def test_switching_nodes_off_is_offered_and_not_urged() -> None:
    told = checks(held())["node"]

    assert (told.health, told.message) == (
        Health.NOTE,
        "cannot switch off or wake nodes (pvectl idle-check, pvectl node wake): no Sys.PowerMgmt on /nodes; grant it only if it should",
    )
    assert told.mend == (
        'pveum role add PvectlNodePwr --privs "Sys.Audit Sys.PowerMgmt"',
        "pveum acl modify /nodes/pve1 --users pvectl@pve --roles PvectlNodePwr",
        "pveum acl modify /nodes/pve1 --tokens 'pvectl@pve!ops' --roles PvectlNodePwr",
    )


def test_what_idle_check_lacks_for_its_nodes_is_a_problem() -> None:
    able = held("Sys.PowerMgmt", "VM.PowerMgmt", but={"/storage": {"Datastore.Audit": True}})
    assert privileges.of_switching(able, ["pve1", "pve2"]) == ()

    found = privileges.of_switching(held(), ["pve1", "pve2"])
    assert {one.health for one in found} == {Health.PROBLEM}
    assert [one.message for one in found] == [
        "idle-check cannot switch its nodes off, for want of Sys.PowerMgmt on /nodes/pve1 and Sys.PowerMgmt on /nodes/pve2",
        "idle-check cannot shut guests down, for want of VM.PowerMgmt on /vms",
        "idle-check cannot see which storages a node serves, for want of Datastore.Audit on /storage",
    ]
    assert "pveum acl modify /nodes/pve2 --tokens 'pvectl@pve!ops' --roles PvectlNodePwr" in found[0].mend
    assert "pveum acl modify /storage --users pvectl@pve --roles PVEAuditor" in found[2].mend


def test_what_idle_check_may_do_with_some_guests_only_is_for_its_own_look_to_judge() -> None:
    some = held("Sys.PowerMgmt", but={"/storage": {"Datastore.Audit": True}, "/vms/200": {"VM.PowerMgmt": True}})
    assert privileges.of_switching(some, ["pve1"]) == ()


@pytest.mark.parametrize(
    ("paths", "missing"),
    [
        ({"/vms": {"Sys.Audit": True}}, "VM.Audit on /vms"),
        ({"/vms": {"VM.Audit": False}}, "VM.Audit on /vms"),
        ({"/": {"VM.Audit": True}}, "Sys.Audit on /"),
        ({"/nodes/pve2": {}}, "Sys.Audit on /nodes/pve2"),
    ],
)
def test_s01_what_sight_lacks_is_a_problem(paths: Rights, missing: str) -> None:
    told = checks(held(but=paths))["see"]

    assert told.health is Health.PROBLEM
    assert told.message.endswith(f"for want of {missing}")
    assert told.mend


def test_s01_sight_is_mended_where_a_deeper_rule_took_it_away() -> None:
    acl = (Line("/", "user", "pvectl@pve", "Mine"), Line("/", "token", TOKEN, "Mine"), Line("/vms", "token", TOKEN, "Mine"))
    told = checks(held(acl=acl, but={"/vms": {"VM.PowerMgmt": True}}))["see"]

    assert told.mend == ("pveum acl modify /vms --tokens 'pvectl@pve!ops' --roles PVEAuditor",)


def test_s01_without_the_rules_sight_is_mended_from_the_top() -> None:
    told = checks(held(acl=None, but={"/": {}, "/vms": {}}))["see"]

    assert told.mend == (
        "pveum acl modify / --users pvectl@pve --roles PVEAuditor",
        "pveum acl modify / --tokens 'pvectl@pve!ops' --roles PVEAuditor",
    )


def test_a_right_on_some_guests_only_is_not_taken_for_one_on_all() -> None:
    told = checks(held(but={"/vms/100": {"VM.PowerMgmt": False}}))["vm"]

    assert told.health is Health.NOTE
    assert "only on 1 path below /vms" in told.message


def test_a_right_that_a_rule_of_one_guest_takes_away_is_given_back_there() -> None:
    acl = (Line("/", "user", "pvectl@pve", "Mine"), Line("/", "token", TOKEN, "Mine"), Line("/vms/100", "token", TOKEN, "Other"))
    of = held("VM.PowerMgmt", acl=acl, but={"/vms/100": {"VM.Audit": True}, "/vms/101": {"VM.PowerMgmt": True}})
    told = checks(of)["vm"]

    assert told.health is Health.NOTE
    assert "but not on /vms/100, where" in told.message
    assert told.mend == (
        'pveum role add PvectlGuestPwr --privs "VM.Audit VM.PowerMgmt"',
        "pveum acl modify /vms/100 --tokens 'pvectl@pve!ops' --roles PvectlGuestPwr",
    )
    assert checks(replace(of, acl=None))["vm"].mend == ()


@pytest.mark.parametrize("privilege", GRAVE)
def test_each_grave_privilege_is_a_warning_that_says_what_a_thief_could_do(privilege: str) -> None:
    told = checks(held(privilege))["excess"]

    assert told.health is Health.WARNING
    assert f"{GRAVE[privilege]} ({privilege})" in told.message


def test_many_grave_privileges_are_all_named() -> None:
    told = checks(held(*GRAVE))["excess"]

    assert all(privilege in told.message for privilege in GRAVE)
    assert told.mend == ("pveum user token permissions pvectl@pve ops",)


def test_a_superfluous_privilege_that_does_no_harm_is_a_note() -> None:
    assert checks(held("Pool.Allocate"))["excess"].health is Health.NOTE


def test_a_token_of_root_is_a_warning() -> None:
    assert privileges.of_separation(held(token_id="root@pam!x")).health is Health.WARNING


def test_a_token_without_rules_of_its_own_that_has_rights_is_not_fenced_in() -> None:
    users = (Line("/", "user", "pvectl@pve", "PVEAuditor"),)
    told = privileges.of_separation(held(acl=users))

    assert told.health is Health.WARNING
    assert told.mend[0] == "pveum user token modify pvectl@pve ops --privsep 1"
    assert privileges.of_separation(held(acl=(*users, Line("/", "token", TOKEN, "PVEAuditor")))).health is Health.OK


def test_where_the_rules_cannot_be_read_nothing_is_claimed() -> None:
    assert privileges.of_separation(held(acl=None)).health is Health.NOT_CHECKED


def test_a_token_that_may_work_is_told_what_it_can_do() -> None:
    told = checks(held("VM.PowerMgmt", "VM.Config.Options", "Sys.PowerMgmt"))

    assert {told[subject].health for subject in ("see", "tags", "vm", "node")} == {Health.OK}
    assert told["vm"].message == "can shut guests down (pvectl vm shutdown)"
    assert told["node"].message == "can switch off and wake node pve1 and node pve2"


def test_power_over_one_node_is_power_over_that_one_only() -> None:
    rights = AUDIT | {"Sys.PowerMgmt": True}

    assert checks(held(but={"/nodes/pve2": rights}))["node"].message == "can switch off and wake node pve2"
