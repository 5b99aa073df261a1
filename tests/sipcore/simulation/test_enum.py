"""Numbers that nobody here has, and that the DNS knows (RFC 6116)."""

from __future__ import annotations

import pytest

from sipcore.eventlog import Kind
from sipcore.locate import Answer, Naptr
from tests.sipcore.simulation.phone import Phone, answer_at_once, refuse_with
from tests.sipcore.simulation.test_calls import registered
from tests.sipcore.simulation.test_rules import sent, stranger, suspend
from tests.sipcore.simulation.world import DOMAIN, SIZES, Size, World

pytestmark = pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])

NUMBER = "+46812345678"
NAME = "8.7.6.5.4.3.2.1.8.6.4.e164.example"
FAR = ("203.0.113.5", 5060)
TO_FAR = "!^\\+46(.*)$!sip:0\\1@203.0.113.5!"


def enum_world(
    size: Size, *regexps: str, suffix: str = "e164.example"
) -> tuple[World, Phone, Phone]:
    """anna, who is registered, and somebody far away."""
    world = World(1, size, ["anna", "bob"], enum_suffix=suffix)
    if regexps:
        rules = [Naptr(i, 1, "u", "E2U+sip", text, "") for i, text in enumerate(regexps)]
        world.zone[NAME, "NAPTR"] = Answer(300.0, naptr=rules)
    far = Phone(world, "far", FAR)
    far.on_invite = answer_at_once
    return world, registered(world, "anna", "10.1.0.1"), far


@pytest.mark.rfc("LOC-13")
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
@pytest.mark.parametrize(
    "dialled",
    [
        f"tel:{NUMBER}",
        "tel:+46-8-123(456)78",
        f"sip:{NUMBER}@{DOMAIN}",
        f"sip:+46.8.12345678@{DOMAIN};user=phone",
    ],
)
def test_a_number_of_others_is_called_where_the_dns_says(
    size: Size, method: str, dialled: str
) -> None:
    world, anna, far = enum_world(size, TO_FAR)
    outgoing = sent(anna, anna.build(method, dialled, body=b"v=0\r\n"))
    assert outgoing.status == 200
    [received] = [r for r in far.received if r.method == method]
    assert received.uri_text == "sip:0812345678@203.0.113.5"
    assert world.asked == [(NAME, "NAPTR")]
    if method == "INVITE":
        anna.hang_up(next(iter(outgoing.dialogs.values())))
        world.run(1)
        [begun] = world.records_of(Kind.CALL_BEGIN)
        assert begun.fields["dialled"].startswith("+46")
    world.run(100)
    world.check_calls()
    world.check_nothing_left()


def test_a_number_that_leads_back_to_us_rings_here(size: Size) -> None:
    world, anna, _ = enum_world(size, f"!^.*$!sip:bob@{DOMAIN}!")
    bob = registered(world, "bob", "10.1.0.2")
    assert sent(anna, anna.build("MESSAGE", f"tel:{NUMBER}")).status == 200
    assert len(bob.received) == 1


@pytest.mark.parametrize(
    "regexps",
    [
        [],
        ["!^.*$!mailto:x@x.example!"],
        ["!^.*$!sip:@@!"],
        ["!^.*$!sip:<x>!"],
        ["!^((.*)*)*x$!sip:x@203.0.113.5!"],
        ["!^.*$!tel:+4712345678!"],
        [f"!^.*$!sip:+4712345678@{DOMAIN}!"],  # no second look-up
    ],
)
def test_a_number_without_an_address_is_nobodys(size: Size, regexps: list[str]) -> None:
    world, anna, far = enum_world(size, *regexps)
    assert sent(anna, anna.build("INVITE", f"tel:{NUMBER}")).status == 404
    assert far.received == []
    assert world.asked == [(NAME, "NAPTR")]
    world.run(100)
    world.check_calls()
    world.check_nothing_left()


def test_a_dns_that_does_not_answer_costs_some_seconds(size: Size) -> None:
    world, anna, _ = enum_world(size)
    world.zone[NAME, "NAPTR"] = Answer(5.0, failed=True)
    outgoing = sent(anna, anna.build("INVITE", f"tel:{NUMBER}"), 3)
    assert [r.status for r in outgoing.responses if r.status != 407] == [100]
    world.run(3)
    assert outgoing.status == 480  # that nobody answers is not that there is no such number


@pytest.mark.parametrize(
    "dialled",
    [
        "tel:1001",
        "tel:5555",
        f"sip:nobody@{DOMAIN}",
        "tel:+112",
        "tel:112",
        "tel:1-12;phone-context=+46",
        "sip:x@y.example",
    ],
)
def test_what_is_no_full_number_is_not_looked_up(size: Size, dialled: str) -> None:
    world, anna, _ = enum_world(size, TO_FAR)
    sent(anna, anna.build("MESSAGE", dialled), 1)
    assert not [question for question in world.asked if "e164" in question[0]]


def test_nothing_is_looked_up_for_strangers_or_where_it_is_not_wanted(size: Size) -> None:
    world, _, _ = enum_world(size, TO_FAR)
    mallory = stranger(world)
    assert sent(mallory, mallory.build("MESSAGE", f"tel:{NUMBER}"), 1).status == 480
    assert sent(mallory, mallory.build("MESSAGE", f"sip:{NUMBER}@{DOMAIN}"), 1).status == 480
    assert world.asked == []
    world, anna, _ = enum_world(size, TO_FAR, suffix="")
    assert sent(anna, anna.build("MESSAGE", f"tel:{NUMBER}"), 1).status == 404
    assert world.asked == []


def test_a_number_of_ours_is_not_looked_up(size: Size) -> None:
    world, anna, far = enum_world(size, TO_FAR)
    bob = registered(world, "bob", "10.1.0.2")
    sent(anna, anna.build("MESSAGE", "tel:1001"), 1)
    assert len(bob.received) == 1
    assert (world.asked, far.received) == ([], [])


def test_a_caller_may_give_up_while_the_number_is_looked_up(size: Size) -> None:
    world, anna, far = enum_world(size, TO_FAR)
    world.zone[NAME, "NAPTR"] = Answer(5.0, failed=True)  # four seconds of waiting
    outgoing = sent(anna, anna.build("INVITE", f"tel:{NUMBER}"), 1)
    anna.cancel(outgoing)
    world.run(1)
    assert outgoing.status == 487
    world.run(100)
    assert far.received == []
    [end] = world.records_of(Kind.CALL_END)
    assert (end.fields["cause"], end.fields["by"]) == ("cancelled", "caller")
    world.check_calls()
    world.check_nothing_left()


def test_who_is_suspended_meanwhile_calls_nobody(size: Size) -> None:
    world, anna, far = enum_world(size, TO_FAR)
    outgoing = sent(anna, anna.build("INVITE", f"tel:{NUMBER}"), 0.011)
    while not world.asked:
        world.run(0.001)
    suspend(world, 1)
    world.run(2)
    assert outgoing.status == 403
    assert far.received == []


def test_a_worker_that_dies_meanwhile_leaves_nothing(size: Size) -> None:
    world, anna, far = enum_world(size, TO_FAR)
    far.on_invite = refuse_with(486)
    outgoing = sent(anna, anna.build("INVITE", f"tel:{NUMBER}"), 0.011)
    while not world.asked:
        world.run(0.001)
    for node in world.nodes:
        for slot in range(len(node.slots)):
            node.kill_worker(slot, 0.1)
    world.run(100)
    assert outgoing.status == 407  # asked anew who she is: nonces are each worker's own
    world.check_calls()
    world.check_nothing_left()
