"""Flow tokens: the flow of a phone as the user part of a Path or Record-Route URI (RFC 5626 §5.2).

Whoever gets it back needs no memory of the phone. The MAC keeps anybody from making one up: a token
leads to a flow that somebody opened to us, and to nothing else.

Layout before base64url: version, node, worker's incarnation (4), flow, domain, MAC (10). The domain
is the one whose registrar the flow was used for: what comes from the phone goes there alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from hmac import compare_digest
from typing import Final

from sipcore.bindings.limits import MAX_FLOW_TOKEN_LENGTH
from sipcore.eventlog.context import base64url, sealed_parts
from sipcore.transport.flow import Flow
from sipcore.transport.packed import pack_flow, unpack_flow

VERSION: Final = 1
MAC_BYTES: Final = 10
_HEAD_BYTES: Final = 6


class FlowToken:
    """What a token says, once its MAC was found right."""

    __slots__ = ("domain", "flow", "incarnation", "node_number")

    def __init__(self, node_number: int, incarnation: int, flow: Flow, domain: str) -> None:
        self.node_number = node_number
        """The node that has the flow."""
        self.incarnation = incarnation
        """The life of its worker: a stream is gone with it."""
        self.flow = flow
        self.domain = domain


class FlowTokens:
    """Makes and checks tokens with the cluster key; the previous key is accepted too."""

    def __init__(self, keys: Sequence[bytes], node_number: int, incarnation: int) -> None:
        self._keys = [blake2b(k, digest_size=32, person=b"flow token").digest() for k in keys]
        self._head = bytes((VERSION, node_number)) + (incarnation & 0xFFFFFFFF).to_bytes(4, "big")

    def make(self, flow: Flow, domain: str) -> str:
        """The token as text that is fit for the user part of a URI."""
        payload = self._head + pack_flow(flow) + domain.encode()
        return base64url(payload + _mac(self._keys[0], payload)).rstrip("=")

    def check(self, text: str) -> FlowToken | None:
        """What the token says, or None when it is not one of ours."""
        if not text or len(text) > MAX_FLOW_TOKEN_LENGTH:
            return None
        parts = sealed_parts(text, MAC_BYTES)
        if parts is None:
            return None
        payload, mac = parts
        if not payload or payload[0] != VERSION:
            return None
        for key in self._keys:
            if compare_digest(_mac(key, payload), mac):
                flow, offset = unpack_flow(payload, _HEAD_BYTES)
                incarnation = int.from_bytes(payload[2:_HEAD_BYTES], "big")
                return FlowToken(payload[1], incarnation, flow, payload[offset:].decode())
        return None

    def is_of_this_life(self, token: FlowToken) -> bool:
        """Whether the worker that made the token still runs."""
        return token.incarnation == int.from_bytes(self._head[2:], "big")


def _mac(key: bytes, payload: bytes) -> bytes:
    return blake2b(payload, key=key, digest_size=MAC_BYTES).digest()
