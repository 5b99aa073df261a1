"""Phones behind a real NAT: two network namespaces whose way out is masqueraded by a third.

The server is outside. Connections through the NAT are cut in the ways that networks have, and the
phones come back by new ones, as RFC 5626 has them do.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

import pytest

from tests.sipcore.conformance.served import Served, serving
from tests.sipcore.simulation.world import secret_of
from tests.support.ua import Agent

pytestmark = pytest.mark.peers

OUTSIDE: Final = "10.213.7.1"
NAT_OUTSIDE: Final = "10.213.7.2"
INSIDE: Final = ("192.168.213.2", "192.168.213.6")
ROUTERS: Final = ("192.168.213.1", "192.168.213.5")
NEW_NETWORK: Final = 0x40000000
T = TypeVar("T")


def run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603 (ours)
    assert done.returncode == 0, (words, done.stderr)


class Nat:
    """The namespaces; everything in them is gone with them."""

    def __init__(self) -> None:
        mark = f"{os.getpid() % 100_000}"
        self.router, *self.homes = (f"sip-{mark}-{name}" for name in ("nat", "a", "b"))
        self._outside = f"so{mark}"

    def build(self) -> None:
        """Make them, and the NAT between."""
        for name in (self.router, *self.homes):
            run("ip", "netns", "add", name)
        run("ip", "link", "add", self._outside, "type", "veth", "peer", "out", "netns", self.router)
        run("ip", "address", "add", f"{OUTSIDE}/24", "dev", self._outside)
        run("ip", "link", "set", self._outside, "up")
        self.inside("ip", "address", "add", f"{NAT_OUTSIDE}/24", "dev", "out")
        self.inside("ip", "link", "set", "out", "up")
        for number, home in enumerate(self.homes):
            link = f"in{number}"
            self.inside("ip", "link", "add", link, "type", "veth", "peer", "eth", "netns", home)
            self.inside("ip", "address", "add", f"{ROUTERS[number]}/30", "dev", link)
            self.inside("ip", "link", "set", link, "up")
            at_home = ("ip", "-n", home)
            run(*at_home, "address", "add", f"{INSIDE[number]}/30", "dev", "eth")
            run(*at_home, "link", "set", "eth", "up")
            run(*at_home, "route", "add", "default", "via", ROUTERS[number])
        self.inside("sysctl", "-qw", "net.ipv4.ip_forward=1")
        self.inside("iptables", "-t", "nat", "-A", "POSTROUTING", "-o", "out", "-j", "MASQUERADE")

    def inside(self, *words: str) -> None:
        """Run something on the router."""
        run("ip", "netns", "exec", self.router, *words)

    def close(self) -> None:
        run("ip", "link", "del", self._outside)
        for name in (*self.homes, self.router):
            run("ip", "netns", "del", name)

    def reset(self, on: bool) -> None:
        """Whatever is sent over TCP is answered with a reset."""
        rule = ("FORWARD", "-p", "tcp", "-j", "REJECT", "--reject-with", "tcp-reset")
        self.inside("iptables", "-I" if on else "-D", *rule)

    def link(self, up: bool) -> None:
        """The way out is down; what is masqueraded by it is forgotten."""
        self.inside("ip", "link", "set", "out", "up" if up else "down")


def at(home: str, act: Callable[[], T]) -> T:
    """Do something in a namespace: sockets that it makes stay there."""
    results: list[T] = []
    errors: list[BaseException] = []

    def go() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        with open(f"/run/netns/{home}") as file:
            if libc.setns(file.fileno(), NEW_NETWORK):
                errors.append(OSError(ctypes.get_errno(), "setns"))
                return
        try:
            results.append(act())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=go)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


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


@pytest.fixture
def nat() -> Iterator[Nat]:
    if os.geteuid() != 0:
        pytest.skip("making network namespaces takes root")
    made = Nat()
    try:
        made.build()
        yield made
    finally:
        made.close()


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
    assert any(f"received={NAT_OUTSIDE}" in via for via in called.request.rows("Via"))
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
