"""The table of the simulated API: method and path, who may, what may be said, who answers."""

from __future__ import annotations

from collections.abc import Mapping

from pvectl.sim import (
    accessapi,
    bulk,
    ceph,
    clusterwide,
    configs,
    guests,
    ha,
    jobs,
    machinery,
    nodepower,
    nodes,
    power,
    resources,
    rrd,
    storage,
    tasklists,
)
from pvectl.sim.call import Call, Handler, Permission, Route, anyone, needs
from pvectl.sim.parameters import COUNT, GUEST_ID, NODE, STORAGE, SWITCH, TEXT, Parameter, Schema

AT_NODE: Schema = {"node": NODE}
AT_GUEST: Schema = {"node": NODE, "vmid": GUEST_ID}
SHUTDOWN: Mapping[str, Schema] = {
    "qemu": {**AT_GUEST, "skiplock": SWITCH, "timeout": COUNT, "forceStop": SWITCH, "keepActive": SWITCH},
    "lxc": {**AT_GUEST, "timeout": COUNT, "forceStop": SWITCH},
}
STOP: Mapping[str, Schema] = {
    "qemu": {
        **AT_GUEST,
        "skiplock": SWITCH,
        "timeout": COUNT,
        "keepActive": SWITCH,
        "migratedfrom": NODE.optional(),
        "overrule-shutdown": SWITCH,
    },
    "lxc": {**AT_GUEST, "skiplock": SWITCH, "overrule-shutdown": SWITCH},
}
START: Mapping[str, Schema] = {
    "qemu": {**AT_GUEST, "skiplock": SWITCH, "timeout": COUNT, "machine": TEXT, "targetstorage": TEXT, "force-cpu": TEXT},
    "lxc": {**AT_GUEST, "skiplock": SWITCH, "debug": SWITCH},
}
COMMAND: Schema = {**AT_NODE, "command": Parameter(required=True, choices=("reboot", "shutdown"))}
METRICS: Schema = {"history": SWITCH, "local-only": SWITCH, "node-list": TEXT, "start-time": Parameter(kind="integer", low=0)}
DISKS: Schema = {**AT_NODE, "skipsmart": SWITCH, "include-partitions": SWITCH, "type": Parameter(choices=("unused", "journal_disks"))}
VZDUMP: Schema = {
    **AT_NODE,
    **dict.fromkeys(("compress", "mailto", "mailnotification", "notes-template"), TEXT),
    "vmid": bulk.VMIDS,
    "storage": STORAGE.optional(),
    "mode": Parameter(choices=("snapshot", "suspend", "stop")),
    "all": SWITCH,
}
LOGIN: Schema = {
    **dict.fromkeys(("realm", "otp", "path", "privs", "tfa-challenge"), TEXT),
    **dict.fromkeys(("username", "password"), Parameter(required=True)),
    "new-format": SWITCH,
}
TYPES = ("vm", "storage", "node", "sdn")

AUDIT_ALL = needs("/", "Sys.Audit")
AUDIT_CEPH = needs("/", "Sys.Audit", "Datastore.Audit", any_of=True)
AUDIT_NODE = needs("/nodes/{node}", "Sys.Audit")
POWER_NODE = needs("/nodes/{node}", "Sys.PowerMgmt")
AUDIT_GUEST = needs("/vms/{vmid}", "VM.Audit")
POWER_GUEST = needs("/vms/{vmid}", "VM.PowerMgmt")


def _route(
    method: str, path: str, handler: Handler, permission: Permission = anyone, schema: Schema | None = None, *, protected: bool = False
) -> Route:
    """Whatever lies below a node is carried out there."""
    below = path.startswith("/nodes/{node}/")
    return Route(method=method, path=path, handler=handler, permission=permission, schema=schema or {}, at_node=below, protected=protected)


def get(path: str, handler: Handler, permission: Permission = anyone, schema: Schema | None = None, *, protected: bool = False) -> Route:
    """A reading route."""
    return _route("GET", path, handler, permission, schema, protected=protected)


def post(path: str, handler: Handler, permission: Permission = anyone, schema: Schema | None = None) -> Route:
    """A changing route, carried out as root."""
    return _route("POST", path, handler, permission, schema, protected=True)


def version(call: Call) -> dict[str, str]:
    """GET /version."""
    return {"version": call.world.full_version, "release": call.world.version, "repoid": call.world.repoid}


def _subdirs(names: str) -> Handler:
    return lambda _: [{"subdir": name} for name in names.split()]


GUEST_INDEX = {
    "qemu": "config cloudinit pending status unlink vncproxy termproxy migrate resize move rrd rrddata monitor agent snapshot "
    "spiceproxy sendkey firewall mtunnel remote_migrate",
    "lxc": "config pending status vncproxy termproxy vncwebsocket spiceproxy migrate clone initlog rrd rrddata firewall snapshot "
    "resize interfaces mtunnel remote_migrate",
}


