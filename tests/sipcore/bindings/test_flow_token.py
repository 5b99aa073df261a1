"""A flow token leads to a flow that somebody opened to us, for as long as its key is one of ours."""

from __future__ import annotations

from hashlib import blake2b

import pytest

from sipcore.bindings import FlowTokens
from sipcore.eventlog.context import base64url
from sipcore.transport.flow import Flow
from sipcore.transport.packed import pack_flow

OLD, NEW = b"k" * 32, b"n" * 32
FLOW = Flow("UDP", ("10.0.0.1", 5060), ("203.0.113.9", 3072))
DOMAIN = "elsewhere.example"


def tokens(*keys: bytes) -> FlowTokens:
    return FlowTokens(keys, node_number=2, incarnation=7)


def test_the_key_before_opens_flows_until_it_is_taken_away() -> None:
    before = tokens(OLD).make(FLOW, DOMAIN)
    assert tokens(NEW).check(before) is None
    token = tokens(NEW, OLD).check(before)
    assert token is not None
    assert (token.flow, token.domain, token.node_number) == (FLOW, DOMAIN, 2)
    assert tokens(NEW, OLD).is_of_this_life(token)
    since = tokens(NEW, OLD).make(FLOW, DOMAIN)
    assert tokens(NEW).check(since) is not None
    assert tokens(OLD).check(since) is None


def test_a_token_of_the_version_before_leads_to_its_flow() -> None:
    """A registrar keeps our Path for as long as the registration lasts."""
    payload = bytes((1, 2, 0, 0, 0, 7)) + pack_flow(FLOW) + DOMAIN.encode()
    key = blake2b(OLD, digest_size=32, person=b"flow token").digest()
    mac = blake2b(payload, key=key, digest_size=10).digest()
    token = tokens(OLD).check(base64url(payload + mac).rstrip("="))
    assert token is not None
    assert (token.flow, token.domain, token.node_number) == (FLOW, DOMAIN, 2)
    assert tokens(OLD).is_of_this_life(token)
    assert tokens(OLD).check(base64url(payload + mac[:-1] + b"x").rstrip("=")) is None
    assert tokens(NEW).check(base64url(payload + mac).rstrip("=")) is None
    assert len(tokens(OLD).make(FLOW, DOMAIN)) == len(base64url(payload + mac).rstrip("=")) + 8


@pytest.mark.parametrize("length", range(40))
def test_a_part_of_a_token_opens_nothing(length: int) -> None:
    assert tokens(OLD).check(tokens(OLD).make(FLOW, DOMAIN)[:length]) is None
