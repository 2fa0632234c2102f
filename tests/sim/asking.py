"""A cluster that stands still in time, and a caller who asks it straight, without HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pvectl.sim.clock import VirtualClock
from pvectl.sim.cluster import SimCluster
from pvectl.sim.wire import Answer, Request

NOON = 1_790_000_000
SECRET = "11111111-1111-4111-8111-111111111111"
ROOT_TOKEN = "root@pam!full"


class Lab:
    """A cluster, and whoever calls it: root's token unless another is named."""

    def __init__(self, scenario: Mapping[str, Any]) -> None:
        people = {ROOT_TOKEN: {"secret": SECRET, "privsep": 0}}
        merged = {"name": "lab", "now": NOON, "nodes": {"pve1": {}, "pve2": {}, "pve3": {}}, **scenario}
        merged["tokens"] = {**people, **{name: {"secret": SECRET, **values} for name, values in scenario.get("tokens", {}).items()}}
        self.cluster = SimCluster(merged, clock=VirtualClock(0, start=NOON))

    def ask(
        self, method: str, path: str, *, token: str | None = ROOT_TOKEN, via: str = "pve1", params: Mapping[str, Any] | None = None
    ) -> Answer:
        """One call, as the answer object."""
        given = {key: value if isinstance(value, list | dict | bool) else str(value) for key, value in (params or {}).items()}
        header = None if token is None else f"PVEAPIToken={token}={SECRET}"
        return self.cluster.answer(Request(method=method, path=path, params=given, authorization=header, cookie=None, node=via, headers={}))

    def get(self, path: str, /, *, token: str = ROOT_TOKEN, via: str = "pve1", **params: Any) -> Any:
        """The data of a call that has to succeed."""
        answer = self.ask("GET", path, token=token, via=via, params=params)
        assert answer.status == 200, (answer.status, answer.reason, answer.errors)
        return answer.data

    def post(self, path: str, /, *, token: str = ROOT_TOKEN, via: str = "pve1", **params: Any) -> Any:
        answer = self.ask("POST", path, token=token, via=via, params=params)
        assert answer.status == 200, (answer.status, answer.reason, answer.errors)
        return answer.data

    def refused(self, method: str, path: str, /, *, token: str | None = ROOT_TOKEN, via: str = "pve1", **params: Any) -> tuple[int, str]:
        """Status and reason of a call that has to fail."""
        answer = self.ask(method, path, token=token, via=via, params=params)
        assert answer.status != 200, answer.data
        return answer.status, answer.reason

    def wrong(self, method: str, path: str, /, **params: Any) -> Mapping[str, str]:
        """What a 400 says about each parameter."""
        answer = self.ask(method, path, params=params)
        assert (answer.status, answer.reason) == (400, "Parameter verification failed.")
        return answer.errors or {}

    def put_config(self, vmid: int, *, kind: str = "qemu", node: str = "pve1", token: str = ROOT_TOKEN, **params: Any) -> Answer:
        return self.ask("PUT", f"/nodes/{node}/{kind}/{vmid}/config", token=token, params=params)

    def config(self, vmid: int, *, kind: str = "qemu", node: str = "pve1") -> dict[str, Any]:
        data: dict[str, Any] = self.get(f"/nodes/{node}/{kind}/{vmid}/config")
        return data

    def advance(self, seconds: float) -> None:
        self.cluster.advance(seconds)

    def task(self, upid: str) -> dict[str, Any]:
        data: dict[str, Any] = self.get(f"/nodes/{upid.split(':')[1]}/tasks/{upid}/status")
        return data

    def task_log(self, upid: str) -> list[str]:
        return [line["t"] for line in self.get(f"/nodes/{upid.split(':')[1]}/tasks/{upid}/log")]

    def finish(self, upid: str, *, patience: float = 600) -> tuple[str, float]:
        """How a task ended, and after how many virtual seconds."""
        took = 0.0
        while self.task(upid)["status"] == "running":
            assert took < patience, "the task does not end"
            self.advance(0.5)
            took += 0.5
        return self.task(upid)["exitstatus"], took

    def row(self, subject: str, *, token: str = ROOT_TOKEN, via: str = "pve1") -> dict[str, Any]:
        """One row of /cluster/resources."""
        rows = {row["id"]: row for row in self.get("/cluster/resources", token=token, via=via)}
        row: dict[str, Any] = rows[subject]
        return row

    def shown(self, *, token: str = ROOT_TOKEN) -> set[int]:
        """The guests /cluster/resources shows."""
        return {row["vmid"] for row in self.get("/cluster/resources", token=token, type="vm")}


def vm(vmid: int, **values: Any) -> dict[str, Any]:
    """A running VM on pve1, unless said otherwise."""
    return {"vmid": vmid, "type": "qemu", "node": "pve1", "name": f"vm{vmid}", "status": "running", **values}


def ct(vmid: int, **values: Any) -> dict[str, Any]:
    """A running container on pve1, unless said otherwise."""
    return vm(vmid, **{"type": "lxc", "name": f"ct{vmid}", **values})
