"""What a party of a call may do by writing another's address under its requests: nothing much.

A token says that something of ours has arrived somewhere, not that it is there that this comes from.
"""

from __future__ import annotations

import pytest

from sipcore.eventlog import Kind
from sipcore.message import Request
from sipcore.perimeter.limits import UNPROVED_PER_NETWORK
from sipcore.transport.flow import Address
from tests.sipcore.conformance.peer import phone
from tests.sipcore.simulation.phone import Phone, PhoneDialog, ring_forever
from tests.sipcore.simulation.sprayer import Sprayer
from tests.sipcore.simulation.world import CLUSTER, DOMAIN, ONE, SIZES, Size, World

LINES = ("anna", "bob", "clara", "dora", "emil")
VICTIM = ("192.0.2.66", 5060)
SDP = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 8\r\n"


def answered(world: World, who: str) -> tuple[Phone, PhoneDialog]:
    """A stranger's call to somebody who answers."""
    mallory = Phone(world, "mallory", ("198.51.100.7", 5060))
    invite = mallory.build("INVITE", f"sip:{who}@{DOMAIN}", body=SDP)
    invite.set("From", "<sip:m@elsewhere.example>;tag=mm")
    invite.append("Content-Type", "application/sdp")
    call = mallory.start(invite, world.nodes[0].address)
    world.run(2)
    [dialog] = call.dialogs.values()
    return mallory, dialog


def forge(world: World, request: Request, source: Address = VICTIM) -> list[bytes]:
    """Send it from the victim's address; gives all that the victim gets."""
    came: list[bytes] = []
    request.push("Via", f"SIP/2.0/UDP {source[0]}:{source[1]};branch=z9hG4bK{request.cseq_number}")
    world.network.attach(source, lambda data, _source, now: came.append(data))
    world.network.send(request.to_bytes(), source, world.nodes[0].address)
    return came


@pytest.mark.parametrize("is_over", [False, True], ids=["goes on", "is over"])
@pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])
def test_what_is_refused_inside_a_call_goes_to_a_forged_address_once(
    size: Size, is_over: bool
) -> None:
    world = World(1, size, list(LINES))
    phone(world, "bob", "10.1.0.2")
    mallory, dialog = answered(world, "bob")
    if is_over:
        mallory.hang_up(dialog)
        world.run(300)
    invite = mallory.in_dialog(dialog, "INVITE")
    invite.append("Replaces", "x;to-tag=a;from-tag=b")
    came = forge(world, invite)
    world.run(100)
    assert len(came) == 1


def test_a_refusal_inside_a_call_is_repeated_to_a_party_of_it() -> None:
    world = World(1, ONE, list(LINES))
    phone(world, "bob", "10.1.0.2")
    mallory, dialog = answered(world, "bob")
    invite = mallory.in_dialog(dialog, "INVITE")
    invite.append("Replaces", "x;to-tag=a;from-tag=b")
    came = forge(world, invite, ("198.51.100.9", 5060))  # of its network, and says no ACK
    world.run(100)
    assert len(came) == 11


@pytest.mark.parametrize("who", ["bob", "echo"])
def test_a_token_proves_nothing_of_an_address_that_it_does_not_name(who: str) -> None:
    world = World(1, ONE, list(LINES))
    phones = [phone(world, name, f"10.1.0.{n}") for n, name in enumerate(LINES, 1)]
    mallory, dialog = answered(world, who)
    for other in phones:
        other.on_invite = ring_forever
    forge(world, mallory.in_dialog(dialog, "INFO"))
    forge(world, mallory.in_dialog(dialog, "ACK", cseq=1))
    world.run(1)
    spray = Sprayer(world)
    outcomes = [spray.outcome(name, VICTIM[0]) for name in LINES]
    assert outcomes == [180] * UNPROVED_PER_NETWORK + [480]


def test_nobody_writes_as_one_of_us_in_a_call_that_another_node_holds() -> None:
    world = World(1, CLUSTER, list(LINES))
    bob = phone(world, "bob", "10.1.0.2")
    mallory, dialog = answered(world, "bob")
    statuses = []
    for node in world.nodes:
        message = mallory.in_dialog(dialog, "MESSAGE")
        message.set("From", f"<sip:clara@{DOMAIN}>;tag=mm")
        outgoing = mallory.start(message, node.address)
        world.run(2)
        statuses.append(outgoing.status)
    assert statuses == [403, 403]
    assert bob.messages == []


def test_the_called_one_of_us_writes_in_a_call_that_another_node_holds() -> None:
    world = World(1, CLUSTER, list(LINES))
    bob = phone(world, "bob", "10.1.0.2")
    mallory, _ = answered(world, "bob")
    [dialog] = bob.dialogs.values()
    statuses = []
    for node in world.nodes:
        outgoing = bob.start(bob.in_dialog(dialog, "MESSAGE"), node.address)
        world.run(2)
        statuses.append(outgoing.status)
    assert statuses == [200, 200]
    assert len(mallory.messages) == 2


def test_a_call_that_another_node_holds_ends_there_with_one_record_however_often() -> None:
    world = World(1, CLUSTER, list(LINES))
    phone(world, "bob", "10.1.0.2")
    mallory, dialog = answered(world, "bob")
    for _ in range(10):
        mallory.start(mallory.in_dialog(dialog, "BYE"), world.nodes[1].address)
        world.run(1)
    assert len(world.records_of(Kind.CALL_END)) == 1
