"""Phones behind a real NAT: two network namespaces whose way out is masqueraded by a third.

The server is outside. Connections through the NAT are cut in the ways that networks have, and the
phones come back by new ones, as RFC 5626 has them do.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sipcore.conformance.served import Served, serving
from tests.sipcore.simulation.world import secret_of
from tests.support.nat import NAT_OUTSIDE, OUTSIDE, Nat, at, masqueraded
from tests.support.ua import Agent

pytestmark = pytest.mark.peers

class Home:
    """One of us behind the NAT, with a phone that keeps one flow (RFC 5626)."""

    def __init__(self, name: str, home: str, served: Served) -> None:
        self.home = home
        self.instance = f"<urn:uuid:00000000-0000-1000-8000-{name.encode().hex():0>12}>"
        self.agent = at(
            home,
            lambda: Agent((OUTSIDE, served.port), name, secret_of(name), transport="TCP"),
        )
        served.keep(self.agent)

    def register(self) -> None:
        contact = f'<{self.agent.contact}>;+sip.instance="{self.instance}";reg-id=1'
        response = self.agent.register(
            contacts=[contact], headers=[("Supported", "path, outbound")]
        )
        assert response.status == 200, response.start
        assert response.get("Require") == "outbound"
        assert len(response.rows("Contact")) == 1

    def come_back(self) -> None:
        at(self.home, self.agent.come_back)
        self.register()


def seen_at(served: Served, name: str) -> set[str]:
    """The addresses that a registration came from."""
    worker = served.node.worker
    account = worker.directory.account_by_name(name)
    assert account is not None
    live = worker.bindings.bindings(account.id, time.time())
    return {binding.flow.remote[0] for binding in live if binding.flow is not None}


@pytest.fixture
def nat() -> Iterator[Nat]:
    with masqueraded() as nat:
        yield nat


@pytest.fixture
def served(nat: Nat, tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path, host=OUTSIDE) as node:
        yield node


def fewer_connections(served: Served, most: int) -> None:
    deadline = time.monotonic() + 5
    while served.connections() > most:
        assert time.monotonic() < deadline, served.connections()
        time.sleep(0.02)


def ping_until_reset(home: Home) -> None:
    home.agent.send(b"\r\n\r\n")
    home.agent.quiet(5)


@pytest.mark.parametrize("cut", ["reset", "link down"])
@pytest.mark.parametrize("by", ["caller", "callee"])
def test_a_call_and_the_next_outlive_the_connections(
    nat: Nat, served: Served, cut: str, by: str
) -> None:
    anna, bob = Home("anna", nat.homes[0], served), Home("bob", nat.homes[1], served)
    anna.register()
    bob.register()
    calling = anna.agent.invite(f"sip:bob@{OUTSIDE}:{served.port}")
    called = bob.agent.ringing()
    # It is a NAT: the server has seen another address than they say they have.
    assert seen_at(served, "bob") == {NAT_OUTSIDE}
    assert not any("received" in via for via in called.request.rows("Via"))  # nor tells bob of anna's
    at_bob = called.answer()
    at_anna = calling.answered()
    bob.agent.expect("ACK")
    if cut == "reset":
        nat.reset(on=True)
        for home in (anna, bob):
            with pytest.raises(ConnectionResetError):
                ping_until_reset(home)
        nat.reset(on=False)
    else:
        nat.link(up=False)
        anna.agent.close()  # nobody hears of it
        bob.agent.close()
        nat.link(up=True)
    anna.come_back()
    bob.come_back()
    own, other = (at_anna, bob) if by == "caller" else (at_bob, anna)
    bye = own.send("BYE")
    other.agent.accept("BYE")
    assert own.agent.final(bye).status == 200
    # And the next call, the other way.
    calling = bob.agent.invite(f"sip:anna@{OUTSIDE}:{served.port}")
    at_anna = anna.agent.ringing().answer()
    calling.answered()
    anna.agent.expect("ACK")
    bye = at_anna.send("BYE")
    bob.agent.accept("BYE")
    assert anna.agent.final(bye).status == 200


def test_who_is_cut_off_is_missed_when_he_is_called(nat: Nat, served: Served) -> None:
    """The server hears of it when it says something, and forgets the registration."""
    bob = Home("bob", nat.homes[1], served)
    bob.register()
    nat.reset(on=True)
    caller = served.agent(host=OUTSIDE)
    caller.send(caller.request("MESSAGE", f"sip:bob@{OUTSIDE}:{served.port}"))
    fewer_connections(served, 0)
    again = caller.request("MESSAGE", f"sip:bob@{OUTSIDE}:{served.port}")
    caller.send(again)
    assert caller.final(again).status == 480
    nat.reset(on=False)
    bob.come_back()
    last = caller.request("MESSAGE", f"sip:bob@{OUTSIDE}:{served.port}")
    caller.send(last)
    bob.agent.accept("MESSAGE")
    assert caller.final(last).status == 200


def test_stun_through_a_nat_says_what_the_nat_made_of_it(nat: Nat, served: Served) -> None:
    sock = at(nat.homes[0], lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    with sock:
        sock.settimeout(5)
        sock.sendto(b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12), (OUTSIDE, served.port))
        answer = sock.recv(100)
    host = bytes(a ^ b for a, b in zip(answer[28:32], b"\x21\x12\xa4\x42", strict=True))
    assert socket.inet_ntoa(host) == NAT_OUTSIDE
