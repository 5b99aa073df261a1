"""The end of a worker's turn: what its messages say is on disk before they leave.

The one place that knows this order. `node/server.py` does it with files and sockets, the simulated
node of the tests with lists and delayed deliveries.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any, Protocol, TypeVar

from sipcore.bindings import BindingChange
from sipcore.eventlog import Record
from sipcore.locate import Question
from sipcore.node.worker import Worker
from sipcore.transport.flow import Flow

T_contra = TypeVar("T_contra", contravariant=True)


class Log(Protocol[T_contra]):
    """A file of rows: the spool or the journal."""

    def append(self, rows: Sequence[T_contra], /) -> None:
        """Have the rows survive this process. A full disk is its own affair and raises nothing."""


class TurnHost(Protocol):
    """The node, for all that a turn asks for beside its rows. Each is called once a turn at most."""

    def store(self, changes: list[BindingChange]) -> None:
        """Make binding changes durable; `Worker.stored` gets the answers."""

    def alias(self, aliases: list[tuple[int, int]]) -> None:
        """See `Outputs.aliases`."""

    def send(self, messages: list[tuple[Flow, bytes]]) -> None:
        """Send the messages; `Worker.send_failed` gets what could not be."""

    def hand_over(self, messages: list[tuple[int, Flow, bytes]]) -> None:
        """See `Outputs.handed`."""

    def note(self, notes: list[tuple[tuple[int, int], dict[str, Any]]]) -> None:
        """See `Outputs.notes`."""

    def ask(self, questions: list[Question]) -> None:
        """Ask the DNS; `Worker.answered` gets the answers."""

    def set_timer(self, deadline: float) -> None:
        """Call `Turn.woken` and `Worker.advance` at this time, and forget any later one."""


class Turn:
    """Ends the turns of one worker."""

    def __init__(
        self, worker: Worker, spool: Log[Record], journal: Log[dict[str, Any]], host: TurnHost
    ) -> None:
        self._worker = worker
        self._spool = spool
        self._journal = journal
        self._host = host
        self._wake_at = inf
        """When the host's timer goes off; inf while it has none."""

    def end(self) -> None:
        """Records, journal, then writes and messages; then set the timer."""
        out = self._worker.take()
        if out.records:
            self._spool.append(out.records)
        if out.journal:
            self._journal.append(out.journal)
        # From here on others hear of it.
        if out.writes:
            self._host.store(out.writes)
        if out.aliases:
            self._host.alias(out.aliases)
        if out.sends:
            self._host.send(out.sends)
        if out.handed:
            self._host.hand_over(out.handed)
        if out.notes:
            self._host.note(out.notes)
        if out.questions:
            self._host.ask(out.questions)
        self._set_timer()

    def woken(self) -> None:
        """The host's timer went off."""
        self._wake_at = inf

    def _set_timer(self) -> None:
        deadline = self._worker.next_deadline()
        if deadline is not None and deadline < self._wake_at:
            self._wake_at = deadline
            self._host.set_timer(deadline)