def _guest_routes(kind: str) -> list[Route]:
    base = f"/nodes/{{node}}/{kind}/{{vmid}}"
    change = needs("/vms/{vmid}", *(configs.QEMU_ANY if kind == "qemu" else configs.LXC_ANY), any_of=True)
    return [
        get(base, _subdirs(GUEST_INDEX[kind]), anyone, AT_GUEST),
        get(f"{base}/config", configs.read(kind), AUDIT_GUEST, configs.READ_SCHEMA),
        get(f"{base}/pending", configs.pending(kind), AUDIT_GUEST, AT_GUEST),
        _route("PUT", f"{base}/config", configs.write(kind), change, configs.write_schema(kind), protected=True),
        get(
            f"{base}/status",
            _subdirs(
                "current start stop reset shutdown suspend reboot"
                if kind == "qemu"
                else "current start stop shutdown suspend resume reboot"
            ),
            anyone,
            AT_GUEST,
        ),
        get(f"{base}/status/current", guests.current(kind), AUDIT_GUEST, AT_GUEST, protected=True),
        get(f"{base}/snapshot", guests.snapshots(kind), AUDIT_GUEST, AT_GUEST, protected=True),
        get(f"{base}/rrddata", rrd.of_guest(kind), AUDIT_GUEST, rrd.GUEST_SCHEMA, protected=True),
        post(f"{base}/status/start", power.start(kind), POWER_GUEST, START[kind]),
        post(f"{base}/status/shutdown", power.shutdown(kind), POWER_GUEST, SHUTDOWN[kind]),
        post(f"{base}/status/stop", power.stop(kind), POWER_GUEST, STOP[kind]),
    ]


