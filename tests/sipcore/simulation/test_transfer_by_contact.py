"""Attended transfers whose Refer-To is the contact of the phone that is to be talked with."""

from __future__ import annotations

import pytest

from sipcore.eventlog import Kind
from tests.sipcore.conformance.peer import Header, Peer
from tests.sipcore.simulation.phone import Outgoing, Phone, PhoneDialog
from tests.sipcore.simulation.test_crashes import kill_all
from tests.sipcore.simulation.test_rules import suspend
from tests.sipcore.simulation.test_subscriptions import BY_SIZE, KINDS, entry, new_world
from tests.sipcore.simulation.test_subscriptions import watcher as unreachable
from tests.sipcore.simulation.world import DOMAIN, Size, World

REACHABLE = "UDP, reachable"
EVERY_KIND = pytest.mark.parametrize("kind", [REACHABLE, *KINDS])
UDP = "UDP behind a NAT"


def phone(world: World, name: str, host: str) -> Phone:
    made = Phone(world, name, (host, 5060))
    entry(made, made.build("REGISTER", f"sip:{DOMAIN}"), ("To", f"<sip:{name}@{DOMAIN}>"))
    return made


def target(world: World, kind: str) -> Phone:
    """Clara's phone."""
    return phone(world, "clara", "10.1.0.3") if kind == REACHABLE else unreachable(world, kind, "clara")


def world_of(kind: str, size: Size) -> World:
    return new_world(UDP if kind == REACHABLE else kind, size)


def talking(caller: Phone, callee: str) -> tuple[PhoneDialog, str]:
    """A call that goes on, and how Replaces names it."""
    call = entry(caller, caller.build("INVITE", f"sip:{callee}@{DOMAIN}", body=b"v=0\r\n"))
    [dialog] = call.dialogs.values()
    tag = dialog.remote_value.partition(";tag=")[2]
    return dialog, f"{dialog.call_id};to-tag={tag};from-tag={call.request.from_tag}"


def takeover(sender: Phone, uri: str, value: str, *headers: Header) -> Outgoing:
    request = sender.build("INVITE", uri, body=b"v=0\r\n")
    return entry(sender, request, ("Replaces", value), ("Require", "replaces"), *headers)


def invites(callee: Phone) -> int:
    return [r.method for r in callee.received].count("INVITE")


@BY_SIZE
@EVERY_KIND
def test_a_transfer_to_the_contact_reaches_the_phone_that_is_in_the_call(
    size: Size, kind: str
) -> None:
    """Anna talks with Bob and with Clara; Bob is to replace her, at the phone that she has named."""
    world = world_of(kind, size)
    anna, bob = phone(world, "anna", "10.1.0.1"), phone(world, "bob", "10.1.0.2")
    clara = target(world, kind)
    talking(anna, "bob")
    with_clara, value = talking(anna, "clara")
    other = phone(world, "clara", "10.1.0.33")
    outgoing = takeover(bob, with_clara.remote_target, value)
    assert outgoing.status == 200
    assert clara.received[-1].rows("replaces") == [value]
    assert invites(clara) == 2
    assert invites(other) == 0
    begun = world.records_of(Kind.CALL_BEGIN)[-1].fields
    assert (begun["caller_line"], begun["callee_line"]) == (2, 3)
    [dialog] = outgoing.dialogs.values()
    bye = bob.hang_up(dialog)
    world.run(1)
    assert bye is not None
    assert bye.status == 200


@BY_SIZE
@EVERY_KIND
def test_a_transfer_to_the_contact_of_who_has_called_reaches_that_phone(
    size: Size, kind: str
) -> None:
    world = world_of(kind, size)
    anna, bob = phone(world, "anna", "10.1.0.1"), phone(world, "bob", "10.1.0.2")
    clara = target(world, kind)
    talking(anna, "bob")
    _, value = talking(clara, "anna")
    assert takeover(bob, clara.contact, value).status == 200
    assert clara.received[-1].method == "INVITE"


@BY_SIZE
def test_a_phone_that_answers_with_another_contact_than_it_registered_is_meant(size: Size) -> None:
    world = world_of(UDP, size)
    anna, bob = phone(world, "anna", "10.1.0.1"), phone(world, "bob", "10.1.0.2")
    clara = target(world, UDP)
    talking(anna, "bob")
    clara.contact = "sip:clara@172.16.9.9:61000;ob"
    with_clara, value = talking(anna, "clara")
    assert with_clara.remote_target == clara.contact
    assert takeover(bob, with_clara.remote_target, value).status == 200
    assert invites(clara) == 2


@BY_SIZE
def test_the_contact_is_read_as_a_uri(size: Size) -> None:
    world = world_of(UDP, size)
    anna, bob = phone(world, "anna", "10.1.0.1"), phone(world, "bob", "10.1.0.2")
    clara = target(world, UDP)
    talking(anna, "bob")
    with_clara, value = talking(anna, "clara")
    written = with_clara.remote_target.replace("sip:clara", "sip:%63lara")
    assert takeover(bob, f"{written};x=y", value).status == 200
    assert invites(clara) == 2


