"""What the config commands report."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import fields

from pvectl.cli.output import Problem, Report
from pvectl.config.clusters import Connections, choose_cluster, secret_source, token_id
from pvectl.config.importing import Imported
from pvectl.config.installing import Written
from pvectl.config.places import CONNECTIONS, JOBS
from pvectl.config.receivers import sources_in
from pvectl.config.schema import ClusterEntry, PvectlFile, ReceiverEntry, SecretSource
from pvectl.config.survey import Survey
from pvectl.errors import ConfigError, ExitCode, UnsafeFile

HIDDEN = "***"
_SOURCE = frozenset(info.encode_name for info in fields(SecretSource))


def checked(found: Survey, *, wanted: str | None) -> Report:
    """`ok` for each file and cluster that is, and every problem of those that are not.

    Raises:
        UsageError: there is no cluster of the `wanted` name.
    """
    if wanted and found.connections is not None:
        choose_cluster(found.connections, wanted)
    problems = [Problem(code="config-problems", message=str(one), hint=one.hint, subject=f"file/{one.file}") for one in found.problems]
    problems += [Problem.of(fault) for fault in found.faults]
    broken = {one.file for one in found.problems} | {(fault.subject or "").removeprefix("file/") for fault in found.faults}
    files = [
        {"file": str(found.directory / name), "status": _status(str(found.directory / name), broken, there=there)}
        for name, there in found.files.items()
    ]
    entries = found.connections.clusters.items() if found.connections else ()
    clusters = [
        {"name": name, "hosts": entry.hosts, "token_id": token_id(entry), "secret": secret_source(entry), "trust": trust_of(entry)}
        for name, entry in entries
    ]
    receivers = [
        {"name": name, "type": str(entry.__struct_config__.tag), "secrets": _origins(entry)}
        for name, entry in (found.jobs.alert.receivers.items() if found.jobs else ())
    ]
    data = {
        "directory": str(found.directory),
        "files": files,
        "clusters": clusters,
        "receivers": receivers,
        "problems": found.problems,
        "remarks": found.remarks,
    }
    lines = [f"{file['status']}: {file['file']}" for file in files]
    if not problems:
        lines += [
            f"ok: cluster {name}: {', '.join(entry.hosts)} as {token_id(entry)}, {_SAYS_TRUST[trust_of(entry)]}" for name, entry in entries
        ]
        lines += [f"ok: receiver {one['name']}: {one['type']}{_unseen(one['secrets'])}" for one in receivers]
    return Report(
        schema="config-check",
        data=data,
        text="\n".join(lines),
        exit_code=_exit_code(found),
        problems=tuple(problems),
        remarks=tuple(f"{one}; {one.hint}" if one.hint else str(one) for one in found.remarks),
    )


def _origins(entry: ReceiverEntry) -> list[str]:
    """From where it has its secrets, by the keys of their sources."""
    return [next(key for key in sorted(_SOURCE) if getattr(each, key)) for _, each in sources_in("", entry)]


def _unseen(origins: Sequence[str]) -> str:
    """Which of its secrets a check of the files does not see."""
    unseen = [words for origin, words in _UNSEEN.items() if origin in origins]
    return f" ({', '.join(unseen)})" if unseen else ""


_UNSEEN = {"command": "a program prints its secret when it is used", "credential": "systemd hands its secret to the service"}

_SAYS_TRUST = {
    "system": "certificates checked by the system's store",
    "ca_file": "certificates checked by a CA file",
    "fingerprints": "certificates pinned by fingerprint",
    "insecure": "certificates not checked, so pvectl only reads",
    "none": "not encrypted, on this machine only",
}


def trust_of(entry: ClusterEntry) -> str:
    """How this cluster's hosts prove who they are: a key of the tls section, "system", or "none" for http on loopback."""
    if all(host.startswith("http://") for host in entry.hosts):
        return "none"
    if entry.tls.insecure:
        return "insecure"
    return "ca_file" if entry.tls.ca_file else "fingerprints" if entry.tls.fingerprints else "system"


def _status(file: str, broken: set[str], *, there: bool) -> str:
    if file in broken:
        return "wrong"
    return "ok" if there else "missing (defaults apply)"


