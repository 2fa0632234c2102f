"""The receivers under `alert:` in pvectl.yml: each kind with its keys, and where its secrets come from."""

# no `from __future__ import annotations` here: see jobs.py

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from pvectl.config.schema.connections import Fingerprint
from pvectl.config.schema.kinds import Duration

# what stands for `type` in the end: msgspec itself says what the Structs hold, not what may be written
_ONE_OR_SEVERAL: dict[str, Any] = {"types": ["array", "string"]}
_ONE_OR_SEVERAL_SECRETS: dict[str, Any] = {"types": ["array", "object"]}
_WORD_OR_NUMBER: dict[str, Any] = {"types": ["string", "integer"]}

Word = Annotated[str, Meta(min_length=1)]
SecretName = Annotated[
    str, Meta(description="A secret's name.", pattern="^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$", extra={"form": "secret-name"})
]
Mailbox = Annotated[
    str,
    Meta(description="A mail address alone, without a name or brackets.", extra={"form": "mailbox"}, examples=["root@example.org"]),
]
MailUser = Annotated[str, Meta(description="A mail address, or a user of this machine.", extra={"form": "mail-user"}, examples=["root"])]
PlainUrl = Annotated[
    str,
    Meta(
        description="An address that opens nothing by itself: https, without a user or a query.",
        extra={"form": "plain-url"},
        examples=["https://ntfy.example.org"],
    ),
]
Port = Annotated[int, Meta(ge=1, le=65_535)]
Thread = Annotated[int, Meta(ge=1)]


class SecretSource(Struct, frozen=True, kw_only=True):
    """Where a secret comes from: one of the four. It never stands in pvectl.yml itself."""

    secret: Annotated[SecretName | None, Meta(description="The name it has under `secrets:` in proxmox.yml.", examples=["ntfy-topic"])] = (
        None
    )
    file: Annotated[
        str | None,
        Meta(
            description="A file with the secret and nothing else, readable by you alone; relative paths start at this directory.",
            extra={"form": "secret-file"},
            examples=["ntfy.topic"],
        ),
    ] = None
    credential: Annotated[
        SecretName | None,
        Meta(description="A credential systemd hands to the service (LoadCredential=), by its name.", examples=["ntfy-topic"]),
    ] = None
    command: Annotated[
        tuple[Word, ...],
        Meta(
            description="A program and its arguments that prints the secret within ten seconds; it is started without a shell.",
            examples=[["pass", "show", "ntfy/topic"]],
        ),
    ] = ()


class ReceiverTls(Struct, frozen=True, kw_only=True):
    """How the other side proves who it is; left out: the system's own certificate store."""

    ca_file: Annotated[
        str | None,
        Meta(
            description="A PEM file with the authority that signed its certificate; relative paths start at this directory.",
            examples=["/etc/pve/pve-root-ca.pem"],
            extra={"form": "path"},
        ),
    ] = None
    fingerprints: Annotated[
        tuple[Fingerprint, ...],
        Meta(description="SHA-256 fingerprints of its certificate; one of these is accepted, nothing else."),
    ] = ()


_A_SECRET: list[Any] = [{"secret": "NAME"}]

Url = Annotated[SecretSource, Meta(description="Its URL, a secret: whoever knows it can write there.", examples=_A_SECRET)]
User = Annotated[Word | None, Meta(description="The user to log in as; goes with `password`.")]
Password = Annotated[SecretSource | None, Meta(description="The user's password.", examples=_A_SECRET)]
Token = Annotated[SecretSource | None, Meta(description="A token instead of a user and a password.", examples=_A_SECRET)]
Headers = Annotated[
    dict[str, SecretSource],
    Meta(description="Further headers, by their names.", extra={"key": "header-name"}, examples=[{"X-Api-Key": {"secret": "NAME"}}]),
]
AllowHttp = Annotated[
    bool,
    Meta(description="True: messages and secrets may go to it in the clear. On this machine's own addresses they may anyway."),
]
Trust = Annotated[ReceiverTls, Meta(description="How it proves who it is; left out: the system's own certificate store.")]
Timeout = Annotated[Duration, Meta(description="How long one try may take.", ge=1, le=120)]
PerHour = Annotated[int, Meta(description="How many messages it gets in an hour; what exceeds it comes in one digest.", ge=1, le=3600)]
Burst = Annotated[int, Meta(description="How many messages it may get at once.", ge=1, le=100)]


class WebhookEntry(Struct, frozen=True, kw_only=True, tag_field="type", tag="webhook"):
    """A webhook of your own: Alertmanager's body, which every bridge understands, or another one; signed on request."""

    url: Url
    body: Annotated[
        Literal["alertmanager", "cloudevents", "raw"],
        Meta(description="What is sent: Alertmanager's body (version 4), a CloudEvents 1.0 event, or the message as pvectl has it."),
    ] = "alertmanager"
    signing_keys: Annotated[
        tuple[SecretSource, ...],
        Meta(
            description="Keys (whsec_…) that sign each message by Standard Webhooks; while a key is changed, the new one first.",
            extra={"one": True},
            extra_json_schema=_ONE_OR_SEVERAL_SECRETS,
            examples=[[{"secret": "NAME"}]],
        ),
    ] = ()
    token: Token = None
    user: User = None
    password: Password = None
    headers: Headers = {}
    allow_http: AllowHttp = False
    tls: Trust = ReceiverTls()
    timeout: Timeout = 10
    per_hour: PerHour = 10
    burst: Burst = 5


