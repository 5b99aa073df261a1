"""What a phone sends to its own line is for the other phones of it, never for itself."""

from __future__ import annotations

import pytest

from tests.sipcore.simulation.phone import Outgoing, Phone, answer_at_once, refuse_with
from tests.sipcore.simulation.test_calls import end_of, registered
from tests.sipcore.simulation.world import DOMAIN, SIZES, Size, World, tls_address

pytestmark = pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])

ANNA = f"sip:anna@{DOMAIN}"
EVENTS = [
    ("SUBSCRIBE", "message-summary"),
    ("SUBSCRIBE", "presence.winfo"),
    ("SUBSCRIBE", "reg"),
    ("SUBSCRIBE", "dialog"),
    ("PUBLISH", "presence"),
    ("PUBLISH", "vq-rtcpxr"),
]


def make_world(size: Size) -> World:
    return World(1, size, ["anna", "bob"], tls=True)


def event(phone: Phone, method: str, package: str, uri: str = ANNA) -> Outgoing:
    request = phone.build(method, uri)
    request.append("Event", package)
    if method == "PUBLISH":
        request.remove("Contact")
    return sent(phone, request)


def sent(phone: Phone, request: object) -> Outgoing:
    is_tls = phone.transport == "TLS"
    node = phone.world.nodes[0]
    outgoing = phone.start(request, tls_address(node.number) if is_tls else node.address)  # type: ignore[arg-type]
    phone.world.run(1)
    return outgoing


def anna_at(world: World, transport: str, contact: str | None = None) -> Phone:
    phone = Phone(world, "anna", ("10.1.0.1", 5060), transport=transport)
    outgoing = phone.register(contact=contact)
    world.run(1)
    assert outgoing.status == 200
    phone.received.clear()
    return phone


@pytest.mark.parametrize("uri", [ANNA, f"sip:1000@{DOMAIN}", "tel:1000", f"sip:{DOMAIN}"])
@pytest.mark.parametrize(("method", "package"), EVENTS)
def test_a_package_that_nobody_serves_is_405_and_does_not_come_back(
    size: Size, method: str, package: str, uri: str
) -> None:
    world = make_world(size)
    anna = anna_at(world, "UDP")
    outgoing = event(anna, method, package, uri)
    assert outgoing.status == 405
    allow = outgoing.finals[0].values("allow")
    assert "INVITE" in allow
    assert method not in allow
    assert anna.received == []


@pytest.mark.parametrize(
    ("transport", "contact"),
    [("TLS", None), ("UDP", "<sip:anna@192.168.1.7>"), ("UDP", "<sip:anna@laptop.local>")],
    ids=["TLS", "behind a NAT", "a name of its own"],
)
@pytest.mark.parametrize(("method", "package"), [EVENTS[0], EVENTS[4]])
def test_it_does_not_come_back_by_a_flow_either(
    size: Size, method: str, package: str, transport: str, contact: str | None
) -> None:
    world = make_world(size)
    anna = anna_at(world, transport, contact)
    assert event(anna, method, package).status == 405
    assert anna.received == []


@pytest.mark.parametrize(("method", "package"), [EVENTS[0], EVENTS[4]])
def test_a_line_without_any_phone_serves_no_package(
    size: Size, method: str, package: str
) -> None:
    world = make_world(size)
    anna = Phone(world, "anna", ("10.1.0.1", 5060))
    assert event(anna, method, package).status == 405


@pytest.mark.parametrize(("method", "package"), EVENTS)
def test_another_phone_of_the_line_may_serve_it(size: Size, method: str, package: str) -> None:
    world = make_world(size)
    anna = anna_at(world, "UDP")
    desk = registered(world, "anna", "10.1.0.11")
    assert event(anna, method, package).status == 200
    assert [r.method for r in desk.received] == [method]
    assert anna.received == []


@pytest.mark.parametrize("who", ["anna", "1000"])
@pytest.mark.parametrize("transport", ["UDP", "TLS"])
def test_calling_ones_own_number_rings_the_other_phones(
    size: Size, transport: str, who: str
) -> None:
    world = make_world(size)
    anna = anna_at(world, transport)
    desk, mobile = registered(world, "anna", "10.1.0.11"), registered(world, "anna", "10.1.0.12")
    desk.on_invite, mobile.on_invite = answer_at_once, refuse_with(486)
    outgoing = sent(anna, anna.build("INVITE", f"sip:{who}@{DOMAIN}"))
    assert outgoing.status == 200
    assert [len([r for r in p.received if r.method == "INVITE"]) for p in (anna, desk, mobile)] == [
        0,
        1,
        1,
    ]
    [dialog] = outgoing.dialogs.values()
    anna.hang_up(dialog)
    assert end_of(world)["cause"] == "completed"


def test_calling_ones_own_number_from_the_only_phone_reaches_nobody(size: Size) -> None:
    world = make_world(size)
    anna = anna_at(world, "UDP")
    assert sent(anna, anna.build("INVITE", ANNA)).status == 480
    assert anna.received == []
    end_of(world)
