"""What RFC 3261 §7, §19, §20 and §25 ask of reading messages, told from what the service does with them."""

from __future__ import annotations

import pytest

from sipcore.message import NameAddr, Request, parse_message
from sipcore.registrar import RegistrarPolicy
from tests.sipcore.conformance.peer import Peer, new_world, peer_of
from tests.sipcore.conformance.wire import BOB, HOST, Wire
from tests.sipcore.simulation.phone import Phone
from tests.sipcore.simulation.world import DOMAIN, SIZES, Size, World

pytestmark = pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])

@pytest.fixture
def wire(size: Size) -> Wire:
    return Wire(size)


# --- §7: messages ----------------------------------------------------------------------------
@pytest.mark.rfc("PAR-01", "PAR-04")
@pytest.mark.usefixtures("size")
def test_names_are_known_in_any_case_and_form(wire: Wire) -> None:
    wire.give(
        [
            "v: sip/2.0/udp 192.0.2.66:5060;BRANCH=z9hG4bKforms",
            "F: <sip:mallory@elsewhere.example>;TAG=1",
            f"tO: <SIP:bob@{DOMAIN.upper()}>",
            "I: forms@192.0.2.66",
            "cSEQ: 1 MESSAGE",
            "MAX-FORWARDS: 7",
        ],
        uri=f"SIP:bob@{DOMAIN.upper()}",
    )
    assert wire.arrived().max_forwards == 6
    wire.bob.answer(wire.arrived(), 200)
    wire.world.run(0.1)
    assert wire.caller.statuses == [200]


@pytest.mark.rfc("PAR-01")
def test_methods_are_told_apart_by_their_case(wire: Wire) -> None:
    wire.give(wire.rows("invite"), method="invite")
    wire.world.run(1)
    assert wire.caller.statuses == [405]  # no INVITE: no 100, and unknown to us
    assert wire.bob.requests() == []


@pytest.mark.rfc("PAR-02")
def test_folded_rows_are_one(wire: Wire) -> None:
    rows = wire.rows(
        "MESSAGE",
        Via="SIP/2.0/UDP\r\n 192.0.2.66:5060\r\n\t;branch=z9hG4bKfold",
        CSeq="\r\n 1\r\n   MESSAGE",
        Subject="one\r\n two\r\n\tthree",
    )
    wire.give(rows)
    assert wire.arrived().rows("subject")[0].split() == ["one", "two", "three"]
    wire.bob.answer(wire.arrived(), 200)
    wire.world.run(0.1)
    assert wire.caller.statuses == [200]


@pytest.mark.rfc("PAR-03")
@pytest.mark.parametrize("joined", [True, False])
def test_one_row_of_two_values_and_two_rows_are_the_same(wire: Wire, joined: bool) -> None:
    below = "SIP/2.0/UDP 10.9.9.9;branch=z9hG4bKbelow"
    top = "SIP/2.0/UDP 192.0.2.66:5060;branch=z9hG4bKtop"
    vias = [f"Via: {top}, {below}"] if joined else [f"Via: {top}", f"Via: {below}"]
    wire.give([*vias, *wire.rows("MESSAGE", Via=None)])
    wire.bob.answer(wire.arrived(), 200)
    wire.world.run(0.1)
    [answer] = wire.caller.responses
    values = [value.strip() for row in answer.rows("via") for value in row.split(",")]
    assert [value.partition("branch=")[2] for value in values] == ["z9hG4bKtop", "z9hG4bKbelow"]


@pytest.mark.rfc("PAR-03")
def test_credentials_are_not_split_at_commas(wire: Wire) -> None:
    """Two rows, each with commas inside: the second is ours to read, the first passes whole."""
    other = 'Digest username="x", realm="other", nonce="1", uri="sip:x", response="0"'
    rows = wire.rows("MESSAGE")
    wire.give([*rows, f"Proxy-Authorization: {other}", f"Authorization: {other}"])
    assert wire.arrived().rows("proxy-authorization") == [other]
    assert wire.arrived().rows("authorization") == [other]


