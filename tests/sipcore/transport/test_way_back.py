"""Where a request came from, as whoever reads its topmost Via afterwards sees it."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sipcore.errors import MalformedMessage
from sipcore.message import Request, Via, parse_message, parse_via
from sipcore.transport.flow import Flow
from sipcore.transport.way_back import response_flow, stamp_source, via_value

SOURCE = ("192.0.2.7", 4321)
FLOW = Flow("UDP", ("10.0.0.1", 5060), SOURCE)

hosts = st.sampled_from(
    ["192.0.2.7", "10.0.0.9", "phone", "PHONE.example", "phone.", "_p", "[::1]"]
)
ports = st.sampled_from(["", ":5060", " : 5070", ":"])
blanks = st.sampled_from([" ", "  ", "\t", "\t "])
params = st.lists(
    st.sampled_from(
        (
            *(";branch=z9hG4bKx", ";rport", ";RPORT", "; rport ", ";rport=9"),
            *(";received=203.0.113.9", ";received=192.0.2.7", ";received=[::1]"),
            *(';x="a;b,c"', ";x=<y>", ";lone", ";"),
        )
    ),
    max_size=4,
).map("".join)
vias = st.builds(
    "SIP/2.0/{}{}{}{}{}".format, st.sampled_from(["UDP", "udp"]), blanks, hosts, ports, params
)


def request_with(via: str) -> Request:
    wire = (
        f"OPTIONS sip:h SIP/2.0\r\nVia: {via}\r\nVia: SIP/2.0/UDP before:1;branch=2\r\n"
        "From: <sip:a@h>;tag=1\r\nTo: <sip:h>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n\r\n"
    )
    message = parse_message(wire.encode())
    assert isinstance(message, Request)
    return message


def parts(via: Via) -> tuple[object, ...]:
    return via.transport, via.host, via.port, via.branch, via.received, via.rport


@given(vias, st.sampled_from(["", ", SIP/2.0/TCP other:5060;branch=3"]))
def test_the_via_of_a_response_reads_as_the_one_that_was_stamped(via: str, more: str) -> None:
    try:
        request = request_with(via + more)
        asked = request.via.rport
    except MalformedMessage:
        return
    count = len(request.values("via"))
    assume(via.lower().count("rport") < 2)  # of two the first counts, and it is the other's fault
    stamp_source(request, FLOW)
    again = parse_message(request.respond(200, to_tag="t").to_bytes())
    assert parts(again.via) == parts(request.via)
    assert len(again.values("via")) == count
    assert again.via.received == SOURCE[0] or again.via.host == SOURCE[0]
    assert again.via.rport == (str(SOURCE[1]) if asked == "" else asked)
    assert response_flow(request, FLOW).remote[0] == SOURCE[0]


@pytest.mark.parametrize("rport", ["", ";rport"])
def test_what_a_peer_says_of_its_own_address_is_replaced(rport: str) -> None:
    request = request_with(f"SIP/2.0/UDP phone:22;received=203.0.113.9;branch=z9hG4bKx{rport}")
    stamp_source(request, FLOW)
    [row, _] = request.rows("via")
    assert row.count("received=") == 1
    assert parse_via(row).received == SOURCE[0]


@given(vias)
def test_blanks_change_nothing_of_a_via(via: str) -> None:
    spaced = via.replace(":", " : ").replace(";", " ; ").replace("SIP/2.0/", "SIP / 2.0 / ")
    assume("[" not in via and '"' not in via and via[-1] != ";")
    try:
        expected = parts(parse_via(spaced))
    except MalformedMessage:
        expected = ()
    try:
        got = parts(parse_via(via))
    except MalformedMessage:
        got = ()
    assert got == expected


@pytest.mark.parametrize(
    ("maddr", "source", "counts"),
    [
        ("192.0.2.200", "192.0.2.7", True),
        ("192.0.3.7", "192.0.2.7", False),
        ("192.0.2.0", "192.0.2.7", False),
        ("192.0.2.255", "192.0.2.7", False),
        ("224.0.0.5", "224.0.0.7", False),
        ("neighbour.example", "192.0.2.7", False),
        ("192.0.2", "192.0.2.7", False),
        ("", "192.0.2.7", False),
        ("[2001:db8::9]", "2001:db8::7", True),
        ("[2001:db8:0:1::9]", "2001:db8::7", False),
        ("[ff02::1]", "ff02::7", False),
        ("[2001:db8::9]", "192.0.2.7", False),
        # An IPv4 socket sends to no IPv6 address, however it is written.
        ("[::ffff:192.0.2.9]", "192.0.2.7", False),
        ("192.0.2.9", "::ffff:192.0.2.7", False),
    ],
)
def test_a_maddr_counts_within_the_network_of_the_sender(
    maddr: str, source: str, counts: bool
) -> None:
    request = request_with(f"SIP/2.0/UDP phone;branch=z9hG4bK1;maddr={maddr}")
    flow = Flow("UDP", ("10.0.0.1", 5060), (source, 4321))
    back = response_flow(request, flow).remote[0]
    assert back == (maddr.strip("[]") if counts else source)


# --- row by row ------------------------------------------------------------------------------------
@pytest.mark.section("3261 18.2.1", "3581 4")
@pytest.mark.parametrize(
    ("via", "stamped"),
    [
        # sent-by is where it came from: nothing is added without rport.
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.7:5070;branch=z9hG4bKx", "192.0.2.7:5070;branch=z9hG4bKx"),
        ("10.0.0.9", "10.0.0.9;received=192.0.2.7"),
        ("phone.example;branch=z9hG4bKx", "phone.example;branch=z9hG4bKx;received=192.0.2.7"),
        # rport without a value is filled, and received always comes with it.
        ("192.0.2.7;rport", "192.0.2.7;received=192.0.2.7;rport=4321"),
        ("10.0.0.9;rport;x=1", "10.0.0.9;received=192.0.2.7;rport=4321;x=1"),
        ("10.0.0.9;RPORT", "10.0.0.9;received=192.0.2.7;rport=4321"),
        ("10.0.0.9; rport =;x", "10.0.0.9;received=192.0.2.7;rport=4321;x"),
        ("10.0.0.9;x=rport;rport", "10.0.0.9;x=rport;received=192.0.2.7;rport=4321"),
        ("rport;rport", "rport;received=192.0.2.7;rport=4321"),
        ("rport;rport;x=1", "rport;received=192.0.2.7;rport=4321;x=1"),
        ("10.0.0.9;received=192.0.2.7;rport", "10.0.0.9;received=192.0.2.7;rport=4321"),
        ("10.0.0.9;rport=9", "10.0.0.9;rport=9;received=192.0.2.7"),
        # What the sender says of its address itself.
        ("10.0.0.9;received=192.0.2.7", "10.0.0.9;received=192.0.2.7"),
        ("10.0.0.9;received=1.2.3.4", "10.0.0.9;received=192.0.2.7"),
        ("192.0.2.7;received=1.2.3.4", "192.0.2.7;received=192.0.2.7"),
    ],
)
def test_where_it_came_from_is_written_into_the_via(via: str, stamped: str) -> None:
    request = request_with(f"SIP/2.0/UDP {via}")
    stamp_source(request, FLOW)
    assert request.values("via") == [f"SIP/2.0/UDP {stamped}", "SIP/2.0/UDP before:1;branch=2"]
    unstamped = f"SIP/2.0/UDP {via}"
    for claimed in (";received=1.2.3.4", ";received=192.0.2.7"):  # which none but we may say
        unstamped = unstamped.replace(claimed, "")
    assert request.unstamped_via == ("" if via == stamped else unstamped)


def test_only_the_topmost_of_two_values_in_a_row_is_stamped() -> None:
    request = request_with("SIP/2.0/UDP 10.0.0.9;rport, SIP/2.0/UDP 10.0.0.8;rport")
    stamp_source(request, FLOW)
    assert request.values("via")[:2] == [
        "SIP/2.0/UDP 10.0.0.9;received=192.0.2.7;rport=4321",
        "SIP/2.0/UDP 10.0.0.8;rport",
    ]


@pytest.mark.parametrize(
    ("via", "stamped"),
    [
        ("[2001:db8::7]", "[2001:db8::7]"),
        ("[2001:db8::8]", "[2001:db8::8];received=2001:db8::7"),
        ("[2001:db8::7];rport", "[2001:db8::7];received=2001:db8::7;rport=4321"),
    ],
)
def test_an_ipv6_source_is_written_without_brackets(via: str, stamped: str) -> None:
    request = request_with(f"SIP/2.0/UDP {via}")
    stamp_source(request, Flow("UDP", ("2001:db8::1", 5060), ("2001:db8::7", 4321)))
    assert request.values("via")[0] == f"SIP/2.0/UDP {stamped}"


@pytest.mark.section("3261 18.2.2", "3581 4")
@pytest.mark.parametrize(
    ("transport", "via", "remote"),
    [
        ("UDP", "192.0.2.7;rport", SOURCE),
        ("UDP", "192.0.2.7", ("192.0.2.7", 5060)),
        ("UDP", "192.0.2.7:4321", SOURCE),
        ("UDP", "192.0.2.7:5070", ("192.0.2.7", 5070)),
        # Behind a NAT its port is of use to nobody else.
        ("UDP", "10.0.0.9:5070", SOURCE),
        ("UDP", "[2001:db8::7]:5070", SOURCE),
        ("UDP", "laptop.local:5070", SOURCE),
        ("UDP", "phone-7", SOURCE),
        ("UDP", "192.0.2.8", SOURCE),
        ("UDP", "phone.example", ("192.0.2.7", 5060)),
        # A maddr of the sender's own network, and no other.
        ("UDP", "192.0.2.7;maddr=192.0.2.200", ("192.0.2.200", 5060)),
        ("UDP", "192.0.2.7:5070;maddr=192.0.2.200", ("192.0.2.200", 5070)),
        ("UDP", "192.0.2.7:4321;maddr=192.0.2.200", ("192.0.2.200", 4321)),
        ("UDP", "192.0.2.7;maddr=192.0.3.1", ("192.0.2.7", 5060)),
        ("UDP", "192.0.2.7;maddr=192.0.2.255", ("192.0.2.7", 5060)),
        ("UDP", "192.0.2.7;maddr=192.0.2.0", ("192.0.2.7", 5060)),
        ("UDP", "192.0.2.7;maddr=224.0.1.75", ("192.0.2.7", 5060)),
        ("UDP", "192.0.2.7;maddr=[2001:db8::1]", ("192.0.2.7", 5060)),
        ("UDP", "192.0.2.7;maddr=[::1]", ("192.0.2.7", 5060)),
        ("UDP", "192.0.2.7;maddr=phone.example", ("192.0.2.7", 5060)),
        ("UDP", "192.0.2.7;maddr", ("192.0.2.7", 5060)),
        ("UDP", "192.0.2.7;rport;maddr=192.0.2.200", SOURCE),
        # A stream answers on its own connection.
        ("TCP", "10.0.0.9:5070", SOURCE),
        ("TLS", "192.0.2.7;maddr=192.0.2.200", SOURCE),
    ],
)
def test_where_a_response_goes(transport: str, via: str, remote: tuple[str, int]) -> None:
    flow = FLOW._replace(transport=transport, connection=int(transport != "UDP"))
    request = request_with(f"SIP/2.0/{transport} {via}")
    stamp_source(request, flow)
    assert response_flow(request, flow) == flow._replace(remote=remote)


@pytest.mark.parametrize(
    ("maddr", "host"),
    [
        ("[2001:db8::2]", "2001:db8::2"),
        ("[2001:db8::1:0:0:ff]", "2001:db8::1:0:0:ff"),  # no broadcast is there in IPv6
        ("[2001:db8::1:0:0:0]", "2001:db8::1:0:0:0"),
        ("[2001:db8:0:1::2]", "2001:db8::7"),
        ("[ff02::1]", "2001:db8::7"),
    ],
)
def test_the_network_of_an_ipv6_sender(maddr: str, host: str) -> None:
    flow = Flow("UDP", ("2001:db8::1", 5060), ("2001:db8::7", 4321))
    request = request_with(f"SIP/2.0/UDP [2001:db8::7];maddr={maddr}")
    assert response_flow(request, flow).remote == (host, 5060)


@pytest.mark.parametrize(
    ("row", "value"),
    [
        ("SIP/2.0/UDP a;x", "SIP/2.0/UDP a;x"),
        ("SIP/2.0/UDP a;x, SIP/2.0/TCP b", "SIP/2.0/UDP a;x"),
        ('SIP/2.0/UDP a;x="1,2", SIP/2.0/TCP b', 'SIP/2.0/UDP a;x="1,2"'),
    ],
)
def test_the_topmost_via_as_it_is_written(row: str, value: str) -> None:
    assert via_value(request_with(row)) == value
