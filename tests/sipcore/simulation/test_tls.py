"""TLS and sips through the whole service: nothing asked for in secret is sent in the open (RFC 5630)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sipcore.directory import Domain, DomainAddress
from sipcore.eventlog import Kind
from sipcore.locate import Answer, Naptr
from sipcore.message import Request, parse_name_addr
from sipcore.transport.flow import Address, Flow
from tests.sipcore.conformance.peer import Peer
from tests.sipcore.simulation.phone import Outgoing, Phone, answer_at_once
from tests.sipcore.simulation.test_calls import end_of
from tests.sipcore.simulation.world import DOMAIN, ONE, Size, World, tls_address

# One node: a phone's connection is at the node to which it was made, and reached by no other (what
# is not there yet, docs/architecture.md). What comes by it is of any worker of that node.
SEVERAL_WORKERS = Size(1, 3)
pytestmark = pytest.mark.parametrize("size", [ONE, SEVERAL_WORKERS], ids=["one worker", "three"])

UDP, TLS, SIPS = ("UDP", "sip"), ("TLS", "sip"), ("TLS", "sips")
NOT_ALLOWED = '380 proxy "SIPS Not Allowed"'


def make_world(size: Size) -> World:
    return World(1, size, ["anna", "bob", "clara"], tls=True)


def phone(world: World, name: str, kind: tuple[str, str], host: str = "") -> Phone:
    """A registered phone; over TLS it is reached on the connection it has made, and there alone."""
    transport, scheme = kind
    address = (host or f"10.1.0.{ord(name[0])}", 40_000 if transport == "TLS" else 5060)
    made = Phone(world, name, address, transport=transport, scheme=scheme)
    outgoing = made.register()
    world.run(1)
    assert outgoing.status == 200
    return made


def sent(
    caller: Phone, method: str, to: str, edit: Callable[[Request], None] | None = None
) -> Outgoing:
    request = caller.build(method, to, body=b"v=0\r\n")
    if edit is not None:
        edit(request)
    outgoing = caller.start(request, caller._node())
    caller.world.run(5)
    return outgoing


def transports(world: World, to: Address) -> set[str]:
    """How nodes have sent to this address."""
    return {flow.transport for flow in world.sent if flow.remote == to}


def schemes(request: Request) -> list[str]:
    """Scheme and transport of each Record-Route, the last one first."""
    uris = [parse_name_addr(value).uri for value in request.record_routes]
    return [f"{u.scheme};{u.params.get('transport')}" for u in uris]


# --- calls between all kinds of phones ---------------------------------------------------------
@pytest.mark.rfc("PRX-42", "PRX-43", "PRX-16")
@pytest.mark.parametrize("hung_up_by", ["caller", "callee"])
@pytest.mark.parametrize(
    ("caller", "callee", "routes"),
    [
        (TLS, UDP, ["sip;None", "sip;tls"]),
        (UDP, TLS, ["sip;tls", "sip;None"]),
        (TLS, TLS, ["sip;tls"]),
        # A sip request to who registered a sips contact goes over TLS, and stays a sip request.
        (UDP, SIPS, ["sip;tls", "sip;None"]),
        (SIPS, SIPS, ["sips;None"]),
    ],
)
def test_a_call_has_the_way_of_each_side(
    size: Size,
    caller: tuple[str, str],
    callee: tuple[str, str],
    routes: list[str],
    hung_up_by: str,
) -> None:
    world = make_world(size)
    anna, bob = phone(world, "anna", caller), phone(world, "bob", callee)
    call = anna.call("bob")
    world.run(5)
    assert call.status == 200
    [invite] = [r for r in bob.received if r.method == "INVITE"]
    assert schemes(invite) == routes
    assert invite.uri.scheme == caller[1]
    [dialog] = call.dialogs.values()
    assert all(d.acknowledged for d in bob.dialogs.values())
    [other] = bob.dialogs.values()
    for one, mine in ((anna, dialog), (bob, other)):
        info = one.start(one.in_dialog(mine, "INFO"), one.route_address(mine))
        world.run(5)
        assert info.status == 200
    bye = bob.hang_up(other) if hung_up_by == "callee" else anna.hang_up(dialog)
    world.run(5)
    assert bye is not None
    assert bye.status == 200
    # Both own Routes are gone where it arrives (RFC 5658 §3).
    for received in (*bob.received, *anna.received):
        assert not received.routes
    assert transports(world, anna.address) == {caller[0]}
    assert transports(world, bob.address) == {callee[0]}
    assert end_of(world)["by"] == hung_up_by


@pytest.mark.rfc("PRX-16", "SEC-07")
@pytest.mark.parametrize(
    ("path", "routes"),
    [
        ("<sips:192.0.2.9;lr>", ["sips;None", "sip;None"]),
        ("<sip:192.0.2.9:5061;transport=tls;lr>", ["sip;tls", "sip;None"]),
    ],
)
def test_where_a_sips_route_comes_next_we_are_on_the_way_as_sips(
    size: Size, path: str, routes: list[str]
) -> None:
    """Even when the Request-URI is a sip URI, as it is for who has registered one (§16.6 item 4)."""
    world = make_world(size)
    anna, bob = phone(world, "anna", UDP), Phone(world, "bob", ("10.1.0.2", 5060))
    edge = Peer(world, ("192.0.2.9", 5061))
    register = bob.build("REGISTER", f"sip:{DOMAIN}")
    register.set("To", f"<sip:bob@{DOMAIN}>")
    register.set("Supported", "path")
    register.append("Path", path)
    registered = bob.start(register, bob._node())
    world.run(1)
    assert registered.status == 200
    call = anna.call("bob")
    world.run(1)
    [invite] = edge.requests("INVITE")
    assert invite.uri.scheme == "sip"
    assert schemes(invite) == routes
    edge.answer(invite, 200)
    world.run(1)
    [dialog] = call.dialogs.values()
    bye = anna.hang_up(dialog)
    world.run(1)
    [received] = edge.requests("BYE")
    assert not received.routes
    edge.answer(received, 200, tag="")
    world.run(1)
    assert bye is not None
    assert bye.status == 200


@pytest.mark.rfc("PRX-16", "SEC-07")
def test_a_sips_call_to_a_service_has_a_sips_contact(size: Size) -> None:
    world = make_world(size)
    anna = phone(world, "anna", SIPS)
    request = anna.build("INVITE", f"sips:echo@{DOMAIN}", body=b"v=0\r\n")
    request.append("Content-Type", "application/sdp")
    call = anna.start(request, anna._node())
    world.run(5)
    assert call.status == 200
    assert call.finals[0].contacts[0].uri.scheme == "sips"
    [dialog] = call.dialogs.values()
    bye = anna.hang_up(dialog)
    world.run(40)
    assert bye is not None
    assert bye.status == 200


# --- sips goes over TLS or nowhere -----------------------------------------------------------------
@pytest.mark.rfc("TRP-18", "SEC-06", "SEC-07")
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
@pytest.mark.parametrize("kind", [UDP, TLS])
def test_who_registered_no_sips_contact_is_not_there_for_sips(
    size: Size, method: str, kind: tuple[str, str]
) -> None:
    """Not even when the phone has registered over TLS (RFC 5630 §5.3)."""
    world = make_world(size)
    anna, bob = phone(world, "anna", SIPS), phone(world, "bob", kind)
    before = len(bob.received)
    outgoing = sent(anna, method, f"sips:bob@{DOMAIN}")
    assert outgoing.status == 480
    assert outgoing.finals[0].first("warning") == NOT_ALLOWED
    assert len(bob.received) == before


@pytest.mark.rfc("TRP-18", "SEC-07")
def test_of_several_phones_only_the_secure_ones_ring_for_sips(size: Size) -> None:
    world = make_world(size)
    anna = phone(world, "anna", SIPS)
    bobs = [phone(world, "bob", kind, f"10.1.1.{n}") for n, kind in enumerate((UDP, TLS, SIPS))]
    assert sent(anna, "MESSAGE", f"sips:bob@{DOMAIN}").status == 200
    assert [[r.method for r in b.received] for b in bobs] == [[], [], ["MESSAGE"]]
    assert bobs[2].received[0].uri.scheme == "sips"
    assert sent(anna, "MESSAGE", f"sip:bob@{DOMAIN}").status == 200
    assert [[r.uri.scheme for r in b.received][-1:] for b in bobs] == [["sip"]] * 3


@pytest.mark.rfc("SEC-07")
def test_an_unknown_name_looks_the_same_to_strangers(size: Size) -> None:
    world = make_world(size)
    phone(world, "bob", UDP)
    mallory = Phone(world, "mallory", ("192.0.2.66", 40_000), transport="TLS", scheme="sips")

    def foreign(request: Request) -> None:
        request.set("From", "<sips:mallory@elsewhere.example>;tag=m")

    seen = set()
    for name in ("bob", "clara", "nobody"):
        outgoing = sent(mallory, "INVITE", f"sips:{name}@{DOMAIN}", foreign)
        seen.add((outgoing.status, outgoing.finals[0].first("warning")))
    assert seen == {(480, NOT_ALLOWED)}


@pytest.mark.rfc("TRP-18", "SEC-06")
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "REGISTER"])
def test_a_sips_request_that_came_in_the_open_is_refused(size: Size, method: str) -> None:
    world = make_world(size)
    anna = Phone(world, "anna", ("10.1.0.1", 5060))
    bob = phone(world, "bob", SIPS)
    to = f"sips:{DOMAIN}" if method == "REGISTER" else f"sips:bob@{DOMAIN}"

    def own(request: Request) -> None:
        if method == "REGISTER":
            request.set("To", f"<sip:anna@{DOMAIN}>")

    outgoing = sent(anna, method, to, own)
    assert [r.status for r in outgoing.responses] == [400]  # not even credentials were asked for
    assert not bob.received


@pytest.mark.rfc("TRP-18")
@pytest.mark.parametrize(
    ("target", "port"),
    [
        ("sips:x@192.0.2.9", 5061),
        ("sips:x@192.0.2.9:7000", 7000),
        ("sips:x@192.0.2.9;transport=tcp", 5061),
        ("sips:x@192.0.2.9;transport=TLS", 5061),
        ("sip:x@192.0.2.9;transport=tls", 5061),
    ],
)
def test_a_foreign_sips_address_is_sent_to_over_tls(size: Size, target: str, port: int) -> None:
    world = make_world(size)
    anna = phone(world, "anna", SIPS)
    world.sent.clear()
    sent(anna, "MESSAGE", target)
    out = {flow for flow in world.sent if flow.remote[0] == "192.0.2.9"}
    assert out == {Flow("TLS", tls_address(0), ("192.0.2.9", port), 0, "192.0.2.9")}


@pytest.mark.rfc("TRP-18")
@pytest.mark.parametrize(
    "target",
    [
        "sips:x@192.0.2.9;transport=udp",
        "sips:x@192.0.2.9;transport=sctp",
        "sips:x@[::9]",
        "sips:x@nowhere.example",
    ],
)
def test_where_there_is_no_tls_nothing_is_sent(size: Size, target: str) -> None:
    world = make_world(size)
    anna = phone(world, "anna", SIPS)
    world.sent.clear()
    assert sent(anna, "MESSAGE", target).status == 480
    assert {flow.remote for flow in world.sent} == {anna.address}


@pytest.mark.rfc("TRP-18", "SEC-07")
@pytest.mark.parametrize("behind_nat", [True, False])
def test_inside_a_call_a_sips_target_is_not_sent_to_in_the_open(
    size: Size, behind_nat: bool
) -> None:
    """Towards a phone that is reached over UDP: not on its flow, and elsewhere over TLS alone."""
    world = make_world(size)
    anna = phone(world, "anna", TLS)
    bob = Phone(world, "bob", ("10.1.0.98", 5060))
    if behind_nat:
        bob.contact = "sip:bob@192.168.1.2:5060"
    bob.register()
    world.run(1)
    call = anna.call("bob")
    world.run(5)
    [dialog] = call.dialogs.values()
    world.sent.clear()
    count = len(bob.received)
    dialog.remote_target = "sips:bob@192.0.2.9"
    outgoing = anna.start(anna.in_dialog(dialog, "INFO"), tls_address(0))
    ack = anna.in_dialog(dialog, "ACK")
    ack.push("Via", "SIP/2.0/TLS 10.1.0.97:40000;branch=z9hG4bKack")
    world.network.send(ack.to_bytes(), anna.address, tls_address(0))
    world.run(40)
    assert {flow.transport for flow in world.sent} == {"TLS"}
    assert len(bob.received) == count
    if behind_nat:
        assert outgoing.status == 480
        assert outgoing.finals[0].first("warning") == NOT_ALLOWED
        assert {flow.remote for flow in world.sent} == {anna.address}


@pytest.mark.rfc("TRP-18")
@pytest.mark.parametrize("kind", [UDP, TLS])
def test_our_own_message_to_a_sips_address_is_not_sent_in_the_open(
    size: Size, kind: tuple[str, str]
) -> None:
    world = make_world(size)
    anna = phone(world, "anna", kind)

    def secret_sender(request: Request) -> None:
        request.set("From", f"<sips:anna@{DOMAIN}>;tag=s")

    assert sent(anna, "MESSAGE", f"sip:echo@{DOMAIN}", secret_sender).status == 200
    world.run(5)
    assert len(anna.messages) == (1 if kind == TLS else 0)


# --- registering sips -----------------------------------------------------------------------------
def register(who: Phone, uri: str, *contacts: str, path: str = "") -> Outgoing:
    def own(request: Request) -> None:
        request.set("To", f"<sip:{who.name}@{DOMAIN}>")
        request.remove("Contact")
        for contact in contacts:
            request.append("Contact", f"<{contact}>")
        if path:
            request.append("Path", path)
            request.append("Supported", "path")

    return sent(who, "REGISTER", uri, own)


@pytest.mark.rfc("SEC-07", "TRP-18")
@pytest.mark.parametrize(
    ("uri", "contacts", "path", "status"),
    [
        (f"sips:{DOMAIN}", ["sips:anna@10.1.0.1"], "", 200),
        (f"sips:{DOMAIN}", ["sips:anna@10.1.0.1"], "<sips:edge.example;lr>", 200),
        (f"sip:{DOMAIN}", ["sips:anna@10.1.0.1"], "", 400),
        (f"sips:{DOMAIN}", ["sips:anna@10.1.0.1", "sip:anna@10.1.0.2"], "", 400),
        (f"sips:{DOMAIN}", ["sips:anna@10.1.0.1"], "<sip:edge.example;lr>", 400),
        (f"sips:{DOMAIN}", ["sip:anna@10.1.0.1"], "", 200),
    ],
)
def test_a_sips_contact_is_bound_only_where_all_is_sips(
    size: Size, uri: str, contacts: list[str], path: str, status: int
) -> None:
    world = make_world(size)
    anna = Phone(world, "anna", ("10.1.0.1", 40_000), transport="TLS")
    assert register(anna, uri, *contacts, path=path).status == status


@pytest.mark.rfc("SEC-07")
@pytest.mark.parametrize("first", ["sip", "sips"])
def test_of_a_contact_and_its_secure_twin_the_later_one_counts(size: Size, first: str) -> None:
    """RFC 5630 §5.1.1.1."""
    world = make_world(size)
    anna = Phone(world, "anna", ("10.1.0.1", 40_000), transport="TLS")
    second = "sips" if first == "sip" else "sip"
    for scheme in (first, second):
        bound = register(anna, f"{scheme}:{DOMAIN}", f"{scheme}:anna@10.1.0.1:40000")
        assert [c.uri.scheme for c in bound.finals[0].contacts] == [scheme]


# --- Vias and identities ------------------------------------------------------------------------------
def test_a_phone_over_tls_sees_a_tls_via_and_is_answered_there(size: Size) -> None:
    world = make_world(size)
    anna, bob = phone(world, "anna", UDP), phone(world, "bob", TLS)
    bob.on_invite = answer_at_once
    assert sent(anna, "MESSAGE", f"sip:bob@{DOMAIN}").status == 200
    [received] = bob.received
    assert [v.partition(" ")[0] for v in received.values("via")] == ["SIP/2.0/TLS", "SIP/2.0/UDP"]


@pytest.mark.rfc("SEC-05", "SEC-06")
def test_an_application_knows_which_domains_a_peer_has_proved(size: Size) -> None:
    world = make_world(size)
    [node] = world.nodes
    peer, other = ("192.0.2.80", 40_000), ("192.0.2.81", 40_000)
    node.prove(peer, "peer.example", "sub.example")
    node.prove(other)
    for worker in world.workers:
        flows = [
            Flow("TLS", tls_address(0), source, n) for n, source in enumerate((peer, other), 1)
        ]
        assert [worker.identities_of(f) for f in flows] == [("peer.example", "sub.example"), ()]
    node.prove(peer)  # the connection is gone
    assert {worker.identities_of(flows[0]) for worker in world.workers} == {()}


# --- trusted peers --------------------------------------------------------------------------------
def with_peer(size: Size, *proved: str) -> tuple[World, Phone, Phone]:
    """bob, who is registered, and a server that has proved to speak for these domains."""
    world = World(
        1, size, ["anna", "bob", "clara"], tls=True, trusted_peers=frozenset(["pbx.example"])
    )
    bob = phone(world, "bob", UDP)
    pbx = Phone(world, "pbx", ("192.0.2.80", 40_000), transport="TLS")
    if proved:
        world.nodes[0].prove(pbx.address, *proved)
    return world, bob, pbx


def said_by(sender: str, *headers: tuple[str, str]) -> Callable[[Request], None]:
    def edit(request: Request) -> None:
        request.set("From", f"<{sender}>;tag=p")
        request.append("P-Asserted-Identity", '"The Desk" <sip:4711@pbx.example>')
        for header in headers:
            request.append(*header)

    return edit


DESK = "sip:4711@pbx.example"


@pytest.mark.rfc("PRX-48", "SEC-05")
@pytest.mark.parametrize(
    ("proved", "privacy", "shown"),
    [
        (["pbx.example"], "", True),
        (["else.example", "pbx.example"], "none", True),
        (["pbx.example"], "id", False),
        (["else.example"], "", False),
        ([], "", False),
    ],
)
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_a_peer_is_believed_who_calls_where_its_certificate_is_one_we_trust(
    size: Size, method: str, proved: list[str], privacy: str, shown: bool
) -> None:
    world, bob, pbx = with_peer(size, *proved)
    headers = [("Privacy", privacy)] if privacy else []
    assert sent(pbx, method, f"sip:bob@{DOMAIN}", said_by(DESK, *headers)).status == 200
    received = next(r for r in bob.received if r.method == method)
    assert received.has("p-asserted-identity") == shown
    assert received.has("privacy") == bool(privacy)
    peers = {record.fields.get("peer") for record in world.records_of(Kind.CALL_BEGIN)}
    known = "pbx.example" if "pbx.example" in proved else None
    assert peers == ({known} if method == "INVITE" else set())


@pytest.mark.rfc("PRX-10", "SEC-05")
@pytest.mark.parametrize(("proved", "status"), [(["pbx.example"], 200), (["x.example"], 403)])
def test_a_trusted_peer_is_sent_on_to_others(size: Size, proved: list[str], status: int) -> None:
    world, _, pbx = with_peer(size, *proved)
    far = Phone(world, "far", ("203.0.113.5", 5060))
    outgoing = sent(pbx, "MESSAGE", "sip:zoe@203.0.113.5", said_by(DESK))
    assert outgoing.status == status
    assert [r.has("p-asserted-identity") for r in far.received] == [False] * (status == 200)


def test_a_trusted_peer_is_told_who_is_not_there(size: Size) -> None:
    _, _, pbx = with_peer(size, "pbx.example")
    asked = [sent(pbx, "MESSAGE", f"sip:{n}@{DOMAIN}", said_by(DESK)) for n in ("nobody", "clara")]
    assert [outgoing.status for outgoing in asked] == [404, 480]


@pytest.mark.parametrize(
    ("sender", "proved", "status"),
    [
        (f"sip:5000@{DOMAIN}", ["pbx.example"], 200),  # one of its own extensions in our plan
        (f"sip:5000@{DOMAIN}", ["x.example"], 407),
        (f"sip:clara@{DOMAIN}", ["pbx.example"], 407),
        (f"sip:1002@{DOMAIN}", ["pbx.example"], 407),  # her number
        (f"sip:1-0-0-2@{DOMAIN};user=phone", ["pbx.example"], 407),
        (f"sip:1002;phone-context={DOMAIN}@{DOMAIN};user=phone", ["pbx.example"], 407),
        ("tel:1002", ["pbx.example"], 403),
        (f"tel:10-02;phone-context={DOMAIN}", ["pbx.example"], 403),
        ("tel:+4681234567", ["pbx.example"], 200),
        ("tel:+4681234567", ["x.example"], 403),
    ],
)
def test_a_trusted_peer_calls_as_nobody_of_us(
    size: Size, sender: str, proved: list[str], status: int
) -> None:
    _, bob, pbx = with_peer(size, *proved)
    outgoing = sent(pbx, "MESSAGE", f"sip:bob@{DOMAIN}", said_by(sender))
    assert outgoing.responses[0].status == status
    assert bool(bob.received) == (status == 200)


def test_a_number_of_any_domain_of_ours_is_one_of_us(size: Size) -> None:
    world, bob, pbx = with_peer(size, "pbx.example")
    changed = world.directory.changed(
        version=2,
        domains=[Domain(DOMAIN), Domain("two.example")],
        default_domain=DOMAIN,
        addresses=[DomainAddress("two.example", "+46700000001", 3)],
    )
    world.change_directory(changed, None)
    outgoing = sent(pbx, "MESSAGE", f"sip:bob@{DOMAIN}", said_by("tel:+46-70-0000001"))
    assert outgoing.status == 403
    assert bob.received == []


@pytest.mark.rfc("PRX-48")
def test_a_trusted_peer_says_of_nobody_of_us_that_he_calls(size: Size) -> None:
    _, bob, pbx = with_peer(size, "pbx.example")
    ours = [f"<sip:clara@{DOMAIN}>", "<tel:1002>", f"<sip:1-002@{DOMAIN};user=phone>"]
    theirs = ["<tel:+4681234567>", f"<sip:5000@{DOMAIN}>"]

    def edit(request: Request) -> None:
        said_by(DESK)(request)
        for identity in (*ours, *theirs, '<sip:4712@pbx.example>, "a', "nothing"):
            request.append("P-Asserted-Identity", identity)
        request.append("P-Asserted-Identity", ", ".join([ours[0], "<sip:4713@pbx.example>"]))

    assert sent(pbx, "MESSAGE", f"sip:bob@{DOMAIN}", edit).status == 200
    [received] = bob.received
    assert received.rows("p-asserted-identity") == [
        '"The Desk" <sip:4711@pbx.example>',
        *theirs,
        "<sip:4713@pbx.example>",
    ]


@pytest.mark.rfc("PRX-48")
@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("sips:4711@pbx.example", True),
        ("sip:4711@pbx.example;transport=tls", True),
        ("sip:4711@pbx.example", False),
        ("sips:4711@else.example", False),
    ],
)
def test_who_of_us_calls_is_said_to_a_trusted_peer_over_tls(
    size: Size, target: str, told: bool
) -> None:
    world = World(1, size, ["anna", "bob"], tls=True, trusted_peers=frozenset(["pbx.example"]))
    anna = phone(world, "anna", SIPS)
    heard: list[bytes] = []
    for name in ("pbx.example", "else.example"):
        world.zone[name, "A"] = Answer(300.0, addresses=["192.0.2.9"])
    for port in (5060, 5061):
        world.network.attach(("192.0.2.9", port), lambda data, source, now: heard.append(data))
    sent(anna, "MESSAGE", target)
    [received] = {data for data in heard if data.startswith(b"MESSAGE")}
    assert (b"P-Asserted-Identity: <sip:anna@campus.example>" in received) == told


@pytest.mark.rfc("TRP-18")
@pytest.mark.parametrize(
    ("addresses", "told"),
    [(["sip:x@192.0.2.9", "sips:y@192.0.2.9"], "sips:y@192.0.2.9"), (["sip:x@192.0.2.9"], "")],
)
def test_a_number_asked_for_by_a_sips_uri_is_reached_by_sips_alone(
    size: Size, addresses: list[str], told: str
) -> None:
    """Nobody signs what the DNS says; it must not lead into the open."""
    world = World(1, size, ["anna"], tls=True, enum_suffix="e164.example")
    anna = phone(world, "anna", SIPS)
    rules = [
        Naptr(i, 1, "u", "E2U+sip", f"!^.*$!{address}!", "") for i, address in enumerate(addresses)
    ]
    world.zone["8.7.6.5.4.3.2.1.8.6.4.e164.example", "NAPTR"] = Answer(300.0, naptr=rules)
    heard: list[bytes] = []
    for port in (5060, 5061):
        world.network.attach(("192.0.2.9", port), lambda data, source, now: heard.append(data))
    outgoing = sent(anna, "MESSAGE", f"sips:+46812345678@{DOMAIN}")
    assert {data.split(b" ")[1].decode() for data in heard} == ({told} if told else set())
    assert (outgoing.status == 404) == (not told)


@pytest.mark.rfc("TRP-14")
@pytest.mark.parametrize(
    ("proved", "alias", "asked"),
    [
        (True, ";alias", [(1, 5061)]),
        (True, "", []),
        (False, ";alias", []),
    ],
)
def test_only_a_proved_peer_can_ask_for_its_connection_to_be_used(
    size: Size, proved: bool, alias: str, asked: list[tuple[int, int]]
) -> None:
    world = make_world(size)
    source = ("192.0.2.80", 40_000)
    if proved:
        world.nodes[0].prove(source, "peer.example")
    aliases: list[tuple[int, int]] = []
    for worker in world.workers:
        flow = Flow("TLS", tls_address(0), source, 1)
        request = (
            f"OPTIONS sip:{DOMAIN} SIP/2.0\r\nVia: SIP/2.0/TLS sip.peer.example;branch=z9hG4bKx{alias}\r\n"
            "Max-Forwards: 70\r\nFrom: <sip:peer.example>;tag=1\r\n"
            f"To: <sip:{DOMAIN}>\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        )
        worker.receive(request.encode(), flow, 0.0, 0.0)
        aliases += worker.take().aliases
    assert aliases == asked
