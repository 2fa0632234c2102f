"""Storages as the API shows them, and pools, which group storages and guests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pvectl.sim.parameters import GUEST_ID, NODE, STORAGE, SWITCH, TEXT, Schema
from pvectl.sim.refusals import died, lacks
from pvectl.sim.resources import guest_rows, storage_rows

if TYPE_CHECKING:
    from pvectl.sim.call import Call
    from pvectl.sim.inventory import Storage

LIST: Schema = {
    "node": NODE,
    "storage": STORAGE.optional(),
    "content": TEXT,
    "enabled": SWITCH,
    "target": NODE.optional(),
    "format": SWITCH,
}
AT_STORAGE: Schema = {"node": NODE, "storage": STORAGE}
CONTENT: Schema = {**AT_STORAGE, "content": TEXT, "vmid": GUEST_ID.optional()}
AUDIT = ("Datastore.Audit", "Datastore.AllocateSpace")


def may_audit(call: Call) -> None:
    """Datastore.Audit or Datastore.AllocateSpace on the storage in the path."""
    call.require(f"/storage/{call.params['storage']}", *AUDIT, any_of=True)


def list_configured(call: Call) -> list[dict[str, Any]]:
    """GET /storage: storage.cfg, as far as the caller may see it."""
    return [
        {
            "storage": storage.name,
            "type": storage.type,
            "content": storage.content,
            "shared": storage.shared,
            "digest": "0" * 40,
            **({"nodes": ",".join(storage.nodes)} if storage.nodes else {}),
            **({} if storage.enabled else {"disable": 1}),
            **storage.config,
        }
        for storage in call.world.storages.values()
        if _visible(call, storage)
    ]


def list_on_node(call: Call) -> list[dict[str, Any]]:
    """GET /nodes/N/storage."""
    rows = []
    for storage in call.world.storages.values():
        wanted = call.params.get("storage", storage.name) == storage.name and call.params.get("content", "") in (
            "",
            *storage.content.split(","),
        )
        if wanted and storage.on(call.node) and _visible(call, storage):
            rows.append({"storage": storage.name, **_status(call, storage)})
    return rows


def status(call: Call) -> dict[str, Any]:
    """GET /nodes/N/storage/S/status."""
    return _status(call, _here(call))


def content(call: Call) -> list[dict[str, Any]]:
    """GET /nodes/N/storage/S/content: disks of the guests, and whatever the scenario put there; backups only with a right to them."""
    storage = _here(call)
    if not storage.value(call.node, "active"):
        raise died(f"storage '{storage.name}' is not online")
    volumes = [*_disks(call, storage), *storage.volumes]
    allocate = call.holds(f"/storage/{storage.name}", "Datastore.Allocate")
    rows = []
    for volume in volumes:
        vmid = volume.get("vmid")
        if volume.get("content") == "backup" and not allocate and not call.holds(f"/vms/{vmid}", "VM.Backup"):
            continue
        if call.params.get("content", volume.get("content")) == volume.get("content") and call.params.get("vmid", vmid) == vmid:
            rows.append(volume)
    return rows


def list_pools(call: Call) -> list[dict[str, Any]]:
    """GET /pools."""
    rows = []
    for pool in call.world.access.pools:
        if call.holds(f"/pool/{pool}", "Pool.Audit") or call.holds(f"/pool/{pool}", "Pool.Allocate"):
            comment = call.world.access.pool_comments.get(pool)
            rows.append({"poolid": pool, **({"comment": comment} if comment else {})})
    return rows


def pool(call: Call) -> dict[str, Any]:
    """GET /pools/X: its members as rows of /cluster/resources, without tags and locks."""
    access, name = call.world.access, call.params["poolid"]
    if name not in access.pools:
        raise died(f"pool '{name}' does not exist")
    members = [
        {k: v for k, v in row.items() if k not in {"tags", "lock", "pool", "hastate"}} for row in guest_rows(call, access.pools[name])
    ]
    names = access.pool_storages.get(name, ())
    members += [row for row in storage_rows(call) if row["storage"] in names]
    comment = access.pool_comments.get(name)
    return {"poolid": name, "members": members, **({"comment": comment} if comment else {})}


def _here(call: Call) -> Storage:
    storage = call.world.storages.get(call.params["storage"])
    if storage is None:
        raise died(f"storage '{call.params['storage']}' does not exist")
    if not storage.on(call.node):
        raise died(f"storage '{storage.name}' is not available on node '{call.node}'")
    return storage


def _visible(call: Call, storage: Storage) -> bool:
    return any(call.holds(f"/storage/{storage.name}", privilege) for privilege in AUDIT)


def _status(call: Call, storage: Storage) -> dict[str, Any]:
    active = int(bool(storage.value(call.node, "active")))
    total, used = (storage.value(call.node, "total"), storage.value(call.node, "used")) if active else (0, 0)
    row: dict[str, Any] = {
        "type": storage.type,
        "content": storage.content,
        "shared": storage.shared,
        "enabled": storage.enabled,
        "active": active,
        "total": total,
        "used": used,
        "avail": total - used,
    }
    return {**row, "used_fraction": used / total} if total else row


def _disks(call: Call, storage: Storage) -> list[dict[str, Any]]:
    rows = []
    for guest in call.world.guests_on(call.node):
        for value in guest.config.values():
            volid = value.split(",")[0]
            if volid.startswith(f"{storage.name}:") and "size=" in value:
                kind = "images" if guest.type == "qemu" else "rootdir"
                rows.append(
                    {
                        "volid": volid,
                        "content": kind,
                        "format": volid.rpartition(".")[2],
                        "size": guest.maxdisk,
                        "vmid": guest.vmid,
                        "ctime": int(call.here.booted_at),
                    }
                )
    return rows


def check_pool(call: Call) -> None:
    """Pool.Audit on the pool in the path."""
    path = f"/pool/{call.params['poolid']}"
    if not (call.holds(path, "Pool.Audit") or call.holds(path, "Pool.Allocate")):
        raise lacks(path, "Pool.Audit")
