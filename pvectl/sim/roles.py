"""PVE's predefined roles, as recorded on 8.4 and 9.2."""

from __future__ import annotations

from collections.abc import Mapping

_GUEST_AGENT_9 = (
    "VM.GuestAgent.Audit VM.GuestAgent.FileRead VM.GuestAgent.FileSystemMgmt VM.GuestAgent.FileWrite VM.GuestAgent.Unrestricted"
)
_CONFIG = (
    "VM.Config.CDROM VM.Config.CPU VM.Config.Cloudinit VM.Config.Disk VM.Config.HWType VM.Config.Memory VM.Config.Network VM.Config.Options"
)
_DATASTORE = "Datastore.Allocate Datastore.AllocateSpace Datastore.AllocateTemplate Datastore.Audit"
_VM_ADMIN = f"VM.Allocate VM.Audit VM.Backup VM.Clone {_CONFIG} VM.Console VM.Migrate VM.PowerMgmt VM.Snapshot VM.Snapshot.Rollback"
_VM_USER = "VM.Audit VM.Backup VM.Config.CDROM VM.Config.Cloudinit VM.Console VM.PowerMgmt"
_AUDITOR = "Datastore.Audit Mapping.Audit Pool.Audit SDN.Audit Sys.Audit VM.Audit"
_ADMIN = (
    f"{_DATASTORE} Group.Allocate Mapping.Audit Mapping.Use Pool.Allocate Pool.Audit Realm.AllocateUser "
    f"SDN.Allocate SDN.Audit SDN.Use Sys.Audit Sys.Console Sys.Syslog User.Modify {_VM_ADMIN}"
)
_ONLY_ADMINISTRATOR = "Mapping.Modify Permissions.Modify Realm.Allocate Sys.AccessNetwork Sys.Incoming Sys.Modify Sys.PowerMgmt"

_SAME_EVERYWHERE = {
    "NoAccess": "",
    "PVEDatastoreAdmin": _DATASTORE,
    "PVEDatastoreUser": "Datastore.AllocateSpace Datastore.Audit",
    "PVEMappingAdmin": "Mapping.Audit Mapping.Modify Mapping.Use",
    "PVEMappingUser": "Mapping.Audit Mapping.Use",
    "PVEPoolAdmin": "Pool.Allocate Pool.Audit",
    "PVEPoolUser": "Pool.Audit",
    "PVESDNAdmin": "SDN.Allocate SDN.Audit SDN.Use",
    "PVESDNUser": "SDN.Audit SDN.Use",
    "PVESysAdmin": "Sys.Audit Sys.Console Sys.Syslog",
    "PVETemplateUser": "VM.Audit VM.Clone",
    "PVEUserAdmin": "Group.Allocate Realm.AllocateUser User.Modify",
}


def predefined_roles(*, since_9: bool) -> dict[str, frozenset[str]]:
    """Role name to privileges. 9.0 replaced VM.Monitor by VM.GuestAgent.* and added VM.Replicate."""
    admins_extra = f"{_GUEST_AGENT_9} VM.Replicate" if since_9 else "VM.Monitor"
    users_extra = "VM.GuestAgent.Audit VM.GuestAgent.FileRead VM.GuestAgent.FileSystemMgmt VM.GuestAgent.FileWrite" if since_9 else ""
    named: Mapping[str, str] = {
        **_SAME_EVERYWHERE,
        "PVEAuditor": f"{_AUDITOR} VM.GuestAgent.Audit" if since_9 else _AUDITOR,
        "PVEVMUser": f"{_VM_USER} {users_extra}",
        "PVEVMAdmin": f"{_VM_ADMIN} {admins_extra}",
        "PVEAdmin": f"{_ADMIN} {admins_extra}",
        "Administrator": f"{_ADMIN} {admins_extra} {_ONLY_ADMINISTRATOR}",
    }
    return {name: frozenset(privileges.split()) for name, privileges in named.items()}
