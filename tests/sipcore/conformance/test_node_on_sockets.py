"""What the parts of a node tell each other: who is at the other end, what is due, where it may go.

Each part has tests of its own; here is one whole node, and what only shows when they are joined.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from sipcore.apps.user_agent import UserAgent
from sipcore.directory import OpenNetworks
from sipcore.message import Request
from sipcore.transaction import ServerTransaction
from sipcore.transport.flow import Flow
from tests.sipcore.conformance.served import Served, serving
from tests.support.certificates import self_signed, signed
from tests.support.ports import free_port, own_address
from tests.support.two_ways import TwoWays
from tests.support.ua import Agent

AUTHORITY = self_signed()
FAR = "far.example"
KEEP_ALIVE_S = 0.5


class WhoAmI(UserAgent):
    """Tells everybody as whom his connection has proved him."""

    name = "whoami"

    def handle(
        self,
        tx: ServerTransaction,
        request: Request,
        flow: Flow,
        sender: object,
        now: float,
    ) -> bool:
        known = ", ".join(self.worker.identities_of(flow)) or "nobody"
        tx.respond(request.respond(200, known, to_tag=self.worker.new_tag()), now)
        return True


# --- TRP-14, SEC-06: peers that have proved who they are ----------------------------------------------
@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our certificates, and those of others beside it."""
    folder = tmp_path_factory.mktemp("certificates")
    (folder / "tls" / "trusted").mkdir(parents=True)
    (folder / "tls" / "trusted" / "authority.pem").write_bytes(AUTHORITY.public_pem)
    signed(AUTHORITY, "sip:campus.example", "127.0.0.1").write(folder / "tls" / "own.pem")
    for name in (FAR, "other.example"):
        signed(AUTHORITY, f"sip:{name}").write(folder / f"{name}.pem")
    return folder


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Iterator[Served]:
    with serving(
        tmp_path_factory.mktemp("secure"), services=[WhoAmI], tls_folder=str(folder / "tls")
    ) as node:
        yield node


def connected(secure: Served, folder: Path, certificate: str) -> Agent:
    """A server of others that has opened a connection to us."""
    return secure.agent(
        transport="TLS",
        authority=folder / "tls" / "trusted" / "authority.pem",
        certificate=folder / f"{certificate}.pem" if certificate else None,
    )


@pytest.mark.rfc("TRP-14")
@pytest.mark.parametrize(
    ("certificate", "alias", "aliased"),
    [
        (FAR, ";alias", True),
        (FAR, "", False),
        ("", ";alias", False),
        ("other.example", ";alias", False),
    ],
)
def test_requests_for_a_domain_take_the_connection_that_it_has_offered(
    secure: Served, folder: Path, certificate: str, alias: str, aliased: bool
) -> None:
    far, anna, port = connected(secure, folder, certificate), secure.agent("anna"), free_port()
    asking = far.request("OPTIONS", f"sip:127.0.0.1:{secure.tls_port}")
    branch = f"z9hG4bK{secrets.token_hex(8)}"
    asking.headers[0] = ("Via", f"SIP/2.0/TLS sip.{FAR}:{port}{alias};branch={branch}")
    far.send(asking)
    assert far.final(asking).status == 200
    before = secure.connections()
    request = anna.request("MESSAGE", f"sip:zoe@{FAR}:{port};maddr=127.0.0.1;transport=tls")
    anna.send(request)
    request = anna.authorized(request, anna.response(request, 407))
    anna.send(request)
    if aliased:
        assert far.accept("MESSAGE").uri == request.uri
        assert anna.final(request).status == 200
        assert secure.connections() == before
    else:  # a connection of its own is opened, and there nobody listens
        assert anna.final(request).status == 500
        far.quiet(0.1)
    far.close()


@pytest.mark.rfc("SEC-06")
@pytest.mark.parametrize("certificate", [FAR, ""])
def test_an_application_hears_whom_the_certificate_of_a_connection_names(
    secure: Served, folder: Path, certificate: str
) -> None:
    far = connected(secure, folder, certificate)
    asking = far.request("MESSAGE", f"sip:whoami@127.0.0.1:{secure.tls_port}")
    far.send(asking)
    assert far.final(asking).start == f"SIP/2.0 200 {certificate or 'nobody'}"
    far.close()


# --- what is due every second ------------------------------------------------------------------------
def test_a_phone_behind_a_nat_is_sent_keep_alives(tmp_path: Path) -> None:
    with serving(tmp_path, keep_alive_s=KEEP_ALIVE_S) as served:
        phone = served.agent("bob")
        contact = f"<sip:bob@192.168.7.7:{phone.address[1]}>"  # where it believes to be
        assert phone.register(contacts=[contact]).status == 200
        assert [phone.raw(), phone.raw()] == [b"\r\n\r\n"] * 2


def test_a_phone_that_is_where_it_says_is_sent_none(tmp_path: Path) -> None:
    with serving(tmp_path, keep_alive_s=KEEP_ALIVE_S) as served:
        nated = served.agent("bob")
        contact = f"<sip:bob@192.168.7.7:{nated.address[1]}>"
        phone = served.agent("clara").registered()
        assert nated.register(contacts=[contact]).status == 200
        assert nated.raw() == nated.raw()  # time enough
        phone.quiet(0.01)


# --- networks that are open ----------------------------------------------------------------------------
@pytest.mark.skipif(not own_address(), reason="this machine has no address but the loopback")
@pytest.mark.rfc("TRP-02")
@pytest.mark.parametrize("is_open", [True, False])
def test_large_requests_go_by_tcp_into_networks_that_are_open(
    tmp_path: Path, is_open: bool
) -> None:
    """Somebody at an address of this machine's network takes datagrams and connections."""
    host = own_address()
    if ip_address(host).is_global:
        pytest.skip("this machine's address is everybody's: its network is always open")
    networks = (f"{host}/32",) if is_open else ()
    with serving(tmp_path, parts=[OpenNetworks(networks)]) as served, TwoWays(host, served.port) as zoe:
        # The port is the node's own: connections into this machine are kept to no other.
        anna = served.agent("anna")
        request = anna.request("MESSAGE", f"sip:zoe@{host}:{served.port}", body=b"x" * 2_000)
        anna.send(request)
        request = anna.authorized(request, anna.response(request, 407))
        anna.send(request)
        assert zoe.via() == ("TCP" if is_open else "UDP")
