"""What a transaction tells its owner: the two interfaces of `Transaction.owner` (RFC 3261 §17).

The transaction calls them itself, so that the type checker knows who may own what.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sipcore.message import Response


class ClientOwner(Protocol):
    """Sent a request, and hears what comes of it. `tx` is its client transaction.

    A transaction that was left for another one may still tell of itself: compare `tx`.
    """

    def on_response(self, tx: object, response: Response, now: float) -> None:
        """A response that the transaction passes up, its Via still on top."""

    def on_timeout(self, tx: object, now: float) -> None:
        """Timer B or F: no final response came."""

    def on_transport_failure(self, tx: object, now: float) -> None:
        """The request, or the ACK of its failure, could not be sent."""


class ServerOwner(Protocol):
    """Deals with a request that was received, until it has answered it."""

    def cancel(self, now: float, reasons: Sequence[str] = (), status: int = 487) -> None:
        """The client's CANCEL of an INVITE; `reasons` are its Reason values (RFC 3326).

        `status`: what the client is answered where it is we who give up.
        """
