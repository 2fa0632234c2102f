"""Reading and changing a guest's configuration: types, digest, locks, pending values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pvectl.sim.guests import find
from pvectl.sim.inventory import Guest, config_path, lock_path
from pvectl.sim.parameters import DIGEST, GUEST_ID, NODE, SNAPSHOT, SWITCH, TEXT, Parameter, Schema, format_of
from pvectl.sim.refusals import bad_parameters, died
from pvectl.sim.tags import check_tag_change, split_tags, stored_tags, wrong_tags
from pvectl.sim.tasks import LOCK_PATIENCE, Task, TaskError, Worker, fork, lock_is_free_in, locked

if TYPE_CHECKING:
    from pvectl.sim.call import Call, Handler

ROOT_ONLY = "Only root may use this option."
WORDS = re.compile(r"(net|ide|scsi|virtio|sata|serial|mp|unused|hostpci|usb|parallel|numa|ipconfig|dev)\d+")
INTEGER = Parameter(kind="integer", low=0)
NUMBER = Parameter(kind="number", low=0)
TAGS = Parameter(wrong=wrong_tags, is_list=True)
DESCRIPTION = Parameter(longest=8192)
STARTUP = Parameter(
    wrong=lambda text: (
        None
        if re.fullmatch(r"((order=)?\d+|up=\d+|down=\d+)(,(order=\d+|up=\d+|down=\d+))*", text)
        else "unable to parse startup options\n"
    )
)

QEMU_INTEGERS = "balloon cores cpuunits shares smp sockets vcpus migrate_downtime"
QEMU_NUMBERS = "cpulimit migrate_speed"
QEMU_SWITCHES = "acpi autostart freeze kvm localtime numa onboot protection reboot tablet template tdf"
QEMU_TEXTS = (
    "affinity agent arch args audio0 bios boot bootdisk cdrom cicustom cipassword cipasswordfile citype ciuser cpu efidisk0 "
    "hookscript hotplug hugepages ivshmem keyboard lock machine memory meta name nameserver ostype parent rng0 scsihw searchdomain smbios1 "
    "spice_enhancements sshkeys startdate tpmstate0 vga vmgenid vmstate vmstatestorage watchdog amd-sev intel-tdx"
)
LXC_INTEGERS = "cores cpuunits memory swap tty"
LXC_SWITCHES = "console debug onboot protection template unprivileged"
LXC_TEXTS = "arch cmode features hookscript hostname lock nameserver ostype parent rootfs searchdomain timezone"

PRIVILEGE_OF: Mapping[str, str] = {
    **dict.fromkeys(["cores", "cpulimit", "cpuunits", "cpu", "numa", "smp", "sockets", "vcpus", "affinity"], "VM.Config.CPU"),
    **dict.fromkeys(["memory", "balloon", "shares", "swap", "hugepages"], "VM.Config.Memory"),
    **dict.fromkeys(["nameserver", "searchdomain", "hostname"], "VM.Config.Network"),
    **dict.fromkeys(["vga", "machine", "bios", "audio0", "rng0", "watchdog", "tablet", "scsihw", "arch"], "VM.Config.HWType"),
    **dict.fromkeys(["rootfs", "efidisk0", "tpmstate0", "bootdisk"], "VM.Config.Disk"),
    **dict.fromkeys(["ciuser", "cipassword", "sshkeys", "citype", "cicustom"], "VM.Config.Cloudinit"),
}
QEMU_ANY = tuple(f"VM.Config.{name}" for name in ["Disk", "CDROM", "CPU", "Memory", "Network", "HWType", "Options", "Cloudinit"])
LXC_ANY = tuple(f"VM.Config.{name}" for name in ["Disk", "CPU", "Memory", "Network", "Options"])
HANDLED = frozenset(["node", "vmid", "digest", "delete", "revert", "skiplock", "force", "background_delay", "import-working-storage"])
HOT = frozenset(["tags", "description", "name", "hostname", "onboot", "startup", "protection", "lock", "template", "parent"])


DNS_NAME = Parameter(wrong=format_of(re.compile(r"(?!-)[a-zA-Z0-9-]+(?<!-)(\.(?!-)[a-zA-Z0-9-]+(?<!-))*"), "DNS name"))


def _option_schema(texts: str, integers: str, switches: str, numbers: str = "cpulimit") -> dict[str, Parameter]:
    return {
        **dict.fromkeys(texts.split(), TEXT),
        **dict.fromkeys(integers.split(), INTEGER),
        **dict.fromkeys(switches.split(), SWITCH),
        **dict.fromkeys(numbers.split(), NUMBER),
        "tags": TAGS,
        "description": DESCRIPTION,
        "startup": STARTUP,
        **{name: DNS_NAME for name in ("name", "hostname") if name in texts.split()},
    }


OPTIONS: Mapping[str, Schema] = {
    "qemu": _option_schema(QEMU_TEXTS, QEMU_INTEGERS, QEMU_SWITCHES, QEMU_NUMBERS),
    "lxc": _option_schema(LXC_TEXTS, LXC_INTEGERS, LXC_SWITCHES),
}
READ_SCHEMA: Schema = {"node": NODE, "vmid": GUEST_ID, "current": SWITCH, "snapshot": SNAPSHOT}


def write_schema(kind: str) -> dict[str, Parameter]:
    """What PUT config accepts, apart from the numbered devices."""
    common = {"node": NODE, "vmid": GUEST_ID, "digest": DIGEST, "delete": Parameter(is_list=True), "revert": Parameter(is_list=True)}
    more = {"skiplock": SWITCH, "force": SWITCH} if kind == "qemu" else {}
    return {**OPTIONS[kind], **common, **more}


def typed(kind: str, key: str, raw: str) -> Any:
    """A configuration value as the API gives it: numbers for numeric options, text for the others; None for nonsense."""
    parameter = OPTIONS[kind].get(key)
    if parameter is None or parameter.kind == "string":
        return raw
    try:
        return float(raw) if "." in raw else int(raw)
    except ValueError:
        return None


def read(kind: str) -> Handler:
    """GET config."""

    def answer(call: Call) -> dict[str, Any]:
        guest = find(call, kind)
        name = call.params.get("snapshot")
        if name:
            if name not in guest.snapshots:
                raise died(f"snapshot '{name}' does not exist")
            lines = {key: str(value) for key, value in guest.snapshots[name].items() if key != "vmstate"}
        else:
            lines = dict(guest.config)
            if not call.params.get("current"):
                lines |= guest.pending
                for key in guest.pending_deletes:
                    lines.pop(key, None)
        shown = {key: value for key, raw in lines.items() if (value := typed(kind, key, raw)) is not None}
        if "snaptime" in shown:
            shown["snaptime"] = int(shown["snaptime"])
        if "tags" in shown and wrong_tags(shown["tags"]) is not None:
            del shown["tags"]
        return {**shown, "digest": guest.digest()}

    return answer


def pending(kind: str) -> Handler:
    """GET pending: every option with the value that waits for the next start."""

    def answer(call: Call) -> list[dict[str, Any]]:
        guest = find(call, kind)
        rows: list[dict[str, Any]] = []
        for key, raw in guest.config.items():
            row = {"key": key, "value": typed(kind, key, raw)}
            if key in guest.pending:
                row["pending"] = typed(kind, key, guest.pending[key])
            if key in guest.pending_deletes:
                row["delete"] = guest.pending_deletes[key]
            rows.append(row)
        rows += [{"key": key, "pending": typed(kind, key, raw)} for key, raw in guest.pending.items() if key not in guest.config]
        rows += [{"key": key, "delete": force} for key, force in guest.pending_deletes.items() if key not in guest.config]
        return [*rows, {"key": "digest", "value": guest.digest()}]

    return answer


def write(kind: str) -> Handler:
    """PUT config: synchronous, answers null."""

    def answer(call: Call) -> None:
        changes, deletes = _wanted(call, kind)
        guest = call.world.guest_at(kind, call.node, call.vmid)
        if guest is None:
            raise died(f"Configuration file '{config_path(kind, call.node, call.vmid)}' does not exist")
        wait = lock_is_free_in(call.world, guest)
        if wait > LOCK_PATIENCE:
            call.takes(LOCK_PATIENCE)
            raise died(f"can't lock file '{lock_path(kind, guest.vmid)}' - got timeout")
        call.takes(wait)
        problem = _apply(call, kind, guest, changes, deletes)
        if problem is not None:
            raise died(problem)

    return answer


def write_later(call: Call) -> str:
    """POST config: the same as a task, QEMU only."""
    changes, deletes = _wanted(call, "qemu")
    guest = find(call, "qemu")

    def work(task: Task) -> Worker:
        yield from locked(call.world, task, guest, lock_path("qemu", guest.vmid))
        task.lines += [f"update VM {guest.vmid}: " + " ".join(f"-{key} {value}" for key, value in changes.items())]
        problem = _apply(call, "qemu", guest, changes, deletes)
        if problem is not None:
            raise TaskError(problem)

    return fork(call.world, call.node, "qmconfig", str(guest.vmid), call.who, work).upid


def _wanted(call: Call, kind: str) -> tuple[dict[str, str], list[str]]:
    params = call.params
    if call.who != "root@pam" and params.get("skiplock"):
        raise bad_parameters({"skiplock": ROOT_ONLY})
    changes = {key: f"{value:g}" if isinstance(value, float) else str(value) for key, value in params.items() if key not in HANDLED}
    deletes = split_tags(params.get("delete", ""))
    if not (changes or deletes or params.get("revert")):
        raise died("no options specified")
    for key in deletes:
        if key in changes:
            raise bad_parameters({"delete": f"you can't use '-{key}' and -delete {key}' at the same time"})
        if key not in OPTIONS[kind] and not WORDS.fullmatch(key):
            raise bad_parameters({"delete": f"unknown option '{key}'"})
    for key in [*deletes, *changes]:
        call.require(f"/vms/{call.vmid}", _privilege_for(key))
    return changes, deletes


def _privilege_for(key: str) -> str:
    if key in PRIVILEGE_OF:
        return PRIVILEGE_OF[key]
    if WORDS.fullmatch(key):
        kind = key.rstrip("0123456789")
        return {"net": "VM.Config.Network", "ipconfig": "VM.Config.Network"}.get(
            kind, "VM.Config.HWType" if kind in {"serial", "usb", "hostpci"} else "VM.Config.Disk"
        )
    return "VM.Config.Options"


def _apply(call: Call, kind: str, guest: Guest, changes: dict[str, str], deletes: list[str]) -> str | None:
    """Carry it out under the lock; says what went wrong."""
    world, wanted = call.world, call.params.get("digest")
    if wanted and wanted != guest.digest() and kind == "qemu":
        return "checksum mismatch (file change by other user?)"
    if guest.lock is not None:
        return f"{'VM' if kind == 'qemu' else 'CT'} is locked ({guest.lock})"
    if wanted and wanted != guest.digest():
        return "detected modified configuration - file changed by other user? Try again."
    if "tags" in changes:
        check_tag_change(world, call.caller, guest.tags, changes["tags"])
        changes = {**changes, "tags": stored_tags(changes["tags"], world.options)}
    if "tags" in deletes:
        check_tag_change(world, call.caller, guest.tags, "")
    if not world.quorate():
        return f"unable to open file '/etc/pve/{guest.path()}.tmp.{call.here.next_pid}' - Permission denied"
    world.touch(guest)
    for key in deletes:
        if kind == "qemu" and guest.runs and key not in HOT and key in guest.config:
            guest.pending_deletes[key] = 0
        else:
            guest.config.pop(key, None)
    for key in split_tags(call.params.get("revert", "")):
        guest.pending.pop(key, None)
        guest.pending_deletes.pop(key, None)
    for key, value in changes.items():
        if guest.runs and key not in HOT and kind == "qemu":
            guest.pending[key] = value
        else:
            guest.config[key] = value
    world.note(
        "config changed", guest.vmid, " ".join([*(f"{key}={value}" for key, value in changes.items()), *(f"-{key}" for key in deletes)])
    )
    return None
