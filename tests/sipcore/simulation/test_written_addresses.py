"""Phones that write an address of no use to us: they ring, and their calls go on to the end."""

from __future__ import annotations

import pytest

from sipcore.eventlog import Kind
from tests.sipcore.simulation.phone import Phone, answer_after
from tests.sipcore.simulation.test_calls import registered
from tests.sipcore.simulation.world import SIZES, Size, World

pytestmark = pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])

OF_NO_USE = ["192.168.4.4:5060", "x7fk2.invalid", "0.0.0.0", "laptop.local", "localhost:5062"]  # noqa: S104
SOURCE = ("203.0.113.9", 40_123)


def call_of(world: World, anna: Phone) -> None:
    """Anna calls Bob, who answers; she hangs up, and one call is recorded."""
    call = anna.call("bob")
    world.run(5)
    assert call.status == 200
    [dialog] = call.dialogs.values()
    bye = anna.hang_up(dialog)
    world.run(5)
    assert bye is not None
    assert bye.status == 200
    [end] = world.records_of(Kind.CALL_END)
    assert end.fields["cause"] == "completed"


@pytest.mark.parametrize("host", [*OF_NO_USE, "203.0.113.200:5060"])
def test_an_answer_with_another_contact_than_the_registered_one_gets_its_ack_and_bye(
    size: Size, host: str
) -> None:
    world = World(1, size, ["anna", "bob"])
    anna = registered(world, "anna", "10.1.0.1")
    bob = Phone(world, "bob", SOURCE)
    bob.register()
    world.run(1)
    bob.contact = f"sip:bob@{host}"
    call_of(world, anna)
    assert len(bob.acks) == 1
    assert [r.method for r in bob.received] == ["INVITE", "BYE"]


@pytest.mark.parametrize("host", [*OF_NO_USE, "203.0.113.9:55787", "203.0.113.9"])
def test_a_phone_rings_where_its_register_came_from(size: Size, host: str) -> None:
    world = World(1, size, ["anna", "bob"])
    anna = registered(world, "anna", "10.1.0.1")
    bob = Phone(world, "bob", SOURCE)
    bob.contact = f"sip:bob@{host}"
    bob.register()
    world.run(1)
    call_of(world, anna)


def test_a_phone_that_listens_at_another_port_without_rport_is_taken_at_its_word(
    size: Size,
) -> None:
    world = World(1, size, ["anna", "bob"])
    anna = registered(world, "anna", "10.1.0.1")
    sender, listener = Phone(world, "bob", SOURCE), Phone(world, "bob", (SOURCE[0], 55_787))
    sender.rport = ""
    sender.register(contact=f"<sip:bob@{SOURCE[0]}:55787>")
    world.run(1)
    call_of(world, anna)
    assert "INVITE" in [r.method for r in listener.received]


def test_the_other_side_hangs_up_a_caller_whose_contact_has_another_port(size: Size) -> None:
    world = World(1, size, ["anna", "bob"])
    bob = registered(world, "bob", "10.1.0.2")
    anna = Phone(world, "anna", SOURCE)
    anna.contact = "sip:anna@203.0.113.9:55787"
    anna.register()
    world.run(1)
    anna.call("bob")
    world.run(5)
    [dialog] = bob.dialogs.values()
    bye = bob.hang_up(dialog)
    world.run(5)
    assert bye is not None
    assert bye.status == 200
    assert "BYE" in [r.method for r in anna.received]


@pytest.mark.parametrize("rings", [True, False])
def test_a_phone_that_listens_at_another_port_with_rport_rings_there_after_four_seconds(
    size: Size, rings: bool
) -> None:
    """It sends from a port where it hears nothing: the contact as written is its second way."""
    world = World(1, size, ["anna", "bob"])
    anna = registered(world, "anna", "10.1.0.1")
    sender, listener = Phone(world, "bob", SOURCE), Phone(world, "bob", (SOURCE[0], 55_787))
    sender.register(contact=f"<sip:bob@{SOURCE[0]}:55787>")
    world.run(1)
    if rings:
        sender.on_invite = answer_after(6.0)
    else:
        world.network.detach(SOURCE)
    anna.call("bob")
    world.run(3.9)
    assert listener.received == []
    world.run(0.3)
    assert [r.method for r in listener.received] == ([] if rings else ["INVITE"])
