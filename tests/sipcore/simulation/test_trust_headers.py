"""Attacks with headers: by who sends them, and who gets them (`proxy.header_rules`)."""

from __future__ import annotations

import pytest

from sipcore.locate import Answer
from sipcore.message import Request, parse_message
from sipcore.proxy.header_rules import TABLE
from tests.sipcore.conformance.peer import Header, Peer, new_world, peer_of, phone
from tests.sipcore.simulation.phone import Outgoing, Phone, PhoneDialog, refuse_with
from tests.sipcore.simulation.test_trust_methods import sent
from tests.sipcore.simulation.world import DOMAIN, ONE, SIZES, Size, World, tls_address

pytestmark = pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])
BOB = f"sip:bob@{DOMAIN}"
CLARA = f"sip:clara@{DOMAIN}"

VALUES = {
    "answer-mode": "Auto",
    "priv-answer-mode": "Auto",
    "p-auto-answer": "normal",
    "alert-info": "<http://x>;info=alert-autoanswer",
    "call-info": "<sip:x>;answer-after=0",
    "diversion": "<sip:rector@campus.example>;reason=unconditional",
    "history-info": "<sip:rector@campus.example>;index=1",
    "referred-by": "<sip:rector@campus.example>",
    "p-called-party-id": "<sip:x@y>",
    "p-asserted-service": "urn:urn-7:x",
    "p-charging-vector": "icid-value=1",
    "p-access-network-info": "IEEE-802.11",
    "p-early-media": "sendrecv",
}
INSIDE = {"p-asserted-service", "p-charging-vector", "p-access-network-info"}
PICK_UP = {"answer-mode", "priv-answer-mode", "p-auto-answer", "alert-info", "call-info"}


def passes(sender: str, to: str, key: str) -> bool:
    if sender == "stranger" or (to == "foreign" and key in INSIDE):
        return False
    return not (sender == "account" and to == "phone" and key in PICK_UP)


CELLS = [
    (sender, to, key, passes(sender, to, key))
    for sender in ("stranger", "account", "peer")
    for to in ("phone", "peer", "foreign")
    for key in VALUES
    if (sender, to) not in (("stranger", "peer"), ("stranger", "foreign"))  # never relayed
]
CELLS += [("account", "own line", key, True) for key in VALUES]


def test_the_table_is_tried_whole(size: Size) -> None:
    assert set(VALUES) == set(TABLE)


@pytest.mark.parametrize(("sender", "to", "key", "passes"), CELLS)
def test_a_header_passes_by_the_table(
    size: Size, sender: str, to: str, key: str, passes: bool
) -> None:
    size = ONE if size is ONE else Size(1, 3)  # connections lead to one node
    world = World(1, size, ["anna", "bob"], tls=True, trusted_peers=frozenset(["pbx.example"]))
    phone(world, "anna", "10.1.0.1")
    phone(world, "bob", "10.1.0.2")
    world.zone["pbx.example", "A"] = Answer(300.0, addresses=["192.0.2.9"])
    heard: list[bytes] = []
    other = Phone(world, "anna", ("10.1.0.3", 5060))
    other.register()
    world.run(1)
    places = {"phone": ("10.1.0.2", 5060), "own line": other.address, "peer": ("192.0.2.9", 5061), "foreign": ("203.0.113.5", 5060)}
    uris = {"phone": BOB, "own line": f"sip:anna@{DOMAIN}", "peer": "sip:x@pbx.example;transport=tls", "foreign": "sip:x@203.0.113.5"}
    world.network.attach(places[to], lambda data, source, now: heard.append(data))
    caller = Phone(
        world,
        "anna",
        ("192.0.2.9", 40_000) if sender == "peer" else ("10.1.0.1", 5060),
        transport="TLS" if sender == "peer" else "UDP",
    )
    if sender == "peer":
        world.nodes[0].prove(caller.address, "pbx.example")
    for name in (key, key.upper()):
        heard.clear()
        request = caller.build("MESSAGE", uris[to])
        if sender != "account":
            host = "pbx.example" if sender == "peer" else "elsewhere.example"
            request.set("From", f"<sip:4711@{host}>;tag={caller._id()}")
        request.append(name, VALUES[key])
        caller.start(request, tls_address(0) if sender == "peer" else world.nodes[0].address)
        world.run(0.4)
        arrived = [parse_message(data) for data in heard]
        assert arrived
        assert all(message.has(key) == passes for message in arrived)


