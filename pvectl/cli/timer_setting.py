"""What the configuration asks of timers: which jobs, how often, with what at hand."""

from __future__ import annotations

import ipaddress
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pvectl.config.clusters import Connections, choose_cluster
from pvectl.config.load import find_config_dir, load_connections, load_jobs
from pvectl.config.places import CONNECTIONS, JOBS, expanded
from pvectl.config.schema import ClusterEntry, IdleCheck, PvectlFile, ScheduleEntry
from pvectl.errors import ConfigError, UsageError
from pvectl.timers.entries import Job, Setting, plain

if TYPE_CHECKING:
    from pvectl.cli.context import Run

_LONGEST_LOOK = 120
_LONGEST_MONITOR = 120
"""Its own deadline is less than a minute."""
_HOMES = (Path("/root"), Path("/home"), Path("/run/user"))


class Asked(NamedTuple):
    """The jobs that are to run by themselves, what they need, and what somebody who installs them should know."""

    jobs: tuple[Job, ...]
    setting: Setting
    remarks: tuple[str, ...]


def configured(run: Run, *, as_services: bool) -> Asked:
    """What the configuration asks for; `as_services`: of systemd, whose services see less than cron's jobs.

    Raises:
        ConfigError, UnsafeFile: the configuration is wrong, missing, or cannot be handed to a service.
    """
    if run.reads_no_file:
        raise UsageError("the simulated cluster has no configuration files", hint="leave --demo out")
    directory = find_config_dir(run.options.config_dir, run.env).absolute()
    connections = load_connections(directory, run.env)
    entry = connections.clusters[choose_cluster(connections, run.options.cluster)]
    file = load_jobs(directory, run.env)
    jobs = tuple(job for make in _JOBS.values() for job in [make(file)] if job)
    setting = Setting(
        program=_program(),
        config_dir=str(directory),
        user=_owner(directory),
        cluster=run.options.cluster,
        credentials=_credentials(connections, entry, directory, with_jobs=bool(jobs)),
        addresses=_addresses(entry, file),
    )
    remarks = _remarks_on_services(setting.program[0], entry) if as_services and jobs else () if jobs else _remarks_on_nothing(directory)
    return Asked(jobs, setting, tuple(remarks))


def _idle_check(file: PvectlFile) -> Job | None:
    job = file.idle_check
    if not (job.enabled and job.nodes):
        return None
    return Job(
        name="idle-check",
        sentence="switch off nodes that nobody needs",
        interval=job.interval,
        longest_run=_longest_idle_check(job),
    )


def _longest_idle_check(job: IdleCheck) -> int:
    """Every guest a stage of its own and as slow as it may be, and before each a look that takes all its time; the node is slow as well."""
    from pvectl import act

    looks = _LONGEST_LOOK + sum(probe.timeout for probe in job.probes)
    return act.OFF_WITHIN_S + 3 * looks + job.max_guests_per_run * (act.longest_wait(job.shutdown_timeout) + looks)


def _scheduled_shutdown(file: PvectlFile) -> Job | None:
    job = file.scheduled_shutdown
    schedules = [schedule for schedule in job.schedules if schedule.enabled]
    if not (job.enabled and schedules):
        return None
    handed = sum(len(schedule.then_power_off) for schedule in schedules)
    return Job(
        name="scheduled-shutdown",
        sentence="shut guests down at their set times",
        interval=job.interval,
        longest_run=sum(map(_longest_schedule, schedules)) + handed * _longest_idle_check(file.idle_check),
    )


def _longest_schedule(schedule: ScheduleEntry) -> int:
    """Every stage as slow as it may be; none begins after the deadline, so that there is an end to waiting."""
    from pvectl import act

    stages = [stage.wait_after for stage in schedule.stages] or [0]
    return 2 * _LONGEST_LOOK + sum(wait + act.longest_wait(schedule.timeout) + 2 * _LONGEST_LOOK for wait in stages)


