"""What one run wants to know of the nodes that may go off."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct

from pvectl.core.hold import Hold
from pvectl.observe.signals import Limits, Probe
from pvectl.observe.whereabouts import Configured, Machine, this_machine


class Asking(Struct, frozen=True, kw_only=True):
    """What is asked of a candidate beyond what is always read.

    `since` is how far back each node's task list has to reach, in seconds since the epoch; `holds` are passed on. `clock`: how far its
    clock is off. `wake`: the address that wakes it. `ceph_safety`: the nodes whose Ceph daemons Ceph is asked about. `activity` and
    `probes` are the other signals, for guests tagged `tag` where the limits say so. `own_place` is where pvectl runs as configured;
    None: it finds out, with `machine` telling about itself.
    """

    since: Mapping[str, int] = {}
    holds: tuple[Hold, ...] = ()
    clock: bool = False
    wake: bool = False
    ceph_safety: tuple[str, ...] = ()
    activity: Limits | None = None
    probes: tuple[Probe, ...] = ()
    tag: str = ""
    own_place: Configured = None
    machine: Callable[[], Machine] = this_machine
