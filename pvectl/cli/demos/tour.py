"""What the tour of `pvectl demo` says and runs, scene by scene."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct

from pvectl.cli.demos.cluster import OFFICE_SECRET, OFFICE_TOKEN
from pvectl.sim.demo import OPS_SECRET, OPS_TOKEN

if TYPE_CHECKING:
    from pvectl.sim.cluster import SimCluster


class Scene(Struct, frozen=True, kw_only=True):
    """One command of the tour. `happens` changes the world beforehand; `into` is a Python program its output is piped into.

    `before` is how often a timer has run the command by then, every five minutes, with nobody watching.
    """

    said: str
    command: str
    happens: Callable[[SimCluster], object] | None = None
    token_id: str = OPS_TOKEN
    secret: str = OPS_SECRET
    into: str | None = None
    before: int = 0


def _resume_the_kiosk(cluster: SimCluster) -> None:
    cluster.set_guest_status(203, "running")


def _lose_pve3(cluster: SimCluster) -> None:
    """The node goes without a word, and five minutes later its last broadcast has expired (pve-cluster status.c)."""
    cluster.crash_node("pve3")
    cluster.advance(310)


def _power_pve3_again(cluster: SimCluster) -> None:
    cluster.wake("pve3")
    cluster.advance(300)


OPENING = """\
A Proxmox VE cluster of three nodes has just been simulated on this machine; its API answers at {hosts}. Every line after $ is a real
command and what follows is its real output. Time in there runs {speed} times as fast as yours. Nothing of yours is read or changed."""

SCENES = (
    Scene(said="All guests of the cluster, VMs and containers alike, in one request.", command="pvectl vm list"),
    Scene(
        said="Guests are selected by number, range, name, tag, pool or node; a minus takes away again.",
        command="pvectl vm list @tag-safe-shutdown,-kiosk --node pve2 --columns vmid,name,status,tags",
    ),
    Scene(
        said="One of them from near: its state, its configuration, and what keeps it from being shut down.",
        command="pvectl vm show render",
    ),
    Scene(said="Tags will decide a lot, so pvectl looks after them.", command="pvectl tags lint"),
    Scene(said="Guest 311 has a typo in a tag. Every change has a rehearsal.", command="pvectl tags remove safe-shutdwon 311 --dry-run"),
    Scene(
        said="Now in earnest: read, written with Proxmox VE's own lock against others, and read again to be sure.",
        command="pvectl tags remove safe-shutdwon 311 --yes",
    ),
    Scene(
        said="The right tag is registered here, so only administrators hand it out; what Proxmox VE refuses is said in its own words.",
        command="pvectl tags add safe-shutdown 311 --yes",
    ),
    Scene(
        said="""Evening: what may sleep is asked to shut down, side by side. One guest is locked by a backup, one is paused, one belongs to
        the HA manager, and one does not listen. Nobody pulls its plug, and the exit code tells a script that it still runs.""",
        command="pvectl vm shutdown @tag-safe-shutdown,tickets,old-windows --timeout 1m --yes",
    ),
    Scene(
        said="""pve2 carries nothing but guests that may sleep, so it may sleep as well. A timer asks every five minutes; any doubt keeps it
        on, and says why.""",
        command="pvectl idle-check",
    ),
    Scene(
        said="""Somebody resumes the kiosk. Half an hour of idle looks later, and after a notice that a hold would have cancelled, it is
        shut down and seen off, everything is looked at once more, and the node goes off through the API.""",
        command="pvectl idle-check",
        happens=_resume_the_kiosk,
        before=7,
    ),
    Scene(said="Nothing is done that was not written down first.", command="pvectl history pve2 --since 1h"),
    Scene(said="In the morning a magic packet brings it back.", command="pvectl node wake pve2"),
    Scene(
        said="Guests can also go down at set times, each time once; pvectl alone decides what is due, whatever the clocks do that night.",
        command="pvectl scheduled-shutdown next -n 3",
    ),
    Scene(
        said="One honest look at everything: what is wrong, and what could not be checked, with the lines that grant the missing rights.",
        command="pvectl monitor --only 'backup.*,node.*,storage.*'",
    ),
    Scene(
        said="""People are told of it: once when something begins, rarely while it lasts, once when it is over. Of all that is wrong at
        the first look, a single message comes to the phone.""",
        command="pvectl alert run",
    ),
    Scene(
        said="The same facts as JSON, for scripts: which memory is in use where?",
        command="pvectl vm list --status running -o json",
        into=(
            "import json, sys, collections as c; used = c.Counter()\n"
            "for vm in json.load(sys.stdin)['data']: used[vm['node']] += vm['mem'] or 0\n"
            "for node in sorted(used): print(f'{node}: {used[node] / 2**30:.1f} GiB')"
        ),
    ),
    Scene(
        said="Another token, which somebody gave rights to one pool only. Proxmox VE hides the rest from it without a word:",
        command="pvectl vm list --columns vmid,name,node,status,pool",
        token_id=OFFICE_TOKEN,
        secret=OFFICE_SECRET,
    ),
    Scene(
        said="so pvectl asks for proof that it sees everything, and names what is missing with the command that mends it.",
        command="pvectl doctor --quiet",
        token_id=OFFICE_TOKEN,
        secret=OFFICE_SECRET,
    ),
    Scene(said="Then node pve3 loses its power.", command="pvectl node list", happens=_lose_pve3),
    Scene(
        said="What runs there nobody knows now, and unknown is not stopped: nothing is switched off unseen.",
        command="pvectl vm shutdown @node-pve3 --yes",
    ),
    Scene(
        said="When that has lasted for two minutes, somebody is told, of the node and not of everything on it;",
        command="pvectl alert run",
        before=1,
    ),
    Scene(
        said="and once more when the power is back and has stayed for some looks: what comes and goes does not ring all day.",
        command="pvectl alert run",
        happens=_power_pve3_again,
        before=2,
    ),
)

ENDING = """\
That was pvectl. Next:

  pvectl --demo vm list       any command against this cluster, to try it out
  pvectl config init          write a proxmox.yml for your own cluster
  pvectl doctor               see whether all is well with it
  pvectl --help               everything else
"""
