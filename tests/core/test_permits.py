from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace

from pvectl.core import permits
from pvectl.core.model import BlindSpot, Guest, GuestType, Unknown
from pvectl.core.permits import Evidence, NodeSight, Rights

TOKEN = "pvectl@pve!ops"
AUDITOR: Rights = {"VM.Audit": True, "Sys.Audit": True, "Pool.Audit": True}
UNREAD = Unknown(reason="permission denied")
USER_GRANT = "pveum acl modify {} --users pvectl@pve --roles PVEAuditor"
TOKEN_GRANT = "pveum acl modify {} --tokens 'pvectl@pve!ops' --roles PVEAuditor"
GRANT = USER_GRANT.format("/") + " && " + TOKEN_GRANT.format("/")


class Line(Struct, frozen=True, kw_only=True):
    path: str
    type: str = "user"
    ugid: str = "pvectl@pve"
    roleid: str = "PVEAuditor"
    propagate: bool = True


SEEN = frozenset({100, 101})
SIGHT = NodeSight(node="pve1", listed=SEEN, netstat=frozenset({100}))
RULES = (Line(path="/", roleid="Own"), Line(path="/", roleid="Own", type="token", ugid=TOKEN))
CLEAR = Evidence(
    token_id=TOKEN,
    acl=RULES,
    rights={"/": AUDITOR, "/vms": AUDITOR, "/access": AUDITOR, "/nodes/pve1": AUDITOR},
    nodes=(SIGHT,),
)


def spots(evidence: Evidence = CLEAR, *, rights: Mapping[str, Rights | Unknown] | None = None) -> tuple[BlindSpot, ...]:
    return permits.blind_spots(replace(evidence, rights={**evidence.rights, **(rights or {})}), SEEN)


def only(found: tuple[BlindSpot, ...]) -> BlindSpot:
    (spot,) = found
    return spot


def test_s01_a_token_that_may_audit_everything_sees_everything() -> None:
    assert spots() == ()


@pytest.mark.parametrize(
    ("rights", "how"), [({}, "lacks VM.Audit on /vms,"), ({"VM.Audit": False}, "has VM.Audit on /vms, but not on what is below it,")]
)
def test_s01_vm_audit_has_to_reach_every_guest(rights: Rights, how: str) -> None:
    spot = only(spots(rights={"/vms": rights}))
    assert spot.subject == "cluster"
    assert spot.reason == f"the token {how} so Proxmox VE may leave out guests without a word"
    assert spot.mend == GRANT


def test_s01_rights_that_do_not_propagate_are_held_where_they_stand() -> None:
    assert spots(rights={"/": {"Sys.Audit": False}, "/nodes/pve1": {"Sys.Audit": False}, "/access": {"Sys.Audit": False}}) == ()


def test_s01_one_missing_right_is_one_blind_spot() -> None:
    denied = Unknown(reason="Permission check failed (/nodes/pve1, Sys.Audit)")
    without_network = replace(CLEAR, nodes=(NodeSight(node="pve1", listed=SEEN, netstat=denied),))

    assert "lacks Sys.Audit on /nodes/pve1" in only(spots(without_network, rights={"/nodes/pve1": {"VM.Audit": True}})).reason
    assert "network devices" in only(spots(without_network)).reason


@pytest.mark.parametrize(("path", "subject"), [("/", "cluster"), ("/nodes/pve1", "node/pve1")])
def test_s01_sys_audit_is_needed_in_each_place(path: str, subject: str) -> None:
    spot = only(spots(rights={path: {"VM.Audit": True}}))
    assert spot.subject == subject
    assert f"lacks Sys.Audit on {path}," in spot.reason
    assert spot.mend == GRANT


@pytest.mark.parametrize("root", [UNREAD, {}, {"Sys.Audit": False}])
def test_s01_sys_audit_is_needed_where_the_rules_themselves_stand(root: Rights | Unknown) -> None:
    spot = spots(rights={"/": root, "/access": {"VM.Audit": True}})[-1]
    assert spot.reason == "the token lacks Sys.Audit on /access, so a rule that hides single guests from it would itself stay hidden"
    assert spot.mend == GRANT


