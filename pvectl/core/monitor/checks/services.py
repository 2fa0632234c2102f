"""Whether the services run that a node starts by itself."""

from __future__ import annotations

from shlex import quote

from pvectl.core.monitor.checks.check import NOT_HERE, Case, Eligible, Outcome, check
from pvectl.core.monitor.checks.look import Blind, Look
from pvectl.core.monitor.checks.nodes import every_node
from pvectl.core.monitor.checks.settings import MINUTE
from pvectl.core.monitor.finding import Severity, Subject
from pvectl.core.monitor.monitored import NodeFacts, ServiceState

_UP = frozenset({"active", "activating", "reloading", "refreshing"})
_BY_ITSELF = ("enabled", "enabled-runtime")
# the other words of systemctl(1) is-enabled, and pve-manager's own for a unit that is not installed
_NOT_BY_ITSELF = frozenset(
    {"disabled", "masked", "masked-runtime", "static", "indirect", "linked", "linked-runtime", "alias", "generated", "transient", "bad"}
    | {"not-found", "unknown"}
)


def _services(look: Look) -> Eligible[tuple[NodeFacts, ServiceState]]:
    for item in every_node(look):
        if isinstance(item, Blind):
            yield item
            continue
        subject, facts = item
        services = look.of_node(subject, facts.services, "services")
        if isinstance(services, Blind):
            yield services
        elif not services:
            yield Blind(subject=subject, reason=f"node {facts.name} lists no services")
        else:
            for service in services:
                yield Subject(object=f"service/{facts.name}/{service.name}", node=facts.name), (facts, service)


def _runs(case: Case, told: tuple[NodeFacts, ServiceState]) -> Outcome:
    facts, service = told
    if service.name in case.look.settings.ignored_services:
        return NOT_HERE
    # corosync is skipped where its configuration is missing, which is how a single host is
    if service.name == "corosync" and case.look.standalone is True:
        return NOT_HERE
    if service.active_state is None and service.state is None:
        return case.untold(facts.services, f"the state of {service.name}")
    is_up = service.active_state in _UP if service.active_state else service.state == "running"
    if is_up:
        return None
    if service.unit_state not in _BY_ITSELF and service.unit_state not in _NOT_BY_ITSELF:
        return case.untold(facts.services, f"whether {service.name} starts by itself")
    if service.unit_state not in _BY_ITSELF and service.active_state != "failed":
        return NOT_HERE
    how = service.active_state or service.state
    evidence = case.look.evidence(facts.services, "active-state")
    hint = f"on {facts.name}: systemctl status {quote(service.name)}"
    return case.finding(Severity.CRITICAL, f"service {service.name} of node {facts.name} is {how}", evidence=evidence, hint=hint)


CHECKS = (
    check(
        "node.services",
        "the node's services run",
        about="service",
        sources=("node-services",),
        eligible=_services,
        examine=_runs,
        hold=5 * MINUTE,
    ),
)
