"""What `alert:` in pvectl.yml means to those who carry it out: rules, limits, and receivers with their secrets fetched."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, TypeVar, assert_never

from pvectl.config.addresses import is_loopback
from pvectl.config.fetching import Secrets
from pvectl.config.problems import nearest, shown
from pvectl.config.schema.alerting import Alert, RuleEntry
from pvectl.config.schema.receivers import (
    AlertmanagerEntry,
    AppriseEntry,
    DiscordEntry,
    HeartbeatEntry,
    NtfyEntry,
    PagerDutyEntry,
    ReceiverEntry,
    ReceiverTls,
    SecretSource,
    SendmailEntry,
    SlackEntry,
    SmtpEntry,
    TeamsEntry,
    TelegramEntry,
    WebhookEntry,
)
from pvectl.core.alerts.outbox import Limit
from pvectl.core.alerts.rules import Repeat, Rule, Rules
from pvectl.core.secret import Secret
from pvectl.errors import ConfigError, PvectlError, UnsafeFile

if TYPE_CHECKING:
    from pvectl.notify.deliver import Receiver
    from pvectl.notify.endpoint import Endpoint
    from pvectl.notify.heartbeat import Heartbeat
    from pvectl.notify.templates import Template
    from pvectl.notify.tls import Tls

__all__ = [
    "Secrets",
    "heart_of",
    "limits_of",
    "mirrors_of",
    "noticed_of",
    "out_of_reach",
    "problems_of",
    "receiver_of",
    "rules_of",
    "sources_of",
    "templates_of",
    "unfetched",
]

T = TypeVar("T")
_LEAST_GAP = 300
_LEAST_KEEP = 300


def rules_of(section: Alert, cluster: str) -> Rules:
    """What the alerts go by; an Alertmanager is no receiver there, it mirrors."""
    return Rules(
        cluster=cluster,
        receivers=tuple(limits_of(section)),
        rules=tuple(_rule(entry) for entry in section.rules),
        repeat=Repeat(critical=section.repeat.critical, warning=section.repeat.warning, unknown=section.repeat.unknown),
        keep_firing_for=_keep(section),
        unknown_for=section.unknown_for,
        max_gap=max(3 * section.interval, _LEAST_GAP),
        mute_tag=section.mute_tag,
    )


def _keep(section: Alert) -> int:
    """Who looks every five minutes sees what comes and goes every two by chance: two looks in a row prove nothing."""
    return max(_LEAST_KEEP, 2 * section.interval) if section.keep_firing_for is None else section.keep_firing_for


def mirrors_of(section: Alert) -> tuple[str, ...]:
    """The receivers that get the state of things in every run: Alertmanagers."""
    return tuple(name for name, entry in section.receivers.items() if isinstance(entry, AlertmanagerEntry))


def limits_of(section: Alert) -> dict[str, Limit]:
    """How much each receiver of messages may get."""
    return {
        name: Limit(per_hour=entry.per_hour, burst=entry.burst)
        for name, entry in section.receivers.items()
        if not isinstance(entry, AlertmanagerEntry)
    }


def noticed_of(section: Alert) -> tuple[str, ...]:
    """The receivers that get the notices and outcomes of the other jobs."""
    return tuple(limits_of(section)) if section.notices is None else section.notices


def receiver_of(name: str, section: Alert, source: Secrets) -> Receiver:
    """A receiver, with its own secrets fetched and nobody else's.

    Raises:
        ConfigError: there is none of this name, or something about it is wrong; says which key, never its value.
    """
    entry = section.receivers.get(name)
    if entry is None:
        close = nearest(name, section.receivers)
        raise ConfigError(
            f"there is no receiver {shown(name)} in pvectl.yml",
            hint=f"did you mean {close}?" if close else f"known are: {', '.join(section.receivers) or 'none'}",
        )
    return _About(f"receiver {name}", source).done(lambda about: _receiver(name, entry, section.interval, about))


def heart_of(section: Alert, source: Secrets) -> Heartbeat | None:
    """Whom to give a sign of life to, None when nobody.

    Raises:
        ConfigError: something about it is wrong; says which key, never its value.
    """
    entry = section.heartbeat
    if entry is None:
        return None
    return _About("heartbeat", source).done(lambda about: _heart(entry, about))


def unfetched(section: Alert, source: Secrets) -> dict[str, str]:
    """The receivers whose secrets are not there, and why: as far as that can be told without starting a program, and without a message."""
    found: dict[str, str] = {}
    for name, entry in section.receivers.items():
        for key, secret in sources_in(f"receivers.{name}", entry):
            if not source.can_tell(secret):
                continue
            try:
                source.fetch(secret)
            except PvectlError as error:
                found.setdefault(name, f"{key}: {error.message}")
    return found


def out_of_reach(section: Alert, env: Mapping[str, str]) -> frozenset[str]:
    """The receivers whose secrets systemd hands to the service alone, where this is not the service."""
    if env.get("CREDENTIALS_DIRECTORY"):
        return frozenset()
    entries = section.receivers.items()
    return frozenset(name for name, entry in entries if any(secret.credential is not None for _, secret in sources_in(name, entry)))


def problems_of(section: Alert, source: Secrets) -> Iterator[tuple[str, PvectlError]]:
    """What is wrong with receivers, heartbeat and templates, by key, as far as it can be told without starting a program of theirs."""
    for name, entry in section.receivers.items():
        yield from _problems_of(f"receivers.{name}", entry, source, partial(_receiver, name, entry, section.interval))
    if section.heartbeat is not None:
        yield from _problems_of("heartbeat", section.heartbeat, source, partial(_heart, section.heartbeat))
    if section.templates:
        from pvectl.notify.templates import problem_of

        for name, template in templates_of(section).items():
            if (words := problem_of(template)) is not None:
                yield f"templates.{name}", ConfigError(words)


def _problems_of(
    path: str, entry: ReceiverEntry | HeartbeatEntry, source: Secrets, make: Callable[[_About], object]
) -> Iterator[tuple[str, PvectlError]]:
    mute = False
    for key, secret in sources_in(path, entry):
        if not source.can_tell(secret):
            mute = True
            continue
        try:
            source.fetch(secret)
        except (ConfigError, UnsafeFile) as error:
            mute = True
            yield key, error
    tls = getattr(entry, "tls", None)
    if tls is not None and tls.ca_file is not None:
        try:
            source.certificate(tls.ca_file)
        except (ConfigError, UnsafeFile) as error:
            mute = True
            yield f"{path}.tls.ca_file", error
    if not mute:
        try:
            make(_About(path, source))
        except ConfigError as error:
            yield path, error


def sources_of(section: Alert) -> Iterator[tuple[str, SecretSource]]:
    """All secrets the section names, by where they stand."""
    for name, entry in section.receivers.items():
        yield from sources_in(f"receivers.{name}", entry)
    if section.heartbeat is not None:
        yield from sources_in("heartbeat", section.heartbeat)


def sources_in(path: str, of: object) -> Iterator[tuple[str, SecretSource]]:
    """The secrets a receiver names, by where they stand below `path`."""
    from msgspec import Struct
    from msgspec.structs import fields

    if isinstance(of, SecretSource):
        yield path, of
    elif isinstance(of, tuple):
        for index, each in enumerate(of):
            yield from sources_in(f"{path}[{index}]", each)
    elif isinstance(of, dict):
        for name, each in of.items():
            yield from sources_in(f"{path}.{name}", each)
    elif isinstance(of, Struct):
        for info in fields(of):
            yield from sources_in(f"{path}.{info.encode_name}", getattr(of, info.name))


def templates_of(section: Alert) -> dict[str, Template]:
    """The administrator's own words, by the names rules call them by."""
    from pvectl.notify.templates import Template

    return {name: Template(name=name, subject=entry.subject, text=entry.text) for name, entry in section.templates.items()}


