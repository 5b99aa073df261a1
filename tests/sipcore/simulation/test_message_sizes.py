"""A phone's INVITE stays a datagram through two services of this kind (RFC 3261 §18.1.1)."""

from __future__ import annotations

from typing import Final

import pytest

from sipcore.directory import Account, Device, Directory, Domain, DomainAddress
from sipcore.locate import Answer, Srv
from sipcore.transport.flow import Address
from tests.sipcore.simulation.phone import Phone
from tests.sipcore.simulation.world import DOMAIN, REALM, SIZES, Size, World, ha1, secret_of

pytestmark = pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])

OTHER: Final = "other.example"
FAR: Address = ("198.51.100.5", 5060)
"""Where the first service finds the other one."""
MOST_UDP_BYTES: Final = 1300
MOST_GROWTH_BYTES: Final = 220
"""What a hop may add: a Via, and a Record-Route with the flows of both sides of the call."""

SDP: Final = (
    b"v=0\r\no=- 3973209461 3973209461 IN IP4 192.168.7.9\r\ns=-\r\nc=IN IP4 192.168.7.9\r\nt=0 0\r\n"
    b"m=audio 4000 RTP/AVP 9 8 0 101\r\na=rtpmap:9 G722/8000\r\na=rtpmap:8 PCMA/8000\r\n"
    b"a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=sendrecv\r\n"
)


def behind_nat(world: World, name: str, address: Address) -> Phone:
    phone = Phone(world, name, address)
    phone.place = "192.168.7.9:5062"
    phone.contact = f"sip:{name}@{phone.place}"
    return phone


def directory_of_the_other() -> Directory:
    secret = secret_of("bob")
    device = Device(11, ha1("MD5", "bob", secret), ha1("SHA-256", "bob", secret))
    return Directory(
        version=2,
        realm=REALM,
        domains=[Domain(OTHER)],
        accounts=[Account(1, "bob", OTHER, devices=(device,))],
        addresses=[DomainAddress(OTHER, "bob", 1)],
    )


def registered_at_the_other(world: World) -> Phone:
    bob = behind_nat(world, "bob", ("203.0.113.88", 41_235))
    request = bob.build("REGISTER", f"sip:{OTHER}", call_id=bob.register_call_id)
    for name in ("From", "To"):
        request.set(name, f"<sip:bob@{OTHER}>" + (";tag=b" if name == "From" else ""))
    outgoing = bob.start(request, world.nodes[0].address)
    world.run(1)
    assert outgoing.status == 200
    return bob


def test_an_invite_through_two_services_stays_a_datagram(size: Size) -> None:
    first, other = World(1, size, ["anna"]), World(2, size, ["bob"])
    other.change_directory(directory_of_the_other(), None)
    first.zone[f"_sip._udp.{OTHER}", "SRV"] = Answer(300.0, srv=[Srv(1, 0, 5060, f"s.{OTHER}")])
    first.zone[f"s.{OTHER}", "A"] = Answer(300.0, addresses=[FAR[0]])
    anna = behind_nat(first, "anna", ("203.0.113.77", 40_123))
    anna.register()
    bob = registered_at_the_other(other)
    first.run(1)
    arrived: list[bytes] = []
    first.network.attach(FAR, lambda data, source, now: arrived.append(data))
    invite = anna.build("INVITE", f"sip:bob@{OTHER}", body=SDP)
    invite.set("From", f"Anna Andersson <sip:anna@{DOMAIN}>;tag=8a1e5f7c")
    for name, value in (
        ("Allow", "INVITE, ACK, CANCEL, BYE, UPDATE, INFO, NOTIFY, OPTIONS, MESSAGE"),
        ("Supported", "replaces, timer"),
        ("User-Agent", "Some Phone 2.11"),
        ("Content-Type", "application/sdp"),
    ):
        invite.set(name, value)
    invite.remove("X-Trace")
    anna.start(invite, first.nodes[0].address)
    first.run(1)
    [on_the_way] = {data for data in arrived if data.startswith(b"INVITE ")}
    source = first.nodes[0].address
    got: list[bytes] = []
    other.network.attach(bob.address, lambda data, source, now: got.append(data))
    other.network.send(on_the_way, source, other.nodes[0].address)
    other.run(0.3)
    [at_the_phone] = {data for data in got if data.startswith(b"INVITE ")}
    before, between, after = len(invite.to_bytes()), len(on_the_way), len(at_the_phone)
    assert at_the_phone.count(b";ct=") == at_the_phone.count(b"Record-Route:") == 2
    assert before > 1000  # with its credentials, which go no further
    assert between < before
    assert after - between <= MOST_GROWTH_BYTES
    assert after <= MOST_UDP_BYTES
