"""Root who looks after a service's alerts by hand leaves nothing behind that the service's user cannot open."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.store.stage import MEMORY, other

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
SERVICE = 64123


def test_root_goes_on_as_the_owner_of_the_state_until_all_that_is_written_is_given_back() -> None:
    code = f"""
from pvectl.cli.context import Options, Run
from pvectl.config.schema import PvectlFile
from pvectl.pve.transport import Connection, Trust

connection = Connection(cluster=LAB, hosts=("127.0.0.1:1",), token_id="a@pve!b", token="x", trust=Trust(), allow_http_loopback=True)
run = Run(connection=connection, jobs=PvectlFile(), clock=clock)
run.options = Options(state_dir=str(directory))
run.store("write")
run.store("alert")
say(sorted((path.name, path.stat().st_uid) for path in (directory / LAB).iterdir() if path.stat().st_uid != {SERVICE}))
say(os.geteuid())
run.give_back("alert")
say(os.geteuid())
run.store("read")
run.give_back("write")
say(os.geteuid())
run.close()
"""
    with TemporaryDirectory(prefix="pvectl-test-", dir=MEMORY) as folder:
        Path(folder).chmod(0o755)
        directory = Path(folder, "state")
        directory.mkdir(mode=0o700)
        os.chown(directory, SERVICE, SERVICE)
        with other(directory, code) as process:
            assert process.ended() == (0, f"[]\n{SERVICE}\n{SERVICE}\n0\n")
