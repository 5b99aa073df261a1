"""What strangers may hold: calls at a line, and of a network, at the server's edge."""

from __future__ import annotations

import pytest

from sipcore.apps.echo import Echo
from sipcore.eventlog import Kind
from sipcore.message import Request
from sipcore.perimeter.limits import (
    CALLS_S,
    NEW_CALLS_IN_ALL,
    NEW_CALLS_PER_LINE,
    REFUSAL_RECORDS_PER_INTERVAL,
)
from tests.sipcore.simulation.phone import Phone, refuse_with, ring_forever
from tests.sipcore.simulation.sprayer import Sprayer
from tests.sipcore.simulation.world import DOMAIN, ONE, SIZES, Size, World

LINES = ("anna", "bob", "clara", "dora", "emil")


def make_world(size: Size = ONE) -> World:
    world = World(1, size, list(LINES))
    for number, name in enumerate(LINES):
        registered(world, name, number + 1).on_invite = ring_forever
    return world


def registered(world: World, name: str, number: int) -> Phone:
    phone = Phone(world, name, (f"10.1.0.{number}", 5060))
    phone.register()
    world.run(1)
    return phone


def test_of_a_flood_of_invites_from_everywhere_four_ring_at_a_line() -> None:
    world = make_world()
    spray = Sprayer(world)
    outcomes = [spray.outcome("bob", f"192.0.{n}.7") for n in range(30)]
    assert outcomes == [180] * 4 + [480] * 26
    assert len(world.records_of(Kind.CALL_BEGIN)) == 4  # and no record for those refused


def test_of_one_network_two_ring_at_a_line_and_four_in_all() -> None:
    world = make_world()
    spray = Sprayer(world)
    assert [spray.outcome("bob", f"192.0.2.{n}") for n in range(3)] == [180, 180, 480]
    assert [spray.outcome("anna", f"192.0.2.{n}") for n in range(2)] == [180, 180]
    assert spray.outcome("clara", "192.0.2.9") == 480
    assert spray.outcome("clara", "192.0.3.9") == 180


def test_a_refused_call_of_a_stranger_is_answered_once_and_leaves_nothing() -> None:
    world = make_world()
    spray = Sprayer(world)
    for n in range(4):
        spray.invite("bob", f"192.0.{n}.7")
    source = spray.invite("bob", "192.0.9.7")
    world.run(40)
    assert [response.status for response in spray.heard[source]] == [480]


def test_the_places_are_free_again_when_the_calls_are_over() -> None:
    world = make_world()
    spray = Sprayer(world)
    for n in range(5):
        spray.invite("bob", f"192.0.{n}.7")
    world.run(300)  # timer C
    assert spray.outcome("bob", "192.0.9.7") == 180


@pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])
def test_our_own_callers_are_not_counted(size: Size) -> None:
    world = make_world(size)
    spray = Sprayer(world)
    for n in range(40):
        spray.invite("bob", f"192.0.{n}.7")
    anna = Phone(world, "anna", ("10.1.0.77", 5060))
    call = anna.call("bob")
    world.run(2)
    assert 180 in [response.status for response in call.responses]


def test_whoever_has_talked_with_a_line_finds_room_in_a_flood() -> None:
    world = World(1, ONE, ["bob"])
    bob = registered(world, "bob", 1)
    friend = Phone(world, "friend", ("198.51.100.7", 5060))
    invite = friend.build("INVITE", f"sip:bob@{DOMAIN}", body=b"v=0\r\n")
    invite.set("From", "<sip:friend@elsewhere.example>;tag=f")
    call = friend.start(invite, world.nodes[0].address)
    world.run(2)
    [dialog] = call.dialogs.values()
    friend.hang_up(dialog)
    world.run(2)
    bob.on_invite = ring_forever
    spray = Sprayer(world)
    for n in range(8):
        spray.invite("bob", f"192.0.{n}.7")
    assert spray.outcome("bob", "198.51.100.9") == 180
    assert spray.outcome("bob", "192.0.99.7") == 480


def guess(world: World, name: str, number: int, host: str = "192.0.2.66") -> None:
    """A REGISTER from there with wrong credentials of this name."""
    source = (host, 5060)
    world.network.attach(source, lambda data, source, now: None)
    request = Request.build(
        "REGISTER",
        f"sip:{DOMAIN}",
        [
            ("Via", f"SIP/2.0/UDP {host};branch=z9hG4bK{number}"),
            ("From", f"<sip:{name}@{DOMAIN}>;tag={number}"),
            ("To", f"<sip:{name}@{DOMAIN}>"),
            ("Call-ID", f"flood-{number}"),
            ("CSeq", "1 REGISTER"),
            (
                "Authorization",
                f'Digest username="{name}", realm="campus", nonce="n", uri="sip:{DOMAIN}",'
                ' response="00000000000000000000000000000000", algorithm=MD5,'
                ' qop=auth, nc=00000001, cnonce="c"',
            ),
        ],
    )
    world.network.send(request.to_bytes(), source, world.nodes[0].address)


