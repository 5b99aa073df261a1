"""What RFC 3261 §16 and its updates ask of a proxy, seen from the network around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from sipcore.campus.method_rules import BEFORE_THE_ANSWER
from sipcore.directory import DomainAddress
from sipcore.message import Request, parse_message, parse_name_addr
from sipcore.transaction import ServerTransaction
from tests.sipcore.conformance.peer import (
    NAMES,
    Header,
    Peer,
    come_to_rest,
    new_world,
    peer_of,
    phone,
    sent,
)
from tests.sipcore.simulation.phone import (
    Answer,
    Phone,
    PhoneDialog,
    refuse_with,
    ring_forever,
)
from tests.sipcore.simulation.world import (
    AT_ONCE_S,
    DOMAIN,
    SIZES,
    Size,
    World,
    node_address,
    tls_address,
)

pytestmark = pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])

BOB = f"sip:bob@{DOMAIN}"


def invited(peer: Peer) -> Request:
    """The only INVITE that arrived."""
    [request] = peer.requests("INVITE")
    return request


def fork(world: World, count: int) -> list[Peer]:
    """So many peers that bob's name leads to, all at a time."""
    return [peer_of(world, "bob", f"10.1.1.{i + 1}") for i in range(count)]


# --- §16.2, §16.3: a new request ------------------------------------------------------------
@pytest.mark.rfc("PRX-01")
def test_an_invite_is_tried_at_once_and_its_repeats_go_no_further(size: Size) -> None:
    world = new_world(size)
    bob, caller = peer_of(world, "bob", "10.1.0.2"), Peer(world, ("192.0.2.66", 5060))
    invite = caller.build("INVITE", BOB)
    start = world.network.now
    for _ in range(4):
        caller.send(invite)
        world.run(0.1)
    assert caller.statuses[:1] == [100]
    assert caller.arrived[0][0] - start < 0.25  # RFC 3261 §17.2.1: within 200 ms, and the way back
    assert len(bob.requests("INVITE")) == 1


@pytest.mark.rfc("PRX-01")
def test_a_request_that_is_no_invite_is_not_tried_early(size: Size) -> None:
    world = new_world(size)
    peer_of(world, "bob", "10.1.0.2")
    caller = Peer(world, ("192.0.2.66", 5060))
    message = caller.build("MESSAGE", BOB)
    for _ in range(3):
        caller.send(message)
        world.run(1)
    assert caller.statuses == []  # RFC 4320 §4.1


@pytest.mark.rfc("PRX-02", "PRX-13")
def test_what_the_proxy_does_not_need_passes_as_it_was_written(size: Size) -> None:
    world = new_world(size)
    bob, caller = peer_of(world, "bob", "10.1.0.2"), Peer(world, ("192.0.2.66", 5060))
    body = bytes(range(256))
    odd = [
        b"Date: the day before yesterday",
        b"X-Odd :  two  blanks ;;; <not a URI",
        b'Subject: "never closed',
        b"k: timer,100rel",
        b"Accept: a/b",
        b"ACCEPT: c/d",
        b"X-Bytes: \xff\xfe\xc3",
        b"Expires: soon",
    ]
    head = [
        f"MESSAGE {BOB} SIP/2.0".encode(),
        f"v: {caller.via()}".encode(),
        b"From: <sip:mallory@elsewhere.example>;tag=1",
        f"t: <{BOB}>".encode(),
        b"i: odd@192.0.2.66",
        b"CSeq: 7 MESSAGE",
        b"Max-Forwards: 12",
        *odd,
        b"Content-Type: application/octet-stream",
        f"Content-Length: {len(body)}".encode(),
    ]
    caller.send(b"\r\n".join([*head, b"", body]))
    world.run(0.3)
    [received] = bob.raw
    lines, _, received_body = received.partition(b"\r\n\r\n")
    assert received_body == body
    rows = lines.split(b"\r\n")
    theirs = [row for row in rows if row in odd]
    assert theirs == odd  # all of them, in their order
    changed = [row for row in rows[1:] if row not in head]
    names = sorted(row.partition(b":")[0] for row in changed)
    assert names == [b"Max-Breadth", b"Max-Forwards", b"Via"]
    assert [row for row in head[1:] if row not in rows] == [b"Max-Forwards: 12"]
    assert rows[0] == b"MESSAGE sip:bob@10.1.0.2:5070 SIP/2.0"


@pytest.mark.rfc("PRX-03", "PRX-12")
@pytest.mark.parametrize(
    ("uri", "status"),
    [
        ("nobody:knows@this", 416),
        ("urn:isbn:0451450523", 416),
        ("http://campus.example/", 416),
        (f"sip:nobody@{DOMAIN}", 404),
        (f"sip:{DOMAIN}", 404),
        (f"sip:bob@{DOMAIN}", 480),  # there is a bob, but no phone of his
    ],
)
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_where_a_request_cannot_go_is_said_at_once(
    size: Size, method: str, uri: str, status: int
) -> None:
    """485 is never given: the directory holds each name once, so none is ambiguous."""
    world = new_world(size)
    anna = phone(world, "anna", "10.1.0.1")
    assert sent(anna, anna.build(method, uri), AT_ONCE_S).status == status
    come_to_rest(world)


@pytest.mark.rfc("PRX-04", "PRX-15")
@pytest.mark.parametrize(
    ("hops", "onward"), [("0", None), ("1", "0"), ("70", "69"), (None, "70"), ("300", "70")]
)
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_each_hop_is_counted(
    size: Size, method: str, hops: str | None, onward: str | None
) -> None:
    world = new_world(size)
    bob, caller = peer_of(world, "bob", "10.1.0.2"), Peer(world, ("192.0.2.66", 5060))
    request = caller.build(method, BOB)
    request.remove("Max-Forwards")
    if hops is not None:
        request.append("Max-Forwards", hops)
    caller.send(request)
    world.run(0.4)
    if onward is None:
        assert caller.statuses == [483]
        assert bob.requests() == []
    else:
        [received] = bob.requests()
        assert received.rows("max-forwards") == [onward]


@pytest.mark.rfc("PRX-05")
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_proxy_require_is_for_us_and_require_for_others(size: Size, method: str) -> None:
    world = new_world(size)
    bob, caller = peer_of(world, "bob", "10.1.0.2"), Peer(world, ("192.0.2.66", 5060))
    caller.send(
        caller.build(method, BOB, ("Proxy-Require", "sec-agree, x"), ("Proxy-Require", "y"))
    )
    world.run(0.4)
    [refused] = caller.responses
    assert refused.status == 420
    assert refused.values("unsupported") == ["sec-agree", "x", "y"]
    assert bob.requests() == []
    caller.send(caller.build(method, BOB, ("Require", "teleport, 100rel")))
    world.run(0.4)
    [received] = bob.requests()
    assert received.rows("require") == ["teleport, 100rel"]


@pytest.mark.rfc("PRX-06")
@pytest.mark.parametrize("wrong", ["", "missing realm", "another's nonce"])
def test_who_says_to_be_one_of_us_is_asked_to_prove_it(size: Size, wrong: str) -> None:
    world = new_world(size)
    bob, caller = peer_of(world, "bob", "10.1.0.2"), Peer(world, ("192.0.2.66", 5060))
    credentials = {
        "": [],
        "missing realm": [("Proxy-Authorization", 'Digest username="anna", response="0"')],
        "another's nonce": [
            (
                "Proxy-Authorization",
                f'Digest username="anna", realm="campus", nonce="x", uri="{BOB}", '
                f'response="{"0" * 32}", algorithm=MD5',
            )
        ],
    }[wrong]
    request = caller.build("INVITE", BOB, *credentials, sender=f"sip:anna@{DOMAIN}")
    caller.send(request)
    world.run(0.2)
    assert caller.statuses == [407]
    assert 'realm="campus"' in caller.responses[0].rows("proxy-authenticate")[0]
    assert bob.requests() == []


@pytest.mark.rfc("PRX-06")
@pytest.mark.parametrize("method", ["ACK", "CANCEL"])
def test_ack_and_cancel_are_never_challenged(size: Size, method: str) -> None:
    world = new_world(size)
    bob, caller = peer_of(world, "bob", "10.1.0.2"), Peer(world, ("192.0.2.66", 5060))
    caller.send(caller.build(method, BOB, sender=f"sip:anna@{DOMAIN}"))
    world.run(1)
    assert caller.statuses == ([] if method == "ACK" else [481])
    assert bob.requests() == []


# --- §16.4: what the Route says ----------------------------------------------------------------
def in_call(world: World) -> tuple[Phone, PhoneDialog, Peer, Request]:
    """anna in a call with a peer of bob's, and the INVITE that the peer got."""
    anna = phone(world, "anna", "10.1.0.1")
    bob = peer_of(world, "bob", "10.1.0.2")
    call = anna.call("bob")
    world.run(1)
    invite = invited(bob)
    bob.answer(invite, 200, body=b"v=0\r\n")
    world.run(1)
    [dialog] = call.dialogs.values()
    return anna, dialog, bob, invite


@pytest.mark.rfc("PRX-04", "PRX-05")
@pytest.mark.parametrize("method", ["INVITE", "INFO", "BYE"])
def test_inside_a_call_hops_are_counted_and_proxy_require_is_for_us(
    size: Size, method: str
) -> None:
    world = new_world(size)
    anna, dialog, bob, _ = in_call(world)
    bob.arrived.clear()
    for name, value, status in (("Max-Forwards", "0", 483), ("Proxy-Require", "x", 420)):
        request = anna.in_dialog(dialog, method)
        request.set(name, value)
        [refused] = sent(anna, request, 0.3).finals
        assert refused.status == status
        assert refused.values("unsupported") == ([value] if status == 420 else [])
    assert bob.requests() == []
    request = anna.in_dialog(dialog, method)
    request.set("Max-Forwards", "1")
    request.set("Require", "teleport")
    sent(anna, request, 0.3)
    [received] = bob.requests(method)
    assert received.rows("max-forwards") == ["0"]
    assert received.rows("require") == ["teleport"]


