"""`python -m pvectl`, and the `pvectl` script."""

from __future__ import annotations

import gc
import sys

# a run is short and makes few cycles: the collector's default of every 700 objects costs a tenth of its time
gc.set_threshold(200_000)


def main() -> None:
    """Run the command line of this process."""
    from pvectl.cli.app import main as run_command_line

    sys.exit(run_command_line())


if __name__ == "__main__":
    main()
