"""What is asked once for the whole cluster: the quick answers first, the slow ones when an hour has gone by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from pvectl.core import permits
from pvectl.core.model import BlindSpot, Known, Unknown
from pvectl.core.monitor.checks.sources import SOURCES, missing, paths_to_ask
from pvectl.core.monitor.monitored import NOT_ASKED, Ceph, Listing, Membership
from pvectl.errors import ApiRefusal, AuthenticationFailed, PvectlError, Unavailable
from pvectl.observe.monitor.memory import ClusterSlow, is_due
from pvectl.observe.proof import held_rights, sight_of

if TYPE_CHECKING:
    from datetime import datetime

    from pvectl.core.evidence import Task
    from pvectl.core.monitor.monitored import Fact
    from pvectl.core.permits import Rights
    from pvectl.observe.monitor.asking import Asked, Asker
    from pvectl.pve.client import Resources

RESOURCES, STATUS = "/cluster/resources", "/cluster/status"
RIGHTS, ACL = "/access/permissions", "/access/acl"
CEPH, CEPH_NODES = "/cluster/ceph/status", "/cluster/ceph/metadata?scope=versions"
# what pveceph says where there is none (pve-manager PVE/Ceph/Tools.pm check_ceph_inited)
_NO_CEPH = ("not installed", "not initialized")


class Quick:
    """The answers of one run that concern the whole cluster; each is a fact of the view by its name."""

    def __init__(self, asker: Asker, slow: ClusterSlow) -> None:
        """Ask them all at once.

        Raises:
            PvectlError: no host answered, or none lets us in.
        """
        client = asker.client
        self._began = asker.clock.now()
        questions: dict[str, tuple[str, Callable[[], Any]]] = {
            "resources": (RESOURCES, client.resources),
            "membership": (STATUS, client.watch.membership),
            "rights": (RIGHTS, client.permissions),
        }
        more: Mapping[str, tuple[str, Callable[[], Any]]] = {
            "ha": ("/cluster/ha/status/current", client.ha_status),
            "running": ("/cluster/tasks", client.cluster_tasks),
            "device": ("/cluster/config/qdevice", lambda: client.quorum_device().state),
            "uncovered": ("/cluster/backup-info/not-backed-up", client.watch.uncovered),
            "ceph": (CEPH, client.watch.ceph),
        }
        needs = {"running": ("running", "node-tasks")}
        questions |= {name: question for name, question in more.items() if asker.wants(*needs.get(name, (name,)))}
        # of several hosts the first may be silent: one question finds that out, and the others do not wait for it as well
        first = {"membership": questions.pop("membership")} if len(client.connection.hosts) > 1 else {}
        self._answers = asker.all(first) | asker.all(questions)
        self._refuse_when_alone()
        self._slow = slow
        rights = self._answers["rights"].fact
        asker.rights = self._rights(rights)

    def fact(self, name: str) -> Any:
        answer = self._answers.get(name)
        return NOT_ASKED if answer is None else answer.fact

    @property
    def listing(self) -> Fact[Listing]:
        fact: Fact[Resources] = self.fact("resources")
        if isinstance(fact, Unknown):
            return fact
        told = fact.value
        listing = Listing(nodes=told.nodes, guests=told.guests, storages=told.storages, pools=told.pools)
        return Known(value=listing, source=fact.source, taken_at=fact.taken_at)

    @property
    def membership(self) -> Fact[Membership]:
        fact: Fact[Membership] = self.fact("membership")
        return fact

    @property
    def standalone(self) -> bool:
        return isinstance(self.membership, Known) and self.membership.value.standalone

    @property
    def running(self) -> Fact[tuple[Task, ...]]:
        fact = self.fact("running")
        return fact if isinstance(fact, Unknown) else replace(fact, value=tuple(task for _node, task in fact.value if task.runs))

    def broadcast(self, node: str) -> tuple[Task, ...] | None:
        """What a node told the cluster of its tasks; None where nobody may see that, which PVE does not say."""
        fact, rights = self.fact("running"), self.rights(self._slow)
        if isinstance(fact, Unknown) or isinstance(rights, Unknown) or missing(SOURCES["running"], rights.value):
            return None
        return tuple(task for where, task in fact.value if where == node)

    @property
    def device(self) -> Fact[str | None]:
        fact: Fact[str | None] = self._of_standalone(self.fact("device"), None)
        return fact

    def ceph(self, slow: ClusterSlow) -> Fact[Ceph | None]:
        """Its health; None where no node has it."""
        answer, installed = self._answers.get("ceph"), slow.ceph_nodes
        if answer is None or not has_no_ceph(answer):
            return NOT_ASKED if answer is None else answer.fact
        if isinstance(installed, Unknown):
            return installed if installed is not NOT_ASKED else answer.fact
        if not installed.value:
            return Known(value=None, source=CEPH, taken_at=self._began)
        where = ", ".join(installed.value)
        return Unknown(reason=f"Ceph is installed on {where}, but not on the node that was asked", source=CEPH)

    @property
    def asks_for_ceph(self) -> bool:
        """Whether the node that was asked has no Ceph, so that somebody has to tell whether others do."""
        answer = self._answers.get("ceph")
        return answer is not None and has_no_ceph(answer)

    def votes(self, slow: ClusterSlow) -> Fact[Mapping[str, int]]:
        fact: Fact[Mapping[str, int]] = self._of_standalone(slow.votes, {})
        return fact

    def rights(self, slow: ClusterSlow) -> Fact[Mapping[str, Rights]]:
        """What PVE lists just now, and what was told before of the paths it does not list."""
        listed: Fact[Mapping[str, Rights]] = self.fact("rights")
        if isinstance(listed, Unknown) or isinstance(slow.rights, Unknown):
            return listed
        return replace(listed, value={**slow.rights.value, **listed.value})

    def _rights(self, listed: Fact[Mapping[str, Rights]]) -> Mapping[str, Rights] | None:
        merged = self.rights(self._slow)
        return None if isinstance(listed, Unknown) or isinstance(merged, Unknown) else merged.value

    def _of_standalone(self, fact: Any, value: Any) -> Any:
        if fact is NOT_ASKED or not self.standalone or not isinstance(self.membership, Known):
            return fact
        return Known(value=value, source=STATUS, taken_at=self.membership.taken_at)

    def _refuse_when_alone(self) -> None:
        """A run that reached nobody has nothing to say about the cluster."""
        errors = [self._answers[name].error for name in ("resources", "membership")]
        for error in errors:
            if not isinstance(error, Unavailable | AuthenticationFailed):
                return
        assert isinstance(errors[0], PvectlError)
        raise errors[0]


def has_no_ceph(answer: Asked) -> bool:
    """Whether a node says that Ceph is not there, rather than that something is wrong with it."""
    return isinstance(answer.error, ApiRefusal) and any(words in answer.error.message for words in _NO_CEPH)


def slow_questions(
    asker: Asker, quick: Quick, before: ClusterSlow, now: datetime, every: float
) -> dict[str, tuple[str, Callable[[], Any]]]:
    """What is to be asked again of the cluster's slow sources, the proof of sight aside."""
    client = asker.client
    questions: dict[str, tuple[str, Callable[[], Any]]] = {}
    if asker.wants("release") and is_due(before.release, now, every):
        questions["release"] = ("/version", client.watch.release)
    if asker.wants("votes") and is_due(before.votes, now, every) and not quick.standalone:
        questions["votes"] = ("/cluster/config/nodes", lambda: dict(client.votes()))
    if asker.wants("backup_jobs") and is_due(before.backup_jobs, now, every):
        questions["backup_jobs"] = ("/cluster/backup", client.watch.backup_jobs)
    if quick.asks_for_ceph and is_due(before.ceph_nodes, now, every):
        questions["ceph_nodes"] = (CEPH_NODES, lambda: tuple(sorted(client.ceph_nodes())))
    return questions