class _About:
    """Fetches what one receiver needs, and says of what goes wrong whose and which key it is."""

    def __init__(self, whose: str, source: Secrets) -> None:
        self.whose = whose
        self.source = source

    def done(self, make: Callable[[_About], T]) -> T:
        try:
            return make(self)
        except ConfigError as error:
            raise ConfigError(f"{self.whose}: {error.message}", hint=error.hint) from None

    def secret(self, key: str, source: SecretSource) -> Secret:
        try:
            return self.source.fetch(source)
        except (ConfigError, UnsafeFile) as error:
            raise ConfigError(f"{key}: {error.message}", hint=error.hint) from None

    def wanted(self, key: str, source: SecretSource | None) -> Secret | None:
        return None if source is None else self.secret(key, source)

    def url(self, key: str, source: SecretSource | str) -> Secret:
        return Secret(source) if isinstance(source, str) else self.secret(key, source)

    def tls(self, entry: ReceiverTls) -> Tls:
        from pvectl.notify.tls import Tls

        if entry.ca_file is None:
            return Tls(fingerprints=entry.fingerprints)
        try:
            return Tls(ca_file=self.source.certificate(entry.ca_file))
        except (ConfigError, UnsafeFile) as error:
            raise ConfigError(f"tls.ca_file: {error.message}", hint=error.hint) from None