@pytest.mark.rfc("PAR-05")
@pytest.mark.parametrize(
    "start",
    [
        f"MESSAGE  {BOB} SIP/2.0",
        f"MESSAGE {BOB}  SIP/2.0",
        f"MESSAGE <{BOB}> SIP/2.0",
        f"MESSAGE {BOB};a= b SIP/2.0",
        f"MESSAGE {BOB} SIP/2.0 ",
        f"MESSAGE\t{BOB} SIP/2.0",
    ],
)
def test_an_odd_request_line_is_refused_or_dropped(wire: Wire, start: str) -> None:
    wire.give(wire.rows("MESSAGE"), start=start)
    assert wire.bob.arrived == []
    assert wire.caller.statuses == [400]


@pytest.mark.rfc("PAR-06")
@pytest.mark.parametrize("version", ["SIP/3.0", "SIP/7.0", "SIP/1.0"])
def test_another_version_is_505(wire: Wire, version: str) -> None:
    wire.give(wire.rows("MESSAGE"), start=f"MESSAGE {BOB} {version}")
    wire.refused(505)


@pytest.mark.rfc("PAR-06")
def test_the_version_is_read_in_any_case_and_written_in_capitals(wire: Wire) -> None:
    wire.give(wire.rows("MESSAGE"), start=f"MESSAGE {BOB} sip/2.0")
    wire.arrived()
    assert wire.bob.raw[-1].split(b"\r\n")[0].endswith(b" SIP/2.0")


@pytest.mark.rfc("PAR-07")
@pytest.mark.parametrize(
    ("status", "passed"), [(99, None), (700, None), (1000, None), (199, 199), (299, 299), (699, 699)]
)
def test_status_codes_are_100_to_699(wire: Wire, status: int, passed: int | None) -> None:
    wire.give(wire.rows("INVITE"), method="INVITE")
    [invite] = wire.bob.requests("INVITE")
    line = wire.bob.answer(invite, 180).to_bytes()
    wire.world.run(0.1)
    wire.caller.arrived.clear()
    wire.bob.send(line.replace(b" 180 ", f" {status} ".encode()), wire.bob.arrived[-1][2])
    wire.world.run(0.1)
    assert set(wire.caller.statuses) == ({passed} if passed else set())


# --- framing in a datagram --------------------------------------------------------------------
@pytest.mark.rfc("PAR-10", "PAR-26")
def test_what_follows_the_length_is_not_of_the_message(wire: Wire) -> None:
    body = b"\x00\xff\r\n\r\nnull and all"
    wire.give(wire.rows("MESSAGE"), body=body + b"more", length=len(body))
    assert wire.arrived().body == body


@pytest.mark.rfc("PAR-09")
def test_without_a_length_the_rest_of_the_datagram_is_the_body(wire: Wire) -> None:
    wire.give(wire.rows("MESSAGE"), body=b"all of it", length=None)
    assert wire.arrived().body == b"all of it"


@pytest.mark.rfc("PAR-10")
def test_less_than_the_length_is_400_and_a_response_is_dropped(wire: Wire) -> None:
    wire.give(wire.rows("MESSAGE"), body=b"short", length=6)
    wire.refused(400)
    wire.caller.arrived.clear()
    wire.give(wire.rows("MESSAGE"))
    short = wire.bob.answer(wire.bob.requests()[0], 180).to_bytes()
    wire.bob.send(short.replace(b" 180 ", b" 200 ").replace(b"Length: 0", b"Length: 9"),
                  wire.bob.arrived[-1][2])
    wire.world.run(0.1)
    assert wire.caller.statuses == []


@pytest.mark.rfc("PAR-08")
def test_line_breaks_before_a_message_are_skipped(wire: Wire) -> None:
    wire.give(wire.rows("MESSAGE"), start=f"\r\n\r\nMESSAGE {BOB} SIP/2.0")
    wire.arrived()