def test_s01_a_rule_that_closes_access_itself_cannot_be_read_so_the_admin_is_sent_to_look() -> None:
    spot = only(spots(rights={"/access": {}}))
    assert "a rule on /access takes Sys.Audit away" in spot.reason
    assert "`pveum acl list`" in spot.reason
    assert spot.mend is None


def test_s01_a_missing_right_is_mended_where_the_deepest_rule_stands_for_user_and_token_each() -> None:
    def mend(*more: Line) -> str | None:
        return only(spots(replace(CLEAR, acl=(*RULES, *more)), rights={"/": {"Sys.Audit": True}, "/vms": {}})).mend

    for_user = f"{USER_GRANT.format('/vms')} && {TOKEN_GRANT.format('/')}"
    for_token = f"{USER_GRANT.format('/')} && {TOKEN_GRANT.format('/vms')}"
    assert mend(Line(path="/vms", roleid="PvectlGuestPwr")) == for_user
    assert mend(Line(path="/vms", roleid="PvectlGuestPwr", type="token", ugid=TOKEN)) == for_token
    assert mend(Line(path="/vms", roleid="NoAccess", type="group", ugid="admins")) == for_user
    assert mend(Line(path="/vms", roleid="NoAccess", ugid="other@pve"), Line(path="/vmsx"), Line(path="/nodes")) == GRANT


def test_s01_a_line_at_the_top_is_not_advised_where_a_deeper_rule_makes_it_useless() -> None:
    def mend(*more: Line) -> str | None:
        return only(spots(replace(CLEAR, acl=(*RULES, *more)), rights={"/vms": {}})).mend

    user, token = Line(path="/vms", roleid="PvectlGuestPwr"), Line(path="/vms", roleid="PvectlGuestPwr", type="token", ugid=TOKEN)
    assert mend(user) == USER_GRANT.format("/vms")
    assert mend(token) == TOKEN_GRANT.format("/vms")
    assert mend(user, token) == f"{USER_GRANT.format('/vms')} && {TOKEN_GRANT.format('/vms')}"


def test_s01_whoever_has_the_role_already_is_not_given_it_again() -> None:
    user, token = Line(path="/"), Line(path="/", type="token", ugid=TOKEN)
    no_audit: dict[str, Rights | Unknown] = {"/": {"Sys.Audit": True}, "/vms": {}}
    assert spots(replace(CLEAR, acl=(user,)), rights={**no_audit, "/access": {}})[0].mend == TOKEN_GRANT.format("/")
    assert spots(replace(CLEAR, acl=(user,)), rights={**no_audit, "/access": UNREAD})[0].mend == TOKEN_GRANT.format("/")
    assert only(spots(replace(CLEAR, acl=(token,)), rights=no_audit)).mend == USER_GRANT.format("/")
    assert only(spots(replace(CLEAR, acl=(user, token)), rights=no_audit)).mend == GRANT
    shallow = replace(user, propagate=False)
    assert only(spots(replace(CLEAR, acl=(shallow, token)), rights=no_audit)).mend == USER_GRANT.format("/")


@pytest.mark.parametrize("path", ["/", "/vms", "/access", "/nodes/pve1"])
def test_s01_rights_that_could_not_be_read_are_no_rights(path: str) -> None:
    assert only(spots(rights={path: UNREAD})).reason == f"the token's rights on {path} could not be read: permission denied"


def test_s01_what_nobody_asked_for_is_not_known() -> None:
    reasons = [spot.reason for spot in permits.blind_spots(Evidence(token_id=TOKEN, acl=(), rights={}, nodes=(SIGHT,)), SEEN)]
    assert reasons == [f"the token's rights on {path} could not be read: nobody asked" for path in ("/vms", "/", "/nodes/pve1", "/access")]


