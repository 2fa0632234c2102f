"""Where the state lies, and whether nobody else can read, change or replace it there."""

from __future__ import annotations

import os
import re
import shlex
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

from pvectl.errors import CannotWrite, ConfigError, NotPermitted, UnsafeFile

STATE = "state.db"
JOURNAL = "state.db-journal"
LOCK = "state.lock"
ALERT_LOCK = "alert.lock"

_SYSTEM = Path("/var/lib/pvectl")
# as in proxmox.yml; a leading letter or digit keeps "..", and everything hidden, out
_CLUSTER = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9_.-]{0,62}\Z")
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_OTHERS_AT_ALL = stat.S_IRWXG | stat.S_IRWXO
_PMXCFS = Path("/etc/pve")
_REMOTE = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "afs", "glusterfs", "lustre", "fuse.sshfs", "fuse.glusterfs", "fuse.ceph-fuse"}
)
_MOUNTS = Path("/proc/self/mountinfo")

FilesystemOf: TypeAlias = Callable[[Path], "str | None"]


def state_dir(explicit: str | None, env: Mapping[str, str]) -> Path:
    """The directory that holds one directory for each cluster.

    Raises:
        ConfigError: none is named, and this user has no home.
    """
    # systemd separates several by colons; ours is the first
    service = env.get("STATE_DIRECTORY", "").partition(":")[0]
    if asked := explicit or service or env.get("PVECTL_STATE_DIR"):
        return _absolute(asked)
    if os.geteuid() == 0:
        return _SYSTEM
    base = env.get("XDG_STATE_HOME", "")
    # the XDG specification: a relative path there is to be ignored
    if base.startswith("/"):
        return Path(base) / "pvectl"
    return _absolute(env.get("HOME") or "~") / ".local" / "state" / "pvectl"


def cluster_dir(directory: Path, cluster: str) -> Path:
    """The cluster's own directory, all links above it resolved."""
    if not _CLUSTER.match(cluster):
        raise ValueError(f"{cluster!r} is no cluster's name")
    return Path(os.path.realpath(directory)) / cluster


def prepare(folder: Path, *, filesystem_of: FilesystemOf) -> tuple[str, ...]:
    """Make sure that the cluster's directory is there and ours alone; returns what is to be warned about.

    Raises:
        UnsafeFile: others can read, change or replace it.
        CannotWrite: it cannot be made, or no state may lie there.
    """
    refuse_pmxcfs(folder)
    make(folder)
    refuse_unsafe_directory(folder)
    kind = filesystem_of(folder)
    if kind not in _REMOTE:
        return ()
    where = f"the state lies on a network filesystem ({kind}) in {folder}"
    return (f"{where}, where a lock may hold on this machine only: a local directory is safer, see --state-dir",)


def refuse_pmxcfs(folder: Path) -> None:
    if _PMXCFS in (folder, *folder.parents):
        raise CannotWrite(
            f"the state cannot lie in {folder}: /etc/pve knows no locks, and turns read-only with the loss of quorum",
            hint="give a local directory with --state-dir",
            subject=f"file/{folder}",
        )


def make(folder: Path) -> None:
    """The directory and what is missing above it, for us alone, on disk when this returns."""
    missing = [place for place in (folder, *folder.parents) if not os.path.lexists(place)]
    try:
        for place in reversed(missing):
            place.mkdir(mode=0o700, exist_ok=True)
            sync_directory(place.parent)
    except OSError as error:
        raise cannot_write(folder, error) from None


def refuse_unsafe_directory(folder: Path, *, to_read: bool = False) -> None:
    """The cluster's directory and the one it lies in, which both are ours alone, and the one around them, where others must not write."""
    for place in (folder, folder.parent):
        status = _status(place)
        if stat.S_ISLNK(status.st_mode):
            raise _unsafe(place, "is a symbolic link, which could be pointed elsewhere", "name the directory it points to")
        if not stat.S_ISDIR(status.st_mode):
            raise cannot_write(place, NotADirectoryError(20, os.strerror(20)))
        _refuse_foreign(place, status, to_read=to_read)
        if status.st_mode & _OTHERS_AT_ALL:
            mode = stat.S_IMODE(status.st_mode)
            hint = f"chmod 700 {shlex.quote(str(place))}; in a systemd unit: StateDirectoryMode=0700"
            raise _unsafe(place, f"is open to others (mode {mode:04o})", hint)
    around = folder.parent.parent
    status = _status(around)
    # in a sticky directory (/tmp) only the owner of a directory can replace it
    if status.st_mode & _OTHERS_WRITE and not status.st_mode & stat.S_ISVTX:
        raise _unsafe(folder.parent, f"can be replaced by others: they can write in {around}", f"chmod go-w {shlex.quote(str(around))}")