# --- §8.1.1: what must be there -----------------------------------------------------------------
@pytest.mark.rfc("PAR-11")
@pytest.mark.parametrize("name", ["To", "From", "Call_ID", "CSeq"])
@pytest.mark.parametrize("times", [0, 2])
def test_what_must_be_there_once_is_400_otherwise(wire: Wire, name: str, times: int) -> None:
    rows = wire.rows("MESSAGE")
    [row] = [row for row in rows if row.startswith(name.replace("_", "-") + ":")]
    rows.remove(row)
    wire.give([*rows, *[row] * times])
    assert wire.bob.arrived == []
    assert wire.caller.statuses == [400]


@pytest.mark.rfc("PAR-11")
def test_a_request_without_max_forwards_or_via(wire: Wire) -> None:
    wire.give(wire.rows("MESSAGE", Max_Forwards=None))
    assert wire.arrived().max_forwards == 70
    wire.bob.arrived.clear()
    wire.give(wire.rows("MESSAGE", Via=None))
    assert wire.bob.arrived == []


@pytest.mark.rfc("PAR-12")
@pytest.mark.parametrize(
    ("cseq", "status"),
    [
        ("4294967296 MESSAGE", 400),
        ("99999999999999999999 MESSAGE", 400),
        ("-1 MESSAGE", 400),
        ("x MESSAGE", 400),
        ("1 OPTIONS", 400),
        ("1", 400),
    ],
)
def test_a_bad_cseq_is_400(wire: Wire, cseq: str, status: int) -> None:
    wire.give(wire.rows("MESSAGE", CSeq=cseq))
    wire.refused(status)


@pytest.mark.rfc("PAR-12")
def test_a_cseq_of_31_bits_passes_and_of_a_response_more_than_32_is_dropped(wire: Wire) -> None:
    wire.give(wire.rows("MESSAGE", CSeq="2147483647 MESSAGE"))
    request = wire.arrived()
    good = request.respond(200, to_tag="t").to_bytes()
    wire.bob.send(good.replace(b"2147483647", b"4294967296"), wire.bob.arrived[-1][2])
    wire.world.run(0.1)
    assert wire.caller.statuses == []
    wire.bob.send(good, wire.bob.arrived[-1][2])
    wire.world.run(0.1)
    assert wire.caller.statuses == [200]


# --- §20, §25: addresses -------------------------------------------------------------------------
@pytest.mark.rfc("PAR-13", "PAR-14")
@pytest.mark.parametrize(
    ("sender", "host"),
    [
        ("sip:mallory@elsewhere.example;tag=1;x=y", "elsewhere.example"),
        ('"A \\"quoted\\" <b>, c; \\\\" <sip:mallory@elsewhere.example>;tag=1', "elsewhere.example"),
        ("Two Tokens<sip:mallory@elsewhere.example;user=phone>;tag=1", "elsewhere.example"),
        ("caller<sip:mallory@elsewhere.example>;tag=1", "elsewhere.example"),
        ('"anna <sip:anna@campus.example>" <sip:m@elsewhere.example>;tag=1', "elsewhere.example"),
        ("<sip:anna@campus.example>;tag=1", None),
        ("sip:anna@campus.example;tag=1", None),
        ('"m <sip:m@elsewhere.example>"<sip:anna@campus.example>;tag=1', None),
    ],
)
def test_who_calls_is_read_from_the_address_not_from_around_it(
    wire: Wire, sender: str, host: str | None
) -> None:
    """A From of ours is asked for its password, one of elsewhere is not."""
    wire.give(wire.rows("MESSAGE", From=sender))
    if host is None:
        wire.refused(407)
    else:
        assert wire.arrived().rows("from") == [sender]


@pytest.mark.rfc("PAR-13")
@pytest.mark.parametrize("sender", ["sip:m@elsewhere.example?a=b;tag=1", "sip:a,b@x.example;tag=1"])
def test_an_address_with_a_comma_or_question_mark_needs_brackets(wire: Wire, sender: str) -> None:
    wire.give(wire.rows("MESSAGE", From=sender))
    wire.refused(400)


