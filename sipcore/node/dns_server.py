"""A DNS server as dnspython asks it, with a bound on what an answer may cost.

An answer by TCP may have 64 KB and four thousand records, which takes dnspython a quarter of a second
of everybody's time; and whoever is called has a zone of his own. Loaded by `resolver.py` with the
library, when the first name comes.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from dns.exception import FormError, Timeout
from dns.message import Message, QueryMessage, from_wire
from dns.nameserver import Do53Nameserver
from dns.query import BadResponse

MAX_ANSWER_BYTES: Final = 16_384
MAX_RECORDS: Final = 256
"""Of all sections: sixty-four servers with two addresses each are less."""


class BoundedNameserver(Do53Nameserver):
    """Takes only answers that a telephone service may need."""

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
                backend,
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
