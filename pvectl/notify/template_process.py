"""What runs in a template's own process: its words, from variables on standard input, within bounds that the kernel keeps."""

from __future__ import annotations

import contextlib
import json
import resource
import sys
from typing import Any

from pvectl.notify.templates import LONGEST_SUBJECT, LONGEST_TEXT, TOO_LONG

_CPU_S = 2
_MEMORY = 256 << 20
_LONGEST_LEFT = 4
"""As many times as long as it is shown, a text is cut; what is longer still is a mistake."""


def main() -> int:
    """Answer with subject and text for the last of the messages, or with why one of them does not come about."""
    # data, not address space: what the C library maps of its locales is no one's fault
    for limit, most in ((resource.RLIMIT_CPU, _CPU_S), (resource.RLIMIT_DATA, _MEMORY), (resource.RLIMIT_CORE, 0)):
        # a hardened unit may not allow it; then the other process's patience is the bound
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(limit, (most, most))
    sys.stdout.write(json.dumps(_answer(json.loads(sys.stdin.buffer.read()))))
    return 0


def _answer(order: dict[str, Any]) -> dict[str, str]:
    answer: dict[str, str] = {}
    for known in order["known"]:
        for what, longest in (("subject", LONGEST_SUBJECT), ("text", LONGEST_TEXT)):
            if order[what] is None:
                continue
            try:
                answer[what] = _rendered(order[what], known, longest)
            except MemoryError:
                return {"error": TOO_LONG}
            except Exception as error:  # noqa: BLE001 - whatever a template does is an answer
                return {"error": f"its {what}: {_words(error)}"}
            if what == "subject" and not answer[what]:
                return {"error": "its subject is empty"}
    return answer


def _rendered(template: str, known: dict[str, Any], longest: int) -> str:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    # no loader: a template reads no files. No escaping: every channel does its own
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
    parts: list[str] = []
    length = 0
    for part in environment.from_string(template).generate(known):
        parts.append(part)
        length += len(part)
        if length > longest * _LONGEST_LEFT:
            raise ValueError(f"it comes to more than {longest * _LONGEST_LEFT} characters")
    text = "".join(parts).strip().encode("utf-8", "replace").decode()
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _words(error: Exception) -> str:
    line = getattr(error, "lineno", None)
    place = f"line {line}: " if isinstance(line, int) else ""
    return f"{place}{' '.join(str(error).split())[:200] or type(error).__name__}"


if __name__ == "__main__":
    sys.exit(main())
