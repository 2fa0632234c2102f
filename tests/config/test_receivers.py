"""Receivers with their secrets fetched: from four places, one by one, and seen by nobody whatever goes wrong."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
from msgspec import Struct
from msgspec.structs import fields

from pvectl.cli.config_pages import effective
from pvectl.config.load import load_connections, load_jobs
from pvectl.config.receivers import Secrets, heart_of, receiver_of, rules_of, sources_of, templates_of
from pvectl.config.schema import Alert, HeartbeatEntry, ReceiverEntry, SecretSource
from pvectl.config.survey import Survey, survey
from pvectl.core.secret import Secret
from pvectl.errors import ConfigError
from pvectl.notify.alertmanager import Alertmanager
from pvectl.notify.apprise import Apprise
from pvectl.notify.discord import Discord
from pvectl.notify.endpoint import Endpoint
from pvectl.notify.heartbeat import Healthchecks, UptimeKuma
from pvectl.notify.ntfy import Ntfy
from pvectl.notify.pagerduty import PagerDuty
from pvectl.notify.sendmail import Sendmail
from pvectl.notify.slack import Slack
from pvectl.notify.smtp import Smtp
from pvectl.notify.teams import Teams
from pvectl.notify.telegram import Telegram
from pvectl.notify.tls import Tls
from pvectl.notify.webhook import Form, Webhook
from tests.config.folders import GOOD, write

CANARY = "cAnArY7f3e"
BOT = f"123456:{CANARY}{'A' * 20}"
KEY = "whsec_" + "QUJDREVG" * 5
URL = f"https://hooks.example.org/{CANARY}"


def section_of(folder: Path, text: str) -> Alert:
    return load_jobs(write(folder, text, name="pvectl.yml")).alert


def secrets(folder: Path, env: Mapping[str, str] | None = None, **named: str) -> Secrets:
    return Secrets(folder, env or {}, {name: Secret(value) for name, value in named.items()})


def one(folder: Path, entry: str, **named: str) -> Any:
    return receiver_of("it", section_of(folder, f"alert:\n  interval: 2m\n  receivers:\n    it: {entry}\n"), secrets(folder, {}, **named))


def revealed(endpoint: Endpoint) -> tuple[str, str | None, str | None, dict[str, str]]:
    return (
        endpoint.url.reveal(),
        endpoint.token.reveal() if endpoint.token else None,
        endpoint.password.reveal() if endpoint.password else None,
        {name: value.reveal() for name, value in endpoint.headers.items()},
    )


def test_a_webhook_has_all_that_was_written(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    hook = one(
        tmp_path,
        "{type: webhook, url: {secret: u}, body: raw, signing_keys: [{secret: k}, {secret: k2}], user: me, password: {secret: p},"
        " headers: {X-Key: {secret: h}}, allow_http: true, tls: {ca_file: ca.pem}, timeout: 20s}",
        u="http://hook.lan/x",
        k=KEY,
        k2=KEY[:-8] + "QUJDREVH",
        p="p w",
        h="hh",
    )

    assert isinstance(hook, Webhook)
    assert (hook.name, hook.form, [key.reveal() for key in hook.keys]) == ("it", Form.RAW, [KEY, KEY[:-8] + "QUJDREVH"])
    assert revealed(hook.endpoint) == ("http://hook.lan/x", None, "p w", {"X-Key": "hh"})
    assert (hook.endpoint.user, hook.endpoint.allow_http, hook.endpoint.timeout) == ("me", True, 20.0)
    assert hook.endpoint.tls == Tls(ca_file=str(tmp_path / "ca.pem"))


def test_mail_servers_and_sendmail_have_all_that_was_written(tmp_path: Path) -> None:
    mail = one(
        tmp_path,
        "{type: smtp, host: '[fd00::1]', from: a@b.c, to: [d@e.f, g@h.i], security: tls, port: 4650, user: u, password: {secret: p},"
        f" tls: {{fingerprints: ['{'AB' * 32}']}}, timeout: 1m}}",
        p="geheim",
    )
    assert isinstance(mail, Smtp)
    assert (mail.host, mail.sender, mail.recipients, mail.security, mail.port) == ("fd00::1", "a@b.c", ("d@e.f", "g@h.i"), "tls", 4650)
    assert (mail.user, mail.password and mail.password.reveal(), mail.timeout) == ("u", "geheim", 60)
    assert mail.tls == Tls(fingerprints=("ab" * 32,))
    local = one(tmp_path, "{type: sendmail, to: [root, a@b.c], from: x@y.z, program: /opt/sendmail}")
    assert local == Sendmail(name="it", recipients=("root", "a@b.c"), sender="x@y.z", program="/opt/sendmail", timeout=30)
    assert one(tmp_path, "{type: sendmail}") == Sendmail(name="it")


def test_an_alertmanager_takes_a_plain_address_or_a_secret_one(tmp_path: Path) -> None:
    plain = one(tmp_path, "{type: alertmanager, url: 'http://127.0.0.1:9093/am', token: {secret: t}, headers: {X-A: {secret: t}}}", t="tt")
    assert isinstance(plain, Alertmanager)
    assert (revealed(plain.endpoint), plain.interval) == (("http://127.0.0.1:9093/am", "tt", None, {"X-A": "tt"}), 120)
    hidden = one(tmp_path, "{type: alertmanager, url: {secret: u}, user: a, password: {secret: t}}", u=URL, t="tt")
    assert revealed(hidden.endpoint) == (URL, None, "tt", {})


def test_the_chats_have_all_that_was_written(tmp_path: Path) -> None:
    phone = one(tmp_path, "{type: ntfy, topic: {secret: t}, server: 'https://ntfy.lan/x', token: {secret: k}}", t="topic", k="tk_1")
    assert isinstance(phone, Ntfy)
    assert (phone.topic.reveal(), revealed(phone.endpoint)) == ("topic", ("https://ntfy.lan/x", "tk_1", None, {}))
    bot = one(tmp_path, "{type: telegram, token: {secret: t}, chat: -100123, thread: 7, server: 'https://bot.lan'}", t=BOT)
    assert isinstance(bot, Telegram)
    assert (bot.token.reveal(), bot.chat, bot.thread, bot.endpoint.url.reveal()) == (BOT, "-100123", 7, "https://bot.lan")
    assert one(tmp_path, "{type: telegram, token: {secret: t}, chat: '@here'}", t=BOT).endpoint.url.reveal() == "https://api.telegram.org"
    duty = one(tmp_path, "{type: pagerduty, key: {secret: k}, server: 'https://events.eu.pagerduty.com'}", k="kk")
    assert isinstance(duty, PagerDuty)
    assert (duty.key.reveal(), duty.endpoint.url.reveal()) == ("kk", "https://events.eu.pagerduty.com/v2/enqueue")
    assert (
        one(tmp_path, "{type: pagerduty, key: {secret: k}}", k="kk").endpoint.url.reveal()
        == PagerDuty(name="", key=Secret("")).endpoint.url.reveal()
    )
    other = one(tmp_path, "{type: apprise, url: {secret: u}, timeout: 5}", u="json://x")
    assert isinstance(other, Apprise)
    assert (other.url.reveal(), other.timeout) == ("json://x", 5)


@pytest.mark.parametrize(("kind", "made"), [("slack", Slack), ("discord", Discord), ("teams", Teams)])
def test_a_webhook_of_a_chat_is_its_url(tmp_path: Path, kind: str, made: type[Slack | Discord | Teams]) -> None:
    chat = one(tmp_path, f"{{type: {kind}, url: {{secret: u}}, timeout: 3s}}", u=URL)

    assert isinstance(chat, made)
    assert (chat.endpoint.url.reveal(), chat.endpoint.timeout) == (URL, 3.0)


@pytest.mark.parametrize(("kind", "made"), [("healthchecks", Healthchecks), ("uptime-kuma", UptimeKuma)])
def test_the_heartbeat_has_its_url(tmp_path: Path, kind: str, made: type[Healthchecks | UptimeKuma]) -> None:
    text = f"alert: {{heartbeat: {{type: {kind}, url: {{secret: u}}, timeout: 3s}}}}\n"
    heart = heart_of(section_of(tmp_path, text), secrets(tmp_path, u=URL))

    assert isinstance(heart, made)
    assert (heart.endpoint.url.reveal(), heart.endpoint.timeout) == (URL, 3.0)
    assert heart_of(section_of(tmp_path, "tags: {}\n"), secrets(tmp_path)) is None


@pytest.mark.parametrize(
    ("url", "refused"),
    [
        ("http://127.0.0.1:8080/x", False),
        ("http://[::1]/x", False),
        ("http://localhost/x", True),
        ("http://10.0.0.1/x", True),
        ("http://127.0.0.1.example.org/", True),
    ],
)
def test_in_the_clear_goes_what_does_not_leave_this_machine(tmp_path: Path, url: str, *, refused: bool) -> None:
    if not refused:
        assert one(tmp_path, "{type: slack, url: {secret: u}}", u=url).endpoint.allow_http
        return
    with pytest.raises(ConfigError, match=r"^receiver it: the URL is not https$"):
        one(tmp_path, "{type: slack, url: {secret: u}}", u=url)


def test_a_receiver_fetches_its_own_secrets_and_nobody_elses(tmp_path: Path) -> None:
    text = f"""
