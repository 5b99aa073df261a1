"""Phones behind a NAT that write its address as theirs and send no keep-alive: their flow is kept open."""

from __future__ import annotations

from itertools import pairwise

import pytest

from sipcore.message import Request
from sipcore.transport.flow import Address, Flow
from tests.sipcore.simulation.phone import Outgoing, Phone
from tests.sipcore.simulation.test_calls import registered
from tests.sipcore.simulation.world import DOMAIN, SIZES, Size, World

pytestmark = pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])

MAPPED = ("203.0.113.9", 40_123)
PUBLIC = "203.0.113.9:40123"
KEEP_ALIVE = b"\r\n\r\n"


class Behind(Phone):
    """A phone behind a NAT; `sent_by` is what it writes into its Via."""

    def __init__(self, world: World, sent_by: str) -> None:
        super().__init__(world, "bob", MAPPED)
        self.sent_by = sent_by
        self.kept: list[float] = []
        """When something came that keeps the NAT open."""

    def _launch(self, outgoing: Outgoing) -> None:
        via = f"SIP/2.0/UDP {self.sent_by};branch=z9hG4bK{self._id()}{self.rport}"
        outgoing.request.set("Via", via)
        flow = Flow(self.transport, self.address, outgoing.destination)
        outgoing.tx = self.transactions.request(outgoing.request, flow, self.network.now, outgoing)
        self._set_timer()

    def _receive(self, data: bytes, source: Address, now: float) -> None:
        if data == KEEP_ALIVE:
            self.kept.append(now)
        else:
            super()._receive(data, source, now)


def sweep(world: World, seconds: int) -> None:
    """Let time pass, with the look around that a node takes each second."""
    for _ in range(seconds):
        world.run(1)
        for node in world.nodes:
            for slot, place in enumerate(node.slots):
                if place.worker is not None:
                    place.worker.sweep(world.network.now, world.network.at)
                    node.flush(slot)


def register(phone: Phone, sent_by: str, *contacts: str, call_id: str = "") -> Request:
    assert isinstance(phone, Behind)
    phone.sent_by = sent_by
    request = phone.build("REGISTER", f"sip:{DOMAIN}", call_id=call_id or phone.register_call_id)
    request.set("To", f"<sip:bob@{DOMAIN}>")
    request.set("Contact", ", ".join(contacts))
    request.append("Expires", "600")
    done = phone.start(request, phone.world.nodes[0].address)
    phone.world.run(1)
    assert done.status == 200
    return request


def gaps(phone: Behind) -> list[int]:
    return [round(after - before) for before, after in pairwise(phone.kept)]


@pytest.mark.parametrize("sent_by", ["192.168.4.4:5060", "10.7.7.7", "laptop.local", "PC-7:5070"])
def test_a_private_via_tells_though_the_contact_is_public(size: Size, sent_by: str) -> None:
    world = World(1, size, ["anna", "bob"])
    anna, bob = registered(world, "anna", "10.1.0.1"), Behind(world, sent_by)
    register(bob, sent_by, f"<sip:bob@{PUBLIC}>")
    sweep(world, 130)
    assert gaps(bob) == [25] * 4
    call = anna.call("bob")
    world.run(2)
    assert call.status == 200


@pytest.mark.parametrize("is_one_request", [True, False])
def test_the_first_contact_under_the_call_id_tells_though_via_and_contact_are_public(
    size: Size, is_one_request: bool
) -> None:
    """As pjsip does: from its second REGISTER on it writes what the first response has shown it."""
    world = World(1, size, ["anna", "bob"])
    bob = Behind(world, "192.168.4.4:5060")
    private = "<sip:bob@192.168.4.4:5060>"
    register(bob, "192.168.4.4:5060", private)
    if is_one_request:
        register(bob, PUBLIC, f"{private};expires=0", f"<sip:bob@{PUBLIC}>")
    else:
        register(bob, PUBLIC, f"<sip:bob@{PUBLIC}>")
    for _ in range(3):  # as long as it refreshes
        sweep(world, 60)
        register(bob, PUBLIC, f"<sip:bob@{PUBLIC}>")
    sweep(world, 60)
    assert set(gaps(bob)) == {25}
    assert len(bob.kept) >= 8


def test_a_phone_that_is_in_the_open_gets_none(size: Size) -> None:
    world = World(1, size, ["anna", "bob"])
    bob = Behind(world, PUBLIC)
    register(bob, PUBLIC, f"<sip:bob@{PUBLIC}>")
    sweep(world, 130)
    assert bob.kept == []


def test_a_phone_on_the_campus_network_gets_none(size: Size) -> None:
    """Its private address is where it sends from."""
    world = World(1, size, ["anna", "bob"])
    bob = registered(world, "bob", "10.1.0.2")
    sweep(world, 60)
    assert [r.method for r in bob.received] == []
    assert all(len(worker.keep_alives) == 0 for worker in world.workers)


def test_a_phone_that_has_left_its_nat_gets_none(size: Size) -> None:
    world = World(1, size, ["anna", "bob"])
    bob = Behind(world, "192.168.4.4:5060")
    register(bob, "192.168.4.4:5060", "<sip:bob@192.168.4.4:5060>")
    open_place = ("198.51.100.7", 5060)
    bob.network.detach(MAPPED)
    bob.network.attach(open_place, bob._receive)
    bob.address = open_place
    register(bob, "198.51.100.7:5060", "<sip:bob@198.51.100.7:5060>")
    sweep(world, 60)
    assert bob.kept == []


def test_a_bye_reaches_such_a_caller_after_some_minutes(size: Size) -> None:
    """Its NAT forgets what was idle for a minute."""
    world = World(1, size, ["anna", "bob"])
    anna, bob = registered(world, "anna", "10.1.0.1"), Behind(world, "192.168.4.4:5060")
    register(bob, "192.168.4.4:5060", f"<sip:bob@{PUBLIC}>")
    bob.contact = f"sip:bob@{PUBLIC}"
    bob.call("anna")
    sweep(world, 250)
    assert max(gaps(bob)) <= 25
    [dialog] = anna.dialogs.values()
    bye = anna.hang_up(dialog)
    world.run(2)
    assert bye is not None
    assert bye.status == 200
