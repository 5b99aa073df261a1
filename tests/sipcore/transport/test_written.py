"""Whether what a phone writes as its address is of use: rows of (written, source, answer)."""

from __future__ import annotations

import pytest

from sipcore.message import parse_uri
from sipcore.transport.flow import Flow
from sipcore.transport.written import is_mapped, is_of_use

PHONE = Flow("UDP", ("10.0.0.1", 5060), ("203.0.113.9", 40_000))


@pytest.mark.parametrize(
    ("host", "source", "is_so"),
    [
        ("203.0.113.9", "203.0.113.9", True),
        ("198.51.100.7", "203.0.113.9", True),  # everybody's: it may have moved there
        ("192.168.1.4", "203.0.113.9", False),
        ("192.168.1.4", "192.168.7.9", True),  # a campus of private addresses
        ("192.168.1.4", "10.2.3.4", False),
        ("100.64.0.9", "203.0.113.9", False),
        ("127.0.0.1", "203.0.113.9", False),
        ("0.0.0.0", "203.0.113.9", False),  # noqa: S104
        ("224.0.0.1", "203.0.113.9", False),
        ("[fd00::1]", "2001:db8::9", False),
        ("[2001:db8::9]", "2001:db8::9", True),
        ("phone.campus.example", "203.0.113.9", True),
        ("laptop.local", "203.0.113.9", False),
        ("LAPTOP.Local.", "203.0.113.9", False),
        ("DESKTOP-4711", "203.0.113.9", False),
        ("localhost", "203.0.113.9", False),
        ("x7.invalid", "203.0.113.9", False),
    ],
)
def test_an_address_is_of_use_or_not(host: str, source: str, is_so: bool) -> None:
    assert is_of_use(host, source) is is_so


@pytest.mark.parametrize(
    ("contact", "is_so"),
    [
        ("sip:anna@203.0.113.9:55787", True),
        ("sip:anna@203.0.113.9", True),
        ("sip:anna@203.0.113.9:40000", False),
        ("sip:anna@203.0.113.9:55787;transport=udp", True),
        ("sip:anna@203.0.113.9:55787;transport=TCP", False),
        ("sips:anna@203.0.113.9:55787", False),
        ("sip:anna@192.168.1.4:55787", False),
    ],
)
def test_the_port_of_another_mapping_is_seen(contact: str, is_so: bool) -> None:
    assert is_mapped(parse_uri(contact), PHONE) is is_so
