"""What must hold between the keys of one section, beyond the type of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from msgspec import Struct

from pvectl.config import telling, timetable, watching
from pvectl.config.durations import show_duration
from pvectl.config.problems import Remark, nearest, shown
from pvectl.config.schema import (
    SHORT_FORM_NAME,
    Activity,
    Alert,
    ClusterEntry,
    IdleCheck,
    Monitor,
    OwnPlace,
    ProxmoxFile,
    PvectlFile,
    RuleEntry,
    ScheduledShutdown,
    ScheduleEntry,
    SecretSource,
    StayUpEntry,
    Tls,
)
from pvectl.config.schema.alerting import TemplateEntry
from pvectl.config.schema.receivers import (
    AlertmanagerEntry,
    NtfyEntry,
    PagerDutyEntry,
    ReceiverTls,
    SendmailEntry,
    SmtpEntry,
    TelegramEntry,
    WebhookEntry,
)

_SECRET_SOURCES = ("token_value", "token_file", "token_command")


def _cluster(given: Mapping[str, object]) -> Iterator[Remark]:
    yield from _token_name_rules(given)
    sources = [key for key in _SECRET_SOURCES if key in given]
    if not sources:
        yield Remark(key="", message="has no secret", hint="give token_value, token_file or token_command")
    for extra in sources[1:]:
        yield Remark(key=extra, message=f"stands beside {sources[0]}, and only one can be meant", hint=f"take {extra} or {sources[0]} out")
    yield from _host_rules(given)


def _token_name_rules(given: Mapping[str, object]) -> Iterator[Remark]:
    if "token_id" in given:
        for key in ("user", "token_name"):
            if key in given:
                yield Remark(key=key, message="says again what token_id says", hint=f"take {key} or token_id out")
    elif "user" in given and "token_name" not in given:
        yield Remark(key="user", message="needs token_name beside it", hint="or write both as token_id: user@realm!tokenname")
    elif "token_name" in given and "user" not in given:
        yield Remark(key="token_name", message="needs user beside it", hint="or write both as token_id: user@realm!tokenname")
    elif "user" not in given:
        yield Remark(key="", message="names no token", hint="give token_id, for example pvectl@pve!ops, or user and token_name")


def _host_rules(given: Mapping[str, object]) -> Iterator[Remark]:
    hosts = given.get("hosts")
    if not isinstance(hosts, tuple):
        return
    seen: set[str] = set()
    for index, host in enumerate(hosts):
        if host in seen:
            yield Remark(key=f"hosts[{index}]", message=f"the host {shown(host)} stands there twice", hint="take one of them out")
        seen.add(host)
        if host.startswith("http://") and given.get("allow_http_loopback") is not True:
            yield Remark(
                key=f"hosts[{index}]",
                message=f"the host {shown(host)} is not encrypted",
                hint="allow_http_loopback: true permits it for a simulated cluster on this machine",
            )


def _tls(given: Mapping[str, object]) -> Iterator[Remark]:
    proofs = [key for key in ("ca_file", "fingerprints") if given.get(key)]
    if given.get("insecure") is True and proofs:
        yield Remark(key="insecure", message=f"contradicts {proofs[0]}", hint=f"take insecure out: {proofs[0]} is the safer of the two")
    if len(proofs) > 1:
        yield Remark(
            key="fingerprints", message="stands beside ca_file, and only one can be meant", hint="take fingerprints or ca_file out"
        )


def _proxmox_file(given: Mapping[str, object]) -> Iterator[Remark]:
    clusters = given.get("clusters")
    if "proxmox" in given and "clusters" in given:
        yield Remark(
            key="proxmox", message="stands beside clusters, and only one can be meant", hint="move it under clusters, or take it out"
        )
    elif "proxmox" not in given and ("clusters" not in given or clusters == {}):
        yield Remark(key="", message="names no cluster", hint="move the file away, and pvectl config init writes an example in its place")
    default = given.get("default_cluster")
    names = list(clusters) if isinstance(clusters, dict) else [SHORT_FORM_NAME] if "proxmox" in given else []
    if isinstance(default, str) and names and default not in names:
        close = nearest(default, names)
        yield Remark(
            key="default_cluster",
            message=f"there is no cluster {shown(default)}",
            hint=f"did you mean {close}?" if close else f"known are: {', '.join(names)}",
        )


LEAST_OBSERVATIONS = 3
"""Runs in a row that must see a node idle (safety rule S14)."""
_TIME_TO_LOG_IN = 300


def _idle_check(given: Mapping[str, object]) -> Iterator[Remark]:
    for key, what in (("nodes", "node"), ("exclude", "guest"), ("allow_ceph", "node")):
        yield from _twice(key, what, given.get(key))
    yield from _probes_twice(given.get("probes"))
    yield from _timing(given)


def _timing(given: Mapping[str, object]) -> Iterator[Remark]:
    """Times that cannot go together; a value that is wrong in itself is not judged again."""
    interval, grace, gap, uptime, notice = (_seconds(given, key) for key in ("interval", "grace_period", "max_gap", "min_uptime", "notice"))
    if interval is not None and grace is not None and grace < (needed := (LEAST_OBSERVATIONS - 1) * interval):
        yield Remark(
            key="grace_period",
            message=f"three observations cannot fit into {show_duration(grace)}: with a run every {show_duration(interval)}"
            f" they take {show_duration(needed)}",
            hint=f"write at least {show_duration(needed)}, or a shorter interval",
        )
    if interval is not None and gap is not None and gap <= interval:
        yield Remark(
            key="max_gap",
            message=f"{show_duration(gap)} is not longer than the {show_duration(interval)} between two runs: no time would count as idle",
            hint=f"write {show_duration(3 * interval)}, which lets two runs in a row be missed",
        )
    if grace is not None and uptime is not None and notice is not None and max(grace, uptime) + notice < _TIME_TO_LOG_IN:
        yield Remark(
            key="min_uptime",
            message=f"a node would go off {show_duration(max(grace, uptime) + notice)} after a boot, before anybody could stop it",
            hint="write at least 5m; 30m is the default",
        )


def _seconds(given: Mapping[str, object], key: str) -> int | None:
    value = given.get(key, IdleCheck.__struct_defaults__[IdleCheck.__struct_fields__.index(key)])
    return value if isinstance(value, int) else None


def _twice(key: str, what: str, values: object) -> Iterator[Remark]:
    if not isinstance(values, tuple):
        return
    seen: set[object] = set()
    for index, value in enumerate(values):
        if value in seen:
            yield Remark(key=f"{key}[{index}]", message=f"the {what} {shown(str(value))} stands there twice", hint="take one of them out")
        seen.add(value)


def _probes_twice(probes: object) -> Iterator[Remark]:
    if not isinstance(probes, tuple):
        return
    seen: set[str] = set()
    for index, name in enumerate(probe.name for probe in probes):
        if name in seen:
            yield Remark(
                key=f"probes[{index}].name", message=f"a probe {shown(name)} stands there already", hint="give each probe its own name"
            )
        seen.add(name)


def _own_place(given: Mapping[str, object]) -> Iterator[Remark]:
    if not given:
        yield Remark(key="", message="says nothing", hint="write {vmid: 105} or {node: pve2}, or take self out: pvectl then finds out")
    elif len(given) > 1:
        yield Remark(key="node", message="stands beside vmid, and only one can be meant", hint="in a guest, vmid is enough")


def _activity(given: Mapping[str, object]) -> Iterator[Remark]:
    if "cpu" not in given and "network" not in given:
        yield Remark(key="", message="has no limit", hint="give cpu, network or both, or take activity out")


def _pvectl_file(given: Mapping[str, object]) -> Iterator[Remark]:
    idle, scheduled = given.get("idle_check", IdleCheck()), given.get("scheduled_shutdown")
    if isinstance(idle, IdleCheck) and isinstance(scheduled, ScheduledShutdown):
        yield from timetable.of_power_off(scheduled.schedules, idle.nodes)


RULES: Mapping[type[Struct], Callable[[Mapping[str, object]], Iterator[Remark]]] = {
    ClusterEntry: _cluster,
    Tls: _tls,
    ProxmoxFile: _proxmox_file,
    IdleCheck: _idle_check,
    OwnPlace: _own_place,
    Activity: _activity,
    ScheduleEntry: timetable.of_schedule,
    ScheduledShutdown: timetable.of_schedules,
    StayUpEntry: timetable.of_window,
    Monitor: watching.of_monitor,
    Alert: telling.of_alert,
    RuleEntry: telling.of_rule,
    TemplateEntry: telling.of_template,
    SecretSource: telling.of_secret,
    ReceiverTls: telling.of_receiver_tls,
    WebhookEntry: telling.of_webhook,
    AlertmanagerEntry: telling.of_webhook,
    NtfyEntry: telling.of_web,
    TelegramEntry: telling.of_web,
    PagerDutyEntry: telling.of_web,
    SmtpEntry: telling.of_smtp,
    SendmailEntry: telling.of_sendmail,
    PvectlFile: _pvectl_file,
}
