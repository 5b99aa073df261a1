"""What strangers' MESSAGEs may hold: of a line, of a network and in all, at the server's edge."""

from __future__ import annotations

from collections import Counter

import pytest

from sipcore.apps.echo import Echo
from sipcore.perimeter.limits import (
    INSIDE_A_CALL,
    MESSAGES_PER_NETWORK,
    MESSAGES_S,
    NEW_MESSAGES_IN_ALL,
    NEW_MESSAGES_PER_LINE,
)
from tests.sipcore.simulation.phone import Phone
from tests.sipcore.simulation.sprayer import Sprayer
from tests.sipcore.simulation.world import DOMAIN, ONE, SIZES, Size, World

NETWORKS = [f"192.{n // 250}.{n % 250}.7" for n in range(300)]
"""Of each one host."""
FRIEND = ("198.51.100.7", 5060)
AS_MANY_AS_MAY = {200: NEW_MESSAGES_PER_LINE, 480: 300 - NEW_MESSAGES_PER_LINE}


def make_world(size: Size = ONE) -> tuple[World, Phone, Sprayer]:
    """Bob has a phone."""
    world = World(1, size, ["anna", "bob"], services=[Echo])
    return world, registered(world, "bob", 1), Sprayer(world)


def registered(world: World, name: str, number: int) -> Phone:
    phone = Phone(world, name, (f"10.1.{number // 250}.{number % 250}", 5060))
    phone.register()
    world.run(1)
    return phone


def test_of_a_flood_of_messages_to_one_line_so_many_reach_its_phone() -> None:
    _, bob, spray = make_world()
    assert Counter(spray.messages("bob", NETWORKS)) == AS_MANY_AS_MAY
    assert len(bob.messages) == NEW_MESSAGES_PER_LINE


def test_a_flood_of_messages_to_a_silent_phone_leaves_as_many_transactions_as_a_line_may_have() -> None:
    world, bob, spray = make_world()
    world.run(40)
    world.network.detach(bob.address)
    spray.messages("bob", NETWORKS)
    assert len(world.workers[0].transactions) == 2 * NEW_MESSAGES_PER_LINE  # one to each side
    world.run(80)
    world.check_nothing_left()


def test_of_one_network_so_many_messages_reach_a_line() -> None:
    _, _, spray = make_world()
    most = MESSAGES_PER_NETWORK
    outcomes = spray.messages("bob", [f"192.0.2.{n}" for n in range(100)])
    assert Counter(outcomes) == {200: most, 480: 100 - most}
    assert spray.messages("bob", ["192.0.3.1"]) == [200]


def test_a_flood_of_messages_to_a_service_takes_no_more_than_one_to_a_line() -> None:
    _, _, spray = make_world()
    assert Counter(spray.messages("echo", NETWORKS)) == AS_MANY_AS_MAY


def test_a_message_that_came_too_early_may_come_again() -> None:
    world, _, spray = make_world()
    spray.messages("bob", NETWORKS)
    world.run(MESSAGES_S)
    assert spray.messages("bob", ["198.51.100.7"]) == [200]


def test_whoever_a_line_has_written_to_finds_room_in_a_flood_of_messages() -> None:
    world, bob, spray = make_world()
    friend = Phone(world, "friend", FRIEND)
    bob.start(bob.build("MESSAGE", f"sip:friend@{FRIEND[0]}", body=b"hello"), world.nodes[0].address)
    world.run(2)
    assert friend.messages == [b"hello"]
    spray.messages("bob", NETWORKS)
    assert spray.messages("bob", [FRIEND[0], "192.99.0.1"]) == [200, 480]


def test_whoever_a_line_has_called_finds_room_in_a_flood_of_messages() -> None:
    world, bob, spray = make_world()
    Phone(world, "friend", FRIEND)
    call = bob.build("INVITE", f"sip:friend@{FRIEND[0]}", body=b"v=0\r\n")
    bob.start(call, world.nodes[0].address)
    world.run(2)
    spray.messages("bob", NETWORKS)
    assert spray.messages("bob", [FRIEND[0], "192.99.0.1"]) == [200, 480]


def test_a_phone_that_answers_by_itself_makes_nobody_known() -> None:
    _, _, spray = make_world()
    spray.messages("bob", ["192.99.0.1"])
    spray.messages("bob", NETWORKS)
    assert spray.messages("bob", ["192.99.0.1"]) == [480]


def test_a_flood_of_messages_to_all_lines_takes_a_part_of_the_table() -> None:
    names = [f"line{n}" for n in range(100)]
    world = World(1, ONE, names)
    phones = [registered(world, name, number + 1) for number, name in enumerate(names)]
    world.run(40)
    for phone in phones:
        world.network.detach(phone.address)
    spray = Sprayer(world)
    for n in range(NEW_MESSAGES_IN_ALL + 200):
        spray.send("MESSAGE", names[n % 100], f"192.{n // 250}.{n % 250}.7")
    world.run(2)
    assert len(world.workers[0].transactions) == 2 * NEW_MESSAGES_IN_ALL


@pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])
def test_messages_of_our_own_are_not_counted(size: Size) -> None:
    world, bob, spray = make_world(size)
    spray.messages("bob", NETWORKS)
    anna = Phone(world, "anna", ("10.1.0.77", 5060))
    for _ in range(3):
        anna.message("bob", b"hello")
    world.run(2)
    assert bob.messages.count(b"hello") == 3


@pytest.mark.parametrize("method", ["OPTIONS", "SUBSCRIBE", "FROB"])
def test_what_a_service_refuses_or_tells_a_stranger_is_said_once_and_leaves_nothing(
    method: str,
) -> None:
    world, _, spray = make_world()
    world.run(40)
    spray.send(method, "echo", "192.0.2.7")
    world.run(1)
    assert len(world.workers[0].transactions) == 0


def test_a_message_that_a_service_does_not_understand_leaves_nothing() -> None:
    world, _, spray = make_world()
    world.run(40)
    headers = [("Content-Type", "image/png")]
    source, _ = spray.send("MESSAGE", "echo", "192.0.2.7", headers, b"x")
    world.run(1)
    assert [response.status for response in spray.heard[source]] == [415]
    assert len(world.workers[0].transactions) == 0


def test_a_stranger_in_a_call_sends_so_many_requests_and_hangs_up_all_the_same() -> None:
    world, bob, _ = make_world()
    mallory = Phone(world, "mallory", FRIEND)
    invite = mallory.build("INVITE", f"sip:bob@{DOMAIN}", body=b"v=0\r\n")
    invite.set("From", "<sip:m@elsewhere.example>;tag=mm")
    call = mallory.start(invite, world.nodes[0].address)
    world.run(2)
    [dialog] = call.dialogs.values()
    messages = [mallory.in_dialog(dialog, "MESSAGE") for _ in range(INSIDE_A_CALL + 50)]
    outgoing = [mallory.start(message, world.nodes[0].address) for message in messages]
    world.run(4)
    assert Counter(o.status for o in outgoing) == {200: INSIDE_A_CALL, 503: 50}
    bye = mallory.hang_up(dialog)
    world.run(2)
    assert bye is not None
    assert bye.status == 200
    assert len(bob.messages) == INSIDE_A_CALL
