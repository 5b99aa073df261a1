"""A request that reaches us by two ways (RFC 3261 §8.2.2.2): our own user agents answer it once."""

from __future__ import annotations

import pytest

from sipcore.eventlog import Kind
from tests.sipcore.simulation.test_calls import end_of, make_world, registered
from tests.sipcore.simulation.test_rules import sent, stranger
from tests.sipcore.simulation.world import DOMAIN, SIZES, Size

pytestmark = pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_a_service_answers_one_of_two(size: Size, method: str, known: bool) -> None:
    world = make_world(size)
    anna = registered(world, "anna", "10.1.0.1") if known else stranger(world)
    first = sent(anna, anna.build(method, f"sip:echo@{DOMAIN}", body=b"v=0\r\n"))
    again = sent(anna, first.request.copy())
    assert (first.status, again.status) == (200, 482)
    assert len(anna.messages) == (method == "MESSAGE" and known)
    assert not world.records_of(Kind.AUTH_REFUSED)
    if method == "INVITE":
        [dialog] = first.dialogs.values()
        anna.hang_up(dialog)
        end_of(world)


@pytest.mark.rfc("TXN-19")
def test_the_registrar_answers_one_of_two(size: Size) -> None:
    world = make_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    anna._node = lambda: world.nodes[0].address  # type: ignore[method-assign]
    first = anna.register()
    world.run(1)
    again = sent(anna, first.request.copy())
    assert (first.status, again.status) == (200, 482)
    assert not world.records_of(Kind.AUTH_REFUSED)


def test_the_next_register_of_the_same_phone_is_another_request(size: Size) -> None:
    world = make_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    for _ in range(3):
        later = anna.register()
        world.run(1)
        assert later.status == 200


def test_what_is_proxied_is_the_callees_to_refuse(size: Size) -> None:
    world = make_world(size)
    bob = registered(world, "bob", "10.1.0.2")
    mallory = stranger(world)
    first = sent(mallory, mallory.build("MESSAGE", f"sip:bob@{DOMAIN}"))
    again = sent(mallory, first.request.copy())
    assert (first.status, again.status) == (200, 200)
    assert len(bob.received) == 2


def test_a_request_forked_to_a_service_and_a_phone_reaches_both(size: Size) -> None:
    """What is only sent on may well come twice: the proxy asks nothing (RFC 3261 §16.3)."""
    world = make_world(size)
    bob = registered(world, "bob", "10.1.0.2")
    mallory = stranger(world)
    first = sent(mallory, mallory.build("MESSAGE", f"sip:echo@{DOMAIN}"))
    other = first.request.copy()
    other.uri_text = f"sip:bob@{DOMAIN}"
    assert (first.status, sent(mallory, other).status) == (200, 200)
    assert len(bob.received) == 1


def test_it_is_forgotten_with_the_transaction(size: Size) -> None:
    world = make_world(size)
    mallory = stranger(world)
    first = sent(mallory, mallory.build("MESSAGE", f"sip:echo@{DOMAIN}"))
    world.run(40)
    again = sent(mallory, first.request.copy())
    assert (first.status, again.status) == (200, 200)
