"""What holds for all four machines: the whole tables, their clean-up, their repr."""

from __future__ import annotations

import gc
import itertools
import weakref

import pytest

from sipcore.message import Request, Response
from sipcore.transaction import (
    ClientTransaction,
    Input,
    ServerTransaction,
    State,
    Timers,
    Transaction,
)
from sipcore.transport.flow import Flow
from tests.sipcore.transaction.harness import (
    MACHINES,
    TCP,
    UDP,
    Owner,
    User,
    a_request,
    a_response,
    expect_state,
)

STATUS = {
    Input.SEND_1XX: 100,
    Input.SEND_2XX: 200,
    Input.SEND_3XX_6XX: 404,
    Input.RECEIVE_1XX: 180,
    Input.RECEIVE_2XX: 200,
    Input.RECEIVE_3XX_6XX: 404,
}
FIGURES: dict[str, dict[str, dict[str, str]]] = {
    # RFC 3261 Figure 5, RFC 6026 Figure 4 (and its 9.1 for the end of Proceeding)
    "InviteClientTransaction": {
        "CALLING": {
            "RESEND": "CALLING",
            "RECEIVE_1XX": "PROCEEDING",
            "RECEIVE_2XX": "ACCEPTED",
            "RECEIVE_3XX_6XX": "COMPLETED",
            "TRANSPORT_ERROR": "TERMINATED",
            "END": "TERMINATED",
        },
        "PROCEEDING": {
            "RECEIVE_1XX": "PROCEEDING",
            "RECEIVE_2XX": "ACCEPTED",
            "RECEIVE_3XX_6XX": "COMPLETED",
            "END": "TERMINATED",
        },
        "COMPLETED": {
            "RECEIVE_3XX_6XX": "COMPLETED",
            "TRANSPORT_ERROR": "TERMINATED",
            "END": "TERMINATED",
        },
        "ACCEPTED": {"RECEIVE_2XX": "ACCEPTED", "END": "TERMINATED"},
        "TERMINATED": {},
    },
    # RFC 3261 Figure 6
    "NonInviteClientTransaction": {
        "TRYING": {
            "RESEND": "TRYING",
            "RECEIVE_1XX": "PROCEEDING",
            "RECEIVE_2XX": "COMPLETED",
            "RECEIVE_3XX_6XX": "COMPLETED",
            "TRANSPORT_ERROR": "TERMINATED",
            "END": "TERMINATED",
        },
        "PROCEEDING": {
            "RESEND": "PROCEEDING",
            "RECEIVE_1XX": "PROCEEDING",
            "RECEIVE_2XX": "COMPLETED",
            "RECEIVE_3XX_6XX": "COMPLETED",
            "TRANSPORT_ERROR": "TERMINATED",
            "END": "TERMINATED",
        },
        "COMPLETED": {"END": "TERMINATED"},
        "TERMINATED": {},
    },
    # RFC 3261 Figure 7, RFC 6026 Figure 3
    "InviteServerTransaction": {
        "PROCEEDING": {
            "REQUEST": "PROCEEDING",
            "RESEND": "PROCEEDING",
            "SEND_1XX": "PROCEEDING",
            "SEND_2XX": "ACCEPTED",
            "SEND_3XX_6XX": "COMPLETED",
        },
        "ACCEPTED": {"ACK": "ACCEPTED", "SEND_2XX": "ACCEPTED", "END": "TERMINATED"},
        "COMPLETED": {
            "REQUEST": "COMPLETED",
            "RESEND": "COMPLETED",
            "ACK": "CONFIRMED",
            "SEND_2XX": "COMPLETED",
            "END": "TERMINATED",
        },
        "CONFIRMED": {"SEND_2XX": "CONFIRMED", "END": "TERMINATED"},
        "TERMINATED": {"SEND_2XX": "TERMINATED"},
    },
    # RFC 3261 Figure 8, RFC 4320
    "NonInviteServerTransaction": {
        "TRYING": {
            "RESEND": "PROCEEDING",
            "SEND_1XX": "PROCEEDING",
            "SEND_2XX": "COMPLETED",
            "SEND_3XX_6XX": "COMPLETED",
            "END": "TERMINATED",
        },
        "PROCEEDING": {
            "REQUEST": "PROCEEDING",
            "SEND_1XX": "PROCEEDING",
            "SEND_2XX": "COMPLETED",
            "SEND_3XX_6XX": "COMPLETED",
            "END": "TERMINATED",
        },
        "COMPLETED": {"REQUEST": "COMPLETED", "END": "TERMINATED"},
        "TERMINATED": {},
    },
}
SWEEP = list(itertools.product(MACHINES, State, Input, (UDP, TCP)))


