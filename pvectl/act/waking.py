"""Wakes a node through another one, and waits until it is back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec.structs import replace

from pvectl.act.diary import Diary, Pen
from pvectl.act.ledger import INTERRUPTED
from pvectl.core.amounts import span
from pvectl.core.plan import OutcomeStatus, Wake, WakeOutcome
from pvectl.errors import DeadlineExceeded, NodeUnreachable, OutcomeUnknown, PvectlError, UsageError, WriteForbidden

if TYPE_CHECKING:
    from pvectl.clock import Clock
    from pvectl.pve.client import ProxmoxClient

WITHIN_S = 600
"""How long a node is given to come back, unless told otherwise: servers take minutes before they even load a kernel."""
_ROUND_S = 3.0
_NO_ADDRESS = re.compile(r"No wake on LAN MAC address defined")
_MYSELF = re.compile(r"cannot wake my self")
ALREADY_ONLINE = "already-online"
_NOT_WAITED = "interrupted: the wake-up call was sent, and nobody waits for the node"


def wake(
    node: str, client: ProxmoxClient, clock: Clock, *, diary: Diary | None = None, within: int = WITHIN_S, wait: bool = True
) -> WakeOutcome:
    """Send the node a wake-up call, and wait up to `within` seconds until the cluster has it back and its API answers.

    Nobody learns whether the call was heard but by seeing the node come back; it is sent once. With `wait=False` it is `started`.

    Raises:
        UsageError: the cluster has no such node.
        PvectlError: who is online could not be read; or the node has no address a call could go to. Nothing was sent.
        WriteForbidden: the connection may only read; nothing was sent.
    """
    action, began = Wake(node=node), clock.boottime()
    if _is_online(node, client):
        return WakeOutcome(action=action, status=OutcomeStatus.SKIPPED, error="it is online already", kind=ALREADY_ONLINE)
    _refuse_without_address(node, client)
    pen = Pen(diary)
    intent = pen.intend("wake", action.subject, {"node": node})
    outcome = WakeOutcome(action=action, status=OutcomeStatus.UNKNOWN, sent=True)
    try:
        outcome = replace(outcome, mac=client.wake_on_lan(node), status=OutcomeStatus.STARTED)
        if wait:
            outcome = _come_back(outcome, client, clock, began, within)
    except OutcomeUnknown as error:
        # whether the call went out shows when the node comes back
        outcome = replace(outcome, error=error.message, hint=error.hint, kind=error.kind)
        if wait:
            outcome = _come_back(outcome, client, clock, began, within)
    except WriteForbidden as error:
        pen.ended(intent, OutcomeStatus.SKIPPED, error=error.message)
        raise
    except PvectlError as error:
        pen.ended(intent, OutcomeStatus.FAILED, error=error.message)
        raise _in_words(error, node) from None
    except KeyboardInterrupt:
        outcome = replace(outcome, error=_NOT_WAITED, kind=INTERRUPTED)
    pen.ended(intent, outcome.status, error=outcome.error, took=outcome.took)
    return outcome


def _is_online(node: str, client: ProxmoxClient) -> bool:
    members = client.cluster_status().nodes
    found = next((member for member in members if member.name == node), None)
    if found is None:
        known = ", ".join(sorted(member.name for member in members))
        raise UsageError(f"the cluster has no node {node}", hint=f"its nodes are {known}", subject=f"node/{node}")
    return found.status == "online"


def _refuse_without_address(node: str, client: ProxmoxClient) -> None:
    """Look at the node's setting first, where it can be read.

    Proxmox VE asks the node itself for it (pve-manager PVE/API2/NodeConfig.pm), so of a node that is off only the call itself can tell.
    """
    try:
        address = client.node_config(node).wakeonlan
    except NodeUnreachable:
        return
    if address is None:
        raise _without_address(node)


def _come_back(outcome: WakeOutcome, client: ProxmoxClient, clock: Clock, began: float, within: int) -> WakeOutcome:
    """Wait for the cluster to have the node back, and then for its API."""
    node = outcome.action.node
    while True:
        clock.sleep(_ROUND_S)
        waited = clock.boottime() - began
        try:
            if outcome.online_after is None and _is_online(node, client):
                outcome = replace(outcome, online_after=waited)
            if outcome.online_after is not None:
                client.node_time(node)
                return replace(outcome, status=OutcomeStatus.DONE, took=waited, error=None, hint=None, kind=None)
        except DeadlineExceeded as error:
            return replace(outcome, status=_late(outcome), took=waited, error=f"nobody saw it come back: {error.message}")
        except PvectlError:
            # the cluster may well be busy taking it back
            pass
        if waited >= within:
            so_far = "it is online, but its API does not answer" if outcome.online_after is not None else "it is not online"
            words = outcome.error or f"the wake-up call was sent, and after {span(waited)} {so_far}"
            hint = outcome.hint or "look at its console; is wake-on-LAN switched on in its firmware, and its cable plugged in?"
            return replace(outcome, status=_late(outcome), took=waited, error=words, hint=hint)


def _late(outcome: WakeOutcome) -> OutcomeStatus:
    return OutcomeStatus.TIMED_OUT if outcome.status is OutcomeStatus.STARTED else OutcomeStatus.UNKNOWN


def _in_words(error: PvectlError, node: str) -> PvectlError:
    if _NO_ADDRESS.search(error.message):
        return _without_address(node)
    if _MYSELF.search(error.message):
        words = f"node {node} can only be woken through another node, and the API host that answered is {node} itself"
        return PvectlError(words, hint="name another node among the hosts in proxmox.yml", subject=f"node/{node}")
    return error


def _without_address(node: str) -> PvectlError:
    words = f"node {node} has no wake-on-LAN address in its configuration, so no call could reach it: nothing was sent"
    hint = f"while it is on, on any node: pvesh set /nodes/{node}/config -wakeonlan MAC"
    return PvectlError(words, hint=hint, subject=f"node/{node}")
