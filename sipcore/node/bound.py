"""Sockets bound before anything else of a node is touched.

A node that cannot have its addresses is perhaps the second of its name: it must leave the files of the
first alone. What arrives meanwhile waits in the kernel.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Sequence

from sipcore.apps.config import Listener


def bind_all(listeners: Sequence[Listener]) -> list[socket.socket]:
    """A socket for each listener, in order; where one cannot be had, none is kept (`OSError`)."""
    with contextlib.ExitStack() as opened:
        sockets = [opened.enter_context(bind(each.transport, each.local)) for each in listeners]
        opened.pop_all()
    return sockets


def bind(transport: str, local: tuple[str, int]) -> socket.socket:
    """A bound socket of this transport, not yet listening; IPv6 ones take no IPv4."""
    family = socket.AF_INET6 if ":" in local[0] else socket.AF_INET
    kind = socket.SOCK_DGRAM if transport == "UDP" else socket.SOCK_STREAM
    sock = socket.socket(family, kind)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:  # connections of our last life may still be closing
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setblocking(False)
        sock.bind(local)
    except OSError as error:
        sock.close()
        raise OSError(
            error.errno, f"{transport} {local[0]} port {local[1]}: {error.strerror}"
        ) from None
    return sock
