"""Everything one run of pvectl has around it: options, streams, environment, clock and the client; replaced whole in tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Literal, TextIO

from msgspec import Struct

from pvectl.cli import layout, output
from pvectl.clock import Clock, SystemClock
from pvectl.errors import BadState, ExitCode, PvectlError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from rich.progress import Progress

    from pvectl.config.clusters import Connections
    from pvectl.config.receivers import Secrets
    from pvectl.config.schema import PvectlFile
    from pvectl.core.model import ClusterView
    from pvectl.logs import Log
    from pvectl.pve.client import ProxmoxClient
    from pvectl.pve.transport import Connection, Deadline, Exchange
    from pvectl.store import Store

READ_DEADLINE = 60


class Options(Struct, frozen=True, kw_only=True):
    """The options every command shares. `deadline` is in seconds; None leaves the choice to the command."""

    format: output.Format = "text"
    cluster: str | None = None
    config_dir: str | None = None
    state_dir: str | None = None
    quiet: bool = False
    verbose: int = 0
    deadline: int | None = None


class Run:
    """One run of one command."""

    def __init__(
        self,
        *,
        env: Mapping[str, str] | None = None,
        stdin: TextIO | None = None,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
        clock: Clock | None = None,
        connection: Connection | None = None,
        jobs: PvectlFile | None = None,
        log: Log | None = None,
    ) -> None:
        streams = output.default_streams()
        self.env = dict(os.environ if env is None else env)
        self.stdin = stdin or streams[0]
        self.stdout = stdout or streams[1]
        self.stderr = stderr or streams[2]
        self.clock: Clock = clock or SystemClock()
        self.options = Options()
        self.command = "error"
        self.interrupted_by = ExitCode.INTERRUPTED
        self.was_interrupted = False
        """A signal has ended it before its time, whatever its exit code says: an unknown outcome says more."""
        self._connections: Connections | None = None
        self._connection = connection
        self.reads_no_file = connection is not None
        self._client: ProxmoxClient | None = None
        self._deadline: Deadline | None = None
        self._log = log
        self._jobs = jobs
        self._secrets: Secrets | None = None
        self._stores: dict[str, Store] = {}
        self._at_the_end: list[Callable[[], object]] = []
        self.id = os.urandom(4).hex()

    @property
    def cluster(self) -> str | None:
        """The name of the cluster this run speaks to, None before it is known."""
        return self._connection.cluster if self._connection else self.options.cluster

    def speak_to(
        self, connection: Connection, *, clock: Clock, jobs: PvectlFile, state_dir: Path, at_the_end: Callable[[], object]
    ) -> None:
        """From here on speak to this cluster, on its time, whatever the files say; `at_the_end` is called when the run closes."""
        self._connection = connection
        self.reads_no_file = True
        self.clock = clock
        self._jobs = jobs
        self.env["STATE_DIRECTORY"] = str(state_dir)
        self._at_the_end.append(at_the_end)

    def cluster_name(self) -> str:
        """Which cluster this run is about, for commands that ask nobody; no secret is fetched."""
        if self._connection is not None:
            return self._connection.cluster
        from pvectl.config.load import choose_cluster

        return choose_cluster(self._clusters(), self.options.cluster)

    def connection(self) -> Connection:
        """Where the cluster is and how to prove who we are: from proxmox.yml, unless the run was made with one."""
        if self._connection is None:
            from pvectl.config.load import resolve
            from pvectl.pve.transport import Connection, Trust

            limit = self._deadline.left() if self._deadline else 10.0
            chosen = resolve(self._clusters(), self.options.cluster, self._directory(), self.env, limit=limit)
            self._connection = Connection(
                cluster=chosen.name,
                hosts=chosen.hosts,
                token_id=chosen.token_id,
                token=chosen.token,
                trust=Trust(ca_file=chosen.ca_file, fingerprints=chosen.fingerprints, insecure=chosen.insecure),
                allow_http_loopback=chosen.allow_http_loopback,
            )
        return self._connection

    def client(self, *, read_only: bool = True, deadline: float = READ_DEADLINE) -> ProxmoxClient:
        """The one client of this run. `read_only` makes any write raise; `deadline` in seconds gives way to `--deadline`."""
        if self._client is None:
            from pvectl.pve.client import ProxmoxClient
            from pvectl.pve.transport import Deadline

            self._deadline = Deadline(self.options.deadline or deadline)
            told = self._tell_exchange if self.options.verbose else None
            connection = self.connection()
            self._client = ProxmoxClient.get_instance(connection, deadline=self._deadline, read_only=read_only, on_exchange=told)
        return self._client

    def take_time(self, seconds: float) -> None:
        """Let the rest of the run take this long; what `--deadline` says stays."""
        if self._deadline is not None and self.options.deadline is None:
            self._deadline.begin_again(seconds)

    def time_for(self, seconds: float) -> Deadline:
        """So many seconds from now, or what `--deadline` leaves of them."""
        from pvectl.pve.transport import Deadline

        if self.options.deadline is None:
            return Deadline(seconds)
        if self._deadline is None:
            self._deadline = Deadline(self.options.deadline)
        return Deadline(min(seconds, self._deadline.left()))

    def _tell_exchange(self, exchange: Exchange) -> None:
        self.log.debug(
            "api.request",
            method=exchange.method,
            path=exchange.path.removeprefix("/api2/json"),
            host=exchange.host,
            status=exchange.status,
            ms=round(exchange.took * 1000, 1),
        )

    def jobs(self) -> PvectlFile:
        """What pvectl.yml says; its defaults where there is none."""
        if self._jobs is None:
            from pvectl.config.load import load_jobs

            self._jobs = load_jobs(self._directory(), self.env)
        return self._jobs

    def _directory(self) -> Path:
        from pvectl.config.places import find_config_dir

        return find_config_dir(self.options.config_dir, self.env)

    def _clusters(self) -> Connections:
        # read once: a file that changes meanwhile must not make one run speak to one cluster and remember another
        if self._connections is None:
            from pvectl.config.load import load_connections

            self._connections = load_connections(self._directory(), self.env)
        return self._connections

    def secrets(self) -> Secrets:
        """Where the receivers of this run get their secrets from; each is fetched once, when it is needed."""
        if self._secrets is None:
            from pathlib import Path

            from pvectl.config.receivers import Secrets

            if self.reads_no_file:
                self._secrets = Secrets(Path(), self.env, {})
            else:
                self._secrets = Secrets(self._directory(), self.env, self._clusters().secrets)
        return self._secrets

    def store(self, purpose: Literal["write", "alert", "hold", "read"], *, patience: float = 0.0) -> Store:
        """What pvectl remembers of this cluster.

        To run a job ("write") or the alerts ("alert") and keep that lock until the end, to write a line beside them ("hold"), or to read;
        `patience` is how many seconds to wait for another run of the alerts.
        """
        if purpose not in self._stores:
            from pvectl import store

            directory = store.state_dir(self.options.state_dir, self.env)
            cluster = self.cluster_name()
            if purpose != "read":
                self._become_owner_of(directory)
            if purpose == "write":
                opened = store.open_to_write(directory, cluster, self.clock)
            elif purpose == "alert":
                opened = store.open_to_alert(directory, cluster, self.clock, patience=patience)
            elif purpose == "hold":
                opened = store.open_beside(directory, cluster, self.clock)
            else:
                opened = store.open_to_read(directory, cluster, self.clock)
            self._stores[purpose] = opened.__enter__()
            for warning in opened.warnings:
                self.say(f"pvectl: {warning}")
        return self._stores[purpose]

    def give_back(self, purpose: Literal["write", "alert", "hold", "read"]) -> None:
        """Close what the run has of its memory before it ends: the lock is free again, and root is root again."""
        if purpose in self._stores:
            self._stores.pop(purpose).__exit__(None, None, None)
        # what is still open to be written goes on as its owner
        if os.getuid() == 0 != os.geteuid() and not self._stores.keys() - {"read"}:
            os.seteuid(0)
            os.setegid(os.getgid())

    def _become_owner_of(self, directory: Path) -> None:
        """Root who writes what the service's user remembers goes on as that user, so that the service can still read and write it."""
        try:
            owner = directory.stat()
        except OSError:
            return
        if os.geteuid() != 0 or owner.st_uid == 0:
            return
        # secrets and settings are root's to read, so that comes first
        self.connection()
        with suppress(PvectlError):
            section = self.jobs().alert
            if section.receivers:
                from pvectl.config.receivers import sources_of

                self.secrets().read_ahead(source for _, source in sources_of(section))
        os.setegid(owner.st_gid)
        os.seteuid(owner.st_uid)

    def store_to_act(self) -> Store:
        """The store to run a job with, for commands that do nothing else than act.

        Raises:
            BadState: what was remembered had to be set aside; that is said once, before anything is done.
        """
        store = self.store("write")
        if store.set_aside is not None:
            hint = "what it kept lies beside it, and a new one was begun; run it again"
            raise BadState(f"the state file {store.set_aside}; nothing was changed", hint=hint)
        return store

    def view(self, *, quorum: bool = False) -> ClusterView:
        """One look at the cluster, for commands that only read."""
        from pvectl import observe

        return observe.look(self.client(), self.clock, quorum=quorum)

    @property
    def log(self) -> Log:
        """Events of this run, on stderr."""
        if self._log is None:
            from pvectl.logs import Log, threshold

            level = threshold(quiet=self.options.quiet, verbose=self.options.verbose, terminal=output.is_terminal(self.stderr))
            self._log = Log(self.stderr, level=level, env=self.env, run_id=self.id, cluster=self.cluster)
        return self._log

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
        while self._stores:
            self._stores.popitem()[1].__exit__(None, None, None)
        while self._at_the_end:
            self._at_the_end.pop()()

    def say(self, text: str) -> None:
        """A sentence for the person at the terminal: stderr, never stdout."""
        with suppress(output.CannotPrint):
            output.write(self.stderr, (text if text.endswith("\n") else text + "\n").encode("utf-8", "backslashreplace"))

    def show(self, table: layout.Table | str) -> None:
        """A plan or a table for the person at the terminal, before the result: stderr, fitted to its width."""
        self.say(layout.text_of(table, layout.Terminal.of(self.stderr, self.env)))

    def confirm(self, question: str, *, yes: bool, hint: str = "add --yes to go ahead, or --dry-run to see the plan") -> bool:
        """Ask on a terminal; elsewhere a change needs `--yes`.

        Raises:
            UsageError: there is nobody to ask.
        """
        if yes:
            return True
        if not (output.is_terminal(self.stdin) and output.is_terminal(self.stderr)):
            raise UsageError("nothing was changed: there is no terminal to ask on", hint=hint)
        self.stderr.write(f"{question} [y/N] ")
        self.stderr.flush()
        line = self.stdin.readline()
        if not line.endswith("\n"):
            self.say("")
        if self._deadline is not None:
            self._deadline.begin_again()
        return line.strip().lower() in ("y", "yes")

    @contextmanager
    def progress(self, title: str, total: int) -> Iterator[Progress | None]:
        """A progress bar on stderr where that is a terminal; None elsewhere."""
        if self.options.quiet or self.options.verbose or not total or not output.is_terminal(self.stderr):
            yield None
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        console = Console(file=self.stderr, emoji=False, markup=False, highlight=False)
        with Progress(*columns, console=console, transient=True) as bar:
            bar.add_task(title, total=total)
            yield bar
