"""Where what is written differs from the grammar: what is read all the same, and what is refused.

One row is one case. Why each of the first kind is read stands in docs/reading.md; requests inside a
call are refused for nothing of the second kind, or a call that stands could not be ended.
"""

from __future__ import annotations

import pytest

from sipcore.message import Request, Response, parse_message
from tests.sipcore.conformance.peer import Peer, new_world
from tests.sipcore.conformance.test_digest import Client, credentials
from tests.sipcore.conformance.wire import BOB, HOST, Wire
from tests.sipcore.simulation.phone import Outgoing, Phone, PhoneDialog, silent
from tests.sipcore.simulation.world import DOMAIN, SIZES, Size, World

pytestmark = pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])

VIA = "SIP/2.0/UDP 192.0.2.66:5060;branch=z9hG4bKodd"
MALLORY = "<sip:mallory@elsewhere.example>;tag=1"
INSTANCE = '+sip.instance="<urn:uuid:00000000-0000-0000-0000-001122334455>"'


@pytest.fixture
def wire(size: Size) -> Wire:
    return Wire(size)


# --- read ----------------------------------------------------------------------------------------
READ_VIAS = {
    "a semicolon at the end": f"{VIA};rport;",
    "a semicolon and a blank at the end": f"{VIA};rport ; ",
    "a semicolon at the end of a Via without rport": f"{VIA};",
    "another protocol's name": VIA.replace("SIP/", "SIP2/"),
    "another protocol's name that says received": VIA.replace("SIP/", "foo/") + ";received=10.9.9.9",
    "a port with zeros in front": VIA.replace(":5060", ":0005060"),
}


@pytest.mark.parametrize("via", READ_VIAS.values(), ids=READ_VIAS)
def test_a_via_written_like_this_is_answered_and_keeps_its_protocol(wire: Wire, via: str) -> None:
    wire.give(wire.rows("MESSAGE", Via=via))
    wire.bob.answer(wire.arrived(), 200)
    wire.world.run(0.1)
    assert wire.caller.statuses == [200]
    [row] = wire.caller.responses[0].rows("via")
    assert row.startswith(via.split(";")[0])
    assert wire.caller.responses[0].branch == "z9hG4bKodd"


READ_NAMES = {
    "a comma": ("Berg, Bob <{}>;tag=1", '"Berg, Bob" <{}>;tag=1'),
    "an address of elsewhere": ("bob@example.com <{}>;tag=1", '"bob@example.com" <{}>;tag=1'),
    "a URI of elsewhere": ("sip:bob@example.com<{}>;tag=1", '"sip:bob@example.com" <{}>;tag=1'),
    "a colon": ("Room: 3 <{}>;tag=1;x=y", '"Room: 3" <{}>;tag=1;x=y'),
    "all three and an apostrophe": ("O'Neil, x@y: z <{}>;tag=1", '"O\'Neil, x@y: z" <{}>;tag=1'),
    "other scripts": ("Åsa, Ö: 3 <{}>;tag=1", '"Åsa, Ö: 3" <{}>;tag=1'),
}


@pytest.mark.parametrize(("written", "sent"), READ_NAMES.values(), ids=READ_NAMES)
@pytest.mark.parametrize("name", ["From", "To"])
@pytest.mark.parametrize("method", ["MESSAGE", "INVITE", "OPTIONS"])
def test_a_display_name_without_its_quotes_is_sent_on_with_them(
    wire: Wire, method: str, name: str, written: str, sent: str
) -> None:
    uri = "sip:mallory@elsewhere.example"
    if name == "To":
        uri, written, sent = BOB, written.replace(";tag=1", ""), sent.replace(";tag=1", "")
    wire.give(wire.rows(method, **{name: written.format(uri)}), method=method)
    if method == "OPTIONS":  # answered here
        assert wire.caller.statuses == [200]
        return
    request = wire.arrived()
    assert request.rows(name.lower()) == [sent.format(uri)]
    wire.bob.answer(request, 486)
    wire.world.run(0.1)
    assert wire.caller.statuses == [486]


