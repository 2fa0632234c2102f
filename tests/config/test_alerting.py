"""`alert:` in pvectl.yml: every key means what it says, every name in it means something, and no secret stands in it."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pvectl.config import addresses
from pvectl.config.load import ConfigProblems, load_connections, load_jobs
from pvectl.config.places import example_text
from pvectl.config.problems import Misspelt
from pvectl.config.receivers import limits_of, mirrors_of, noticed_of, rules_of
from pvectl.config.schema import FILES, Alert, json_schema
from pvectl.config.survey import Survey, survey
from pvectl.core.alerts.outbox import Limit
from pvectl.core.alerts.rules import Repeat, Rule, Rules
from pvectl.core.secret import Secret
from pvectl.errors import UnsafeFile
from pvectl.notify.endpoint import Endpoint
from pvectl.notify.letter import checked_mailbox
from pvectl.notify.sendmail import Sendmail
from pvectl.notify.smtp import Smtp
from pvectl.notify.templates import VARIABLES
from tests.config.folders import GOOD, hints, told, write

PHONE = "    phone: {type: ntfy, topic: {secret: ntfy-topic}}\n"
MIRROR = "    mirror: {type: alertmanager, url: 'http://127.0.0.1:9093'}\n"


def alert(folder: Path, text: str) -> Alert:
    return load_jobs(write(folder, text, name="pvectl.yml")).alert


@cache
def validator() -> Any:
    return jsonschema.Draft202012Validator(json_schema(FILES["pvectl"]))


def refused(folder: Path, text: str) -> ConfigProblems:
    with pytest.raises(ConfigProblems) as caught:
        alert(folder, text)
    return caught.value


def surveyed(folder: Path, text: str, connections: str = GOOD) -> Survey:
    write(folder, connections)
    write(folder, text, name="pvectl.yml")
    return survey(folder, {})


def uncommented(text: str) -> str:
    """The example with the lines of its alert section that are commented out, and without those that stand for their being left out."""
    section = text.partition("\nalert:\n")[2].partition("\ntags:\n")[0]
    lines = [line for line in section.splitlines() if not re.match(r"  (?:receivers|rules|templates): (?:\{\}|\[\])", line)]
    keys = re.compile(r"^(  )# (  +\S|(?:receivers|rules|templates|heartbeat|tz):)")
    prose = re.compile(r"^  #   \{(?:secret|file|credential|command): \S")
    shown = [keys.sub(r"\1\2", line) for line in lines if not prose.match(line)]
    return "alert:\n" + "\n".join(re.sub(r"^(\s+)# (token: )", r"\1\2", line) for line in shown) + "\n"


def test_with_one_receiver_and_nothing_else_everything_goes_there(tmp_path: Path) -> None:
    section = alert(tmp_path, f"alert:\n  receivers:\n{PHONE}")

    assert rules_of(section, "lab") == Rules(cluster="lab", receivers=("phone",), keep_firing_for=600)
    assert limits_of(section) == {"phone": Limit()}
    assert noticed_of(section) == ("phone",)
    assert mirrors_of(section) == ()


def test_without_the_section_nobody_is_told_and_everything_else_is_as_the_alerts_have_it(tmp_path: Path) -> None:
    section = alert(tmp_path, "tags: {}\n")

    assert section == Alert()
    assert rules_of(section, "lab") == Rules(cluster="lab", keep_firing_for=600)


def test_an_alertmanager_mirrors_and_gets_no_messages(tmp_path: Path) -> None:
    section = alert(tmp_path, f"alert:\n  receivers:\n{PHONE}{MIRROR}")

    assert rules_of(section, "lab").receivers == ("phone",)
    assert (mirrors_of(section), noticed_of(section), list(limits_of(section))) == (("mirror",), ("phone",), ["phone"])


def test_rules_and_times_reach_the_alerts_as_they_were_written(tmp_path: Path) -> None:
    text = f"""