@pytest.mark.rfc("PRX-07")
@pytest.mark.parametrize("further", [[], ["<sip:203.0.113.9;lr>"], ["<sip:203.0.113.9;lr>"] * 2])
@pytest.mark.parametrize("method", ["INFO", "ACK"])
def test_a_strict_router_upstream_has_put_our_uri_first(
    size: Size, method: str, further: list[str]
) -> None:
    """The last Route is where the request goes to in the end, those before it lead there."""
    world = new_world(size)
    anna, dialog, bob, _ = in_call(world)
    edge, strict = Peer(world, ("203.0.113.9", 5060)), Peer(world, anna.address)
    bob.arrived.clear()
    request = anna.in_dialog(dialog, method)
    request.remove("Route")
    request.uri_text = dialog.routes[0].strip("<>")
    for route in [*further, f"<{bob_contact(bob)}>"]:
        request.append("Route", route)
    request.push("Via", strict.via())
    strict.send(request)
    world.run(0.3)
    [received] = (edge if further else bob).requests()
    assert received.uri_text == bob_contact(bob)
    assert received.rows("route") == further
    assert len(edge.requests() + bob.requests()) == 1


def bob_contact(bob: Peer) -> str:
    return f"sip:callee@{bob.address[0]}:{bob.address[1]}"


@pytest.mark.rfc("PRX-08")
@pytest.mark.parametrize(
    ("uri", "arrives"),
    [
        (f"sip:bob@{DOMAIN};maddr=10.0.0.1", "sip:bob@10.1.0.2:5070"),
        (f"sip:bob@{DOMAIN}:5060;transport=udp;maddr=10.0.0.1", "sip:bob@10.1.0.2:5070"),
        ("sip:x@203.0.113.5;maddr=10.0.0.1;x=1", "sip:x@203.0.113.5;x=1"),
        ("sip:x@203.0.113.5:5060;transport=udp;maddr=10.0.0.1", "sip:x@203.0.113.5"),
    ],
)
def test_a_maddr_that_is_ours_goes(size: Size, uri: str, arrives: str) -> None:
    world = new_world(size)
    anna, bob = phone(world, "anna", "10.1.0.1"), peer_of(world, "bob", "10.1.0.2")
    foreign = Peer(world, ("203.0.113.5", 5060))
    sent(anna, anna.build("MESSAGE", uri), 0.3)
    [received] = bob.requests() + foreign.requests()
    assert received.uri_text == arrives


@pytest.mark.rfc("PRX-08")
@pytest.mark.parametrize(
    "uri",
    [
        f"sip:bob@{DOMAIN}:9999;maddr=10.0.0.1",
        "sip:x@203.0.113.5:9999;maddr=10.0.0.1",
        "sip:x@203.0.113.5:9999;transport=udp;maddr=10.0.0.1",
    ],
)
def test_a_maddr_that_is_ours_stays_where_the_port_is_not(size: Size, uri: str) -> None:
    """Something else listens there, on the same host."""
    world = new_world(size)
    anna, bob = phone(world, "anna", "10.1.0.1"), peer_of(world, "bob", "10.1.0.2")
    beside, foreign = Peer(world, ("10.0.0.1", 9999)), Peer(world, ("203.0.113.5", 9999))
    sent(anna, anna.build("MESSAGE", uri), 0.3)
    [received] = beside.requests()
    assert received.uri_text == uri
    assert bob.requests() + foreign.requests() == []


@pytest.mark.rfc("PRX-08")
def test_a_maddr_that_is_ours_stays_where_the_transport_is_not(size: Size) -> None:
    """We have no TCP here: a request that wants it is not sent on by something else."""
    world = new_world(size)
    anna, foreign = phone(world, "anna", "10.1.0.1"), Peer(world, ("203.0.113.5", 5060))
    uri = "sip:x@203.0.113.5;transport=tcp;maddr=10.0.0.1"
    assert sent(anna, anna.build("MESSAGE", uri), 0.3).status == 500
    assert foreign.requests() == []


@pytest.mark.rfc("PRX-09")
def test_a_route_that_names_us_goes_and_the_next_is_followed(size: Size) -> None:
    world = new_world(size)
    anna, dialog, bob, _ = in_call(world)
    edge = Peer(world, ("203.0.113.9", 5060))
    request = anna.in_dialog(dialog, "INFO")
    request.append("Route", "<sip:203.0.113.9;lr>")
    sent(anna, request, 0.3)
    [info] = edge.requests("INFO")
    assert info.rows("route") == ["<sip:203.0.113.9;lr>"]
    assert info.uri_text == bob_contact(bob)
    assert not bob.requests("INFO")


# --- §16.5: targets ------------------------------------------------------------------------------
@pytest.mark.rfc("PRX-10")
@pytest.mark.parametrize(
    "uri",
    [
        "sip:bob@203.0.113.5",
        "sip:bob@203.0.113.5:5060;x=1",
        f"sip:bob@{DOMAIN};maddr=203.0.113.5",
        "sip:bob@elsewhere.example;maddr=203.0.113.5",
        "sip:bob@10.0.0.1;maddr=203.0.113.5",
    ],
)
def test_what_is_not_ours_to_place_goes_where_it_says(size: Size, uri: str) -> None:
    world = new_world(size)
    anna, bob = phone(world, "anna", "10.1.0.1"), peer_of(world, "bob", "10.1.0.2")
    foreign, caller = Peer(world, ("203.0.113.5", 5060)), Peer(world, ("192.0.2.66", 5060))
    sent(anna, anna.build("MESSAGE", uri), 0.3)
    [received] = foreign.requests()
    assert received.uri_text == uri
    assert bob.requests() == []
    caller.send(caller.build("MESSAGE", uri))  # we relay for nobody else
    world.run(1)
    assert caller.statuses == [403]


@pytest.mark.rfc("PRX-10", "REG-02")
def test_a_register_for_another_domain_is_passed_on_for_our_own_alone(size: Size) -> None:
    world = new_world(size)
    anna = phone(world, "anna", "10.1.0.1")
    registrar, caller = Peer(world, ("203.0.113.5", 5060)), Peer(world, ("192.0.2.66", 5060))
    registrar.on_request = lambda request: registrar.answer(request, 200)
    request = anna.build("REGISTER", "sip:203.0.113.5")
    request.set("To", "<sip:anna@203.0.113.5>")
    outgoing = sent(anna, request)
    assert [r.status for r in outgoing.responses] == [407, 200]
    [received] = registrar.requests("REGISTER")
    assert received.uri_text == "sip:203.0.113.5"
    assert not received.has("record-route")
    caller.send(caller.build("REGISTER", "sip:203.0.113.5"))
    world.run(1)
    assert caller.statuses == [403]


@pytest.mark.rfc("PRX-11")
@pytest.mark.parametrize(
    "uri",
    [f"sip:b%6Fb@{DOMAIN}", f"sip:bob@{DOMAIN.upper()};x=y;user=ip", f"sip:bob@{DOMAIN}?Subject=a"],
)
def test_an_address_has_many_spellings_and_one_set_of_targets(size: Size, uri: str) -> None:
    world = new_world(size)
    owner = Phone(world, "bob", ("10.1.0.2", 5060))
    owner.rport = ""
    peer = Peer(world, ("10.1.0.2", 5070))
    for contact in (
        "<sip:bob@10.1.0.2:5070;a=1>",
        "<SIP:b%6fb@10.1.0.2:5070;A=1>",
        "<sip:bob@10.1.0.2:5070;a=1>;q=0.3",
    ):
        assert sent(owner, owner_register(owner, contact)).status == 200
    caller = Peer(world, ("192.0.2.66", 5060))
    caller.send(caller.build("INVITE", uri))
    world.run(1)
    assert len(peer.requests("INVITE")) == 1


def owner_register(owner: Phone, contact: str) -> Request:
    request = owner.build("REGISTER", f"sip:{DOMAIN}", call_id=owner.register_call_id)
    request.set("To", f"<sip:{owner.name}@{DOMAIN}>")
    request.set("Contact", contact)
    return request


# --- tel URIs (RFC 3966) --------------------------------------------------------------------------
@pytest.mark.rfc("PRX-03")
@pytest.mark.parametrize(
    ("uri", "status"),
    [
        ("tel:1001", 200),
        ("tel:10-0.1", 200),
        (f"tel:(10)01;phone-context={DOMAIN}", 200),
        (f"TEL:1001;phone-context={DOMAIN.upper()};x=1", 200),
        ("tel:+46-8-1001", 200),
        ("tel:1001;phone-context=+46-8", 200),
        (f"sip:10-01@{DOMAIN};user=phone", 200),
        (f"sip:+46(8)1001@{DOMAIN};user=phone", 200),
        (f"sip:1001;phone-context={DOMAIN}@{DOMAIN};user=phone", 200),
        (f"sip:bob@{DOMAIN};user=phone", 200),  # a name all the same
        ("tel:1001;phone-context=elsewhere.example", 404),
        (f"sip:1001;phone-context=elsewhere.example@{DOMAIN};user=phone", 404),
        ("tel:+1001", 404),
        ("tel:99", 404),
        ("tel:1-1-2", 404),
    ],
)
def test_a_telephone_number_is_found_in_the_plan(size: Size, uri: str, status: int) -> None:
    world = new_world(size)
    anna, bob = phone(world, "anna", "10.1.0.1"), phone(world, "bob", "10.1.0.2")
    with_e164 = world.directory.changed(version=2, addresses=[DomainAddress(DOMAIN, "+4681001", 2)])
    world.change_directory(with_e164, [2])
    outgoing = sent(anna, anna.build("MESSAGE", uri))
    assert outgoing.status == status
    if status == 200:
        assert bob.received[-1].uri_text == bob.contact
    elif "1-1-2" in uri:
        assert "mobile phone" in (outgoing.finals[0].first("reason") or "")
    mallory = Peer(world, ("192.0.2.66", 5060))
    mallory.send(mallory.build("MESSAGE", uri))
    world.run(1)
    reachable = status == 200
    assert mallory.statuses == [200 if reachable else 404 if "1-1-2" in uri else 480]


