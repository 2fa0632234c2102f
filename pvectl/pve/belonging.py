"""Which of the hosts are of one cluster: the first that answers stands for it, and every other has to tell that it belongs to it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pvectl.errors import ConfigError, ProtocolError, PvectlError, TlsFailure, Unavailable
from pvectl.pve import failures
from pvectl.pve.identity import STATUS, Identity, named_identity, read_identity
from pvectl.pve.line import Answer, Broken

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from pvectl.pve.hosts import Host

_CLIENT_FAULTS = range(400, 500)


class Belonging:
    """What is known of the hosts of one run. `ask` sends one GET to one of them; `dead` are those that stopped answering."""

    def __init__(self, hosts: tuple[Host, ...], ask: Callable[[Host, str], Answer], *, dead: AbstractSet[Host]) -> None:
        self._alone = len(hosts) == 1
        self._ask = ask
        self._dead = dead
        self._lock = threading.Lock()
        self._first = threading.Lock()
        self._told_identity = threading.Lock()
        self._has_told = False
        self._identity: Identity | None = None
        self._same: set[Host] = set()
        self.home: Host | None = None
        """The host that stands for the cluster; None before any has answered."""

    @contextmanager
    def one_by_one_at_first(self) -> Iterator[None]:
        """Until one host stands for the cluster, two threads could each take another for it."""
        if self._alone or self.home is not None:
            yield
            return
        with self._first:
            if self.home is None:
                yield
                return
        yield

    def settle(self, host: Host, target: str, answer: Answer) -> None:
        """The first host that answers for itself stands for the cluster from now on; an answer that names the cluster is remembered."""
        with self._lock:
            if self.home is None and answer.status_code not in failures.BAD_GATEWAY:
                self.home = host
                self._same.add(host)
            if target == STATUS and host == self.home and not (self._alone or self._has_told):
                self._identity = named_identity(answer)
                self._has_told = self._identity is not None

    def learn(self) -> None:
        """Before the second request of a run that has another host to turn to, ask the first which cluster it belongs to.

        Afterwards it may be too late: it may be dead. A run of one request, or with one host, never asks.
        """
        home = self.home
        if home is None or self._alone or self._has_told:
            return
        with self._told_identity:
            if self._has_told:
                return
            try:
                self._identity, status = read_identity(lambda path: self._ask(home, path))
            except (Broken, TlsFailure, ProtocolError):
                return
            # a fault that passes is no last word: the next request asks once more
            self._has_told = self._identity is not None or status in _CLIENT_FAULTS

    def prove(self, host: Host) -> None:
        """Nothing is asked of a second host before it has told that it belongs to the first one's cluster.

        Raises:
            ConfigError: it belongs to another.
            Unvouched: there is no telling, so the next host may be tried.
            Broken, TlsFailure, DeadlineExceeded: it does not answer.
        """
        with self._lock:
            home = self.home
            if home is None or host in self._same:
                return
        if home not in self._dead:
            self.learn()
        known = self._identity
        if known is None:
            words = f"{home.label} stopped answering before it told which cluster it belongs to, so {host.label} was not asked in its place"
            raise Unvouched(Unavailable(words, subject=home.subject))
        try:
            other, _ = read_identity(lambda path: self._ask(host, path))
        except ProtocolError as error:
            raise Unvouched(error) from None
        if other is None:
            words = f"{host.label} does not tell which cluster it belongs to, so it was not asked"
            raise Unvouched(Unavailable(words, subject=host.subject))
        if not known.is_same_as(other):
            raise ConfigError(
                f"{home.label} and {host.label} are not of one cluster: {known} and {other}",
                hint="the hosts of one entry in proxmox.yml are entry points of one cluster",
                subject=host.subject,
            )
        with self._lock:
            self._same.add(host)


class Unvouched(Exception):
    """A host that has not told to which cluster it belongs, or not so that anybody could tell; `why` is what a person is told."""

    def __init__(self, why: PvectlError) -> None:
        super().__init__(why.message)
        self.why = why
