"""What RFC 3261 §18 and RFC 3581 ask of a server's transport: where responses go, and who is heard."""

from __future__ import annotations

import pytest

from sipcore.message import Request
from tests.sipcore.conformance.peer import Peer, come_to_rest, new_world, peer_of
from tests.sipcore.simulation.world import DOMAIN, SIZES, Size

pytestmark = pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])

BOB = f"sip:bob@{DOMAIN}"


def asked(caller: Peer, via: str) -> Request:
    """An OPTIONS with this Via, sent."""
    request = caller.build("OPTIONS", f"sip:{DOMAIN}", ("Via", via))
    caller.send(request)
    caller.world.run(0.5)
    return request


@pytest.mark.rfc("TRP-05")
@pytest.mark.parametrize(
    ("sent_by", "received"),
    [
        ("192.0.2.66:5060", False),
        ("192.0.2.66", False),
        ("192.0.2.1:5060", True),
        ("laptop.local", True),
        ("192.0.2.66.elsewhere.example", True),
        ("[2001:db8::1]", True),
    ],
)
def test_a_via_that_does_not_say_where_it_came_from_is_told(
    size: Size, sent_by: str, received: bool
) -> None:
    caller = Peer(new_world(size), ("192.0.2.66", 5060))
    asked(caller, f"SIP/2.0/UDP {sent_by};branch=z9hG4bKx")
    [response] = caller.responses
    assert response.via.received == ("192.0.2.66" if received else None)
    assert response.via.branch == "z9hG4bKx"


@pytest.mark.rfc("TRP-07")
@pytest.mark.parametrize(
    ("via", "arrives"),
    [
        ("192.0.2.66:5070", ("192.0.2.66", 5070)),
        ("192.0.2.66", ("192.0.2.66", 5060)),
        ("laptop.example", ("192.0.2.66", 5060)),
        ("laptop.example:5070", ("192.0.2.66", 5070)),
        ("192.0.2.66:5070;maddr=192.0.2.80", ("192.0.2.80", 5070)),
        ("192.0.2.66;maddr=192.0.2.80", ("192.0.2.80", 5060)),
    ],
)
def test_over_udp_a_response_goes_to_the_port_of_the_via(
    size: Size, via: str, arrives: tuple[str, int]
) -> None:
    """To a maddr within the sender's network alone: see SEC-08."""
    world = new_world(size)
    listening = Peer(world, arrives)
    caller = Peer(world, ("192.0.2.66", 33333))
    asked(caller, f"SIP/2.0/UDP {via};branch=z9hG4bKx")
    assert listening.statuses == [200]
    assert caller.statuses == []


@pytest.mark.parametrize("via", ["192.168.1.9", "192.168.1.9:5070", "laptop.local:5070"])
def test_over_udp_a_response_goes_back_through_the_nat_without_rport(size: Size, via: str) -> None:
    """Where RFC 3261 §18.2.2 has it sent to the port of the Via, which the NAT knows nothing of."""
    world = new_world(size)
    listening = Peer(world, ("192.0.2.66", 5070))
    caller = Peer(world, ("192.0.2.66", 33333))
    asked(caller, f"SIP/2.0/UDP {via};branch=z9hG4bKx")
    assert caller.statuses == [200]
    assert listening.statuses == []


