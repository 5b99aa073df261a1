"""What workers look for every second: registrations that have ended, calls that nobody answers."""

from __future__ import annotations

import pytest

from sipcore.eventlog import Kind
from sipcore.message import Request
from sipcore.transaction import ServerTransaction
from tests.sipcore.conformance.test_outbound import live
from tests.sipcore.simulation.phone import Phone
from tests.sipcore.simulation.test_calls import registered
from tests.sipcore.simulation.world import SIZES, Size, World

pytestmark = pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])

MAX_CALL_S = 600.0


def test_what_has_expired_is_held_no_more(size: Size) -> None:
    """Reading shows only what lives; the operator's figures and our memory know what is held."""
    world = World(1, size, ["anna", "bob"])
    for name, host, expires in (("anna", "10.1.0.1", 600), ("bob", "10.1.0.2", 60)):
        Phone(world, name, (host, 5060)).register(expires)
    world.run(2)
    assert {worker.bindings.count for worker in world.workers} == {2}
    live(world, 70)
    assert {worker.bindings.count for worker in world.workers} == {1}


def ring_on(phone: Phone, tx: ServerTransaction, request: Request, now: float) -> None:
    """It rings, and says so every minute: timer C never fires (RFC 3261 §16.7 item 2)."""
    if tx.last_status < 200:
        phone.respond(tx, request, 180, "early")
        phone.network.after(60.0, lambda later: ring_on(phone, tx, request, later))


def test_a_call_that_rings_for_ever_is_ended(size: Size) -> None:
    world = World(1, size, ["anna", "bob"], max_call_s=MAX_CALL_S)
    anna, bob = registered(world, "anna", "10.1.0.1"), Phone(world, "bob", ("10.1.0.2", 5060))
    bob.register(3600)
    bob.on_invite = ring_on
    world.run(1)
    outgoing = anna.call("bob")
    live(world, int(MAX_CALL_S) - 10)
    assert outgoing.status == 0
    assert world.records_of(Kind.CALL_END) == []
    live(world, 80)
    assert outgoing.status == 487
    assert [r.method for r in bob.received] == ["INVITE", "CANCEL"]
    [end] = world.records_of(Kind.CALL_END)
    assert end.fields["cause"] == "terminated"
    world.run(400)
    world.check_calls()
    world.check_nothing_left()
