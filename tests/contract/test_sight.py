"""The completeness proof over what a real Proxmox VE 9.2 told tokens that could not see everything."""

from __future__ import annotations

from typing import Any

from pvectl.core.model import Unknown
from pvectl.core.permits import Evidence, NodeSight, Rights, blind_spots, paths_to_ask
from pvectl.pve import rows
from tests.contract.recordings import one


def recorded(name: str, group: str = "netstat") -> Any:
    return one("9.2", group, name).get("body_json")["data"]


def vmids(name: str) -> frozenset[int]:
    return frozenset(row["vmid"] for row in recorded(name))


MONITOR = "monitor@pve!mon"
ACL = rows.acl(recorded("acl_with_override"), what="acl")


def test_s01_the_recorded_override_is_asked_for_and_found() -> None:
    assert paths_to_ask(MONITOR, ACL, ["pve1"]) == ("/nodes/pve1", "/vms/101")
    rights = {
        **rows.permissions(recorded("permissions_with_override"), what="permissions"),
        **rows.permissions(recorded("permissions_with_override_path"), what="permissions"),
        "/nodes/pve1": rows.permissions(recorded("permissions_node_mon", "perm"), what="permissions")["/nodes/pve1"],
    }
    sight = NodeSight(
        node="pve1", listed=vmids("qemu_list_with_override"), netstat=rows.netstat(recorded("netstat_100_running_mon"), what="netstat")
    )
    evidence = Evidence(token_id=MONITOR, acl=ACL, rights=rights, nodes=(sight,))
    (spot,) = blind_spots(evidence, vmids("resources_with_override"))
    assert spot.subject == "guest/101"
    assert spot.mend == "pveum acl delete /vms/101 --users monitor@pve --roles NoAccess"


def test_s01_the_recorded_netstat_gives_away_what_a_token_without_vm_audit_does_not_see() -> None:
    token = "nobody@pve!none"
    acl = rows.acl(recorded("acl_without_sys_audit_on_access"), what="acl")
    rights: dict[str, Rights | Unknown] = {"/": {}, "/vms": {}, "/access": {}}
    rights.update(rows.permissions(recorded("permissions_without_vm_audit"), what="permissions"))
    rights["/nodes/pve1"] = rights["/nodes"]
    listed = vmids("qemu_list_without_vm_audit") | vmids("lxc_list_without_vm_audit")
    sight = NodeSight(node="pve1", listed=listed, netstat=rows.netstat(recorded("netstat_without_vm_audit"), what="netstat"))
    reasons = [spot.reason for spot in blind_spots(Evidence(token_id=token, acl=acl, rights=rights, nodes=(sight,)), frozenset())]
    assert reasons == [
        "the token lacks VM.Audit on /vms, so Proxmox VE may leave out guests without a word",
        "the token lacks Sys.Audit on /, so the state of the cluster, its HA and its tasks stay hidden",
        "the token lacks Sys.Audit on /access, so a rule that hides single guests from it would itself stay hidden",
        "2 guests run on node pve1, but Proxmox VE does not show them to this token: 100 and 200",
    ]