@pytest.mark.rfc("TRP-08", "TRP-09")
@pytest.mark.parametrize(
    ("via", "stamped"),
    [
        (
            "192.0.2.66:5060;branch=z9hG4bKx;rport",
            ";branch=z9hG4bKx;received=192.0.2.66;rport=33333",
        ),
        ("192.0.2.66:33333;rport;branch=z9hG4bKx", None),
        ("10.0.0.99:5060;RPORT ;branch=z9hG4bKx", None),
        ("laptop.local ; rport ; branch=z9hG4bKx", None),
        (
            "192.0.2.66:5060;received=192.0.2.66;rport;branch=z9hG4bKx",
            ";received=192.0.2.66;rport=33333;branch=z9hG4bKx",
        ),
    ],
)
def test_who_asks_for_it_is_answered_where_he_sent_from(
    size: Size, via: str, stamped: str | None
) -> None:
    world = new_world(size)
    caller = Peer(world, ("192.0.2.66", 33333))
    asked(caller, f"SIP/2.0/UDP {via}")
    [response] = caller.responses
    assert (response.via.received, response.via.rport) == ("192.0.2.66", "33333")
    assert response.via.branch == "z9hG4bKx"
    [(_, _, source)] = caller.arrived
    assert source == world.nodes[0].address
    if stamped is not None:
        assert response.values("via") == [f"SIP/2.0/UDP 192.0.2.66:5060{stamped}"]


@pytest.mark.rfc("TRP-09")
def test_each_node_answers_what_it_was_asked(size: Size) -> None:
    world = new_world(size)
    caller = Peer(world, ("192.0.2.66", 33333))
    for node in world.nodes:
        caller.arrived.clear()
        caller.send(
            caller.build("OPTIONS", f"sip:{DOMAIN}", ("Via", caller.via(";rport"))), node.address
        )
        world.run(0.5)
        assert [source for _, _, source in caller.arrived] == [node.address]


@pytest.mark.rfc("TRP-10")
@pytest.mark.parametrize(
    ("sent_by", "is_ours"),
    [
        ("SIP/2.0/UDP {}:5060", True),
        ("sip / 2.0 / udp {}", True),
        ("SIP/2.0/UDP {} : 5060 ", True),
        ("SIP/2.0/UDP {}:5061", False),
        ("SIP/2.0/TCP {}:5060", False),
        ("SIP/2.0/UDP 203.0.113.9:5060", False),
        ("SIP/2.0/UDP x{}:5060", False),
    ],
)
def test_a_response_that_names_somebody_else_is_not_heard(
    size: Size, sent_by: str, is_ours: bool
) -> None:
    world = new_world(size)
    bob, caller = peer_of(world, "bob", "10.1.0.2"), Peer(world, ("192.0.2.66", 5060))
    caller.send(caller.build("MESSAGE", BOB))
    world.run(0.3)
    [message] = bob.requests()
    response = message.respond(200, to_tag="t")
    via = f"{sent_by.format(message.via.host)};branch={message.branch}"
    response.pop("Via")
    response.push("Via", via)
    bob.send(response, next(s for _, m, s in bob.arrived if m is message))
    world.run(0.3)
    assert caller.statuses == ([200] if is_ours else [])


@pytest.mark.rfc("TRP-11")
def test_a_2xx_that_no_transaction_waits_for_is_dropped(size: Size) -> None:
    world = new_world(size)
    bob, caller = peer_of(world, "bob", "10.1.0.2"), Peer(world, ("192.0.2.66", 5060))
    caller.send(caller.build("INVITE", BOB))
    world.run(0.1)
    [invite] = bob.requests("INVITE")
    bob.answer(invite, 200)
    world.run(1)
    assert caller.statuses[-1] == 200
    bob.answer(invite, 200)
    world.run(1)
    assert caller.statuses.count(200) == 2  # while it is accepted (RFC 6026 §7.2)
    world.run(40)
    bob.answer(invite, 200)
    unknown = invite.copy()
    unknown.replace_top("Via", invite.values("via")[0].replace("z9hG4bK", "z9hG4bKx"))
    bob.send(unknown.respond(200, to_tag="t"))
    world.run(1)
    assert caller.statuses.count(200) == 2
    bye = caller.build("BYE", invite.uri_text)
    bye.set("From", invite.first("from") or "")
    bye.set("To", f"{invite.first('to')};tag=t")
    bye.set("Call-ID", invite.call_id)
    bye.append("Route", invite.record_routes[0])
    caller.send(bye)
    come_to_rest(world)
