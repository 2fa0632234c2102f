"""What a real Proxmox VE answered, judged by each check there is an answer for; and the same cluster judged at fakepve."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from pvectl.clock import SystemClock
from pvectl.core.monitor.checks.evaluation import Evaluation, evaluate
from pvectl.core.monitor.checks.registry import CHECKS, wanted
from pvectl.core.monitor.checks.sources import SOURCES
from pvectl.core.monitor.finding import Severity
from pvectl.core.secret import Secret
from pvectl.observe.monitor import Asking, Memory, look
from pvectl.pve.client import ProxmoxClient
from pvectl.pve.transport import Connection, Deadline, Trust
from tests.contract.exchange import Door
from tests.contract.monitor_answers import SETTINGS, judged
from tests.contract.recordings import all_recordings, one
from tests.contract.side_by_side import FULL, SECRET, both_doors

pytestmark = pytest.mark.xdist_group("fakepve")


class Told(Struct, frozen=True, kw_only=True):
    """Recorded answers, `release/group/name` by the path they answer, and what has to become of them: how bad each object is."""

    check: str
    answers: Mapping[str, str]
    told: Mapping[str, str | None]


RECORDED = datetime(2026, 11, 22, 20, tzinfo=UTC)
"""Shortly after the recordings were made."""
RIGHTS = {"/access/permissions": "8.4/perm/permissions_full", "/access/acl": "8.4/misc/get_access_acl"}
STATUS, HA, RESOURCES = "/cluster/status", "/cluster/ha/status/current", "/cluster/resources"
ALONE = "8.4/nodes/cluster_status_full"
OFF, NOBODY = "8.4/quorate_node_offline", "8.4/no_quorum"


def listed(release: str, *, status: str = ALONE) -> dict[str, str]:
    return {STATUS: status, RESOURCES: f"{release}/resources/all_full"}


def of_guest(release: str, vmid: int, asked: str, name: str) -> dict[str, str]:
    return {**listed(release), f"/nodes/pve1/qemu/{vmid}/{asked}": f"{release}/guests/{name}"}


TOLD = (
    Told(
        check="cluster.quorum",
        answers={STATUS: f"{NOBODY}/cluster_status", HA: f"{NOBODY}/ha_status"},
        told={"cluster": "critical"},
    ),
    # the stale page of a cluster that has its quorum back, which the HA manager knows of
    Told(check="cluster.quorum", answers={STATUS: f"{OFF}/cluster_status", HA: f"{OFF}/ha_status"}, told={"cluster": "warning"}),
    Told(check="cluster.quorum", answers={STATUS: ALONE, HA: "9.2/ha/status_current"}, told={"cluster": None}),
    Told(
        check="node.offline",
        answers={STATUS: f"{OFF}/cluster_status", RESOURCES: f"{OFF}/resources_full"},
        told={"node/pve1": "ok", "node/pve2": "critical"},
    ),
    Told(
        check="node.stats_stale",
        answers={STATUS: ALONE, RESOURCES: "8.4/no_pvestatd/resources_full"},
        told={"node/pve1": "warning"},
    ),
    *(Told(check="node.stats_stale", answers=listed(release), told={"node/pve1": "ok"}) for release in ("8.4", "9.2")),
    *(Told(check="node.cpu", answers=listed(release), told={"node/pve1": "ok"}) for release in ("8.4", "9.2")),
    *(Told(check="node.mem", answers=listed(release), told={"node/pve1": "ok"}) for release in ("8.4", "9.2")),
    # the recorded host has no swap at all
    *(
        Told(
            check=check, answers={**listed(release), "/nodes/pve1/status": f"{release}/guests/localhost_as_node"}, told={"node/pve1": told}
        )
        for release in ("8.4", "9.2")
        for check, told in (("node.rootfs", "ok"), ("node.iowait", "ok"), ("node.swap", None))
    ),
    *(
        Told(
            check=check,
            answers={**listed(release), "/nodes/pve1/rrddata": f"{release}/misc/get_nodes_pve1_rrddata_timeframe=hour"},
            # 8.4 knows no pressure, which is no gap
            told={"node/pve1": "ok" if release == "9.2" else None},
        )
        for release in ("8.4", "9.2")
        for check in ("node.psi_cpu", "node.psi_io", "node.psi_memory")
    ),
    # the recorded host has no systemd: a list without a single service is nothing to call fine
    Told(
        check="node.services",
        answers={**listed("9.2"), "/nodes/pve1/services": "9.2/misc/get_nodes_pve1_services"},
        told={"node/pve1": "unknown"},
    ),
    # without a subscription there is none to end
    Told(
        check="node.subscription",
        answers={**listed("8.4"), "/nodes/pve1/subscription": "8.4/misc/get_nodes_pve1_subscription"},
        told={"node/pve1": None},
    ),
    *(Told(check="storage.usage", answers=listed(release), told={"storage/pve1/local": "ok"}) for release in ("8.4", "9.2")),
    *(
        Told(
            check="guest.onboot_stopped", answers=of_guest("9.2", vmid, "config", f"qemu_{vmid}_config_full"), told={f"guest/{vmid}": told}
        )
        for vmid, told in ((102, "warning"), (107, None))
    ),
    *(
        Told(check=check, answers=listed(release), told={"guest/101": "ok"})
        for release in ("8.4", "9.2")
        for check in ("guest.cpu", "guest.mem")
    ),
    *(
        Told(check="guest.snapshot_age", answers=of_guest(release, 107, "snapshot", "qemu_107_snapshots"), told={"guest/107": "critical"})
        for release in ("8.4", "9.2")
    ),
    *(
        Told(
            check=check,
            answers={**listed(release), "/cluster/tasks": f"{release}/tasks/running_cluster_tasks"},
            # pvectl sees these locks for the first time
            told={"guest/104": "ok", "guest/202": "ok", "guest/101": "ok"},
        )
        for release in ("8.4", "9.2")
        for check in ("guest.lock_age", "guest.lock_orphan")
    ),
    # there is no job at all, so that no guest is in one
    *(
        Told(
            check="backup.uncovered",
            answers={**listed(release), "/cluster/backup": f"{release}/misc/get_cluster_backup"},
            told={"guest/101": "warning", "guest/202": "warning", "guest/103": None},
        )
        for release in ("8.4", "9.2")
    ),
    *(
        Told(
            check="task.failed",
            answers={**listed(release), "/nodes/pve1/tasks": f"{release}/tasks/list_limit_big"},
            told={"task/pve1/qmshutdown/101": "warning", "task/pve1/qmstart/101": "ok"},
        )
        for release in ("8.4", "9.2")
    ),
    *(
        Told(check="ha.service", answers={STATUS: ALONE, HA: f"{release}/ha/status_current"}, told={"ha/vm:102": "ok"})
        for release in ("8.4", "9.2")
    ),
    Told(check="ha.disarmed", answers={STATUS: ALONE, HA: "9.2/ha/status_current"}, told={"cluster": "ok"}),
    Told(check="ha.disarmed", answers={STATUS: ALONE, HA: "8.4/ha/status_current"}, told={"cluster": None}),
)

NOT_RECORDED = {
    "cluster.qdevice": "device",
    "cluster.margin": "votes",
    "node.cert": "node-certificates",
    "node.updates": "node-updates",
    "disk.smart": "node-disks",
    "disk.wear": "node-disks",
    "zfs.health": "node-zfs",
    "zfs.frag": "node-zfs",
    "zfs.cap": "node-zfs",
    "lvmthin.meta": "node-thin_pools",
    "storage.days_to_full": "storage-history",
    "storage.inactive": "node-storages",
    "backup.age": "storage-backups",
    "backup.verify": "storage-backups",
    "replication.failed": "node-replication",
    "replication.age": "node-replication",
    "ceph.health": "ceph",
    "cluster.n1": "votes",
}
"""The checks whose source nobody recorded, with that source: the recorded host had no such thing."""
OTHERWISE = {
    "node.clock": "a clock is read against the moment it is asked, and that moment is long past",
    "ha.manager": "the recorded HA manager never ran, so there is no row of it",
    "self.delivery": "it asks Proxmox VE nothing",
}
"""The checks that recorded answers cannot show, although there are some."""


def answered(told: Told) -> dict[str, Any]:
    found = {}
    for path, key in {**RIGHTS, **told.answers}.items():
        release, group, name = key.split("/", 2)
        found[path] = one(release, group, name).get("body_json")["data"]
    return found


@pytest.mark.parametrize("told", [pytest.param(told, id=f"{told.check}-{number}") for number, told in enumerate(TOLD)])
def test_recorded_answers_are_judged_as_what_they_are(told: Told) -> None:
    answers = answered(told)
    evaluation = judged(answers, before=Memory(), now=RECORDED)
    assert {object_: stands(evaluation, told.check, object_) for object_ in told.told} == told.told


def stands(evaluation: Evaluation, check: str, object_: str) -> str | None:
    found = evaluation.severity_of(check, object_)
    return None if found is None else found.value


def test_every_check_is_shown_a_recorded_answer_where_there_is_one() -> None:
    shown = {told.check for told in TOLD}
    assert shown.isdisjoint(NOT_RECORDED)
    assert shown.isdisjoint(OTHERWISE)
    assert shown | NOT_RECORDED.keys() | OTHERWISE.keys() == CHECKS.keys()


@pytest.mark.parametrize("source", sorted(set(NOT_RECORDED.values())))
def test_what_is_said_not_to_be_recorded_is_not(source: str) -> None:
    pattern = re.escape("/api2/json" + SOURCES[source].path).replace(r"\{", "{").replace(r"\}", "}")
    pattern = re.sub(r"\{[a-z]+\}", "[^/?]+", pattern) + r"(\?.*)?"
    asked = [recording for recording in all_recordings() if recording.method == "GET" and re.fullmatch(pattern, recording.url)]
    assert [recording.key for recording in asked if recording.get("status") == 200 and recording.get("body_json")["data"]] == []


def judged_at(door: Door, folder: Path) -> Evaluation:
    connection = Connection(
        cluster="lab", hosts=(f"{door.host}:{door.port}",), token_id=FULL, token=Secret(SECRET), trust=Trust(ca_file=str(folder / "ca.pem"))
    )
    with ProxmoxClient.get_instance(connection, deadline=Deadline(30), read_only=True) as client:
        view, _after = look(client, SystemClock(), asking=Asking(wanted=wanted(SETTINGS)), before=Memory())
    return evaluate(view, SETTINGS)


TOKEN = "its list of rights lacks the roots, so that nobody can tell what it leaves out"
MADE_OF_WORDS = "its answer is made of the words `fake` and `pve1`, with fields of the wrong kind or none"
FAKE = {
    "cluster.quorum": MADE_OF_WORDS,
    "node.rootfs": "its node tells no root file system",
    "node.iowait": "its node tells no `wait`",
    "node.psi_cpu": "its rrddata knows no pressure",
    "node.psi_io": "its rrddata knows no pressure",
    "node.psi_memory": "its rrddata knows no pressure",
    "node.services": "it lists four services",
    "node.cert": "it has no certificate authority",
    "disk.smart": MADE_OF_WORDS,
    "disk.wear": MADE_OF_WORDS,
    "zfs.health": MADE_OF_WORDS,
    "zfs.frag": MADE_OF_WORDS,
    "zfs.cap": MADE_OF_WORDS,
    "lvmthin.meta": MADE_OF_WORDS,
    "storage.usage": "the storages of a node that is off are unknown and without figures (recorded)",
    "storage.days_to_full": "the storages of a node that is off are unknown and without figures (recorded)",
    "storage.inactive": TOKEN,
    "task.failed": TOKEN,
    "replication.failed": MADE_OF_WORDS,
    "replication.age": MADE_OF_WORDS,
    "ha.service": MADE_OF_WORDS,
    "ha.manager": MADE_OF_WORDS,
    "ha.disarmed": MADE_OF_WORDS,
    "ceph.health": "it says that there is a Ceph, and that it is fine",
}
"""The checks that judge fakepve otherwise than the simulated cluster, and why; each has to be needed."""
FINE_AT_FAKEPVE = {"storage.usage", "storage.days_to_full"}
"""Where fakepve makes up figures nobody could have."""


@pytest.mark.slow
def test_the_simulated_cluster_and_fakepve_are_judged_alike(tmp_path: Path) -> None:
    with both_doors(tmp_path, speed=1) as (stage, theirs):
        ours, other = judged_at(stage.door, tmp_path), judged_at(theirs, tmp_path)
    differ = {check for check in CHECKS if essence(ours, check) != essence(other, check)}
    assert differ == FAKE.keys()
    # and nothing that is bad or unknown here is fine there
    lost = {
        finding.check
        for finding in ours.findings
        if finding.severity is not Severity.OK and other.severity_of(finding.check, finding.object) is Severity.OK
    }
    assert lost == FINE_AT_FAKEPVE


def essence(evaluation: Evaluation, check: str) -> Any:
    verdict = next(one for one in evaluation.verdicts if one.check == check)
    bad = {(finding.object, finding.severity) for finding in verdict.findings if finding.severity is not Severity.OK}
    return verdict.examined, verdict.eligible, verdict.left_out, bad