# --- §16.6: what goes out ----------------------------------------------------------------------------
@pytest.mark.rfc("PRX-14")
@pytest.mark.parametrize(
    ("contact", "target"),
    [
        ("sip:b@10.1.0.2:5070;method=INVITE;x=1", "sip:b@10.1.0.2:5070;x=1"),
        ("sip:b@10.1.0.2:5070?Subject=hi&Route=%3Csip:x%3E", "sip:b@10.1.0.2:5070"),
        ("sip:b@10.1.0.2:5070?Subject=", "sip:b@10.1.0.2:5070"),
        ("sip:b:pw@10.1.0.2:5070;Method=BYE?a=b", "sip:b:pw@10.1.0.2:5070"),
        ("sip:b@10.1.0.2:5070;ob;x=y", "sip:b@10.1.0.2:5070;ob;x=y"),
    ],
)
def test_the_target_becomes_the_request_uri_without_what_none_may_have(
    size: Size, contact: str, target: str
) -> None:
    world = new_world(size)
    owner, peer = Phone(world, "bob", ("10.1.0.2", 5060)), Peer(world, ("10.1.0.2", 5070))
    owner.rport = ""
    assert sent(owner, owner_register(owner, f"<{contact}>")).status == 200
    caller = Peer(world, ("192.0.2.66", 5060))
    caller.send(caller.build("MESSAGE", BOB))
    world.run(1)
    [received] = peer.requests()
    assert received.uri_text == target


@pytest.mark.rfc("PRX-14")
@pytest.mark.parametrize(
    ("asked", "sent_on"),
    [
        ("sip:x@203.0.113.5;A%20b=C;method=INVITE;z", "sip:x@203.0.113.5;A%20b=C;z"),
        ("sip:x@203.0.113.5;x%0D%0AFoo:%20b;Method=BYE", "sip:x@203.0.113.5;x%0D%0AFoo:%20b"),
        ("sip:x@203.0.113.5;x%3Bmaddr%3D1.2.3.4;m%65thod=BYE?a=b", "sip:x@203.0.113.5;x%3Bmaddr%3D1.2.3.4"),
        ("sip:x;method=a:p?q=r@203.0.113.5?a=b", "sip:x;method=a:p?q=r@203.0.113.5"),
        ("SIP:203.0.113.5;method=BYE;lr", "SIP:203.0.113.5;lr"),
    ],
)
def test_all_that_a_request_uri_may_have_stays_as_it_was_written(
    size: Size, asked: str, sent_on: str
) -> None:
    world = new_world(size)
    anna, zoe = phone(world, "anna", "10.1.0.1"), Peer(world, ("203.0.113.5", 5060))
    sent(anna, anna.build("MESSAGE", asked), 0.3)
    assert [r.uri_text for r in zoe.requests()] == [sent_on]


@pytest.mark.rfc("PRX-14")
def test_what_goes_abroad_has_no_more_than_a_request_uri_may_have(size: Size) -> None:
    world = new_world(size)
    anna, zoe = phone(world, "anna", "10.1.0.1"), Peer(world, ("203.0.113.5", 5060))
    sent(anna, anna.build("MESSAGE", "sip:x@203.0.113.5;method=INVITE;a=b?Subject=hi"), 0.3)
    sent(anna, anna.build("MESSAGE", "sip:x@203.0.113.5?Subject="), 0.3)
    assert {r.uri_text for r in zoe.requests()} == {"sip:x@203.0.113.5;a=b", "sip:x@203.0.113.5"}


@pytest.mark.rfc("PRX-14")
@pytest.mark.parametrize("method", ["INFO", "ACK"])
def test_inside_a_call_too_the_request_uri_has_no_more_than_it_may_have(
    size: Size, method: str
) -> None:
    world = new_world(size)
    anna, dialog, bob, _ = in_call(world)
    caller = Peer(world, anna.address)
    bob.arrived.clear()
    dialog.remote_target = f"{bob_contact(bob)};method=INVITE;x=1?Subject=hi"
    request = anna.in_dialog(dialog, method)
    request.push("Via", caller.via())
    caller.send(request)
    world.run(0.3)
    [received] = bob.requests()
    assert received.uri_text == f"{bob_contact(bob)};x=1"


@pytest.mark.rfc("PRX-16")
def test_record_route_stands_above_the_others_and_leads_back_to_us(size: Size) -> None:
    world = new_world(size)
    bob, caller = peer_of(world, "bob", "10.1.0.2"), Peer(world, ("192.0.2.66", 5060))
    theirs = "<sip:edge.elsewhere.example;lr>"
    caller.send(caller.build("INVITE", BOB, ("Record-Route", theirs)))
    world.run(0.4)
    invite = invited(bob)
    ours, below = invite.record_routes
    assert below == theirs
    hosts = [f"<sip:{node.address[0]}:{node.address[1]};lr;" for node in world.nodes]
    assert ours.startswith(tuple(hosts))
    assert "transport=" not in ours
    bob.answer(invite, 200, body=b"v=0\r\n")
    world.run(1)
    assert caller.responses[-1].record_routes == [ours, theirs]
    bye = Request.build(
        "BYE",
        "sip:mallory@192.0.2.66:5060",
        [
            ("Via", bob.via()),
            ("Route", ours),
            ("Max-Forwards", "70"),
            ("From", f"<{BOB}>;tag=t"),
            ("To", invite.first("from") or ""),
            ("Call-ID", invite.call_id),
            ("CSeq", "1 BYE"),
        ],
    )
    bob.send(bye)
    world.run(1)
    assert len(caller.requests("BYE")) == 1


@pytest.mark.rfc("PRX-42")
@pytest.mark.parametrize("hung_up_by", ["caller", "callee"])
@pytest.mark.parametrize(
    ("caller", "callee", "kinds"),
    [
        ("10.1.0.1", "10.1.0.2", ["IPv4"]),
        ("2001:db8:1::1", "2001:db8:1::2", ["IPv6"]),
        ("2001:db8:1::1", "10.1.0.2", ["IPv4", "IPv6"]),
        ("10.1.0.1", "2001:db8:1::2", ["IPv6", "IPv4"]),
    ],
)
def test_each_side_finds_back_by_its_own_kind_of_address(
    size: Size, caller: str, callee: str, kinds: list[str], hung_up_by: str
) -> None:
    """Two Record-Routes where IPv4 and IPv6 meet (RFC 5658 §3), and both are taken off again."""
    world = World(1, size, ["anna", "bob"], dual_stack=True)
    anna, bob = phone(world, "anna", caller), phone(world, "bob", callee)
    call = anna.call("bob")
    world.run(5)
    [invite] = [r for r in bob.received if r.method == "INVITE"]
    ours = [parse_name_addr(value).uri.host for value in invite.record_routes]
    assert ["IPv6" if host.startswith("[") else "IPv4" for host in ours] == kinds
    assert set(world.own_hosts).issuperset(ours)
    [dialog], [other] = call.dialogs.values(), bob.dialogs.values()
    assert other.acknowledged
    for one, mine in ((anna, dialog), (bob, other)):
        info = one.start(one.in_dialog(mine, "INFO"), one.route_address(mine))
        world.run(1)
        assert info.status == 200
    bye = bob.hang_up(other) if hung_up_by == "callee" else anna.hang_up(dialog)
    world.run(1)
    assert bye is not None
    assert bye.status == 200
    assert [r.method for r in anna.received] == ["INFO"] + ["BYE"] * (hung_up_by == "callee")
    for received in (*anna.received, *bob.received):
        assert not received.routes
    for flow in world.sent:
        assert (":" in flow.local[0]) == (":" in flow.remote[0])
    come_to_rest(world)


@pytest.mark.rfc("PRX-17")
def test_a_strict_router_downstream_gets_its_uri_first(size: Size) -> None:
    world = new_world(size)
    edge = Peer(world, ("203.0.113.9", 5060))
    path = [("Path", "<sip:203.0.113.9>, <sip:203.0.113.10;lr>"), ("Supported", "path")]
    peer_of(world, "bob", "10.1.0.2", headers=path)
    caller = Peer(world, ("192.0.2.66", 5060))
    caller.send(caller.build("INVITE", BOB))
    world.run(0.4)
    invite = invited(edge)
    assert invite.uri_text == "sip:203.0.113.9"
    assert invite.values("route") == ["<sip:203.0.113.10;lr>", "<sip:bob@10.1.0.2:5070>"]


@pytest.mark.rfc("PRX-18", "REG-17")
def test_the_first_route_is_the_next_hop_and_else_the_request_uri(size: Size) -> None:
    world = new_world(size)
    edge = Peer(world, ("203.0.113.9", 5060))
    path = [("Path", "<sip:203.0.113.9;lr;x=1>,<sip:203.0.113.10;lr>"), ("Supported", "path")]
    bob = peer_of(world, "bob", "10.1.0.2", headers=path)
    clara = peer_of(world, "clara", "10.1.0.3")
    caller = Peer(world, ("192.0.2.66", 5060))
    for who in ("bob", "clara"):
        caller.send(caller.build("MESSAGE", f"sip:{who}@{DOMAIN}"))
    world.run(0.4)
    [first] = edge.requests()
    assert first.uri_text == "sip:bob@10.1.0.2:5070"
    assert first.values("route") == ["<sip:203.0.113.9;lr;x=1>", "<sip:203.0.113.10;lr>"]
    assert bob.requests() == []
    [second] = clara.requests()
    assert not second.has("route")


@pytest.mark.rfc("PRX-18", "PRX-25")
def test_a_target_that_never_answers_has_failed(size: Size) -> None:
    world = new_world(size)
    anna = phone(world, "anna", "10.1.0.1")
    peer_of(world, "bob", "10.1.0.2", params=";q=0.9")  # says nothing at all
    second = peer_of(world, "bob", "10.1.0.3", params=";q=0.5")
    second.on_request = lambda request: second.answer(request, 486)
    call = anna.call("bob")
    world.run(3.9)
    assert second.requests() == []
    world.run(0.5)
    assert second.requests("INVITE")
    assert call.status == 486
    come_to_rest(world)


