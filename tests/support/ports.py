"""Free ports, below the range that the kernel gives to outgoing connections; our own addresses."""

from __future__ import annotations

import os
import socket
from collections import deque
from contextlib import suppress
from itertools import cycle, islice
from random import SystemRandom
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOWEST, _HIGHEST = 12_000, 31_000
_random = SystemRandom()
_WORKERS = 8
"""Of pytest-xdist, each with ports of its own."""
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % _WORKERS
_SHARE = (_HIGHEST - _LOWEST) // _WORKERS // 2 * 2
_own = _LOWEST + _worker * _SHARE
_given: deque[int] = deque(maxlen=200)
"""What `free_port` has given last."""


def has_ipv6() -> bool:
    """Whether this machine has the IPv6 loopback."""
    return _is_free("::1", 0, socket.SOCK_DGRAM)


def own_address() -> str:
    """An address of this machine besides the loopback, "" where there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError):
        probe.connect(("192.0.2.1", 9))  # sends nothing
        return str(probe.getsockname()[0])
    return ""


def free_port(count: int = 1) -> int:
    """A port that is free for UDP and TCP on both loopbacks, and so are the next `count` - 1.

    Whoever asks for several binds them later: for a while nobody is given one of them again, and
    each worker of pytest-xdist has a range of its own.
    """
    hosts = ["127.0.0.1", "::1"] if has_ipv6() else ["127.0.0.1"]
    for _ in range(500):
        port = _random.randrange(_own, _own + _SHARE, 2)
        wanted = range(port, port + count)
        if not any(number in _given for number in wanted) and all(
            _is_free(host, number, kind)
            for host in hosts
            for number in wanted
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM)
        ):
            _given.extend(wanted)
            return port
    raise RuntimeError("no free port found")


def unused_port(host: str) -> int:
    """A UDP port that no phone of this run has had for long.

    What the kernel gives may have been another phone's a moment ago, and hears what that one is
    still told: half a minute long, where a final response was not acknowledged.
    """
    for port in islice(_unused, 30_000):
        if _is_free(host, port, socket.SOCK_DGRAM):
            return port
    raise RuntimeError(f"no free port on {host}: is that an address of this machine?")


_first = 33_000 + _random.randrange(0, 10_000, _WORKERS) + _worker
_unused: Iterator[int] = cycle(
    [*range(_first, 60_900, _WORKERS), *range(33_000 + _worker, _first, _WORKERS)]
)


def _is_free(host: str, port: int, kind: socket.SocketKind) -> bool:
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind) as probe:
            probe.bind((host, port))
    except OSError:
        return False
    return True
