"""Registered phones that say nothing at all: they are not there, and nobody waits for them for long."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sipcore.eventlog import Kind
from sipcore.locate import Answer, Srv
from sipcore.message import Request
from sipcore.transaction import ServerTransaction
from sipcore.transport.flow import Address
from tests.sipcore.simulation.phone import (
    Outgoing,
    Phone,
    answer_after,
    refuse_with,
    ring_forever,
    silent,
)
from tests.sipcore.simulation.test_calls import end_of, registered
from tests.sipcore.simulation.world import DOMAIN, SIZES, Size, World

pytestmark = pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])

HOSTS = ("10.1.0.2", "10.1.0.3", "10.1.0.4")
AT_ONCE = 0.1
"""Seconds."""
DELAY = 0.1
"""Seconds: what the DNS takes."""


def make_world(size: Size) -> World:
    return World(1, size, ["anna", "bob", "clara"], tls=True)


def deaf_until(phone: Phone, time: float) -> None:
    """What arrives before is lost."""
    receive: Callable[[bytes, Address, float], None] = phone._receive

    def hear(data: bytes, source: Address, now: float) -> None:
        if now >= time:
            receive(data, source, now)

    phone.network.attach(phone.address, hear)


def dead(world: World, host: str, transport: str = "UDP", **kw: str) -> Phone:
    """A phone of Bob's that has lost its network after it registered."""
    phone = Phone(world, "bob", (host, 5060), transport=transport, **kw)
    done = phone.register()
    world.run(1)
    assert done.status == 200
    world.network.detach(phone.address)
    return phone


def lates(world: World) -> list[tuple[str, int]]:
    return [(r.fields["event"], r.fields["callee_line"]) for r in world.records_of(Kind.CALL_LATE)]


# --- what comes next -----------------------------------------------------------------------------
@pytest.mark.parametrize("transport", ["UDP", "TLS"])
@pytest.mark.parametrize("status", [486, 603, 404])
def test_a_refusal_of_the_living_phone_reaches_the_caller_at_once(
    size: Size, transport: str, status: int
) -> None:
    world = make_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    dead(world, "10.1.0.2", transport)
    living = registered(world, "bob", "10.1.0.3")
    living.on_invite = refuse_with(status, 10.0)
    call = anna.call("bob")
    world.run(9.9)
    assert call.status == 0
    world.run(0.2 + AT_ONCE)
    assert call.status == status


def test_a_phone_that_says_nothing_is_waited_for_four_seconds(size: Size) -> None:
    world = make_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    dead(world, "10.1.0.2")
    call = anna.call("bob")
    world.run(3.9)
    assert call.status == 0
    world.run(0.2 + AT_ONCE)
    assert call.status == 408
    end = end_of(world)
    assert (end["cause"], end["by"]) == ("no_answer", "system")


@pytest.mark.parametrize("host", ["10.1.0.2", "203.0.113.9"])
def test_a_large_invite_is_waited_for_no_longer(size: Size, host: str) -> None:
    """By UDP, into a network where no connection is opened, or after one was refused."""
    world = World(1, size, ["anna", "bob"], transports=("UDP", "TCP"))
    anna = registered(world, "anna", "10.1.0.1")
    dead(world, host)
    call = anna.call("bob", b"v=0\r\n" + b"a=" + b"x" * 2000 + b"\r\n")
    world.run(3.9)
    assert call.status == 0
    world.run(0.2 + AT_ONCE)
    assert call.status == 408


def test_a_phone_that_is_trying_is_there(size: Size) -> None:
    """It has sent its 100, and does not ring for a while: it may be looking for its user."""
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    bob.on_invite = silent
    call = anna.call("bob")
    world.run(60)
    assert call.status == 0


def test_the_phones_of_less_preference_ring_after_four_seconds(size: Size) -> None:
    world = make_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    dead(world, "10.1.0.2", q="0.9")
    second = registered(world, "bob", "10.1.0.3", q="0.1")
    call = anna.call("bob")
    world.run(3.9)
    assert second.received == []
    world.run(0.2 + AT_ONCE)
    assert call.status == 200


def test_a_caller_who_gives_up_is_answered_four_seconds_after_the_call(size: Size) -> None:
    world = make_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    dead(world, "10.1.0.2")
    call = anna.call("bob")
    world.run(2)
    anna.cancel(call)
    world.run(2.1 + AT_ONCE)
    assert call.status == 487
    assert end_of(world)["cause"] == "cancelled"


def named(world: World, *hosts: str) -> list[Phone]:
    """Bob, registered by a name that leads to these addresses, one after the other."""
    phones = [Phone(world, "bob", (host, 5060)) for host in hosts]
    names = [f"s{n}.bob.example" for n in range(len(hosts))]
    srv = [Srv(n, 0, 5060, name) for n, name in enumerate(names, 1)]
    world.zone["_sip._udp.bob.example", "SRV"] = Answer(300.0, srv=srv)
    for name, host in zip(names, hosts, strict=True):
        world.zone[name, "A"] = Answer(300.0, addresses=[host])
    phones[0].register(contact="<sip:bob@bob.example>")
    world.run(1)
    return phones


