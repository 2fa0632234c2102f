"""What runs in Apprise's own process: one notification, read from standard input; the exit code says what became of it."""

from __future__ import annotations

import json
import sys

from pvectl.notify.apprise import FAILED, MISSING, NOT_UNDERSTOOD


def main() -> int:
    """Tell it."""
    try:
        import apprise
    except ImportError:
        return MISSING
    order = json.loads(sys.stdin.buffer.read())
    # nothing of the text is to be taken for markup, escapes or names of emoji
    asset = apprise.AppriseAsset(app_id="pvectl", interpret_escapes=False, interpret_emojis=False, async_mode=False)
    teller = apprise.Apprise(asset=asset)
    if not teller.add(order["url"]):
        return NOT_UNDERSTOOD
    told = teller.notify(title=order["title"], body=order["body"], notify_type=order["kind"], body_format=apprise.NotifyFormat.TEXT)
    return 0 if told else FAILED


if __name__ == "__main__":
    sys.exit(main())