@pytest.mark.rfc("PRX-19")
def test_each_branch_is_named_once_and_its_ack_and_cancel_share_the_name(size: Size) -> None:
    world = new_world(size)
    anna, peers = phone(world, "anna", "10.1.0.1"), fork(world, 3)
    call = anna.call("bob")
    world.run(0.1)
    invites = [invited(peer) for peer in peers]
    branches = [invite.branch for invite in invites]
    assert len(set(branches)) == 3
    assert all(branch.startswith("z9hG4bK") for branch in branches)
    for peer, invite in zip(peers, invites, strict=True):
        peer.answer(invite, 180)
    world.run(0.2)
    peers[0].answer(invites[0], 486)
    world.run(0.2)
    anna.cancel(call)
    world.run(0.2)
    [ack] = peers[0].requests("ACK")
    assert ack.values("via") == invites[0].values("via")[:1]
    assert not peers[0].requests("CANCEL")
    for peer, invite in list(zip(peers, invites, strict=True))[1:]:
        [cancel] = peer.requests("CANCEL")
        assert cancel.values("via") == invite.values("via")[:1]
    come_to_rest(world)


# --- §16.7: responses -------------------------------------------------------------------------------
@pytest.mark.rfc("PRX-22", "PRX-31", "TRP-05")
def test_a_response_passes_as_it_was_written_without_our_via(size: Size) -> None:
    world = new_world(size)
    bob, caller = peer_of(world, "bob", "10.1.0.2"), Peer(world, ("192.0.2.66", 5080))
    via = "SIP/2.0/UDP laptop.local:5080;branch=z9hG4bKa1"
    caller.send(caller.build("MESSAGE", BOB, ("Via", via), ("Via", "SIP/2.0/TCP up.example:5;x")))
    world.run(0.3)
    [message] = bob.requests()
    assert len(message.values("via")) == 3
    body = bytes(range(200))
    rows = [
        ("x-ODD ", "<<not, a; list"),
        ("Warning", '399 x "a"'),
        ("Warning", '399 x "b"'),
        ("Date", "now"),
    ]
    bob.answer(message, 200, *rows, body=body)
    world.run(0.3)
    [response] = caller.responses
    assert response.values("via") == [f"{via};received=192.0.2.66", "SIP/2.0/TCP up.example:5;x"]
    assert response.body == body
    assert response.lines[-5:-1] == [f"{name}: {value}" for name, value in rows]


@pytest.mark.rfc("PRX-22")
def test_a_response_without_another_via_goes_nowhere(size: Size) -> None:
    world = new_world(size)
    bob, caller = peer_of(world, "bob", "10.1.0.2"), Peer(world, ("192.0.2.66", 5060))
    caller.send(caller.build("INVITE", BOB))
    world.run(0.05)
    invite = invited(bob)
    response = invite.respond(180, to_tag="x", headers=[("X-Mark", "1")])
    response.set("Via", invite.values("via")[0])
    bob.send(response)
    world.run(1)
    assert not any(r.has("x-mark") for r in caller.responses)


@pytest.mark.rfc("PRX-23")
def test_what_is_passed_on_at_once_and_what_no_more(size: Size) -> None:
    world = new_world(size)
    one, two = fork(world, 2)
    caller = Peer(world, ("192.0.2.66", 5060))
    caller.send(caller.build("INVITE", BOB))
    world.run(0.05)
    invites = [invited(one), invited(two)]
    one.answer(invites[0], 100, ("X-From", "one"))
    for status in (180, 183, 199):
        one.answer(invites[0], status, ("X-From", "one"))
        world.run(0.05)
    two.answer(invites[1], 182, tag="two")
    world.run(0.05)
    assert [r.status for r in caller.responses if r.status > 100] == [180, 183, 199, 182]
    assert not any(r.status == 100 and r.has("x-from") for r in caller.responses)
    two.answer(invites[1], 200, tag="two")
    world.run(0.05)
    assert caller.statuses[-1] == 200
    one.answer(invites[0], 180, ("X-Late", "1"))
    one.answer(invites[0], 487, ("X-Late", "1"))
    world.run(0.3)
    assert not any(r.has("x-late") for r in caller.responses)
    one.answer(invites[0], 200, tag="one")
    two.answer(invites[1], 200, tag="two")
    world.run(0.3)
    assert [r.to_tag for r in caller.responses if r.status == 200] == ["two", "two"]


@pytest.mark.rfc("PRX-23")
def test_every_2xx_of_a_fork_is_passed_on(size: Size) -> None:
    world = new_world(size)
    one, two = fork(world, 2)
    caller = Peer(world, ("192.0.2.66", 5060))
    caller.send(caller.build("INVITE", BOB))
    world.run(0.05)
    one.answer(invited(one), 200, tag="one")
    two.answer(invited(two), 200, tag="two")
    world.run(0.3)
    assert {r.to_tag for r in caller.responses if r.status == 200} == {"one", "two"}


@pytest.mark.rfc("PRX-23")
def test_of_the_answers_to_a_message_the_first_is_the_only_one(size: Size) -> None:
    world = new_world(size)
    one, two = fork(world, 2)
    later = peer_of(world, "bob", "10.1.0.9", params=";q=0.1")
    caller = Peer(world, ("192.0.2.66", 5060))
    caller.send(caller.build("MESSAGE", BOB))
    world.run(0.05)
    one.answer(one.requests()[0], 200, tag="one")
    two.answer(two.requests()[0], 200, tag="two")
    world.run(1)
    assert [r.to_tag for r in caller.responses] == ["one"]
    assert later.requests() == []
    come_to_rest(world)


@pytest.mark.rfc("PRX-24")
def test_a_6xx_to_a_message_starts_nothing_more_and_cancels_nothing(size: Size) -> None:
    world = new_world(size)
    one, two = fork(world, 2)
    later = peer_of(world, "bob", "10.1.0.9", params=";q=0.1")
    caller = Peer(world, ("192.0.2.66", 5060))
    caller.send(caller.build("MESSAGE", BOB))
    world.run(0.05)
    one.answer(one.requests()[0], 603)
    world.run(0.1)
    assert caller.statuses == []
    two.answer(two.requests()[0], 486)
    world.run(1)
    assert caller.statuses == [603]
    assert later.requests() == []
    assert {r.method for r in two.requests()} == {"MESSAGE"}


@pytest.mark.rfc("PRX-24")
def test_a_6xx_stops_the_rest_and_waits_for_them(size: Size) -> None:
    world = new_world(size)
    one, two = fork(world, 2)
    later = peer_of(world, "bob", "10.1.0.9", params=";q=0.1")
    caller = Peer(world, ("192.0.2.66", 5060))
    caller.send(caller.build("INVITE", BOB))
    world.run(0.05)
    two.answer(invited(two), 180)
    world.run(0.05)
    one.answer(invited(one), 603)
    world.run(0.5)
    assert len(two.requests("CANCEL")) == 1
    assert caller.statuses == [180]
    two.answer(invited(two), 487)
    world.run(0.5)
    assert caller.statuses[-1] == 603
    assert later.requests() == []


@pytest.mark.rfc("PRX-25")
def test_a_2xx_that_comes_after_a_6xx_still_counts(size: Size) -> None:
    world = new_world(size)
    one, two = fork(world, 2)
    caller = Peer(world, ("192.0.2.66", 5060))
    caller.send(caller.build("INVITE", BOB))
    world.run(0.05)
    one.answer(invited(one), 600)
    world.run(0.05)
    two.answer(invited(two), 200)
    world.run(0.3)
    assert [s for s in caller.statuses if s >= 200] == [200]


@pytest.mark.rfc("PRX-25")
def test_silence_is_408_for_an_invite_and_silence_for_the_rest(size: Size) -> None:
    world = new_world(size)
    anna = phone(world, "anna", "10.1.0.1")
    fork(world, 2)
    call, message = anna.call("bob"), anna.message("bob", b"anybody?")
    world.run(40)
    assert [r.status for r in call.finals] == [408]
    assert message.finals == []  # RFC 4320 §4.2
    come_to_rest(world)


@pytest.mark.rfc("PRX-26", "PRX-27")
@pytest.mark.parametrize(
    ("statuses", "best"),
    [
        ((404, 600), 600),
        ((302, 404), 302),
        ((500, 404), 404),
        ((404, 401), 401),
        ((486, 407), 407),
        ((404, 415), 415),
        ((480, 420), 420),
        ((480, 484), 484),
        ((503, 503), 500),
        ((503, 504), 504),
        ((503, 480), 480),
    ],
)
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_the_best_of_the_refusals_is_passed_on(
    size: Size, method: str, statuses: tuple[int, int], best: int
) -> None:
    world = new_world(size)
    peers, caller = fork(world, 2), Peer(world, ("192.0.2.66", 5060))
    caller.send(caller.build(method, BOB))
    world.run(0.05)
    for i, (peer, status) in enumerate(zip(peers, statuses, strict=True)):
        assert [s for s in caller.statuses if s >= 200] == []  # not before all have ended
        peer.answer(peer.requests(method)[0], status, tag=f"tag{i}")
        world.run(0.05)
    finals = {r.status for r in caller.responses if r.status >= 200}
    assert finals == {best}


@pytest.mark.rfc("PRX-28")
@pytest.mark.parametrize("status", [180, 200, 302, 404, 486, 603])
@pytest.mark.parametrize("tag", ["", "of-the-phone"])
def test_the_to_tag_is_the_phones_affair(size: Size, status: int, tag: str) -> None:
    world = new_world(size)
    bob, caller = peer_of(world, "bob", "10.1.0.2"), Peer(world, ("192.0.2.66", 5060))
    caller.send(caller.build("INVITE", BOB))
    world.run(0.05)
    bob.answer(invited(bob), status, tag=tag)
    world.run(0.3)
    assert caller.responses[-1].status == status
    assert caller.responses[-1].to_tag == tag


@pytest.mark.rfc("PRX-28")
def test_inside_a_dialog_no_tag_is_touched(size: Size) -> None:
    world = new_world(size)
    anna, dialog, bob, _ = in_call(world)
    info = anna.in_dialog(dialog, "INFO")
    outgoing = anna.start(info, world.nodes[0].address)
    world.run(0.3)
    [received] = bob.requests("INFO")
    bob.answer(received, 406, tag="")
    world.run(0.3)
    assert outgoing.finals[0].first("to") == info.first("to")


