"""The page in a real browser: it fits, it can be read, it asks nobody for anything, and a screen reader finds its way."""

from __future__ import annotations

import functools
import http.server
import struct
import threading
import zlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pvectl.core.monitor.page.document import failed
from tests.core.monitor.cluster import NOW, whole
from tests.core.page import hostile, pages
from tests.support.browser import Browser, browser

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]

# 320 is what is left of 1280 for somebody who has it four times as large (WCAG 2.2, 1.4.10)
SIZES = ((320, 640), (360, 800), (1280, 800), (2560, 1440))
SCHEMES = ("light", "dark")
PAGES = ("troubled", "fine", "hostile", "failed")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as tab:
        yield tab


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("pages")
    texts = {
        "troubled": pages.html(pages.troubled()),
        "fine": pages.html(whole()),
        "hostile": hostile.html(),
        "failed": failed(NOW, "no host answered", hint="is one of them on?", cluster="lab", local=lambda when: when, version="1"),
    }
    assert set(texts) == set(PAGES)
    for name, text in texts.items():
        (made / f"{name}.html").write_text(text, encoding="utf-8")
    return made


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("name", PAGES)
def test_the_page_fits_and_can_be_read_on_every_screen(
    chromium: Browser, folder: Path, name: str, width: int, height: int, scheme: Any
) -> None:
    address = (folder / f"{name}.html").as_uri()
    chromium.open(address, width=width, height=height, scheme=scheme)
    assert chromium.measure("document.documentElement.scrollWidth") <= width
    assert chromium.measure(OUTSIDE.replace("WIDTH", str(width))) == []
    assert chromium.measure(FAINT) == []
    assert chromium.measure("parseFloat(getComputedStyle(document.body).fontSize)") >= 16
    assert chromium.measure("Math.min(...[...document.querySelectorAll('main *')].map(e=>parseFloat(getComputedStyle(e).fontSize)))") >= 12
    # nothing was loaded but the page, and nothing in it was refused by its own policy
    assert chromium.requests() == [address]
    assert chromium.complaints() == []