def _rule(entry: RuleEntry) -> Rule:
    return Rule(
        name=entry.name,
        checks=entry.checks,
        object=entry.object,
        tag=entry.tag,
        pool=entry.pool,
        node=entry.node,
        severity=entry.severity,
        hold=entry.hold,
        keep_firing_for=entry.keep_firing_for,
        repeat=entry.repeat,
        receivers=entry.receivers,
        template=entry.template,
    )


def _receiver(name: str, entry: ReceiverEntry, interval: int, about: _About) -> Receiver:
    match entry:
        case WebhookEntry():
            from pvectl.notify.webhook import Form, Webhook

            keys = tuple(about.secret(f"signing_keys[{index}]", key) for index, key in enumerate(entry.signing_keys))
            return Webhook(name=name, endpoint=_proven(entry, about.url("url", entry.url), about), form=Form(entry.body), keys=keys)
        case SmtpEntry():
            from pvectl.notify.smtp import Smtp

            return Smtp(
                name=name,
                host=entry.host,
                sender=entry.sender,
                recipients=entry.to,
                security=entry.security,
                port=entry.port,
                user=entry.user,
                password=about.wanted("password", entry.password),
                tls=about.tls(entry.tls),
                timeout=entry.timeout,
            )
        case SendmailEntry():
            from pvectl.notify.sendmail import Sendmail

            return Sendmail(name=name, recipients=entry.to, sender=entry.sender, program=entry.program, timeout=entry.timeout)
        case AlertmanagerEntry():
            from pvectl.notify.alertmanager import Alertmanager

            return Alertmanager(name=name, endpoint=_proven(entry, about.url("url", entry.url), about), interval=interval)
        case NtfyEntry():
            from pvectl.notify.ntfy import Ntfy

            endpoint = _proven(entry, Secret(entry.server), about)
            return Ntfy(name=name, topic=about.secret("topic", entry.topic), endpoint=endpoint)
        case SlackEntry():
            from pvectl.notify.slack import Slack

            return Slack(
                name=name,
                endpoint=_endpoint(about.url("url", entry.url), entry.timeout, allow_http=entry.allow_http, tls=about.tls(entry.tls)),
            )
        case DiscordEntry():
            from pvectl.notify.discord import Discord

            return Discord(name=name, endpoint=_endpoint(about.url("url", entry.url), entry.timeout))
        case TelegramEntry():
            from pvectl.notify.telegram import Telegram

            return Telegram(
                name=name,
                token=about.secret("token", entry.token),
                chat=entry.chat,
                thread=entry.thread,
                endpoint=_endpoint(Secret(entry.server), entry.timeout),
            )
        case TeamsEntry():
            from pvectl.notify.teams import Teams

            return Teams(name=name, endpoint=_endpoint(about.url("url", entry.url), entry.timeout))
        case PagerDutyEntry():
            from pvectl.notify.pagerduty import PagerDuty

            endpoint = _endpoint(Secret(entry.server), entry.timeout).below("/v2/enqueue")
            return PagerDuty(name=name, key=about.secret("key", entry.key), endpoint=endpoint)
        case AppriseEntry():
            from pvectl.notify.apprise import Apprise

            return Apprise(name=name, url=about.secret("url", entry.url), timeout=entry.timeout)
        case _:
            assert_never(entry)


def _heart(entry: HeartbeatEntry, about: _About) -> Heartbeat:
    from pvectl.notify.heartbeat import Healthchecks, UptimeKuma

    endpoint = _endpoint(about.url("url", entry.url), entry.timeout, allow_http=entry.allow_http, tls=about.tls(entry.tls))
    if entry.type == "healthchecks":
        return Healthchecks(name="heartbeat", endpoint=endpoint)
    return UptimeKuma(name="heartbeat", endpoint=endpoint)


def _proven(entry: WebhookEntry | AlertmanagerEntry | NtfyEntry, url: Secret, about: _About) -> Endpoint:
    from msgspec.structs import replace

    headers = {} if isinstance(entry, NtfyEntry) else entry.headers
    return replace(
        _endpoint(url, entry.timeout, allow_http=entry.allow_http, tls=about.tls(entry.tls)),
        token=about.wanted("token", entry.token),
        user=entry.user,
        password=about.wanted("password", entry.password),
        headers={name: about.secret(f"headers.{name}", value) for name, value in headers.items()},
    )


def _endpoint(url: Secret, timeout: int, *, allow_http: bool = False, tls: Tls | None = None) -> Endpoint:
    from pvectl.notify.endpoint import Endpoint
    from pvectl.notify.tls import Tls

    return Endpoint(url=url, allow_http=allow_http or is_loopback(url.reveal()), tls=Tls() if tls is None else tls, timeout=float(timeout))
