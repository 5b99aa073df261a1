"""Our Record-Route, and whose flow must be in its token."""

from __future__ import annotations

from random import Random
from typing import Final

import pytest

from sipcore.apps.campus import CampusService
from sipcore.apps.campus.record_route import (
    flow_behind_contact,
    is_sips_route,
    record_route_value,
    route_head,
)
from sipcore.bindings import BindingTable
from sipcore.directory import Directory
from sipcore.node.config import Listener, WorkerConfig
from sipcore.node.worker import Worker
from sipcore.transport.flow import Address, Flow
from tests.sipcore.examples import a_request, in_words

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


def a_worker() -> Worker:
    config = WorkerConfig("node", (b"k" * 32,), LISTENERS)
    return Worker(config, Directory(), BindingTable(), Random(1), CampusService)


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
    made = record_route_value(a_worker(), incoming, outgoing, "T", secure, leaves_secure)
    assert made == ", ".join(value)


@pytest.mark.parametrize(
    ("transport", "address", "secure", "head"),
    [
        ("UDP", ("10.0.0.1", 5060), False, "<sip:10.0.0.1:5060;lr;ct="),
        ("TCP", ("10.0.0.1", 5060), False, "<sip:10.0.0.1:5060;transport=tcp;lr;ct="),
        ("TLS", ("10.0.0.1", 5061), False, "<sip:10.0.0.1:5061;transport=tls;lr;ct="),
        ("TLS", ("10.0.0.1", 5061), True, "<sips:10.0.0.1:5061;lr;ct="),
        ("UDP", ("2001:db8::1", 5060), False, "<sip:[2001:db8::1]:5060;lr;ct="),
        ("TLS", ("2001:db8::1", 5061), True, "<sips:[2001:db8::1]:5061;lr;ct="),
    ],
)
def test_what_stands_before_the_token(
    transport: str, address: Address, secure: bool, head: str
) -> None:
    assert route_head(transport, address, secure) == head


AT_SOURCE: Final = "Contact: <sip:anna@203.0.113.9:4711>"
ELSEWHERE: Final = "Contact: <sip:anna@192.168.1.2:4711>"
PROXIED: Final = (
    "Via: SIP/2.0/UDP edge.example;branch=z9hG4bK1, SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK2"
)


@pytest.mark.parametrize(
    ("flow", "rows", "needed"),
    [
        (UDP, [AT_SOURCE], False),
        (UDP, ["Contact: <sip:anna@203.0.113.9:9>"], False),  # another port of the same host
        (UDP, [AT_SOURCE, ELSEWHERE], False),  # the first counts
        # Behind a NAT.
        (UDP, [ELSEWHERE], True),
        (UDP, ["Contact: <sip:anna@phone.example>"], True),
        (UDP, [], True),
        # Another proxy is in between: its Record-Route leads back.
        (UDP, [PROXIED, ELSEWHERE], False),
        (UDP, [PROXIED], False),
        # A stream that the sender opened.
        (TCP, [AT_SOURCE], True),
        (TLS, [AT_SOURCE], True),
        (TCP, [PROXIED, ELSEWHERE], True),
        # IPv6: a URI has brackets, a source none.
        (UDP_6, ["Contact: <sip:anna@[2001:db8::9]:1>"], False),
        (UDP_6, ["Contact: <sip:anna@[2001:db8::8]:1>"], True),
    ],
    ids=in_words,
)
def test_a_sender_that_its_contact_does_not_lead_to(
    flow: Flow, rows: list[str], needed: bool
) -> None:
    assert flow_behind_contact(a_request(*rows), flow) == (flow if needed else None)


def test_a_request_of_our_own_comes_by_no_flow() -> None:
    request = a_request(ELSEWHERE)
    request.remove("Via")
    assert flow_behind_contact(request, UDP) is None


@pytest.mark.parametrize(
    ("value", "secure"),
    [
        ("<sips:edge.example;lr>", True),
        ("<SIPS:edge.example;lr>", True),
        ('"sips:" <sip:edge.example;lr>', False),
        ("<sip:edge.example;transport=tls;lr>", False),
    ],
)
def test_a_route_that_is_a_sips_uri(value: str, secure: bool) -> None:
    assert is_sips_route(value) is secure
