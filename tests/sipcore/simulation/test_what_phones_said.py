"""What a call's records say of each phone: which took it, why the others did not, where it went."""

from __future__ import annotations

from typing import Any

import pytest

from sipcore.eventlog import Kind
from tests.sipcore.simulation.phone import (
    Outgoing,
    Phone,
    answer_after,
    refuse_with,
    ring_forever,
)
from tests.sipcore.simulation.test_calls import end_of, make_world, registered
from tests.sipcore.simulation.world import DOMAIN, SIZES, Size, World

ANNAS, BOBS = 101, 102
"""Their devices."""


@pytest.fixture(params=SIZES, ids=["one worker", "two nodes of three"])
def size(request: pytest.FixtureRequest) -> Size:
    found: Size = request.param
    return found


@pytest.mark.parametrize("status", [302, 404, 410, 480, 486, 603])
def test_what_a_phone_says_is_told_from_what_we_say(size: Size, status: int) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    bob.on_invite = refuse_with(status)
    anna.call("bob")
    assert end_of(world)["phones"] == ((BOBS, status, "said"),)


def test_a_phone_whose_host_refuses_is_told_from_one_that_is_silent(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    world.unreachable.add(bob.address)
    anna.call("bob")
    [(device, _status, heard)] = phones_of(world)
    assert (device, heard) == (BOBS, "refused")


def test_a_phone_that_says_nothing_is_silent(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    world.network.attach(bob.address, lambda *_: None)
    anna.call("bob")
    assert phones_of(world) == ((BOBS, 408, "silent"),)


def test_a_line_without_a_phone_has_none_that_said_anything(size: Size) -> None:
    world = make_world(size)
    registered(world, "anna", "10.1.0.1").call("bob")
    end = end_of(world)
    assert end["status"] == 480
    assert "phones" not in end


def test_which_device_answered_is_recorded(size: Size) -> None:
    world = make_world(size)
    anna, _bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    call = anna.call("bob")
    world.run(1)
    hang_up(anna, call)
    end_of(world)
    [begin], [answer] = (world.records_of(k) for k in (Kind.CALL_BEGIN, Kind.CALL_ANSWER))
    assert begin.fields["caller_device"] == ANNAS
    assert answer.fields["callee_device"] == BOBS


def test_a_phone_that_we_have_told_to_stop_has_said_nothing(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    bob.on_invite = ring_forever
    call = anna.call("bob")
    world.run(3)
    anna.cancel(call)
    assert "phones" not in end_of(world)


def test_one_of_two_declines_and_the_other_takes_it(size: Size) -> None:
    world = make_world(size)
    anna, desk = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    laptop = registered(world, "bob", "10.1.0.3")
    laptop.on_invite, desk.on_invite = refuse_with(486), answer_after(2.0)
    call = anna.call("bob")
    world.run(4)
    hang_up(anna, call)
    assert end_of(world)["phones"] == ((BOBS, 486, "said"),)


# --- calls that are handed on -------------------------------------------------------------------
def refer(sender: Phone, call: Outgoing, to: str) -> None:
    [dialog] = call.dialogs.values()
    request = sender.in_dialog(dialog, "REFER")
    request.append("Refer-To", to)
    sender.start(request, sender.route_address(dialog))
    sender.world.run(1)


def test_a_call_that_comes_of_a_refer_is_joined_to_it() -> None:
    world = make_world(SIZES[0])
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    registered(world, "clara", "10.1.0.3")
    call = anna.call("bob")
    world.run(1)
    refer(anna, call, f"<sip:clara@{DOMAIN}>")
    hang_up(anna, call)
    for who in ("anna", "clara", "clara"):
        bob.call(who)
        world.run(1)
    first, other, next_, again = world.records_of(Kind.CALL_BEGIN)
    [moved] = world.records_of(Kind.CALL_MOVED)
    assert moved.context == first.context
    assert moved.fields == {"by": "caller", "to": f"sip:clara@{DOMAIN}"}
    assert next_.fields["came_from"] == first.context
    assert other.fields["came_from"] == ""
    assert "came_from" not in again.fields


def test_a_refer_is_forgotten_after_a_minute() -> None:
    world = make_world(SIZES[0])
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    call = anna.call("bob")
    world.run(1)
    refer(anna, call, f"<sip:clara@{DOMAIN}>")
    world.run(61)
    bob.call("clara")
    world.run(1)
    assert world.records_of(Kind.CALL_BEGIN)[-1].fields["came_from"] == ""


@pytest.mark.parametrize("to", ["<sip:clara", "<tel:1002>, <tel:1003>", "not a URI"])
def test_a_refer_to_nowhere_joins_nothing(to: str) -> None:
    world = make_world(SIZES[0])
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    call = anna.call("bob")
    world.run(1)
    refer(anna, call, to)
    bob.call("clara")
    world.run(1)
    assert "came_from" not in world.records_of(Kind.CALL_BEGIN)[-1].fields


def test_a_call_that_is_taken_over_says_by_which() -> None:
    world = make_world(SIZES[0])
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    registered(world, "clara", "10.1.0.3")
    anna.call("bob")
    world.run(1)
    asked = anna.call("clara")
    world.run(1)
    [dialog] = asked.dialogs.values()
    to_tag = dialog.remote_value.partition(";tag=")[2]
    request = bob.build("INVITE", f"sip:clara@{DOMAIN}", body=b"v=0\r\n")
    name = f"{dialog.call_id};to-tag={to_tag};from-tag={asked.request.from_tag}"
    request.append("Replaces", name)
    bob.start(request, world.nodes[0].address)
    world.run(1)
    replaced, taker = world.records_of(Kind.CALL_BEGIN)[1:]
    [moved] = world.records_of(Kind.CALL_MOVED)
    assert (moved.context, moved.fields) == (replaced.context, {"next": taker.context})


def phones_of(world: World) -> Any:
    return end_of(world)["phones"]


def hang_up(phone: Phone, call: Outgoing) -> None:
    for dialog in call.dialogs.values():
        phone.hang_up(dialog)
    phone.world.run(1)