def _monitor(file: PvectlFile) -> Job | None:
    """By itself it only writes metrics: what a person or a plugin of Nagios wants to know, they ask for."""
    job = file.monitor
    if not (job.enabled and job.write):
        return None
    target = Path(job.write)
    if not target.is_absolute():
        raise ConfigError(f"monitor.write: {job.write} is no absolute path", hint="write /var/lib/prometheus/node-exporter/pvectl.prom")
    return Job(
        name="monitor",
        sentence="write what is wrong with the cluster, for Prometheus",
        interval=job.interval,
        longest_run=_LONGEST_MONITOR,
        words=("--output", "prometheus", "--write", plain(str(target))),
        writes=str(target.parent),
        only_looks=True,
    )


_JOBS: Mapping[str, Callable[[PvectlFile], Job | None]] = {
    "idle_check": _idle_check,
    "scheduled_shutdown": _scheduled_shutdown,
    "monitor": _monitor,
}
"""The jobs by their section of pvectl.yml: one row for each, None when it is not to run."""


def _program() -> tuple[str, ...]:
    """The words that start this very pvectl; links stay links, so that an update behind them counts."""
    started = Path(sys.argv[0])
    beside = Path(sys.executable).parent / "pvectl"
    for candidate in (started, beside):
        if candidate.name == "pvectl" and os.access(candidate, os.X_OK) and candidate.is_file():
            return (str(candidate.absolute()),)
    return (sys.executable, "-m", "pvectl")


def _owner(directory: Path) -> str:
    """Whose configuration it is, for cron: whoever owns the secrets can read them."""
    import pwd

    try:
        return pwd.getpwuid((directory / CONNECTIONS).stat().st_uid).pw_name
    except KeyError:
        return "root"


def _credentials(connections: Connections, entry: ClusterEntry, directory: Path, *, with_jobs: bool) -> dict[str, str]:
    """The files a run reads, by the names a service finds them under: those pvectl looks for beside its proxmox.yml.

    Raises:
        ConfigError: two of them would have the same name.
    """
    handed = {CONNECTIONS: str(connections.path.absolute())} | ({JOBS: str(directory / JOBS)} if with_jobs else {})
    for key, written in (("token_file", entry.token_file), ("ca_file", entry.tls.ca_file)):
        if written is None:
            continue
        path = directory / expanded(written)
        if handed.setdefault(path.name, str(path)) != str(path):
            raise ConfigError(
                f"a service cannot be handed both {handed[path.name]} and {path} ({key}): they have the same name",
                hint="give one of them another name",
            )
    return handed


def _addresses(entry: ClusterEntry, file: PvectlFile) -> tuple[str, ...] | None:
    """All a run speaks to, for the packet filter; None when that cannot be said in addresses."""
    if entry.token_command or file.idle_check.probes:
        return None
    found = []
    for host in entry.hosts:
        bare = host.removeprefix("http://")
        name = bare[1:].partition("]")[0] if bare.startswith("[") else bare.partition(":")[0]
        try:
            found.append(str(ipaddress.ip_address(name)))
        except ValueError:
            return None
    return tuple(dict.fromkeys(found))


def _remarks_on_nothing(directory: Path) -> Iterator[str]:
    yield f"no job in {directory / JOBS} is enabled and has nodes or schedules, so nothing is to run"


def _remarks_on_services(program: str, entry: ClusterEntry) -> Iterator[str]:
    places = (Path(program), Path(program).resolve(), Path(sys.prefix), Path(sys.base_prefix))
    home = next((place for place in places if any(above in place.parents for above in _HOMES)), None)
    if home is not None:
        yield (
            f"a service cannot see into homes, and {home} lies in one; install pvectl for everybody: "
            "PIPX_HOME=/opt/pipx PIPX_BIN_DIR=/usr/local/bin pipx install pvectl"
        )
    if entry.token_command:
        yield "token_command is run inside the service, as its user and without homes; a token_file is handed over by systemd"