def proof_is_due(before: ClusterSlow, now: datetime, every: float) -> bool:
    """Whether sight has to be proven again: hourly, and in every run while something is hidden."""
    if isinstance(before.rights, Unknown) or isinstance(before.sight, Unknown):
        return True
    return bool(before.sight.value) or is_due(before.sight, now, every)


def prove(asker: Asker, quick: Quick, answering: Sequence[str], silent: Sequence[str]) -> tuple[Fact[Any], Fact[Any]]:
    """The blind spots of the list, and the rights at paths PVE does not list; of nodes that are silent nobody can say."""
    client, listing, listed = asker.client, quick.listing, quick.fact("rights")
    taken_at = asker.clock.now()
    if isinstance(listing, Unknown):
        return Unknown(reason=listing.reason, source=ACL), NOT_ASKED
    acl = asker.fact(ACL, client.acl)
    with client.within(asker.slow_left()):
        told = acl.value if isinstance(acl, Known) else acl
        known = listed.value if isinstance(listed, Known) else listed
        storages = tuple(dict.fromkeys(row.storage for row in listing.value.storages))
        rights = held_rights(client, told, known, answering, storages=True)
        sights = asker.each([partial(_sight, asker, node) for node in answering])
    evidence = permits.Evidence(token_id=client.connection.token_id, acl=told, rights=rights, nodes=tuple(sights))
    spots = permits.blind_spots(evidence, frozenset(guest.vmid for guest in listing.value.guests))
    spots += tuple(BlindSpot(subject=f"node/{node}", reason=f"node {node} did not tell which guests it has") for node in silent)
    asked = {*paths_to_ask(answering, storages), *permits.ROOTS}
    already = set(known) if not isinstance(known, Unknown) else set()
    extra = {
        path: dict(held)
        for path, held in rights.items()
        if not isinstance(held, Unknown) and path not in already and (path in asked or path.startswith("/storage/"))
    }
    return (Known(value=spots, source=ACL, taken_at=taken_at), Known(value=extra, source=RIGHTS, taken_at=taken_at))


def _sight(asker: Asker, node: str) -> permits.NodeSight:
    with asker.client.within(asker.slow_left()):
        return sight_of(asker.client, node)
