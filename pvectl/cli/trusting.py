"""Shows the certificates a cluster's hosts present and pins their fingerprints in proxmox.yml, after asking a person."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from pvectl.cli.output import Problem, Report, is_terminal
from pvectl.config.certificate import Certificate, read_certificate
from pvectl.config.clusters import Connections, choose_cluster, token_id
from pvectl.config.pinning import lines_to_add, pin
from pvectl.config.places import expanded, find_config_dir
from pvectl.core.text import clean
from pvectl.errors import ConfigError, ExitCode, PvectlError, TlsFailure, UsageError

if TYPE_CHECKING:
    import socket
    import ssl
    from datetime import datetime

    from pvectl.cli.context import Run
    from pvectl.config.schema import ClusterEntry
    from pvectl.pve.connection import Trust
    from pvectl.pve.deadline import Deadline

PER_HOST = 15.0
"""Seconds one host may take to show its certificate."""


class Shown(Struct, frozen=True, kw_only=True):
    """What one host presented; `problem` says why the configuration as it is would refuse it, None when it would not."""

    host: str
    fingerprint: str
    certificate: Certificate
    problem: str | None


def trust(run: Run) -> Report:
    """Look, show, ask, pin.

    Raises:
        Unavailable: no host showed a certificate.
        UsageError: not confirmed.
    """
    from pvectl.config.load import load_connections

    connections = load_connections(find_config_dir(run.options.config_dir, run.env), run.env)
    cluster = choose_cluster(connections, run.options.cluster)
    entry = connections.clusters[cluster]
    shown, failures = _looked_at(_tls_hosts(entry, cluster), entry, connections.path.parent, run.options.deadline)
    if not shown:
        raise failures[0]
    now = run.clock.now()
    if all(one.problem is None for one in shown):
        said = "every host that answered is trusted as it is; there is nothing to pin"
        if entry.tls.insecure:
            mend = "write verify_ssl: true" if connections.short_form else "take insecure out"
            said = f"every host that answered is trusted by the system's store: {mend}, and pvectl may change things too"
        return _report(cluster, shown, failures, said, now=now, exit_code=_code(failures))
    if entry.tls.ca_file:
        return _refused(cluster, shown, failures, _trusts_a_ca(entry.tls.ca_file), now=now)
    wanted = _wanted(shown, entry, keep=bool(failures))
    if connections.short_form:
        where = "printed here" if run.options.format == "text" else "that -o text prints"
        no_place = ConfigError(
            f"the short form in {connections.path} has no place for fingerprints",
            hint=f"compare the fingerprints, and put the clusters section {where} in the place of the proxmox section",
        )
        return _refused(cluster, shown, failures, no_place, now=now, lines=_long_form(cluster, entry, wanted))
    if is_terminal(run.stdin) and is_terminal(run.stderr):
        return _asked(run, connections, cluster, shown, failures, wanted)
    error = UsageError(
        "nothing was written, because there is no terminal to ask on",
        hint="run pvectl config trust on a terminal, or add the lines it printed",
    )
    return _refused(cluster, shown, failures, error, now=now, lines=_by_hand(wanted, insecure=entry.tls.insecure))


def _tls_hosts(entry: ClusterEntry, cluster: str) -> list[str]:
    hosts = [host for host in entry.hosts if not host.startswith("http://")]
    if not hosts:
        raise ConfigError(f"the hosts of {cluster} are spoken to without TLS, so there is no certificate to pin")
    return hosts


def _looked_at(hosts: Sequence[str], entry: ClusterEntry, folder: Path, seconds: float | None) -> tuple[list[Shown], list[PvectlError]]:
    from pvectl.pve.connection import Trust
    from pvectl.pve.deadline import Deadline

    ca_file = str(folder.absolute() / expanded(entry.tls.ca_file)) if entry.tls.ca_file else None
    # an insecure cluster believes anybody; the question is whether the system's store would
    trust = Trust(ca_file=ca_file, fingerprints=entry.tls.fingerprints)
    shown: list[Shown] = []
    failures: list[PvectlError] = []
    whole = Deadline(seconds) if seconds else Deadline.never()
    for host in hosts:
        try:
            shown.append(_look(host, trust, whole.within(PER_HOST)))
        except PvectlError as error:
            failures.append(error)
    return shown, failures


def _look(host: str, trust: Trust, deadline: Deadline) -> Shown:
    """The certificate, from a handshake after which nothing is sent.

    Raises:
        Unavailable: nobody answers, or not in TLS, or with another certificate each time.
    """
    import hashlib

    from pvectl.pve.presented import presented

    seen = presented(host, trust=trust, deadline=deadline)
    der = _der_of(host, deadline)
    if hashlib.sha256(der).hexdigest() != seen.fingerprint:
        raise TlsFailure(
            f"{seen.host} presented two different certificates within a moment",
            hint="something stands between here and the node; name the nodes themselves as hosts",
            subject=f"host/{seen.host}",
        )
    return Shown(host=seen.host, fingerprint=seen.fingerprint, certificate=read_certificate(der), problem=seen.problem)


def _der_of(host: str, deadline: Deadline) -> bytes:
    from pvectl.pve import failures, tls
    from pvectl.pve.connection import Trust
    from pvectl.pve.hosts import parse_host
    from pvectl.pve.line import Broken, open_line

    where = parse_host(host)
    anybody = Trust(insecure=True)
    context = tls.make_context(anybody)
    ders: list[bytes] = []

    def look(sock: socket.socket, within: Deadline) -> ssl.SSLSocket:
        secured = tls.handshake(sock, context, where, anybody, within)
        ders.append(secured.getpeercert(binary_form=True) or b"")
        return secured

    try:
        open_line(where, look, deadline).close()
    except Broken as error:
        raise failures.unreachable({where.label: error.words}, last=where.label) from None
    return ders[0]


def _wanted(shown: Sequence[Shown], entry: ClusterEntry, *, keep: bool) -> dict[str, str]:
    """Fingerprints with the hosts that presented each; with `keep` those pinned before stay, for the hosts that did not answer."""
    wanted: dict[str, str] = {}
    for one in shown:
        wanted[one.fingerprint] = f"{wanted[one.fingerprint]}, {one.host}" if one.fingerprint in wanted else one.host
    for old in entry.tls.fingerprints if keep else ():
        wanted.setdefault(old, "pinned before")
    return wanted


def _trusts_a_ca(ca_file: str) -> ConfigError:
    return ConfigError(
        f"the cluster trusts the authority in {ca_file}, which did not sign what its hosts present",
        hint="copy /etc/pve/pve-root-ca.pem from a node of this cluster, or take ca_file out and pin then",
    )


def _by_hand(wanted: dict[str, str], *, insecure: bool) -> list[str]:
    also = ", and take insecure out" if insecure else ""
    return [f"To pin them by hand, compare the fingerprints and write under this cluster{also}:", "", *lines_to_add(wanted)]


def _long_form(cluster: str, entry: ClusterEntry, wanted: dict[str, str]) -> list[str]:
    """The short form's cluster with its fingerprints; the secret stays where it is, so a placeholder stands for it."""
    return [
        "In the place of the proxmox section write, with the token_value it has now:",
        "",
        "clusters:",
        f"  {cluster}:",
        f"    hosts: {json.dumps(list(entry.hosts))}",
        f"    token_id: {json.dumps(token_id(entry))}",
        "    token_value: change-me",
        *lines_to_add(wanted),
    ]