def start(user: User, machine: type[Transaction], flow: Flow) -> Transaction:
    name = machine.__name__
    method = "MESSAGE" if "Non" in name else "INVITE"
    return user.ask(method, flow) if "Client" in name else user.serve(method, flow)


def the_message(tx: Transaction, event: Input) -> Request | Response | None:
    if event in STATUS:
        return a_response(STATUS[event], tx.request.method)
    if event in (Input.REQUEST, Input.ACK):
        return a_request("ACK" if event is Input.ACK else tx.request.method)
    return None


@pytest.mark.parametrize("machine", MACHINES)
def test_the_tables_are_the_figures(machine: type[Transaction]) -> None:
    found = {
        state.name: {event.name: row[0].name for event, row in rows.items()}
        for state, rows in machine.table.items()
    }
    assert found == FIGURES[machine.__name__]


@pytest.mark.parametrize(("machine", "state", "event", "flow"), SWEEP)
def test_any_input_in_any_state_follows_its_row_or_is_absorbed(
    machine: type[Transaction], state: State, event: Input, flow: Flow
) -> None:
    if state not in machine.table:
        assert state.name not in FIGURES[machine.__name__]
        return
    user = User()
    tx = start(user, machine, flow)
    message = the_message(tx, event)
    sent = len(user.sent)
    tx.state = state
    tx.apply(event, message, 1.0)
    row = machine.table[state].get(event)
    if row is None:
        expect_state(tx, state)
        assert len(user.sent) == sent
    else:
        assert tx.state in (row[0], State.TERMINATED)  # where a timer is zero, at once
        assert (tx.state is State.TERMINATED) == (len(user.table) == 0)


@pytest.mark.parametrize(
    ("machine", "text"),
    list(
        zip(
            MACHINES,
            [
                "<InviteClientTransaction 'z9hG4bKone' CALLING next=0.500>",
                "<NonInviteClientTransaction 'z9hG4bKone' TRYING next=0.500>",
                "<InviteServerTransaction 'z9hG4bKone 10.0.0.2:5060 INVITE' PROCEEDING next=0.150>",
                "<NonInviteServerTransaction 'z9hG4bKone 10.0.0.2:5060 MESSAGE' TRYING next=3.500>",
            ],
            strict=True,
        )
    ),
)
def test_repr_says_kind_key_state_and_next_deadline(machine: type[Transaction], text: str) -> None:
    assert repr(start(User(), machine, UDP)) == text


def test_repr_of_what_waits_for_nothing() -> None:
    user = User()
    tx = user.ask("INVITE")
    user.hear(180, "INVITE")
    assert repr(tx) == "<InviteClientTransaction 'z9hG4bKone' PROCEEDING next=never>"
    user.table.transport_failed("z9hG4bKone", 0.0)
    user.hear(200, "INVITE")
    user.until(100)
    assert repr(tx) == "<InviteClientTransaction 'z9hG4bKone' TERMINATED next=never>"
    user.ask("MESSAGE")
    user.serve("MESSAGE")
    assert repr(user.table) == "<TransactionTable servers=1 clients=1 next=100.5>"


def owned(tx: Transaction) -> Owner:
    """The owner that a transaction has from now on, and nobody else holds."""
    assert isinstance(tx, ClientTransaction | ServerTransaction)
    owner = Owner()
    tx.owner = owner
    return owner


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("flow", [UDP, TCP])
def test_a_transaction_that_ended_is_kept_alive_by_nothing(
    machine: type[Transaction], flow: Flow
) -> None:
    user = User()
    tx = start(user, machine, flow)
    gone = weakref.ref(owned(tx))
    method = tx.request.method
    if "Client" in machine.__name__:
        user.hear(486, method)
    else:
        tx.respond(a_response(486, method), 0.0)  # type: ignore[attr-defined]
        user.receive(a_request("ACK"), flow)
    del tx
    user.until(33)
    gc.collect()
    assert gone() is None
    assert len(user.table) == len(user.table.heap) == 0
    assert user.table.next_deadline() is None


