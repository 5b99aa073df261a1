"""Callers that learn their public address while it rings, and write it into the Via from then on."""

from __future__ import annotations

import pytest

from sipcore.transport.flow import bracketed
from tests.sipcore.simulation.phone import Outgoing, Phone, refuse_with, ring_forever
from tests.sipcore.simulation.test_calls import end_of, registered
from tests.sipcore.simulation.world import SIZES, Size, World

pytestmark = [
    pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"]),
    pytest.mark.parametrize("transport", ["UDP", "TLS"]),
    pytest.mark.parametrize("rport", [";rport", ""], ids=["rport", "no rport"]),
]
LEARNED = "203.0.113.9:40123"


def caller(world: World, transport: str, rport: str) -> Phone:
    anna = Phone(world, "anna", ("10.1.0.1", 5060), transport=transport)
    anna.rport = rport
    anna.register()
    world.run(1)
    return anna


def learns_address(call: Outgoing, place: str = LEARNED) -> None:
    """What the phone sends in this transaction from now on has another sent-by."""
    phone, branch = call.phone, call.request.via.branch
    via = f"SIP/2.0/{phone.transport} {place};branch={branch}{phone.rport}"
    call.request.set("Via", via)


def test_the_other_phone_stops_ringing_when_such_a_caller_gives_up(
    size: Size, transport: str, rport: str
) -> None:
    world = World(1, size, ["anna", "bob"], tls=True)
    anna, bob = caller(world, transport, rport), registered(world, "bob", "10.1.0.2")
    bob.on_invite = ring_forever
    call = anna.call("bob")
    world.run(3)
    learns_address(call)
    anna.cancel(call)
    world.run(0.5)
    assert [r.method for r in bob.received] == ["INVITE", "CANCEL"]
    assert call.status == 487
    end = end_of(world)
    assert (end["cause"], end["by"]) == ("cancelled", "caller")


def test_such_a_caller_hears_busy_once(size: Size, transport: str, rport: str) -> None:
    world = World(1, size, ["anna", "bob"], tls=True)
    anna, bob = caller(world, transport, rport), registered(world, "bob", "10.1.0.2")
    bob.on_invite = refuse_with(486, 2.0)
    call = anna.call("bob")
    world.run(1.5)
    learns_address(call)
    heard: list[bytes] = []
    receive = anna._receive

    def listen(data: bytes, source: tuple[str, int], now: float) -> None:
        heard.append(data.partition(b"\r\n")[0])
        receive(data, source, now)

    world.network.attach(anna.address, listen)
    world.run(40)
    assert call.status == 486
    assert heard == [b"SIP/2.0 486 Busy Here"]


def test_nobody_else_ends_the_ringing_with_the_same_branch(
    size: Size, transport: str, rport: str
) -> None:
    """Who has read all of the INVITE, and sends from another host."""
    world = World(1, size, ["anna", "bob"], tls=True)
    anna, bob = caller(world, transport, rport), registered(world, "bob", "10.1.0.2")
    bob.on_invite = ring_forever
    call = anna.call("bob")
    world.run(3)
    mallory = Phone(world, "mallory", ("192.0.2.66", 5060), transport=transport)
    mallory.rport = rport
    theirs = Outgoing(mallory, call.request, call.destination, responses=call.responses)
    learns_address(theirs, f"{bracketed(mallory.address[0])}:5060")
    mallory.cancel(theirs)
    world.run(3)
    assert [r.method for r in bob.received] == ["INVITE"]
    assert call.status == 0