class SmtpEntry(Struct, frozen=True, kw_only=True, tag_field="type", tag="smtp"):
    """Mail by a mail server."""

    host: Annotated[
        str,
        Meta(description="The mail server's name or address, without a port.", extra={"form": "mail-host"}, examples=["mail.example.org"]),
    ]
    sender: Annotated[Mailbox, Meta(description="The address its mails come from.", examples=["pvectl@example.org"])] = field(name="from")
    to: Annotated[
        tuple[Mailbox, ...],
        Meta(
            description="Whom to write to.",
            min_length=1,
            extra={"one": True},
            extra_json_schema=_ONE_OR_SEVERAL,
            examples=[["admin@example.org"]],
        ),
    ]
    security: Annotated[
        Literal["starttls", "tls", "plain"],
        Meta(description="starttls: encrypted after a greeting; tls: from the start; plain: never, for a relay that needs no password."),
    ] = "starttls"
    port: Annotated[Port | None, Meta(description="Its port; left out: 587 with starttls, 465 with tls, 25 with plain.")] = None
    user: User = None
    password: Password = None
    tls: Trust = ReceiverTls()
    timeout: Timeout = 30
    per_hour: PerHour = 10
    burst: Burst = 5


class SendmailEntry(Struct, frozen=True, kw_only=True, tag_field="type", tag="sendmail"):
    """Mail by this machine's own sendmail; on a Proxmox VE node, mail to root reaches the targets of its notifications."""

    to: Annotated[
        tuple[MailUser, ...],
        Meta(
            description="Whom to write to: addresses, or users of this machine.",
            min_length=1,
            extra={"one": True},
            extra_json_schema=_ONE_OR_SEVERAL,
        ),
    ] = ("root",)
    sender: Annotated[MailUser | None, Meta(description="The address its mails come from; left out: what sendmail puts there.")] = field(
        name="from", default=None
    )
    program: Annotated[
        str, Meta(description="The program, by its whole path.", pattern="^/", extra={"form": "program"}, examples=["/usr/sbin/sendmail"])
    ] = "/usr/sbin/sendmail"
    timeout: Timeout = 30
    per_hour: PerHour = 10
    burst: Burst = 5


class AlertmanagerEntry(Struct, frozen=True, kw_only=True, tag_field="type", tag="alertmanager"):
    """Prometheus' Alertmanager as a mirror: it gets everything that fires in every run, and tells whom it wants."""

    url: Annotated[
        SecretSource | PlainUrl,
        Meta(description="Alertmanager's own address, with its route prefix if it has one.", examples=["http://127.0.0.1:9093"]),
    ]
    token: Token = None
    user: User = None
    password: Password = None
    headers: Headers = {}
    allow_http: AllowHttp = False
    tls: Trust = ReceiverTls()
    timeout: Timeout = 10


class NtfyEntry(Struct, frozen=True, kw_only=True, tag_field="type", tag="ntfy"):
    """ntfy: a push message on a phone."""

    topic: Annotated[
        SecretSource,
        Meta(description="The topic, a secret: on a public server whoever knows it reads along.", examples=_A_SECRET),
    ]
    server: Annotated[PlainUrl, Meta(description="The server's address.")] = "https://ntfy.sh"
    token: Token = None
    user: User = None
    password: Password = None
    allow_http: AllowHttp = False
    tls: Trust = ReceiverTls()
    timeout: Timeout = 10
    per_hour: PerHour = 10
    burst: Burst = 5


class SlackEntry(Struct, frozen=True, kw_only=True, tag_field="type", tag="slack"):
    """Slack, Mattermost or Rocket.Chat, by an incoming webhook."""

    url: Url
    allow_http: AllowHttp = False
    tls: Trust = ReceiverTls()
    timeout: Timeout = 10
    per_hour: PerHour = 10
    burst: Burst = 5


class DiscordEntry(Struct, frozen=True, kw_only=True, tag_field="type", tag="discord"):
    """Discord, by a channel's webhook."""

    url: Url
    timeout: Timeout = 10
    per_hour: PerHour = 10
    burst: Burst = 5


class TelegramEntry(Struct, frozen=True, kw_only=True, tag_field="type", tag="telegram"):
    """Telegram, by a bot."""

    token: Annotated[SecretSource, Meta(description="The bot's token, as BotFather gave it.", examples=_A_SECRET)]
    chat: Annotated[
        str,
        Meta(
            description="The chat's number, or @channel in quotes.",
            extra={"form": "telegram-chat"},
            extra_json_schema=_WORD_OR_NUMBER,
            examples=["-1001234567890"],
        ),
    ]
    thread: Annotated[Thread | None, Meta(description="The topic in a group that has topics, by its number.")] = None
    server: Annotated[PlainUrl, Meta(description="The Bot API's server.")] = "https://api.telegram.org"
    timeout: Timeout = 10
    per_hour: PerHour = 10
    burst: Burst = 5


