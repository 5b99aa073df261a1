"""Into which networks connections are opened."""

from __future__ import annotations

import pytest

from sipcore.transport.flow import Flow
from sipcore.transport.reach import Reach, leads_nowhere


def leads_to(remote: str, local: str = "198.51.100.1") -> Flow:
    return Flow("TCP", (local, 5060), (remote, 6379))


@pytest.mark.parametrize("remote", ["9.9.9.9", "2620:fe::fe", "::ffff:9.9.9.9", "64:ff9b::9.9.9.9"])
def test_what_is_everybodys_is_reached(remote: str) -> None:
    assert Reach().includes(leads_to(remote))


@pytest.mark.parametrize(
    "remote",
    [
        *("127.0.0.1", "127.9.9.9", "::1", "0.0.0.0", "::", "169.254.169.254", "fe80::1"),  # noqa: S104
        *("10.0.0.1", "172.18.0.3", "192.168.1.1", "100.64.0.1", "fd00::1", "255.255.255.255"),
        *("::ffff:10.0.0.1", "::ffff:127.0.0.1", "2002:0a00:0001::1", "224.0.0.1", "ff0e::1"),
        # As a network would write them that speaks IPv4 behind IPv6, and what was private once.
        *("64:ff9b::10.0.0.5", "::ffff:0:10.0.0.5", "::10.0.0.5", "::127.0.0.1", "fec0::1"),
    ],
)
def test_what_is_ours_or_nobodys_is_not(remote: str) -> None:
    assert not Reach().includes(leads_to(remote))


def test_networks_that_were_named_are() -> None:
    reach = Reach(["10.1.0.0/16", "192.168.7.2", "fd00::/64"])
    for remote in ("10.1.2.3", "192.168.7.2", "fd00::9", "::ffff:10.1.2.3"):
        assert reach.includes(leads_to(remote))
    for remote in ("10.2.0.1", "192.168.7.3", "fd00:0:0:1::9", "127.0.0.1"):
        assert not reach.includes(leads_to(remote))


def test_who_serves_this_machine_alone_reaches_it() -> None:
    assert Reach().includes(leads_to("127.0.0.1", "127.0.0.1"))
    assert Reach().includes(leads_to("::1", "::1"))
    assert not Reach().includes(leads_to("10.0.0.1", "127.0.0.1"))


def test_of_our_own_address_only_our_own_port_is_reached() -> None:
    ours = ("9.9.9.1", 5060)
    assert Reach().includes(Flow("TCP", ours, ours))
    assert not Reach().includes(Flow("TCP", ours, ("9.9.9.1", 6379)))
    assert Reach().includes(Flow("TCP", ours, ("9.9.9.2", 6379)))


@pytest.mark.parametrize("remote", ["9.9.9.1", "::ffff:9.9.9.1"])
def test_under_a_wildcard_address_the_connection_itself_shows_it(remote: str) -> None:
    anywhere = ("0.0.0.0", 5060)  # noqa: S104
    other = Flow("TCP", anywhere, (remote, 6379))
    assert Reach().includes(other)
    assert not Reach().may_keep(other, ("9.9.9.1", 40000))
    assert Reach().may_keep(other, ("9.9.9.3", 40000))
    assert Reach().may_keep(Flow("TCP", anywhere, (remote, 5060)), ("9.9.9.1", 40000))


def test_a_connection_on_the_loopback_may_be_kept() -> None:
    """`includes` has said who may open it."""
    flow = Flow("TCP", ("127.0.0.1", 5060), ("127.0.0.1", 6379))
    assert Reach().may_keep(flow, ("127.0.0.1", 40000))


@pytest.mark.parametrize(
    ("remote", "reached"),
    [
        ("2002:909:909::1", True),  # 6to4 of 9.9.9.9
        ("2002:a01:203::1", True),  # of 10.1.2.3, whose network was named
        ("2002:a02:203::1", False),
        ("2002:7f00:1::1", False),
    ],
)
def test_a_6to4_address_is_the_ipv4_address_in_it(remote: str, reached: bool) -> None:
    assert Reach(["10.1.0.0/16"]).includes(leads_to(remote)) is reached


@pytest.mark.parametrize(
    ("host", "port", "nowhere"),
    [
        ("192.0.2.7", 5060, False),
        ("10.1.0.7", 5060, False),  # a private network is open to datagrams
        ("192.168.1.255", 5060, False),  # a broadcast only for who knows the netmask
        ("2001:db8::7", 5060, False),
        ("fd00::7", 5060, False),
        ("192.0.2.7", 0, True),
        ("224.0.0.1", 5060, True),
        ("239.255.255.250", 1900, True),
        ("ff02::1", 5060, True),
        ("255.255.255.255", 5060, True),
        ("240.0.0.1", 5060, True),
        ("0.0.0.0", 5060, True),  # noqa: S104
        ("::", 5060, True),
        ("::ffff:224.0.0.1", 5060, True),
        ("::ffff:0.0.0.0", 5060, True),
        ("127.0.0.1", 5060, True),
        ("127.1.2.3", 5060, True),
        ("::1", 5060, True),
        ("::ffff:127.0.0.1", 5060, True),
    ],
)
def test_where_nothing_is_ever_sent(host: str, port: int, nowhere: bool) -> None:
    assert leads_nowhere(host, port, False) is nowhere


@pytest.mark.parametrize(("port", "nowhere"), [(5060, False), (0, True)])
def test_who_listens_on_the_loopback_alone_may_send_there(port: int, nowhere: bool) -> None:
    assert leads_nowhere("127.0.0.1", port, True) is nowhere
    assert leads_nowhere("::1", port, True) is nowhere
    assert leads_nowhere("224.0.0.1", 5060, True)
