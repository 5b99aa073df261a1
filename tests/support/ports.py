"""Free ports, below the range that the kernel gives to outgoing connections."""

from __future__ import annotations

import socket
from random import SystemRandom

_LOWEST, _HIGHEST = 12_000, 31_000
_random = SystemRandom()


def has_ipv6() -> bool:
    """Whether this machine has the IPv6 loopback."""
    return _is_free("::1", 0, socket.SOCK_DGRAM)


def free_port(count: int = 1) -> int:
    """A port that is free for UDP and TCP on both loopbacks, and so are the next `count` - 1."""
    hosts = ["127.0.0.1", "::1"] if has_ipv6() else ["127.0.0.1"]
    for _ in range(500):
        port = _random.randrange(_LOWEST, _HIGHEST, 2)
        if all(
            _is_free(host, port + offset, kind)
            for host in hosts
            for offset in range(count)
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM)
        ):
            return port
    raise RuntimeError("no free port found")


def _is_free(host: str, port: int, kind: socket.SocketKind) -> bool:
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind) as probe:
            probe.bind((host, port))
    except OSError:
        return False
    return True
