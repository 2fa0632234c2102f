"""What the configuration asks of timers: which jobs, how often, with what at hand."""

from __future__ import annotations

import ipaddress
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from pvectl.cli.timing import receivers as timer_receivers
from pvectl.config.clusters import Connections, choose_cluster
from pvectl.config.load import find_config_dir, load_connections, load_jobs
from pvectl.config.places import CONNECTIONS, JOBS, expanded
from pvectl.config.receivers import mirrors_of
from pvectl.config.schema import ClusterEntry, IdleCheck, PvectlFile, ScheduleEntry
from pvectl.errors import ConfigError, UsageError
from pvectl.timers.entries import Job, Setting, plain
from pvectl.timers.systemd import STATE, USER

if TYPE_CHECKING:
    from pvectl.cli.context import Run

_LONGEST_LOOK = 120
_LONGEST_MONITOR = 120
"""Its own deadline is less than a minute."""
_LONGEST_DELIVERY = 90
"""What waits for its receivers within one run, the heartbeat's signs included."""
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
    credentials = _credentials(connections, entry, directory)
    jobs = tuple(job for make in _JOBS.values() for job in [make(file, directory)] if job)
    for job in jobs:
        timer_receivers.merged(credentials, job.credentials)
    setting = Setting(
        program=_program(),
        config_dir=str(directory),
        user=_owner(directory),
        cluster=run.options.cluster,
        credentials=credentials,
        addresses=_addresses(entry),
    )
    if not jobs:
        return Asked(jobs, setting, tuple(_remarks_on_nothing(directory)))
    receivers = timer_receivers.remarks_on_services(file.alert, directory) if as_services else timer_receivers.remarks_on_cron(file.alert)
    services = _remarks_on_services(setting.program[0], entry) if as_services else ()
    places = _remarks_on_places(jobs, USER if as_services else setting.user)
    return Asked(jobs, setting, (*services, *places, *receivers))


def _idle_check(file: PvectlFile, directory: Path) -> Job | None:
    job = file.idle_check
    if not (job.enabled and job.nodes):
        return None
    return _with_notices(_plain_idle_check(job), file, directory)


def _with_notices(job: Job, file: PvectlFile, directory: Path) -> Job:
    """The job with what it takes to send its notices, and with the room to ask probes of everybody."""
    needs = timer_receivers.of_notices(file.alert, directory)
    return replace(
        job,
        longest_run=job.longest_run + (_LONGEST_DELIVERY if needs != timer_receivers.Needs() else 0),
        credentials=needs.credentials,
        addresses=None if file.idle_check.probes else needs.addresses,
        mails=needs.mails,
    )


def _plain_idle_check(job: IdleCheck) -> Job:
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


def _scheduled_shutdown(file: PvectlFile, directory: Path) -> Job | None:
    job = file.scheduled_shutdown
    schedules = [schedule for schedule in job.schedules if schedule.enabled]
    if not (job.enabled and schedules):
        return None
    handed = sum(len(schedule.then_power_off) for schedule in schedules)
    planned = Job(
        name="scheduled-shutdown",
        sentence="shut guests down at their set times",
        interval=job.interval,
        longest_run=sum(map(_longest_schedule, schedules)) + handed * _longest_idle_check(file.idle_check),
    )
    return _with_notices(planned, file, directory)


def _longest_schedule(schedule: ScheduleEntry) -> int:
    """Every stage as slow as it may be; none begins after the deadline, so that there is an end to waiting."""
    from pvectl import act

    stages = [stage.wait_after for stage in schedule.stages] or [0]
    return 2 * _LONGEST_LOOK + sum(wait + act.longest_wait(schedule.timeout) + 2 * _LONGEST_LOOK for wait in stages)


def _monitor(file: PvectlFile, directory: Path) -> Job | None:  # noqa: ARG001 - the columns of a table
    """By itself it only writes files: what a person or a plugin of Nagios wants to know, they ask for."""
    job = file.monitor
    if not (job.enabled and (job.write or job.html)):
        return None
    metrics = ("--output", "prometheus", "--write", _absolute("write", job.write, _METRICS)) if job.write else ()
    page = ("--html", _absolute("html", job.html, _PAGE)) if job.html else ()
    written = " and ".join(([_FOR_PROMETHEUS] if job.write else []) + (["as a page for a browser"] if job.html else []))
    return Job(
        name="monitor",
        sentence=f"write what is wrong with the cluster, {written}",
        interval=job.interval,
        longest_run=_LONGEST_MONITOR,
        words=(*metrics, *page),
        writes=tuple(dict.fromkeys(str(Path(path).parent) for path in (job.write, job.html) if path)),
        only_looks=True,
        # without --write it prints what the page shows
        talks=bool(job.write),
    )


_METRICS = "/var/lib/prometheus/node-exporter/pvectl.prom"
_PAGE = "/var/www/html/pve/index.html"
_FOR_PROMETHEUS = "for Prometheus"


def _absolute(key: str, path: str, example: str) -> str:
    if not Path(path).is_absolute():
        raise ConfigError(f"monitor.{key}: {path} is no absolute path", hint=f"write {example}")
    return plain(path)


def _alert(file: PvectlFile, directory: Path) -> Job | None:
    job = file.alert
    if not (job.enabled and job.receivers):
        return None
    needs = timer_receivers.of_all(job, directory)
    return Job(
        name="alert",
        sentence="tell people what is wrong with the cluster",
        interval=job.interval,
        longest_run=_LONGEST_MONITOR + _LONGEST_DELIVERY * (1 + len(mirrors_of(job))),
        words=("run",),
        only_looks=True,
        credentials=needs.credentials,
        addresses=needs.addresses,
        mails=needs.mails,
    )


_JOBS: Mapping[str, Callable[[PvectlFile, Path], Job | None]] = {
    "idle_check": _idle_check,
    "scheduled_shutdown": _scheduled_shutdown,
    "monitor": _monitor,
    "alert": _alert,
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


def _credentials(connections: Connections, entry: ClusterEntry, directory: Path) -> dict[str, str]:
    """The files every run reads, by the names a service finds them under: those pvectl looks for beside its proxmox.yml.

    Raises:
        ConfigError: two of them would have the same name.
    """
    handed = {CONNECTIONS: str(connections.path.absolute()), JOBS: str(directory / JOBS)}
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


def _addresses(entry: ClusterEntry) -> tuple[str, ...] | None:
    """The cluster's hosts, for the packet filter; None when they cannot be said in addresses."""
    if entry.token_command:
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
    yield f"no job in {directory / JOBS} is enabled and has nodes, schedules, receivers or files to write, so nothing is to run"


def _remarks_on_places(jobs: Iterable[Job], user: str) -> Iterator[str]:
    for place in dict.fromkeys(place for job in jobs for place in job.writes):
        # systemd itself makes the state's directory
        if place != STATE and not Path(place).is_dir():
            yield f"{place} is not there, and nothing can be written into it before it is: install -d -o {user} {shlex.quote(place)}"


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
