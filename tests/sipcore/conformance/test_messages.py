"""MESSAGE (RFC 3428), as a proxy and as a service that receives and sends some."""

from __future__ import annotations

import pytest

from sipcore.eventlog import Kind
from sipcore.message import Request
from sipcore.transport.flow import Address
from tests.sipcore.conformance.peer import come_to_rest, new_world, peer_of, phone, sent
from tests.sipcore.simulation.phone import Phone
from tests.sipcore.simulation.world import AT_ONCE_S, DOMAIN, SIZES, Size, World

pytestmark = pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])

BOB, ECHO = f"sip:bob@{DOMAIN}", f"sip:echo@{DOMAIN}"


def echoed(world: World, anna: Phone, body: bytes, content_type: str = "text/plain") -> int:
    """Send this to echo; how it was answered."""
    request = anna.build("MESSAGE", ECHO, body=body)
    request.append("Content-Type", content_type)
    return sent(anna, request).status


@pytest.mark.rfc("MSG-01", "MSG-05")
def test_a_message_to_a_service_is_answered_at_once_with_nothing_in_it(size: Size) -> None:
    world = new_world(size)
    anna = phone(world, "anna", "10.1.0.1")
    request = anna.build("MESSAGE", ECHO, body=b"hello")
    request.append("Content-Type", "text/plain;charset=utf-8")
    outgoing = sent(anna, request, AT_ONCE_S)
    [final] = outgoing.finals
    assert (final.status, final.body) == (200, b"")
    assert not final.has("contact")
    assert not final.has("content-type")
    assert anna.messages == [b"hello"]


@pytest.mark.rfc("MSG-03")
def test_a_message_makes_no_dialog_and_forks_to_one_answer(size: Size) -> None:
    world = new_world(size)
    anna = phone(world, "anna", "10.1.0.1")
    peers = [peer_of(world, "bob", f"10.1.1.{i}") for i in (1, 2, 3)]
    outgoing = anna.message("bob", b"lunch?")
    world.run(0.1)
    for status, peer in zip((404, 200, 200), peers, strict=True):
        [message] = peer.requests("MESSAGE")
        assert not message.has("record-route")
        assert message.body == b"lunch?"
        peer.answer(message, status, tag=peer.address[0])
        world.run(0.1)
    assert [r.status for r in outgoing.responses] == [407, 200]
    for peer in peers:
        assert not peer.requests("CANCEL")
    come_to_rest(world)
    assert not world.records_of(Kind.CALL_BEGIN)


@pytest.mark.rfc("MSG-05", "SEC-17")
@pytest.mark.parametrize(
    ("content_type", "more", "status"),
    [
        ("text/plain", [], 200),
        ("TEXT/PLAIN ; charset=latin1", [], 200),
        ("image/png", [], 415),
        ("text/plain", [("Content-Encoding", "gzip")], 415),
        ("image/png", [("Content-Disposition", "render;handling=optional")], 200),
        ("image/png", [("Content-Disposition", "render;handling=required")], 415),
    ],
)
def test_a_type_that_a_service_does_not_understand_is_refused_with_those_it_does(
    size: Size, content_type: str, more: list[tuple[str, str]], status: int
) -> None:
    world = new_world(size)
    anna = phone(world, "anna", "10.1.0.1")
    request = anna.build("MESSAGE", ECHO, body=b"x")
    request.append("Content-Type", content_type)
    for header in more:
        request.append(*header)
    [final] = sent(anna, request).finals
    assert final.status == status
    assert final.first("accept") == ("text/plain" if status == 415 else None)


@pytest.mark.rfc("MSG-05")
def test_a_proxy_passes_every_type(size: Size) -> None:
    world = new_world(size)
    anna, bob = phone(world, "anna", "10.1.0.1"), phone(world, "bob", "10.1.0.2")
    request = anna.build("MESSAGE", BOB, body=bytes(range(256)))
    request.append("Content-Type", "image/x-odd")
    request.append("Content-Disposition", "render;handling=required")
    assert sent(anna, request).status == 200
    assert bob.messages == [bytes(range(256))]


@pytest.mark.rfc("MSG-04")
@pytest.mark.parametrize(
    ("whole", "comes_back"), [(1300, True), (1301, False), (1302, False), (30_000, False)]
)
def test_a_service_sends_nothing_over_udp_that_is_too_large(
    size: Size, whole: int, comes_back: bool
) -> None:
    world = new_world(size)
    anna = phone(world, "anna", "10.1.0.1")
    came: list[bytes] = []

    def receive(data: bytes, source: Address, now: float) -> None:
        if data.startswith(b"MESSAGE "):
            came.append(data)
        anna._receive(data, source, now)

    world.network.attach(anna.address, receive)
    assert echoed(world, anna, b"x" * 800) == 200
    around = len(came.pop()) - 800  # as much around each body of three digits
    body = b"x" * (whole - around)
    assert echoed(world, anna, body) == 200
    assert [len(data) for data in came] == [whole] * comes_back
    assert anna.messages[1:] == [body] * comes_back


@pytest.mark.rfc("MSG-04")
def test_a_service_has_one_message_at_a_time_on_its_way_to_one_peer(size: Size) -> None:
    world = new_world(size)
    anna, bob = phone(world, "anna", "10.1.0.1"), phone(world, "bob", "10.1.0.2")
    held: list[Request] = []
    handle = anna._request

    def hold(tx: object, request: Request, now: float) -> None:
        held.append(request)  # not answered

    anna._request = hold  # type: ignore[method-assign]
    # All of one Call-ID, so that one worker gets them all.
    for i in range(3):
        request = anna.build("MESSAGE", ECHO, body=f"{i}".encode(), call_id="one")
        request.append("Content-Type", "text/plain")
        assert sent(anna, request, 1).status == 200
    assert {r.body for r in held} == {b"0"}
    assert echoed(world, bob, b"mine") == 200
    assert bob.messages == [b"mine"]  # another peer need not wait
    world.run(40)  # the first has timed out
    anna._request = handle  # type: ignore[method-assign]
    request = anna.build("MESSAGE", ECHO, body=b"3", call_id="one")
    assert sent(anna, request, 1).status == 200
    assert anna.messages == [b"3"]
    come_to_rest(world)