@pytest.mark.parametrize("name", ["From", "To"])
@pytest.mark.parametrize(
    "display",
    [
        f"sip:anna@{DOMAIN}",
        f"anna@{DOMAIN}",
        f"SIPS:anna@{DOMAIN.upper()}",
        f"Anna, anna@{DOMAIN}",
        f"sip: anna@{DOMAIN}:5060",
        f"call:anna@{DOMAIN}",
        f"sip:{DOMAIN}",
        "a@b <x>",
        'say "x@y"',
        "a;b@c",
        "a\\@b",
    ],
)
def test_a_display_name_without_quotes_that_reads_as_one_of_us_is_refused(
    wire: Wire, name: str, display: str
) -> None:
    uri = BOB if name == "To" else "sip:mallory@elsewhere.example"
    tag = "" if name == "To" else ";tag=1"
    wire.give(wire.rows("MESSAGE", **{name: f"{display} <{uri}>{tag}"}))
    wire.refused(400)


@pytest.mark.parametrize("contact", ["Berg, Bob <sip:bob@10.1.0.2>", "Room: 3 <sip:bob@10.1.0.2>"])
def test_a_contact_needs_the_quotes_for_it_is_a_list(size: Size, contact: str) -> None:
    world = new_world(size)
    done = Phone(world, "bob", ("10.1.0.2", 5060)).register(contact=contact)
    world.run(1)
    assert done.status == 400


def test_the_whole_call_of_a_phone_that_writes_no_quotes_goes_well(size: Size) -> None:
    world = new_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    invite = anna.build("INVITE", BOB)
    invite.set("From", f"Berg, Anna: 3 <sip:anna@{DOMAIN}>;tag=q1")
    done = anna.start(invite, world.nodes[0].address)
    world.run(1)
    assert done.status == 200
    [dialog] = done.dialogs.values()
    assert bob.received[0].rows("from") == [f'"Berg, Anna: 3" <sip:anna@{DOMAIN}>;tag=q1']
    # As the phone has it, not as it comes back.
    assert dialog.local_value.startswith("Berg, Anna")
    ended = anna.hang_up(dialog)
    world.run(1)
    assert ended is not None
    assert ended.status == 200
    assert bob.received[-1].method == "BYE"
    assert bob.received[-1].rows("from") == [f'"Berg, Anna: 3" <sip:anna@{DOMAIN}>;tag=q1']
    world.run(400)
    world.check_calls()
    world.check_nothing_left()


READ_CONTACTS = {
    "an instance without brackets around the URI": f"sip:bob@10.1.0.2:5060;{INSTANCE}",
    "two quoted parameters": f'sip:bob@10.1.0.2:5060;x="<a>,<b>";{INSTANCE};y="<"',
    "a port with zeros in front": "<sip:bob@10.1.0.2:0005060>",
}


@pytest.mark.parametrize("contact", READ_CONTACTS.values(), ids=READ_CONTACTS)
def test_a_contact_written_like_this_registers_and_rings(size: Size, contact: str) -> None:
    world = new_world(size)
    bob = Phone(world, "bob", ("10.1.0.2", 5060))
    done = bob.register(contact=contact)
    world.run(1)
    assert done.status == 200
    [bound] = done.responses[-1].contacts
    assert bound.uri.host == "10.1.0.2"
    assert bound.uri.port == 5060
    assert bound.params.get("+sip.instance", "") == (
        "<urn:uuid:00000000-0000-0000-0000-001122334455>" if INSTANCE in contact else ""
    )
    caller = Peer(world, HOST)
    caller.send(caller.build("MESSAGE", BOB))
    world.run(1)
    assert bob.received[-1].method == "MESSAGE"


