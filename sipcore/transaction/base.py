"""What the four machines share: one table row at a time, two timers, one deadline."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from sipcore.message import Request
from sipcore.transaction.states import Input, State
from sipcore.transaction.timers import Timers
from sipcore.transport.flow import Flow

if TYPE_CHECKING:
    from sipcore.transaction.table import TransactionTable

NEVER = float("inf")

Action = Callable[[Any, Any, float], None]
"""Called with (transaction, message or None, now) after the state has changed."""
Row = tuple[State, Action]
Table = Mapping[State, Mapping[Input, Row]]


class Transaction:
    """One transaction. `owner` is whatever the transaction user keeps with it."""

    table: Table = {}

    __slots__ = (
        "_home",
        "end_at",
        "flow",
        "interval",
        "key",
        "last_status",
        "owner",
        "request",
        "resend_at",
        "scheduled_at",
        "state",
        "wire",
    )

    def __init__(
        self, home: TransactionTable, key: str, request: Request, flow: Flow, state: State
    ) -> None:
        self._home = home
        self.key = key
        self.request = request
        self.flow = flow
        self.state = state
        self.owner: Any = None
        self.last_status = 0
        """Status of the last response sent or received, 0 before the first."""
        self.wire = b""
        """What is sent again."""
        self.interval = 0.0
        self.resend_at = NEVER
        self.end_at = NEVER
        self.scheduled_at = NEVER

    def __repr__(self) -> str:
        due = self.next_deadline()
        when = "never" if due is None else f"{due:.3f}"
        return f"<{type(self).__name__} {self.key!r} {self.state.name} next={when}>"

    @property
    def timers(self) -> Timers:
        return self._home.timers

    def next_deadline(self) -> float | None:
        """When `advance` has something to do."""
        deadline = min(self.resend_at, self.end_at)
        return None if deadline == NEVER else deadline

    def apply(self, event: Input, message: Any, now: float) -> None:
        """Walk one row of the table; an event without a row is absorbed."""
        row = self.table[self.state].get(event)
        if row is None:
            return
        self.state = row[0]
        row[1](self, message, now)
        if self.state is State.TERMINATED:
            self._home.ended(self, now)
        else:
            self._home.reschedule(self)

    def advance(self, now: float) -> None:
        """Fire the timers that are due."""
        if self.end_at <= now:
            self.end_at = NEVER
            self.apply(Input.END, None, now)
        elif self.resend_at <= now:
            self.apply(Input.RESEND, None, now)
        else:
            self._home.reschedule(self)

    def send_wire(self) -> None:
        """Send what is sent again."""
        self._home.tu.send(self.flow, self.wire)

    def stop_resending(self) -> None:
        self.resend_at = NEVER


def absorb(tx: Transaction, message: object, now: float) -> None:
    """Change nothing but the state."""


def resend(tx: Transaction, message: object, now: float) -> None:
    """Answer a retransmission with what was sent last."""
    if tx.wire:
        tx.send_wire()


def end(tx: Transaction, message: object, now: float) -> None:
    """Nothing more to do: the table forgets the transaction."""
