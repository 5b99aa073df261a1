"""People of ours who hide who is calling: they have their rights, and nobody else learns who it is."""

from __future__ import annotations

import pytest

from sipcore.eventlog import Kind
from sipcore.locate import Answer
from sipcore.message import Request
from sipcore.transport.flow import Address
from tests.sipcore.conformance.peer import Header, Peer, new_world, peer_of, phone
from tests.sipcore.simulation.phone import Outgoing, Phone
from tests.sipcore.simulation.test_subscriptions import KINDS, entry, watcher
from tests.sipcore.simulation.test_subscriptions import new_world as world_of
from tests.sipcore.simulation.world import DOMAIN, SIZES, Size, World

pytestmark = pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])

BOB = f"sip:bob@{DOMAIN}"
FORMS = [
    '"Anonymous" <sip:anonymous@anonymous.invalid>',
    f"<sip:anonymous@{DOMAIN}>",
    f"<sip:Anonymous@{DOMAIN.upper()}>",
    "<sip:anonymous@10.0.0.1>",
    "<sip:unknown@unknown.invalid>",
    "sip:anonymous@ANONYMOUS.invalid",
]
FORM = pytest.mark.parametrize("hidden", FORMS)
INVALID, AT_HOME = FORMS[:2]
BOTH = pytest.mark.parametrize("hidden", [INVALID, AT_HOME])
NO_PROOF = "Digest username=\"anna\", realm=\"campus\", nonce=\"x\", uri=\"sip:x\", response=\"x\""


def hiding(sender: Phone, hidden: str, method: str, uri: str, *headers: Header) -> Request:
    """A request that says nothing of its sender, its Contact included."""
    sender.contact = sender.contact.replace(sender.name, "x")
    request = sender.build(method, uri, body=b"v=0\r\n")
    request.set("From", f"{hidden};tag=hidden")
    for header in headers:
        request.append(*header)
    return request


def sent(sender: Phone, request: Request, wait_s: float = 2.0) -> Outgoing:
    outgoing = sender.start(request, sender.world.nodes[0].address)
    sender.world.run(wait_s)
    return outgoing


def callers(world: World) -> list[object]:
    return [record.fields["caller_line"] for record in world.records_of(Kind.CALL_BEGIN)]


@FORM
def test_a_hidden_caller_of_ours_rings_and_is_known_to_us_alone(size: Size, hidden: str) -> None:
    world = new_world(size)
    anna, bob = phone(world, "anna", "10.1.0.1"), phone(world, "bob", "10.1.0.2")
    wire: list[bytes] = []

    def reading(data: bytes, source: Address, now: float) -> None:
        wire.append(data)
        bob._receive(data, source, now)

    world.network.attach(bob.address, reading)
    headers = ("P-Preferred-Identity", f"<sip:anna@{DOMAIN}>"), ("Remote-Party-ID", "<sip:anna@x>")
    call = sent(anna, hiding(anna, hidden, "INVITE", BOB, *headers))
    assert [r.status for r in call.responses if r.status != 180] == [407, 200]
    assert callers(world) == [1]
    [invite] = [r for r in bob.received if r.method == "INVITE"]
    assert invite.first("from") == f"{hidden};tag=hidden"
    assert not invite.has("p-asserted-identity")
    assert not invite.has("proxy-authorization")
    # And what is said inside the call, by either side.
    [dialog] = call.dialogs.values()
    again = anna.reinvite(dialog)
    world.run(1)
    assert again.status == 200
    [his] = bob.dialogs.values()
    bye = bob.hang_up(his)
    world.run(1)
    assert bye is not None
    assert bye.status == 200
    assert not [data for data in wire if b"anna" in data.lower()]
    [end] = world.records_of(Kind.CALL_END)
    assert (end.fields["cause"], end.fields["by"]) == ("completed", "callee")


@BOTH
@pytest.mark.parametrize("method", ["MESSAGE", "SUBSCRIBE", "OPTIONS"])
def test_other_requests_of_one_who_hides_are_an_accounts_too(
    size: Size, hidden: str, method: str
) -> None:
    world = new_world(size)
    anna, bob = phone(world, "anna", "10.1.0.1"), phone(world, "bob", "10.1.0.2")
    request = hiding(anna, hidden, method, BOB, ("Event", "presence"))
    outgoing = sent(anna, request)
    assert [r.status for r in outgoing.responses] == [407, 200]
    [arrived] = bob.received
    assert arrived.method == method
    assert not arrived.has("p-asserted-identity")


@BOTH
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "SUBSCRIBE"])
@pytest.mark.parametrize("host", ["192.0.2.80:5060", "good.example:5060"])
def test_one_who_hides_calls_abroad(size: Size, hidden: str, method: str, host: str) -> None:
    world = new_world(size)
    world.zone["good.example", "A"] = Answer(300.0, addresses=["192.0.2.80"])
    zoe = Peer(world, ("192.0.2.80", 5060))
    anna = phone(world, "anna", "10.1.0.1")
    sent(anna, hiding(anna, hidden, method, f"sip:zoe@{host}", ("Event", "presence")))
    [arrived] = zoe.requests(method)
    assert b"anna" not in zoe.raw[0]
    assert arrived.first("from") == f"{hidden};tag=hidden"
    assert callers(world) == ([1] if method == "INVITE" else [])


