"""Whose a connection is."""

from __future__ import annotations

import pytest

from voip_portal.web.sources import proxies


@pytest.mark.parametrize(
    ("environ", "address", "is_proxy"),
    [
        ({}, "127.0.0.1", False),
        ({"VOIP_TRUSTED_PROXIES": "0"}, "10.1.2.3", False),
        ({"VOIP_TRUSTED_PROXIES": "1"}, "127.0.0.1", True),
        ({"VOIP_TRUSTED_PROXIES": "1"}, "172.17.0.1", True),
        ({"VOIP_TRUSTED_PROXIES": "1"}, "::ffff:10.1.2.3", True),
        ({"VOIP_TRUSTED_PROXIES": "1"}, "192.0.2.1", False),
        ({"VOIP_PROXY_NETWORKS": "192.0.2.1, 2001:db8::/64"}, "192.0.2.1", True),
        ({"VOIP_PROXY_NETWORKS": "192.0.2.1, 2001:db8::/64"}, "2001:db8::7", True),
        ({"VOIP_PROXY_NETWORKS": "192.0.2.1", "VOIP_TRUSTED_PROXIES": "1"}, "127.0.0.1", False),
        ({}, "", True),
    ],
)
def test_who_is_a_proxy(environ: dict[str, str], address: str, is_proxy: bool) -> None:
    assert proxies(environ).have(address) is is_proxy


def test_only_named_proxies_say_for_whom_they_speak() -> None:
    named = proxies({"VOIP_PROXY_NETWORKS": "192.0.2.1"})
    for address, believed in (("192.0.2.1", True), ("192.0.2.2", False)):
        environ = {"REMOTE_ADDR": address, "HTTP_X_FORWARDED_FOR": "198.51.100.9"}
        named.without_claims(environ)
        assert ("HTTP_X_FORWARDED_FOR" in environ) is believed


def test_what_is_no_network_is_said() -> None:
    with pytest.raises(ValueError, match="VOIP_PROXY_NETWORKS: 'nginx'"):
        proxies({"VOIP_PROXY_NETWORKS": "nginx"})