ROUTES: tuple[Route, ...] = (
    get("/", _subdirs("version cluster nodes storage access pools")),
    get("/version", version),
    get("/access", accessapi.index),
    get("/access/permissions", accessapi.permissions, anyone, {"path": TEXT, "userid": TEXT}),
    get("/access/acl", accessapi.acl),
    get("/access/roles", accessapi.roles),
    get("/access/users", accessapi.users, anyone, {"enabled": SWITCH, "full": SWITCH}, protected=True),
    get("/access/users/{userid}", accessapi.user, anyone, {"userid": TEXT}),
    get("/access/users/{userid}/token", accessapi.tokens, anyone, {"userid": TEXT}),
    Route(method="GET", path="/access/domains", handler=accessapi.domains, permission=anyone, schema={}, world_readable=True),
    Route(
        method="POST",
        path="/access/ticket",
        handler=accessapi.ticket,
        permission=anyone,
        schema=LOGIN,
        protected=True,
        world_readable=True,
        token_allowed=False,
    ),
    Route(
        method="PUT",
        path="/access/password",
        handler=accessapi.reject_password_change,
        permission=anyone,
        schema={"userid": TEXT, "password": TEXT},
        token_allowed=False,
    ),
    get("/cluster", clusterwide.index),
    get("/cluster/resources", resources.resources, anyone, {"type": Parameter(choices=TYPES)}),
    get("/cluster/status", clusterwide.status, AUDIT_ALL, protected=True),
    get("/cluster/options", clusterwide.options),
    get("/cluster/nextid", clusterwide.next_id, anyone, {"vmid": GUEST_ID.optional()}),
    get("/cluster/log", clusterwide.cluster_log, anyone, {"max": Parameter(kind="integer", low=1)}),
    get("/cluster/tasks", tasklists.cluster_tasks),
    get("/cluster/config/nodes", clusterwide.config_nodes, AUDIT_ALL),
    get("/cluster/config/qdevice", clusterwide.config_qdevice, AUDIT_ALL, protected=True),
    get("/cluster/ha/resources", ha.list_resources, AUDIT_ALL, {"type": TEXT}),
    get("/cluster/ha/status/current", ha.status, AUDIT_ALL),
    get("/cluster/replication", jobs.replication_jobs),
    get("/cluster/replication/{id}", jobs.replication_job, anyone, {"id": TEXT}),
    get("/cluster/backup", jobs.backup_jobs, AUDIT_ALL),
    get("/cluster/backup-info/not-backed-up", jobs.not_backed_up, AUDIT_ALL, protected=True),
    get("/cluster/metrics/export", clusterwide.metrics, AUDIT_ALL, METRICS),
    get("/cluster/ceph/status", ceph.status, AUDIT_CEPH, protected=True),
    get("/cluster/ceph/metadata", ceph.metadata, AUDIT_CEPH, {"scope": TEXT}, protected=True),
    Route(
        method="POST",
        path="/cluster/bulk-action/guest/shutdown",
        handler=bulk.bulk_shutdown,
        permission=anyone,
        schema=bulk.BULK_SHUTDOWN,
        protected=True,
        since=(9, 1),
    ),
    get("/nodes", nodes.list_nodes),
    get("/nodes/{node}", machinery.index, anyone, AT_NODE),
    get("/nodes/{node}/status", nodes.status, AUDIT_NODE, AT_NODE),
    post("/nodes/{node}/status", nodepower.command, POWER_NODE, COMMAND),
    Route(
        method="POST", path="/nodes/{node}/wakeonlan", handler=nodepower.wake_on_lan, permission=POWER_NODE, schema=AT_NODE, protected=True
    ),
    post("/nodes/{node}/stopall", bulk.stop_all, bulk.may_stop_all, bulk.STOPALL),
    get("/nodes/{node}/version", version, anyone, AT_NODE),
    get("/nodes/{node}/qemu", guests.list_qemu, anyone, {**AT_NODE, "full": SWITCH}, protected=True),
    get("/nodes/{node}/lxc", guests.list_lxc, anyone, AT_NODE, protected=True),
    get("/nodes/{node}/netstat", machinery.network_counters, AUDIT_NODE, AT_NODE),
    get("/nodes/{node}/config", machinery.config, AUDIT_ALL, {**AT_NODE, "property": TEXT}),
    get("/nodes/{node}/time", machinery.clock, AUDIT_NODE, AT_NODE),
    get("/nodes/{node}/services", machinery.services, AUDIT_NODE, AT_NODE, protected=True),
    get("/nodes/{node}/certificates/info", machinery.certificates, anyone, AT_NODE),
    get("/nodes/{node}/disks/list", machinery.disks, AUDIT_NODE, DISKS, protected=True),
    get("/nodes/{node}/disks/zfs", machinery.zfs_pools, AUDIT_ALL, AT_NODE, protected=True),
    get("/nodes/{node}/disks/lvmthin", machinery.thin_pools, AUDIT_CEPH, AT_NODE, protected=True),
    get("/nodes/{node}/apt/update", machinery.updates, needs("/nodes/{node}", "Sys.Modify"), AT_NODE, protected=True),
    get("/nodes/{node}/subscription", machinery.subscription, anyone, AT_NODE),
    get("/nodes/{node}/replication", jobs.node_replication, anyone, {**AT_NODE, "guest": GUEST_ID.optional()}),
    get("/nodes/{node}/rrddata", rrd.of_node, AUDIT_NODE, rrd.schema(), protected=True),
    get("/nodes/{node}/ceph/cmd-safety", ceph.command_safety, AUDIT_ALL, ceph.SAFETY, protected=True),
    post("/nodes/{node}/vzdump", jobs.back_up, anyone, VZDUMP),
    get("/nodes/{node}/storage", storage.list_on_node, anyone, storage.LIST, protected=True),
    get("/nodes/{node}/storage/{storage}/status", storage.status, storage.may_audit, storage.AT_STORAGE, protected=True),
    get("/nodes/{node}/storage/{storage}/content", storage.content, storage.may_audit, storage.CONTENT, protected=True),
    get("/nodes/{node}/storage/{storage}/rrddata", rrd.of_storage, storage.may_audit, rrd.STORAGE_SCHEMA),
    get("/storage", storage.list_configured, anyone, {"type": TEXT}),
    get("/pools", storage.list_pools, anyone, {"poolid": TEXT, "type": TEXT}),
    get("/pools/{poolid}", storage.pool, storage.check_pool, {"poolid": TEXT, "type": TEXT}),
    get("/nodes/{node}/tasks", tasklists.node_tasks, anyone, tasklists.LIST_SCHEMA),
    get("/nodes/{node}/tasks/{upid}", tasklists.index, anyone, tasklists.UPID_SCHEMA),
    get("/nodes/{node}/tasks/{upid}/status", tasklists.status, anyone, tasklists.UPID_SCHEMA, protected=True),
    get("/nodes/{node}/tasks/{upid}/log", tasklists.log, anyone, tasklists.LOG_SCHEMA, protected=True),
    _route("DELETE", "/nodes/{node}/tasks/{upid}", tasklists.stop, anyone, tasklists.UPID_SCHEMA, protected=True),
    *_guest_routes("qemu"),
    *_guest_routes("lxc"),
    post(
        "/nodes/{node}/qemu/{vmid}/config",
        configs.write_later,
        needs("/vms/{vmid}", *configs.QEMU_ANY, any_of=True),
        configs.write_schema("qemu"),
    ),
    post("/nodes/{node}/qemu/{vmid}/status/suspend", power.suspend, POWER_GUEST, {**AT_GUEST, "skiplock": SWITCH, "todisk": SWITCH}),
    post("/nodes/{node}/qemu/{vmid}/status/resume", power.resume, POWER_GUEST, {**AT_GUEST, "skiplock": SWITCH}),
)