def test_looking_up_the_name_of_a_phone_does_not_count(size: Size) -> None:
    world = make_world(size)
    anna, [bob] = registered(world, "anna", "10.1.0.1"), named(world, "10.1.0.2")
    world.zone["s0.bob.example", "A"] = Answer(1.0, addresses=["10.1.0.2"])
    slow = Answer(5.0, failed=True)
    world.zone["bob.example", "NAPTR"] = slow  # nobody answers for four seconds
    world.network.detach(bob.address)
    call = anna.call("bob")
    world.run(7.9)
    assert call.status == 0
    world.run(0.2 + DELAY)
    assert call.status == 408


def test_each_server_of_a_phones_name_has_its_four_seconds(size: Size) -> None:
    world = make_world(size)
    anna, phones = registered(world, "anna", "10.1.0.1"), named(world, *HOSTS)
    for phone in phones:
        world.network.detach(phone.address)
    deaf_until(phones[2], world.network.now + 10.0)
    phones[2].on_invite = answer_after(1.0)
    call = anna.call("bob")
    world.run(12.5)  # at 8 s it is the third's turn, which hears the repetition after 3.5 s
    assert call.status == 0
    world.run(0.3 + DELAY)
    assert call.status == 200


def test_a_server_that_was_left_rings_no_longer_than_it_takes_to_say_so(size: Size) -> None:
    world = make_world(size)
    anna, phones = registered(world, "anna", "10.1.0.1"), named(world, *HOSTS)
    first, second, _ = phones
    first.on_invite = second.on_invite = ring_forever
    deaf_until(first, world.network.now + 4.5)
    call = anna.call("bob")
    world.run(8)
    assert [r.method for r in first.received] == ["INVITE", "CANCEL"]
    assert [r.method for r in second.received] == ["INVITE"]
    assert call.status == 0


# --- late answers --------------------------------------------------------------------------------
def two_phones(size: Size, deaf_s: float) -> tuple[World, Phone, Phone, Phone]:
    """Anna, and Bob with a phone that hears nothing for so long, and one that rings."""
    world = make_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    late = registered(world, "bob", "10.1.0.2")
    living = registered(world, "bob", "10.1.0.3")
    living.on_invite = ring_forever
    deaf_until(late, world.network.now + deaf_s)
    return world, anna, late, living


def test_a_phone_that_answers_late_is_talked_to_while_another_rings(size: Size) -> None:
    world, anna, late, living = two_phones(size, 5.0)
    late.on_invite = answer_after(3.0)
    call = anna.call("bob")
    world.run(12)
    assert call.status == 200
    assert [r.method for r in living.received] == ["INVITE", "CANCEL"]
    assert anna.hang_up(next(iter(call.dialogs.values()))) is not None
    assert end_of(world)["cause"] == "completed"
    assert lates(world) == []


def test_a_phone_that_rings_late_is_waited_for_like_the_others(size: Size) -> None:
    world, anna, late, living = two_phones(size, 5.0)
    late.on_invite = ring_forever
    living.on_invite = refuse_with(486, 10.0)
    call = anna.call("bob")
    world.run(30)
    assert call.status == 0
    anna.cancel(call)
    world.run(1)
    assert call.status == 486
    assert [r.method for r in late.received] == ["INVITE", "CANCEL"]


def test_a_phone_that_refuses_late_is_heard_while_another_rings(size: Size) -> None:
    world, anna, late, living = two_phones(size, 5.0)
    late.on_invite = refuse_with(603)
    call = anna.call("bob")
    world.run(9)
    assert call.status == 603
    assert [r.method for r in living.received] == ["INVITE", "CANCEL"]


@pytest.mark.parametrize("transport", ["UDP", "TLS"])
def test_a_phone_that_rings_when_the_caller_has_been_told_stops_at_once(
    size: Size, transport: str
) -> None:
    world = make_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    late = Phone(world, "bob", ("10.1.0.2", 5060), transport=transport)
    late.register()
    world.run(1)
    late.on_invite = ring_forever
    invites: list[tuple[bytes, Address]] = []
    world.network.attach(late.address, lambda data, source, now: invites.append((data, source)))
    call = anna.call("bob")
    world.run(5)
    assert call.status == 408
    world.network.attach(late.address, late._receive)
    if transport == "TLS":  # over which nothing is repeated: it was on its way all the time
        late._receive(*invites[0], world.network.now)
    world.run(4)
    assert [r.method for r in late.received] == ["INVITE", "CANCEL"]
    end = end_of(world)
    assert (end["cause"], end["status"]) == ("no_answer", 408)
    assert lates(world) == [("ring", 2)]


