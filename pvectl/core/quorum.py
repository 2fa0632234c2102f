"""Whether a cluster stays quorate when one of its nodes goes away, counted from its corosync votes and its quorum device."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from pvectl.core.evidence import Device, Member
from pvectl.core.model import Unknown

# what corosync-qdevice calls its algorithms in its status, and what corosync.conf calls them
_ONE_VOTE = frozenset({"ffsplit", "fifty-fifty split"})
_LAST_STANDING = frozenset({"lms", "last man standing"})
_PAIR = 2


class Remains(Struct, frozen=True, kw_only=True):
    """The votes of a cluster: all there are, those needed, those there just now, and those left without the node."""

    expected: int
    needed: int
    now: int
    after: int

    @property
    def quorate_after(self) -> bool:
        return self.after >= self.needed


def without(node: str, members: Sequence[Member], device: Device | None) -> Remains | Unknown:
    """The votes with and without `node`; Unknown where they cannot be told, and that is never permission (safety rule S21).

    What corosync was told at run time (expected votes, last_man_standing) does not show in PVE's API, so that this can be too strict.
    """
    if node not in {member.name for member in members}:
        return Unknown(reason=f"{node} is not among the cluster's nodes")
    for member in members:
        if member.votes is None:
            return Unknown(reason=f"the votes of node {member.name} are not known")
    device_votes = _votes_of(device, len(members))
    if isinstance(device_votes, Unknown):
        return device_votes
    votes = {member.name: member.votes or 0 for member in members}
    there = sum(votes[member.name] for member in members if member.online)
    there_after = sum(votes[member.name] for member in members if member.online and member.name != node)
    counted = device_votes if device is not None and device.connected else 0
    expected = sum(votes.values()) + device_votes
    return Remains(expected=expected, needed=expected // 2 + 1, now=there + counted, after=there_after + counted)


def lacks_a_third(members: Sequence[Member], device: Device | None) -> bool:
    """Whether it is two nodes without a quorum device: neither can ever do without the other."""
    return len(members) == _PAIR and device is None


def _votes_of(device: Device | None, nodes: int) -> int | Unknown:
    """A device's votes follow from its algorithm (pve-cluster PVE/CLI/pvecm.pm: one for ffsplit, all nodes but one for lms)."""
    if device is None:
        return 0
    algorithm = (device.algorithm or "").strip().lower()
    if algorithm in _ONE_VOTE:
        return 1
    if algorithm in _LAST_STANDING:
        return nodes - 1
    return Unknown(reason="what the quorum device's vote weighs is not known")
