"""What our own Route values are, for each of our sockets."""

from __future__ import annotations

from typing import Final

import pytest

from sipcore.directory import Directory
from sipcore.transport.flow import Flow
from sipcore.transport.own_addresses import Listener, OwnAddresses

SOURCE: Final = ("203.0.113.9", 4711)
INSIDE: Final = ("10.0.0.1", 5060)
SECOND: Final = ("10.0.0.1", 5080)
V6: Final = ("2001:db8::1", 5060)
SECURE: Final = ("10.0.0.1", 5061)
OUTSIDE: Final = "198.51.100.1"
LISTENERS: Final = (
    Listener("UDP", INSIDE, (OUTSIDE, 5060)),
    Listener("UDP", SECOND, (OUTSIDE, 5080)),
    Listener("UDP", V6, V6),
    Listener("TCP", INSIDE, (OUTSIDE, 5060)),
    Listener("TLS", SECURE, ("sip.campus.example", 5061)),
)
OWN: Final = OwnAddresses(LISTENERS, frozenset(), Directory())

UDP: Final = Flow("UDP", INSIDE, SOURCE)
UDP_2: Final = Flow("UDP", SECOND, SOURCE)
UDP_6: Final = Flow("UDP", V6, ("2001:db8::9", 4711))
TCP: Final = Flow("TCP", INSIDE, SOURCE, 7)
TLS: Final = Flow("TLS", SECURE, SOURCE, 8)
ON_UDP: Final = "<sip:198.51.100.1:5060;lr;ct=T>"
ON_UDP_2: Final = "<sip:198.51.100.1:5080;lr;ct=T>"
ON_UDP_6: Final = "<sip:[2001:db8::1]:5060;lr;ct=T>"
ON_TCP: Final = "<sip:198.51.100.1:5060;transport=tcp;lr;ct=T>"
ON_TLS: Final = "<sip:sip.campus.example:5061;transport=tls;lr;ct=T>"
SIPS: Final = "<sips:sip.campus.example:5061;lr;ct=T>"


@pytest.mark.section("3261 16.6", "5658", "5630 5.3")
@pytest.mark.parametrize(
    ("incoming", "outgoing", "secure", "leaves_secure", "value"),
    [
        (UDP, UDP, False, False, [ON_UDP]),
        (UDP, UDP._replace(remote=("192.0.2.2", 5060)), False, False, [ON_UDP]),
        (TCP, TCP._replace(connection=9), False, False, [ON_TCP]),
        (UDP_6, UDP_6, False, False, [ON_UDP_6]),
        (TLS, TLS, False, False, [ON_TLS]),
        # Two where transport or socket changes: the outer one is on top.
        (UDP, TCP, False, False, [ON_TCP, ON_UDP]),
        (TCP, UDP, False, False, [ON_UDP, ON_TCP]),
        (UDP, UDP_2, False, False, [ON_UDP_2, ON_UDP]),
        (UDP_6, UDP, False, False, [ON_UDP, ON_UDP_6]),
        (UDP, TLS, False, False, [ON_TLS, ON_UDP]),
        # And where the scheme does.
        (TLS, TLS, True, True, [SIPS]),
        (TLS, TLS, False, True, [SIPS, ON_TLS]),
        (TLS, TLS, True, False, [ON_TLS, SIPS]),
        (UDP, TLS, False, True, [SIPS, ON_UDP]),
    ],
)
def test_our_record_route(
    incoming: Flow, outgoing: Flow, secure: bool, leaves_secure: bool, value: list[str]
) -> None:
    made = OWN.record_routes(
        incoming, outgoing, parameters=";ct=T", secure=secure, leaves_secure=leaves_secure
    )
    assert made == ", ".join(value)


def test_all_our_route_values_begin_with_one_of_the_usual_ones() -> None:
    assert OWN.usual_routes(";ct=") == (
        "<sip:198.51.100.1:5060;lr;ct=",
        "<sip:198.51.100.1:5080;lr;ct=",
        "<sip:[2001:db8::1]:5060;lr;ct=",
        "<sip:198.51.100.1:5060;transport=tcp;lr;ct=",
        "<sip:sip.campus.example:5061;transport=tls;lr;ct=",
        "<sips:sip.campus.example:5061;lr;ct=",
    )
    for flow in (UDP, UDP_2, UDP_6, TCP, TLS):
        for secure in (False, flow is TLS):
            value = OWN.route_value(flow, "", ";ct=T", secure)
            assert value.removesuffix("T>") in OWN.usual_routes(";ct=")


@pytest.mark.parametrize(
    ("flow", "secure", "value"),
    [
        (UDP, False, "<sip:flow@198.51.100.1:5060;lr;ob>"),
        (UDP_6, False, "<sip:flow@[2001:db8::1]:5060;lr;ob>"),
        (TCP, False, "<sip:flow@198.51.100.1:5060;transport=tcp;lr;ob>"),
        (TLS, True, "<sips:flow@sip.campus.example:5061;lr;ob>"),
    ],
)
def test_a_route_value_with_a_user(flow: Flow, secure: bool, value: str) -> None:
    assert OWN.route_value(flow, "flow", ";ob", secure) == value
