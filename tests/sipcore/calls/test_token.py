"""A call token is of one call: no byte of it can be moved into the Call-ID, or out of it."""

from __future__ import annotations

import pytest

from sipcore.calls import TokenMaker
from sipcore.eventlog import context_from_bits
from sipcore.eventlog.context import base64url, from_base64url
from sipcore.transport.flow import Flow

CALL_ID = "anna's call"
CONTEXT = context_from_bits(7)
MAC_BYTES = 10
NEAR = Flow("UDP", ("10.0.0.1", 5060), ("203.0.113.9", 5060))
FAR = Flow("TLS", ("2001:db8::1", 5061), ("2001:db8::9", 5061), 3, "elsewhere.example")


OLD, NEW = b"k" * 32, b"n" * 32


def tokens(*keys: bytes) -> TokenMaker:
    return TokenMaker(keys or (OLD,), home=(2, 1))


@pytest.mark.parametrize("caller_line", [None, 0x0141_4142])
@pytest.mark.parametrize("caller_flow", [None, NEAR, FAR])
@pytest.mark.parametrize("callee_flow", [None, NEAR, FAR])
def test_a_token_opens_its_own_call_alone(
    caller_flow: Flow | None, callee_flow: Flow | None, caller_line: int | None
) -> None:
    maker = tokens()
    text = maker.make(
        CONTEXT,
        CALL_ID,
        "tag",
        caller_flow=caller_flow,
        callee_flow=callee_flow,
        caller_line=caller_line,
    )
    token = maker.check(text, CALL_ID)
    assert token is not None
    assert (token.context, token.home, token.caller_line) == (CONTEXT, (2, 1), caller_line)
    assert (token.caller_flow, token.callee_flow) == (caller_flow, callee_flow)
    raw = from_base64url(text + "=" * (-len(text) % 4))
    whole = raw[:-MAC_BYTES] + CALL_ID.encode()
    for length in range(len(whole) + 1):
        moved = base64url(whole[:length] + raw[-MAC_BYTES:]).rstrip("=")
        call_id = whole[length:].decode("utf-8", "surrogateescape")
        assert (maker.check(moved, call_id) is None) == (call_id != CALL_ID), length


def test_the_key_before_opens_calls_until_it_is_taken_away() -> None:
    before = tokens(OLD).make(CONTEXT, CALL_ID, "tag")
    assert tokens(NEW).check(before, CALL_ID) is None
    token = tokens(NEW, OLD).check(before, CALL_ID)
    assert token is not None
    assert token.context == CONTEXT
    since = tokens(NEW, OLD).make(CONTEXT, CALL_ID, "tag")
    assert tokens(NEW).check(since, CALL_ID) is not None
    assert tokens(OLD).check(since, CALL_ID) is None
