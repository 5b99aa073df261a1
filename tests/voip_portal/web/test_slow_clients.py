"""Clients that send slowly, or read slowly, take nothing from the others: real processes on loopback."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Final, Self

import pytest

from tests.voip_portal.web.site import Site, running

HEAD: Final = b"POST /accounts/login/ HTTP/1.1\r\nHost: 127.0.0.1\r\n"
BODY: Final = (
    HEAD + b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100000\r\n\r\na"
)
CHUNKED: Final = HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n"
BESIDE_S: Final = 6.0
"""How long pages are asked for beside the slow ones."""
AT_ONCE_S: Final = 1.0


class Slow:
    """Connections that send two bytes a second, and come again when they are closed."""

    def __init__(self, port: int, openings: list[bytes], count: int, drop: bytes = b"a") -> None:
        self.port = port
        self.drop = drop
        self.openings = [openings[n % len(openings)] for n in range(count)]
        self.connections = [self.open(opening) for opening in self.openings]
        self.came_again = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._drip)

    def open(self, opening: bytes) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.port), timeout=5)
        client.sendall(opening)
        return client

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        for client in self.connections:
            client.close()

    def _drip(self) -> None:
        while not self._stop.wait(0.5):
            for n, client in enumerate(self.connections):
                try:
                    client.sendall(self.drop)
                except OSError:
                    client.close()
                    self.came_again += 1
                    with suppress(OSError):
                        self.connections[n] = self.open(self.openings[n])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(tmp_path_factory.mktemp("web")) as site:
        yield site


@pytest.mark.parametrize("count", [16, 200])
@pytest.mark.parametrize(
    "openings", [[HEAD], [BODY], [HEAD, BODY, CHUNKED]], ids=["headers", "bodies", "both"]
)
def test_pages_come_at_once_beside_slow_senders_of_the_same_address(
    site: Site, openings: list[bytes], count: int
) -> None:
    with Slow(site.port, openings, count):
        time.sleep(0.5)
        waits = []
        until = time.monotonic() + BESIDE_S
        while time.monotonic() < until:
            waits += [site.page_s(), site.page_s("/healthz")]
            time.sleep(0.2)
    assert max(waits) < AT_ONCE_S
