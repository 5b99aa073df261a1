"""Refusals of those we know, and of what is inside a call: they are kept until they have arrived."""

from __future__ import annotations

import pytest

from sipcore.eventlog import Kind
from sipcore.message import Request
from sipcore.transport.flow import Address
from tests.sipcore.conformance.peer import Header, new_world, phone
from tests.sipcore.simulation.phone import Phone
from tests.sipcore.simulation.world import DOMAIN, ONE, SIZES, Size, World

EVERY_SIZE = pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])
BOB = f"sip:bob@{DOMAIN}"


@EVERY_SIZE
@pytest.mark.parametrize(
    ("header", "status"),
    [
        (("Max-Breadth", "x"), 400),
        (("Max-Forwards", "0"), 483),
        (("Proxy-Require", "privacy"), 420),
        (("Session-Expires", "1"), 422),
        (("Replaces", "x;to-tag=a;from-tag=b"), 403),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_the_ack_of_a_refused_reinvite_goes_no_further(
    size: Size, header: Header, status: int
) -> None:
    world = new_world(size)
    anna, bob = phone(world, "anna", "10.1.0.1"), phone(world, "bob", "10.1.0.2")
    call = anna.call("bob")
    world.run(2)
    [dialog] = call.dialogs.values()
    before = len(bob.acks)
    again = anna.in_dialog(dialog, "INVITE")
    again.set("Supported", "timer")
    again.set(*header)
    outgoing = anna.start(again, world.nodes[0].address)
    world.run(2)
    assert outgoing.status == status
    assert len(bob.acks) == before


def test_the_ack_of_a_reinvite_refused_for_want_of_tls_goes_no_further() -> None:
    world = World(1, ONE, ["anna", "bob"], tls=True)
    anna = phone(world, "anna", "10.1.0.1")
    bob = phone(world, "bob", "10.1.0.2", transport="TLS")
    call = anna.call("bob")
    world.run(2)
    [dialog] = call.dialogs.values()
    before = len(bob.acks)
    again = anna.in_dialog(dialog, "INVITE")
    again.uri_text = "sips:" + again.uri_text.partition(":")[2]
    outgoing = anna.start(again, world.nodes[0].address)
    world.run(2)
    assert outgoing.status == 400
    assert len(bob.acks) == before


@EVERY_SIZE
@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("INVITE", [("Session-Expires", "10"), ("Supported", "timer")], 422),
        ("SUBSCRIBE", [("Event", "presence"), ("Expires", "x")], 400),
    ],
    ids=["too short a session", "malformed"],
)
def test_a_lost_refusal_of_one_of_us_is_repeated(
    size: Size, method: str, headers: list[Header], status: int
) -> None:
    world = new_world(size)
    anna = phone(world, "anna", "10.1.0.1")
    phone(world, "bob", "10.1.0.2")
    request = anna.build(method, BOB)
    for header in headers:
        request.append(*header)
    lost = _lose_the_first(world, f"SIP/2.0 {status}".encode(), anna)
    outgoing = anna.start(request, world.nodes[0].address)
    world.run(5)
    assert outgoing.status == status
    assert lost == [anna.address]
    assert not world.records_of(Kind.AUTH_REFUSED)  # nothing of hers was taken for replayed


def _lose_the_first(world: World, start: bytes, phone: Phone) -> list[Address]:
    """Have the network lose the first datagram to a phone that begins like this."""
    lost: list[Address] = []
    send = world.network.send

    def losing(data: bytes, source: Address, to: Address) -> None:
        if data.startswith(start) and to == phone.address and not lost:
            lost.append(to)
        else:
            send(data, source, to)

    world.network.send = losing  # type: ignore[assignment, method-assign]
    return lost


def _takeover(phone: Phone, dialog: object) -> Request:
    """An INVITE for clara that replaces the call of this dialog, as who was referred sends it."""
    request = phone.build("INVITE", f"sip:clara@{DOMAIN}")
    to_tag = dialog.remote_value.partition("tag=")[2]  # type: ignore[attr-defined]
    from_tag = dialog.local_value.partition("tag=")[2]  # type: ignore[attr-defined]
    name = f"{dialog.call_id};to-tag={to_tag};from-tag={from_tag}"  # type: ignore[attr-defined]
    request.append("Replaces", name)
    return request


@EVERY_SIZE
@pytest.mark.parametrize(
    ("after_s", "status"), [(None, 200), (0.2, 200), (20.0, 200), (200.0, 403)]
)
def test_who_transfers_may_hang_up_before_the_transfer_is_done(
    size: Size, after_s: float | None, status: int
) -> None:
    world = new_world(size)
    anna, bob = phone(world, "anna", "10.1.0.1"), phone(world, "bob", "10.1.0.2")
    phone(world, "clara", "10.1.0.3")
    first = anna.call("bob")
    world.run(2)
    second = anna.call("clara")
    world.run(2)
    [with_bob], [with_clara] = first.dialogs.values(), second.dialogs.values()
    if after_s is not None:
        anna.hang_up(with_bob)
        world.run(after_s)
    outgoing = bob.start(_takeover(bob, with_clara), world.nodes[0].address)
    world.run(2)
    assert outgoing.status == status
