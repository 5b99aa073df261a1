"""Phones of one account in several homes, and phones that restart: each rings, and rings once."""

from __future__ import annotations

import pytest

from sipcore.message import Response
from tests.sipcore.simulation.phone import Outgoing, Phone, answer_at_once, silent
from tests.sipcore.simulation.test_calls import registered
from tests.sipcore.simulation.world import SIZES, Size, World

sizes = pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])

PRIVATE = "sip:bob@192.168.1.100:5060"
HOME, DORM = ("203.0.113.31", 40_001), ("203.0.113.32", 40_002)
KEEP_ALIVE_S = 25
"""As a worker has it when nobody says otherwise."""


def a_phone(world: World, source: tuple[str, int], contact: str = PRIVATE) -> Phone:
    bob = Phone(world, "bob", source)
    bob.contact = contact
    bob.on_invite = silent
    return bob


def register(world: World, phone: Phone, expires: int = 600) -> Response:
    return answered(world, phone.register(expires))


def answered(world: World, outgoing: Outgoing) -> Response:
    world.run(1)
    assert outgoing.status == 200
    return outgoing.finals[0]


def listed(response: Response) -> list[str]:
    return [contact.uri_text for contact in response.contacts]


def who_rings(world: World, anna: Phone, *phones: Phone) -> list[int]:
    """How many INVITEs of one call come to each."""
    before = [invites(phone) for phone in phones]
    call = anna.call("bob")
    world.run(1)
    rung = [invites(phone) - old for phone, old in zip(phones, before, strict=True)]
    anna.cancel(call)
    world.run(40)
    return rung


def invites(phone: Phone) -> int:
    return len({r.branch for r in phone.received if r.method == "INVITE"})


def a_world(size: Size) -> tuple[World, Phone]:
    world = World(1, size, ["anna", "bob"])
    return world, registered(world, "anna", "10.1.0.1")


@sizes
def test_two_phones_with_the_same_private_contact_in_two_homes_both_ring(size: Size) -> None:
    world, anna = a_world(size)
    home, dorm = a_phone(world, HOME), a_phone(world, DORM)
    register(world, home)
    assert listed(register(world, dorm)) == [PRIVATE]
    assert who_rings(world, anna, home, dorm) == [1, 1]
    assert listed(register(world, home)) == [PRIVATE]
    register(world, dorm)
    assert who_rings(world, anna, home, dorm) == [1, 1]


@sizes
def test_each_of_them_finds_its_contact_once_with_its_own_expiry(size: Size) -> None:
    world, _ = a_world(size)
    home, dorm = a_phone(world, HOME), a_phone(world, DORM)
    register(world, home, 600)
    # Each is told up to a fifth less than it is bound for.
    [contact] = register(world, dorm, 300).contacts
    assert 240 <= int(contact.params["expires"] or 0) <= 300
    [contact] = register(world, home, 600).contacts
    assert 480 <= int(contact.params["expires"] or 0) <= 600


@sizes
def test_one_of_them_unregisters_and_the_other_rings(size: Size) -> None:
    world, anna = a_world(size)
    home, dorm = a_phone(world, HOME), a_phone(world, DORM)
    register(world, home)
    register(world, dorm)
    assert listed(register(world, home, 0)) == []
    assert who_rings(world, anna, home, dorm) == [0, 1]


@sizes
def test_what_was_silent_for_two_keep_alives_is_taken_for_the_phone_that_moved(size: Size) -> None:
    world, anna = a_world(size)
    before, now = a_phone(world, HOME), a_phone(world, DORM)
    register(world, before)
    world.run(2 * KEEP_ALIVE_S)
    register(world, now)
    assert who_rings(world, anna, before, now) == [0, 1]