def _refused(
    cluster: str, shown: Sequence[Shown], failures: Sequence[PvectlError], error: PvectlError, *, now: datetime, lines: Sequence[str] = ()
) -> Report:
    return _report(cluster, shown, [*failures, error], "\n".join(lines), now=now, exit_code=error.exit_code)


def _code(failures: Sequence[PvectlError]) -> ExitCode:
    return ExitCode.UNAVAILABLE if failures else ExitCode.OK


def _asked(
    run: Run, connections: Connections, cluster: str, shown: Sequence[Shown], failures: Sequence[PvectlError], wanted: dict[str, str]
) -> Report:
    run.show(_table(shown, run.clock.now()))
    for failure in failures:
        run.say(f"{clean(failure.message)}")
    run.say("Compare with what each node says about itself: pvenode cert info")
    if not run.confirm(f"Trust these, and write them to {connections.path}?", yes=False):
        raise UsageError("nothing was changed: not confirmed")
    pin(connections.path, cluster, wanted)
    said = f"pinned {len(wanted)} fingerprint{'s' if len(wanted) != 1 else ''} for {cluster} in {connections.path}"
    return _report(cluster, shown, failures, said, now=run.clock.now(), exit_code=_code(failures), table=False)


def _report(
    cluster: str,
    shown: Sequence[Shown],
    errors: Sequence[PvectlError],
    text: str,
    *,
    now: datetime,
    exit_code: ExitCode,
    table: bool = True,
) -> Report:
    data = [
        {
            "host": one.host,
            "fingerprint": one.fingerprint,
            "subject": one.certificate.subject,
            "issuer": one.certificate.issuer,
            "names": one.certificate.names,
            "not_before": one.certificate.not_before,
            "not_after": one.certificate.not_after,
            "trusted": one.problem is None,
            "problem": one.problem,
        }
        for one in shown
    ]
    return Report(
        schema="config-trust",
        data=data,
        text=f"{_table(shown, now)}\n{text}" if table else text,
        exit_code=exit_code,
        complete=not any(error.exit_code is ExitCode.UNAVAILABLE for error in errors),
        cluster=cluster,
        problems=tuple(Problem.of(error) for error in errors),
    )


def _table(shown: Sequence[Shown], now: datetime) -> str:
    from pvectl.config.pinning import spelled

    lines = []
    for one in shown:
        certificate = one.certificate
        facts = {
            "subject": certificate.subject,
            "names": ", ".join(certificate.names) or None,
            "issuer": certificate.issuer,
            "valid": _validity(certificate, now),
            "SHA-256": spelled(one.fingerprint),
            "now": "trusted" if one.problem is None else f"not trusted: {one.problem}",
        }
        lines += [one.host, *(f"  {name:<9}{clean(fact) if fact else '(not readable)'}" for name, fact in facts.items()), ""]
    return "\n".join(lines)


def _validity(certificate: Certificate, now: datetime) -> str | None:
    begin, end = certificate.not_before, certificate.not_after
    if begin is None or end is None:
        return None
    verdict = ", expired" if end < now else ", not valid yet" if begin > now else ""
    return f"{begin:%Y-%m-%d} to {end:%Y-%m-%d}{verdict}"