def refuse_unsafe_file(path: Path, *, to_read: bool = False) -> os.stat_result | None:
    """What lies at `path`, None when nothing does; never opens it: closing it again would take SQLite's own locks away.

    Raises:
        UnsafeFile: it is no plain file, has another name as well, or is not ours alone.
    """
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise cannot_write(path, error) from None
    refuse_unsafe_status(path, status, to_read=to_read)
    return status


def refuse_unsafe_status(path: Path, status: os.stat_result, *, to_read: bool = False) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise _unsafe(path, "is a symbolic link, which could be pointed elsewhere", "look where it points to, and take it away")
    if not stat.S_ISREG(status.st_mode):
        raise _unsafe(path, "is not a plain file", "look what it is, and take it away")
    if status.st_nlink > 1:
        raise _unsafe(path, "has a second name (a hard link), so somebody else may hold it", "find the other name, and take it away")
    _refuse_foreign(path, status, to_read=to_read)
    if status.st_mode & _OTHERS_AT_ALL:
        mode = stat.S_IMODE(status.st_mode)
        raise _unsafe(path, f"is open to others (mode {mode:04o})", f"chmod 600 {shlex.quote(str(path))}")


def is_there(path: Path) -> bool:
    """Whether anything has this name; a closed door is not an empty room.

    Raises:
        NotPermitted: one may not even look.
    """
    try:
        path.lstat()
    except PermissionError:
        raise _closed(path) from None
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def sync_directory(folder: Path) -> None:
    """What was made, renamed or removed in it survives a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def filesystem_of(path: Path) -> str | None:
    """The kind of filesystem a directory lies on, in the kernel's word; None when it does not say."""
    try:
        device = path.stat().st_dev
        lines = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    wanted = f"{os.major(device)}:{os.minor(device)}"
    # proc(5): "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw"
    kinds = (line.partition(" - ")[2].partition(" ")[0] for line in lines if line.split(" ", 3)[2:3] == [wanted])
    return next(kinds, None)


def cannot_write(path: Path, error: OSError) -> CannotWrite:
    return CannotWrite(
        f"the state in {path} cannot be written: {error.strerror}, so nothing was done",
        hint="it takes room and the right to write there; or give another directory with --state-dir",
        subject=f"file/{path}",
    )


def _refuse_foreign(path: Path, status: os.stat_result, *, to_read: bool) -> None:
    mine = os.geteuid()
    # root may look at what a service's user keeps; writing there would leave files behind that this user cannot open
    if status.st_uid == mine or (to_read and (mine == 0 or status.st_uid == 0)):
        return
    hint = f"run pvectl as that user: setpriv --reuid {status.st_uid} …" if mine == 0 else "run pvectl as its owner, or use --state-dir"
    raise _unsafe(path, f"belongs to another user (uid {status.st_uid})", hint)


def _status(place: Path) -> os.stat_result:
    try:
        return place.lstat()
    except PermissionError:
        raise _closed(place) from None
    except OSError as error:
        raise cannot_write(place, error) from None


def _closed(path: Path) -> NotPermitted:
    return NotPermitted(f"{path} is not open to this user", hint="run pvectl as its owner, or use --state-dir", subject=f"file/{path}")


def _unsafe(path: Path, what: str, hint: str) -> UnsafeFile:
    return UnsafeFile(f"{path} {what}", hint=hint, subject=f"file/{path}")


def _absolute(path: str) -> Path:
    try:
        return Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100 - a link stays a link until it is checked
    except (RuntimeError, ValueError):
        raise ConfigError("there is no home to keep the state in", hint="give a directory with --state-dir") from None
