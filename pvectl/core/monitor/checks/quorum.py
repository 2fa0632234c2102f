"""Whether the cluster is quorate, and how much it takes until it is not."""

from __future__ import annotations

from collections.abc import Mapping

from pvectl.core.model import Known, Unknown
from pvectl.core.monitor.checks.check import Case, Eligible, Outcome, check
from pvectl.core.monitor.checks.look import CLUSTER, Look
from pvectl.core.monitor.checks.settings import MINUTE
from pvectl.core.monitor.finding import Severity

CONNECTED = "Connected"
_HINT = "on a node: pvecm status"


def device_votes(nodes: int) -> int:
    """The votes of a quorum device, which PVE does not tell: pvecm gives it one, with an odd number of nodes one less than they have."""
    return 1 if nodes % 2 == 0 else nodes - 1


def breaks_without(votes: Mapping[str, int], online: frozenset[str], device: str | None) -> tuple[str, ...]:
    """The online nodes each of whose loss would leave too few votes; `device` as in MonitorView."""
    extra = 0 if device is None else device_votes(len(votes))
    need = (sum(votes.values()) + extra) // 2 + 1
    present = sum(count for node, count in votes.items() if node in online) + (extra if device == CONNECTED else 0)
    return tuple(node for node in sorted(online) if node in votes and present - votes[node] < need)


def _in_cluster(look: Look) -> Eligible[None]:
    if look.standalone is not True:
        yield CLUSTER, None


def _quorum(case: Case, _cluster: None) -> Outcome:
    membership, ha = case.look.view.membership, case.look.view.ha
    told = membership.value.quorate if isinstance(membership, Known) else None
    # /cluster/status may be stale for minutes, the HA manager's page is not (recorded on PVE 8.4)
    live = ha.value.quorate if isinstance(ha, Known) else None
    evidence = case.look.evidence(membership, "quorate") + case.look.evidence(ha, "quorate")
    if live is False or (told is False and live is None):
        message = "the cluster is not quorate: nothing can be started or changed"
        return case.finding(Severity.CRITICAL, message, evidence=evidence, hint=_HINT)
    if told is False:
        message = "the HA manager says that the cluster is quorate, /cluster/status that it is not: one of them is stale"
        return case.finding(Severity.WARNING, message, evidence=evidence, hint=_HINT)
    if isinstance(membership, Unknown):
        return case.blind(membership, "membership")
    if isinstance(ha, Unknown):
        return case.blind(ha, "ha")
    if told is None:
        return case.untold(membership, "quorate")
    return None if live else case.untold(ha, "quorate")


def _qdevice(case: Case, _cluster: None) -> Outcome:
    device = case.look.view.device
    assert isinstance(device, Known)
    if device.value == CONNECTED:
        return None
    message = f"the quorum device does not count: it is {device.value}"
    return case.finding(Severity.WARNING, message, evidence=case.look.evidence(device, "State"), hint=_HINT)


def _with_device(look: Look) -> Eligible[None]:
    device = look.view.device
    if look.standalone is True:
        return
    if isinstance(device, Unknown):
        yield look.blind(CLUSTER, device, "device")
    elif device.value is not None:
        yield CLUSTER, None


def _margin(case: Case, _cluster: None) -> Outcome:
    view = case.look.view
    if isinstance(view.membership, Unknown):
        return case.blind(view.membership, "membership")
    if isinstance(view.votes, Unknown):
        return case.blind(view.votes, "votes")
    if isinstance(view.device, Unknown):
        return case.blind(view.device, "device")
    votes, device = view.votes.value, view.device.value
    members = {member.name: member.online for member in view.membership.value.members}
    if members.keys() != votes.keys() or None in members.values():
        return case.untold(view.votes, "the votes of every member")
    online = frozenset(name for name, is_online in members.items() if is_online)
    broken_by = breaks_without(votes, online, device)
    # two nodes alone can never lose one, and what pvectl switched off leaves less to lose: both are so on purpose, and no news
    meant = frozenset(votes) - case.look.away
    at_best = breaks_without(votes, meant, None if device is None else CONNECTED)
    if set(broken_by) <= set(at_best):
        return None
    message = f"one more loss ({' or '.join(broken_by)}) and the cluster is not quorate"
    return case.finding(Severity.WARNING, message, evidence=case.look.evidence(view.votes, "quorum_votes"))


CHECKS = (
    check(
        "cluster.quorum",
        "the cluster is quorate",
        about="cluster",
        sources=("membership", "ha"),
        eligible=_in_cluster,
        examine=_quorum,
    ),
    check(
        "cluster.qdevice",
        "the quorum device counts",
        about="cluster",
        sources=("device",),
        eligible=_with_device,
        examine=_qdevice,
        hold=5 * MINUTE,
    ),
    check(
        "cluster.margin",
        "the cluster can lose one more node",
        about="cluster",
        sources=("membership", "votes", "device"),
        eligible=_in_cluster,
        examine=_margin,
        hold=5 * MINUTE,
    ),
)
