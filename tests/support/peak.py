"""Runs pvectl in this process and leaves in a file how much memory it ever held, in KiB: `python peak.py FILE WORD…`.

What wait4 tells of a child includes what its parent held when it forked; VmHWM begins anew with the program.
"""

import gc
import re
import sys
from pathlib import Path


def weigh(file: str) -> None:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    Path(file).write_text(found[1] if found else "", encoding="ascii")


if __name__ == "__main__":
    sys.path.pop(0)
    gc.set_threshold(200_000)
    from pvectl.cli.app import main

    code = main(sys.argv[2:])
    weigh(sys.argv[1])
    sys.exit(code)