@pytest.mark.parametrize(
    "row",
    [
        b"b: <sip:rector@campus.example>",
        b"REFERRED-BY :\r\n \t<sip:rector@campus.example>",
        b"aLERT-iNFO:\r\n <x>;info=alert-autoanswer",
        b"Call-Info: <x>;purpose=icon, <y>\r\n ;Answer-After = 0",
        b"ANSWER-MODE  : Auto",
    ],
)
def test_no_spelling_of_a_strangers_header_passes(size: Size, row: bytes) -> None:
    world = new_world(size)
    bob, mallory = peer_of(world, "bob", "10.1.0.2"), Peer(world, ("192.0.2.66", 5060))
    marked = mallory.build("INVITE", BOB, ("X-Place", "here"), ("Call-Info", "<z>;purpose=icon"))
    mallory.send(marked.to_bytes().replace(b"X-Place: here", row))
    world.run(0.2)
    [invite] = bob.requests("INVITE")
    found = bob.raw[-1].lower()
    for piece in (b"auto", b"rector", b"answer-after"):
        assert piece not in found
    assert invite.rows("call-info") == ["<z>;purpose=icon"]


@pytest.mark.parametrize(("callee", "passes"), [("bob", False), ("anna", True)])
def test_a_students_answers_and_requests_inside_a_call_make_only_own_phones_pick_up(
    size: Size, callee: str, passes: bool
) -> None:
    world = new_world(size)
    far, anna = peer_of(world, callee, "10.1.0.2"), phone(world, "anna", "10.1.0.1")
    if callee == "anna":
        anna.on_invite = refuse_with(486)
    request = anna.build("INVITE", f"sip:{callee}@{DOMAIN}")
    request.append("Answer-Mode", "Auto")
    outgoing = anna.start(request, world.nodes[0].address)
    world.run(0.5)
    [invite] = far.requests("INVITE")
    assert invite.has("answer-mode") == passes
    bad = [("Alert-Info", VALUES["alert-info"]), ("Call-Info", "<x>;answer-after=0"), ("X-Other", "y")]
    for status in (180, 200):
        far.answer(invite, status, *bad)
        world.run(0.5)
    heard = [r for r in outgoing.responses if r.has("x-other")]
    assert [r.status for r in heard] == [180, 200]
    for key in ("alert-info", "call-info"):
        assert [r.has(key) for r in heard] == [passes] * 2
    [dialog] = outgoing.dialogs.values()
    far.arrived.clear()
    again = anna.in_dialog(dialog, "INVITE")
    again.append("Alert-Info", VALUES["alert-info"])
    anna.start(again, world.nodes[0].address)
    world.run(0.5)
    [arrived] = far.requests("INVITE")
    assert arrived.has("alert-info") == passes


def test_a_strangers_answers_and_requests_inside_a_call_make_no_phone_pick_up(size: Size) -> None:
    world = new_world(size)
    anna, far = phone(world, "anna", "10.1.0.1"), Peer(world, ("203.0.113.5", 5060))
    outgoing = anna.start(
        anna.build("INVITE", "sip:x@203.0.113.5", body=b"v=0\r\n"), world.nodes[0].address
    )
    world.run(0.2)
    [invite] = far.requests("INVITE")
    bad = [("Alert-Info", VALUES["alert-info"]), ("Answer-Mode", "Auto"), ("P-Early-Media", "x")]
    far.answer(invite, 180, *bad)
    far.answer(invite, 200, *bad)
    world.run(0.2)
    assert {r.status for r in outgoing.responses} >= {180, 200}
    assert not any(r.has(n.lower()) for r in outgoing.responses for n, _ in bad)
    request = far.build("INFO", anna.contact, *bad)
    for name, value in (
        ("From", f"{invite.first('to')};tag=t"),
        ("To", invite.first("from") or ""),
        ("Call-ID", invite.call_id),
    ):
        request.set(name, value)
    for row in invite.rows("record-route"):
        request.append("Route", row)
    for node in world.nodes:  # where the call is held, and where it is not
        copy = request.copy()
        copy.set("Via", far.via())
        far.send(copy, node.address)
        world.run(0.2)
    infos = [r for r in anna.received if r.method == "INFO"]
    assert infos
    assert not any(r.has(n.lower()) for r in infos for n, _ in bad)


