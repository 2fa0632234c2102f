"""What the receivers of messages ask of a timer's entries: secrets at hand, addresses to reach, a mailer."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from pvectl.config.places import expanded
from pvectl.config.receivers import limits_of, sources_of
from pvectl.config.schema.alerting import Alert
from pvectl.config.schema.receivers import ReceiverEntry, SecretSource, SendmailEntry, SmtpEntry
from pvectl.errors import ConfigError

_LOCAL = "localhost"
"""systemd.resource-control(5) knows this word."""


class Needs(NamedTuple):
    """`credentials` are files by the names a service finds them under, None for what lies in systemd's own store.

    `addresses` are all there is to reach, None when that cannot be said in addresses; `mails`: the machine's sendmail is run.
    """

    credentials: Mapping[str, str | None] = {}
    addresses: tuple[str, ...] | None = ()
    mails: bool = False


def of_all(section: Alert, directory: Path) -> Needs:
    """What a run of the alerts needs: every receiver, and the heartbeat.

    Raises:
        ConfigError: two files would have the same name.
    """
    names = frozenset(section.receivers) if section.enabled else frozenset[str]()
    return _needs(section, directory, names, heartbeat=bool(names))


def of_notices(section: Alert, directory: Path) -> Needs:
    """What another job needs: whether it has a notice or not, it sends whatever waits for any receiver of messages.

    Raises:
        ConfigError: two files would have the same name.
    """
    names = frozenset(limits_of(section)) if section.enabled else frozenset[str]()
    return _needs(section, directory, names, heartbeat=False)


def merged(one: Mapping[str, str | None], other: Mapping[str, str | None]) -> dict[str, str | None]:
    """All of them.

    Raises:
        ConfigError: two have the same name and are not the same.
    """
    for name in one.keys() & other.keys():
        if one[name] != other[name]:
            first, second = (source or f"systemd's credential {name}" for source in (one[name], other[name]))
            raise ConfigError(
                f"a service cannot be handed both {first} and {second}: they have the same name", hint="give one of them another name"
            )
    return {**one, **other}


def remarks_on_services(section: Alert, directory: Path) -> Iterator[str]:
    """What somebody who has systemd run the jobs should know of the receivers."""
    if not section.enabled:
        return
    for where, source in sources_of(section):
        if source.command:
            yield f"alert.{where}: its command is run inside the service, as its user and without homes; a file is handed over by systemd"
        elif source.credential is not None:
            place = f"/etc/credstore/{source.credential}"
            yield f"alert.{where}: systemd looks for {place} (chmod 600), or a LoadCredential= of your own in the service says where it is"
    for path in of_all(section, directory).credentials.values():
        if path is not None and _is_missing(Path(path)):
            yield f"there is no file {path}, and without it no service that is handed it can start"
    if mailers := [name for name, entry in section.receivers.items() if isinstance(entry, SendmailEntry)]:
        yield (
            f"a service that runs sendmail (receiver {', '.join(mailers)}) is not shut in as the others are; "
            "{type: smtp, host: localhost, security: plain, from: ..., to: ...} reaches the same mailer without that"
        )


def _is_missing(path: Path) -> bool:
    """Whether it is certain that there is no such file: somebody else's directory may be closed to us."""
    try:
        path.stat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False


def remarks_on_cron(section: Alert) -> Iterator[str]:
    """What somebody who has cron run the jobs should know of the receivers."""
    for where, source in sources_of(section) if section.enabled else ():
        if source.credential is not None:
            yield f"alert.{where}: credentials are handed over by systemd, never by cron; give its secret as a file"


def _needs(section: Alert, directory: Path, names: frozenset[str], *, heartbeat: bool) -> Needs:
    entries = [entry for name, entry in section.receivers.items() if name in names]
    credentials: dict[str, str | None] = {}
    for where, source in sources_of(section):
        whose = where.removeprefix("receivers.").partition(".")[0]
        if whose in names if where.startswith("receivers.") else heartbeat:
            credentials = merged(credentials, _secret(source, directory))
    for entry in entries:
        credentials = merged(credentials, _authority(entry, directory))
    reached = [_address(entry) for entry in entries]
    if heartbeat and section.heartbeat is not None:
        credentials = merged(credentials, _file(section.heartbeat.tls.ca_file, directory))
        reached.append(None)
    addresses = None if None in reached else tuple(dict.fromkeys(address for address in reached if address is not None))
    return Needs(credentials=credentials, addresses=addresses, mails=any(isinstance(entry, SendmailEntry) for entry in entries))


def _secret(source: SecretSource, directory: Path) -> dict[str, str | None]:
    if source.credential is not None:
        return {source.credential: None}
    return _file(source.file, directory)


def _authority(entry: ReceiverEntry, directory: Path) -> dict[str, str | None]:
    tls = getattr(entry, "tls", None)
    return {} if tls is None else _file(tls.ca_file, directory)


def _file(written: str | None, directory: Path) -> dict[str, str | None]:
    if written is None:
        return {}
    path = directory / expanded(written)
    return {path.name: str(path)}


def _address(entry: ReceiverEntry) -> str | None:
    """The address of a receiver that is reached by one; None for a name, for a secret, and for a mailer, which sends to anybody."""
    if isinstance(entry, SmtpEntry):
        return _literal(entry.host)
    for key in ("server", "url"):
        if isinstance(given := getattr(entry, key, None), str):
            return _literal(urlsplit(given).hostname or "")
    return None


def _literal(host: str) -> str | None:
    if host == _LOCAL:
        return host
    try:
        return str(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        return None
