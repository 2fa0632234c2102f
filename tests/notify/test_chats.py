"""What chats and pagers are sent: within their limits, and nothing in it that they would take for more than text."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from pvectl.core.monitor.finding import Severity
from pvectl.core.secret import Secret
from pvectl.errors import ConfigError
from pvectl.notify import discord, ntfy, pagerduty, slack, teams, telegram
from pvectl.notify.deliver import Receiver, deliver
from pvectl.notify.message import Message
from pvectl.notify.result import Delivered, Retry
from tests.notify.listening import Listener, answering
from tests.notify.samples import CLOCK, digest, endpoint, message, resolved, soon

TOKEN = "123456:" + "A" * 35
NTFY = ntfy.Ntfy(name="phone", topic=Secret("alerts-x7"))
TELEGRAM = telegram.Telegram(name="chat", token=Secret(TOKEN), chat="-100123", thread=7)
PAGERDUTY = pagerduty.PagerDuty(name="pager", key=Secret("r" * 32))

Listen = Callable[..., Listener]


def sent(listen: Listen, told: Message, make: Callable[[Listener], Receiver]) -> tuple[Any, Listener]:
    listener = listen(answering("200 OK", '{"ok":true}', Content_Type="application/json"))
    assert isinstance(deliver(told, make(listener), deadline=soon(), clock=CLOCK), Delivered)
    return listener.only.json(), listener


def test_ntfy_publishes_json_with_priority_tags_and_link(listen: Listen) -> None:
    body, listener = sent(
        listen, message(), lambda at: ntfy.Ntfy(name="p", topic=Secret("alerts-x7"), endpoint=endpoint(at.url("/"), token=Secret("tk_1")))
    )
    assert body == {
        "topic": "alerts-x7",
        "title": "node pve3 is offline",
        "message": "pve3 has not answered for 12 minutes.\nIts 4 guests are not reachable.\n\nNode: pve3\nLast seen: 2026-11-22 11:18 CET"
        "\n\nhttps://pve1.lan:8006/#v1:0:=node%2Fpve3",
        "priority": 5,
        "tags": ["rotating_light"],
        "click": "https://pve1.lan:8006/#v1:0:=node%2Fpve3",
    }
    assert listener.only.headers["authorization"] == "Bearer tk_1"


@pytest.mark.parametrize(
    ("told", "priority"),
    [
        (message(), 5),
        (message(severity=Severity.WARNING), 4),
        (message(severity=Severity.UNKNOWN), 4),
        (message(severity=Severity.OK), 3),
        (resolved(), 3),
    ],
)
def test_how_loud_a_phone_gets(told: Message, priority: int) -> None:
    assert ntfy.body(told, NTFY)["priority"] == priority


def test_slack_gets_an_attachment_in_which_nothing_is_markup(listen: Listen) -> None:
    body, _ = sent(listen, message(subject="VM <!channel> & co"), lambda at: slack.Slack(name="s", endpoint=endpoint(at.url())))
    assert body == {
        "attachments": [
            {
                "color": "#d00000",
                "fallback": "[critical] VM &lt;!channel&gt; &amp; co",
                "title": "[critical] VM &lt;!channel&gt; &amp; co",
                "title_link": "https://pve1.lan:8006/#v1:0:=node%2Fpve3",
                "text": "pve3 has not answered for 12 minutes.\nIts 4 guests are not reachable.",
                "fields": [
                    {"title": "Node", "value": "pve3", "short": True},
                    {"title": "Last seen", "value": "2026-11-22 11:18 CET", "short": True},
                ],
                "footer": "pvectl i-51ab",
                "ts": 1795342680,
                "mrkdwn_in": [],
            }
        ],
        "link_names": False,
        "mrkdwn": False,
        "parse": "none",
        "unfurl_links": False,
    }


def test_discord_gets_an_embed_that_mentions_nobody(listen: Listen) -> None:
    body, _ = sent(
        listen, message(subject="VM @everyone **web_1** <@42>"), lambda at: discord.Discord(name="d", endpoint=endpoint(at.url()))
    )
    assert body["allowed_mentions"] == {"parse": []}
    embed = body["embeds"][0]
    assert embed["title"] == r"\[critical\] VM \@everyone \*\*web\_1\*\* \<\@42\>"
    assert embed["timestamp"] == "2026-11-22T10:18:00Z"
    assert embed["url"] == "https://pve1.lan:8006/#v1:0:=node%2Fpve3"
    assert embed["fields"][0] == {"name": "Node", "value": "pve3", "inline": True}


def test_telegram_gets_plain_text_that_calls_nobody(listen: Listen) -> None:
    listener = listen(answering("200 OK", '{"ok":true}', Content_Type="application/json"))
    receiver = telegram.Telegram(name="t", token=Secret(TOKEN), chat="-100123", thread=7, endpoint=endpoint(listener.url("/")))
    told = message(subject="@admin <b>root@pam</b>", text="", fields=(), link=None)
    assert isinstance(deliver(told, receiver, deadline=soon(), clock=CLOCK), Delivered)
    assert listener.only.target == f"/bot{TOKEN}/sendMessage"
    assert listener.only.json() == {
        "chat_id": "-100123",
        "text": "[critical] \N{FULLWIDTH COMMERCIAL AT}admin <b>root@pam</b>",
        "link_preview_options": {"is_disabled": True},
        "message_thread_id": 7,
    }


def test_teams_gets_a_card_without_markdown(listen: Listen) -> None:
    body, _ = sent(listen, message(subject="**web** [x](https://evil)"), lambda at: teams.Teams(name="t", endpoint=endpoint(at.url())))
    attachment = body["attachments"][0]
    card = attachment["content"]
    assert (body["type"], attachment["contentType"]) == ("message", "application/vnd.microsoft.card.adaptive")
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    assert {block["type"] for block in card["body"]} == {"RichTextBlock"}
    assert card["body"][0]["inlines"][0]["text"] == "[critical] **web** [x](https://evil)"
    assert card["actions"] == [{"type": "Action.OpenUrl", "title": "Open", "url": "https://pve1.lan:8006/#v1:0:=node%2Fpve3"}]


def test_pagerduty_opens_and_closes_one_alert_by_the_incident(listen: Listen) -> None:
    body, _ = sent(
        listen, message(), lambda at: pagerduty.PagerDuty(name="p", key=Secret("r" * 32), endpoint=endpoint(at.url("/v2/enqueue")))
    )
    assert body == {
        "routing_key": "r" * 32,
        "event_action": "trigger",
        "dedup_key": "i-51ab",
        "client": "pvectl",
        "client_url": "https://pve1.lan:8006/#v1:0:=node%2Fpve3",
        "links": [{"href": "https://pve1.lan:8006/#v1:0:=node%2Fpve3", "text": "Open"}],
        "payload": {
            "summary": "node pve3 is offline",
            "source": "pve3",
            "severity": "critical",
            "timestamp": "2026-11-22T10:18:00Z",
            "component": "node/pve3",
            "group": "lab",
            "class": "node.offline",
            "custom_details": {
                "Node": "pve3",
                "Last seen": "2026-11-22 11:18 CET",
                "text": "pve3 has not answered for 12 minutes.\nIts 4 guests are not reachable.",
                "notification": "n-7f3a9c",
            },
        },
    }
    over = pagerduty.body(resolved(), PAGERDUTY)
    assert (over["event_action"], over["dedup_key"]) == ("resolve", "i-51ab")
    severities = [pagerduty.body(message(severity=severity), PAGERDUTY)["payload"]["severity"] for severity in Severity]
    assert severities == ["info", "warning", "critical", "error"]


@pytest.mark.parametrize(
    ("make", "answer", "after"),
    [
        (lambda at: discord.Discord(name="d", endpoint=endpoint(at.url())), '{"message":"slow down","retry_after":1.5}', 1.5),
        (
            lambda at: telegram.Telegram(name="t", token=Secret(TOKEN), chat="1", endpoint=endpoint(at.url(""))),
            '{"ok":false,"error_code":429,"parameters":{"retry_after":33}}',
            33.0,
        ),
        (lambda at: discord.Discord(name="d", endpoint=endpoint(at.url())), '{"retry_after":true}', None),
        (lambda at: discord.Discord(name="d", endpoint=endpoint(at.url())), '{"retry_after":1e999}', None),
        (lambda at: discord.Discord(name="d", endpoint=endpoint(at.url())), "[]", None),
        (lambda at: discord.Discord(name="d", endpoint=endpoint(at.url())), "not JSON", None),
        (lambda at: slack.Slack(name="s", endpoint=endpoint(at.url())), '{"retry_after":5}', None),
    ],
)
def test_how_long_to_wait_is_found_where_the_chat_says_it(
    listen: Listen, make: Callable[[Listener], Receiver], answer: str, after: float | None
) -> None:
    listener = listen(answering("429 Too Many Requests", answer, Content_Type="application/json"))
    result = deliver(message(), make(listener), deadline=soon(), clock=CLOCK)
    assert isinstance(result, Retry)
    assert result.after == after


HUGE = message(
    subject="süß *" * 4000,
    text="\n".join(f"guest {n} is *down* 😀" for n in range(3000)),
    fields=tuple((f"n{n}_" * 200, "w_" * 3000) for n in range(60)),
    labels=dict.fromkeys(("alertname", "cluster", "object", "node"), "x" * 5000),
)


def test_every_limit_is_kept_however_long_the_message() -> None:
    published = ntfy.body(HUGE, NTFY)
    assert len(published["title"]) <= 250
    assert len(published["message"].encode()) <= 4096
    assert "more lines" in published["message"]

    attachment = slack.body(HUGE)["attachments"][0]
    assert len(attachment["title"]) <= 1024
    assert len(attachment["text"]) <= 3000

    embed = discord.body(HUGE)["embeds"][0]
    assert len(embed["title"]) <= 256
    assert len(embed["description"]) <= 4096
    fields = embed.get("fields", [])
    assert len(fields) <= 25
    assert all(0 < len(field["name"]) <= 256 and 0 < len(field["value"]) <= 1024 for field in fields)
    shown = [embed["title"], embed["description"], embed["footer"]["text"], *(field["name"] + field["value"] for field in fields)]
    assert sum(map(len, shown)) <= 6000

    text = telegram.body(HUGE, TELEGRAM)["text"]
    assert len(text.encode("utf-16-le")) // 2 <= 4096

    assert len(json.dumps(teams.body(HUGE), ensure_ascii=False).encode()) <= 28_000

    event = pagerduty.body(HUGE, PAGERDUTY)
    assert len(event["payload"]["summary"]) <= 1024
    assert len(json.dumps(event).encode()) <= 512_000


def test_telegram_counts_a_smiley_twice_and_so_do_we() -> None:
    told = message(subject="x", text="😀" * 4000, fields=(), link=None)
    text = telegram.body(told, TELEGRAM)["text"]
    assert len(text.encode("utf-16-le")) // 2 <= 4096


@pytest.mark.parametrize("told", [message(subject="x", text="", fields=(("", ""),), link=None, labels={}), digest(0), digest(50)])
def test_little_to_say_is_said_too(told: Message) -> None:
    for body in (
        ntfy.body(told, NTFY),
        slack.body(told),
        discord.body(told),
        telegram.body(told, TELEGRAM),
        teams.body(told),
        pagerduty.body(told, PAGERDUTY),
    ):
        assert told.subject in json.dumps(body)


@pytest.mark.parametrize(("token", "chat"), [("", "1"), ("12:short", "1"), (f"{TOKEN}/../x", "1"), (TOKEN, "chat name"), (TOKEN, "")])
def test_what_cannot_be_a_bot_or_a_chat_is_refused(token: str, chat: str) -> None:
    with pytest.raises(ConfigError) as caught:
        telegram.Telegram(name="t", token=Secret(token), chat=chat)
    assert not token or token not in str(caught.value)
