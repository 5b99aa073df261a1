"""Whom an administrator trusts, in force with the next message: on open connections, in open calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from sipcore.directory import Edges, NumberLookup, Part, TrustedPeers
from sipcore.locate import Answer, Naptr
from sipcore.message import Request
from tests.sipcore.conformance.test_outbound import FOREIGN, Edged, Inside
from tests.sipcore.simulation.phone import Phone
from tests.sipcore.simulation.test_subscriptions import Notifier
from tests.sipcore.simulation.test_tls import DESK, said_by, sent
from tests.sipcore.simulation.world import DOMAIN, ONE, SIZES, Size, World, tls_address

pytestmark = pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])
BOB = f"sip:bob@{DOMAIN}"
PBX = "pbx.example"


def change(world: World, *parts: Part[Any, Any]) -> None:
    """What the administrator has edited is in force."""
    version = world.directory.version + 1
    world.change_directory(world.directory.with_parts(version, parts), [])


def connected(size: Size, trusted: Sequence[str]) -> tuple[World, Phone, Phone]:
    """bob, and a server whose open connection has proved that it speaks for pbx.example."""
    size = size if size is ONE else Size(1, 3)  # connections lead to one node
    world = World(1, size, ["anna", "bob"], tls=True, trusted_peers=trusted)
    bob = Phone(world, "bob", ("10.1.0.2", 5060))
    bob.register()
    pbx = Phone(world, "pbx", ("192.0.2.80", 40_000), transport="TLS")
    world.nodes[0].prove(pbx.address, PBX)
    world.run(1)
    return world, bob, pbx


@pytest.mark.rfc("SEC-05")
def test_a_peer_is_trusted_on_its_open_connection_for_as_long_as_it_is_named(size: Size) -> None:
    world, bob, pbx = connected(size, [])
    far = Phone(world, "far", ("203.0.113.5", 5060))
    found = []
    for trusted in ([], [PBX], ["else.example"]):
        change(world, TrustedPeers(trusted))
        bob.received.clear()
        relayed = sent(pbx, "MESSAGE", "sip:zoe@203.0.113.5", said_by(DESK)).status
        assert sent(pbx, "MESSAGE", BOB, said_by(DESK)).status == 200
        [received] = bob.received
        found.append((relayed, received.has("p-asserted-identity")))
    assert found == [(403, False), (200, True), (403, False)]
    assert len(far.received) == 1


@pytest.mark.rfc("SEC-05")
def test_a_peer_that_is_named_no_more_is_a_stranger_in_its_open_calls(size: Size) -> None:
    world, bob, pbx = connected(size, [PBX])
    call = sent(pbx, "INVITE", BOB, said_by(DESK))
    [dialog] = call.dialogs.values()
    found = []
    for trusted in ([PBX], []):
        change(world, TrustedPeers(trusted))
        bob.received.clear()
        request: Request = pbx.in_dialog(dialog, "INFO")
        request.append("Alert-Info", "<http://x>;info=alert-autoanswer")
        assert pbx.start(request, tls_address(0)).status == 0
        world.run(1)
        [received] = [r for r in bob.received if r.method == "INFO"]
        found.append(received.has("alert-info"))
    assert found == [True, False]


@pytest.mark.rfc("SEC-05")
def test_a_peer_that_is_named_no_more_hears_no_more_news_of_its_subscriptions(size: Size) -> None:
    world, phone, pbx = connected(size, [PBX])
    bob = Notifier(world, "10.1.0.2", phone)
    headers = [("Event", "presence"), ("Expires", "600")]
    assert sent(pbx, "SUBSCRIBE", BOB, said_by(DESK, *headers)).status == 200
    assert bob.tell(at=0).status == 200
    change(world, TrustedPeers(["else.example"]))
    assert bob.tell(at=0).status == 481


@pytest.mark.rfc("PRX-48")
def test_who_calls_is_said_to_a_peer_for_as_long_as_it_is_named(size: Size) -> None:
    world = World(1, size, ["anna", "bob"], tls=True)
    anna = Phone(world, "anna", ("10.1.0.1", 5060))
    anna.register()
    heard: list[bytes] = []
    world.network.attach(("192.0.2.9", 5061), lambda data, source, now: heard.append(data))
    world.zone[PBX, "A"] = Answer(300.0, addresses=["192.0.2.9"])
    world.run(1)
    found = []
    for trusted in ([], [PBX], []):
        change(world, TrustedPeers(trusted))
        heard.clear()
        sent(anna, "MESSAGE", f"sip:4711@{PBX};transport=tls")
        messages = {data for data in heard if data.startswith(b"MESSAGE")}
        found.append({b"P-Asserted-Identity: <sip:anna@" in data for data in messages})
    assert found == [{False}, {True}, {False}]


@pytest.mark.rfc("LOC-13")
def test_numbers_are_looked_up_below_the_domain_that_is_named_now(size: Size) -> None:
    world = World(1, size, ["anna", "bob"])
    anna = Phone(world, "anna", ("10.1.0.1", 5060))
    anna.register()
    Phone(world, "far", ("203.0.113.5", 5060))
    rule = Naptr(1, 1, "u", "E2U+sip", "!^.*$!sip:zoe@203.0.113.5!", "")
    world.zone["8.7.6.5.4.3.2.1.8.6.4.one.example", "NAPTR"] = Answer(300.0, naptr=[rule])
    world.run(1)
    found = []
    for suffix in ([], ["one.example"], ["two.example"], []):
        change(world, NumberLookup(suffix))
        found.append(sent(anna, "MESSAGE", "tel:+46812345678").status)
    assert found == [404, 200, 404, 404]
    assert [name.partition("8.6.4.")[2] for name, _ in world.asked] == ["one.example", "two.example"]


@pytest.mark.rfc("REG-24")
def test_phones_of_another_registrar_are_served_for_as_long_as_its_domain_is_named(
    size: Size,
) -> None:
    edged = Edged(size, "UDP through a NAT")
    edges = edged.world.directory.part(Edges)
    found: list[int] = []
    for part in (Edges(), edges, Edges([("else.example", "sip:192.0.2.1")])):
        change(edged.world, part)
        before = len(edged.registrar.requests("REGISTER"))
        phone: Inside = edged.another(("10.1.0.8", 40_100 + len(found)))
        uri = f"sip:{FOREIGN}"
        phone.send(phone.build("REGISTER", uri, sender=f"sip:carl@{FOREIGN}"), edged.node)
        edged.world.run(0.2)
        found.append(len(edged.registrar.requests("REGISTER")) - before)
    assert found == [0, 1, 0]


@pytest.mark.rfc("REG-24")
@pytest.mark.parametrize("left", [[], [("else.example", "sip:192.0.2.1")]], ids=["none", "another"])
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "INFO", "ACK"])
def test_no_token_of_a_domain_that_is_named_no_more_leads_to_a_phone(
    size: Size, method: str, left: list[tuple[str, str]]
) -> None:
    """Nor inside the calls that are open."""
    edged = Edged(size)
    path = edged.path()
    inside = [("To", f"<sip:carl@{FOREIGN}>;tag=z")] if method in ("INFO", "ACK") else []
    found = []
    for part in (edged.world.directory.part(Edges), Edges(left)):
        change(edged.world, part)
        before = len(edged.phone.requests(method))
        edged.back(method, path, *inside)
        found.append(len(edged.phone.requests(method)) - before)
    assert found == [1, 0]
