"""What the tests of faults share."""

from __future__ import annotations

from tests.support.servers import serve, tls_files

__all__ = ["serve", "tls_files"]
