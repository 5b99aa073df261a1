"""What an operator sets for the daemon is in force: its DNS servers, open networks, edge and routes.

One daemon runs with all of it. What may be written there, and what is refused, is tested by
`tests/voip_portal/bridge/test_edge_settings.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.campus import Campus
from tests.support.nsd import Nsd
from tests.support.ports import own_address
from tests.support.two_ways import TwoWays
from tests.support.ua import Agent
from tests.support.wire import Wire

pytestmark = pytest.mark.peers

ROUTE = "sip:sip.campus.example;lr"
FAR, OTHER = "far.example", "other.example"


@pytest.fixture(scope="module")
def peer() -> Iterator[Agent]:
    """The server of everybody else."""
    with Agent(("127.0.0.1", 9), "peer") as peer:
        yield peer


@pytest.fixture(scope="module")
def set_up(
    prepared: Campus, peer: Agent, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Campus]:
    zone = f"_sip._udp IN SRV 1 0 {peer.address[1]} one\none IN A 127.0.0.1"
    with Nsd(tmp_path_factory.mktemp("nsd"), {FAR: zone}) as dns:
        settings = {
            "VOIP_DNS": f"{dns.address[0]}:{dns.address[1]}",
            "VOIP_EDGE_FOR": f"{OTHER}=sip:127.0.0.1:{peer.address[1]}",
            "VOIP_SERVICE_ROUTE": ROUTE,
            "VOIP_OPEN_NETWORKS": f"{own_address() or '192.0.2.1'}/32",
        }
        with prepared.copy(tmp_path_factory.mktemp("set"), settings).start_sipd() as campus:
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