@pytest.mark.parametrize("late", [0.0, 0.4, 100.0])
def test_timers_fire_however_late_they_are_fired(late: float) -> None:
    user = User()
    user.ask("INVITE")
    user.table.advance(0.5 + late)
    assert len(user.table) == (0 if late > 50 else 1)
    assert len(user.sent) == (1 if late > 50 else 2)
    assert user.told.timed_out == ([100.5] if late > 50 else [])


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_what_ends_while_its_timer_is_overdue_is_forgotten(method: str) -> None:
    user = User()
    user.ask(method)
    user.table.transport_failed("z9hG4bKone", 70.0)
    assert len(user.table) == len(user.table.heap) == 0
    assert user.told.failed == [70.0]
    assert user.told.timed_out == []


def test_an_overdue_timer_is_seen_when_something_else_happens() -> None:
    user = User()
    user.ask("MESSAGE")
    user.now = 70.0
    user.hear(100, "MESSAGE")
    assert user.statuses == [100]
    assert user.told.timed_out == [70.0]
    assert len(user.table) == 0


def test_advancing_too_early_changes_nothing() -> None:
    user = User()
    user.ask("INVITE")
    user.table.advance(0.49)
    assert len(user.sent) == 1
    assert user.table.next_deadline() == 0.5


class Clumsy(User):
    """A transaction user whose every method raises."""

    def on_response(self, tx: object, response: Response, now: float) -> None:
        raise RuntimeError

    def on_timeout(self, tx: object, now: float) -> None:
        raise RuntimeError

    def on_transport_failure(self, tx: object, now: float) -> None:
        raise RuntimeError

    def server_ended(self, tx: object, now: float) -> None:
        raise RuntimeError


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
@pytest.mark.parametrize("flow", [UDP, TCP])
def test_a_mistake_of_the_user_leaves_nothing_behind(method: str, flow: Flow) -> None:
    user = Clumsy()
    user.ask(method, flow, "z9hG4bKtimeout")
    user.ask(method, flow, "z9hG4bKfailing")
    user.ask(method, flow, "z9hG4bKanswered")
    user.answer(user.serve(method, UDP), 500)
    with pytest.raises(RuntimeError):
        user.table.transport_failed("z9hG4bKfailing", 0.0)
    with pytest.raises(RuntimeError):
        user.hear(404, method, "z9hG4bKanswered")
    for _ in range(10):
        try:
            user.until(100)
        except RuntimeError:
            continue
        break
    assert len(user.table) == len(user.table.heap) == 0


def test_the_user_may_use_the_branch_again_as_soon_as_it_is_free() -> None:
    class Hasty(User):
        def on_response(self, tx: object, response: Response, now: float) -> None:
            self.table.transport_failed("z9hG4bKone", now)
            self.ask("MESSAGE")

    user = Hasty()
    user.ask("MESSAGE")
    user.hear(100, "MESSAGE")
    assert len(user.table) == len(user.table.heap) == 1
    user.until(100)
    assert user.told.timed_out == [32.0]


def test_a_deadline_that_comes_nearer_replaces_the_one_before() -> None:
    user = User(Timers(t4=1.0))
    user.ask("MESSAGE")
    user.until(5)
    assert user.table.next_deadline() == 7.5  # timer E
    user.hear(200, "MESSAGE")
    assert user.table.next_deadline() == 6.0  # timer K
    assert len(user.table.heap) == 1
    user.until(6)
    assert len(user.table) == len(user.table.heap) == 0


def test_the_user_may_end_a_transaction_while_it_is_told_of_a_response() -> None:
    class Impatient(User):
        def on_response(self, tx: object, response: Response, now: float) -> None:
            self.table.transport_failed("z9hG4bKone", now)

    user = Impatient()
    user.ask("MESSAGE")
    user.hear(100, "MESSAGE")
    assert len(user.told.failed) == 1
    assert len(user.table) == len(user.table.heap) == 0