alert:
  interval: 10m
  receivers:
{PHONE}    mail: {{type: sendmail, per_hour: 60, burst: 20}}
  rules:
    - name: backups
      checks: backup.*
      receivers: mail
      for: 1h
      keep_firing_for: 10m
      repeat: 0
      template: terse
    - {{object: "guest/1??", tag: lab, pool: "sand*", node: pve3, severity: critical, receivers: []}}
  repeat: {{critical: 1h, warning: 2d, unknown: 0}}
  keep_firing_for: 7m
  unknown_for: 20m
  mute_tag: quiet
  notices: [mail]
  templates: {{terse: {{subject: "{{{{ subject }}}}"}}}}
"""
    section = alert(tmp_path, text)

    assert rules_of(section, "lab") == Rules(
        cluster="lab",
        receivers=("phone", "mail"),
        rules=(
            Rule(name="backups", checks=("backup.*",), receivers=("mail",), hold=3600, keep_firing_for=600, repeat=0, template="terse"),
            Rule(object="guest/1??", tag="lab", pool="sand*", node="pve3", severity="critical", receivers=()),
        ),
        repeat=Repeat(critical=3600, warning=172_800, unknown=0),
        keep_firing_for=420,
        unknown_for=1200,
        max_gap=1800,
        mute_tag="quiet",
    )
    assert limits_of(section)["mail"] == Limit(per_hour=60, burst=20)
    assert noticed_of(section) == ("mail",)


def test_nobody_gets_notices_when_the_list_is_empty(tmp_path: Path) -> None:
    assert noticed_of(alert(tmp_path, f"alert:\n  receivers:\n{PHONE}  notices: []\n")) == ()


@pytest.mark.parametrize(
    ("interval", "gap"), [("1m", 300), ("5m", 900), ("1h", 10_800)], ids=["never-less-than-5m", "three-of-them", "long"]
)
def test_evidence_is_continuous_over_three_of_the_usual_intervals(tmp_path: Path, interval: str, gap: int) -> None:
    assert rules_of(alert(tmp_path, f"alert: {{interval: {interval}}}\n"), "lab").max_gap == gap


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("{type: ntfy}", "lacks topic", "for example topic: {secret: NAME}"),
        ("{type: ntfy, topc: {secret: a}}", "unknown key", "did you mean topic?"),
        ("{tpye: ntfy}", "lacks type", "did you mean type?"),
        ("{type: }", "lacks type", "type is one of webhook, smtp, sendmail, ntfy, slack, discord, telegram, teams, pagerduty,"),
        ("{type: [ntfy]}", "expected a word, got a list", "type is one of"),
        ("{type: slak, url: {secret: a}}", "there is no type 'slak'", "did you mean slack? type is one of"),
        ("{type: pigeon}", "there is no type 'pigeon'", "type is one of"),
        ("https://example.org", "expected a map, got text", "write {type: ..., ...}; type is one of"),
        ("{type: smtp, host: 'mail:25', from: a@b.c, to: a@b.c}", "'mail:25' has a port in it", "write host: mail and port: 25"),
        ("{type: smtp, host: m, to: a@b.c}", "lacks from", "for example from: pvectl@example.org"),
        ("{type: smtp, host: m, from: root, to: a@b.c}", "'root' has no domain", "write name@example.org;"),
        ("{type: smtp, host: m, from: 'A <a@b.c>', to: a@b.c}", "'A <a@b.c>' is not a mail address", "write name@example.org,"),
        ("{type: smtp, host: m, from: a@b.c, to: [a@b.c, a@b.c]}", "'a@b.c' stands there twice", "take one of them out"),
        ("{type: smtp, host: m, from: a@b.c, to: []}", "is an empty list", "give at least one"),
        ("{type: smtp, host: m, from: a@b.c, to: a@b.c, user: u}", "needs password beside it", "a user and a password go together"),
        ("{type: smtp, host: m, from: a@b.c, to: a@b.c, user: ü, password: {secret: a}}", "has letters a mail server does not take", ""),
        (
            "{type: smtp, host: m, from: a@b.c, to: a@b.c, user: u, password: {secret: a}, security: plain}",
            "would be sent in the clear",
            "write security: starttls or tls",
        ),
        ("{type: smtp, host: m, from: a@b.c, to: a@b.c, security: plain, tls: {ca_file: x}}", "means nothing without encryption", ""),
        ("{type: smtp, host: m, from: a@b.c, to: a@b.c, port: 70000}", "expected a number from 1 to 65535, got 70000", ""),
        ("{type: sendmail, program: sendmail}", "'sendmail' is not the whole path of a program", "write it from the root:"),
        ("{type: sendmail, per_hour: 0}", "expected a number from 1 to 3600, got 0", ""),
        ("{type: sendmail, burst: 101}", "expected a number from 1 to 100, got 101", ""),
        ("{type: sendmail, timeout: 1h}", "expected at most 2m, got '1h'", ""),
        ("{type: webhook, url: {secret: a}, body: xml}", "expected one of alertmanager, cloudevents, raw, got 'xml'", ""),
        ("{type: webhook, url: {secret: a}, headers: {Authorization: {secret: b}}}", "the header Authorization is set by pvectl", ""),
        ("{type: webhook, url: {secret: a}, headers: {'a b': {secret: b}}}", "a header's name is made of letters, digits and dashes", ""),
        ("{type: webhook, url: {secret: a}, headers: {x-a: {secret: b}, X-A: {secret: b}}}", "the header X-A stands there twice", ""),
        (
            "{type: webhook, url: {secret: a}, token: {secret: a}, user: b, password: {secret: c}}",
            "stands beside user, and only one can be meant",
            "take token or user out",
        ),
        ("{type: webhook, url: {secret: a}, tls: {ca_file: a, fingerprints: [" + "ab" * 32 + "]}}", "stands beside ca_file, and only", ""),
        ("{type: telegram, token: {secret: a}, chat: my chat}", "expected a chat's number or @channel", "write -1001234567890,"),
        ("{type: alertmanager, url: 'http://am.lan:9093'}", "is not encrypted", "write https://, or allow_http: true;"),
        ("{type: alertmanager, url: 'https://me:pw@am.lan'}", "has a user or a password in it", "give them as user and password"),
        ("{type: alertmanager, url: 'https://am.lan/?key=1'}", "has more than a name and a path", "take out what stands behind"),
        ("{type: alertmanager, url: 'am.lan'}", "is not a web address", "write https://name,"),
        ("{type: alertmanager, url: 'https://[::1'}", "is not a web address", "write https://name,"),
        ("{type: alertmanager, url: 'https://am.lan', per_hour: 3}", "unknown key", "an Alertmanager gets everything that fires"),
        ("{type: ntfy, topic: {secret: a}, server: 'http://ntfy.lan'}", "is not encrypted", "write https://, or allow_http: true;"),
        ("{type: slack, url: {secret: a}, channel: x}", "unknown key", "an incoming webhook has its channel already"),
    ],
)
def test_what_is_wrong_with_a_receiver_is_told_at_its_place(tmp_path: Path, text: str, message: str, hint: str) -> None:
    problem = refused(tmp_path, f"alert:\n  receivers:\n    phone: {text}\n").problems[0]

    assert problem.message.startswith(message)
    assert (problem.hint or "").startswith(hint)
    assert problem.path.startswith("alert.receivers.phone")
    assert problem.line == 3


@pytest.mark.parametrize("name", ["my phone", "8phone", "a.b", "p" * 33, "https", "9f8e7d6c-5b4a-3c2d-1e0f-a1b2c3d4e5f6"])
def test_the_name_of_a_receiver_is_a_short_word(tmp_path: Path, name: str) -> None:
    if name == "https":
        assert list(alert(tmp_path, "alert: {receivers: {https: {type: sendmail}}}").receivers) == ["https"]
        return
    problem = refused(tmp_path, f"alert:\n  receivers:\n    {name}: {{type: sendmail}}\n").problems[0]
    assert (problem.line, problem.column, problem.path) == (3, 5, "alert.receivers")
    assert "choose a short word" in (problem.hint or "")
    assert name not in str(problem) + str(problem.hint)


@pytest.mark.parametrize(
    "text",
    ["https://hooks.example.org/T0/B1/canary", "'canary canary'", "{secret: 'https://canary'}", "{credential: 'canary/x'}"],
)
def test_a_secret_that_stands_in_the_file_is_refused_with_the_four_ways_and_never_shown(tmp_path: Path, text: str) -> None:
    error = refused(tmp_path, f"alert:\n  receivers:\n    chat: {{type: slack, url: {text}}}\n")

    (problem,) = error.problems
    assert "canary" not in str(problem) + str(problem.hint) + str(error) + repr(error)
    assert "secrets: in proxmox.yml" in (problem.hint or "")


def test_a_plain_secret_says_all_four_ways(tmp_path: Path) -> None:
    error = refused(tmp_path, "alert:\n  receivers:\n    chat: {type: slack, url: canary}\n")

    assert told(error) == [(3, 30, "alert.receivers.chat.url", "a secret does not stand in this file, which others may read")]
    assert error.hint == (
        "write {secret: NAME} and put it under secrets: in proxmox.yml; or {file: PATH}, {credential: NAME}, {command: [...]}"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "says nothing"),
        ("{secret: a, file: b}", "stands beside secret, and only one can be meant"),
        ("{file: 'https://canary'}", "is not the path of a file"),
        ("{file: ' '}", "is not the path of a file"),
        ("{command: pass show}", "expected a list, got text"),
        ("{command: []}", "says nothing"),
        ("{sercet: a}", "unknown key"),
        ("{path: a}", "unknown key"),
        ("{canary}", "a key stands here that is not known"),
        ("[a]", "a secret does not stand in this file, which others may read"),
    ],
)
def test_a_secret_comes_from_exactly_one_place(tmp_path: Path, text: str, message: str) -> None:
    problem = refused(tmp_path, f"alert:\n  receivers:\n    chat: {{type: slack, url: {text}}}\n").problems[0]

    assert problem.message == message
    assert "canary" not in str(problem)


def test_the_names_in_rules_and_notices_mean_something(tmp_path: Path) -> None:
    error = refused(
        tmp_path,
        f"""\
