"""The call token in our Record-Route URI: context, direction and rights of a call, sealed.

Any worker of any node can route, account and end a call from the token and the message alone. It is
sealed together with the Call-ID, so it opens nothing in another call; a To tag or a Route without a
valid token opens nothing at all. Both sides get it, and neither can read where the other is.

Sealed (`transport/sealed.py`) are: flags, context (12), hash of the caller's tag (4), home worker
(node number, slot), [caller flow], [callee flow], [caller's line (4)]. A flow is present where that party
cannot be reached at its Contact as written (NAT, or a stream it opened), and for both parties of a
pinned call: a stranger holds its token, who must not send to anywhere through us. A flow to a TLS
server says its domain too: when the connection must be opened again, it is checked again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from zlib import crc32

from sipcore.calls.limits import KNOWN_TOKENS, MAX_CALL_TOKEN_LENGTH
from sipcore.eventlog.context import CONTEXT_BYTES, context_from_bytes, context_to_bytes
from sipcore.transport.flow import Flow
from sipcore.transport.packed import pack_flow, unpack_flow
from sipcore.transport.sealed import Seal

TAG_BYTES: Final = 4
PARAMETER: Final = "ct"
"""Name of the URI parameter that carries the token."""

_PSTN, _CALLER_FLOW, _CALLEE_FLOW, _PINNED = 1, 2, 4, 8
_CALLER_LINE, _SPARE_FLOW, _SUBSCRIPTION = 16, 32, 64
_LINE_BYTES: Final = 4


class CallToken:
    """What a token says, once it was opened."""

    __slots__ = (
        "callee_flow",
        "caller_flow",
        "caller_line",
        "caller_tag_hash",
        "context",
        "home",
        "is_spare",
        "is_subscription",
        "pinned",
        "pstn",
    )

    def __init__(
        self,
        context: str,
        caller_tag_hash: bytes,
        pstn: bool,
        home: tuple[int, int],
        caller_flow: Flow | None,
        callee_flow: Flow | None,
        pinned: bool,
        caller_line: int | None,
        is_spare: bool = False,
        is_subscription: bool = False,
    ) -> None:
        self.context = context
        self.caller_tag_hash = caller_tag_hash
        self.pstn = pstn
        """Whether the call was admitted towards a PSTN gateway."""
        self.home = home
        """Node number and worker slot where the call was minted."""
        self.caller_flow = caller_flow
        self.callee_flow = callee_flow
        self.pinned = pinned
        """Whether requests go by the flows alone, whatever their Route and Request-URI say."""
        self.caller_line = caller_line
        """The account that placed the call, where the call left for a foreign domain."""
        self.is_spare = is_spare
        """Whether the callee's flow is for when its Contact turns out to be of no use."""
        self.is_subscription = is_subscription
        """Whether it is that of a subscription, whose subscriber is the caller; it opens no call."""

    def from_caller(self, from_tag: str) -> bool:
        """Whether a request with this From tag was sent by the party that placed the call."""
        return tag_hash(from_tag) == self.caller_tag_hash


def tag_hash(tag: str) -> bytes:
    """Four bytes that tell the caller's tag from the callee's."""
    return crc32(tag.encode("utf-8", "surrogateescape")).to_bytes(TAG_BYTES, "big")