@pytest.mark.rfc("PRX-29")
def test_the_challenges_of_all_branches_are_passed_on(size: Size) -> None:
    world = new_world(size)
    anna, peers = phone(world, "anna", "10.1.0.1"), fork(world, 4)
    call = anna.call("bob")
    world.run(0.1)
    rows: list[list[Header]] = [
        [
            ("WWW-Authenticate", 'Digest realm="one", nonce="1", algorithm=SHA-256'),
            ("WWW-Authenticate", 'Digest realm="one", nonce="1", algorithm=MD5'),
        ],
        [("Proxy-Authenticate", 'Digest  realm="two" ,nonce="2"')],
        [("Proxy-Authenticate", 'Digest realm="three", nonce="3, 4"')],
        [],
    ]
    for peer, status, headers in zip(peers, (401, 407, 407, 404), rows, strict=True):
        peer.answer(peer.requests("INVITE")[0], status, *headers)
    world.run(0.5)
    [final] = call.finals
    assert final.status == 401  # of equals the first branch's
    assert final.rows("www-authenticate") == [value for _, value in rows[0]]
    assert sorted(final.rows("proxy-authenticate")) == sorted(v for r in rows[1:3] for _, v in r)
    come_to_rest(world)


@pytest.mark.rfc("PRX-30")
def test_a_redirection_is_passed_on_whole_and_not_followed(size: Size) -> None:
    """Who is sent elsewhere decides himself, with his own rights: a 3xx opens no way through us."""
    world = new_world(size)
    anna, bob = phone(world, "anna", "10.1.0.1"), peer_of(world, "bob", "10.1.0.2")
    elsewhere = Peer(world, ("203.0.113.5", 5060))
    clara = phone(world, "clara", "10.1.0.3")
    call = anna.call("bob")
    world.run(0.1)
    contacts = f"<sip:x@203.0.113.5>;q=0.7, <sip:clara@{DOMAIN}>, <tel:112>"
    bob.answer(invited(bob), 302, ("Contact", contacts))
    world.run(1)
    [final] = call.finals
    assert final.status == 302
    assert final.rows("contact") == [contacts]
    assert elsewhere.requests() == []
    assert clara.received == []
    come_to_rest(world)


# --- §16.7 step 10, §16.8-16.10: cancelling ----------------------------------------------------------
@pytest.mark.rfc("PRX-32")
def test_who_has_not_rung_yet_is_cancelled_when_he_does(size: Size) -> None:
    world = new_world(size)
    anna, (one, two, three) = phone(world, "anna", "10.1.0.1"), fork(world, 3)
    anna.call("bob")
    world.run(0.1)
    two.answer(invited(two), 180)
    world.run(0.1)
    one.answer(invited(one), 200, body=b"v=0\r\n")
    world.run(1)
    assert len(two.requests("CANCEL")) == 1
    assert three.requests("CANCEL") == []
    three.answer(invited(three), 100)
    world.run(0.2)
    [cancel] = three.requests("CANCEL")
    assert "Call completed elsewhere" in (cancel.first("reason") or "")
    assert one.requests("CANCEL") == []


@pytest.mark.rfc("PRX-21", "PRX-33")
def test_every_ringing_sets_timer_c_again(size: Size) -> None:
    world = new_world(size)
    bob, caller = peer_of(world, "bob", "10.1.0.2"), Peer(world, ("192.0.2.66", 5060))
    caller.send(caller.build("INVITE", BOB))
    world.run(0.05)
    invite = invited(bob)
    for status in (180, 101, 181, 182, 183, 199):
        bob.answer(invite, status)
        world.run(178)
        assert bob.requests("CANCEL") == []  # each of these intervals nears three minutes
    bob.answer(invite, 100)  # does not count
    world.run(3)
    assert bob.requests("CANCEL") == []
    world.run(5)
    assert len(bob.requests("CANCEL")) == 1
    bob.answer(invite, 487)
    world.run(1)
    assert next(s for s in caller.statuses if s >= 200) == 487


@pytest.mark.rfc("PRX-21", "PRX-33")
def test_timer_c_begins_with_each_branch_whoever_was_asked_before(size: Size) -> None:
    """It runs for who says no more than 100, too."""
    world = new_world(size)
    first = peer_of(world, "bob", "10.1.0.2", params=";q=0.9")
    second = peer_of(world, "bob", "10.1.0.3", params=";q=0.1")
    caller = Peer(world, ("192.0.2.66", 5060))
    caller.send(caller.build("INVITE", BOB))
    world.run(0.05)
    first.answer(invited(first), 100)
    world.run(181)
    assert first.requests("CANCEL") == []
    first.answer(invited(first), 480)
    world.run(0.05)
    second.answer(invited(second), 100)
    world.run(181)
    assert second.requests("CANCEL") == []
    assert not any(status >= 200 for status in caller.statuses)
    world.run(6)
    assert len(second.requests("CANCEL")) == 1
    assert first.requests("CANCEL") == []


@pytest.mark.rfc("PRX-33")
def test_who_was_cancelled_by_timer_c_and_is_silent_has_timed_out(size: Size) -> None:
    world = new_world(size)
    bob, caller = peer_of(world, "bob", "10.1.0.2"), Peer(world, ("192.0.2.66", 5060))
    caller.send(caller.build("INVITE", BOB))
    world.run(0.05)
    bob.answer(invited(bob), 180)
    world.run(260)
    assert bob.requests("CANCEL")
    assert list(dict.fromkeys(caller.statuses)) == [180, 408]
    come_to_rest(world)


@pytest.mark.rfc("PRX-35")
def test_a_cancel_is_answered_at_once_and_ends_what_rings(size: Size) -> None:
    world = new_world(size)
    anna, (one, two) = phone(world, "anna", "10.1.0.1"), fork(world, 2)
    call = anna.call("bob")
    world.run(0.1)
    for peer in (one, two):
        peer.answer(invited(peer), 180)
    world.run(0.1)
    caller = Peer(world, anna.address)  # from here on by hand
    cancel = Request.build(
        "CANCEL",
        call.request.uri_text,
        [
            ("Via", call.request.values("via")[0]),
            ("Max-Forwards", "70"),
            ("From", call.request.first("from") or ""),
            ("To", call.request.first("to") or ""),
            ("Call-ID", call.request.call_id),
            ("CSeq", f"{call.request.cseq_number} CANCEL"),
        ],
    )
    caller.send(cancel, call.destination)
    world.run(0.1)
    assert caller.statuses == [200]
    for peer in (one, two):
        assert len(peer.requests("CANCEL")) == 1
        peer.answer(invited(peer), 487)
    world.run(0.1)
    assert [(r.status, r.cseq_method) for r in caller.responses][:2] == [
        (200, "CANCEL"),
        (487, "INVITE"),
    ]


@pytest.mark.rfc("PRX-35", "PRX-36")
def test_a_cancel_of_nothing_is_481_at_once_and_reaches_nobody(size: Size) -> None:
    """RFC 3261 §16.10 would have it forwarded without state, in case its INVITE was. Ours never is.

    So no CANCEL could match it further on, and its answer would be dropped here (RFC 6026 §7.3):
    the sender would wait 32 s for what he is told now. Nobody who cannot be challenged is relayed.
    """
    world = new_world(size)
    bob, caller = peer_of(world, "bob", "10.1.0.2"), Peer(world, ("192.0.2.66", 5060))
    foreign = Peer(world, ("203.0.113.5", 5060))
    for uri in (BOB, "sip:x@203.0.113.5"):
        caller.send(caller.build("CANCEL", uri))
    world.run(AT_ONCE_S)
    assert caller.statuses == [481, 481]
    assert bob.requests() == []
    assert foreign.requests() == []


@pytest.mark.rfc("PRX-34")
@pytest.mark.parametrize("transport", ["UDP", "TLS"])
def test_a_response_that_cannot_be_passed_on_harms_no_other_branch(
    size: Size, transport: str
) -> None:
    world = World(1, size, NAMES, tls=True)
    one, two = fork(world, 2)
    caller = Peer(world, ("192.0.2.66", 5060))
    via = caller.via().replace("UDP", transport)
    node = node_address(0) if transport == "UDP" else tls_address(0)
    caller.send(caller.build("INVITE", BOB, ("Via", via)), node)
    world.run(0.05)
    world.unreachable.add(caller.address)  # we are told that nothing arrives there
    for peer in (one, two):
        peer.answer(invited(peer), 180)
    one.answer(invited(one), 486)
    world.run(1)
    assert caller.statuses == []
    assert one.requests("CANCEL") == two.requests("CANCEL") == []
    world.unreachable.clear()
    two.answer(invited(two), 200)
    world.run(0.2)
    assert caller.statuses == [200]


# --- without state --------------------------------------------------------------------------------------
@pytest.mark.rfc("PRX-36", "PRX-37")
def test_the_ack_of_a_2xx_passes_without_state_and_always_the_same(size: Size) -> None:
    """The only request that is forwarded without state: all others have a response context."""
    world = new_world(size)
    anna, dialog, bob, _ = in_call(world)
    world.run(40)  # the transactions of the INVITE have ended
    before = [len(worker.transactions) for worker in world.workers]
    ack = dialog.ack
    assert ack is not None
    bob.raw.clear()
    for node in [*world.nodes, *world.nodes]:
        world.network.send(ack.to_bytes(), anna.address, node.address)
        world.run(0.1)
    copies = [parse_message(data) for data in bob.raw]
    assert len(copies) == 2 * len(world.nodes)
    assert len({c.branch for c in copies}) == 1
    assert copies[0].branch not in (ack.branch, "")
    assert len(copies[0].values("via")) == 2
    assert isinstance(copies[0], Request)
    assert copies[0].uri_text == bob_contact(bob)
    assert not copies[0].has("route")
    assert [len(worker.transactions) for worker in world.workers] == before
    other = ack.copy()
    other.set("Via", "SIP/2.0/UDP 10.1.0.1:5060;branch=old-style")
    third = other.copy()
    third.set("CSeq", "99 ACK")  # of another INVITE: the branch of old says nothing
    bob.raw.clear()
    for message in (other, other, third):
        world.network.send(message.to_bytes(), anna.address, world.nodes[0].address)
        world.run(0.1)
    first, again, different = (parse_message(data).branch for data in bob.raw)
    assert first == again
    assert len({first, different, copies[0].branch}) == 3
    assert first.startswith("z9hG4bK")