def test_s01_an_access_control_list_that_could_not_be_read_hides_what_it_takes_away() -> None:
    found = spots(replace(CLEAR, acl=UNREAD), rights={"/vms": {}})
    assert [spot.reason for spot in found] == [
        "the token lacks VM.Audit on /vms, so Proxmox VE may leave out guests without a word",
        "the access control list could not be read: permission denied",
    ]
    assert found[0].mend == GRANT
    assert permits.paths_to_ask(TOKEN, UNREAD, ["pve1"]) == ("/nodes/pve1",)


def test_s01_a_token_that_has_all_rights_of_its_user_needs_no_line_of_its_own() -> None:
    acl = (Line(path="/"), Line(path="/vms", roleid="PvectlGuestPwr"))
    assert only(spots(replace(CLEAR, acl=acl), rights={"/vms": {}})).mend == USER_GRANT.format("/vms")


OVERRIDES = [
    Line(path="/vms/105", roleid="NoAccess"),
    Line(path="/vms/105", roleid="PvectlGuestPwr", type="token", ugid=TOKEN),
    Line(path="/vms/105", roleid="NoAccess", type="group", ugid="admins"),
    Line(path="/pool/secret", roleid="NoAccess"),
    Line(path="/pool", roleid="NoAccess", type="group", ugid="admins"),
]


@pytest.mark.parametrize("line", OVERRIDES)
def test_s01_each_place_where_a_rule_may_take_sight_away_is_asked_for(line: Line) -> None:
    assert permits.paths_to_ask(TOKEN, [*RULES, line, line], ["pve1", "pve1"]) == ("/nodes/pve1", line.path)


@pytest.mark.parametrize(
    "line",
    [
        Line(path="/vms/105", ugid="other@pve", roleid="NoAccess"),
        Line(path="/vms/105", type="token", ugid="pvectl@pve!other", roleid="NoAccess"),
        Line(path="/pool/prod", roleid="PVEAuditor"),
        Line(path="/storage/local", roleid="NoAccess"),
        Line(path="/pools", roleid="NoAccess"),
        Line(path="/vms"),
    ],
)
def test_rules_about_others_and_rules_that_only_add_need_no_asking(line: Line) -> None:
    assert permits.paths_to_ask(TOKEN, (line,), []) == ()
    assert spots(replace(CLEAR, acl=(*RULES, line))) == ()


@pytest.mark.parametrize("line", OVERRIDES)
def test_s01_a_rule_that_leaves_sight_is_no_blind_spot(line: Line) -> None:
    rights: Rights = {"VM.Audit": False} if line.path.startswith("/vms") else {"Pool.Audit": True}
    assert spots(replace(CLEAR, acl=(*RULES, line)), rights={line.path: rights}) == ()


@pytest.mark.parametrize(
    ("line", "subject", "reason", "mend"),
    [
        (
            OVERRIDES[0],
            "guest/105",
            "an access rule on /vms/105 takes VM.Audit away, so that guest is left out without a word",
            "pveum acl delete /vms/105 --users pvectl@pve --roles NoAccess",
        ),
        (
            OVERRIDES[1],
            "guest/105",
            "an access rule on /vms/105 takes VM.Audit away, so that guest is left out without a word",
            TOKEN_GRANT.format("/vms/105"),
        ),
        (
            OVERRIDES[2],
            "guest/105",
            "an access rule on /vms/105 takes VM.Audit away, so that guest is left out without a word",
            USER_GRANT.format("/vms/105"),
        ),
        (
            OVERRIDES[3],
            "pool/secret",
            "an access rule gives NoAccess on /pool/secret, so the guests of such a pool are left out without a word",
            "pveum acl delete /pool/secret --users pvectl@pve --roles NoAccess",
        ),
        (
            OVERRIDES[4],
            "cluster",
            "an access rule gives NoAccess on /pool, so the guests of such a pool are left out without a word",
            USER_GRANT.format("/pool"),
        ),
    ],
)
def test_s01_a_rule_that_takes_sight_away_is_named_with_the_line_that_mends_it(line: Line, subject: str, reason: str, mend: str) -> None:
    found = spots(replace(CLEAR, acl=(*RULES, line)), rights={line.path: {"Sys.Audit": True} if "vms" in line.path else {}})
    assert only(found) == BlindSpot(subject=subject, reason=reason, mend=mend)


