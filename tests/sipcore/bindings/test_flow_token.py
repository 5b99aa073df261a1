"""A flow token leads to a flow that somebody opened to us, for as long as its key is one of ours."""

from __future__ import annotations

import pytest

from sipcore.bindings import FlowTokens
from sipcore.transport.flow import Flow

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


@pytest.mark.parametrize("length", range(40))
def test_a_part_of_a_token_opens_nothing(length: int) -> None:
    assert tokens(OLD).check(tokens(OLD).make(FLOW, DOMAIN)[:length]) is None
