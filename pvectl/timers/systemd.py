"""The texts of systemd's units: a hardened service and a monotonic timer for each job."""

from __future__ import annotations

from collections.abc import Mapping

from pvectl.timers.entries import MARKER, Entry, Job, Setting, plain

UNITS = "/etc/systemd/system"
SYSUSERS = "/etc/sysusers.d/pvectl.conf"
USER = "pvectl"
_AFTER_BOOT = 600
_HOUR = 60
_DAY = 24
STATE = "/var/lib/pvectl"
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def entries(jobs: tuple[Job, ...], setting: Setting) -> tuple[Entry, ...]:
    """All files systemd needs for these jobs, the user they run as included; none for no jobs."""
    if not jobs:
        return ()
    units = [
        (f"{UNITS}/{unit_name(job)}.{kind}", text)
        for job in jobs
        for kind, text in (("service", service(job, setting)), ("timer", timer(job)))
    ]
    return tuple(Entry(kind="systemd", path=path, text=text) for path, text in [*units, (SYSUSERS, user())])


def unit_name(job: Job) -> str:
    return f"pvectl-{job.name}"


def timer(job: Job) -> str:
    """Counts from the boot and from the last run, so that no change of the clock and no summer time makes it run at once or not at all.

    The first run waits ten minutes after a boot: somebody who switched the machine on to work on it has time to place a hold.
    """
    if job.only_looks and (calendar := _calendar(job.interval)) is not None:
        return _punctual(job, calendar)
    return f"""\
{MARKER}
[Unit]
Description=Run pvectl {job.name} every {_span(job.interval)}

[Timer]
OnBootSec={_span(_AFTER_BOOT)}
OnUnitActiveSec={_span(job.interval)}
AccuracySec=5s
# a run that was missed is not made up for
Persistent=no

[Install]
WantedBy=timers.target
"""


def _punctual(job: Job, calendar: str) -> str:
    """By the clock, and at once where the last time was missed: a look does no harm, and no metrics are worse than late ones."""
    return f"""\
{MARKER}
[Unit]
Description=Run pvectl {job.name} every {_span(job.interval)}

[Timer]
OnCalendar={calendar}
RandomizedDelaySec=20s
AccuracySec=5s
Persistent=yes

[Install]
WantedBy=timers.target
"""


def _calendar(interval: int) -> str | None:
    """Equal parts of an hour or of a day in systemd's words; None for what is neither."""
    minutes, seconds = divmod(interval, 60)
    hours, odd = divmod(minutes, _HOUR)
    if not seconds and 0 < minutes < _HOUR and _HOUR % minutes == 0:
        return f"*:0/{minutes}:00"
    if not seconds and not odd and 0 < hours <= _DAY and _DAY % hours == 0:
        return f"0/{hours}:00:00" if hours < _DAY else "00:00:00"
    return None


def service(job: Job, setting: Setting) -> str:
    """Runs the job once, as a user of its own that may write nothing but its state and sees nothing but the files it is handed.

    One that runs sendmail stands less alone: it sees the system, and may write where any user may.
    """
    config = plain(setting.config_dir)
    words = [*map(plain, setting.program[:1]), *setting.program[1:], job.name, *job.words, "--quiet"]
    words += ["--cluster", setting.cluster] if setting.cluster else []
    return f"""\
{MARKER}
[Unit]
Description=pvectl {job.name}: {job.sentence}
Wants=network-online.target
After=network-online.target
# an assertion that fails is told; a condition would be skipped in silence
AssertFileNotEmpty={config}/proxmox.yml

[Service]
Type=oneshot
ExecStart={" ".join(words)}{"" if job.talks else _SILENT}
TimeoutStartSec={_span(job.longest_run)}
TimeoutStopSec=30s
Restart=no
# another run holds the lock, or the cluster has no quorum: the next one tries again
SuccessExitStatus=75

User={USER}
UMask=0077
StateDirectory=pvectl
StateDirectoryMode=0700
# root reads them; pvectl finds its configuration where systemd puts them
{_credentials({**setting.credentials, **job.credentials})}{_writable(job)}

{_OPEN if job.mails else _SHUT_IN}{_packet_filter(setting.addresses, job.addresses)}"""


_SILENT = """
# what it writes are files; what goes wrong would go where they go, if nothing was said
StandardOutput=null
StandardError=journal"""

_SHUT_IN = """\
CapabilityBoundingSet=
AmbientCapabilities=
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
PrivateMounts=yes
PrivateUsers=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
# not ProcSubset=pid: it hides the kernel's boot id, by which a reboot is noticed
ProtectProc=invisible
DevicePolicy=closed
KeyringMode=private
LockPersonality=yes
MemoryDenyWriteExecute=yes
RemoveIPC=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
LimitCORE=0
MemoryMax=256M
TasksMax=64
"""

# systemd.exec(5) names under NoNewPrivileges= the settings that imply it; none of them stands here
_OPEN = """\
# sendmail puts mail into the queue with rights of its own, which most walls would take from it; a receiver of type smtp needs no such gap
AmbientCapabilities=
ProtectSystem=full
ProtectHome=read-only
PrivateTmp=yes
ProtectControlGroups=yes
DevicePolicy=closed
KeyringMode=private
LimitCORE=0
MemoryMax=256M
TasksMax=64
"""


def _credentials(files: Mapping[str, str | None]) -> str:
    return "\n".join(
        f"LoadCredential={name}" if source is None else f"LoadCredential={name}:{plain(source)}" for name, source in files.items()
    )


def _writable(job: Job) -> str:
    elsewhere = [plain(place) for place in job.writes if place != STATE and not place.startswith(f"{STATE}/")]
    if not elsewhere:
        return ""
    places = " ".join(f"-{place}" for place in elsewhere)
    return f"\n# where it writes besides, once it is there; the user {USER} needs the right to as well\nReadWritePaths={places}"


def user() -> str:
    """The user the services run as, for systemd-sysusers."""
    return f'{MARKER}\nu {USER} - "Jobs of pvectl" /var/lib/pvectl\n'


def _packet_filter(everybody: tuple[str, ...] | None, besides: tuple[str, ...] | None) -> str:
    if everybody is None or besides is None:
        return "# no IPAddressDeny=: it knows addresses only, and some hosts are names, or a probe or a receiver may be anywhere\n"
    return f"IPAddressDeny=any\nIPAddressAllow={' '.join(dict.fromkeys((*everybody, *besides)))}\n"


def _span(seconds: int) -> str:
    """In systemd's words: 300 -> "5min"."""
    left, words = seconds, []
    for size, unit in _UNITS:
        if left >= size:
            words.append(f"{left // size}{unit}")
            left %= size
    return " ".join(words)
