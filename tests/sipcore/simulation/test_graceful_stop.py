"""A server that is told to stop: nothing new, what rings is ended, answered calls stay."""

from __future__ import annotations

import pytest

from sipcore.apps.user_agent import IncomingCall, IncomingMessage, UserAgent
from sipcore.campus.limits import STOP_WITHIN_S
from sipcore.eventlog import Counter, Kind
from sipcore.message import Request
from sipcore.transport.flow import Flow
from tests.sipcore.simulation.phone import (
    Phone,
    answer_after,
    answer_at_once,
    ring_forever,
    silent,
)
from tests.sipcore.simulation.test_calls import end_of, registered, talked_for
from tests.sipcore.simulation.test_crashes import kill_all
from tests.sipcore.simulation.world import DOMAIN, SIZES, Size, World

pytestmark = pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])

ENDED = 'SIP;cause=503;text="The server is being restarted"'


class Desk(UserAgent):
    """Rings, and picks up never."""

    name = "desk"

    def on_call(self, call: IncomingCall) -> None:
        call.ring()


class Alarm(UserAgent):
    """Three seconds after a message it calls and writes to the one it names."""

    name = "alarm"

    def on_message(self, message: IncomingMessage) -> None:
        def wake_up() -> None:
            self.call(message.text, b"v=0\r\n")
            self.message(message.text, b"wake up")

        self.later(3.0, wake_up)


def make_world(size: Size, **config: object) -> World:
    services = (Desk, Alarm)
    return World(7, size, ["anna", "bob", "clara"], services=services, **config)  # type: ignore[arg-type]


def drain(world: World, wait_s: float = 0.0) -> None:
    """All nodes are told to stop."""
    for node in world.nodes:
        for slot, place in enumerate(node.slots):
            assert place.worker is not None
            place.worker.drain(wait_s, world.network.now, world.network.at)
            node.flush(slot)


def is_drained(world: World) -> bool:
    return all(worker.drained for worker in world.workers)


def cancels(phone: Phone) -> list[Request]:
    return [request for request in phone.received if request.method == "CANCEL"]


def test_nothing_waits_and_it_stops_at_once(size: Size) -> None:
    world = make_world(size)
    registered(world, "anna", "10.1.0.1")
    world.run(60)
    drain(world)
    assert is_drained(world)