class TokenMaker:
    """Makes and checks tokens with the cluster key; the previous key is accepted too."""

    def __init__(self, keys: Sequence[bytes], *, home: tuple[int, int] = (0, 0)) -> None:
        self._seal = Seal(keys, b"call token")
        self._home = home
        self._known: dict[str, tuple[str, CallToken]] = {}
        """By its text: the Call-ID of a token that was made or opened here lately, and what it says.

        Opening one costs more than all else of routing an ACK, and each call brings its own thrice.
        """
        self._known_before: dict[str, tuple[str, CallToken]] = {}

    def make(
        self,
        context: str,
        call_id: str,
        caller_tag: str,
        *,
        pstn: bool = False,
        caller_flow: Flow | None = None,
        callee_flow: Flow | None = None,
        pinned: bool = False,
        caller_line: int | None = None,
        is_spare: bool = False,
        is_subscription: bool = False,
    ) -> str:
        """The token as text for a URI parameter."""
        flags = (
            (_PSTN if pstn else 0)
            | (_CALLER_FLOW if caller_flow else 0)
            | (_CALLEE_FLOW if callee_flow else 0)
            | (_PINNED if pinned else 0)
            | (_CALLER_LINE if caller_line is not None else 0)
            | (_SPARE_FLOW if is_spare else 0)
            | (_SUBSCRIPTION if is_subscription else 0)
        )
        caller_tag_hash = tag_hash(caller_tag)
        payload = bytes((flags,)) + context_to_bytes(context) + caller_tag_hash + bytes(self._home)
        if caller_flow:
            payload += pack_flow(caller_flow)
        if callee_flow:
            payload += pack_flow(callee_flow)
        if caller_line is not None:
            payload += caller_line.to_bytes(_LINE_BYTES, "big")
        text = self._seal.close(payload, call_id.encode("utf-8", "surrogateescape"))
        token = CallToken(
            context,
            caller_tag_hash,
            pstn,
            self._home,
            caller_flow,
            callee_flow,
            pinned,
            caller_line,
            is_spare,
            is_subscription,
        )
        self._learn(text, call_id, token)
        return text

    def check(self, text: str, call_id: str) -> CallToken | None:
        """What the token says, or None when it is not one of ours for this Call-ID."""
        known = self._known.get(text) or self._known_before.get(text)
        if known is not None:
            return known[1] if known[0] == call_id else None
        if len(text) > MAX_CALL_TOKEN_LENGTH:
            return None
        payload = self._seal.open(text, call_id.encode("utf-8", "surrogateescape"))
        token = None if payload is None else _unpack(payload)
        if token is not None:
            self._learn(text, call_id, token)
        return token

    @property
    def known_tokens(self) -> int:
        """How many tokens need not be opened."""
        return len(self._known) + len(self._known_before)

    def _learn(self, text: str, call_id: str, token: CallToken) -> None:
        """Know a token of ours again; in two generations, so that the oldest are forgotten."""
        if len(self._known) >= KNOWN_TOKENS:
            self._known_before = self._known
            self._known = {}
        self._known[text] = (call_id, token)


def _unpack(payload: bytes) -> CallToken | None:
    """What a payload says, None where it does not end with the last thing it says.

    In a token of the version before, payload and Call-ID are behind each other under the MAC: else
    a byte could change sides.
    """
    try:
        return _read(payload)
    except (IndexError, ValueError):
        return None


def _read(payload: bytes) -> CallToken | None:
    flags = payload[0]
    offset = 1 + CONTEXT_BYTES
    context = context_from_bytes(payload[1:offset])
    caller_tag_hash = payload[offset : offset + TAG_BYTES]
    offset += TAG_BYTES
    home = (payload[offset], payload[offset + 1])
    offset += 2
    caller_flow = callee_flow = None
    if flags & _CALLER_FLOW:
        caller_flow, offset = unpack_flow(payload, offset)
    if flags & _CALLEE_FLOW:
        callee_flow, offset = unpack_flow(payload, offset)
    caller_line = None
    if flags & _CALLER_LINE:
        caller_line = int.from_bytes(payload[offset : offset + _LINE_BYTES], "big")
        offset += _LINE_BYTES
    if offset != len(payload):
        return None
    return CallToken(
        context,
        caller_tag_hash,
        bool(flags & _PSTN),
        home,
        caller_flow,
        callee_flow,
        bool(flags & _PINNED),
        caller_line,
        bool(flags & _SPARE_FLOW),
        bool(flags & _SUBSCRIPTION),
    )