def test_s01_an_override_that_could_not_be_asked_for_is_a_blind_spot() -> None:
    spot = only(spots(replace(CLEAR, acl=(*RULES, OVERRIDES[0])), rights={"/vms/105": UNREAD}))
    assert spot == BlindSpot(subject="guest/105", reason="the token's rights on /vms/105 could not be read: permission denied")


def test_s01_a_guest_that_moves_data_but_is_not_shown_is_a_blind_spot() -> None:
    spot = only(spots(replace(CLEAR, nodes=(replace(SIGHT, netstat=frozenset({100, 666})),))))
    assert spot == BlindSpot(
        subject="guest/666",
        reason="guest 666 runs on node pve1, but Proxmox VE does not show it to this token",
        mend=GRANT,
    )


def test_s01_guests_of_a_node_that_are_not_shown_are_one_blind_spot_which_names_each() -> None:
    sight = replace(SIGHT, netstat=frozenset({100, 8, 7, 9}))
    spot = only(spots(replace(CLEAR, nodes=(sight,))))
    assert spot == BlindSpot(
        subject="node/pve1",
        reason="3 guests run on node pve1, but Proxmox VE does not show them to this token: 7, 8 and 9",
        mend=GRANT,
    )


@pytest.mark.parametrize("hidden", [{666}, {666, 667}])
def test_s01_what_is_hidden_for_want_of_vm_audit_on_all_guests_gets_no_lines_of_its_own(hidden: set[int]) -> None:
    whole, part = spots(replace(CLEAR, nodes=(replace(SIGHT, netstat=frozenset(hidden)),)), rights={"/vms": {}})
    assert "lacks VM.Audit on /vms" in whole.reason
    assert whole.mend
    assert (part.mend, "666" in part.reason) == (None, True)


def test_s01_a_guest_on_a_nodes_own_list_alone_makes_the_view_old() -> None:
    sight = replace(SIGHT, listed=SEEN | {102}, netstat=frozenset({102}))
    spot = only(spots(replace(CLEAR, nodes=(sight,))))
    assert spot.subject == "guest/102"
    assert spot.reason == "node pve1 has guest 102, which is not on the cluster's list: look again, it may be new"


def test_s01_a_node_that_could_not_be_read_is_a_blind_spot() -> None:
    found = spots(replace(CLEAR, nodes=(NodeSight(node="pve1", listed=UNREAD, netstat=Unknown(reason="garbage")),)))
    assert found == (
        BlindSpot(subject="node/pve1", reason="the guests of node pve1 could not be read: permission denied"),
        BlindSpot(subject="node/pve1", reason="the network devices of node pve1 could not be read: garbage"),
    )


def test_s01_a_node_that_says_nothing_at_all_is_one_blind_spot() -> None:
    spot = only(spots(replace(CLEAR, nodes=(NodeSight(node="pve1", listed=UNREAD, netstat=UNREAD),))))
    assert spot == BlindSpot(subject="node/pve1", reason="what runs on node pve1 could not be read: permission denied")


def test_s01_a_proof_without_any_node_is_none() -> None:
    spot = only(spots(replace(CLEAR, nodes=())))
    assert spot.reason == "no node was asked for its own lists, so the cluster's list was held against nothing"


def test_a_name_from_outside_cannot_break_out_of_the_line_that_mends() -> None:
    evil = Line(path="/vms/1;reboot", roleid="NoAccess", type="token", ugid=TOKEN)
    mend = spots(replace(CLEAR, acl=(evil, Line(path="/"))), rights={"/vms/1;reboot": {}})[0].mend
    assert mend == "pveum acl delete '/vms/1;reboot' --tokens 'pvectl@pve!ops' --roles NoAccess"