alert:
  receivers:
    mine: {{type: slack, url: {{secret: u}}}}
    other: {{type: slack, url: {{command: [touch, {tmp_path}/started]}}}}
    gone: {{type: slack, url: {{file: nowhere}}}}
"""
    receiver_of("mine", section_of(tmp_path, text), secrets(tmp_path, u=URL))

    assert not (tmp_path / "started").exists()


def test_a_secret_comes_from_each_of_the_four_places(tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    write(credentials, "from systemd\n", name="topic", mode=0o440)
    write(tmp_path, "from a file\n", name="topic.txt")
    source = secrets(tmp_path, {"CREDENTIALS_DIRECTORY": str(credentials)}, topic="from proxmox.yml")

    assert source.fetch(SecretSource(secret="topic")).reveal() == "from proxmox.yml"
    assert source.fetch(SecretSource(file="topic.txt")).reveal() == "from a file"
    assert source.fetch(SecretSource(file=str(tmp_path / "topic.txt"))).reveal() == "from a file"
    assert source.fetch(SecretSource(credential="topic")).reveal() == "from systemd"
    assert source.fetch(SecretSource(command=("pwd",))).reveal() == str(tmp_path)


def test_a_file_that_systemd_handed_over_goes_before_the_one_it_was_made_from(tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    write(credentials, "handed over", name="topic.txt", mode=0o440)

    found = secrets(tmp_path, {"CREDENTIALS_DIRECTORY": str(credentials)}).fetch(SecretSource(file="/etc/pvectl/topic.txt"))

    assert found.reveal() == "handed over"


def test_each_secret_is_fetched_once(tmp_path: Path) -> None:
    source = secrets(tmp_path)
    command = SecretSource(command=("sh", "-c", "echo x >> calls; wc -l < calls"))

    assert {source.fetch(command).reveal() for _ in range(3)} == {"1"}


def test_what_was_read_ahead_is_there_when_it_can_no_longer_be_read_and_no_program_was_started(tmp_path: Path) -> None:
    write(tmp_path, "topic", name="topic.txt")
    file, missing, command = SecretSource(file="topic.txt"), SecretSource(file="missing"), SecretSource(command=("touch", "started"))
    source = secrets(tmp_path)

    source.read_ahead([file, missing, command])
    (tmp_path / "topic.txt").unlink()
    write(tmp_path, "late", name="missing")

    assert source.fetch(file).reveal() == "topic"
    assert not (tmp_path / "started").exists()
    with pytest.raises(ConfigError, match="there is no file"):
        source.fetch(missing)


def test_a_receiver_that_is_not_there_is_told_with_the_nearest_one(tmp_path: Path) -> None:
    section = section_of(tmp_path, "alert: {receivers: {phone: {type: sendmail}}}\n")
    for name, hint in (("phnoe", "did you mean phone?"), ("xyz", "known are: phone")):
        with pytest.raises(ConfigError, match=f"there is no receiver '{name}' in pvectl.yml") as caught:
            receiver_of(name, section, secrets(tmp_path))
        assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("source", "message", "hint"),
    [
        ("{secret: tpic}", "url: there is no secret of this name in proxmox.yml", "did you mean topic?"),
        ("{secret: zzz}", "url: there is no secret of this name in proxmox.yml", "write it under secrets: in proxmox.yml"),
        ("{secret: placeholder}", "url: is still a placeholder", "put in the secret itself"),
        ("{secret: two}", "url: holds more than one line, or control characters", "put in the secret alone, on one line"),
        ("{file: nowhere}", "url: there is no file {folder}/nowhere", "write the secret into it, then: chmod 600 {folder}/nowhere"),
        ("{file: open}", "url: {folder}/open holds a secret and is open to others (mode 0644)", "chmod 600 {folder}/open"),
        ("{file: empty}", "url: is empty", "put in the secret alone, on one line"),
        ("{file: .}", "url: {folder} is not a plain file", None),
        (
            "{credential: x}",
            "url: is a credential, and systemd has handed none to this run",
            "LoadCredential= in the service hands it over",
        ),
        ("{command: [nowhere]}", "url: the command: 'nowhere' cannot be started: No such file or directory", "give a program and its"),
        (
            "{command: ['false']}",
            "url: the command: 'false' failed with exit code 1",
            "what it complains about is not shown; run it by hand",
        ),
        ("{command: ['true']}", "url: the command: is empty", "put in the secret alone, on one line"),
    ],
)
def test_what_is_wrong_with_a_secret_is_told_with_the_receiver_and_the_key(
    tmp_path: Path, source: str, message: str, hint: str | None
) -> None:
    write(tmp_path, "x", name="open", mode=0o644)
    write(tmp_path, " \n", name="empty")
    with pytest.raises(ConfigError) as caught:
        one(tmp_path, f"{{type: slack, url: {source}}}", topic="t", placeholder="change-me", two="a\nb")

    assert caught.value.message == f"receiver it: {message.format(folder=tmp_path)}"
    assert (caught.value.hint or "").startswith((hint or "").format(folder=tmp_path))


def test_a_command_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"the command: 'sleep' did not end within 0.05 s"):
        Secrets(tmp_path, {}, {}, 0.05).fetch(SecretSource(command=("sleep", "60")))


def test_templates_have_the_names_rules_call_them_by(tmp_path: Path) -> None:
    (template,) = templates_of(section_of(tmp_path, "alert: {templates: {terse: {subject: S}}}\n")).values()
    assert (template.name, template.subject, template.text) == ("terse", "S", None)


ENTRIES = {
    "webhook": "{type: webhook, url: URL, signing_keys: [KEY], user: me, password: ANY, headers: {X-Key: ANY}}",
    "webhook-token": "{type: webhook, url: URL, token: ANY}",
    "smtp": "{type: smtp, host: mail.lan, from: a@b.c, to: d@e.f, user: u, password: ANY}",
    "sendmail": "{type: sendmail}",
    "alertmanager": "{type: alertmanager, url: URL, user: me, password: ANY, headers: {X-Key: ANY}}",
    "alertmanager-token": "{type: alertmanager, url: URL, token: ANY}",
    "ntfy": "{type: ntfy, topic: ANY, user: me, password: ANY}",
    "ntfy-token": "{type: ntfy, topic: ANY, token: ANY}",
    "slack": "{type: slack, url: URL}",
    "discord": "{type: discord, url: URL}",
    "telegram": "{type: telegram, token: BOT, chat: 1}",
    "teams": "{type: teams, url: URL}",
    "pagerduty": "{type: pagerduty, key: ANY}",
    "apprise": "{type: apprise, url: URL}",
    "healthchecks": "{type: healthchecks, url: URL}",
    "uptime-kuma": "{type: uptime-kuma, url: URL}",
}
"""Each kind of receiver with a secret in every key that takes one; the words stand for a secret of that form."""
FORMS = {"URL": URL, "KEY": KEY, "BOT": BOT, "ANY": CANARY}


def test_the_canary_sits_in_every_key_that_takes_a_secret(tmp_path: Path) -> None:
    section = _canaries(tmp_path, {word: f"{{secret: {word}}}" for word in FORMS})
    sat = {(entry.__struct_config__.tag, _key(path)) for path, entry in _places(section)}
    heart = section.heartbeat
    assert heart is not None
    assert sat == {(kind.__struct_config__.tag, key) for kind in get_args(ReceiverEntry) for key in _secret_keys(kind)}
    assert _secret_keys(HeartbeatEntry) == {"url"}


def _places(section: Alert) -> Iterator[tuple[str, Any]]:
    for path, _ in sources_of(section):
        if path.startswith("receivers."):
            yield path, section.receivers[path.split(".")[1]]


def _key(path: str) -> str:
    return path.split(".")[2].partition("[")[0]


def _secret_keys(kind: type[Struct]) -> set[str]:
    return {info.encode_name for info in fields(kind) if SecretSource in _types(info.type)}


def _types(of: Any) -> set[Any]:
    return {of} | {each for part in get_args(of) if not isinstance(part, str) for each in _types(part)}


def _canaries(folder: Path, given: Mapping[str, str], heart: str = "healthchecks") -> Alert:
    """A section with every kind of receiver, its secrets given as `given` has it for each form."""
    lines = []
    for name, entry in ENTRIES.items():
        text = entry
        for word, source in given.items():
            text = text.replace(f" {word}", f" {source}").replace(f"[{word}", f"[{source}")
        if name not in ("healthchecks", "uptime-kuma"):
            lines.append(f"    {name}: {text}")
        elif name == heart:
            lines.append(f"  heartbeat: {text}")
    return section_of(folder, "alert:\n  receivers:\n" + "\n".join(lines) + "\n")


def _said(error: BaseException) -> str:
    """All that a message, a log or a traceback could show of it."""
    chain: list[BaseException] = []
    at: BaseException | None = error
    while at is not None:
        chain.append(at)
        at = at.__cause__ or at.__context__
    words = [f"{each!s} {each!r} {each.args!r} {getattr(each, 'hint', '')} {getattr(each, 'subject', '')}" for each in chain]
    return "\n".join([*words, *traceback.format_exception(error)])


def _survey_said(found: Survey) -> str:
    return "\n".join([*(f"{one} {one.hint}" for one in found.problems), *map(_said, found.faults), *map(str, found.remarks)])


BAD = {
    "not-there": "{secret: " + CANARY + "}",
    "missing-file": "{file: WORD.missing}",
    "open-file": "{file: WORD.open}",
    "malformed": "{file: WORD.malformed}",
    "two-lines": "{file: WORD.lines}",
    "header": "{file: WORD.header}",
    "no-credential": "{credential: " + CANARY + "}",
    "failing-command": "{command: [sh, -c, 'cat WORD.open >&2; exit 3', " + CANARY + "]}",
    "loud-command": "{command: [sh, -c, 'cat WORD.open; echo; cat WORD.open; cat WORD.open >&2', " + CANARY + "]}",
    "flooding-command": "{command: [sh, -c, 'yes " + CANARY + "']}",
}


@pytest.mark.parametrize("how", BAD)
def test_s33_whatever_is_wrong_with_a_secret_nobody_sees_it(tmp_path: Path, capfd: pytest.CaptureFixture[str], how: str) -> None:
    for word, secret in FORMS.items():
        write(tmp_path, secret, name=f"{word}.open", mode=0o644)
        write(tmp_path, f"{secret}\x7f", name=f"{word}.malformed")
        write(tmp_path, f"{secret}\n{secret}", name=f"{word}.lines")
        write(tmp_path, f"{secret}\r\nX-Evil: {secret}", name=f"{word}.header")
    write(tmp_path, GOOD + "secrets: {other: x}\n")
    heart = "uptime-kuma" if "command" in how else "healthchecks"
    section = _canaries(tmp_path, {word: BAD[how].replace("WORD", word) for word in FORMS}, heart)
    source = secrets(tmp_path, other="x")

    told = []
    for name in section.receivers:
        if name != "sendmail":
            with pytest.raises(ConfigError, match=f"^receiver {name}: ") as caught:
                receiver_of(name, section, source)
            told.append(_said(caught.value))
    with pytest.raises(ConfigError, match=r"^heartbeat: url: ") as caught:
        heart_of(section, source)
    told.append(_said(caught.value))
    found = survey(tmp_path, {})
    told += [repr(source), _survey_said(found), repr(rules_of(section, "lab"))]
    told += capfd.readouterr()

    assert CANARY not in "\n".join(told)
    if how in ("not-there", "missing-file", "open-file", "malformed", "two-lines", "header"):
        assert len(found.problems) + len(found.faults) >= len(FORMS)
    else:
        assert (found.problems, found.faults) == ((), ())


WRONG_FORMS = {
    "URL": [
        f"hptt://{CANARY}",
        f"https://me:{CANARY}@x.lan/",
        f"https://x.lan/{CANARY} y",
        f"https://x.lan/#{CANARY}",
        f"http://{CANARY}/",
    ],
    "KEY": [f"whsec_{CANARY}", CANARY],
    "BOT": [CANARY, f"bot{BOT}"],
    "ANY": [f"{CANARY}\N{LATIN SMALL LETTER U WITH DIAERESIS}"],
}


@pytest.mark.parametrize(("word", "secret"), [(word, secret) for word, wrong in WRONG_FORMS.items() for secret in wrong])
def test_s33_a_secret_of_the_wrong_form_is_told_without_it(tmp_path: Path, word: str, secret: str) -> None:
    section = _canaries(tmp_path, {each: f"{{secret: {each}}}" for each in FORMS})
    named = {**FORMS, word: secret}
    source = secrets(tmp_path, {}, **named)
    write(tmp_path, GOOD + "secrets:\n" + "".join(f"  {name}: '{value}'\n" for name, value in named.items()))

    told = [_survey_said(survey(tmp_path, {}))]
    refused = 0
    for name in section.receivers:
        try:
            told.append(repr(receiver_of(name, section, source)))
        except ConfigError as error:
            refused += 1
            told.append(_said(error))

    assert refused
    assert CANARY not in "\n".join(told)


def test_s33_receivers_in_order_do_not_show_their_secrets_either(tmp_path: Path) -> None:
    section = _canaries(tmp_path, {word: f"{{secret: {word}}}" for word in FORMS})
    source = secrets(tmp_path, {}, **FORMS)

    shown = [f"{receiver_of(name, section, source)!r} {receiver_of(name, section, source)!s}" for name in section.receivers]

    assert CANARY not in "".join([*shown, repr(heart_of(section, source)), repr(source)])


def test_s33_config_show_names_where_secrets_come_from_and_hides_them_and_what_programs_are_told(tmp_path: Path) -> None:
    write(tmp_path, GOOD + f"secrets: {{topic: {CANARY}}}\n")
    section_of(tmp_path, "alert: {receivers: {a: {type: ntfy, topic: {secret: topic}, token: {command: [pass, show, " + CANARY + "]}}}}\n")

    report = effective(tmp_path, load_connections(tmp_path), load_jobs(tmp_path), wanted=None)

    data: Any = report.data
    assert CANARY not in f"{report.text}{data}"
    assert data["secrets"] == {"topic": "***"}
    shown = data["jobs"]["alert"]["receivers"]["a"]
    assert (shown["type"], shown["topic"], shown["token"]) == ("ntfy", {"secret": "topic"}, {"command": ["pass", "***", "***"]})


def test_check_looks_at_every_secret_it_can_and_starts_no_program(tmp_path: Path) -> None:
    write(tmp_path, GOOD + f"secrets: {{bot: {BOT}, mispelt: x}}\n")
    write(tmp_path, "x", name="open.txt", mode=0o640)
    section_of(
        tmp_path,
        f"""\