@pytest.mark.rfc("PAR-15")
@pytest.mark.parametrize(
    ("user", "status"),
    [("b%6Fb", None), ("%62%6f%62", None), ("b%256Fb", 480), ("bob%00", 480), ("B%4Fb", None)],
)
def test_escapes_are_decoded_once(wire: Wire, user: str, status: int | None) -> None:
    """Names of users are found whatever their case: students write them so."""
    wire.give(wire.rows("MESSAGE"), uri=f"sip:{user}@{DOMAIN}")
    if status is None:
        wire.arrived()
    else:
        assert wire.bob.arrived == []
        assert wire.caller.statuses == [status]  # a stranger's 404


@pytest.mark.rfc("PAR-16", "REG-11")
@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("sip:anna@10.1.0.1", "SIP:anna@10.1.0.1", True),
        ("sip:anna@host.example", "sip:anna@HOST.example", True),
        ("sip:anna@10.1.0.1", "sip:Anna@10.1.0.1", False),
        ("sip:anna@10.1.0.1", "sip:anna@10.1.0.1:5060", False),
        ("sip:anna@10.1.0.1;transport=udp", "sip:anna@10.1.0.1", False),
        ("sip:anna@10.1.0.1;x=1", "sip:anna@10.1.0.1", True),
        ("sip:anna@10.1.0.1;x=1", "sip:anna@10.1.0.1;x=2", False),
        ("sip:anna@10.1.0.1;x=1;y=2", "sip:anna@10.1.0.1;Y=2;X=1", True),
        ("sip:anna@10.1.0.1?subject=a", "sip:anna@10.1.0.1", False),
        ("sip:%61nna@10.1.0.1", "sip:anna@10.1.0.1", True),
    ],
)
def test_contacts_that_are_the_same_uri_are_one_binding(
    size: Size, first: str, second: str, same: bool
) -> None:
    world = new_world(size)
    phone = Phone(world, "anna", ("10.1.0.1", 5060))
    for contact in (first, second):
        done = phone.register(contact=f"<{contact}>")
        world.run(1)
        assert done.status == 200
    assert len(done.responses[-1].contacts) == (1 if same else 2)


@pytest.mark.rfc("PAR-17")
@pytest.mark.parametrize("uri", [BOB, f"{BOB}:5060", f"{BOB};x=y", f"{BOB};transport=udp;user=ip"])
def test_the_default_port_and_any_parameter_lead_to_bob(wire: Wire, uri: str) -> None:
    wire.give(wire.rows("MESSAGE"), uri=uri)
    wire.arrived()


@pytest.mark.rfc("PAR-17")
def test_unknown_uri_parameters_are_kept(size: Size) -> None:
    world = new_world(size)
    bob = peer_of(world, "bob", "10.1.0.2", params="")
    caller = Peer(world, HOST)
    request = caller.build("MESSAGE", BOB, ("Contact", "<sip:m@192.0.2.66;x=1;lr;y>"))
    caller.send(request)
    world.run(0.1)
    assert bob.requests()[0].rows("contact") == ["<sip:m@192.0.2.66;x=1;lr;y>"]


@pytest.mark.rfc("PAR-19", "PAR-20")
@pytest.mark.parametrize(
    "below",
    [
        "SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:255;branch=z9hG4bKa",
        "SIP/2.0/UDP [2001:db8::9:1];received=[2001:db8::9:255];branch=z9hG4bKa",
        "SIP/2.0/UDP [2001:db8:::192.0.2.1];branch=z9hG4bKa",
        "SIP/2.0/FLOWER [2001:db8::9:1]:70;branch=z9hG4bKa",
    ],
)
def test_addresses_of_ipv6_are_read_and_passed(wire: Wire, below: str) -> None:
    wire.give([*wire.rows("MESSAGE")[:1], f"Via: {below}", *wire.rows("MESSAGE", Via=None)])
    wire.bob.answer(wire.arrived(), 200)
    wire.world.run(0.1)
    assert wire.caller.responses[0].rows("via")[-1] == below


