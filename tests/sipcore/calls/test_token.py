"""A call token is of one call: no byte of it can be moved into the Call-ID, or out of it."""

from __future__ import annotations

from hashlib import blake2b

import pytest

from sipcore.calls import TokenMaker
from sipcore.calls.limits import KNOWN_TOKENS
from sipcore.calls.token import tag_hash
from sipcore.eventlog import context_from_bits
from sipcore.eventlog.context import base64url, context_to_bytes, from_base64url
from sipcore.transport.flow import Flow
from sipcore.transport.packed import pack_flow

CALL_ID = "anna's call"
CONTEXT = context_from_bits(7)
NEAR = Flow("UDP", ("10.0.0.1", 5060), ("203.0.113.9", 5060))
FAR = Flow("TLS", ("2001:db8::1", 5061), ("2001:db8::9", 5061), 3, "elsewhere.example")


OLD, NEW = b"k" * 32, b"n" * 32


def tokens(*keys: bytes) -> TokenMaker:
    return TokenMaker(keys or (OLD,), home=(2, 1))


def signed(payload: bytes, call_id: str) -> bytes:
    """The raw token that the version before made of this payload: readable, with a MAC."""
    key = blake2b(OLD, digest_size=32, person=b"call token").digest()
    return payload + blake2b(payload + call_id.encode(), key=key, digest_size=10).digest()


def packed(caller_flow: Flow | None, callee_flow: Flow | None, caller_line: int | None) -> bytes:
    flags = (2 if caller_flow else 0) | (4 if callee_flow else 0)
    out = bytes((1, flags | (16 if caller_line is not None else 0)))
    out += context_to_bytes(CONTEXT) + tag_hash("tag") + bytes((2, 1))
    for flow in (caller_flow, callee_flow):
        out += pack_flow(flow) if flow else b""
    return out + (b"" if caller_line is None else caller_line.to_bytes(4, "big"))


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
    for call_id in ("", CALL_ID[:-1], CALL_ID + "x", "x" + CALL_ID, CALL_ID.upper()):
        assert maker.check(text, call_id) is None


@pytest.mark.parametrize("caller_line", [None, 0x0141_4142])
@pytest.mark.parametrize("caller_flow", [None, NEAR, FAR])
@pytest.mark.parametrize("callee_flow", [None, NEAR, FAR])
def test_a_token_of_the_version_before_opens_its_call_and_no_other(
    caller_flow: Flow | None, callee_flow: Flow | None, caller_line: int | None
) -> None:
    """Calls go on through an update. There no byte can be moved from the token to the Call-ID."""
    raw = signed(packed(caller_flow, callee_flow, caller_line), CALL_ID)
    for maker in (tokens(OLD), tokens(NEW, OLD)):
        token = maker.check(base64url(raw).rstrip("="), CALL_ID)
        assert token is not None
        assert (token.context, token.home, token.caller_line) == (CONTEXT, (2, 1), caller_line)
        assert (token.caller_flow, token.callee_flow) == (caller_flow, callee_flow)
    whole, mac = raw[:-10] + CALL_ID.encode(), raw[-10:]
    for length in range(len(whole) + 1):
        moved = base64url(whole[:length] + mac).rstrip("=")
        call_id = whole[length:].decode("utf-8", "surrogateescape")
        assert (tokens().check(moved, call_id) is None) == (call_id != CALL_ID), length


@pytest.mark.parametrize("flow", [None, NEAR, FAR])
def test_a_token_has_eight_characters_more_than_one_that_is_readable(flow: Flow | None) -> None:
    sealed = tokens().make(CONTEXT, CALL_ID, "tag", caller_flow=flow, callee_flow=flow)
    before = base64url(signed(packed(flow, flow, None), CALL_ID)).rstrip("=")
    assert len(sealed) == len(before) + 8


def test_the_same_call_has_the_same_token_whenever_it_is_made() -> None:
    first, again, other = (
        tokens().make(CONTEXT, call_id, "tag", caller_flow=NEAR)
        for call_id in (CALL_ID, CALL_ID, "another")
    )
    assert first == again
    assert first[2:] != other[2:]


def test_the_key_before_opens_calls_until_it_is_taken_away() -> None:
    before = tokens(OLD).make(CONTEXT, CALL_ID, "tag")
    assert tokens(NEW).check(before, CALL_ID) is None
    token = tokens(NEW, OLD).check(before, CALL_ID)
    assert token is not None
    assert token.context == CONTEXT
    since = tokens(NEW, OLD).make(CONTEXT, CALL_ID, "tag")
    assert tokens(NEW).check(since, CALL_ID) is not None
    assert tokens(OLD).check(since, CALL_ID) is None


