"""The one answer to "what network is a source"."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipcore.transport.networks import SINGLE_SOURCES, Networks, network_of


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.0/24"),
        ("192.0.2.255", "192.0.2.0/24"),
        ("0.0.0.9", "0.0.0.0/24"),
        ("255.255.255.255", "255.255.255.0/24"),
        ("::ffff:192.0.2.7", "192.0.2.0/24"),
        ("::FFFF:192.0.2.7", "192.0.2.0/24"),
        ("::ffff:c000:207", "192.0.2.0/24"),
        ("::ffff:c000:0207%eth0", "192.0.2.0/24"),
        ("0:0:0:0:0:ffff:192.0.2.7", "192.0.2.0/24"),
        ("0000:0000:0000:0000:0000:ffff:c000:0207", "192.0.2.0/24"),
        ("0::0:FFFF:192.0.2.7", "192.0.2.0/24"),
        ("2001:db8:0:1:2:3:4:5", "2001:db8:0:1::/64"),
        ("2001:DB8:0:1::", "2001:db8:0:1::/64"),
        ("2001:db8::1", "2001:db8:0:0::/64"),
        ("fe80::1%eth0", "fe80:0:0:0::/64"),
        ("fe80::1%3", "fe80:0:0:0::/64"),
        ("::", "0:0:0:0::/64"),
        ("::1", "0:0:0:0::/64"),
        ("1:2:3:4:5:6:7::", "1:2:3:4::/64"),
        ("::2:3:4:5:6:7:8", "0:2:3:4::/64"),
        # IPv4 at the end of other IPv6 addresses is only how they are written.
        ("64:ff9b::192.0.2.7", "64:ff9b:0:0::/64"),
        ("::192.0.2.7", "0:0:0:0::/64"),
        ("::ffff:0:192.0.2.7", "0:0:0:0::/64"),
    ],
)
def test_an_address_is_of_a_network(address: str, network: str) -> None:
    assert network_of(address) == network


@pytest.mark.parametrize(
    ("networks", "address", "network"),
    [
        (Networks(ipv4_prefix=32), "192.0.2.7", "192.0.2.7/32"),
        (Networks(ipv4_prefix=20), "192.0.47.7", "192.0.32.0/20"),
        (Networks(ipv4_prefix=0), "192.0.2.7", "0.0.0.0/0"),
        (Networks(ipv6_prefix=128), "2001:db8::7", "2001:db8:0:0:0:0:0:7/128"),
        (Networks(ipv6_prefix=56), "2001:db8:1:23ff::7", "2001:db8:1:2300::/56"),
        (Networks(ipv6_prefix=48), "2001:db8:1:2::7", "2001:db8:1::/48"),
        (Networks(ipv6_prefix=0), "2001:db8::7", "::/0"),
        (SINGLE_SOURCES, "::ffff:192.0.2.7", "192.0.2.7/32"),
        (SINGLE_SOURCES, "2001:db8:0:1:2:3:4:5", "2001:db8:0:1::/64"),
    ],
)
def test_how_large_a_network_is_can_be_said(networks: Networks, address: str, network: str) -> None:
    assert network_of(address, networks) == network


@pytest.mark.parametrize(
    "text",
    [
        "", "phone.example", "192.0.2", "192.0.2.7.1", "192.0.2.256", "192.0.2.-1", "192.0.2.",
        "1:2", ":", ":::", "1::2::3", "1:2:3:4:5:6:7:8:9", "1::2:3:4:5:6:7:8", "12345::", "::g",
        "::192.0.2.256", "[::1]",
    ],
)  # fmt: skip
def test_what_is_no_address_is_of_no_network(text: str) -> None:
    with pytest.raises(ValueError, match=r"address|invalid literal"):
        network_of(text)


@given(
    st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)),
    st.integers(0, 32),
    st.integers(0, 128),
)
def test_it_agrees_with_the_library(
    address: IPv4Address | IPv6Address, ipv4_prefix: int, ipv6_prefix: int
) -> None:
    networks = Networks(ipv4_prefix, ipv6_prefix)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        plain: IPv4Address | IPv6Address = address.ipv4_mapped
    else:
        plain = address
    prefix = ipv4_prefix if plain.version == 4 else ipv6_prefix
    expected = ip_network(f"{plain}/{prefix}", strict=False)
    spellings = {str(address), address.exploded, str(address).upper()}
    found = {network_of(spelling, networks) for spelling in spellings}
    assert len(found) == 1
    assert ip_network(found.pop()) == expected
    assert ip_address(str(address)) == address