class TeamsEntry(Struct, frozen=True, kw_only=True, tag_field="type", tag="teams"):
    """Microsoft Teams, by a workflow that takes an Adaptive Card."""

    url: Url
    timeout: Timeout = 10
    per_hour: PerHour = 10
    burst: Burst = 5


class PagerDutyEntry(Struct, frozen=True, kw_only=True, tag_field="type", tag="pagerduty"):
    """PagerDuty, by the Events API v2."""

    key: Annotated[SecretSource, Meta(description="The integration key.", examples=_A_SECRET)]
    server: Annotated[PlainUrl, Meta(description="The service's address; in the EU https://events.eu.pagerduty.com.")] = (
        "https://events.pagerduty.com"
    )
    timeout: Timeout = 10
    per_hour: PerHour = 10
    burst: Burst = 5


class AppriseEntry(Struct, frozen=True, kw_only=True, tag_field="type", tag="apprise"):
    """Everything else, by Apprise; needs the extra pvectl[apprise]."""

    url: Annotated[SecretSource, Meta(description="One of Apprise's URLs, a secret as a whole.", examples=_A_SECRET)]
    timeout: Timeout = 30
    per_hour: PerHour = 10
    burst: Burst = 5


Outgoing = (
    WebhookEntry
    | SmtpEntry
    | SendmailEntry
    | NtfyEntry
    | SlackEntry
    | DiscordEntry
    | TelegramEntry
    | TeamsEntry
    | PagerDutyEntry
    | AppriseEntry
)
"""Receivers that get messages, each once; an Alertmanager gets the state of things instead."""

ReceiverEntry = Outgoing | AlertmanagerEntry


class HeartbeatEntry(Struct, frozen=True, kw_only=True):
    """Who notices when pvectl itself falls silent."""

    type: Annotated[
        Literal["healthchecks", "uptime-kuma"],
        Meta(
            description="healthchecks: a ping URL that takes /start and /fail; uptime-kuma: the URL of a push monitor.",
            examples=["healthchecks"],
        ),
    ]
    url: Annotated[SecretSource, Meta(description="Its URL, a secret, without /start or /fail.", examples=_A_SECRET)]
    allow_http: AllowHttp = False
    tls: Trust = ReceiverTls()
    timeout: Timeout = 10


_THE_FOUR = "write {secret: NAME} and put it under secrets: in proxmox.yml; or {file: PATH}, {credential: NAME}, {command: [...]}"

NOT_A_MAP: Mapping[type[Struct], tuple[str, str]] = {
    SecretSource: ("a secret does not stand in this file, which others may read", _THE_FOUR),
}
"""What to say where something else than a map stands for one of these; the value is never repeated."""

KEY_HINTS: Mapping[type[Struct], Mapping[str, str]] = {
    SecretSource: {
        "path": "did you mean file?",
        "name": "did you mean secret?",
        "value": _THE_FOUR,
        "env": "a credential, a file or a command does it without showing it to other programs",
    },
    WebhookEntry: {
        "form": "did you mean body?",
        "format": "did you mean body?",
        "username": "did you mean user?",
        "key": "did you mean signing_keys?",
        "keys": "did you mean signing_keys?",
        "signing_key": "did you mean signing_keys?",
        "insecure": "pin its certificate: tls: {fingerprints: [...]}, or name its authority: tls: {ca_file: ...}",
    },
    SmtpEntry: {
        "sender": "did you mean from?",
        "recipients": "did you mean to?",
        "server": "did you mean host?",
        "smarthost": "did you mean host?",
        "username": "did you mean user?",
        "starttls": "write security: starttls",
        "url": "a mail server has a host: host: mail.example.org",
    },
    SendmailEntry: {"sender": "did you mean from?", "recipients": "did you mean to?", "path": "did you mean program?"},
    NtfyEntry: {"url": "did you mean server? the topic stands beside it", "username": "did you mean user?"},
    TelegramEntry: {"chat_id": "did you mean chat?", "bot_token": "did you mean token?", "message_thread_id": "did you mean thread?"},
    PagerDutyEntry: {"routing_key": "did you mean key?", "integration_key": "did you mean key?", "url": "did you mean server?"},
    SlackEntry: {"webhook_url": "did you mean url?", "channel": "an incoming webhook has its channel already"},
    DiscordEntry: {"webhook_url": "did you mean url?"},
    TeamsEntry: {"webhook_url": "did you mean url?"},
    AlertmanagerEntry: {
        **dict.fromkeys(("per_hour", "burst"), "an Alertmanager gets everything that fires in every run, and limits it itself"),
        "username": "did you mean user?",
    },
}
"""What to say about keys people know from elsewhere, or put in the wrong place."""
