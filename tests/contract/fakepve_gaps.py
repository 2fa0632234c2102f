"""Where fakepve 0.5 is known to answer otherwise than PVE, and how PVE is known to answer; every entry must still be needed."""

from __future__ import annotations

Gap = tuple[str, str]
"""How a difference begins, and why the simulated cluster is right."""

OFF: tuple[Gap, ...] = (
    ("reason", "PVE says why the connection failed: `Connection refused` (recorded)"),
    ("key .", "PVE's 595 has no body at all (recorded)"),
)
SCHEMA = "fakepve does not check the parameters of its own routes; PVE answers 400 and names the parameter (recorded)"
NO_PARAMETER_CHECK: tuple[Gap, ...] = (("status", SCHEMA), ("key .", SCHEMA), ("errors", SCHEMA))
UNKNOWN_ROW: Gap = (
    "key data[qemu/310].",
    "a guest whose node has been silent for 5 minutes is a bare row in PVE: no name, no template, no figures (recorded)",
)
MEMHOST: Gap = ("key data[lxc/", "9.x shows memhost for containers, too, as 0 (recorded)")
CGROUP_MODE: Gap = ("key data[node/pve1].cgroup-mode", "rows of nodes that are on carry cgroup-mode (recorded)")
OFFLINE_LEVEL: Gap = ("key data[node/pve3].level", "the row of a node that is off has a status and nothing else (recorded)")
CONTAINER_PRESSURE: Gap = (
    "kind data",
    "not decided: no running container was recorded on 9.x; fakepve has pressure as text, PVE's VMs have numbers (recorded)",
)
RUNNING_KEYS: Gap = (
    "key data.",
    "keys of the monitor's answers (balloon, running-machine, disk counters) were absent in every recorded status",
)
TASK_USER: tuple[Gap, ...] = (("value task.user", "PVE splits user and tokenid in a task's status (recorded)"),)
IN_THE_TASK = "QEMU tests that in the worker: 200, a task id, and the outcome as exit status (recorded)"

GAPS: dict[str, tuple[Gap, ...]] = {
    "wrong token": (("reason", "PVE's words are `Authentication failed!` (recorded)"), ("key .", "PVE's 401 has no body (recorded)")),
    "unknown path": (("status", "PVE answers 501, never 404 (recorded)"), ("key .", "and says so in JSON (recorded)")),
    "unknown parameter": NO_PARAMETER_CHECK,
    "resources of no such type": NO_PARAMETER_CHECK,
    "resources": (
        UNKNOWN_ROW,
        MEMHOST,
        CGROUP_MODE,
        ("key data[node/pve2].cgroup-mode", CGROUP_MODE[1]),
        OFFLINE_LEVEL,
        ("row data[network/", "9.x lists the SDN zone of every node (recorded)"),
        ("key data[storage/pve3/local]", "the storages of a node that is off are unknown and without figures (recorded)"),
        ("value data[storage/pve3/local]", "the storages of a node that is off are unknown and without figures (recorded)"),
    ),
    "guests": (UNKNOWN_ROW, MEMHOST),
    "guests a watcher may see": (MEMHOST,),
    "nodes among the resources": (CGROUP_MODE, ("key data[node/pve2].cgroup-mode", CGROUP_MODE[1]), OFFLINE_LEVEL),
    "nodes": (OFFLINE_LEVEL,),
    "cluster status": (
        ("key data[cluster].online", "PVE's cluster row has no count of nodes that are on (recorded)"),
        ("key data[node/pve3].ip", "a node that is off has no address (recorded)"),
    ),
    "cluster status without the right": (
        ("status", "needs Sys.Audit on / (recorded)"),
        ("key .message", "needs Sys.Audit on / (recorded)"),
    ),
    "node that is off": OFF,
    "guests of a node that is off": OFF,
    "shutdown on a node that is off": OFF,
    "containers": (CONTAINER_PRESSURE,),
    "containers a watcher may see": (CONTAINER_PRESSURE,),
    "running container": (CONTAINER_PRESSURE,),
    "running VM": (RUNNING_KEYS,),
    "stopped VM": (RUNNING_KEYS,),
    "VM that was shut down": (RUNNING_KEYS,),
    "tags in disorder read back": (("value data.tags", "PVE sorts tags and puts them in lower case (recorded)"),),
    "tags without the right": (("reason", "PVE first names every right that lets one write to a configuration (recorded)"),),
    **dict.fromkeys(
        (
            "shutdown",
            "start",
            "start of a running VM",
            "start of a template",
            "shutdown of a deaf VM",
            "forced shutdown of a deaf VM",
            "stop",
            "container shutdown",
            "container start",
        ),
        TASK_USER,
    ),
    "shutdown of a stopped VM": (("status", IN_THE_TASK), ("key .message", IN_THE_TASK)),
    "shutdown of a locked VM": (("status", IN_THE_TASK), ("key .message", IN_THE_TASK)),
    "tasks": (("key .total", "task lists carry their length beside the rows (recorded)"),),
    "tasks of no such node": (
        ("status", "an unknown node is 500 `hostname lookup … failed` (recorded)"),
        ("key .message", "an unknown node is 500 `hostname lookup … failed` (recorded)"),
    ),
    "status of no task": (
        ("status", "an unknown task id is 400 with errors.upid (recorded)"),
        ("key .errors", "an unknown task id is 400 with errors.upid (recorded)"),
        ("errors", "an unknown task id is 400 with errors.upid (recorded)"),
    ),
}
