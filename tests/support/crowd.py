"""Starts one and the same run of pvectl many times at once: `python crowd.py COUNT CLOCK WORD…`.

Prints a line with the exit code of each as it ends. They are forks of one process that has everything loaded, and begin together.
"""

import os
import sys
from pathlib import Path


def main() -> None:
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    import pvectl.cli.app
    from pvectl.cli.context import Run
    from tests.support.clocked import clock_of

    count = int(sys.argv[1])
    clock, *words = sys.argv[2:]
    gate, opened = os.pipe()
    for number in range(count):
        if os.fork():
            continue
        os.close(opened)
        os.read(gate, 1)
        out = os.open(f"{number}.out", os.O_WRONLY | os.O_CREAT)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os._exit(pvectl.cli.app.main(words, run=Run(clock=clock_of(clock))))
    os.close(opened)
    for _ in range(count):
        _, status = os.wait()
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
