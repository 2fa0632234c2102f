"""The signature of Standard Webhooks: who gets a message can tell that it is ours, and when it was sent."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

from pvectl.core.secret import Secret
from pvectl.errors import ConfigError

PREFIX = "whsec_"


def signatures(identity: str, timestamp: int, body: bytes, keys: Sequence[Secret]) -> str:
    """The value of `webhook-signature`: one signature a key, so that a key can be changed while both sides still know the old one."""
    import hashlib
    import hmac

    signed = f"{identity}.{timestamp}.".encode() + body
    made = (hmac.new(key_bytes(key), signed, hashlib.sha256).digest() for key in keys)
    return " ".join(f"v1,{base64.b64encode(digest).decode('ascii')}" for digest in made)


def key_bytes(key: Secret) -> bytes:
    """What the key's base64 stands for, with or without `whsec_` before it.

    Raises:
        ConfigError: it is not a key of 24 to 64 bytes.
    """
    try:
        decoded = base64.b64decode(key.reveal().strip().removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    if not 24 <= len(decoded) <= 64:
        raise ConfigError(
            "a signing key is not whsec_ and the base64 of 24 to 64 bytes", hint="make one: echo whsec_$(openssl rand -base64 32)"
        )
    return decoded
