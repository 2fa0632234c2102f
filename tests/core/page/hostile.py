"""A cluster whose every name and word is out to get whoever looks at it."""

from __future__ import annotations

from msgspec.structs import replace

from pvectl.core.evidence import HaService
from pvectl.core.model import Known, Node, Storage, Unknown
from pvectl.core.monitor.monitored import Ceph, CephCheck, Member, MonitorView, Release, Remembered, StorageFacts, TaskLog
from pvectl.core.monitor.page.seen import Beside, IdleNode, Planned
from tests.core.monitor.cluster import GIB, NOW, changed_node, guest, known, listed, listing, node_facts, task, whole
from tests.core.page import pages

EVIL = "\"><script>window.pwned=1</script><img src=x onerror=pwned=1>'</style></title>{x}\x1b[31m\r\n\u202e\u2028&amp;\x00"
LONG = "x" * 300


def view() -> MonitorView:
    made = whole()
    name = f"pve{EVIL}"
    guests = (
        guest(100, name=EVIL, tags=(EVIL, *(f"tag-{number}" for number in range(9))), lock=EVIL, node=name, pool=EVIL, hastate=EVIL),
        guest(101, name=LONG, status=EVIL, type=EVIL, tags=(LONG,)),
    )
    storage = Storage(storage=EVIL, node=name, status="available", plugintype=EVIL, shared=False, disk=99 * GIB, maxdisk=100 * GIB)
    old = listed(made)
    made = listing(
        made,
        guests=(*guests, *old.guests[2:]),
        storages=(*old.storages, storage, replace(storage, storage=LONG)),
        nodes=(*old.nodes, Node(name=name, status="online", cpu=0.99, maxcpu=4, mem=31 * GIB, maxmem=32 * GIB)),
    )
    made = changed_node(made, "pve1", tasks=known(TaskLog(ended=(task("pve1", EVIL, EVIL, status=EVIL),)), "/nodes/pve1/tasks"))
    assert isinstance(made.membership, Known)
    assert isinstance(made.ha, Known)
    members = (*made.membership.value.members, Member(name=name, online=True))
    services = (HaService(sid=EVIL, node=name, state="error", request_state="started"),)
    return replace(
        made,
        cluster=EVIL,
        token_id=f"a@pve!{EVIL}",
        membership=known(replace(made.membership.value, name=EVIL, members=members)),
        ha=known(replace(made.ha.value, services=services, manager=EVIL, lrm=((name, EVIL),))),
        ceph=known(Ceph(health="HEALTH_WARN", checks=(CephCheck(code=EVIL, severity="HEALTH_WARN", summary=EVIL),))),
        release=known(Release(version=EVIL)),
        running=Unknown(reason=EVIL, source="/cluster/tasks"),
        nodes=(*made.nodes, replace(node_facts(name), disks=Unknown(reason=EVIL, source=EVIL))),
        storages=(*made.storages, StorageFacts(storage=EVIL, node=name, shared=False, backups=Unknown(reason=EVIL))),
        remembered=Remembered(),
    )


def html() -> str:
    beside = Beside(
        idle=(IdleNode(node=EVIL, phase=EVIL, verdict=EVIL, detail=EVIL, due=NOW, at=NOW),),
        planned=(Planned(schedule=EVIL, at=NOW, wall=EVIL, tz=EVIL, whom=(EVIL,), then_off=(EVIL,), remarks=(EVIL,)),),
    )
    return pages.html(view(), beside, version=EVIL)
