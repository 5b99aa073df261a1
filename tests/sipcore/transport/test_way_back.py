"""Where a request came from, as whoever reads its topmost Via afterwards sees it."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sipcore.errors import MalformedMessage
from sipcore.message import Request, Via, parse_message, parse_via
from sipcore.transport.flow import Flow
from sipcore.transport.way_back import response_flow, stamp_source

SOURCE = ("192.0.2.7", 4321)
FLOW = Flow("UDP", ("10.0.0.1", 5060), SOURCE)

hosts = st.sampled_from(["192.0.2.7", "10.0.0.9", "phone", "PHONE.example", "phone.", "_p", "[::1]"])
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
vias = st.builds("SIP/2.0/{}{}{}{}{}".format, st.sampled_from(["UDP", "udp"]), blanks, hosts, ports, params)


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
