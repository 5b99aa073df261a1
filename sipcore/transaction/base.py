"""What the four machines share: a table of rows, two deadlines, one place that changes state.

The network never makes a machine raise: an input without a row in the present state is absorbed.
Actions run after the state has changed and may call the transaction user, which may use this or
another transaction in turn; so nothing is read from before the call afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, Protocol

from sipcore.message import Request
from sipcore.transaction.states import Input, State
from sipcore.transaction.timers import NEVER, TimerHeap, Timers
from sipcore.transport.flow import Flow

TERMINATED: Final = State.TERMINATED
RESEND: Final = Input.RESEND
END: Final = Input.END

Action = Callable[[Any, Any, float], None]
"""Called with (transaction, message or None, now) after the state has changed."""
Row = tuple[State, Action]
Table = Mapping[State, Mapping[Input, Row]]


class TransactionUser(Protocol):
    """The transaction user (RFC 3261 §17) and the way to the transport."""

    def send(self, flow: Flow, data: bytes) -> None:
        """Send a message on a flow."""

    def ack_received(self, request: Request, flow: Flow, now: float) -> None:
        """An ACK that no INVITE server transaction absorbs: that of a 2xx."""

    def server_ended(self, tx: Transaction, now: float) -> None:
        """A server transaction is gone."""


class TransactionHome:
    """What a transaction needs of the table it is in."""

    def __init__(self, tu: TransactionUser, timers: Timers) -> None:
        self.tu = tu
        self.timers = timers
        self.heap = TimerHeap()

    def ended(self, tx: Transaction, now: float) -> None:
        """A transaction terminated: forget it."""
        raise NotImplementedError

    def resized(self, tx: Any, size: int) -> None:
        """A server transaction holds so many bytes from now on."""
        raise NotImplementedError


class Transaction:
    """One transaction."""

    table: ClassVar[Table] = {}

    __slots__ = (
        "_home",
        "_scheduled_at",
        "_token",
        "end_at",
        "flow",
        "interval",
        "key",
        "last_status",
        "request",
        "resend_at",
        "state",
        "waits",
        "wire",
    )

    def __init__(
        self, home: TransactionHome, key: str, request: Request, flow: Flow, state: State
    ) -> None:
        self._home = home
        self.key = key
        self.request = request
        self.flow = flow
        self.state = state
        self.last_status = 0
        """Status of the last response sent or passed up, 0 before the first."""
        self.wire = b""
        """What is sent again."""
        self.waits = home.timers.reliable if flow.transport != "UDP" else home.timers.unreliable
        self.interval = 0.0
        """Seconds from the last `resend_at` to the next."""
        self.resend_at = NEVER
        self.end_at = NEVER
        self._scheduled_at = NEVER
        self._token = 0

    def __repr__(self) -> str:
        due = self.next_deadline()
        when = "never" if due is None else f"{due:.3f}"
        return f"<{type(self).__name__} {self.key!r} {self.state.name} next={when}>"

    def next_deadline(self) -> float | None:
        """When `advance` has something to do."""
        if self.state is TERMINATED:
            return None
        deadline = min(self.resend_at, self.end_at)
        return None if deadline == NEVER else deadline

    def apply(self, event: Input, message: Any, now: float) -> None:
        """Walk one row of the table; an input without a row is absorbed."""
        row = self.table[self.state].get(event)
        if row is not None:
            self.step(row, message, now)

    def step(self, row: Row, message: Any, now: float) -> None:
        """Change state, act, and see what is next: the one place where the state changes."""
        self.state = row[0]
        try:
            row[1](self, message, now)
        finally:
            # Also when the transaction user raised: nothing may stay behind for ever.
            if self.state is TERMINATED:
                self._home.ended(self, now)
            elif self.end_at <= now:  # zero on this transport, or overdue
                self.end_at = NEVER
                self.apply(END, None, now)
            else:
                self.reschedule()

    def advance(self, now: float) -> None:
        """Called by the table when the deadline it was given has come."""
        self._scheduled_at = NEVER
        if self.end_at <= now:
            self.end_at = NEVER
            self.apply(END, None, now)
        elif self.resend_at <= now:
            self.apply(RESEND, None, now)
        else:
            self.reschedule()

    def reschedule(self) -> None:
        """See to it that the heap wakes us in time.

        Too early is good enough: most deadlines are put off before they come, and one entry that is
        put back when it comes is cheaper than one for each change.
        """
        deadline = min(self.resend_at, self.end_at)
        if deadline < self._scheduled_at:
            heap = self._home.heap
            if self._scheduled_at != NEVER:
                heap.cancel(self._token)
            self._scheduled_at = deadline
            self._token = heap.schedule(deadline, self)

    def send_wire(self) -> None:
        """Send what is sent again."""
        self._home.tu.send(self.flow, self.wire)

    def let_go(self) -> None:
        """It is over: nothing may be left that points back, for the garbage collector."""

    def unschedule(self) -> None:
        """Have the heap let go of us."""
        if self._scheduled_at != NEVER:
            self._scheduled_at = NEVER
            self._home.heap.cancel(self._token)


def absorb(tx: Transaction, message: object, now: float) -> None:
    """Change nothing but the state."""


def resend(tx: Transaction, message: object, now: float) -> None:
    """Answer a retransmission with what was sent last."""
    if tx.wire:
        tx.send_wire()