paths = st.sampled_from(["/", "/vms", "/vms/100", "/vms/666", "/nodes/pve1", "/access", "/pool", "/pool/x", "/storage/local"])
lines = st.builds(
    Line,
    path=paths,
    type=st.sampled_from(["user", "group", "token"]),
    ugid=st.sampled_from(["pvectl@pve", TOKEN, "admins"]),
    roleid=st.sampled_from(["NoAccess", "PVEAuditor", "Own"]),
    propagate=st.booleans(),
)
some_rights = st.dictionaries(st.sampled_from(["VM.Audit", "Sys.Audit", "Pool.Audit"]), st.booleans()) | st.just(UNREAD)
vmids = st.frozensets(st.sampled_from([100, 101, 666]))


@given(
    st.lists(lines, max_size=5).map(tuple) | st.just(UNREAD),
    st.dictionaries(paths, some_rights),
    st.builds(NodeSight, node=st.just("pve1"), listed=vmids | st.just(UNREAD), netstat=vmids | st.just(UNREAD)),
    vmids,
)
def test_s01_nothing_unread_unseen_or_unheld_ever_passes(
    acl: Any, rights: dict[str, Rights | Unknown], sight: NodeSight, seen: frozenset[int]
) -> None:
    evidence = Evidence(token_id=TOKEN, acl=acl, rights=rights, nodes=(sight,))
    found = permits.blind_spots(evidence, seen)
    assert len(set(found)) == len(found)
    if found:
        assert all(spot.reason for spot in found)
        return
    assert not isinstance(acl, Unknown)
    needed = ["/", "/vms", "/access", *permits.paths_to_ask(TOKEN, acl, ["pve1"])]
    held = {path: rights[path] for path in needed}
    assert not any(isinstance(answer, Unknown) for answer in held.values())
    assert held["/vms"]["VM.Audit"] is True  # type: ignore[index]
    assert all("Sys.Audit" in held[path] for path in ("/", "/access", "/nodes/pve1"))  # type: ignore[operator]
    assert isinstance(sight.listed, frozenset)
    assert isinstance(sight.netstat, frozenset)
    assert sight.listed | sight.netstat <= seen


POWER: Rights = {"Sys.PowerMgmt": True}
STOP: Rights = {"VM.PowerMgmt": True}


def powerless(rights: Mapping[str, Rights | Unknown], *, pool: str | None = None) -> list[str]:
    guest = Guest(vmid=100, type=GuestType.QEMU, name="db", node="pve1", status="running", pool=pool)
    return [spot.subject for spot in permits.powerless(replace(CLEAR, rights=rights), "pve1", [guest])]


@pytest.mark.parametrize(
    ("rights", "pool", "lacking"),
    [
        ({"/nodes/pve1": POWER, "/vms": STOP}, None, []),
        ({"/nodes/pve1": AUDITOR, "/vms": STOP}, None, ["node/pve1"]),
        ({"/nodes/pve1": POWER, "/vms": AUDITOR}, None, ["guest/100"]),
        ({"/nodes/pve1": POWER, "/vms": {"VM.PowerMgmt": False}}, None, ["guest/100"]),
        ({"/nodes/pve1": POWER, "/vms": AUDITOR, "/vms/100": STOP}, None, []),
        ({"/nodes/pve1": POWER, "/vms": STOP, "/vms/100": AUDITOR}, None, ["guest/100"]),
        ({"/nodes/pve1": POWER, "/vms": AUDITOR, "/pool/lab": STOP}, "lab", []),
        ({"/nodes/pve1": POWER, "/vms": AUDITOR, "/pool/lab": AUDITOR}, "lab", ["guest/100"]),
        ({"/nodes/pve1": UNREAD, "/vms": UNREAD}, None, []),
    ],
)
def test_a_right_to_switch_off_that_is_plainly_missing_is_told_in_advance(
    rights: Mapping[str, Rights | Unknown], pool: str | None, lacking: list[str]
) -> None:
    assert powerless(rights, pool=pool) == lacking