@pytest.mark.rfc("PRX-37")
@pytest.mark.parametrize(
    "change",
    [
        {"Max-Forwards": "0"},
        {"Request-URI": "urn:isbn:0451450523"},
        {"From": f"<sip:clara@{DOMAIN}>;tag=other"},
        {"Call-ID": "another"},
        {"Route": ""},
        {"Route": "<sip:203.0.113.9;lr>"},
    ],
    ids=str,
)
def test_an_ack_that_goes_no_further_is_answered_by_nobody(
    size: Size, change: dict[str, str]
) -> None:
    world = new_world(size)
    anna, dialog, bob, _ = in_call(world)
    caller = Peer(world, anna.address)
    bob.arrived.clear()
    assert dialog.ack is not None
    ack = dialog.ack.copy()
    for name, value in change.items():
        if name == "Request-URI":
            ack.uri_text = value
        elif value:
            ack.set(name, value)
        else:
            ack.remove(name)
    caller.send(ack)
    world.run(1)
    assert bob.requests("ACK") == []
    assert caller.statuses == []


# --- loops and breadth (RFC 5393) ------------------------------------------------------------------------
def sends_back(
    peer: Peer,
    uri: str,
    *,
    without_vias: bool = False,
    printed: Callable[[str], str] = lambda value: value,
) -> None:
    """The peer forwards all it gets to us, as a proxy does, under this Request-URI.

    `printed` is how it writes the Vias of others.
    """

    def back(request: Request) -> None:
        copy = request.copy()
        vias = [] if without_vias else [printed(value) for value in copy.values("via")]
        copy.remove("Via")
        for value in reversed(vias):
            copy.push("Via", value)
        copy.uri_text = uri
        copy.set("Max-Forwards", str((copy.max_forwards or 1) - 1))
        copy.push("Via", peer.via())
        peer.send(copy)

    peer.on_request = back


REPRINTED: Final[dict[str, Callable[[str], str]]] = {
    "as it was": lambda value: value,
    "blanks": lambda value: value.replace(";", " ; ").replace("=", " = "),
    "capitals": lambda value: value.replace(";branch=", ";BRANCH="),
    "protocol": lambda value: value.replace("SIP/2.0/UDP", "SIP / 2.0 / UDP"),
    "lower case": lambda value: value.replace("SIP/2.0/UDP", "sip/2.0/udp"),
    "default port": lambda value: value.replace(":5060", ""),
    "order": lambda value: value.replace(";branch=", ";x=y;branch="),
}


@pytest.mark.rfc("PRX-38", "PRX-39")
@pytest.mark.parametrize("printed", REPRINTED.values(), ids=REPRINTED)
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_a_fork_that_comes_back_unchanged_is_a_loop(
    size: Size, method: str, printed: Callable[[str], str]
) -> None:
    world = new_world(size)
    peers = fork(world, 2)
    for peer in peers:
        sends_back(peer, BOB, printed=printed)
    caller = Peer(world, ("192.0.2.66", 5060))
    caller.send(caller.build(method, BOB))
    world.run(0.4)
    for peer in peers:
        assert len(peer.requests(method)) == 1
        assert peer.statuses == [482]


@pytest.mark.rfc("PRX-39")
def test_what_comes_back_for_somebody_else_is_a_spiral(size: Size) -> None:
    world = new_world(size)
    bob, clara = peer_of(world, "bob", "10.1.0.2"), peer_of(world, "clara", "10.1.0.3")
    sends_back(bob, f"sip:clara@{DOMAIN}")
    caller = Peer(world, ("192.0.2.66", 5060))
    caller.send(caller.build("MESSAGE", BOB))
    world.run(0.4)
    [message] = clara.requests()
    assert len(message.values("via")) == 4
    assert message.max_forwards == 67
    assert bob.statuses == []


@pytest.mark.rfc("PRX-39")
@pytest.mark.parametrize(
    ("change", "statuses"),
    [
        ({}, [482]),
        ({"Subject": "another"}, [482]),  # nothing here depends on it
        ({"Route": f"<sip:{node_address(0)[0]};lr>"}, [482]),  # ours: taken off before
        ({"From": "<sip:mallory@elsewhere.example>;tag=other"}, []),
        ({"Route": "<sip:10.9.9.9;lr>"}, [403]),
        ({"To": f"<{BOB}>;tag=other"}, [481]),
        ({"Call-ID": "another"}, []),
        ({"CSeq": "9 MESSAGE"}, []),
        ({"Proxy-Require": "teleport"}, [420]),
        ({"Proxy-Authorization": 'Digest realm="elsewhere"'}, []),
        ({"Request-URI": "sip:1000@" + DOMAIN}, [480]),  # a number: of anna, who has no phone
    ],
)
def test_a_loop_is_what_would_be_decided_as_before(
    size: Size, change: dict[str, str], statuses: list[int]
) -> None:
    world = new_world(size)
    bob = peer_of(world, "bob", "10.1.0.2")
    caller = Peer(world, ("192.0.2.66", 5060))
    caller.send(caller.build("MESSAGE", BOB))
    world.run(0.3)
    [message] = bob.requests()
    back = message.copy()
    back.uri_text = BOB
    back.push("Via", bob.via())
    for name, value in change.items():
        if name == "Request-URI":
            back.uri_text = value
        else:
            back.set(name, value)
    bob.send(back)
    world.run(0.3)
    assert bob.statuses == statuses


@pytest.mark.rfc("PRX-39")
def test_inside_a_call_what_comes_back_with_another_route_is_no_loop(size: Size) -> None:
    world = new_world(size)
    anna, dialog, _, _ = in_call(world)
    edge, other = Peer(world, ("203.0.113.9", 5060)), Peer(world, ("203.0.113.8", 5060))
    request = anna.in_dialog(dialog, "INFO")
    request.append("Route", "<sip:203.0.113.9;lr>")
    sent(anna, request, 0.3)
    [info] = edge.requests()
    for host, statuses in (("203.0.113.8", []), ("203.0.113.9", [482])):
        back = info.copy()
        back.remove("Route")
        for route in (*dialog.routes, f"<sip:{host};lr>"):
            back.append("Route", route)
        back.push("Via", edge.via())
        edge.send(back)
        world.run(0.3)
        assert edge.statuses == statuses
    assert len(other.requests("INFO")) == 1


@pytest.mark.rfc("PRX-39")
def test_the_same_branch_serves_the_invite_its_cancel_and_its_ack(size: Size) -> None:
    """The part of the branch that finds loops does not depend on the method."""
    world = new_world(size)
    bob, caller = peer_of(world, "bob", "10.1.0.2"), Peer(world, ("192.0.2.66", 5060))
    parts = []
    for method in ("INVITE", "MESSAGE"):
        request = caller.build(method, BOB, ("From", "<sip:x@elsewhere.example>;tag=same"))
        request.set("Call-ID", "same")
        caller.send(request)
        world.run(0.3)
        parts.append(bob.requests(method)[0].branch.rpartition(".")[2])
    assert parts[0] == parts[1]


@pytest.mark.rfc("PRX-40", "SEC-09")
@pytest.mark.parametrize(
    ("breadth", "phones", "shares"),
    [
        (None, 1, [60]),
        (None, 3, [20, 20, 20]),
        (None, 7, [12, 8, 8, 8, 8, 8, 8]),
        ("5", 1, [5]),
        ("5", 2, [3, 2]),
        ("2", 2, [1, 1]),
        ("1", 1, [1]),
        ("61", 1, [60]),
        ("4294967295", 2, [30, 30]),
        ("1", 2, []),
        ("9", 10, []),
        ("0", 1, []),
    ],
)
def test_branches_share_the_breadth_that_came(
    size: Size, breadth: str | None, phones: int, shares: list[int]
) -> None:
    world = new_world(size)
    peers, caller = fork(world, phones), Peer(world, ("192.0.2.66", 5060))
    headers = [] if breadth is None else [("Max-Breadth", breadth)]
    caller.send(caller.build("INVITE", BOB, *headers))
    world.run(0.1)
    rows = [invite.rows("max-breadth") for peer in peers for invite in peer.requests("INVITE")]
    assert all(len(row) == 1 for row in rows)  # one header in each
    assert sorted((int(row[0]) for row in rows), reverse=True) == shares
    assert caller.statuses == [440] * (not shares)


@pytest.mark.rfc("PRX-40")
def test_one_after_another_each_group_has_the_whole_breadth(size: Size) -> None:
    world = new_world(size)
    caller = Peer(world, ("192.0.2.66", 5060))
    first = [peer_of(world, "bob", f"10.1.1.{i}", params=";q=0.9") for i in (1, 2)]
    last = peer_of(world, "bob", "10.1.1.3", params=";q=0.1")
    caller.send(caller.build("INVITE", BOB, ("Max-Breadth", "2")))
    world.run(0.1)
    for peer in first:
        assert invited(peer).rows("max-breadth") == ["1"]
        peer.answer(invited(peer), 480)
    world.run(0.1)
    assert invited(last).rows("max-breadth") == ["2"]
    last.answer(invited(last), 486)
    world.run(0.1)
    assert caller.statuses == [100, 486]


@pytest.mark.rfc("PRX-40")
def test_a_group_too_wide_is_left_out_and_the_next_is_tried(size: Size) -> None:
    world = new_world(size)
    caller = Peer(world, ("192.0.2.66", 5060))
    wide = [peer_of(world, "bob", f"10.1.1.{i}", params=";q=0.9") for i in (1, 2, 3)]
    last = peer_of(world, "bob", "10.1.1.9", params=";q=0.1")
    caller.send(caller.build("INVITE", BOB, ("Max-Breadth", "2")))
    world.run(0.1)
    assert all(peer.requests() == [] for peer in wide)
    assert invited(last).rows("max-breadth") == ["2"]


@pytest.mark.rfc("PRX-40")
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_breadth_that_cannot_be_read_is_refused(size: Size, method: str) -> None:
    world = new_world(size)
    bob, caller = peer_of(world, "bob", "10.1.0.2"), Peer(world, ("192.0.2.66", 5060))
    caller.send(caller.build(method, BOB, ("Max-Breadth", "wide")))
    world.run(0.1)
    assert caller.statuses == [400]
    assert all(worker.application.idle for worker in world.workers)
    assert bob.requests() == []
    come_to_rest(world)