@pytest.mark.parametrize(
    "contact",
    [
        f"sip:bob@10.1.0.2;{INSTANCE} <sip:bob@10.1.0.3>",
        'bob"x" <sip:bob@10.1.0.2>',
        f"sip:bob@10.1.0.2;{INSTANCE[:-1]}",
    ],
)
def test_what_could_be_read_in_two_ways_is_no_contact(size: Size, contact: str) -> None:
    world = new_world(size)
    done = Phone(world, "bob", ("10.1.0.2", 5060)).register(contact=contact)
    world.run(1)
    assert done.status == 400


@pytest.mark.parametrize(
    ("contact", "expires", "status", "left"),
    [
        ("*;expires=0", 600, 200, 0),
        ("* ; expires=0", 600, 200, 0),
        ("*;EXPIRES=0", 0, 200, 0),
        ("*;q=1", 0, 200, 0),
        ("*;expires=600", 0, 400, 1),
        ("*;expires=x", 0, 400, 1),
        ("*;expires=0, <sip:bob@10.1.0.2>", 0, 400, 1),
        ("<sip:bob@10.1.0.2>;expires=0, *;expires=0", 0, 400, 1),
        ("*;expires=0, *;expires=0", 0, 400, 1),
    ],
)
def test_a_star_may_say_itself_that_it_ends(
    size: Size, contact: str, expires: int, status: int, left: int
) -> None:
    world = new_world(size)
    bob = registered(world, "bob", "10.1.0.2")
    done = bob.register(expires, contact=contact)
    world.run(1)
    assert done.status == status
    for worker in world.workers:
        assert len(worker.bindings.bindings(2, world.network.at)) == left


@pytest.mark.parametrize("tag", [";tag=abc", ";tag=", ";tag=a;x=y"])
def test_a_register_with_a_to_tag_binds(size: Size, tag: str) -> None:
    world = new_world(size)
    bob = Phone(world, "bob", ("10.1.0.2", 5060))
    request = bob.build("REGISTER", f"sip:{DOMAIN}")
    request.set("To", f"<sip:bob@{DOMAIN}>{tag}")
    done = bob.start(request, world.nodes[0].address)
    world.run(1)
    assert done.status == 200
    assert len(done.responses[-1].contacts) == 1
    query = bob.build("REGISTER", f"sip:{DOMAIN}")
    query.set("To", f"<sip:bob@{DOMAIN}>{tag}")
    query.set("Contact", "*;expires=0")
    gone = bob.start(query, world.nodes[0].address)
    world.run(1)
    assert gone.status == 200
    assert gone.responses[-1].contacts == []


@pytest.mark.parametrize("nc", ["1", "01", "0000001", "00000001"])
@pytest.mark.parametrize("method", ["REGISTER", "MESSAGE"])
def test_a_nonce_count_needs_no_zeros_and_is_good_once(size: Size, method: str, nc: str) -> None:
    client = Client(size)
    uri = f"sip:{DOMAIN}" if method == "REGISTER" else BOB
    challenge = client.send(method, uri)
    right = credentials(challenge, method, nc=nc, uri=uri)
    assert client.send(method, uri, right).status == 200
    again = credentials(challenge, method, nc="00000001", uri=uri)
    assert client.send(method, uri, again).status == challenge.status


@pytest.mark.parametrize("nc", ["0x1", "+1", "1_0", "", "0", "00000000", "000000001", "g"])
def test_what_is_no_nonce_count_is_challenged(size: Size, nc: str) -> None:
    client = Client(size)
    assert client.register(credentials(client.register(), nc=nc)).status == 401