def test_a_phone_that_rings_is_cancelled_and_its_caller_told_when_to_call_again(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    bob.on_invite = ring_forever
    call = anna.call("bob")
    world.run(5)
    drain(world)
    assert not is_drained(world)
    world.run(0.2)
    assert is_drained(world)
    [cancel] = cancels(bob)
    assert cancel.rows("reason") == [ENDED]
    assert call.status == 503
    assert call.finals[0].first("retry-after") == "5"
    [end] = world.records_of(Kind.CALL_END)
    assert (end.fields["cause"], end.fields["by"], end.fields["status"]) == (
        "terminated",
        "system",
        503,
    )


def test_every_phone_of_a_line_stops_ringing(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    desk = registered(world, "bob", "10.1.0.3")
    bob.on_invite = desk.on_invite = ring_forever
    call = anna.call("bob")
    world.run(5)
    drain(world)
    world.run(0.2)
    assert len(cancels(bob)) == len(cancels(desk)) == 1
    assert call.status == 503


def test_a_call_that_comes_meanwhile_is_told_when_to_call_again(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    drain(world)
    call = anna.call("bob")
    world.run(0.2)
    assert call.status == 503
    assert call.finals[0].first("retry-after") == "5"
    assert not [r for r in bob.received if r.method == "INVITE"]
    assert sum(worker.counts.total[Counter.STOPPING] for worker in world.workers) == 1
    assert is_drained(world)


@pytest.mark.parametrize("method", ["OPTIONS", "MESSAGE", "SUBSCRIBE", "PUBLISH", "REFER"])
@pytest.mark.parametrize("to", [f"sip:{DOMAIN}", f"sip:bob@{DOMAIN}"], ids=["server", "line"])
def test_all_else_that_begins_something_is_503_as_well(size: Size, method: str, to: str) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    drain(world)
    asked = anna.start(anna.build(method, to), world.nodes[0].address)
    world.run(0.2)
    assert asked.status == 503
    assert asked.finals[0].first("retry-after") == "5"
    assert not bob.received


def test_a_phone_still_registers(size: Size) -> None:
    world = make_world(size)
    drain(world)
    anna = Phone(world, "anna", ("10.1.0.1", 5060))
    outgoing = anna.register()
    world.run(0.2)
    assert outgoing.status == 200


def test_an_invite_that_comes_again_is_not_a_new_one(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    bob.on_invite = silent
    call = anna.call("bob")
    world.run(1)
    drain(world, wait_s=3)
    anna.network.send(call.request.to_bytes(), anna.address, call.destination)
    world.run(1)
    assert call.status == 0


def test_answered_calls_stay_for_the_next_server(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    call = anna.call("bob")
    world.run(10)
    drain(world)
    world.run(0.5)
    assert is_drained(world)
    kill_all(world)
    world.run(5)
    [dialog] = call.dialogs.values()
    assert not dialog.ended
    assert not [r for r in bob.received if r.method == "BYE"]
    bye = anna.hang_up(dialog)
    end = end_of(world)
    assert bye is not None
    assert bye.status == 200
    assert end["cause"] == "completed"
    assert talked_for(world) == pytest.approx(15.5, abs=0.2)


def test_who_hangs_up_meanwhile_is_heard(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    call = anna.call("bob")
    world.run(10)
    drain(world)
    [dialog] = call.dialogs.values()
    bye = anna.hang_up(dialog)
    world.run(0.2)
    assert bye is not None
    assert bye.status == 200
    assert all(d.ended for d in bob.dialogs.values())


def test_a_phone_that_picks_up_just_then_is_in_an_answered_call(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    bob.on_invite = ring_forever
    call = anna.call("bob")
    world.run(5)
    [invite] = [r for r in bob.received if r.method == "INVITE"]
    tx = bob.transactions.find_invite(invite, Flow("UDP", bob.address, bob.address))
    assert tx is not None
    bob.accept(tx, invite)
    drain(world)
    world.run(1)
    assert call.status == 200
    assert is_drained(world)
    assert not [r for r in bob.received if r.method == "BYE"]


def test_a_phone_may_be_answered_for_as_long_as_the_operator_wants(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    clara = registered(world, "clara", "10.1.0.3")
    bob.on_invite = answer_after(4.0)
    call = anna.call("bob")
    world.run(2)
    drain(world, wait_s=5)
    late = clara.call("bob")
    world.run(1)
    assert late.status == 503
    assert not is_drained(world)
    world.run(2)
    assert call.status == 200
    assert is_drained(world)


def test_what_still_rings_after_that_time_is_ended(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    bob.on_invite = ring_forever
    call = anna.call("bob")
    world.run(2)
    drain(world, wait_s=5)
    world.run(4.9)
    assert not cancels(bob)
    world.run(0.3)
    assert len(cancels(bob)) == 1
    assert call.status == 503


def test_a_phone_that_says_nothing_is_waited_for_no_longer_than_stated(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    world.network.detach(bob.address)
    call = anna.call("bob")
    world.run(1)
    drain(world)
    world.run(STOP_WITHIN_S - 0.1)
    assert call.status == 0
    world.run(0.2)
    assert call.status == 503
    assert is_drained(world)


def test_nobody_is_asked_whether_they_are_still_there(size: Size) -> None:
    world = make_world(size, probe_s=20)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    anna.call("bob")
    world.run(5)
    drain(world, wait_s=30)
    world.run(25)
    assert not [r for r in (*anna.received, *bob.received) if r.method == "OPTIONS"]


def test_who_waits_for_a_service_is_told_when_to_call_again(size: Size) -> None:
    world = make_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    call = anna.call("desk")
    world.run(5)
    drain(world)
    world.run(0.2)
    assert call.status == 503
    assert call.finals[0].first("retry-after") == "5"
    assert is_drained(world)


def text_to_alarm(anna: Phone) -> Request:
    request = anna.build("MESSAGE", f"sip:alarm@{DOMAIN}", body=b"bob")
    request.set("Content-Type", "text/plain")
    return request


def test_a_phone_that_a_service_rings_is_cancelled(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    bob.on_invite = ring_forever
    anna.start(text_to_alarm(anna), world.nodes[0].address)
    world.run(5)
    assert bob.messages == [b"wake up"]
    drain(world)
    world.run(0.2)
    assert len(cancels(bob)) == 1
    assert is_drained(world)


def test_services_begin_nothing_any_more(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    asked = anna.start(text_to_alarm(anna), world.nodes[0].address)
    world.run(1)
    assert asked.status == 200
    drain(world, wait_s=5)
    world.run(4)
    assert not bob.received
    assert is_drained(world)


def test_a_caller_who_gives_up_just_then_hears_that(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    bob.on_invite = ring_forever
    call = anna.call("bob")
    world.run(5)
    drain(world, wait_s=5)
    anna.cancel(call)
    world.run(0.2)
    assert call.status == 487
    assert is_drained(world)
    [end] = world.records_of(Kind.CALL_END)
    assert end.fields["cause"] == "cancelled"


def test_an_offer_inside_a_call_is_answered_before_it_stops(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    bob.on_invite = answer_at_once
    call = anna.call("bob")
    world.run(5)
    [dialog] = call.dialogs.values()
    again = anna.reinvite(dialog)
    drain(world)
    world.run(0.5)
    assert again.status == 200
    assert is_drained(world)
