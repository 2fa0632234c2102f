"""Which cluster is meant, and all that is needed to speak to it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from pvectl.config import secrets
from pvectl.config.document import Mark
from pvectl.config.guarded import is_credential, read_guarded
from pvectl.config.places import expanded
from pvectl.config.problems import ConfigProblems, Misspelt, Problem, nearest, shown
from pvectl.config.schema import SHORT_FORM_NAME, ClusterEntry
from pvectl.core.secret import Secret
from pvectl.errors import ConfigError, UsageError

T = TypeVar("T")
_LARGEST_CA_FILE = 1024 * 1024


class Connections(Struct, frozen=True, kw_only=True):
    """proxmox.yml as it was read: the clusters by name, and where each key stands."""

    path: Path
    clusters: Mapping[str, ClusterEntry]
    default_cluster: str | None
    marks: Mapping[str, Mark]
    short_form: bool = False
    secrets: Mapping[str, Secret] = {}


class ResolvedCluster(Struct, frozen=True, kw_only=True):
    """All that is needed to speak to one cluster; the secret has been fetched, paths are absolute."""

    name: str
    hosts: tuple[str, ...]
    token_id: str
    token: Secret
    ca_file: str | None = None
    fingerprints: tuple[str, ...] = ()
    insecure: bool = False
    allow_http_loopback: bool = False


def choose_cluster(connections: Connections, wanted: str | None = None) -> str:
    """The name of the cluster that is meant: the one asked for, the only one, or the default.

    Raises:
        UsageError: there is none of that name.
        ConfigError: there are several and none is the default.
    """
    known = ", ".join(connections.clusters)
    if wanted:
        if wanted in connections.clusters:
            return wanted
        close = nearest(wanted, connections.clusters)
        raise UsageError(
            f"there is no cluster {shown(wanted)} in {connections.path}", hint=f"did you mean {close}?" if close else f"known are: {known}"
        )
    if connections.default_cluster is not None:
        return connections.default_cluster
    if len(connections.clusters) == 1:
        return next(iter(connections.clusters))
    raise ConfigError(
        f"{connections.path} has several clusters ({known}) and none was chosen",
        hint="add --cluster NAME, or default_cluster: NAME to the file",
    )


def resolve(
    connections: Connections,
    cluster: str | None = None,
    directory: Path | None = None,
    env: Mapping[str, str] | None = None,
    *,
    limit: float = secrets.COMMAND_LIMIT,
) -> ResolvedCluster:
    """One cluster, ready to be spoken to: fetches its secret, makes its paths absolute and looks whether the CA file is one.

    A token_command may take `limit` seconds, and never more than `COMMAND_LIMIT`.

    Raises:
        ConfigProblems: a file it names is missing, or a placeholder was never filled in.
        UnsafeFile: the file with the secret is open to others.
    """
    name = choose_cluster(connections, cluster)
    entry = connections.clusters[name]
    folder = (directory or connections.path.parent).absolute()
    fetching = _Fetching(connections, name)
    token = fetching.tried(secret_source(entry), lambda: _secret_of(entry, folder, os.environ if env is None else env, limit))
    ca_file = fetching.tried("tls.ca_file", lambda: _ca_file(entry.tls.ca_file, folder, os.environ if env is None else env))
    if fetching.problems or token is None:
        raise ConfigProblems(fetching.problems)
    return ResolvedCluster(
        name=name,
        hosts=entry.hosts,
        token_id=token_id(entry),
        token=token,
        ca_file=ca_file,
        fingerprints=entry.tls.fingerprints,
        insecure=entry.tls.insecure,
        allow_http_loopback=entry.allow_http_loopback,
    )


def check_files(connections: Connections, name: str, env: Mapping[str, str]) -> None:
    """Whether what this cluster names is there and usable; starts no token_command.

    Raises:
        ConfigProblems, UnsafeFile: as `resolve` does.
    """
    entry = connections.clusters[name]
    folder = connections.path.parent.absolute()
    fetching = _Fetching(connections, name)
    if not entry.token_command:
        fetching.tried(secret_source(entry), lambda: _secret_of(entry, folder, env))
    fetching.tried("tls.ca_file", lambda: _ca_file(entry.tls.ca_file, folder, env))
    if fetching.problems:
        raise ConfigProblems(fetching.problems)


def secret_source(entry: ClusterEntry) -> str:
    """The key that gives the secret."""
    return "token_value" if entry.token_value else "token_file" if entry.token_file else "token_command"


def token_id(entry: ClusterEntry) -> str:
    return entry.token_id or f"{entry.user}!{entry.token_name}"


class _Fetching:
    """Collects what goes wrong while a cluster's secret and files are fetched, each with its place in proxmox.yml."""

    def __init__(self, connections: Connections, name: str) -> None:
        self.connections = connections
        self.section = SHORT_FORM_NAME if connections.short_form else f"clusters.{name}"
        self.problems: list[Problem] = []

    def tried(self, key: str, fetch: Callable[[], T]) -> T | None:
        try:
            return fetch()
        except Misspelt as error:
            path = f"{self.section}.{key}"
            mark = self.connections.marks.get(path, Mark(1, 1))
            file = str(self.connections.path)
            self.problems.append(Problem(file=file, line=mark.line, column=mark.column, path=path, message=error.message, hint=error.hint))
            return None


def _secret_of(entry: ClusterEntry, folder: Path, env: Mapping[str, str], limit: float = secrets.COMMAND_LIMIT) -> Secret:
    if entry.token_value is not None:
        return secrets.accepted(entry.token_value)
    if entry.token_file is not None:
        return secrets.from_file(_located(entry.token_file, folder, env), env)
    return secrets.from_command(entry.token_command, folder=folder, limit=min(limit, secrets.COMMAND_LIMIT))


def _ca_file(written: str | None, folder: Path, env: Mapping[str, str]) -> str | None:
    if written is None:
        return None
    path = _located(written, folder, env)
    try:
        content = read_guarded(path, limit=_LARGEST_CA_FILE).content
    except FileNotFoundError:
        raise Misspelt(f"there is no file {path}", "on a node it is /etc/pve/pve-root-ca.pem; copy it here, or pin a fingerprint") from None
    if b"-----BEGIN CERTIFICATE-----" not in content:
        raise Misspelt(f"{path} holds no certificate in PEM form", "it begins with -----BEGIN CERTIFICATE-----")
    return str(path)


def _located(written: str, folder: Path, env: Mapping[str, str]) -> Path:
    """Where a file lies that proxmox.yml names.

    A service that was handed its configuration by systemd may not see the place itself, and was handed the file under its bare name.
    """
    handed = folder / Path(written).name
    if is_credential(handed, env) and os.path.lexists(handed):
        return handed
    try:
        return folder / expanded(written)
    except ConfigError as error:
        raise Misspelt(error.message, error.hint) from None
