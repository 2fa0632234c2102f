"""The real command as a process of its own, against whatever server a test has.

    home = Home(tmp_path)
    home.connect(server.host(), token_id="root@pam!full", secret="…", ca_file=ca)
    ended = home.pvectl("vm", "list", "-o", "json")
    assert ended.code == 0, ended.err
    ended.json["data"]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple


class Ended(NamedTuple):
    """How a process ended: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Home:
    """A user's home with a configuration directory, and nothing of the real environment but PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "pvectl-config"
        self.config.mkdir(mode=0o700, exist_ok=True)
        self.env: dict[str, str] = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PVECTL_CONFIG_DIR": str(self.config),
            "PVECTL_STATE_DIR": str(folder / "pvectl-state"),
            "LANG": "C.UTF-8",
        }

    def connect(
        self,
        *hosts: str,
        token_id: str,
        secret: str,
        ca_file: str | Path | None = None,
        tls: str | None = None,
        name: str = "lab",
    ) -> Home:
        """Write a proxmox.yml; without a CA file or `tls` text the hosts are plain http on loopback."""
        listed = ", ".join(f'"{host}"' for host in hosts)
        lines = [
            "clusters:",
            f"  {name}:",
            f"    hosts: [{listed}]",
            f'    token_id: "{token_id}"',
            f'    token_value: "{secret}"',
        ]
        if ca_file is not None:
            tls = f'{{ca_file: "{ca_file}"}}'
        lines.append(f"    tls: {tls}" if tls else "    allow_http_loopback: true")
        self.write("proxmox.yml", "\n".join(lines) + "\n")
        return self

    def write(self, name: str, text: str, *, mode: int = 0o600) -> Path:
        file = self.config / name
        file.touch(mode=mode)
        file.chmod(mode)
        file.write_text(text, encoding="utf-8")
        return file

    def command(self, words: Sequence[str]) -> list[str]:
        return [sys.executable, "-m", "pvectl", *words]

    def pvectl(self, *words: str, stdin: str = "", timeout: float = 60, **env: str) -> Ended:
        """Run one command line to its end; there is no terminal on any of its streams."""
        process = subprocess.run(
            self.command(words),
            env=self.env | env,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            cwd=self.folder,
        )
        return Ended(process.returncode, process.stdout, process.stderr)
