"""How texts are cut, and what of them can no longer steer anything."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvectl.core.monitor.finding import Severity
from pvectl.notify import discord, ntfy, pagerduty, slack, teams, telegram
from pvectl.notify.alertmanager import posted
from pvectl.notify.letter import letter
from pvectl.notify.message import Message
from pvectl.notify.webhook import Form, Webhook, written
from pvectl.notify.wording import characters, cut, headline, octets, plain, shortened, state
from tests.notify.samples import NOW, endpoint, message, resolved
from tests.notify.test_chats import NTFY, PAGERDUTY, TELEGRAM


def test_whole_lines_are_kept_and_the_rest_is_counted() -> None:
    text = "\n".join(f"guest {number}" for number in range(100, 120))
    assert shortened(text, 60) == "guest 100\nguest 101\nguest 102\nguest 103\n+16 more lines"
    assert shortened(text, 1000) == text
    assert shortened("a" * 50, 10) == "a" * 9 + "…"
    assert cut("abc", 3) == "abc"
    assert cut("ääää", 6, size=octets) == "ä…"


@given(st.text(max_size=300), st.integers(15, 120), st.sampled_from([characters, octets]))
@settings(max_examples=150, deadline=None)
def test_nothing_is_ever_longer_than_it_may_be(text: str, most: int, size: object) -> None:
    measure = octets if size is octets else characters
    text = text.encode("utf-8", "replace").decode()
    assert measure(shortened(text, most, size=measure)) <= most
    line = text.replace("\n", "")
    short = cut(line, most, size=measure)
    assert measure(short) <= most
    assert short == line or line.startswith(short.removesuffix("…"))


@pytest.mark.parametrize(
    ("told", "word"),
    [
        (message(), "critical"),
        (message(severity=Severity.UNKNOWN), "unknown"),
        (message(severity=Severity.OK), "info"),
        (resolved(), "resolved"),
    ],
)
def test_one_word_says_how_it_stands(told: Message, word: str) -> None:
    assert state(told) == word
    assert headline(told) == f"[{word}] {told.subject}"


CORPUS = [
    "\x1b[2J\x1b]52;c;ZXZpbA==\x07",
    "\x9b31m",
    "evil\u202egnp.exe",
    "a\u2028b\u2029c",
    "a\rb\r\nc\x0bd\x0ce",
    "\x00\x7f\x85",
    "\ud800",
    "\U000e0041",
    "\ufeff\u200b",
    "[red]x[/red]",
    "<!channel> <@U1> @everyone @here",
    "\x1b]8;;https://evil\x1b\\click\x1b]8;;\x1b\\",
    "Subject: x\r\nBcc: y@z",
]
STEERS = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


@pytest.mark.parametrize("evil", CORPUS)
def test_s34_text_from_outside_steers_nothing_in_any_channel(evil: str) -> None:
    told = message(
        subject=evil, text=f"{evil}\n{evil}", fields=((evil, evil),), link=f"https://x/{evil}", labels={"object": evil, evil: evil}
    )
    told = told.cleaned()
    import msgspec

    bodies: list[object] = [
        ntfy.body(told, NTFY),
        slack.body(told),
        discord.body(told),
        telegram.body(told, TELEGRAM),
        teams.body(told),
        pagerduty.body(told, PAGERDUTY),
        posted(told, NOW, 300),
        *(msgspec.json.decode(written(told, Webhook(name="w", endpoint=endpoint("https://h/"), form=form))[0]) for form in Form),
        plain(told),
        dict(letter(told, sender="a@b.example", recipients=("c@d.example",), sent_at=NOW)),
        letter(told, sender="a@b.example", recipients=("c@d.example",), sent_at=NOW).get_content().replace("\r\n", "\n"),
    ]
    texts = [text for body in bodies for text in _texts(body)]
    assert any("x" in text for text in texts)
    for text in texts:
        steering = [character for character in text if unicodedata.category(character) in STEERS and character != "\n"]
        assert not steering, (text, steering)
        text.encode()


def test_a_link_that_is_none_is_left_out() -> None:
    for link in ("javascript:alert(1)", "https://a b", "http://", "https://a/\nb", "file:///etc/passwd", "https://ä/"):
        assert message(link=link).cleaned().link is None
    assert message(link="http://pve1:8006/#x").cleaned().link == "http://pve1:8006/#x"


def _texts(body: object) -> list[str]:
    if isinstance(body, dict):
        return [text for key, value in body.items() for text in (key, *_texts(value))]
    if isinstance(body, list):
        return [text for value in body for text in _texts(value)]
    return [str(body)]