alert:
  receivers:
{PHONE}{MIRROR}
  rules:
    - {{name: a, checks: [bakup.age, "*"], receivers: [phnoe]}}
    - {{name: a, template: tersse, receivers: [mirror, phone, phone]}}
    - {{checks: ["disk.*", "zfx.*"]}}
  notices: [phone, admins]
  templates: {{terse: {{subject: x}}, empty: {{}}}}
""",
    )

    assert told(error) == [
        (7, 26, "alert.rules[0].checks[0]", "there is no check 'bakup.age'"),
        (7, 55, "alert.rules[0].receivers[0]", "there is no receiver 'phnoe'"),
        (8, 14, "alert.rules[1].name", "a rule 'a' stands there already"),
        (8, 27, "alert.rules[1].template", "there is no template 'tersse'"),
        (8, 47, "alert.rules[1].receivers[0]", "mirror is an Alertmanager, which gets everything that fires in every run"),
        (8, 62, "alert.rules[1].receivers[2]", "'phone' stands there twice"),
        (9, 27, "alert.rules[2].checks[1]", "there is no check 'zfx.*'"),
        (10, 20, "alert.notices[1]", "there is no receiver 'admins'"),
        (11, 43, "alert.templates.empty", "says nothing"),
    ]
    assert hints(error.problems)[:4] == [
        "did you mean backup.age?",
        "did you mean phone?",
        "give each rule its own name",
        "did you mean terse?",
    ]


def test_names_are_looked_up_although_something_else_is_wrong_with_what_they_name(tmp_path: Path) -> None:
    error = refused(
        tmp_path,
        """\