@BOTH
def test_every_node_lets_one_who_hides_hang_up_abroad(size: Size, hidden: str) -> None:
    for node in range(size.nodes):
        world = new_world(size)
        zoe = Phone(world, "zoe", ("192.0.2.80", 5060))
        anna = phone(world, "anna", "10.1.0.1")
        call = sent(anna, hiding(anna, hidden, "INVITE", "sip:zoe@192.0.2.80:5060"))
        [dialog] = call.dialogs.values()
        bye = anna.start(anna.in_dialog(dialog, "BYE"), world.nodes[node].address)
        world.run(1)
        assert bye.status == 200
        assert [r.method for r in zoe.received] == ["INVITE", "BYE"]


@BOTH
@pytest.mark.parametrize("kind", list(KINDS))
def test_it_does_not_matter_how_the_phone_is_reached(size: Size, hidden: str, kind: str) -> None:
    world = world_of(kind, size)
    anna, bob = watcher(world, kind), phone(world, "bob", "10.1.0.2")
    outgoing = entry(anna, hiding(anna, hidden, "INVITE", BOB))
    assert outgoing.status == 200
    assert callers(world) == [1]
    assert bob.received[0].method == "INVITE"


@BOTH
def test_another_port_of_the_address_will_do(size: Size, hidden: str) -> None:
    """Phones send from other ports than they registered from."""
    world = new_world(size)
    phone(world, "anna", "10.1.0.1"), phone(world, "bob", "10.1.0.2")
    anna = Phone(world, "anna", ("10.1.0.1", 40_007))
    assert sent(anna, hiding(anna, hidden, "INVITE", BOB)).status == 200
    assert callers(world) == [1]


@BOTH
def test_from_elsewhere_it_is_a_strangers_call(size: Size, hidden: str) -> None:
    world = new_world(size)
    bob = peer_of(world, "bob", "10.1.0.2")
    anna = phone(world, "anna", "10.1.0.1")
    mallory, zoe = Peer(world, ("192.0.2.66", 5060)), Peer(world, ("192.0.2.80", 5060))
    for headers in ([], [("Proxy-Authorization", NO_PROOF)]):
        from_ = ("From", f"{hidden};tag=m{len(headers)}")
        mallory.send(mallory.build("INVITE", BOB, from_, *headers))
        world.run(0.4)
        assert 407 not in mallory.statuses
        mallory.send(mallory.build("INVITE", "sip:zoe@192.0.2.80", from_, *headers))
        world.run(0.4)
        assert mallory.statuses[-1] == 403
        mallory.send(mallory.build("SUBSCRIBE", BOB, from_, ("Event", "presence"), *headers))
        world.run(0.4)
        assert mallory.statuses[-1] == 405
    assert callers(world) == [None, None]
    assert len(bob.requests("INVITE")) == 2
    assert not bob.requests("SUBSCRIBE")
    assert not zoe.requests()
    assert anna.received == []


@BOTH
def test_when_its_phone_has_left_an_address_is_anybodys(size: Size, hidden: str) -> None:
    world = new_world(size)
    anna = phone(world, "anna", "10.1.0.1")
    phone(world, "bob", "10.1.0.2")
    anna.register(0)
    world.run(1)
    call = sent(anna, hiding(anna, hidden, "INVITE", BOB))
    assert [r.status for r in call.responses if r.status != 180] == [200]
    assert callers(world) == [None]
    anna.register()
    world.run(1)
    assert sent(anna, hiding(anna, hidden, "MESSAGE", BOB)).responses[0].status == 407


@BOTH
def test_a_wrong_secret_is_asked_for_again_and_makes_no_stranger(size: Size, hidden: str) -> None:
    world = new_world(size)
    phone(world, "anna", "10.1.0.1")
    bob = peer_of(world, "bob", "10.1.0.2")
    house = Peer(world, ("10.1.0.1", 40_007))
    from_ = ("From", f"{hidden};tag=m")
    house.send(house.build("INVITE", BOB, from_, ("Proxy-Authorization", NO_PROOF)))
    world.run(1)
    assert house.statuses == [407]
    assert not bob.requests()
    assert callers(world) == []


def test_who_is_called_anonymous_is_that_person(size: Size) -> None:
    world = World(1, size, ["anna", "bob", "anonymous"])
    anna = phone(world, "anna", "10.1.0.1")
    them = phone(world, "anonymous", "10.1.0.3")
    bob = phone(world, "bob", "10.1.0.2")
    assert sent(anna, hiding(anna, AT_HOME, "MESSAGE", BOB)).status == 403
    assert sent(them, them.build("MESSAGE", BOB)).status == 200
    [message] = bob.received
    assert message.rows("p-asserted-identity") == [f"<sip:anonymous@{DOMAIN}>"]


def test_one_who_hides_behind_a_number_of_ours_is_refused(size: Size) -> None:
    world = new_world(size)
    anna = phone(world, "anna", "10.1.0.1")
    bob = peer_of(world, "bob", "10.1.0.2")
    outgoing = sent(anna, hiding(anna, "<sip:1001@x.invalid;user=phone>", "INVITE", BOB))
    assert outgoing.status == 403
    assert not bob.requests()