@pytest.mark.parametrize("told", [408, 200, 486])
def test_a_phone_that_is_picked_up_when_the_caller_has_been_told_is_hung_up(
    size: Size, told: int
) -> None:
    """It rings not at all: its first answer is the 200."""
    world = make_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    late = registered(world, "bob", "10.1.0.2")
    deaf_until(late, world.network.now + 6.0)
    late.on_invite = lambda phone, tx, request, now: phone.accept(tx, request)
    if told != 408:
        living = registered(world, "bob", "10.1.0.3")
        living.on_invite = answer_after(3.0) if told == 200 else refuse_with(486, 3.0)
    call = anna.call("bob")
    world.run(15)
    assert [r.status for r in call.finals] == [told]
    assert [r.method for r in late.received] == ["INVITE", "BYE"]
    assert len(late.acks) == late.repeats + 1
    assert lates(world) == [("answer", 2)]
    assert [r.fields["callee_line"] for r in world.records_of(Kind.CALL_ANSWER)] == [2] * (
        told == 200
    )
    for dialog in call.dialogs.values():
        anna.hang_up(dialog)
    end = end_of(world)
    assert end["cause"] == {408: "no_answer", 200: "completed", 486: "busy"}[told]


# --- what the owner sees -------------------------------------------------------------------------
def silences(world: World) -> list[tuple[str, int, int]]:
    rows = [*world.records_of(Kind.DEVICE_SILENT), *world.records_of(Kind.DEVICE_HEARD)]
    rows.sort(key=lambda r: r.at)
    return [(r.kind, r.fields["line"], r.fields["device"]) for r in rows]


SILENT, HEARD = (Kind.DEVICE_SILENT, 2, 102), (Kind.DEVICE_HEARD, 2, 102)


def ask(world: World, anna: Phone) -> Outgoing:
    """A call of the first worker: what devices have not answered is each worker's own memory."""
    worker = world.nodes[0].slots[0].worker
    assert worker is not None
    call_id = anna._id()
    while worker.slot_of(call_id) != 0:
        call_id = anna._id()
    request = anna.build("INVITE", f"sip:bob@{DOMAIN}", body=b"v=0\r\n", call_id=call_id)
    call = anna.start(request, world.nodes[0].address)
    world.run(6)
    return call


def twice_silent(size: Size) -> tuple[World, Phone, Phone, float]:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), dead(world, "10.1.0.2")
    first = world.network.at
    ask(world, anna)
    assert silences(world) == []
    ask(world, anna)
    return world, anna, bob, first


def test_a_device_does_not_answer_since_the_first_of_two_calls(size: Size) -> None:
    world, anna, _, first = twice_silent(size)
    ask(world, anna)
    assert silences(world) == [SILENT]
    [told] = world.records_of(Kind.DEVICE_SILENT)
    assert told.fields["since"] == pytest.approx(first + 4.0, abs=0.2)


@pytest.mark.parametrize("by", ["register", "call", "answer", "refusal"])
def test_whatever_such_a_device_says_shows_that_it_is_there(size: Size, by: str) -> None:
    world, anna, bob, _ = twice_silent(size)
    world.network.attach(bob.address, bob._receive)
    if by == "register":
        bob.register()
    elif by == "call":
        bob.start(bob.build("INVITE", f"sip:anna@{DOMAIN}"), world.nodes[0].address)
    else:
        bob.on_invite = answer_after(1) if by == "answer" else refuse_with(486)
        ask(world, anna)
    world.run(1)
    assert silences(world)[:2] == [SILENT, HEARD]


def test_one_answer_in_between_counts_from_the_beginning(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), dead(world, "10.1.0.2")
    bob.on_invite = refuse_with(486)
    for is_there in (False, True, False):
        world.network.detach(bob.address)
        if is_there:
            world.network.attach(bob.address, bob._receive)
        ask(world, anna)
    assert silences(world) == []


@pytest.mark.parametrize("who", ["caller", "callee"])
def test_a_device_that_does_not_answer_a_probe_in_a_call_says_so_at_once(
    size: Size, who: str
) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    anna.register(7200)
    bob.register(7200)
    anna.call("bob")
    world.run(2)
    gone, line = (anna, 1) if who == "caller" else (bob, 2)
    world.network.detach(gone.address)
    world.run(300 + 29)
    assert silences(world) == []
    world.run(2)
    assert silences(world) == [(Kind.DEVICE_SILENT, line, 100 + line)]
    world.network.attach(gone.address, gone._receive)
    gone.register()
    world.run(1)
    assert silences(world)[1:] == [(Kind.DEVICE_HEARD, line, 100 + line)]


def test_its_answer_that_comes_again_is_acknowledged_again_and_hung_up_once(size: Size) -> None:
    world = make_world(size)
    anna, late = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    deaf_until(late, world.network.now + 6.0)

    def picks_up(phone: Phone, tx: ServerTransaction, request: Request, now: float) -> None:
        for delay_s in (0.0, 0.5, 1.5):  # the ACK was lost
            phone.network.after(delay_s, lambda _: phone.respond(tx, request, 200, "late"))

    late.on_invite = picks_up
    anna.call("bob")
    world.run(15)
    assert [r.method for r in late.received] == ["INVITE", "BYE"]
    assert len(late.acks) == 3
    assert lates(world) == [("answer", 2)]
