"""Which incidents only follow from another one: of a node that is down one message is enough."""

from __future__ import annotations

from collections.abc import Iterable

from pvectl.core.alerts.incident import ACTIVE, Incident
from pvectl.core.monitor.finding import Severity

_QUORUM = "cluster.quorum"
_OFFLINE = "node.offline"
_HA = "ha.service"
_ONBOOT = "guest.onboot_stopped"
_OWN = "self."


class Roots:
    """The incidents others follow from: of those that `explain` anything, the ones that are not over."""

    def __init__(self, incidents: Iterable[Incident]) -> None:
        self._active: set[str] = set()
        self._quorum: str | None = None
        self._nodes: dict[str | None, str] = {}
        self._guests: dict[str, str] = {}
        for incident in incidents:
            if incident.phase not in ACTIVE or incident.blind:
                continue
            finding = incident.finding
            self._active.add(finding.id)
            if finding.check == _QUORUM and finding.severity is Severity.CRITICAL:
                self._quorum = finding.id
            elif finding.check == _OFFLINE:
                self._nodes[finding.node] = finding.id
            elif finding.check == _HA:
                self._guests[f"guest/{finding.object.rpartition(':')[2]}"] = finding.id
        self._nodes.pop(None, None)

    def of(self, incident: Incident) -> str | None:
        """The finding this incident follows from; None: it stands for itself."""
        finding = incident.finding
        if self._quorum is not None and finding.check != _QUORUM and not finding.check.startswith(_OWN):
            return self._quorum
        if finding.cause is not None and finding.cause in self._active:
            return finding.cause
        if finding.node in self._nodes and finding.check != _OFFLINE:
            return self._nodes[finding.node]
        if finding.check == _ONBOOT:
            return self._guests.get(finding.object)
        return None