@pytest.mark.parametrize("name", PAGES)
def test_somebody_who_needs_letters_twice_as_large_scrolls_one_way_only(chromium: Browser, folder: Path, name: str) -> None:
    chromium.open((folder / f"{name}.html").as_uri(), width=360, height=800)
    chromium.measure("document.documentElement.style.fontSize='32px'")
    assert chromium.measure("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize("name", PAGES)
def test_the_screenshots_are_not_blank_and_dark_is_dark(chromium: Browser, folder: Path, name: str) -> None:
    address = (folder / f"{name}.html").as_uri()
    brightness = {}
    for scheme in SCHEMES:
        chromium.open(address, width=1280, height=800, scheme=scheme)  # type: ignore[arg-type]
        width, height, pixels = decoded(chromium.screenshot(1280, 800, scale=0.25))
        assert (width, height) == (320, 200)
        colours = {pixels[at : at + 3] for at in range(0, len(pixels), 3 * 7)}
        assert len(colours) > 50, "blank, or nearly so"
        brightness[scheme] = sum(pixels[:: 3 * 11]) / len(pixels[:: 3 * 11])
    assert brightness["light"] > 200
    assert brightness["dark"] < 70


def test_a_screen_reader_finds_landmarks_headings_and_named_tables(chromium: Browser, folder: Path) -> None:
    chromium.open((folder / "troubled.html").as_uri(), width=360, height=800)
    told = chromium.told_aloud()
    roles = [node["role"]["value"] for node in told]
    for landmark in ("banner", "main", "contentinfo", "navigation"):
        assert roles.count(landmark) == 1, landmark
    levels = [
        next(each["value"]["value"] for each in node["properties"] if each["name"] == "level")
        for node in told
        if node["role"]["value"] == "heading"
    ]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    # although the style sheet makes cards of them here
    tables = [node for node in told if node["role"]["value"] == "table"]
    assert len(tables) >= 3
    assert all(node["name"]["value"] for node in tables)
    assert roles.count("rowheader") >= 5
    assert "columnheader" in roles
    regions = [node["name"]["value"] for node in told if node["role"]["value"] == "region"]
    assert regions == ["Problems", "Nodes", "Storages", "Idle check", "Next schedules", "Guests", "Coverage"]
    assert all(node["name"]["value"] for node in told if node["role"]["value"] == "link")


def test_bars_are_as_long_as_their_numbers_say(chromium: Browser, folder: Path) -> None:
    for width in (360, 1280):
        chromium.open((folder / "troubled.html").as_uri(), width=width, height=800)
        bars = chromium.measure(BARS)
        assert len(bars) > 10
        for told, drawn, height in bars:
            assert abs(told - drawn) < 1.5
            assert height >= 6


def test_links_can_be_hit_with_a_finger(chromium: Browser, folder: Path) -> None:
    chromium.open((folder / "troubled.html").as_uri(), width=360, height=800)
    small = "[...document.querySelectorAll('nav a, .tally a, summary')].filter(e=>e.getBoundingClientRect().height<24).length"
    assert chromium.measure(small) == 0


def test_hostile_names_are_text_and_nothing_else(chromium: Browser, folder: Path) -> None:
    chromium.open((folder / "hostile.html").as_uri())
    assert (
        chromium.measure("document.scripts.length + document.images.length + document.querySelectorAll('iframe,object,form').length") == 0
    )
    assert chromium.measure("document.title").startswith(chromium.measure("document.querySelector('h1').innerText"))
    assert chromium.measure("typeof window.pwned") == "undefined"
    assert chromium.measure("document.body.innerText.includes('<script>')")


def test_a_web_server_shows_it_like_a_file(chromium: Browser, folder: Path) -> None:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    served = threading.Thread(target=server.serve_forever)
    served.start()
    try:
        address = f"http://127.0.0.1:{server.server_address[1]}/troubled.html"
        chromium.open(address)
        assert chromium.requests() == [address]
        assert chromium.complaints() == []
        assert chromium.measure("getComputedStyle(document.querySelector('.card')).borderRadius") != "0px"
    finally:
        server.shutdown()
        served.join()
        server.server_close()


def test_a_page_left_open_says_so(chromium: Browser, folder: Path) -> None:
    chromium.open((folder / "fine.html").as_uri())
    shown = "getComputedStyle(document.querySelector('.old')).visibility"
    assert chromium.measure(shown) == "hidden"
    chromium.measure("document.getAnimations().forEach(animation=>{animation.currentTime=1800001})")
    assert chromium.measure(shown) == "visible"


def decoded(png: bytes) -> tuple[int, int, bytes]:
    """Width, height and the pixels as bytes of red, green and blue."""
    at, packed, width, height, depth = 8, b"", 0, 0, 3
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        kind, content = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            width, height, bits, colour = struct.unpack(">IIBB", content[:10])
            assert (bits, colour) in ((8, 2), (8, 6))
            depth = 3 if colour == 2 else 4
        elif kind == b"IDAT":
            packed += content
        at += length + 12
    raw, stride = zlib.decompress(packed), width * depth
    rows: list[bytes] = []
    before = bytes(stride)
    for row in range(height):
        start = row * (stride + 1)
        before = _unfiltered(raw[start], raw[start + 1 : start + 1 + stride], before, depth)
        rows.append(before if depth == 3 else b"".join(before[i : i + 3] for i in range(0, stride, 4)))
    return width, height, b"".join(rows)


def _unfiltered(kind: int, row: bytes, above: bytes, depth: int) -> bytes:
    made = bytearray(row)
    for i in range(len(row)):
        left = made[i - depth] if i >= depth else 0
        up = above[i]
        if kind == 1:
            add = left
        elif kind == 2:
            add = up
        elif kind == 3:
            add = (left + up) // 2
        elif kind == 4:
            corner = above[i - depth] if i >= depth else 0
            guess = left + up - corner
            add = min((left, up, corner), key=lambda one: abs(guess - one))
        else:
            break
        made[i] = (made[i] + add) & 255
    return bytes(made)


BARS = """
[...document.querySelectorAll('.gauge, td.measure')].filter(e => e.querySelector('.fill') && e.checkVisibility()).map(e => {
 const bar = e.querySelector('.bar').getBoundingClientRect(), fill = e.querySelector('.fill').getBoundingClientRect();
 return [parseFloat(e.innerText.match(/(\\d+)%/)[1]), 100 * fill.width / bar.width, bar.height] })
"""
"""The share each bar's text tells, the share that is filled, and the bar's height."""

OUTSIDE = """
[...document.querySelectorAll('header *, nav *, main *, footer *')]
 .filter(e => !e.closest('thead') && e.getClientRects().length && e.getBoundingClientRect().right > WIDTH + 0.5)
 .map(e => e.outerHTML.slice(0, 120))
"""
"""Elements that stick out of the screen; the head of a table is moved out of sight on purpose where its cells name their columns."""

FAINT = """
(() => {
 const parse = c => { const m = c.match(/[\\d.]+/g).map(Number); return m.length < 4 ? [...m, 1] : m };
 const light = c => { const [r, g, b] = c.map(v => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4 });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b };
 const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05) };
 const ground = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
   if (c[3] === 1) return c.slice(0, 3) }
  return [255, 255, 255] };
 const faint = new Set();
 const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
 let seen = 0;
 while (walker.nextNode()) {
  const e = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || !e.getClientRects().length) continue;
  seen++;
  const found = ratio(parse(getComputedStyle(e).color).slice(0, 3), ground(e));
  if (found < 4.5) faint.add(`${found.toFixed(2)} ${e.className} ${walker.currentNode.data.slice(0, 40)}`);
 }
 for (const e of document.querySelectorAll('.bar .fill, .icon')) {
  const style = getComputedStyle(e), found = ratio(parse(style.fill).slice(0, 3), ground(e));
  if (found < 3) faint.add(`${found.toFixed(2)} ${e.getAttribute('class')} fill`);
 }
 return seen > 5 ? [...faint] : ['nothing to read'];
})()
"""
"""Text with less contrast to its ground than 4.5 to 1, bars and signs with less than 3 to 1 (WCAG 2.2, 1.4.3 and 1.4.11)."""
