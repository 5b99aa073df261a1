"""The end of a turn, with a host that writes down what it is asked for, in which order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import pytest

from sipcore.apps.config import Listener, WorkerConfig
from sipcore.apps.host import Outputs
from sipcore.bindings import BindingChange, BindingTable
from sipcore.campus import CampusService
from sipcore.eventlog import Kind, Record
from sipcore.node.turn import Turn
from sipcore.node.worker import Worker
from sipcore.transport.flow import Flow
from tests.sipcore.simulation.world import KEY, make_directory

OURS, THEIRS = ("192.0.2.1", 5060), ("198.51.100.1", 5060)
FLOW = Flow("UDP", OURS, THEIRS)
RECORD = Record(Kind.CALL_RING, "c", 1.0, {})
ROW = {"op": "end", "c": "c"}
CHANGE = BindingChange(1, 1, 2)

FILL: dict[str, Callable[[Outputs], None]] = {
    "spool": lambda out: out.records.append(RECORD),
    "journal": lambda out: out.journal.append(ROW),
    "store": lambda out: out.writes.append(CHANGE),
    "alias": lambda out: out.aliases.append((7, 5061)),
    "send": lambda out: out.sends.append((FLOW, b"a message")),
    "hand_over": lambda out: out.handed.append((1, FLOW, b"of another")),
    "note": lambda out: out.notes.append(((1, 0), {"op": "ended"})),
    "ask": lambda out: out.questions.append(("far.example", "SRV")),
}
"""What makes a worker ask for each of the things, in the order they are done."""
HEARD = [name for name in FILL if name not in ("spool", "journal")]
"""By what others can hear of a turn."""


class Sleeper:
    """Wants to be woken, and has nothing to do then."""

    def advance(self, now: float) -> None:
        pass


class Written:
    """The spool or the journal."""

    def __init__(self, name: str, host: Host) -> None:
        self._name = name
        self._host = host

    def append(self, rows: Sequence[Any]) -> None:
        self._host.did(self._name, list(rows))


class Host:
    """A worker, the end of its turns, and what that came to."""

    def __init__(self, dies_at: str = "") -> None:
        config = WorkerConfig(
            node="n1", cluster_keys=(KEY,), listeners=(Listener("UDP", OURS, OURS),)
        )
        self.worker = Worker(
            config, make_directory(["anna"]), BindingTable(), Random(1), CampusService
        )
        self.turn = Turn(self.worker, Written("spool", self), Written("journal", self), self)
        self.done: list[tuple[str, Any]] = []
        self._dies_at = dies_at

    def did(self, name: str, what: Any) -> None:
        if name == self._dies_at:
            raise SystemExit
        self.done.append((name, what))

    @property
    def order(self) -> list[str]:
        return [name for name, _ in self.done]

    def store(self, changes: list[BindingChange]) -> None:
        self.did("store", changes)

    def alias(self, aliases: list[tuple[int, int]]) -> None:
        self.did("alias", aliases)

    def send(self, messages: list[tuple[Flow, bytes]]) -> None:
        self.did("send", messages)

    def hand_over(self, messages: list[tuple[int, Flow, bytes]]) -> None:
        self.did("hand_over", messages)

    def note(self, notes: list[tuple[tuple[int, int], dict[str, Any]]]) -> None:
        self.did("note", notes)

    def ask(self, questions: list[Any]) -> None:
        self.did("ask", questions)

    def set_timer(self, deadline: float) -> None:
        self.did("set_timer", deadline)


def full(*, dies_at: str = "", but: str = "") -> Host:
    """A host whose worker asks for everything in one turn, or for all but one thing."""
    host = Host(dies_at)
    for name, fill in FILL.items():
        if name != but:
            fill(host.worker.out)
    host.worker.wake(Sleeper(), 5.0)
    return host


def test_everything_is_done_once_and_in_order() -> None:
    host = full()
    host.turn.end()
    host.turn.end()
    assert host.done == [
        ("spool", [RECORD]),
        ("journal", [ROW]),
        ("store", [CHANGE]),
        ("alias", [(7, 5061)]),
        ("send", [(FLOW, b"a message")]),
        ("hand_over", [(1, FLOW, b"of another")]),
        ("note", [((1, 0), {"op": "ended"})]),
        ("ask", [("far.example", "SRV")]),
        ("set_timer", 5.0),
    ]


@pytest.mark.parametrize("way", HEARD)
@pytest.mark.parametrize("log", ["spool", "journal"])
def test_rows_are_written_before_anybody_can_hear_of_them(log: str, way: str) -> None:
    host = Host()
    FILL[way](host.worker.out)
    FILL[log](host.worker.out)
    host.turn.end()
    assert host.order == [log, way]


@pytest.mark.parametrize("log", ["spool", "journal"])
def test_who_dies_while_writing_has_told_nobody(log: str) -> None:
    host = full(dies_at=log)
    with pytest.raises(SystemExit):
        host.turn.end()
    assert not set(host.order) & set(HEARD)


@pytest.mark.parametrize("way", HEARD)
def test_who_dies_while_telling_has_written_everything(way: str) -> None:
    host = full(dies_at=way)
    with pytest.raises(SystemExit):
        host.turn.end()
    assert host.done[:2] == [("spool", [RECORD]), ("journal", [ROW])]


@pytest.mark.parametrize("name", FILL)
def test_what_was_not_asked_for_is_not_done(name: str) -> None:
    host = full(but=name)
    host.turn.end()
    assert host.order == [*(other for other in FILL if other != name), "set_timer"]


def test_what_comes_of_sending_is_of_the_next_turn() -> None:
    class Failing(Host):
        def send(self, messages: list[tuple[Flow, bytes]]) -> None:
            super().send(messages)
            FILL["spool"](self.worker.out)

    host = Failing()
    FILL["send"](host.worker.out)
    host.turn.end()
    assert host.order == ["send"]
    host.turn.end()
    assert host.order == ["send", "spool"]


def test_the_timer_is_set_anew_only_for_an_earlier_time() -> None:
    host = Host()
    for deadline in (5.0, 7.0, 3.0, 4.0):
        host.worker.wake(Sleeper(), deadline)
        host.turn.end()
    assert host.done == [("set_timer", 5.0), ("set_timer", 3.0)]


def test_a_timer_that_went_off_is_set_for_what_comes_next() -> None:
    host = Host()
    host.worker.wake(Sleeper(), 3.0)
    host.worker.wake(Sleeper(), 5.0)
    host.turn.end()
    host.turn.woken()
    host.worker.advance(3.0, 1.7e9)
    host.turn.end()
    host.turn.end()
    assert host.done == [("set_timer", 3.0), ("set_timer", 5.0)]
