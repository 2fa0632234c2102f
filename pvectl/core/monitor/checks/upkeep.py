"""What runs out or waits to be done on a node: certificates, its subscription, updates."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pvectl.core.amounts import many
from pvectl.core.monitor.checks.check import NOT_HERE, Case, Eligible, Outcome, check
from pvectl.core.monitor.checks.look import Blind, Look
from pvectl.core.monitor.checks.nodes import every_node
from pvectl.core.monitor.checks.settings import DAY
from pvectl.core.monitor.finding import Severity, Subject, Unit
from pvectl.core.monitor.monitored import Certificate, NodeFacts

_OWN, _GIVEN, _ROOT = "pveproxy-ssl.pem", "pve-ssl.pem", "pve-root-ca.pem"


def served(certificates: Iterable[Certificate]) -> Certificate | None:
    """The certificate pveproxy shows: the admin's own where there is one, otherwise the cluster's."""
    by_name = {certificate.filename: certificate for certificate in certificates}
    return by_name.get(_OWN) or by_name.get(_GIVEN)


def _certificates(look: Look) -> Eligible[tuple[NodeFacts, Certificate]]:
    roots: dict[str, tuple[Subject, tuple[NodeFacts, Certificate]]] = {}
    for item in every_node(look):
        if isinstance(item, Blind):
            yield item
            continue
        subject, facts = item
        certificates = look.of_node(subject, facts.certificates, "certificates")
        if isinstance(certificates, Blind):
            yield certificates
            continue
        shown = served(certificates)
        if shown is None:
            yield Blind(subject=subject, reason=f"node {facts.name} lists no certificate of its web server")
        else:
            yield Subject(object=f"certificate/{facts.name}", node=facts.name), (facts, shown)
        # the authority is the same file on every node of a cluster
        for certificate in certificates:
            if certificate.filename == _ROOT:
                roots.setdefault(_ROOT, (Subject(object=f"certificate/{_ROOT}"), (facts, certificate)))
    yield from roots.values()


def _valid(case: Case, told: tuple[NodeFacts, Certificate]) -> Outcome:
    facts, certificate = told
    if certificate.not_after is None:
        return case.untold(facts.certificates, f"how long {certificate.filename} is valid")
    left = _days(case.look.now, certificate.not_after)
    whose = "the cluster's authority" if certificate.filename == _ROOT else f"node {facts.name}'s certificate ({certificate.filename})"
    message = f"{whose} {_ends(left)} ({certificate.not_after:%Y-%m-%d})"
    return case.measured(left, message, evidence=case.look.evidence(facts.certificates, "notafter"))


def _subscription(case: Case, facts: NodeFacts) -> Outcome:
    subscription = case.of_node(facts.subscription, "subscription")
    if isinstance(subscription, Blind):
        return subscription
    evidence = case.look.evidence(facts.subscription, "status")
    if subscription.status is None:
        return case.untold(facts.subscription, "status")
    if subscription.status in ("new", "notfound"):
        return NOT_HERE
    if subscription.status != "active":
        return case.finding(Severity.WARNING, f"node {facts.name}'s subscription is {subscription.status}", evidence=evidence)
    if subscription.due is None:
        return case.untold(facts.subscription, "nextduedate")
    left = _days(case.look.now, subscription.due)
    return case.measured(left, f"node {facts.name}'s subscription {_ends(left)} ({subscription.due:%Y-%m-%d})", evidence=evidence)


def _updates(case: Case, facts: NodeFacts) -> Outcome:
    updates = case.of_node(facts.updates, "updates")
    if isinstance(updates, Blind):
        return updates
    if not updates.security:
        return None
    count = len(updates.security)
    message = f"{count} of {updates.count} updates waiting on node {facts.name} close security holes: {', '.join(updates.security[:5])}"
    evidence = case.look.evidence(facts.updates)
    return case.finding(Severity.WARNING, message, evidence=evidence, hint=f"on {facts.name}: apt update && apt full-upgrade")


def _days(now: datetime, then: datetime) -> float:
    return (then - now).total_seconds() / DAY


def _ends(days: float) -> str:
    return "has expired" if days <= 0 else f"expires in {many(round(days), 'day')}"


CHECKS = (
    check(
        "node.cert",
        "certificates stay valid",
        about="certificate",
        sources=("node-certificates",),
        eligible=_certificates,
        examine=_valid,
        unit=Unit.DAYS,
        falling=True,
    ),
    check(
        "node.subscription",
        "the subscription goes on",
        about="node",
        sources=("node-subscription",),
        eligible=every_node,
        examine=_subscription,
        on=False,
        unit=Unit.DAYS,
        falling=True,
    ),
    check(
        "node.updates",
        "no security update waits",
        about="node",
        sources=("node-updates",),
        eligible=every_node,
        examine=_updates,
        on=False,
    ),
)