@pytest.mark.parametrize("blanks", ["\t", " \t", "\t\t "])
@pytest.mark.parametrize("opaque", ["plain", "a,b", 'a\\"b', "c=d, nonce=x"])
@pytest.mark.parametrize("method", ["REGISTER", "MESSAGE"])
def test_a_tab_may_follow_the_word_digest(
    size: Size, method: str, opaque: str, blanks: str
) -> None:
    client = Client(size)
    uri = f"sip:{DOMAIN}" if method == "REGISTER" else BOB
    name, value = credentials(client.send(method, uri), method, uri=uri)
    value = value.replace("Digest ", f'Digest{blanks}opaque="{opaque}", ')
    assert client.send(method, uri, (name, value)).status == 200
    if method == "MESSAGE":  # and those for us go no further
        assert client.bob.requests()[-1].rows("proxy-authorization") == []


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("<urn:uuid:1-A>", "<URN:UUID:1-A>", True),
        ("<urn:uuid:1-A>", "<urn:Uuid:1-A>", True),
        ("<urn:x:1-A>", "<urn:X:1-A>", True),
        ("<urn:x:1-A>", "<urn:x:1-a>", False),
        ("<urn:x:1-A>", "<urn:y:1-A>", False),
    ],
)
def test_an_instance_is_the_same_however_its_namespace_is_written(
    size: Size, one: str, other: str, same: bool
) -> None:
    world = new_world(size)
    bob = Phone(world, "bob", ("10.1.0.2", 5060))
    for port, instance in ((5060, one), (5090, other)):
        done = bob.register(contact=f'<sip:bob@10.1.0.2:{port}>;+sip.instance="{instance}"')
        world.run(1)
        assert done.status == 200
    assert len(done.responses[-1].contacts) == (1 if same else 2)


@pytest.mark.parametrize("uri", ["urn:service:sos", "URN:Service:SOS.police"])
def test_an_emergency_is_known_however_its_urn_is_written(size: Size, uri: str) -> None:
    world = new_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    done = anna.start(anna.build("INVITE", uri), world.nodes[0].address)
    world.run(1)
    assert done.status == 404
    assert "112" in (done.finals[0].first("reason") or done.finals[0].first("warning") or "")


# --- refused ---------------------------------------------------------------------------------------
NINE = "[1:2:3:4:5:6:7:8:9]"
REFUSED: dict[str, tuple[str, dict[str, str]]] = {
    # what is wrong: the Request-URI, and the headers that differ
    "a scheme with a sign": (f"s!p:bob@{DOMAIN}", {}),
    "a scheme of another script": (f"sïp:bob@{DOMAIN}", {}),
    "a scheme with an escape": (f"s%69p:bob@{DOMAIN}", {}),
    "a scheme with a sign in From": (BOB, {"From": "<s_p:m@elsewhere.example>;tag=1"}),
    "a scheme with a sign in To": (BOB, {"To": f"<s/p:bob@{DOMAIN}>"}),
    "a scheme with a sign in Contact": (BOB, {"Contact": "<s~p:m@192.0.2.66>"}),
    "an empty Call-ID": (BOB, {"Call_ID": ""}),
    "a Call-ID of blanks": (BOB, {"Call_ID": " \t "}),
    "a Call-ID with a blank": (BOB, {"Call_ID": "a b@192.0.2.66"}),
    "a Call-ID with a tab": (BOB, {"Call_ID": "a\tb@192.0.2.66"}),
    "a folded Call-ID": (BOB, {"Call_ID": "a\r\n b@192.0.2.66"}),
    "a CSeq of 2^31": (BOB, {"CSeq": "2147483648 MESSAGE"}),
    "a CSeq of 2^32 - 1": (BOB, {"CSeq": "4294967295 MESSAGE"}),
    "a blank inside the host of sent-by": (BOB, {"Via": VIA.replace("2.66", "2. 66")}),
    "a tab inside the host of sent-by": (BOB, {"Via": VIA.replace("2.66", "2.6\t6")}),
    "a blank inside the port of sent-by": (BOB, {"Via": VIA.replace(":5060", ":50 60")}),
    "a word behind sent-by": (BOB, {"Via": VIA.replace(":5060", ":5060 x")}),
    "a URI header without a value": (f"{BOB}?subject", {}),
    "one URI header of two without a value": (f"{BOB}?a=b&subject", {}),
    "an empty URI header": (f"{BOB}?", {}),
    "a URI header without a value in To": (BOB, {"To": f"<{BOB}?subject>"}),
    "a URI header without a value in From": (BOB, {"From": "<sip:m@e.example?x>;tag=1"}),
    "a URI header without a value in Contact": (BOB, {"Contact": "<sip:m@192.0.2.66?x>"}),
    "nine groups": (f"sip:bob@{NINE}", {}),
    "nine groups with the short one": ("sip:bob@[1:2:3:4:5:6:7:8::]", {}),
    "nine groups with an IPv4 address": ("sip:bob@[1:2:3:4:5:6:7:192.0.2.1]", {}),
    "nine groups in From": (BOB, {"From": f"<sip:m@{NINE}>;tag=1"}),
    "nine groups in To": (BOB, {"To": f"<sip:bob@{NINE}>"}),
    "nine groups in Contact": (BOB, {"Contact": f"<sip:m@{NINE}>"}),
    "nine groups in Via": (BOB, {"Via": VIA.replace("192.0.2.66", NINE)}),
    "an empty entry in front in Via": (BOB, {"Via": f", {VIA}"}),
    "an empty entry at the end in Via": (BOB, {"Via": f"{VIA},"}),
    "an empty entry inside Via": (BOB, {"Via": f"{VIA},,SIP/2.0/UDP 10.9.9.9;branch=z9hG4bKb"}),
    "an empty Via": (BOB, {"Via": f"{VIA}\r\nVia: "}),
    **{
        f"an empty entry {where} {name}": (BOB, {name.replace("-", "_"): value})
        for name in ("Route", "Record-Route", "Path")
        for where, value in (
            ("in front in", ", <sip:x@192.0.2.9;lr>"),
            ("at the end in", "<sip:x@192.0.2.9;lr> , "),
            ("inside", "<sip:x@192.0.2.9;lr>, ,<sip:y@192.0.2.9;lr>"),
            ("only in", ","),
        )
    },
}
INSIDE = {
    name: (uri, headers)
    for name, (uri, headers) in REFUSED.items()
    if not {"From", "To", "Call_ID", "Contact", "Route"} & headers.keys()
    and uri == BOB
    and name not in ("an empty Via", "a word behind sent-by")  # no Via can be read of those
}


