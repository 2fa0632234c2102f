"""What must hold between the keys of one section, beyond the type of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from msgspec import Struct

from pvectl.config.problems import nearest, shown
from pvectl.config.schema import SHORT_FORM_NAME, ClusterEntry, ProxmoxFile, Tls

WRONG = object()
"""Stands for a value that was given but already found wrong; rules look at what was given, not only at what is good."""

_SECRET_SOURCES = ("token_value", "token_file", "token_command")


class Remark(Struct, frozen=True, kw_only=True):
    """A contradiction; `key` is the key it is shown at, empty for the section itself."""

    key: str
    message: str
    hint: str | None = None


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


RULES: Mapping[type[Struct], Callable[[Mapping[str, object]], Iterator[Remark]]] = {
    ClusterEntry: _cluster,
    Tls: _tls,
    ProxmoxFile: _proxmox_file,
}
