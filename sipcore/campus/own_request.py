"""Requests that a service of ours sends as if it were a caller: forked and accounted like others."""

from __future__ import annotations

from sipcore.apps.host import ResponseWaiter
from sipcore.message import Request, Response
from sipcore.transaction import ServerTransaction, TransactionTable
from sipcore.transaction.states import State
from sipcore.transport.flow import Flow


class OwnTransaction(ServerTransaction):
    """Stands for the server transaction of a request that nobody sent us.

    What the response context answers goes to whoever waits for it; nothing goes to the wire.
    """

    __slots__ = ("_waits",)

    def __init__(
        self, home: TransactionTable, request: Request, flow: Flow, waits: ResponseWaiter
    ) -> None:
        super().__init__(home, "own", request, flow, State.PROCEEDING)
        self.owner = None
        self.is_known = True
        self.keeps = False
        self._waits = waits

    def respond(self, response: Response, now: float) -> None:
        """A response for us."""
        self.last_status = response.status
        if response.status >= 200:
            self.owner = None
        self._waits.respond(response, now)
