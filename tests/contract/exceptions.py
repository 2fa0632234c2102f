"""Where the simulated cluster knowingly answers otherwise than the recorded one, and why; every entry must still be needed."""

from __future__ import annotations

SANDBOX_SERVICES = "the recorded host was a container without systemd, whose list of services is empty; a real one lists its daemons"
ONE_CACHE = "pveproxy's workers keep the list for 2 s each and take turns, so that it jumps back and forth; here there is one list"

EXCEPTIONS: dict[str, tuple[str, str]] = {
    "8.4/misc/get_nodes_pve1_qemu_101_rrddata_timeframe=hour": (
        "key data[].disk",
        "the recorded rrd files were made by hand and had no disk columns",
    ),
    "8.4/misc/get_nodes_pve1_services": ("row data[", SANDBOX_SERVICES),
    "9.2/misc/get_nodes_pve1_services": ("row data[", SANDBOX_SERVICES),
    "8.4/no_pvestatd/status": (
        "status|reason|header|key .message|kind data",
        "the recorded host had no SSH host key yet, which /cluster/status tripped over; nothing to do with pvestatd",
    ),
    "8.4/staleness/stop_timeline": ("back and forth", ONE_CACHE),
    "9.2/staleness/start_timeline": ("back and forth", ONE_CACHE),
    "8.4/tasks/running_cluster_tasks": (
        "key data[",
        "the worker itself had broadcast the list a moment before, without the column `saved`; 9.2 recorded the same call with it",
    ),
    "9.2/bulk/backup_job_create": (
        "status|reason|message",
        "the recorded host lacked the directory for PVE's lock file; here backup jobs come from the scenario, without such a call",
    ),
    "9.2/bulk/bulk_shutdown_101_deaf_noforce": (
        "loglines",
        "the recorded worker was turned away by its own API (401) and never asked the guest; the simulated one asks, waits and names it",
    ),
    "9.2/bulk/vzdump_101": ("task|value task.exitstatus|log", "the recorded backup failed at once because the host had no sendmail"),
}
"""`version/group/name` -> what is not compared (how a difference begins, several with `|`) and the reason."""
