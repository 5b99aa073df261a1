"""A peer that takes datagrams and connections at one address, and tells which came."""

from __future__ import annotations

import select
import socket
from typing import Self

from tests.support.ua import PATIENCE_S
from tests.support.wire import read


class TwoWays:
    """Takes datagrams and connections at one address."""

    def __init__(self, host: str, port: int) -> None:
        self._datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._datagrams.bind((host, port))
        self._listening = socket.create_server((host, port))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._datagrams.close()
        self._listening.close()

    def via(self) -> str:
        """By which transport a request comes, as its Via says."""
        ready, _, _ = select.select([self._datagrams, self._listening], [], [], PATIENCE_S)
        assert ready
        if self._datagrams in ready:
            data = self._datagrams.recv(65_535)
        else:
            with self._listening.accept()[0] as stream:
                stream.settimeout(PATIENCE_S)
                data = stream.recv(65_535)
        return read(data).get("Via").split()[0].rpartition("/")[2]