# --- Replaces and Join ----------------------------------------------------------------------------
def takeover(sender: Phone, uri: str, header: str, value: str) -> int:
    request = sender.build("INVITE", uri, body=b"v=0\r\n")
    request.append(header, value)
    outgoing = sent(sender, request)
    for dialog in outgoing.dialogs.values():
        sender.hang_up(dialog)
    sender.world.run(0.5)
    return outgoing.status


def talking(caller: Phone, callee: str) -> tuple[Outgoing, PhoneDialog, str]:
    call = caller.call(callee)
    caller.world.run(1)
    [dialog] = call.dialogs.values()
    to_tag = dialog.remote_value.partition(";tag=")[2]
    return call, dialog, f"{dialog.call_id};to-tag={to_tag};from-tag={call.request.from_tag}"


@pytest.mark.parametrize("header", ["Replaces", "Join"])
def test_a_call_is_taken_over_only_where_it_is_one_of_whom_it_leads_to(
    size: Size, header: str
) -> None:
    """An attended transfer: anna talks with bob and with clara, and bob is to replace her."""
    world = new_world(size, names=["anna", "bob", "clara", "dora"])
    anna, bob = phone(world, "anna", "10.1.0.1"), phone(world, "bob", "10.1.0.2")
    clara, dora = phone(world, "clara", "10.1.0.3"), phone(world, "dora", "10.1.0.4")
    talking(anna, "bob")
    _, _, value = talking(anna, "clara")
    assert takeover(dora, CLARA, header, value) == 403  # she is in no call with them
    assert takeover(bob, f"sip:dora@{DOMAIN}", header, value) == 403  # dora is not in it
    assert takeover(bob, CLARA, header, value + "x") == 403
    assert takeover(bob, CLARA, header, "other;to-tag=a;from-tag=b") == 403
    assert takeover(bob, CLARA, header, "nothing") == 403
    before = len(clara.received)
    assert not dora.received
    assert takeover(bob, CLARA, header, value) == 200
    invite = next(r for r in clara.received[before:] if r.method == "INVITE")
    assert invite.rows(header.lower()) == [value]


@pytest.mark.parametrize("header", ["Replaces", "Join"])
def test_a_stranger_takes_over_no_call_but_of_whom_he_names(size: Size, header: str) -> None:
    world = new_world(size)
    anna, bob = phone(world, "anna", "10.1.0.1"), phone(world, "bob", "10.1.0.2")
    phone(world, "clara", "10.1.0.3")
    _, _, value = talking(anna, "bob")
    ports: list[int] = []

    def status(uri: str, *headers: Header) -> int:
        ports.append(5060 + len(ports))  # what nobody acknowledges is repeated
        mallory = Peer(world, ("192.0.2.66", ports[-1]))
        mallory.send(mallory.build("INVITE", uri, *headers))
        world.run(1)
        return max(mallory.statuses)

    before = len(bob.received)
    guess = (header, "guess;to-tag=a;from-tag=b")
    for uri in (BOB, CLARA, f"sip:nobody@{DOMAIN}"):  # the same for known and unknown
        assert status(uri, guess) == 403
    assert status(CLARA, (header, value)) == 403
    assert status(BOB, (header, value), ("Join", value)) == 403
    assert len(bob.received) == before
    assert status(BOB, (header, value)) == 200


def test_no_call_is_taken_over_from_inside_another(size: Size) -> None:
    world = new_world(size)
    anna, bob = phone(world, "anna", "10.1.0.1"), phone(world, "bob", "10.1.0.2")
    _, dialog, value = talking(anna, "bob")
    before = len(bob.received)
    request: Request = anna.in_dialog(dialog, "INVITE")
    request.append("Replaces", value)
    node = next(n for n in world.nodes if any(p.worker and len(p.worker.calls) for p in n.slots))
    outgoing = anna.start(request, node.address)
    world.run(1)
    assert outgoing.status == 403
    assert len(bob.received) == before
