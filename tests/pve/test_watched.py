"""What the monitor's answers become: values where PVE tells them, None where it does not, a refusal where it makes no sense."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from pvectl.core.monitor.monitored import GuestDisk, Replication
from pvectl.errors import ProtocolError
from pvectl.pve import watched
from tests.contract.recordings import all_recordings

WHAT = "/somewhere"


def test_a_replication_that_never_ran_is_not_one_of_1970() -> None:
    row = {
        "id": "100-0",
        "guest": "100",
        "target": "pve2",
        "type": "local",
        "last_sync": 0,
        "last_try": 0,
        "fail_count": 0,
        "schedule": "*/15",
    }

    assert watched.replication([row], what=WHAT) == (
        Replication(id="100-0", guest=100, target="pve2", schedule="*/15", fail_count=0, never_ran=True),
    )


@pytest.mark.parametrize(("told", "left"), [(98, 0.98), ("98", 0.98), ("N/A", None), (0, 0.0)])
def test_wearout_is_the_life_that_is_left(told: object, left: float | None) -> None:
    assert watched.disks([{"devpath": "/dev/sda", "wearout": told}], what=WHAT)[0].life_left == left


def test_pressure_is_none_before_pve_9_and_unknown_where_nothing_was_recorded() -> None:
    old: list[dict[str, Any]] = [{"time": 1, "cpu": 0.1}, {"time": 2}]
    new: list[dict[str, Any]] = [{"time": 1, "pressurecpusome": 12.5, "pressureiofull": 0, "arcsize": 5}, {"time": 2}]

    assert watched.pressure(old, what=WHAT) is None
    found = watched.pressure(new, what=WHAT)
    assert found is not None
    assert (found.cpu_some, found.io_full, found.arc) == (0.125, 0.0, 5)
    empty = watched.pressure([{"time": 1, "pressurecpusome": None}], what=WHAT)
    assert empty is not None
    assert empty.cpu_some is None


def test_the_disks_of_a_vm_and_what_ties_it_to_its_node() -> None:
    options = {
        "scsi0": "local-lvm:vm-100-disk-0,size=8G",
        "scsi1": "nfs:100/vm-100-disk-1.qcow2,backup=0,size=8G",
        "ide2": "local:iso/debian.iso,media=cdrom",
        "sata0": "/dev/disk/by-id/ata-X",
        "unused0": "local:100/old.qcow2",
        "hostpci0": "0000:01:00.0",
        "hostpci1": "mapping=gpu",
        "usb0": "host=1234:5678",
        "usb1": "spice",
        "meta": "creation-qemu=9.0,ctime=1700000000",
        "onboot": 1,
        "cores": 2,
    }
    found = watched.guest_settings(options, kind="qemu", what=WHAT)

    assert found.disks == (GuestDisk(key="scsi0", storage="local-lvm"), GuestDisk(key="scsi1", storage="nfs", backup=False))
    assert found.bound_to_host == ("hostpci0", "sata0", "usb0")
    assert (found.onboot, found.created_at) == (True, datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC))


def test_of_a_containers_mount_points_only_those_are_backed_up_that_say_so() -> None:
    options = {
        "rootfs": "local:200/vm-200-disk-0.raw,size=8G",
        "mp0": "nfs:vol,mp=/a",
        "mp1": "nfs:vol2,mp=/b,backup=1",
        "mp2": "/srv,mp=/srv",
    }
    found = watched.guest_settings(options, kind="lxc", what=WHAT)

    assert [(disk.key, disk.backup) for disk in found.disks] == [("mp0", False), ("mp1", True), ("rootfs", True)]
    assert (found.onboot, found.bound_to_host, found.created_at) == (False, ("mp2",), None)


def test_the_entry_called_current_is_no_snapshot() -> None:
    rows: list[dict[str, Any]] = [{"name": "before", "snaptime": 1_700_000_000}, {"name": "current", "description": "You are here!"}]

    assert [(snapshot.name, snapshot.taken_at is not None) for snapshot in watched.snapshots(rows, what=WHAT)] == [("before", True)]


def test_only_backups_are_backups() -> None:
    rows = [
        {"volid": "pbs:backup/vm/100/x", "content": "backup", "vmid": 100, "ctime": 1_700_000_000, "verification": {"state": "failed"}},
        {"volid": "pbs:backup/host/x", "content": "backup", "ctime": 1_700_000_000},
        {"volid": "nfs:100/vm.qcow2", "content": "images", "vmid": 100},
    ]
    found = watched.backups(rows, what=WHAT)

    assert [(volume.vmid, volume.verified) for volume in found] == [(100, "failed"), (None, None)]


def test_a_subscription_without_a_date_and_one_with_nonsense() -> None:
    assert watched.subscription({"status": "notfound"}, what=WHAT).due is None
    assert watched.subscription({"status": "active", "nextduedate": "2027-01-02"}, what=WHAT).due == datetime(2027, 1, 2, tzinfo=UTC)
    with pytest.raises(ProtocolError, match="nextduedate"):
        watched.subscription({"status": "active", "nextduedate": "soon"}, what=WHAT)


RETYPED: tuple[tuple[Callable[..., Any], dict[str, Any], str], ...] = (
    (watched.services, {"name": "pveproxy", "state": 1}, "state"),
    (watched.mounted, {"storage": "nfs", "active": "yes"}, "active"),
    (watched.replication, {"id": "100-0", "guest": 100, "fail_count": "many"}, "fail_count"),
    (watched.replication, {"id": "100-0"}, "guest"),
    (watched.disks, {"devpath": "/dev/sda", "wearout": []}, "wearout"),
    (watched.disks, {"devpath": "/dev/sda"}, "wearout"),
    (watched.updates, {"Package": "openssl"}, "Origin"),
    (watched.zfs, {"name": "rpool", "frag": {}}, "frag"),
    (watched.zfs, {"health": "ONLINE"}, "name"),
    (watched.thin_pools, {"lv": "data", "vg": "pve", "metadata_used": "x"}, "metadata_used"),
    (watched.certificates, {"filename": "pve-ssl.pem", "notafter": "tomorrow"}, "notafter"),
    (watched.backups, {"volid": "x:backup/1", "ctime": True}, "ctime"),
    (watched.storage_samples, {"used": 1}, "time"),
    (watched.vmids, {"type": "qemu"}, "vmid"),
    (watched.snapshots, {"name": 5}, "name"),
    (watched.updates, {"Origin": "Debian-Security"}, "Package"),
)


@pytest.mark.parametrize(("read", "row", "field"), RETYPED)
def test_a_field_of_another_type_refuses_the_whole_answer_by_name(read: Callable[..., Any], row: dict[str, Any], field: str) -> None:
    with pytest.raises(ProtocolError, match=f"{WHAT}: {field} is "):
        read([row], what=WHAT)


def test_what_a_real_pve_answered_is_understood() -> None:
    readers: dict[str, Callable[..., Any]] = {
        "/cluster/status": watched.membership,
        "/version": watched.release,
        "/pve1/status": watched.node_status,
        "/snapshot": watched.snapshots,
        "/pve1/replication": watched.replication,
        "/pve1/services": watched.services,
    }
    read = 0
    for recording in all_recordings():
        body = recording.get("body_json")
        path = recording.url.partition("?")[0]
        reader = next((reader for end, reader in readers.items() if path.endswith(end)), None)
        if recording.method == "GET" and recording.get("status") == 200 and body and reader is not None:
            assert reader(json.loads(json.dumps(body))["data"], what=path) is not None
            read += 1
    assert read > 10


@pytest.mark.parametrize(
    "read",
    [
        lambda: watched.ceph({"health": {"checks": {"OSD_DOWN": {"muted": ["no"]}}}}, what=WHAT),
        lambda: watched.disks([{"devpath": "/dev/sda", "wearout": None}], what=WHAT),
        lambda: watched.updates([{"Package": "openssl", "Origin": None}], what=WHAT),
        lambda: watched.backups([{"volid": "pbs:b", "verification": {"of": "whom"}}], what=WHAT),
        lambda: watched.backups([{"volid": "pbs:b", "content": 7}], what=WHAT),
    ],
)
def test_what_would_look_like_good_news_if_it_were_passed_over_makes_no_sense(read: Callable[[], Any]) -> None:
    with pytest.raises(ProtocolError, match=WHAT):
        read()


def test_of_a_storage_only_backups_are_backups() -> None:
    rows: list[dict[str, Any]] = [
        {"volid": "nas:b", "vmid": 1},
        {"volid": "nas:i", "content": "images"},
        {"volid": "nas:c", "content": None},
    ]
    assert [backup.volid for backup in watched.backups(rows, what=WHAT)] == ["nas:b", "nas:c"]
