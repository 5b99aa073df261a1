"""A NAT: two network namespaces whose way out is masqueraded by a third. The server is outside."""

from __future__ import annotations

import ctypes
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, TypeVar

import pytest


def _net(number: int) -> str:
    """Of each process that runs tests its own: they run at the same time."""
    return f"10.{213 + number}.{os.getpid() % 250}"


OUTSIDE: Final = f"{_net(0)}.1"
NAT_OUTSIDE: Final = f"{_net(0)}.2"
INSIDE: Final = ("192.168.213.2", "192.168.213.6")
ROUTERS: Final = ("192.168.213.1", "192.168.213.5")
NEW_NETWORK: Final = 0x40000000
T = TypeVar("T")


class NoNat(Exception):
    """It takes root, ip and iptables, and a kernel that lets them."""


def run(*words: str) -> None:
    """Run a program; `NoNat` when it fails."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603 (ours)
    except FileNotFoundError:
        raise NoNat(f"{words[0]} is missing") from None
    if done.returncode:
        raise NoNat(f"{' '.join(words)}: {done.stderr.strip()}")


class Nat:
    """The namespaces; everything in them is gone with them."""

    def __init__(self, number: int = 0) -> None:
        mark = f"{os.getpid() % 100_000}-{number}"
        self.router, *self.homes = (f"sip-{mark}-{name}" for name in ("nat", "a", "b"))
        self._net = _net(number)
        self._outside = f"so{mark}"

    def build(self) -> None:
        """Make them, and the NAT between."""
        for name in (self.router, *self.homes):
            run("ip", "netns", "add", name)
        run("ip", "link", "add", self._outside, "type", "veth", "peer", "out", "netns", self.router)
        run("ip", "address", "add", f"{self._net}.1/24", "dev", self._outside)
        run("ip", "link", "set", self._outside, "up")
        self.inside("ip", "address", "add", f"{self._net}.2/24", "dev", "out")
        self.inside("ip", "link", "set", "out", "up")
        self.inside("ip", "route", "add", "default", "via", f"{self._net}.1")
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
        """Take away what has been made."""
        for words in (
            ("link", "del", self._outside),
            *(("netns", "del", name) for name in (*self.homes, self.router)),
        ):
            with suppress(NoNat):
                run("ip", *words)

    def reset(self, on: bool) -> None:
        """Whatever is sent over TCP is answered with a reset."""
        rule = ("FORWARD", "-p", "tcp", "-j", "REJECT", "--reject-with", "tcp-reset")
        self.inside("iptables", "-I" if on else "-D", *rule)

    def link(self, up: bool) -> None:
        """The way out is down; what is masqueraded by it is forgotten."""
        self.inside("ip", "link", "set", "out", "up" if up else "down")
        if up:
            self.inside("ip", "route", "replace", "default", "via", f"{self._net}.1")


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


@contextmanager
def masqueraded(number: int = 0) -> Iterator[Nat]:
    """A NAT for as long as this lasts; the test is skipped where none can be made."""
    made = Nat(number)
    try:
        try:
            made.build()
        except NoNat as error:
            pytest.skip(f"no NAT can be made here: {error}")
        yield made
    finally:
        made.close()