@BY_SIZE
def test_of_two_homes_with_one_address_the_phone_in_the_call_is_meant(size: Size) -> None:
    world = world_of(UDP, size)
    anna, bob = phone(world, "anna", "10.1.0.1"), phone(world, "bob", "10.1.0.2")
    clara = target(world, UDP)
    talking(anna, "bob")
    with_clara, value = talking(anna, "clara")
    other = Phone(world, "clara", ("198.51.100.7", 5060))
    other.contact = clara.contact
    other.register()
    world.run(1)
    assert takeover(bob, with_clara.remote_target, value).status == 200
    assert invites(clara) == 2
    assert invites(other) == 0


@BY_SIZE
def test_where_two_phones_fit_the_one_who_transfers_hears_480(size: Size) -> None:
    """The phone in the call has gone, nobody remembers where, and two others have its contact."""
    world = world_of(UDP, size)
    anna, bob = phone(world, "anna", "10.1.0.1"), phone(world, "bob", "10.1.0.2")
    clara = target(world, UDP)
    talking(anna, "bob")
    with_clara, value = talking(anna, "clara")
    clara.register(0)
    world.run(1)
    kill_all(world)
    world.run(1)
    others = [Phone(world, "clara", (host, 5060)) for host in ("198.51.100.7", "198.51.100.8")]
    for other in others:
        other.contact = clara.contact
        other.register()
        world.run(1)
    assert takeover(bob, with_clara.remote_target, value).status == 480
    assert [invites(each) for each in (clara, *others)] == [1, 0, 0]


@BY_SIZE
def test_a_phone_that_is_registered_no_more_is_480(size: Size) -> None:
    world = world_of(UDP, size)
    anna, bob = phone(world, "anna", "10.1.0.1"), phone(world, "bob", "10.1.0.2")
    clara = target(world, UDP)
    talking(anna, "bob")
    with_clara, value = talking(anna, "clara")
    other = phone(world, "clara", "10.1.0.33")
    clara.register(0)
    world.run(1)
    assert takeover(bob, with_clara.remote_target, value).status == 480
    assert invites(clara) == 1
    assert invites(other) == 0


@BY_SIZE
def test_a_contact_leads_nowhere_without_a_call_that_is_named(size: Size) -> None:
    world = world_of(UDP, size)
    anna, bob = phone(world, "anna", "10.1.0.1"), phone(world, "bob", "10.1.0.2")
    clara = target(world, UDP)
    talking(anna, "bob")
    with_clara, value = talking(anna, "clara")
    uri, before = with_clara.remote_target, invites(clara)
    mallory = Peer(world, ("192.0.2.66", 5060))
    plain = entry(bob, bob.build("INVITE", uri), wait_s=40.0)
    assert plain.status == 403  # as to any address of a private network that is not one's own
    assert takeover(bob, uri, "other;to-tag=a;from-tag=b").status == 403
    assert takeover(bob, uri, value + "x").status == 403
    assert takeover(bob, "sip:clara@192.168.4.5:5060", value).status == 403
    mallory.send(mallory.build("INVITE", uri, ("Replaces", "other;to-tag=a;from-tag=b")))
    world.run(1)
    assert mallory.statuses == [403]
    assert invites(clara) == before


@BY_SIZE
def test_who_is_in_no_call_with_them_takes_nothing_over(size: Size) -> None:
    world = world_of(UDP, size)
    anna, bob = phone(world, "anna", "10.1.0.1"), phone(world, "bob", "10.1.0.2")
    clara = target(world, UDP)
    with_clara, value = talking(anna, "clara")
    assert takeover(bob, with_clara.remote_target, value).status == 403
    assert invites(clara) == 1


@BY_SIZE
def test_a_transfer_to_the_contact_of_a_suspended_line_is_refused(size: Size) -> None:
    world = world_of(UDP, size)
    anna, bob = phone(world, "anna", "10.1.0.1"), phone(world, "bob", "10.1.0.2")
    clara = target(world, UDP)
    talking(anna, "bob")
    with_clara, value = talking(anna, "clara")
    suspend(world, 3)
    world.run(1)
    assert takeover(bob, with_clara.remote_target, value).status == 480
    assert invites(clara) == 1


@BY_SIZE
@EVERY_KIND
def test_a_refer_to_the_contact_of_the_other_party_reaches_its_phone(size: Size, kind: str) -> None:
    """RFC 4538: outside of the dialog, and naming it."""
    world = world_of(kind, size)
    anna, clara = phone(world, "anna", "10.1.0.1"), target(world, kind)
    with_clara, value = talking(anna, "clara")
    call_id, to_tag, from_tag = value.split(";")
    name = f"{call_id};local-{from_tag[5:]};remote-{to_tag[3:]}"
    request = anna.build("REFER", with_clara.remote_target)
    outgoing = entry(anna, request, ("Refer-To", f"<sip:bob@{DOMAIN}>"), ("Target-Dialog", name))
    assert outgoing.status == 200
    assert clara.received[-1].method == "REFER"
    bob = phone(world, "bob", "10.1.0.2")
    request = bob.build("REFER", with_clara.remote_target)
    outgoing = entry(bob, request, ("Refer-To", f"<sip:bob@{DOMAIN}>"), ("Target-Dialog", name))
    assert outgoing.status == 403
