"""What the tests of channels share: servers that listen, and certificates for them."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.notify.desk import directory
from tests.notify.listening import Act, Listener, listening
from tests.support.servers import TlsFiles, tls_files

__all__ = ["tls_files"]


@pytest.fixture(scope="session")
def server_tls(tls_files: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls_files.cert_file, tls_files.key_file)
    return context


@pytest.fixture
def listen(server_tls: ssl.SSLContext) -> Iterator[Callable[..., Listener]]:
    """`listen(act, tls=True)` -> a running listener, closed when the test ends."""
    with ExitStack() as stack:

        def start(act: Act | None = None, *, tls: bool = False) -> Listener:
            return stack.enter_context(listening(act, context=server_tls if tls else None))

        yield start


@pytest.fixture
def place() -> Iterator[Path]:
    with directory() as folder:
        yield folder


@pytest.fixture
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    left = [thread for thread in threading.enumerate() if thread not in before and thread.name.startswith("tell ")]
    for thread in left:
        thread.join(10)
    assert not [thread.name for thread in left if thread.is_alive()]
