"""Whether all is played of which the suite has time for a sample: hours, not minutes. `.ci/whole` asks for it."""

from __future__ import annotations

import os

WHOLE = bool(os.environ.get("PVECTL_WHOLE"))
LIMIT_S = 4 * 3600 if WHOLE else 600
"""For one test; by default pytest ends it sooner."""
