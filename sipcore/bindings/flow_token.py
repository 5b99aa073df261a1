"""Flow tokens: the flow of a phone as the user part of a Path or Record-Route URI (RFC 5626 §5.2).

Whoever gets it back needs no memory of the phone. The seal keeps anybody from making one up, and from
reading where the phone is: a token leads to a flow that somebody opened to us, and to nothing else.

Sealed (`transport/sealed.py`) are: node, worker's incarnation (4), flow, domain. The domain is the one whose registrar the flow was used for: what comes from the phone goes there alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sipcore.bindings.limits import MAX_FLOW_TOKEN_LENGTH
from sipcore.transport.flow import Flow
from sipcore.transport.packed import pack_flow, unpack_flow
from sipcore.transport.sealed import Seal

_HEAD_BYTES: Final = 5


class FlowToken:
    """What a token says, once it was opened."""

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
        self._seal = Seal(keys, b"flow token")
        self._head = bytes((node_number,)) + (incarnation & 0xFFFFFFFF).to_bytes(4, "big")

    def make(self, flow: Flow, domain: str) -> str:
        """The token as text that is fit for the user part of a URI."""
        return self._seal.close(self._head + pack_flow(flow) + domain.encode())

    def check(self, text: str) -> FlowToken | None:
        """What the token says, or None when it is not one of ours."""
        if not text or len(text) > MAX_FLOW_TOKEN_LENGTH:
            return None
        payload = self._seal.open(text)
        if payload is None:
            return None
        flow, offset = unpack_flow(payload, _HEAD_BYTES)
        incarnation = int.from_bytes(payload[1:_HEAD_BYTES], "big")
        return FlowToken(payload[0], incarnation, flow, payload[offset:].decode())

    def is_of_this_life(self, token: FlowToken) -> bool:
        """Whether the worker that made the token still runs."""
        return token.incarnation == int.from_bytes(self._head[1:], "big")
