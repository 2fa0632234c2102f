"""Text from outside, made safe to show on a terminal, in a log line, a mail header or a metric."""

from __future__ import annotations

_ASCII_END = 0x100
_BMP_END = 0x10000


def clean(text: str) -> str:
    r"""`text` with all that steers instead of showing (controls, escapes, bidi marks, line separators) spelled out as \xNN or \uNNNN."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _shown(character) for character in text)


def _shown(character: str) -> str:
    import unicodedata

    # all that is left are the categories Cc Cf Cs Co Cn Zl Zp, and the wide and narrow spaces of Zs, which harm nobody
    if unicodedata.category(character) == "Zs":
        return character
    point = ord(character)
    if point < _ASCII_END:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point < _BMP_END else f"\\U{point:08x}"
