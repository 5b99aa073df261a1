"""What an operator sets for the daemon is in force: DNS, networks, edge and routes, trusted peers.

One daemon runs with all of it. What may be written there, and what is refused, is tested by
`tests/voip_portal/bridge/test_edge_settings.py`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.campus import Campus
from tests.support.certificates import self_signed, signed
from tests.support.nsd import Nsd
from tests.support.ports import own_address
from tests.support.two_ways import TwoWays
from tests.support.ua import Agent
from tests.support.wire import Wire

pytestmark = pytest.mark.peers

ROUTE = "sip:sip.campus.example;lr"
FAR, OTHER, PBX = "far.example", "other.example", "pbx.example"
OPERATOR = self_signed("The PBX's Authority")


@pytest.fixture(scope="module")
def peer() -> Iterator[Agent]:
    """The server of everybody else."""
    with Agent(("127.0.0.1", 9), "peer") as peer:
        yield peer


@pytest.fixture(scope="module")
def set_up(
    prepared: Campus, peer: Agent, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Campus]:
    zone = f"""
_sip._udp IN SRV 1 0 {peer.address[1]} one
one IN A 127.0.0.1
7.6.5.4.3.2.1.8.6.4 IN NAPTR 1 1 "u" "E2U+sip" "!^.*$!sip:zoe@{FAR}!" .
"""
    with Nsd(tmp_path_factory.mktemp("nsd"), {FAR: zone}) as dns:
        settings = {
            "VOIP_DNS": f"{dns.address[0]}:{dns.address[1]}",
            "VOIP_EDGE_FOR": f"{OTHER}=sip:127.0.0.1:{peer.address[1]}",
            "VOIP_SERVICE_ROUTE": ROUTE,
            "VOIP_OPEN_NETWORKS": f"{own_address() or '192.0.2.1'}/32",
            "VOIP_ENUM": FAR,
            "VOIP_TRUSTED_PEERS": PBX,
        }
        campus = prepared.copy(tmp_path_factory.mktemp("set"), settings)
        trusted = campus.var / "tls" / "trusted"
        trusted.mkdir(parents=True)
        (trusted / "operator.pem").write_bytes(OPERATOR.public_pem)
        with campus.start_sipd():
            peer.server = ("127.0.0.1", campus.sip_port)
            yield campus


def sent_abroad(phone: Agent, uri: str, body: bytes = b"hello") -> Wire:
    """A MESSAGE to somebody elsewhere, past the challenge."""
    request = phone.request("MESSAGE", uri, body=body)
    phone.send(request)
    request = phone.authorized(request, phone.response(request, 407))
    phone.send(request)
    return request


def test_names_are_looked_up_at_the_dns_server_that_was_set(set_up: Campus, peer: Agent) -> None:
    with set_up.phone() as phone:
        request = sent_abroad(phone, f"sip:zoe@{FAR}")
        assert peer.accept("MESSAGE").uri == f"sip:zoe@{FAR}"
        assert phone.final(request).status == 200


@pytest.mark.rfc("REG-24")
def test_phones_of_another_domain_reach_their_registrar_through_us(
    set_up: Campus, peer: Agent
) -> None:
    with Agent(("127.0.0.1", set_up.sip_port), "carl", domain=OTHER) as phone:
        request = phone.register_request()
        phone.send(request)
        [path] = peer.accept("REGISTER").rows("Path")
        assert f"@127.0.0.1:{set_up.sip_port};lr;ob>" in path
        assert phone.final(request).status == 200


@pytest.mark.rfc("REG-19")
def test_phones_are_told_the_route_that_was_set(set_up: Campus) -> None:
    with set_up.phone() as phone:
        assert phone.register().rows("Service-Route") == [f"<{ROUTE}>"]


@pytest.mark.rfc("TRP-02")
@pytest.mark.skipif(not own_address(), reason="this machine has no address but the loopback")
def test_connections_are_opened_into_the_network_that_was_set(set_up: Campus) -> None:
    host = own_address()
    with TwoWays(host, set_up.sip_port) as zoe, set_up.phone() as phone:
        sent_abroad(phone, f"sip:zoe@{host}:{set_up.sip_port}", b"x" * 2_000)
        assert zoe.via() == "TCP"


@pytest.mark.rfc("LOC-13")
def test_numbers_of_others_are_looked_up_below_the_domain_that_was_set(
    set_up: Campus, peer: Agent
) -> None:
    with set_up.phone() as phone:
        request = sent_abroad(phone, "tel:+46-8-1234567")
        assert peer.accept("MESSAGE").uri == f"sip:zoe@{FAR}"
        assert phone.final(request).status == 200


@pytest.mark.rfc("SEC-05", "PRX-10")
@pytest.mark.parametrize(("name", "trusted"), [(PBX, True), ("else.example", False)])
def test_the_peers_that_were_named_are_sent_on_to_others(
    set_up: Campus, peer: Agent, tmp_path: Path, name: str, trusted: bool
) -> None:
    with Agent(
        ("127.0.0.1", set_up.tls_port),
        "4711",
        transport="TLS",
        domain=PBX,
        authority=set_up.authority,
        certificate=signed(OPERATOR, f"sip:{name}").write(tmp_path / "pbx.pem"),
    ) as pbx:
        request = pbx.request("MESSAGE", f"sip:zoe@{FAR}")
        pbx.send(request)
        if trusted:
            peer.accept("MESSAGE")
        assert pbx.final(request).status == (200 if trusted else 403)


@pytest.mark.rfc("SEC-05")
def test_a_peer_whose_row_is_removed_is_a_stranger_within_a_second_on_its_open_connection(
    set_up: Campus, tmp_path: Path
) -> None:
    with Agent(
        ("127.0.0.1", set_up.tls_port),
        "4711",
        transport="TLS",
        domain=PBX,
        authority=set_up.authority,
        certificate=signed(OPERATOR, f"sip:{PBX}").write(tmp_path / "pbx.pem"),
    ) as pbx:

        def status() -> int:
            request = pbx.request("MESSAGE", set_up.uri("nobody"))
            pbx.send(request)
            return pbx.final(request).status

        assert status() == 404
        set_up.query("DELETE FROM peers_trustedpeer")
        removed = time.monotonic()
        while status() == 404:
            assert time.monotonic() - removed < 1.0
        assert status() == 480  # as to every stranger
