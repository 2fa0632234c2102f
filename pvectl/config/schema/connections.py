"""The keys of proxmox.yml: connections and secrets."""

# no `from __future__ import annotations` here: evaluating the strings again when a file is read would cost every run 2 ms

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct

from pvectl.core.secret import Secret

SHORT_FORM_NAME = "proxmox"
"""What the cluster is called where the short form gives it no name."""

Host = Annotated[
    str,
    Meta(
        description='A name or an address, with a port when it is not 8006; IPv6 in brackets and quotes: "[fd00::1]:8006".',
        min_length=1,
        examples=["pve1.lan", "pve2.lan:8006"],
        extra={"form": "host"},
    ),
]
Fingerprint = Annotated[
    str,
    Meta(
        description="SHA-256 of a certificate in hexadecimal, with or without colons; `pvectl config trust` shows and writes it.",
        pattern="^(?:[0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}$",
        extra={"form": "fingerprint"},
    ),
]
Word = Annotated[str, Meta(min_length=1)]
FurtherSecret = Annotated[Secret, Meta(description="A secret, on one line.", extra={"what": "a secret"})]


class Tls(Struct, frozen=True, kw_only=True):
    """How a host proves who it is: one of the three, or nothing for the system's own certificate store."""

    ca_file: Annotated[
        str | None,
        Meta(
            description="A PEM file with the authority that signed the hosts' certificates; relative paths start at this directory.",
            examples=["/etc/pve/pve-root-ca.pem", "pve-root-ca.pem"],
            extra={"form": "path"},
        ),
    ] = None
    fingerprints: Annotated[
        tuple[Fingerprint, ...],
        Meta(description="SHA-256 fingerprints of the hosts' certificates, one per host; any of them is accepted, nothing else."),
    ] = ()
    insecure: Annotated[
        bool,
        Meta(description="True takes any certificate. Then pvectl only reads: a command that changes something refuses."),
    ] = False


class ClusterEntry(Struct, frozen=True, kw_only=True):
    """One cluster: where to reach it, as whom, and how its hosts prove themselves."""

    hosts: Annotated[
        tuple[Host, ...],
        Meta(description="Entry points of this one cluster, tried in order.", min_length=1, examples=[["pve1.lan", "pve2.lan:8006"]]),
    ]
    token_id: Annotated[
        str | None,
        Meta(
            description="The API token as Proxmox VE names it: user@realm!tokenname. Or give `user` and `token_name`.",
            examples=["pvectl@pve!ops"],
            extra={"form": "token-id"},
        ),
    ] = None
    user: Annotated[
        str | None,
        Meta(description="The token's owner, user@realm; goes with `token_name`.", examples=["pvectl@pve"], extra={"form": "user"}),
    ] = None
    token_name: Annotated[
        str | None,
        Meta(
            description="The token's name, the part after the exclamation mark; goes with `user`.",
            examples=["ops"],
            extra={"form": "token-name"},
        ),
    ] = None
    token_value: Annotated[
        Secret | None,
        Meta(
            description="The token's secret, shown once when the token was made. This file must then be readable by you alone (chmod 600)."
        ),
    ] = None
    token_file: Annotated[
        str | None,
        Meta(
            description="A file with the secret and nothing else, readable by you alone; relative paths start at this directory.",
            examples=["lab.token"],
            extra={"form": "path"},
        ),
    ] = None
    token_command: Annotated[
        tuple[Word, ...],
        Meta(
            description="A program and its arguments that prints the secret within ten seconds; it is started without a shell.",
            examples=[["pass", "show", "proxmox/ops"]],
        ),
    ] = ()
    tls: Annotated[Tls, Meta(description="How the hosts prove who they are; left out: the system's own certificate store.")] = Tls()
    allow_http_loopback: Annotated[
        bool,
        Meta(description="Accept http://127.0.0.1:PORT among `hosts`, for a simulated cluster on this machine only."),
    ] = False


class SingleHost(Struct, frozen=True, kw_only=True):
    """The short form for one host; the same as a cluster named `proxmox`."""

    host: Annotated[
        Host, Meta(description="A name or an address, with the port behind a colon when it is not 8006.", extra={"form": "host"})
    ]
    user: Annotated[str, Meta(description="The token's owner, user@realm.", examples=["pvectl@pve"], extra={"form": "user"})]
    token_name: Annotated[
        str, Meta(description="The token's name, the part after the exclamation mark.", examples=["ops"], extra={"form": "token-name"})
    ]
    token_value: Annotated[Secret, Meta(description="The token's secret, shown once when the token was made.")]
    verify_ssl: Annotated[
        bool, Meta(description="False takes any certificate, and pvectl then only reads; `clusters:` with fingerprints is the better way.")
    ] = True


class ProxmoxFile(Struct, frozen=True, kw_only=True):
    """proxmox.yml: connections and secrets."""

    clusters: Annotated[
        dict[str, ClusterEntry],
        Meta(description="Your clusters, by a name of your choice.", extra={"key": "cluster-name"}),
    ] = {}
    default_cluster: Annotated[
        str | None,
        Meta(
            description="The cluster that is meant when there are several and none is named.",
            examples=["lab"],
            extra={"form": "cluster-name"},
        ),
    ] = None
    proxmox: Annotated[SingleHost | None, Meta(description="The short form for one host, instead of `clusters`.")] = None
    secrets: Annotated[
        dict[str, FurtherSecret],
        Meta(
            description="Secrets pvectl.yml calls by these names. This file must then be readable by you alone (chmod 600).",
            extra={"key": "secret-name"},
        ),
    ] = {}


KEY_HINTS: Mapping[type[Struct], Mapping[str, str]] = {
    ClusterEntry: {
        "host": "a cluster has `hosts`, a list: hosts: [pve1.lan]",
        "port": "write the port behind the host: hosts: [pve1.lan:8006]",
        "password": "pvectl takes API tokens only: give token_id, and token_value or token_file",
        "verify_ssl": "write tls: {fingerprints: [...]}, tls: {ca_file: ...}, or tls: {insecure: true} for reading only",
        "ca_file": "it belongs under tls: tls: {ca_file: ...}",
        "fingerprint": "it belongs under tls: tls: {fingerprints: [...]}",
        "fingerprints": "it belongs under tls: tls: {fingerprints: [...]}",
        "insecure": "it belongs under tls: tls: {insecure: true}",
        "token": "the token's id goes into token_id, its secret into token_value or token_file",
        "secret": "the token's secret goes into token_value or token_file",
    },
    Tls: {
        "fingerprint": "fingerprints is a list: fingerprints: [...]",
        "verify": "insecure: true is the opposite, and then pvectl only reads",
    },
    SingleHost: {
        "hosts": "the short form has one `host`; several go under clusters:",
        "port": "write the port behind the host: host: pve1.lan:8006",
        "password": "pvectl takes API tokens only: give token_name and token_value",
        "token_id": "the short form has user and token_name; token_id goes with clusters:",
    },
    ProxmoxFile: {
        "secret": "secrets is a map of names: secrets: {ntfy-topic: ...}",
        **dict.fromkeys(("alert", "monitor", "idle_check", "scheduled_shutdown", "tags"), "it belongs into pvectl.yml"),
        "cluster": "clusters is a map of names: clusters: {lab: {hosts: [...], ...}}",
        **dict.fromkeys(
            ("hosts", "host", "token_id", "token_value", "token_file", "token_command", "user", "token_name", "tls"),
            "it belongs to a cluster: clusters: {lab: {hosts: [...], ...}}",
        ),
    },
}
"""What to say about keys people know from elsewhere, or put in the wrong place."""