@pytest.mark.rfc("PRX-38", "PRX-40", "SEC-09")
@pytest.mark.parametrize("strip", [False, True])
def test_forks_that_feed_each_other_come_to_an_end(size: Size, strip: bool) -> None:
    """The attack of RFC 5393 §3, by peers that even take our Vias out, so that no loop is seen."""
    world = new_world(size)
    everybody: list[Peer] = []
    for name, other, net in (("bob", "clara", 1), ("clara", "bob", 2)):
        for i in range(10):
            peer = peer_of(world, name, f"10.1.{net}.{i + 1}")
            sends_back(peer, f"sip:{other}@{DOMAIN}", without_vias=strip)
            everybody.append(peer)
    caller = Peer(world, ("192.0.2.66", 5060))
    caller.send(caller.build("MESSAGE", BOB))
    world.run(3)
    branches = sum(len(peer.requests("MESSAGE")) for peer in everybody)
    assert 10 <= branches <= 60
    assert any(440 in peer.statuses for peer in everybody)


# --- headers of others -----------------------------------------------------------------------------------
PASSED: list[Header] = [  # of strangers, too; what is not theirs to say: simulation/test_trust_headers.py
    ("Reason", 'SIP;cause=600;text="Busy Everywhere"'),
    ("Accept-Contact", "*;audio;require"),
    ("Reject-Contact", "*;automata"),
    ("Request-Disposition", "no-fork"),
    ("Privacy", "header;session"),
    ("Supported", "100rel, replaces, timer, norefersub"),
    ("Require", "100rel"),
    ("Suppress-If-Match", "x1"),
    ("Identity", "eyJ;info=<https://x>"),
]


@pytest.mark.rfc("PRX-44", "EVT-31")
@pytest.mark.parametrize("header", PASSED, ids=lambda header: header[0])
def test_headers_between_the_ends_are_not_ours_to_touch(size: Size, header: Header) -> None:
    world = new_world(size)
    bob, caller = peer_of(world, "bob", "10.1.0.2"), Peer(world, ("192.0.2.66", 5060))
    caller.send(caller.build("INVITE", BOB, header))
    world.run(0.1)
    invite = invited(bob)
    assert invite.rows(header[0].lower()) == [header[1]]
    bob.answer(invite, 180, ("Require", "100rel"), ("RSeq", "1"), ("X-Any", "thing"))
    world.run(0.1)
    ringing = caller.responses[-1]
    assert [ringing.first(key) for key in ("require", "rseq", "x-any")] == ["100rel", "1", "thing"]


def noting(order: list[int], number: int, script: Answer) -> Answer:
    """The same script, which also notes that it was asked."""

    def note(made: Phone, tx: ServerTransaction, request: Request, now: float) -> None:
        order.append(number)
        script(made, tx, request, now)

    return note


@pytest.mark.rfc("PRX-44")
def test_q_decides_who_rings_first(size: Size) -> None:
    world = new_world(size)
    anna = phone(world, "anna", "10.1.0.1")
    phones = []
    for i, q in enumerate(("0.5", "1.0", "0.5", "0.1")):
        made = phone(world, "bob", f"10.1.2.{i + 1}", q=q)
        made.on_invite = refuse_with(486)
        phones.append(made)
    order: list[int] = []
    for i, made in enumerate(phones):
        made.on_invite = noting(order, i, made.on_invite)
    call = anna.call("bob")
    world.run(3)
    assert call.status == 486
    assert order[0] == 1
    assert sorted(order[1:3]) == [0, 2]
    assert order[3] == 3


INSIDE_CALLS: list[tuple[str, list[Header]]] = [
    ("PRACK", [("RAck", "1 1 INVITE")]),
    (
        "UPDATE",
        [("Session-Expires", "1800;refresher=uac"), ("Content-Type", "application/sdp")],
    ),
    ("INFO", [("Info-Package", "dtmf"), ("Content-Type", "application/dtmf-relay")]),
    (
        "REFER",
        [("Refer-To", "<sip:clara@campus.example?Replaces=a%40b>"), ("Target-Dialog", "x")],
    ),
    ("NOTIFY", [("Event", "refer"), ("Subscription-State", "active;expires=60")]),
    ("MESSAGE", [("Content-Type", "text/plain")]),
    ("JUGGLE", [("Balls", "5")]),
]


@pytest.mark.rfc("PRX-02", "PRX-44", "EVT-31")
@pytest.mark.parametrize(
    ("method", "headers", "early"),
    [
        (method, headers, early)
        for method, headers in INSIDE_CALLS
        for early in (True, False)
        if not early or method in BEFORE_THE_ANSWER
    ],
)
def test_any_method_passes_inside_a_call_untouched(
    size: Size, method: str, headers: list[Header], early: bool
) -> None:
    """Before the answer those alone that set the call up (`BEFORE_THE_ANSWER`)."""
    world = new_world(size)
    anna, bob = phone(world, "anna", "10.1.0.1"), peer_of(world, "bob", "10.1.0.2")
    call = anna.call("bob")
    world.run(0.1)
    invite = invited(bob)
    response = bob.answer(invite, 183 if early else 200, ("Require", "100rel"), ("RSeq", "1"))
    world.run(0.2)
    dialog = PhoneDialog(
        call.request.call_id,
        call.request.first("from") or "",
        response.first("to") or "",
        bob_contact(bob),
        list(reversed(response.record_routes)),
        call.request.cseq_number,
    )
    request = anna.in_dialog(dialog, method)
    for header in headers:
        request.append(*header)
    request.body = b"\x00body\r\n"
    outgoing = anna.start(request, world.nodes[0].address)
    world.run(0.2)
    [received] = bob.requests(method)
    for name, value in headers:
        assert received.rows(name.lower()) == [value]
    assert received.body == request.body
    bob.answer(received, 299, ("X-Answer", "yes"), body=b"\xff")
    world.run(0.2)
    [final] = outgoing.finals
    assert (final.status, final.first("x-answer"), final.body) == (299, "yes", b"\xff")


@pytest.mark.rfc("EVT-13", "EVT-31")
def test_we_stay_on_the_way_of_a_subscription_and_of_nothing_else(size: Size) -> None:
    """What makes a dialog is record-routed, and it is never cancelled; a tag alone opens nothing."""
    world = new_world(size)
    bob, caller = peer_of(world, "bob", "10.1.0.2"), Peer(world, ("192.0.2.66", 5060))
    headers = [("Event", "presence"), ("Suppress-If-Match", '"x"')]
    desk = phone(world, "bob", "10.1.0.9")  # of the same line, which may send all of them
    for method in ("SUBSCRIBE", "NOTIFY", "PUBLISH", "REFER", "MESSAGE", "OPTIONS"):
        request = desk.build(method, BOB)
        for header in headers:
            request.append(*header)
        desk.start(request, world.nodes[0].address)
    world.run(40)
    received = {r.method: r for r in bob.requests()}
    routed = {method: len(r.record_routes) for method, r in received.items()}
    assert routed == {
        "SUBSCRIBE": 1,
        "REFER": 1,
        "NOTIFY": 0,
        "PUBLISH": 0,
        "MESSAGE": 0,
        "OPTIONS": 0,
    }  # and no CANCEL
    assert all(r.rows("suppress-if-match") == ['"x"'] for r in received.values())
    within = caller.build("NOTIFY", BOB, ("Event", "presence"))
    within.set("To", f"<{BOB}>;tag=watcher")
    before = len(bob.requests())
    caller.send(within)
    world.run(1)
    assert caller.statuses[-1] == 481
    assert len(bob.requests()) == before


# --- identity (RFC 3325, RFC 3323) ---------------------------------------------------------------------------
@pytest.mark.rfc("PRX-48")
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
@pytest.mark.parametrize(
    ("privacy", "asserted"),
    [(None, True), ("none", True), ("id", False), ("header; id", False), ("user", False)],
)
def test_our_phones_learn_who_of_us_is_calling(
    size: Size, method: str, privacy: str | None, asserted: bool
) -> None:
    world = new_world(size)
    anna, bob = phone(world, "anna", "10.1.0.1"), peer_of(world, "bob", "10.1.0.2")
    request = anna.build(method, BOB)
    request.set("From", f'"The Rector" <sip:1000@{DOMAIN}>;tag=x')
    request.append("P-Asserted-Identity", f'"The Rector" <sip:rector@{DOMAIN}>, <tel:1>')
    request.append("P-Preferred-Identity", f"<sip:rector@{DOMAIN}>")
    if privacy is not None:
        request.append("Privacy", privacy)
    sent(anna, request, 0.3)
    [received] = bob.requests(method)
    assert received.rows("p-asserted-identity") == ([f"<sip:anna@{DOMAIN}>"] if asserted else [])
    assert not received.has("p-preferred-identity")
    assert received.rows("privacy") == ([] if privacy is None else [privacy])


@pytest.mark.rfc("PRX-48")
def test_nobody_else_is_vouched_for_nor_told(size: Size) -> None:
    world = new_world(size)
    anna, bob = phone(world, "anna", "10.1.0.1"), peer_of(world, "bob", "10.1.0.2")
    caller, foreign = Peer(world, ("192.0.2.66", 5060)), Peer(world, ("203.0.113.5", 5060))
    caller.send(caller.build("MESSAGE", BOB, ("P-Asserted-Identity", f"<sip:anna@{DOMAIN}>")))
    sent(anna, anna.build("MESSAGE", "sip:x@203.0.113.5"), 0.3)
    assert not bob.requests("MESSAGE")[0].has("p-asserted-identity")
    assert not foreign.requests("MESSAGE")[0].has("p-asserted-identity")
    bob.answer(bob.requests("MESSAGE")[0], 200, ("P-Asserted-Identity", f"<sip:clara@{DOMAIN}>"))
    world.run(0.2)
    assert not caller.responses[-1].has("p-asserted-identity")


