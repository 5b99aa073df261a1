"""What a transaction needs from above and below."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sipcore.message import Request, Response
from sipcore.transport.flow import Flow

if TYPE_CHECKING:
    from sipcore.transaction.client import ClientTransaction
    from sipcore.transaction.server import ServerTransaction


class TransactionUser(Protocol):
    """The transaction user (RFC 3261 §17) and the way to the transport."""

    def send(self, flow: Flow, data: bytes) -> None:
        """Send a message on a flow."""

    def response_received(self, tx: ClientTransaction, response: Response, now: float) -> None:
        """A response that the client transaction passes up."""

    def client_timed_out(self, tx: ClientTransaction, now: float) -> None:
        """Timer B or F."""

    def client_failed(self, tx: ClientTransaction, now: float) -> None:
        """The request, or the ACK of its failure, could not be sent."""

    def ack_received(self, request: Request, flow: Flow, now: float) -> None:
        """An ACK that no INVITE server transaction absorbs: that of a 2xx."""

    def server_ended(self, tx: ServerTransaction, now: float) -> None:
        """A server transaction is gone."""