@pytest.mark.parametrize("method", ["MESSAGE", "INVITE", "OPTIONS", "REGISTER"])
@pytest.mark.parametrize(("uri", "headers"), REFUSED.values(), ids=REFUSED)
def test_a_request_outside_a_call_written_like_this_is_refused(
    wire: Wire, method: str, uri: str, headers: dict[str, str]
) -> None:
    """Before anybody is asked for a password."""
    changed = {name: value.replace("MESSAGE", method) for name, value in headers.items()}
    if method == "REGISTER":
        uri = uri.replace("bob@", "")
        changed.setdefault("From", f"<{BOB}>;tag=1")
    wire.give(wire.rows(method, **changed), method=method, uri=uri)
    wire.refused(400)
    assert wire.caller.reasons != ["Bad Request"]


PASSED_OVER = ["Supported", "Allow", "Require", "Proxy-Require", "Accept", "Allow-Events"]


@pytest.mark.parametrize("name", PASSED_OVER)
@pytest.mark.parametrize("value", ["", ",", ", ,"])
def test_empty_entries_elsewhere_are_passed_over(wire: Wire, name: str, value: str) -> None:
    wire.give(wire.rows("MESSAGE", **{name.replace("-", "_"): value}))
    wire.arrived()


@pytest.mark.parametrize("name", ["Route", "Record-Route"])
def test_a_row_without_any_value_is_none(wire: Wire, name: str) -> None:
    wire.give(wire.rows("MESSAGE", **{name.replace("-", "_"): ""}))
    wire.arrived()


