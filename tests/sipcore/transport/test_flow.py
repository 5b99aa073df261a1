"""Flows, and what they are in the bytes of a token."""

from __future__ import annotations

import pytest

from sipcore.transport.flow import Address, Flow, bracketed, is_address
from sipcore.transport.packed import pack_flow, unpack_flow

V4, V6 = ("10.0.0.1", 5060), ("2001:db8::1", 5061)


@pytest.mark.parametrize(
    ("transport", "reliable", "secure"),
    [
        ("UDP", False, False),
        ("TCP", True, False),
        ("TLS", True, True),
        ("WS", True, False),
        ("WSS", True, True),
    ],
)
def test_what_a_transport_promises(transport: str, reliable: bool, secure: bool) -> None:
    flow = Flow(transport, V4, V6)
    assert (flow.reliable, flow.secure) == (reliable, secure)
    assert (flow.connection, flow.peer) == (0, "")


@pytest.mark.parametrize(
    ("host", "is_one"),
    [
        ("10.0.0.1", True),
        ("255.255.255.255", True),
        ("2001:db8::1", True),
        ("::ffff:10.0.0.1", True),
        # What a socket would take for a short form, or ask the DNS for.
        ("127.1", False),
        ("1.2.3.4.5", False),
        ("010.0.0.1", False),
        ("0x7f.0.0.1", False),
        ("2130706433", False),
        ("fe80::1%eth0", False),  # means something on one machine alone
        ("[2001:db8::1]", False),
        ("campus.example", False),
        ("", False),
    ],
)
def test_what_an_address_is(host: str, is_one: bool) -> None:
    assert is_address(host) is is_one


@pytest.mark.parametrize(
    ("host", "written"),
    [("10.0.0.1", "10.0.0.1"), ("::1", "[::1]"), ("campus.example", "campus.example")],
)
def test_how_a_host_is_written_in_a_uri(host: str, written: str) -> None:
    assert bracketed(host) == written


@pytest.mark.parametrize("transport", ["UDP", "TCP", "TLS", "WS", "WSS"])
@pytest.mark.parametrize("peer", ["", "a", "elsewhere.example", "n" * 253])
@pytest.mark.parametrize("remote", [V4, V6, ("0.0.0.0", 0), ("ff02::1", 65535)])  # noqa: S104
@pytest.mark.parametrize("connection", [0, 1, 0xFFFF_FFFF])
def test_a_flow_comes_out_of_its_bytes_as_it_went_in(
    transport: str, remote: Address, connection: int, peer: str
) -> None:
    flow = Flow(transport, V4, remote, connection, peer)
    packed = pack_flow(flow)
    assert unpack_flow(b"before" + packed + b"behind", 6) == (flow, 6 + len(packed))


@pytest.mark.parametrize(
    ("flow", "packed"),
    [
        (Flow("UDP", V4, ("203.0.113.9", 1)), "00 04 0a000001 13c4 04 cb007109 0001 00000000"),
        (Flow("TCP", V4, ("203.0.113.9", 1), 7), "01 04 0a000001 13c4 04 cb007109 0001 00000007"),
        (
            Flow("TLS", V6, ("203.0.113.9", 1), 7, "a.b"),
            "82 10 20010db8 00000000 00000000 00000001 13c5 04 cb007109 0001 00000007 03 612e62",
        ),
        (Flow("WSS", V4, V4), "04 04 0a000001 13c4 04 0a000001 13c4 00000000"),
    ],
    ids=["UDP", "TCP", "TLS", "WSS"],
)
def test_the_bytes_of_a_flow(flow: Flow, packed: str) -> None:
    """Tokens outlive a restart, and so must their bytes."""
    assert pack_flow(flow) == bytes.fromhex(packed)


def test_an_unknown_transport_has_no_bytes() -> None:
    with pytest.raises(ValueError, match="not in tuple"):
        pack_flow(Flow("SCTP", V4, V4))


@pytest.mark.parametrize("cut", range(1, 19))
def test_bytes_that_end_too_early_are_no_flow(cut: int) -> None:
    whole = pack_flow(Flow("UDP", V4, V4))
    assert len(whole) == 19
    try:
        _, end = unpack_flow(whole[:cut], 0)
    except (IndexError, ValueError):
        return
    assert end > cut  # whoever reads on sees that there was too little