alert:
  receivers:
    good: {{type: telegram, token: {{secret: bot}}, chat: 1}}
    gone: {{type: slack, url: {{file: gone.txt}}}}
    named: {{type: slack, url: {{secret: misspelt}}}}
    open: {{type: ntfy, topic: {{file: open.txt}}, token: {{file: open.txt}}}}
    form: {{type: slack, url: {{secret: bot}}}}
    ca: {{type: ntfy, topic: {{secret: bot}}, tls: {{ca_file: ca.pem}}}}
    asked: {{type: slack, url: {{command: [touch, {tmp_path}/started]}}}}
    systemd: {{type: slack, url: {{credential: hook}}}}
""",
    )

    found = survey(tmp_path, {})

    assert [(one.line, one.column, one.path, one.message) for one in found.problems] == [
        (4, 30, "alert.receivers.gone.url", f"there is no file {tmp_path}/gone.txt"),
        (5, 31, "alert.receivers.named.url", "there is no secret of this name in proxmox.yml"),
        (7, 11, "alert.receivers.form", "the URL is not one"),
        (8, 59, "alert.receivers.ca.tls.ca_file", f"there is no file {tmp_path}/ca.pem"),
    ]
    assert [one.hint for one in found.problems][1] == "did you mean mispelt?"
    assert [fault.message for fault in found.faults] == [f"{tmp_path}/open.txt holds a secret and is open to others (mode 0640)"]
    assert not (tmp_path / "started").exists()


def test_check_looks_at_credentials_where_systemd_handed_some_over(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    section_of(tmp_path, "alert: {receivers: {a: {type: slack, url: {credential: hook}}}}\n")

    (problem,) = survey(tmp_path, {"CREDENTIALS_DIRECTORY": str(credentials)}).problems

    assert problem.message == "systemd has handed no credential of this name to this run"


def test_check_refuses_a_ca_file_that_is_none_or_that_others_can_change(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    write(tmp_path, "hello", name="ca.pem")
    section_of(tmp_path, "alert: {receivers: {a: {type: slack, url: {command: [x]}, tls: {ca_file: ca.pem}}}}\n")
    assert [one.message for one in survey(tmp_path, {}).problems] == [f"{tmp_path}/ca.pem holds no certificate in PEM form"]
    (tmp_path / "ca.pem").chmod(0o666)
    found = survey(tmp_path, {})
    assert ([one.message for one in found.faults], found.problems) == ([f"{tmp_path}/ca.pem can be changed by others (mode 0666)"], ())


def test_a_receiver_whose_ca_file_cannot_be_used_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^receiver it: tls.ca_file: there is no file .*/ca.pem$"):
        one(tmp_path, "{type: slack, url: {secret: u}, tls: {ca_file: ca.pem}}", u=URL)


@pytest.mark.slow
def test_a_template_that_is_none_is_told_at_its_place(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    section_of(
        tmp_path,
        "alert:\n  receivers: {a: {type: sendmail}}\n  templates:\n    good: {subject: '{{ subject }}'}\n    bad: {text: '{% if %}'}\n",
    )
    assert [(one.line, one.path) for one in survey(tmp_path, {}).problems] == [(5, "alert.templates.bad")]


def test_a_secret_nobody_uses_is_remarked_at_its_place(tmp_path: Path) -> None:
    write(tmp_path, GOOD + "secrets:\n  used: https://x.lan/y\n  left: z\n")
    section_of(tmp_path, "alert: {receivers: {a: {type: slack, url: {secret: used}}}}\n")
    (remark,) = survey(tmp_path, {}).remarks
    assert (Path(remark.file).name, remark.line, remark.path, remark.message) == (
        "proxmox.yml",
        8,
        "secrets.left",
        "is used by no receiver",
    )


def test_apprise_that_is_not_installed_is_remarked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, GOOD + "secrets: {u: 'json://x'}\n")
    section_of(tmp_path, "alert: {receivers: {a: {type: apprise, url: {secret: u}}}}\n")
    monkeypatch.setattr("pvectl.config.remarks.find_spec", lambda _name: None)
    assert [(one.path, one.message) for one in survey(tmp_path, {}).remarks] == [
        ("alert.receivers.a.type", "needs Apprise, which is not installed")
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_secret_in_a_file_of_somebody_else_is_not_believed(tmp_path: Path) -> None:
    write(tmp_path, "topic", name="topic.txt")
    os.chown(tmp_path / "topic.txt", 12345, 12345)
    with pytest.raises(ConfigError, match=r"receiver it: url: .*topic.txt belongs to another user \(uid 12345\)"):
        one(tmp_path, "{type: slack, url: {file: topic.txt}}")


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("alert: {interval: 5m}", "alert.receivers", "names nobody, so nobody is told"),
        (
            "alert: {receivers: {a: {type: sendmail}}, repeat: {critical: 1m, warning: 0}}",
            "alert.repeat.critical",
            "is shorter than the 5m between two runs, so that every run tells it again",
        ),
        (
            "alert: {interval: 10m, receivers: {a: {type: sendmail}}, rules: [{repeat: 9m}]}",
            "alert.rules[0].repeat",
            "is shorter than the 10m between two runs, so that every run tells it again",
        ),
        (
            "alert: {receivers: {a: {type: sendmail}}, rules: [{name: all}, {checks: backup.*}]}",
            "alert.rules[1]",
            "is never used: the rule all stands before it and fits all that it fits",
        ),
        (
            "alert: {receivers: {a: {type: sendmail}}, rules: [{tag: x}, {tag: x, checks: node.cpu, severity: critical}]}",
            "alert.rules[1]",
            "is never used: rules[0] stands before it and fits all that it fits",
        ),
        (
            "alert: {receivers: {a: {type: sendmail}}, rules: [{object: '*'}, {object: guest/1}]}",
            "alert.rules[1]",
            "is never used: rules[0] stands before it and fits all that it fits",
        ),
        ("alert: {receivers: {a: {type: sendmail}}, rules: [{object: '100'}]}", "alert.rules[0].object", "fits no object that a check"),
        ("alert: {receivers: {a: {type: sendmail}}, rules: [{object: nodes/pve1}]}", "alert.rules[0].object", "fits no object that a"),
    ],
)
def test_what_is_in_order_and_yet_probably_not_meant_is_remarked(tmp_path: Path, text: str, path: str, message: str) -> None:
    write(tmp_path, GOOD)
    section_of(tmp_path, text + "\n")

    (remark,) = survey(tmp_path, {}).remarks

    assert (remark.path, remark.message[: len(message)]) == (path, message)


@pytest.mark.parametrize(
    "text",
    [
        "alert: {enabled: false}",
        "alert: {receivers: {a: {type: sendmail}}, repeat: {critical: 5m, unknown: 0}, rules: [{pool: x, repeat: 0}]}",
        "alert: {receivers: {a: {type: sendmail}}, rules: [{checks: node.*, severity: critical}, {checks: node.*}, {pool: '*'}]}",
        "alert: {receivers: {a: {type: sendmail}}, rules: [{object: guest/1*}, {object: '?a/*'}, {object: thin-pool/*}, {object: api}]}",
    ],
)
def test_what_is_meant_is_not_remarked(tmp_path: Path, text: str) -> None:
    write(tmp_path, GOOD)
    section_of(tmp_path, text + "\n")
    assert survey(tmp_path, {}).remarks == ()
