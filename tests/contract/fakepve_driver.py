"""Runs fakepve as a process of its own: a scenario comes in as JSON, the port goes out, and the end of stdin ends it.

Started by fakepve.py with the interpreter's safe path; nothing of pvectl or its tests is imported here, and no test imports this.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from fakepve.server import FakePve  # type: ignore[import-untyped]


async def serve(given: dict[str, Any]) -> None:
    pve = FakePve(host="127.0.0.1", port=0)
    pve.version, pve.release_version, pve.cluster_name = given["version"]["version"], given["version"]["release"], given["name"]
    del pve.storages["local-lvm"]
    for name, node in given["nodes"].items():
        pve.add_node(name, online=node.get("status") != "offline")
    for guest in given["guests"]:
        config = {"tags": guest["tags"]} if guest.get("tags") else {}
        common = {"node": guest["node"], "status": guest["status"], "template": bool(guest.get("template")), "lock": guest.get("lock")}
        if guest["type"] == "lxc":
            added = pve.add_ct(guest["vmid"], guest["name"], config={**config, **given["container_lines"]}, **common)
        else:
            added = pve.add_vm(guest["vmid"], guest["name"], config={**config, **given["vm_lines"]}, **common)
            added.acpi = guest.get("acpi", True)
    pve.apitokens = {token: values["secret"] for token, values in given["tokens"].items()}
    for who, path, privileges in given["grants"]:
        pve.grant(who, path, *privileges)
    await pve.start(given["certificate"], given["certificate"])
    sys.stdout.write(f"{pve.port}\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await pve.stop()


if __name__ == "__main__":
    asyncio.run(serve(json.loads(sys.stdin.readline())))