@pytest.mark.parametrize("name", ["anna", "nobody"])
def test_whoever_guesses_on_and_on_gets_one_record_in_two_seconds_with_the_number(
    name: str,
) -> None:
    world = World(1, ONE, ["anna"])
    for number in range(35):  # ten a second
        guess(world, name, number)
        world.run(0.1)
    guess(world, name, 100, host="192.0.2.67")  # another source is told by itself
    world.run(0.1)
    told = [
        (record.fields["source"], record.fields["username"], record.fields["count"])
        for record in world.records_of(Kind.AUTH_REFUSED)
    ]
    assert told == [("192.0.2.66", name, 1), ("192.0.2.66", name, 20), ("192.0.2.67", name, 1)]
    known = {record.fields["known"] for record in world.records_of(Kind.AUTH_REFUSED)}
    assert known == {name == "anna"}


def test_a_flood_of_wrong_credentials_writes_a_bounded_number_of_records() -> None:
    world = World(1, ONE, ["anna"])
    for n in range(3_000):
        guess(world, f"x{n}", n)
        world.run(0.01)
    world.run(120)
    records = world.records_of(Kind.AUTH_REFUSED)
    assert len(records) == REFUSAL_RECORDS_PER_INTERVAL + 1
    counts = [record.fields["count"] for record in records]
    # Ten names share the hash of another: they are told with the next of that hash.
    assert (counts[:-1].count(1), counts[-1]) == (REFUSAL_RECORDS_PER_INTERVAL, 2_690)
    world.check_nothing_left()


NETWORKS = [f"192.{n // 250}.{n % 250}.7" for n in range(300)]


def test_a_flood_of_calls_that_are_given_up_at_once_rings_a_line_a_few_times() -> None:
    world = make_world()
    spray = Sprayer(world)
    for host in NETWORKS:
        spray.invite_and_cancel("bob", host)
    assert len(world.records_of(Kind.CALL_BEGIN)) == NEW_CALLS_PER_LINE
    world.run(CALLS_S)
    assert spray.outcome("bob", "198.51.100.7") == 180


def test_a_flood_of_calls_that_a_phone_declines_writes_records_of_a_few() -> None:
    world = World(1, ONE, ["bob"])
    registered(world, "bob", 1).on_invite = refuse_with(486)
    spray = Sprayer(world)
    for host in NETWORKS:
        spray.send("INVITE", "bob", host)
        world.run(0.1)
    assert len(world.records_of(Kind.CALL_BEGIN)) == NEW_CALLS_PER_LINE


def test_a_flood_of_calls_that_a_service_refuses_writes_records_of_a_few() -> None:
    world = World(1, ONE, ["bob"], services=[Echo])
    spray = Sprayer(world)
    for n in range(600):
        spray.send("INVITE", "echo", f"192.{n // 250}.{n % 250}.7", [("Require", "nothing-we-know")])
        world.run(0.05)
    assert len(world.records_of(Kind.CALL_BEGIN)) == NEW_CALLS_IN_ALL


def test_a_flood_of_calls_to_all_lines_writes_records_of_some() -> None:
    names = [f"line{n}" for n in range(60)]
    world = World(1, ONE, names)
    for number, name in enumerate(names):
        registered(world, name, number + 1)
    spray = Sprayer(world)
    for n in range(10 * len(names)):
        spray.send("INVITE", names[n % len(names)], f"192.{n // 250}.{n % 250}.7")
    world.run(1)
    assert len(world.records_of(Kind.CALL_BEGIN)) == NEW_CALLS_IN_ALL


@pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])
def test_a_stranger_in_a_call_sends_to_nobody_but_its_other_side(size: Size) -> None:
    """Neither a further Route nor another Request-URI leads elsewhere: the call goes by its two flows."""
    world = World(1, size, ["bob"])
    bob = registered(world, "bob", 1)
    friend = Phone(world, "friend", ("198.51.100.7", 5060))
    heard: list[bytes] = []
    for victim in (("203.0.113.66", 5060), ("203.0.113.67", 5060)):
        world.network.attach(victim, lambda data, source, now: heard.append(data))
    invite = friend.build("INVITE", f"sip:bob@{DOMAIN}", body=b"v=0\r\n")
    invite.set("From", "<sip:friend@elsewhere.example>;tag=f")
    call = friend.start(invite, world.nodes[0].address)
    world.run(2)
    [dialog] = call.dialogs.values()
    request = friend.in_dialog(dialog, "INFO")
    request.append("Route", "<sip:203.0.113.66;lr>")
    request.uri_text = "sip:bob@203.0.113.67"
    outgoing = friend.start(request, world.nodes[0].address)
    world.run(2)
    assert outgoing.status == 200
    assert [r.method for r in bob.received] == ["INVITE", "INFO"]
    assert heard == []
