"""What was given up rings no more, by no other way to the same phone either."""

from __future__ import annotations

import pytest

from tests.sipcore.simulation.phone import Phone, answer_after, refuse_with, ring_forever
from tests.sipcore.simulation.test_calls import registered
from tests.sipcore.simulation.world import SIZES, Size, World

pytestmark = pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])

SOURCE, WRITTEN = ("203.0.113.9", 40_123), ("203.0.113.9", 55_787)


def silent_phone_with_another_port(world: World) -> Phone:
    """Bob's phone hears nothing where it sends from; four seconds later it is tried at its contact."""
    sender, listener = Phone(world, "bob", SOURCE), Phone(world, "bob", WRITTEN)
    sender.register(contact=f"<sip:bob@{WRITTEN[0]}:{WRITTEN[1]}>")
    world.run(1)
    world.network.detach(SOURCE)
    return listener


@pytest.mark.rfc("REG-26")
@pytest.mark.parametrize(
    ("script", "status"), [(answer_after(2.0), 200), (refuse_with(603, 2.0), 603)]
)
def test_what_another_phone_has_ended_rings_at_no_second_port(
    size: Size, script: object, status: int
) -> None:
    world = World(1, size, ["anna", "bob"])
    anna, desk = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    desk.on_invite = script  # type: ignore[assignment]
    listener = silent_phone_with_another_port(world)
    call = anna.call("bob")
    world.run(40)
    assert call.status == status
    assert listener.received == []


@pytest.mark.rfc("REG-26", "PRX-35")
def test_who_has_hung_up_rings_no_second_port_when_the_first_is_unreachable(size: Size) -> None:
    world = World(1, size, ["anna", "bob"])
    anna, desk = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    desk.on_invite = ring_forever
    listener = silent_phone_with_another_port(world)
    call = anna.call("bob")
    world.run(1)
    anna.cancel(call)
    world.unreachable.add(SOURCE)  # the next repetition of its INVITE says so
    world.run(40)
    assert call.status == 487
    assert listener.received == []