@pytest.mark.rfc("PAR-19")
@pytest.mark.parametrize("host", ["2001:db8::1", "[2001:db8::1", "2001:db8::1]"])
def test_ipv6_in_a_uri_needs_brackets(wire: Wire, host: str) -> None:
    wire.give(wire.rows("MESSAGE"), uri=f"sip:bob@{host}")
    assert wire.bob.arrived == []
    assert wire.caller.statuses == [400]


@pytest.mark.rfc("PAR-21")
def test_what_we_do_not_know_or_need_is_passed(wire: Wire) -> None:
    odd = ["Date: yesterday", "Warning: odd", "Unknown-Thing: <<<", 'Accept: "']
    wire.give([*wire.rows("MESSAGE"), *odd])
    assert wire.arrived().method == "MESSAGE"
    lines = wire.bob.raw[-1].decode().split("\r\n")
    assert [line for line in lines if line in odd] == odd


@pytest.mark.rfc("PAR-22")
@pytest.mark.parametrize(
    "via",
    [
        "SIP / 2.0 / UDP 192.0.2.66:5060;branch=z9hG4bKlws",
        "SIP/2.0/UDP 192.0.2.66 : 5060 ; branch = z9hG4bKlws",
        "SIP/2.0/UDP  192.0.2.66:5060;ttl=1;branch=z9hG4bKlws;unknown;x=y",
        "SIP/2.0/UDP 192.0.2.66;rport;branch=z9hG4bKlws",
    ],
)
def test_a_via_is_read_however_it_is_spaced(wire: Wire, via: str) -> None:
    wire.give(wire.rows("MESSAGE", Via=via))
    wire.bob.answer(wire.arrived(), 200)
    wire.world.run(0.1)
    assert [r.branch for r in wire.caller.responses] == ["z9hG4bKlws"]


@pytest.mark.rfc("PAR-23")
def test_the_cookie_alone_is_no_branch(wire: Wire) -> None:
    for call in ("one", "two"):
        via = "SIP/2.0/UDP 192.0.2.66:5060;branch=z9hG4bK"
        wire.give(wire.rows("MESSAGE", Via=via, Call_ID=call))
    assert len(wire.bob.requests()) == 2  # matched as RFC 2543 had it


@pytest.mark.rfc("PAR-24")
@pytest.mark.parametrize("hops", ["256", "300", "4294967296", "99999999999999"])
def test_too_many_hops_are_taken_for_none_given(wire: Wire, hops: str) -> None:
    wire.give(wire.rows("MESSAGE", Max_Forwards=hops))
    assert wire.arrived().max_forwards == 70


@pytest.mark.rfc("PAR-24")
def test_an_overlarge_expires_is_the_default(size: Size) -> None:
    world = World(1, size, ["anna"], policy=RegistrarPolicy(spread_part=0))
    phone = Phone(world, "anna", ("10.1.0.1", 5060))
    request = phone.build("REGISTER", f"sip:{DOMAIN}")
    request.set("To", f"<sip:anna@{DOMAIN}>")
    request.set("Expires", "99999999999")
    done = phone.start(request, world.nodes[0].address)
    world.run(1)
    assert done.status == 200
    [contact] = done.responses[-1].contacts
    assert contact.params["expires"] == "7200"  # the longest that is granted


@pytest.mark.rfc("PAR-25")
@pytest.mark.parametrize("contact", ["*, <sip:anna@10.1.0.1>", "<sip:anna@10.1.0.1>, *", "*"])
def test_a_star_in_a_register_stands_alone_and_removes(size: Size, contact: str) -> None:
    world = new_world(size)
    phone = Phone(world, "anna", ("10.1.0.1", 5060))
    assert phone.register() is not None
    world.run(1)
    done = phone.register(contact=contact)  # for 600 s
    world.run(1)
    assert done.status == 400
    assert [c.uri_text for c in listed(phone)] == [phone.contact]