@pytest.mark.parametrize("sent_by", ["192.0.2.66 : 5060", " 192.0.2.66\t:\t5060 ", "192.0.2.66 "])
def test_blanks_around_the_parts_of_sent_by_are_none_inside(wire: Wire, sent_by: str) -> None:
    wire.give(wire.rows("MESSAGE", Via=f"SIP/2.0/UDP {sent_by};branch=z9hG4bKlws"))
    wire.bob.answer(wire.arrived(), 200)
    wire.world.run(0.1)
    assert wire.caller.statuses == [200]


# --- calls that stand -------------------------------------------------------------------------------
def registered(world: World, name: str, host: str) -> Phone:
    made = Phone(world, name, (host, 5060))
    done = made.register()
    world.run(1)
    assert done.status == 200
    return made


def called(world: World, anna: Phone) -> tuple[Outgoing, PhoneDialog]:
    done = anna.start(anna.build("INVITE", BOB), world.nodes[0].address)
    world.run(1)
    [dialog] = done.dialogs.values()
    return done, dialog


def as_written(request: Request, headers: dict[str, str]) -> bytes:
    """A request of 10.1.0.1 with these headers as the table has them."""
    via = "SIP/2.0/UDP 10.1.0.1:5060;branch=z9hG4bKinside"
    request.push("Via", via)
    for name, value in headers.items():
        value = value.replace(VIA, via).replace("192.0.2.", "10.1.0.").replace("0.66", "0.1")
        value = value.replace("0. 66", "0. 1").replace("0.6\t6", "0.\t1").replace("odd", "inside")
        request.remove(name.replace("_", "-"))
        value = value.replace("MESSAGE", request.method)
        request.keys.append(name.replace("_", "-").lower())
        request.lines.append(f"{name.replace('_', '-')}: {value}")
    return request.to_bytes()


@pytest.mark.parametrize("method", ["BYE", "ACK"])
@pytest.mark.parametrize(("uri", "headers"), INSIDE.values(), ids=INSIDE)
def test_a_call_that_stands_can_be_acknowledged_and_ended_like_this(
    size: Size, method: str, uri: str, headers: dict[str, str]
) -> None:
    world = new_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    _, dialog = called(world, anna)
    data = as_written(anna.in_dialog(dialog, method), headers)
    answers: list[int] = []

    def heard(data: bytes, source: object, now: float) -> None:
        message = parse_message(data)
        if isinstance(message, Response):
            answers.append(message.status)

    arrived: list[str] = []
    receive = bob._receive

    def came(data: bytes, source: tuple[str, int], now: float) -> None:
        arrived.append(data.split(b" ")[0].decode())
        receive(data, source, now)

    world.network.attach(anna.address, heard)
    world.network.attach(bob.address, came)
    world.network.send(data, anna.address, world.nodes[0].address)
    world.run(1)
    assert arrived == [method]
    assert answers == ([200] if method == "BYE" else [])


@pytest.mark.parametrize("headers", [h for _, h in INSIDE.values()], ids=INSIDE)
def test_a_call_that_rings_can_be_cancelled_like_this(size: Size, headers: dict[str, str]) -> None:
    """What differs from its INVITE is no CANCEL of it: the rows that both have are as they were."""
    world = new_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    bob.on_invite = silent
    ringing = anna.start(anna.build("INVITE", BOB), world.nodes[0].address)
    world.run(1)
    invite = ringing.request
    rows = [(n, invite.first(n.lower()) or "") for n in ("Via", "From", "To", "Call-ID")]
    rows += [("CSeq", f"{invite.cseq_number} CANCEL"), ("Max-Forwards", "70")]
    cancel = Request.build("CANCEL", invite.uri_text, rows)
    for name, value in headers.items():
        if name in ("Record_Route", "Path"):
            cancel.append(name.replace("_", "-"), value)
        if name == "Via" and value.endswith(","):
            cancel.set("Via", f"{cancel.first('via')},")
    world.network.send(cancel.to_bytes(), anna.address, world.nodes[0].address)
    world.run(1)
    assert [r.method for r in bob.received] == ["INVITE", "CANCEL"]