def test_a_phone_that_sends_keep_alives_is_not_taken_for_one_that_moved() -> None:
    """By whom a flow is kept open is known to the worker that hears it, and to no other."""
    world, anna = a_world(SIZES[0])
    home, dorm = a_phone(world, HOME), a_phone(world, DORM)
    register(world, home)
    for _ in range(4):
        world.run(KEEP_ALIVE_S)
        world.network.send(b"\r\n\r\n", HOME, world.nodes[0].address)
    world.run(1)
    register(world, dorm)
    assert who_rings(world, anna, home, dorm) == [1, 1]


@sizes
def test_a_phone_whose_nat_gives_it_another_port_each_time_leaves_no_twin(size: Size) -> None:
    world, anna = a_world(size)
    phones = [a_phone(world, (HOME[0], port)) for port in (40_001, 40_002, 40_003)]
    for phone in phones:
        phone.register_call_id = phones[0].register_call_id
        phone._cseq = 10 * phones.index(phone)
        assert listed(register(world, phone)) == [PRIVATE]
    assert who_rings(world, anna, *phones) == [0, 0, 1]


@sizes
def test_a_phone_that_takes_its_network_along_moves_by_its_call_id(size: Size) -> None:
    world, anna = a_world(size)
    before, now = a_phone(world, HOME), a_phone(world, DORM)
    register(world, before)
    now.register_call_id, now._cseq = before.register_call_id, 10
    register(world, now)
    assert who_rings(world, anna, before, now) == [0, 1]


@sizes
@pytest.mark.parametrize(
    ("before", "now"),
    [
        ("sip:bob@10.1.0.2;rinstance=aaaa", "sip:bob@10.1.0.2;rinstance=bbbb"),
        ("sip:bob@10.1.0.2;line=aaaa", "sip:bob@10.1.0.2:5060;line=bbbb"),
        ("sip:ab12@10.1.0.2", "sip:cd34@10.1.0.2"),
        ("sip:bob@10.1.0.2;ob", "sip:ef56@10.1.0.2;transport=UDP"),
        ("sip:bob@192.168.1.100:5060;rinstance=a", "sip:bob@192.168.1.100:5060;rinstance=b"),
    ],
)
def test_a_phone_rings_once_after_its_restart(size: Size, before: str, now: str) -> None:
    world, anna = a_world(size)
    bob = a_phone(world, ("10.1.0.2", 5060), before)
    register(world, bob)
    bob.contact, bob.register_call_id = now, "another"
    assert listed(register(world, bob)) == [now]
    assert who_rings(world, anna, bob) == [1]


@sizes
def test_two_contacts_that_a_phone_adds_one_after_the_other_both_stay(size: Size) -> None:
    world, anna = a_world(size)
    bob = a_phone(world, ("10.1.0.2", 5060), "sip:one@10.1.0.2")
    register(world, bob)
    bob.contact = "sip:two@10.1.0.2"
    assert len(register(world, bob).contacts) == 2
    assert who_rings(world, anna, bob) == [2]


@sizes
def test_a_phone_that_counts_anew_under_the_same_call_id_registers_at_once(size: Size) -> None:
    world, _ = a_world(size)
    bob = a_phone(world, ("10.1.0.2", 5060), "sip:bob@10.1.0.2")
    bob._cseq = 500
    register(world, bob)
    world.run(2)
    bob._cseq = 0
    assert listed(register(world, bob)) == [bob.contact]


@sizes
def test_a_call_follows_the_phone_whose_nat_gives_it_another_port(size: Size) -> None:
    """Its owner has a second phone, with the same secret and the same private address."""
    world, anna = a_world(size)
    home, dorm = a_phone(world, HOME), a_phone(world, DORM)
    register(world, home)
    home.on_invite = answer_at_once
    call = anna.call("bob")
    world.run(5)
    assert call.status == 200
    register(world, dorm)
    again = a_phone(world, (HOME[0], HOME[1] + 1))
    again.register_call_id, again._cseq, again.dialogs = home.register_call_id, 10, home.dialogs
    register(world, again)
    [dialog] = call.dialogs.values()
    bye = anna.hang_up(dialog)
    world.run(5)
    assert bye is not None
    assert bye.status == 200
    assert [r.method for r in again.received] == ["BYE"]