def _exit_code(found: Survey) -> ExitCode:
    if found.problems or any(isinstance(fault, ConfigError) for fault in found.faults):
        return ExitCode.CONFIG
    return ExitCode.PERMISSION if any(isinstance(fault, UnsafeFile) for fault in found.faults) else ExitCode.OK


def schema(document: Mapping[str, Any]) -> Report:
    return Report(schema="config-schema", data=document, text=json.dumps(document, indent=2))


def installed(directory: Path, files: Sequence[Written], *, found_by_itself: bool) -> Report:
    """What was written, what was kept, and what to do next."""
    lines = [f"{'wrote' if one.written else 'kept'} {one.file}" for one in files]
    where = "" if found_by_itself else f" -C {shlex.quote(str(directory))}"
    lines += [
        "",
        "Next:",
        "  1. make a token on a node: pveum user token add pvectl@pve ops --privsep 1",
        f"  2. fill in its id and secret, and the hosts, in {directory / CONNECTIONS}",
        f"  3. pvectl config check{where}",
        f"  4. pvectl config trust{where}     if the hosts have Proxmox VE's own certificates",
        f"  5. pvectl doctor{where}",
    ]
    return Report(schema="config-init", data={"directory": str(directory), "files": files}, text="\n".join(lines))


def imported(file: str, found: Imported) -> Report:
    """The new file as text, with the remarks in it."""
    data = {"file": file, "pvectl_yml": found.text, "remarks": found.notes}
    count = len(found.notes)
    remarks = (f"{count} remark{'' if count == 1 else 's'} stand{'s' if count == 1 else ''} in the text: read them first",) if count else ()
    return Report(schema="config-import", data=data, text=found.text, remarks=remarks)


def effective(directory: Path, connections: Connections, jobs: PvectlFile, *, wanted: str | None) -> Report:
    """Both files with every default filled in; secrets are hidden, and so are the arguments of a token_command."""
    import msgspec

    clusters = connections.clusters
    if wanted:
        name = choose_cluster(connections, wanted)
        clusters = {name: clusters[name]}
    data = {
        "directory": str(directory),
        "default_cluster": connections.default_cluster or (next(iter(connections.clusters)) if len(connections.clusters) == 1 else None),
        "clusters": {name: _shown(entry) for name, entry in clusters.items()},
        "secrets": dict.fromkeys(connections.secrets, HIDDEN),
        "jobs": _without_arguments(msgspec.to_builtins(jobs)),
    }
    text = [f"# {directory / CONNECTIONS}", *_lines({key: data[key] for key in ("default_cluster", "clusters", "secrets")}, 0)]
    text += ["", f"# {directory / JOBS}", *_lines(data["jobs"], 0)]
    return Report(schema="config-show", data=data, text="\n".join(text))


def _shown(entry: ClusterEntry) -> dict[str, Any]:
    return {
        "hosts": list(entry.hosts),
        "token_id": token_id(entry),
        "token_value": HIDDEN if entry.token_value else None,
        "token_file": entry.token_file,
        "token_command": [*entry.token_command[:1], *(HIDDEN for _ in entry.token_command[1:])],
        "tls": {"ca_file": entry.tls.ca_file, "fingerprints": list(entry.tls.fingerprints), "insecure": entry.tls.insecure},
        "allow_http_loopback": entry.allow_http_loopback,
    }


def _without_arguments(section: Any) -> Any:
    """What pvectl.yml says, the arguments of programs that print secrets hidden; the secrets themselves are not in it."""
    if isinstance(section, list):
        return [_without_arguments(each) for each in section]
    if not isinstance(section, dict):
        return section
    if section.keys() == _SOURCE:
        # only where it comes from: three times null beside it says nothing
        given = {key: value for key, value in section.items() if value}
        return {key: [*value[:1], *(HIDDEN for _ in value[1:])] if key == "command" else value for key, value in given.items()}
    return {key: _without_arguments(value) for key, value in section.items()}


def _lines(section: Any, depth: int) -> Iterator[str]:
    """A map as YAML lines; scalars and lists in JSON's spelling, which YAML shares."""
    for key, value in section.items():
        if isinstance(value, dict) and value:
            yield f"{'  ' * depth}{key}:"
            yield from _lines(value, depth + 1)
        else:
            yield f"{'  ' * depth}{key}: {json.dumps(value, ensure_ascii=False)}"