alert:
  receivers:
    phone: {type: ntfy}
    mail: {type: sendmail}
  rules:
    - {receivers: [phone, mial]}
    - {receivers: [mail], for: soon}
""",
    )

    assert [(one.path, one.message) for one in error.problems] == [
        ("alert.receivers.phone", "lacks topic"),
        ("alert.rules[0].receivers[1]", "there is no receiver 'mial'"),
        ("alert.rules[1].for", "expected a duration such as 90s, 30m, 2h or 1d (a plain number is seconds), got 'soon'"),
    ]


@pytest.mark.parametrize(
    ("text", "path", "message", "hint"),
    [
        (
            "receivers: [{name: phone}], rules: [{receivers: [x]}]",
            "alert.receivers",
            "expected a map of names, got a list",
            "write each under",
        ),
        ("rules: {checks: node.cpu}", "alert.rules", "expected a list, got a map", "write a dash before each of them: - {...}"),
        ("templates: {'my own': {text: x}}", "alert.templates", "a template's name begins with a letter", "choose a short word"),
        ("templates: terse, rules: [{template: terse}]", "alert.templates", "expected a map of names, got text", ""),
        ("notices: {a: b}", "alert.notices", "expected a list, got a map", ""),
        (
            "heartbeat: {type: healthcheck, url: {secret: a}}",
            "alert.heartbeat.type",
            "expected one of healthchecks, uptime-kuma",
            "did you",
        ),
        ("heartbeat: {type: healthchecks}", "alert.heartbeat", "lacks url", "for example url: {secret: NAME}"),
        ("interval: 2h", "alert.interval", "expected at most 1h, got '2h'", ""),
        ("tz: Mars/Olympus", "alert.tz", "", ""),
        ("mute_tag: Quiet", "alert.mute_tag", "the tag 'Quiet' has capitals", "write quiet"),
        ("rules: [{severity: info}]", "alert.rules[0].severity", "expected one of warning, critical, got 'info'", ""),
        ("rules: [{checks: []}]", "alert.rules[0].checks", "is an empty list", "give at least one"),
        ("rules: [{match: {tag: x}}]", "alert.rules[0].match", "unknown key", "the keys of a match stand in the rule itself"),
        ("route: {}", "alert.route", "unknown key", "did you mean rules? the first that fits wins"),
    ],
)
def test_what_is_wrong_elsewhere_in_the_section_is_told_at_its_place(tmp_path: Path, text: str, path: str, message: str, hint: str) -> None:
    (problem,) = refused(tmp_path, f"alert: {{{text}}}\n").problems

    assert (problem.path, problem.message[: len(message)], (problem.hint or "")[: len(hint)]) == (path, message, hint)


def test_a_rule_that_names_a_receiver_where_there_are_none_says_where_they_go(tmp_path: Path) -> None:
    error = refused(tmp_path, "alert: {rules: [{receivers: [phone], template: x}]}\n")

    assert hints(error.problems) == ["write it under receivers:", "write it under templates:"]


def test_the_example_uncommented_has_every_kind_of_receiver_and_loads(tmp_path: Path) -> None:
    section = alert(tmp_path, uncommented(example_text("pvectl.example.yml")))

    kinds = {str(entry.__struct_config__.tag) for entry in section.receivers.values()}
    assert kinds == {"ntfy", "smtp", "sendmail", "webhook", "slack", "telegram", "pagerduty", "apprise", "alertmanager"}
    assert [rule.name for rule in section.rules] == ["backups", "lab"]
    assert (section.tz, list(section.templates)) == ("Europe/Berlin", ["terse"])
    assert section.heartbeat is not None


def test_the_example_uncommented_satisfies_the_json_schema() -> None:
    validator().validate(yaml.safe_load(uncommented(example_text("pvectl.example.yml"))))


@pytest.mark.parametrize(
    "text",
    [
        "receivers: {a: {type: slack, url: plain}}",
        "receivers: {a: {type: slack, url: {secret: a, file: b}}}",
        "receivers: {a: {type: slack, url: {}}}",
        "receivers: {a: {type: pigeon}}",
        "receivers: {a: {type: ntfy}}",
        "rules: [{checks: 3}]",
        "rules: [{for: [1]}]",
    ],
)
def test_what_the_json_schema_refuses_the_loader_refuses_too(tmp_path: Path, text: str) -> None:
    document = f"alert: {{{text}}}\n"
    with pytest.raises(jsonschema.ValidationError):
        validator().validate(yaml.safe_load(document))
    refused(tmp_path, document)


@pytest.mark.parametrize(
    "text", ["rules: [{checks: backup.*, for: 10m, repeat: 3600, receivers: phone}]", "notices: phone", "notices: null"]
)
def test_the_json_schema_takes_the_short_spellings_the_loader_takes(tmp_path: Path, text: str) -> None:
    document = f"alert: {{receivers: {{phone: {{type: sendmail, to: root}}}}, {text}}}\n"
    validator().validate(yaml.safe_load(document))
    alert(tmp_path, document)


def test_secrets_make_a_file_that_others_can_read_unsafe(tmp_path: Path) -> None:
    folder = write(tmp_path, GOOD.replace("token_value", "token_file") + "secrets:\n  ntfy-topic: canary\n", mode=0o644)
    with pytest.raises(UnsafeFile, match="holds secrets and is open to others") as caught:
        load_connections(folder)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("text", ["\nsecrets : {a: canary}", "\n'secrets': {a: canary}", "\nsecrets:\n  a: b\n  broken"])
def test_a_mistake_elsewhere_does_not_hide_that_secrets_are_open_to_others(tmp_path: Path, text: str) -> None:
    with pytest.raises(UnsafeFile):
        load_connections(write(tmp_path, f"clusters: 1{text}\n", mode=0o640))


def test_secrets_behind_an_escape_are_secrets_as_well(tmp_path: Path) -> None:
    with pytest.raises(UnsafeFile):
        load_connections(write(tmp_path, GOOD.replace("token_value", "token_file") + '"s\\x65crets": {a: canary}\n', mode=0o644))


@pytest.mark.parametrize("text", ["secrets: {}\n", "# secrets: {a: b}\n", "default_cluster: lab # secrets: none\n"])
def test_a_file_without_secrets_may_be_open_to_others(tmp_path: Path, text: str) -> None:
    harmless = GOOD.replace("token_value", "token_file").replace("pve1.lan", '"secrets:8006"')
    assert load_connections(write(tmp_path, harmless + text, mode=0o644)).secrets == {}


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("secrets: canary", "secrets", "expected a map of names, got text"),
        ("secrets: {a: }", "secrets.a", "is empty, expected a secret"),
        ("secrets: {a: 12345}", "secrets.a", "expected text, got something else"),
        ("secrets: {a: [canary]}", "secrets.a", "expected a secret, got a list"),
        ("secrets: {'the canary': x}", "secrets", "is not a secret's name"),
        ("secret: {a: canary}", "secret", "unknown key"),
    ],
)
def test_what_is_wrong_with_secrets_is_told_without_them(tmp_path: Path, text: str, where: str, message: str) -> None:
    with pytest.raises(ConfigProblems) as caught:
        load_connections(write(tmp_path, GOOD + text + "\n"))
    (problem,) = caught.value.problems
    assert (problem.path, problem.message) == (where, message)
    assert "canary" not in str(problem) + str(problem.hint)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "refuse"),
    [
        (addresses.mailbox, checked_mailbox),
        (addresses.mail_user, checked_mailbox),
        (addresses.mail_host, lambda host: Smtp(name="it", host=host, sender="a@b.c", recipients=("a@b.c",))),
        (addresses.header_name, lambda name: Endpoint(url=Secret("https://x.lan"), headers={name: Secret("x")})),
        (addresses.plain_url, lambda url: Endpoint(url=Secret(url), allow_http=True)),
        (addresses.program, lambda path: Sendmail(name="it", program=path)),
    ],
    ids=["mailbox", "mail-user", "mail-host", "header-name", "plain-url", "program"],
)
@given(
    text=st.text("aZ0.@-_:/[]?#!+ \\%\n\0ü", max_size=12) | st.from_regex(r"https?://[a-z0-9.@:\[\]-]{1,12}(/[a-z]*)?\n?", fullmatch=True)
)
@settings(max_examples=100, deadline=None)
def test_what_the_file_may_say_the_channels_take(form: Callable[[str], str], refuse: Callable[[str], object], text: str) -> None:
    try:
        accepted = form(text)
    except Misspelt:
        return
    refuse(accepted)


@pytest.mark.parametrize(
    ("given", "keep"), [("interval: 1m", 300), ("interval: 5m", 600), ("interval: 1h", 7200), ("interval: 1h, keep_firing_for: 0", 0)]
)
def test_it_has_to_be_fine_for_two_looks_at_least_unless_somebody_wants_it_otherwise(tmp_path: Path, given: str, keep: int) -> None:
    assert rules_of(alert(tmp_path, f"alert: {{{given}}}\n"), "lab").keep_firing_for == keep


def test_the_example_names_every_word_a_template_knows() -> None:
    comment = (Path(__file__).parents[2] / "config/pvectl.example.yml").read_text().partition("# there is:")[2].partition("# heartbeat:")[0]
    assert set(VARIABLES) <= set(re.findall(r"[a-z]+", comment))
