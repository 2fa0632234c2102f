"""The verbs only the monitor needs, over the session of the one client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pvectl.core.model import Guest
from pvectl.core.monitor.monitored import (
    BackupJob,
    BackupVolume,
    Ceph,
    Certificate,
    Disk,
    GuestSettings,
    GuestSnapshot,
    Membership,
    MountedStorage,
    NodeStatus,
    Pressure,
    Release,
    Replication,
    Sample,
    ServiceState,
    Subscription,
    ThinPool,
    Updates,
    ZfsPool,
)
from pvectl.errors import ApiRefusal
from pvectl.pve import paths, strict_json, surroundings, watched
from pvectl.pve.fields import Row, object_of
from pvectl.pve.line import Answer


class Watch:
    """Reading verbs that answer with what the checks judge; get it as `client.watch`."""

    def __init__(self, api: Any) -> None:
        self._api = api

    def release(self) -> Release:
        return watched.release(_data(self._api.version.get()), what="/version")

    def membership(self) -> Membership:
        return watched.membership(_rows(self._api.cluster.status.get()), what="/cluster/status")

    def backup_jobs(self) -> tuple[BackupJob, ...]:
        jobs = surroundings.vzdump_jobs(_rows(self._api.cluster.backup.get()), what="/cluster/backup")
        return tuple(watched.backup_job(job) for job in jobs)

    def uncovered(self) -> frozenset[int]:
        """The guests in no backup job, as PVE counts; without those this token may not audit."""
        answer = self._api.cluster("backup-info")("not-backed-up").get()
        return watched.vmids(_rows(answer), what="/cluster/backup-info/not-backed-up")

    def ceph(self) -> Ceph:
        return watched.ceph(_data(self._api.cluster.ceph.status.get()), what="/cluster/ceph/status")

    def node_status(self, node: str) -> NodeStatus:
        return watched.node_status(_data(self._node(node).status.get()), what=f"/nodes/{node}/status")

    def services(self, node: str) -> tuple[ServiceState, ...]:
        return watched.services(_rows(self._node(node).services.get()), what=f"/nodes/{node}/services")

    def storages(self, node: str) -> tuple[MountedStorage, ...]:
        """The storages meant to be on the node; without those this token may not audit."""
        return watched.mounted(_rows(self._node(node).storage.get()), what=f"/nodes/{node}/storage")

    def replication(self, node: str) -> tuple[Replication, ...]:
        return watched.replication(_rows(self._node(node).replication.get()), what=f"/nodes/{node}/replication")

    def pressure(self, node: str) -> Pressure | None:
        answer = self._node(node).rrddata.get(timeframe="hour", cf="AVERAGE")
        return watched.pressure(_rows(answer), what=f"/nodes/{node}/rrddata")

    def disks(self, node: str) -> tuple[Disk, ...]:
        return watched.disks(_rows(self._node(node).disks.list.get()), what=f"/nodes/{node}/disks/list")

    def zfs(self, node: str) -> tuple[ZfsPool, ...]:
        try:
            answer = self._node(node).disks.zfs.get()
        except ApiRefusal as error:
            # without the tools there is no pool (pve-manager PVE/API2/Disks/ZFS.pm)
            if "zfsutils-linux not installed" in error.message:
                return ()
            raise
        return watched.zfs(_rows(answer), what=f"/nodes/{node}/disks/zfs")

    def thin_pools(self, node: str) -> tuple[ThinPool, ...]:
        return watched.thin_pools(_rows(self._node(node).disks.lvmthin.get()), what=f"/nodes/{node}/disks/lvmthin")

    def certificates(self, node: str) -> tuple[Certificate, ...]:
        return watched.certificates(_rows(self._node(node).certificates.info.get()), what=f"/nodes/{node}/certificates/info")

    def subscription(self, node: str) -> Subscription:
        return watched.subscription(_data(self._node(node).subscription.get()), what=f"/nodes/{node}/subscription")

    def updates(self, node: str) -> Updates:
        return watched.updates(_rows(self._node(node).apt.update.get()), what=f"/nodes/{node}/apt/update")

    def storage_history(self, node: str, storage: str) -> tuple[Sample, ...]:
        """A month of what the storage held."""
        answer = self._storage(node, storage).rrddata.get(timeframe="month", cf="AVERAGE")
        return watched.storage_samples(_rows(answer), what=f"/nodes/{node}/storage/{storage}/rrddata")

    def backups(self, node: str, storage: str) -> tuple[BackupVolume, ...]:
        """The backups on a storage; without those this token has no right to."""
        answer = self._storage(node, storage).content.get(content="backup")
        return watched.backups(_rows(answer), what=f"/nodes/{node}/storage/{storage}/content")

    def guest_settings(self, guest: Guest) -> GuestSettings:
        what = f"configuration of {guest.label}"
        options: Mapping[str, Any] = object_of(_data(self._guest(guest).config.get()), what)
        return watched.guest_settings(options, kind=guest.type, what=what)

    def snapshots(self, guest: Guest) -> tuple[GuestSnapshot, ...]:
        return watched.snapshots(_rows(self._guest(guest).snapshot.get()), what=f"snapshots of {guest.label}")

    def _node(self, node: str) -> Any:
        return self._api.nodes(paths.node_id(node))

    def _storage(self, node: str, storage: str) -> Any:
        return self._node(node).storage(paths.storage_id(storage))

    def _guest(self, guest: Guest) -> Any:
        return self._node(guest.node)(paths.guest_kind(guest))(paths.guest_id(guest.vmid))


def _data(answer: Answer) -> Any:
    return strict_json.anything(answer.body)


def _rows(answer: Answer) -> list[Row]:
    return strict_json.rows(answer.body)