@pytest.mark.rfc("PAR-25")
@pytest.mark.parametrize(
    ("q", "first"),
    [("0.9", False), ("0.999", False), ("0.1", False), ("1.0", True), ("1", True)]
    + [(odd, True) for odd in ("1.001", "2", "0.1234", "-1", "high", "0,5")],
)
def test_a_q_is_0_to_1_with_three_decimals_and_what_is_none_is_not_given(
    size: Size, q: str, first: bool
) -> None:
    """The other contact gives none, which is 1: both ring at once where this one's is 1 too."""
    world = new_world(size)
    phone = Phone(world, "bob", ("10.1.0.2", 5060))
    phone.rport = ""
    contacts = ("<sip:bob@10.1.0.2:5070>", f"<sip:bob@10.1.0.2:5071>;q={q}")
    peers = [Peer(world, ("10.1.0.2", port)) for port in (5070, 5071)]
    statuses = []
    for contact in contacts:
        outgoing = phone.register(contact=contact)
        world.run(1)
        statuses.append(outgoing.status)
    if "," in q:
        assert statuses[1] == 400
        return
    assert statuses == [200, 200]
    caller = Peer(world, HOST)
    caller.send(caller.build("INVITE", BOB))
    world.run(0.3)
    assert [len(peer.requests("INVITE")) for peer in peers] == [1, int(first)]


def listed(phone: Phone) -> list[NameAddr]:
    """The contacts that the registrar holds."""
    query = phone.build("REGISTER", f"sip:{DOMAIN}")
    query.set("To", f"<sip:{phone.name}@{DOMAIN}>")
    query.remove("Contact")
    done = phone.start(query, phone.world.nodes[0].address)
    phone.world.run(1)
    assert done.status == 200
    return list(done.responses[-1].contacts)


@pytest.mark.rfc("PAR-25")
def test_a_star_is_no_contact_of_a_call(wire: Wire) -> None:
    wire.give(
        wire.rows("INVITE", Contact="*", Content_Type="application/sdp"), method="INVITE",
        uri=f"sip:echo@{DOMAIN}", body=b"v=0\r\n",
    )
    assert wire.caller.statuses == [400]


@pytest.mark.rfc("PAR-27")
@pytest.mark.parametrize(
    ("changed", "uri", "status", "reason"),
    [
        ({"To": "<sip:bob"}, BOB, 400, "'<' never closed"),
        ({}, f"sip:{'b' * 3000}@{DOMAIN}", 414, "request_uri_length is 2048, got 3019"),
        ({"Subject": "x" * 9_000}, BOB, 513, "line_length is 8192, got 9009"),
    ],
)
def test_an_error_says_what_is_wrong(
    wire: Wire, changed: dict[str, str], uri: str, status: int, reason: str
) -> None:
    wire.give(wire.rows("MESSAGE", **changed), uri=uri)
    wire.refused(status)
    assert wire.caller.reasons == [reason]


@pytest.mark.rfc("PAR-28")
def test_an_error_copies_what_the_request_was_told_by(wire: Wire) -> None:
    below = "SIP/2.0/UDP 10.9.9.9;branch=z9hG4bKbelow"
    rows = wire.rows("MESSAGE", CSeq="1 OPTIONS")
    wire.give([rows[0], f"Via: {below}", *rows[1:]])
    wire.refused(400)
    lines = wire.caller.arrived[0].decode().split("\r\n")
    assert [line for line in lines if line.startswith("Via:")][1] == f"Via: {below}"
    assert [line for line in lines if line in rows] == [rows[i] for i in (0, 1, 3, 4)]
    assert any(line.startswith(f"{rows[2]};tag=") for line in lines)


@pytest.mark.rfc("PAR-28")
def test_a_100_has_no_tag_of_ours(wire: Wire) -> None:
    rows = wire.rows("INVITE")
    wire.give(rows, method="INVITE")
    wire.world.run(0.2)  # bob says nothing
    assert wire.caller.statuses == [100]
    lines = wire.caller.arrived[0].decode().split("\r\n")
    assert [line for line in lines if line in rows[:5]] == rows[:5]
    # Nor has anybody's, whatever is asked for; what rings is somebody.
    request = parse_message("\r\n".join([f"INVITE {BOB} SIP/2.0", *rows, "", ""]).encode())
    assert isinstance(request, Request)
    assert [request.respond(status, to_tag="t").to_tag for status in (100, 180)] == ["", "t"]
