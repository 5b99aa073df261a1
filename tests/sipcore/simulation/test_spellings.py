"""Addresses in another spelling mean what they mean: to whoever calls, and to whoever registers."""

from __future__ import annotations

import pytest

from sipcore.directory import DomainAddress
from sipcore.locate import Answer, Srv
from sipcore.message import Request, Response, parse_message
from sipcore.transport.flow import Address
from tests.sipcore.conformance.peer import Peer, new_world, peer_of
from tests.sipcore.simulation.phone import Phone
from tests.sipcore.simulation.world import DOMAIN, ONE, SIZES, Size, World, tls_address

STRANGER: Address = ("203.0.113.9", 5060)
OF_THE_SERVER = (
    "[2001:db8::1]",
    "[2001:DB8:0:0:0:0:0:1]",
    "[2001:0db8::0001]",
    "[2001:db8::0.0.0.1]",
    "[::ffff:10.0.0.1]",
    "[::FFFF:0a00:1]",
    "[0:0:0:0:0:ffff:10.0.0.1]",
    "10.0.0.1",
    "10.0.0.1.",
    "CAMPUS.example",
    "campus.example.",
)


class Stranger:
    """Sends one request at a time from outside, and keeps the status that comes back."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.statuses: list[int] = []
        self.number = 0
        world.network.attach(STRANGER, self._receive)

    def _receive(self, data: bytes, source: Address, now: float) -> None:
        message = parse_message(data)
        if isinstance(message, Response):
            self.statuses.append(message.status)

    def send(self, method: str, sender: str, to: str = "bob") -> int:
        self.number += 1
        body = b"hello" if method == "MESSAGE" else b""
        request = Request.build(
            method,
            f"sip:{to}@{DOMAIN}",
            [
                ("Via", f"SIP/2.0/UDP {STRANGER[0]}:{STRANGER[1]};branch=z9hG4bK{self.number}"),
                ("Max-Forwards", "70"),
                ("From", f"<{sender}>;tag=t{self.number}"),
                ("To", f"<sip:{to}@{DOMAIN}>"),
                ("Call-ID", f"stranger-{self.number}"),
                ("CSeq", f"1 {method}"),
                ("Contact", f"<sip:x@{STRANGER[0]}>"),
                *([("Content-Type", "text/plain")] if body else []),
            ],
            body,
        )
        self.world.network.send(request.to_bytes(), STRANGER, self.world.nodes[0].address)
        self.world.run(3)
        return self.statuses[-1]


def make_world(size: Size = ONE) -> tuple[World, Phone]:
    world = World(1, size, ["anna", "bob"], dual_stack=True)
    bob = Phone(world, "bob", ("10.1.0.2", 5060))
    bob.register()
    world.run(1)
    bob.received.clear()
    return world, bob


@pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_nobody_is_called_in_our_name_by_another_spelling_of_our_addresses(
    size: Size, method: str
) -> None:
    world, bob = make_world(size)
    stranger = Stranger(world)
    places = [f"{host}{port}" for host in OF_THE_SERVER for port in ("", ":5060", ":9")]
    outcomes = {place: stranger.send(method, f"sip:anna@{place}") for place in places}
    assert outcomes == dict.fromkeys(places, 407)
    assert bob.received == []


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
@pytest.mark.parametrize("host", ["10.1", "10.0.0.01", "167772161", "10.0.0.300", "1.2.3.4.5"])
def test_a_host_that_is_a_number_but_no_address_is_nobodys(method: str, host: str) -> None:
    world, bob = make_world()
    assert Stranger(world).send(method, f"sip:anna@{host}") == 403
    assert bob.received == []


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
@pytest.mark.parametrize(
    "sender",
    [
        "sip:1000@elsewhere.example;user=phone",  # 1000 is anna's
        "sip:10-00@elsewhere.example;user=PHONE",
        "sip:%31000@elsewhere.example;user=phone",
        f"sip:1000;phone-context={DOMAIN}@elsewhere.example;user=phone",
        "sips:1000@elsewhere.example;user=phone",
        # A whole address of ours as the name of somebody elsewhere.
        f"sip:anna%40{DOMAIN}@elsewhere.example",
        f"sip:%61nna%40{DOMAIN.upper()}.@elsewhere.example",
        "sip:x%40%5B2001%3Adb8%3A0%3A%3A1%5D@elsewhere.example",
    ],
)
def test_a_number_or_address_of_ours_is_nobodys_elsewhere(method: str, sender: str) -> None:
    world, bob = make_world()
    assert Stranger(world).send(method, sender) == 403
    assert bob.received == []


@pytest.mark.parametrize(
    "sender",
    [
        "sip:1000@elsewhere.example",  # a name that has digits
        "sip:1999@elsewhere.example;user=phone",  # a number that nobody here has
        "sip:anna@elsewhere.example;user=phone",  # no number
        "sip:anna@[2001:db8::77]",
        "sip:anna@192.0.2.7",
        "sip:anna%40other.example@elsewhere.example",
        "sip:anna%40@elsewhere.example",
        "sip:%40@elsewhere.example",
    ],
)
def test_who_has_a_name_or_number_of_their_own_rings(sender: str) -> None:
    world, bob = make_world()
    assert Stranger(world).send("MESSAGE", sender) == 200
    assert bob.messages == [b"hello"]


@pytest.mark.parametrize(
    ("number", "status"),
    [("1000", 200), ("+4681000", 403), ("+4681001", 200)],  # local ones are of the peer's own plan
)
def test_a_trusted_peer_has_local_numbers_of_its_own_but_no_full_number_of_ours(
    number: str, status: int
) -> None:
    world = World(1, ONE, ["anna", "bob"], tls=True, trusted_peers=frozenset(["pbx.example"]))
    world.change_directory(
        world.directory.changed(version=2, addresses=[DomainAddress(DOMAIN, "+4681000", 1)]), None
    )
    Phone(world, "bob", ("10.1.0.2", 5060)).register()
    world.run(1)
    address = ("192.0.2.9", 40_000)
    pbx = Phone(world, "pbx", address, transport="TLS")
    world.nodes[0].prove(address, "pbx.example")
    request = pbx.build("MESSAGE", f"sip:bob@{DOMAIN}")
    request.set("From", f"<sip:{number}@pbx.example;user=phone>;tag=p")
    asked = pbx.start(request, tls_address(0))
    world.run(2)
    assert asked.status == status


BACK = [
    *(f"{host}:5060" for host in OF_THE_SERVER),
    *OF_THE_SERVER,
    "evil.example:5060;maddr=10.0.0.1",
    "evil.example:5060;maddr=[2001:db8:0:0::1]",
    "evil.example:5060;maddr=::ffff:10.0.0.1",
]


@pytest.mark.parametrize("place", BACK)
def test_a_contact_that_leads_back_here_is_refused_in_every_spelling(place: str) -> None:
    world, _ = make_world()
    # From the machine that it names: else the phone would be reached on its flow.
    bob = Phone(world, "bob", ("2001:db8::1" if "8:" in place else "10.0.0.1", 5070))
    asked = bob.register(contact=f"<sip:bob@{place}>")
    world.run(1)
    assert [response.reason for response in asked.finals] == ["Contact Leads Back Here"]


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_a_name_that_leads_back_here_is_not_followed(method: str) -> None:
    world, bob = make_world()
    own = [node.address[0] for node in world.nodes]
    world.zone["back.example", "A"] = Answer(300.0, addresses=own)
    world.zone["_sip._udp.srv.example", "SRV"] = Answer(
        300.0, srv=[Srv(1, 1, 5060, "back.example")]
    )
    contacts = [f"<sip:bob@{h};x={i}>" for h in ("back.example:5060", "srv.example") for i in "12"]
    bob.register(contact=", ".join([*contacts, f"<{bob.contact}>"]))
    world.run(1)
    anna = Phone(world, "anna", ("10.1.0.1", 5060))
    world.sent.clear()
    asked = anna.call("bob") if method == "INVITE" else anna.message("bob", b"hello")
    world.run(5)
    assert {flow.remote for flow in world.sent} <= {anna.address, bob.address}
    assert asked.status == 200  # the phone itself has answered


@pytest.mark.parametrize(
    "value",
    [
        "<sip:x@elsewhere.example>;tag=1,<sip:anna@campus.example>;tag=2",
        "<sip:x@elsewhere.example>;tag=1, sip:anna@campus.example",
        "<sip:x@elsewhere.example>;tag=1 From: <sip:anna@campus.example>;tag=2",
        'sip:x@elsewhere.example;tag=1;x="y",sip:anna@campus.example',
        '<sip:x@elsewhere.example>;tag=1;x="y";z=<sip:anna@campus.example>',
    ],
)
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_a_from_of_two_is_nobodys(method: str, value: str) -> None:
    world = new_world(ONE)
    bob, mallory = peer_of(world, "bob", "10.1.0.2"), Peer(world, ("192.0.2.66", 5060))
    mallory.send(mallory.build(method, f"sip:bob@{DOMAIN}", ("From", value)))
    world.run(1)
    assert mallory.statuses == [400]
    assert not bob.requests()


@pytest.mark.parametrize("host", ["0xa000001", "0x0a.0.0.0x1", "0X0A000001"])
def test_an_address_of_ours_in_hexadecimal_is_no_host(host: str) -> None:
    world = new_world(ONE)
    bob, mallory = peer_of(world, "bob", "10.1.0.2"), Peer(world, ("192.0.2.66", 5060))
    mallory.send(mallory.build("INVITE", f"sip:bob@{DOMAIN}", sender=f"sip:anna@{host}"))
    world.run(1)
    assert mallory.statuses == [403]
    assert not bob.requests()