@pytest.mark.rfc("PRX-48")
@pytest.mark.parametrize("method", ["ACK", "INFO", "UPDATE", "INVITE", "BYE"])
@pytest.mark.parametrize("by_callee", [False, True])
def test_inside_a_call_nobody_is_vouched_for(size: Size, method: str, by_callee: bool) -> None:
    """What a party says there of who he is, we do not know."""
    world = new_world(size)
    anna, dialog, bob, invite = in_call(world)
    caller = Peer(world, anna.address)  # from here on by hand
    bob.arrived.clear()
    request = anna.in_dialog(dialog, method)
    if by_callee:
        request = Request.build(
            method,
            anna.contact,
            [
                ("Route", invite.record_routes[0]),
                ("Max-Forwards", "70"),
                ("From", f"<{BOB}>;tag=t"),
                ("To", invite.first("from") or ""),
                ("Call-ID", invite.call_id),
                ("CSeq", f"1 {method}"),
            ],
        )
    one, other = (bob, caller) if by_callee else (caller, bob)
    request.push("Via", one.via())
    names = ("P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID")
    for name in names:
        request.append(name, f"<sip:clara@{DOMAIN}>")
    request.append("Privacy", "none")
    one.send(request)
    world.run(0.3)
    [received] = other.requests(method)
    assert not any(received.has(name.lower()) for name in names)
    if method == "ACK":
        return
    other.answer(received, 200, ("P-Asserted-Identity", f"<sip:clara@{DOMAIN}>"), tag="")
    world.run(0.3)
    assert [r.has("p-asserted-identity") for r in one.responses if r.status > 100] == [False]


# --- a call of ours that comes back from outside --------------------------------------------------------------
class Abroad(Peer):
    """A proxy that anna has called, which sends the call on to bob: by a connection of its own."""

    def __init__(self, world: World, identity: str) -> None:
        super().__init__(world, ("203.0.113.5", 40_000))
        world.nodes[0].prove(self.address, identity)

    def via(self, extra: str = "") -> str:
        return super().via(extra).replace("/UDP", "/TLS")

    def send_on(self, request: Request, **changes: str) -> None:
        copy = request.copy()
        copy.uri_text = BOB
        copy.push("Via", self.via())
        for name, value in changes.items():
            if value:
                copy.set(name.replace("_", "-"), value)
            else:
                copy.remove(name.replace("_", "-"))
        self.send(copy, tls_address(0))


def peering(size: Size) -> World:
    size = size if size.nodes == 1 else Size(1, 3)  # connections lead to one node
    return World(1, size, ["anna", "bob", "clara"], tls=True, trusted_peers=frozenset(["pbx.example"]))


def abroad(
    world: World,
    anna: Phone,
    identity: str = "pbx.example",
    copies: int = 1,
    changes: dict[str, str] | None = None,
) -> Abroad:
    """anna calls a foreign address, whose proxy sends the call on to bob with these changes."""
    called, proxy = Peer(world, ("203.0.113.5", 5060)), Abroad(world, identity)

    def forward(request: Request) -> None:
        if request.method == "INVITE":
            for _ in range(copies):
                proxy.send_on(request, **(changes or {}))

    called.on_request = forward
    anna.start(anna.build("INVITE", "sip:friend@203.0.113.5"), world.nodes[0].address)
    world.run(0.5)
    return proxy


@pytest.mark.rfc("PRX-06")
def test_a_call_of_ours_that_comes_back_is_known_by_its_token(size: Size) -> None:
    world = peering(size)
    anna, bob = phone(world, "anna", "10.1.0.1"), phone(world, "bob", "10.1.0.2")
    bob.on_invite = ring_forever
    proxy = abroad(world, anna)
    assert len([r for r in bob.received if r.method == "INVITE"]) == 1
    assert not bob.received[0].has("p-asserted-identity")
    assert proxy.statuses == [180]


def test_a_call_of_ours_comes_back_once_for_each_branch(size: Size) -> None:
    world = peering(size)
    anna, bob = phone(world, "anna", "10.1.0.1"), phone(world, "bob", "10.1.0.2")
    bob.on_invite = ring_forever
    proxy = abroad(world, anna, copies=4)
    assert len([r for r in bob.received if r.method == "INVITE"]) == 1
    assert proxy.statuses.count(407) == 3


def test_whoever_else_is_called_rings_nobody_as_the_caller(size: Size) -> None:
    """While it rings there he has the token, Call-ID, From and tag: all that the call has."""
    world = peering(size)
    anna, bob = phone(world, "anna", "10.1.0.1"), phone(world, "bob", "10.1.0.2")
    proxy = abroad(world, anna, "evil.example")
    assert proxy.statuses == [407]
    assert bob.received == []


@pytest.mark.rfc("PRX-06")
@pytest.mark.parametrize(
    "changes",
    [
        {"From": f"<sip:clara@{DOMAIN}>;tag=other"},
        {"From": f"<sip:anna@{DOMAIN}>;tag=other"},  # her name in another call of his own making
        {"Call_ID": "another"},
        {"Record_Route": ""},
        {"Record_Route": f"<sip:{DOMAIN};lr;ct=AAAA>"},
    ],
    ids=str,
)
def test_a_token_vouches_for_its_own_call_and_caller_alone(
    size: Size, changes: dict[str, str]
) -> None:
    world = peering(size)
    anna, bob = phone(world, "anna", "10.1.0.1"), phone(world, "bob", "10.1.0.2")
    proxy = abroad(world, anna, changes=changes)
    assert bob.received == []
    assert proxy.statuses == [407]


@pytest.mark.rfc("PRX-06")
def test_a_token_does_not_lend_the_name_of_somebody_else(size: Size) -> None:
    """The same tag and Call-ID with another From: what the foreign proxy could easily write."""
    world = peering(size)
    anna, bob = phone(world, "anna", "10.1.0.1"), phone(world, "bob", "10.1.0.2")
    called, proxy = Peer(world, ("203.0.113.5", 5060)), Abroad(world, "pbx.example")
    called.on_request = lambda r: proxy.send_on(r, From=f"<{BOB}>;tag={r.from_tag}")
    anna.start(anna.build("INVITE", "sip:friend@203.0.113.5"), world.nodes[0].address)
    world.run(0.5)
    assert bob.received == []
    assert proxy.statuses == [407]


def test_calls_that_come_back_are_no_strangers_calls(size: Size) -> None:
    world = peering(size)
    callers = phone(world, "anna", "10.1.0.1"), phone(world, "clara", "10.1.0.3")
    bob = phone(world, "bob", "10.1.0.2")
    bob.on_invite = ring_forever
    called, proxy = Peer(world, ("203.0.113.5", 5060)), Abroad(world, "pbx.example")
    called.on_request = lambda request: (
        proxy.send_on(request) if request.method == "INVITE" else None
    )
    for caller in callers * 2:
        caller.start(caller.build("INVITE", "sip:friend@203.0.113.5"), world.nodes[0].address)
        world.run(1)
    assert len({request.call_id for request in bob.received if request.method == "INVITE"}) == 4
    assert set(proxy.statuses) == {180, 407}  # 407: what has come back by that branch before


@pytest.mark.rfc("PRX-06")
@pytest.mark.parametrize("becomes", ["answered", "refused"])
def test_a_call_that_is_over_or_answered_comes_back_no_more(size: Size, becomes: str) -> None:
    """Who was called once abroad keeps the token: it must not lend him the caller's name."""
    world = peering(size)
    anna, bob = phone(world, "anna", "10.1.0.1"), phone(world, "bob", "10.1.0.2")
    called, proxy = Peer(world, ("203.0.113.5", 5060)), Abroad(world, "pbx.example")
    anna.start(anna.build("INVITE", "sip:friend@203.0.113.5"), world.nodes[0].address)
    world.run(0.5)
    [invite] = called.requests("INVITE")
    called.answer(invite, 200 if becomes == "answered" else 486)
    world.run(0.5)
    proxy.send_on(invite)
    world.run(0.5)
    assert bob.received == []
    assert proxy.statuses == [407]


@pytest.mark.rfc("PRX-21", "PRX-33")
@pytest.mark.parametrize("status", [100, 180])
def test_a_ring_that_cannot_be_passed_on_is_a_ring_all_the_same(size: Size, status: int) -> None:
    """With our Via alone (RFC 3261 §16.7 step 3): nobody is told, and timer C runs."""
    world = new_world(size)
    bob, caller = peer_of(world, "bob", "10.1.0.2"), Peer(world, ("192.0.2.66", 5060))
    caller.send(caller.build("INVITE", BOB))
    world.run(0.2)
    ringing = invited(bob).respond(status, to_tag="t")
    ringing.set("Via", ringing.values("via")[0])
    bob.send(ringing, bob.arrived[-1][2])
    world.run(190)
    assert caller.statuses == [100]
    assert len(bob.requests("CANCEL")) == 1
    come_to_rest(world)


@pytest.mark.rfc("SEC-09")
def test_an_answer_with_more_routes_than_are_kept_is_none(size: Size) -> None:
    world = new_world(size)
    bob, caller = peer_of(world, "bob", "10.1.0.2"), Peer(world, ("192.0.2.66", 5060))
    caller.send(caller.build("INVITE", BOB))
    world.run(0.2)
    routes = [("Record-Route", f"<sip:{'x' * 100}{i}.example;lr>") for i in range(80)]
    ours = [("Record-Route", row) for row in invited(bob).rows("record-route")]
    contact = ("Contact", "<sip:bob@10.1.0.2:5070>")
    answer = invited(bob).respond(200, to_tag="t", headers=[*routes, *ours, contact])
    bob.send(answer, bob.arrived[-1][2])
    world.run(0.2)
    assert [s for s in caller.statuses if s >= 200] == [502]
    come_to_rest(world)


@pytest.mark.rfc("SEC-09")
@pytest.mark.parametrize(("length", "is_kept"), [(2000, True), (6000, False)])
@pytest.mark.parametrize("name", ["bob", "echo"])
@pytest.mark.parametrize("header", ["Record-Route", "Contact", "From"])
def test_a_call_of_which_too_much_would_be_kept_rings_nowhere(
    size: Size, header: str, name: str, length: int, is_kept: bool
) -> None:
    world = new_world(size)
    bob, caller = peer_of(world, "bob", "10.1.0.2"), Peer(world, ("192.0.2.66", 5060))
    uri = f"sip:{'x' * length}@192.0.2.66"
    value = {"From": f"<{uri}>;tag=f", "Record-Route": f"<{uri};lr>"}.get(header, f"<{uri}>")
    caller.send(caller.build("INVITE", f"sip:{name}@{DOMAIN}", (header, value), body=b"v=0\r\n"))
    world.run(0.3)
    expected = 513 if not is_kept else 200 if name == "echo" else 100
    assert caller.statuses == [expected]
    assert len(bob.requests("INVITE")) == (name == "bob" and is_kept)
