"""A DNS server as dnspython asks it, with a bound on what an answer may cost.

An answer by TCP may have 64 KB and four thousand records, which takes dnspython a quarter of a second
of everybody's time; and whoever is called has a zone of his own. Loaded by `resolver.py` with the
library, when the first name comes.
"""

from __future__ import annotations

import asyncio
from typing import Any

from dns.asyncbackend import get_backend
from dns.exception import FormError, Timeout
from dns.message import Message, QueryMessage, from_wire
from dns.nameserver import Do53Nameserver
from dns.query import BadResponse

from sipcore.node.limits import MAX_ANSWER_BYTES, MAX_RECORDS


class Sockets:
    """The library's way to datagram sockets, which loses none.

    Whoever is cancelled while uvloop makes one would leave it open, out of everybody's reach, and
    the loop could not be closed for it.
    """

    def __init__(self) -> None:
        self._backend: Any = get_backend("asyncio")
        self._making: set[asyncio.Task[Any]] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    async def make_socket(self, *args: Any, **more: Any) -> Any:
        """As the backend does it."""
        making = asyncio.ensure_future(self._backend.make_socket(*args, **more))
        self._making.add(making)
        making.add_done_callback(self._making.discard)
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            making.add_done_callback(_close_unwanted)
            raise

    async def settle(self) -> None:
        """Wait for what is being made."""
        await asyncio.gather(*self._making, return_exceptions=True)


def _close_unwanted(made: asyncio.Task[Any]) -> None:
    if not made.cancelled() and made.exception() is None:
        made.result().transport.close()


class BoundedNameserver(Do53Nameserver):
    """Takes only answers that a telephone service may need."""

    def __init__(self, address: str, port: int, sockets: Sockets) -> None:
        super().__init__(address, port)
        self._sockets = sockets

    async def async_query(
        self,
        request: QueryMessage,
        timeout: float,  # noqa: ASYNC109 (the library's interface)
        source: str | None,
        source_port: int,
        max_size: bool,
        backend: Any,
        one_rr_per_rrset: bool = False,
        ignore_trailing: bool = False,
    ) -> Message:
        """As the library does it; `max_size` means by TCP."""
        if not max_size:
            return await super().async_query(
                request,
                timeout,
                source,
                source_port,
                max_size,
                self._sockets,
                one_rr_per_rrset,
                ignore_trailing,
            )
        try:
            async with asyncio.timeout(timeout):
                wire = await self._by_tcp(request.to_wire())
        except TimeoutError:
            raise Timeout from None
        counts = [int.from_bytes(wire[at : at + 2], "big") for at in (6, 8, 10)]
        if sum(counts) > MAX_RECORDS:
            raise FormError(f"{sum(counts)} records")  # type: ignore[no-untyped-call]
        response = from_wire(wire)
        if not request.is_response(response):
            raise BadResponse
        return response

    async def _by_tcp(self, question: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(self.address, self.port)
        try:
            writer.write(len(question).to_bytes(2, "big") + question)
            size = int.from_bytes(await reader.readexactly(2), "big")
            if size > MAX_ANSWER_BYTES:
                raise FormError(f"{size} bytes")  # type: ignore[no-untyped-call]
            return await reader.readexactly(size)
        finally:
            writer.close()
