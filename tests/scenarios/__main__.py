"""Plays scenarios and puts what came out of them into their files, to be read line by line before it is committed.

    python -m tests.scenarios              all of them
    python -m tests.scenarios good-day     those whose name holds a word
    python -m tests.scenarios --show NAME  print the log, and change nothing
"""

import os
import sys
import tempfile
import time
from pathlib import Path

from tests.scenarios.engine import load, names, play, rewrite


def main(words: list[str]) -> int:
    if os.environ.get("CI"):
        sys.exit("expected logs are written by people, not by CI")
    show = "--show" in words
    wanted = [word for word in words if word != "--show"]
    for name in names():
        if wanted and not any(word in name for word in wanted):
            continue
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            log = play(load(name), Path(folder))
        took = time.perf_counter() - began
        changed = not show and rewrite(name, log)
        sys.stdout.write(f"{name}: {took:.1f} s{', changed' if changed else ''}\n" + (log if show else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
