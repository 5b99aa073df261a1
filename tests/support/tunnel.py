"""A tunnel: TCP on this side, TLS on the other, for programs that were built without TLS."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.support.ports import free_port


class Tunnel:
    """Whoever connects to `address` talks to the server, whose certificate is checked."""

    def __init__(self, server: tuple[str, int], authority: Path) -> None:
        self.address = (server[0], free_port())
        self._server = server
        self._context = ssl.create_default_context(cafile=authority)
        self._listener = socket.create_server(
            self.address, family=socket.AF_INET6 if ":" in server[0] else socket.AF_INET
        )
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self._listener, *self._sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                plain = socket.create_connection(self._server, 5)
                far = self._context.wrap_socket(plain, server_hostname=self._server[0])
                far.settimeout(None)
                self._sockets += [near, far]
                for one, other in ((near, far), (far, near)):
                    thread = threading.Thread(target=pump, args=(one, other))
                    self._threads.append(thread)
                    thread.start()


def pump(one: socket.socket, other: socket.socket) -> None:
    """Carry bytes until one side ends."""
    with suppress(OSError):
        while data := one.recv(65_536):
            other.sendall(data)
    with suppress(OSError):
        other.shutdown(socket.SHUT_RDWR)
