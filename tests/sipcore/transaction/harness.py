"""A transaction user that remembers what it was told, and messages to tell it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sipcore.message import Request, Response
from sipcore.transaction import (
    ClientTransaction,
    InviteClientTransaction,
    InviteServerTransaction,
    NonInviteClientTransaction,
    NonInviteServerTransaction,
    ServerTransaction,
    State,
    Timers,
    Transaction,
    TransactionTable,
)
from sipcore.transport.flow import Flow

UDP = Flow("UDP", ("10.0.0.1", 5060), ("10.0.0.2", 5060))
TCP = Flow("TCP", ("10.0.0.1", 5060), ("10.0.0.2", 5060), 7)
BRANCH = "z9hG4bKone"
MACHINES: tuple[type[Transaction], ...] = (
    InviteClientTransaction,
    NonInviteClientTransaction,
    InviteServerTransaction,
    NonInviteServerTransaction,
)


@dataclass
class Told:
    """What the transaction user was told, each with its time."""

    responses: list[tuple[float, int]] = field(default_factory=list)
    timed_out: list[float] = field(default_factory=list)
    failed: list[float] = field(default_factory=list)
    acks: list[Request] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)


class Owner:
    """Owns a transaction of either kind, and does nothing."""

    def on_response(self, tx: object, response: Response, now: float) -> None: ...

    def on_timeout(self, tx: object, now: float) -> None: ...

    def on_transport_failure(self, tx: object, now: float) -> None: ...

    def cancel(self, now: float, reasons: Sequence[str] = (), status: int = 487) -> None: ...


def owns(tx: ServerTransaction) -> bool:
    """Whether somebody deals with it; a helper, so that mypy forgets what it knew."""
    return tx.owner is not None


class User:
    """A transaction user with its table and its clock."""

    def __init__(self, timers: Timers | None = None, max_servers: int = 1000) -> None:
        self.table = TransactionTable(self, timers or Timers(), max_servers)
        self.now = 0.0
        self.sent: list[tuple[float, bytes]] = []
        self.flows: list[Flow] = []
        self.told = Told()

    # --- told by the transactions --------------------------------------------------------------
    def send(self, flow: Flow, data: bytes) -> None:
        self.sent.append((round(self.now, 6), data))
        self.flows.append(flow)

    def on_response(self, tx: object, response: Response, now: float) -> None:
        self.told.responses.append((now, response.status))

    def on_timeout(self, tx: object, now: float) -> None:
        self.told.timed_out.append(now)

    def on_transport_failure(self, tx: object, now: float) -> None:
        self.told.failed.append(now)

    def ack_received(self, request: Request, flow: Flow, now: float) -> None:
        self.told.acks.append(request)

    def server_ended(self, tx: object, now: float) -> None:
        self.told.ended.append(round(now, 6))

    # --- told to the transactions --------------------------------------------------------------
    def until(self, time: float) -> None:
        """Let time pass from deadline to deadline, those at `time` included."""
        while (due := self.table.next_deadline()) is not None and due <= time:
            self.now = due
            self.table.advance(due)
        self.now = time

    def receive(self, request: Request, flow: Flow = UDP) -> ServerTransaction | None:
        return self.table.receive_request(request, flow, self.now)

    def serve(self, method: str, flow: Flow = UDP, branch: str = BRANCH) -> ServerTransaction:
        tx = self.receive(a_request(method, branch), flow)
        assert tx is not None
        return tx

    def answer(self, tx: ServerTransaction, status: int) -> None:
        tx.respond(a_response(status, tx.request.method), self.now)

    def ask(self, method: str, flow: Flow = UDP, branch: str = BRANCH) -> ClientTransaction:
        return self.table.request(a_request(method, branch), flow, self.now, self)

    def hear(self, status: int, method: str, branch: str = BRANCH) -> bool:
        response = a_response(status, method, branch)
        return self.table.receive_response(response, UDP, self.now)

    # --- what came of it -----------------------------------------------------------------------
    def times(self, start: str) -> list[float]:
        """When messages were sent that start so."""
        return [time for time, data in self.sent if data.startswith(start.encode())]

    def all_sent(self, start: str) -> list[bytes]:
        return [data for _, data in self.sent if data.startswith(start.encode())]

    @property
    def statuses(self) -> list[int]:
        """Of the responses passed up."""
        return [status for _, status in self.told.responses]


def a_request(method: str, branch: str = BRANCH, *rows: tuple[str, str]) -> Request:
    """A request; `rows` replace those of the same name."""
    request = Request.build(
        method,
        "sip:boris@x",
        [
            ("Via", f"SIP/2.0/UDP 10.0.0.2:5060;branch={branch}"),
            ("Max-Forwards", "70"),
            ("From", "<sip:anna@x>;tag=1"),
            ("To", "<sip:boris@x>"),
            ("Call-ID", "c1"),
            ("CSeq", f"1 {method}"),
        ],
    )
    for name, value in rows:
        request.set(name, value)
    return request


def a_response(status: int, method: str, branch: str = BRANCH, to_tag: str = "t") -> Response:
    """A response to `a_request` of this method and branch."""
    return a_request(method, branch).respond(status, to_tag=to_tag)


def expect_state(tx: Transaction, state: State) -> None:
    assert tx.state is state, f"{tx!r} is not {state.name}"