# --- who speaks ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("placed_with", "from_tag", "by_caller"),
    [
        ("anna", "anna", True),
        ("anna", "bob", False),
        ("anna", "", False),
        ("anna", "Anna", False),  # tags are compared byte by byte (RFC 3261 §19.3)
        ("anna", "anna2", False),
        ("", "", True),
        ("\udcff", "\udcff", True),  # bytes that were no UTF-8
        ("\udcff", "\udcfe", False),
    ],
)
def test_the_caller_is_known_by_the_from_tag(
    placed_with: str, from_tag: str, by_caller: bool
) -> None:
    maker = tokens()
    token = maker.check(maker.make(CONTEXT, CALL_ID, placed_with), CALL_ID)
    assert token is not None
    assert token.from_caller(from_tag) is by_caller
    assert (tag_hash(from_tag) == token.caller_tag_hash) is by_caller


@pytest.mark.parametrize("pstn", [False, True])
@pytest.mark.parametrize("pinned", [False, True])
@pytest.mark.parametrize("caller_line", [None, 0, 1, 0xFFFF_FFFF])
def test_a_token_says_what_was_put_into_it(
    caller_line: int | None, pinned: bool, pstn: bool
) -> None:
    maker = tokens()
    text = maker.make(
        CONTEXT, CALL_ID, "tag", pstn=pstn, pinned=pinned, caller_line=caller_line, callee_flow=FAR
    )
    token = maker.check(text, CALL_ID)
    assert token is not None
    assert (token.pstn, token.pinned, token.caller_line) == (pstn, pinned, caller_line)
    assert (token.caller_flow, token.callee_flow) == (None, FAR)


def changed_at(text: str, index: int) -> str:
    raw = bytearray(from_base64url(text + "=" * (-len(text) % 4)))
    raw[index] ^= 1
    return base64url(bytes(raw)).rstrip("=")


def test_no_byte_of_a_token_can_be_another() -> None:
    maker = tokens()
    text = maker.make(CONTEXT, CALL_ID, "tag", caller_flow=NEAR, caller_line=1)
    size = len(from_base64url(text + "=" * (-len(text) % 4)))
    for index in range(size):
        assert maker.check(changed_at(text, index), CALL_ID) is None, index


@pytest.mark.parametrize(
    "text",
    ["", "A", "AAAA", "!" * 40, "A" * 39, "A" * 40, "ä" * 40, "A" * 900, "A" * 901, "A" * 100_000],
    ids=lambda text: f"{text[:1]} x {len(text)}",
)
def test_what_is_no_token(text: str) -> None:
    assert tokens().check(text, CALL_ID) is None


def test_the_longest_token_there_is_can_be_read() -> None:
    maker, name = tokens(), "n" * 253
    address = ("2001:db8:1111:2222:3333:4444:5555:6666", 65535)
    flow = Flow("TLS", address, address, 0xFFFF_FFFF, name)
    text = maker.make(CONTEXT, CALL_ID, "t", caller_flow=flow, callee_flow=flow, caller_line=1)
    token = maker.check(text, CALL_ID)
    assert token is not None
    assert (token.caller_flow, token.callee_flow) == (flow, flow)


@pytest.mark.parametrize("home", [(0, 0), (2, 1), (255, 255)])
def test_a_token_names_the_worker_that_holds_the_call(home: tuple[int, int]) -> None:
    text = TokenMaker((OLD,), home=home).make(CONTEXT, CALL_ID, "tag")
    token = tokens().check(text, CALL_ID)
    assert token is not None
    assert token.home == home


def test_a_call_id_of_any_bytes_has_a_token() -> None:
    maker = tokens()
    text = maker.make(CONTEXT, "\udcff", "tag")
    assert maker.check(text, "\udcff") is not None
    assert maker.check(text, "\udcfe") is None


def test_a_token_that_is_known_opens_no_other_call() -> None:
    """Tokens made or opened lately are not opened anew: what they say is for their Call-ID all the same."""
    maker, other = tokens(), tokens()
    text = maker.make(CONTEXT, CALL_ID, "tag", caller_flow=NEAR)
    for asked in (maker, other, other):
        token = asked.check(text, CALL_ID)
        assert token is not None
        assert (token.context, token.caller_flow, token.home) == (CONTEXT, NEAR, (2, 1))
        assert asked.check(text, "another call") is None
        assert asked.check(text[:-1], CALL_ID) is None


def test_tokens_that_nobody_asks_for_are_forgotten_and_open_again() -> None:
    maker = tokens()
    first = maker.make(CONTEXT, CALL_ID, "tag")
    for i in range(3 * KNOWN_TOKENS):
        maker.make(CONTEXT, f"call {i}", "tag")
    assert maker.known_tokens <= 2 * KNOWN_TOKENS
    token = maker.check(first, CALL_ID)
    assert token is not None
    assert token.context == CONTEXT
