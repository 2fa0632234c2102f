"""How long a command may take that talks to the cluster, before what it waits for is added."""

from __future__ import annotations

LOOK_S = 120
"""Seconds for the looks at a cluster and the requests of one command; a node that hangs takes 30 s for one answer."""
