"""The four machines: each timer at its time, each input in each state."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from sipcore.errors import LocalProtocolError
from sipcore.message import Request, Response
from sipcore.transaction import (
    ClientTransaction,
    Input,
    InviteClientTransaction,
    InviteServerTransaction,
    NonInviteClientTransaction,
    NonInviteServerTransaction,
    ServerTransaction,
    State,
    Timers,
    TransactionTable,
)
from sipcore.transport.flow import Flow

UDP = Flow("UDP", ("10.0.0.1", 5060), ("10.0.0.2", 5060))
TCP = Flow("TCP", ("10.0.0.1", 5060), ("10.0.0.2", 5060), 7)
T = Timers()


class User:
    """A transaction user that remembers what it was told."""

    def __init__(self, max_servers: int = 1000) -> None:
        self.table = TransactionTable(self, T, max_servers)
        self.now = 0.0
        self.sent: list[tuple[float, bytes]] = []
        self.responses: list[int] = []
        self.timed_out: list[float] = []
        self.failed: list[float] = []
        self.acks: list[Request] = []
        self.ended = 0

    def send(self, flow: Flow, data: bytes) -> None:
        self.sent.append((round(self.now, 6), data))

    def response_received(self, tx: ClientTransaction, response: Response, now: float) -> None:
        self.responses.append(response.status)

    def client_timed_out(self, tx: ClientTransaction, now: float) -> None:
        self.timed_out.append(now)

    def client_failed(self, tx: ClientTransaction, now: float) -> None:
        self.failed.append(now)

    def ack_received(self, request: Request, flow: Flow, now: float) -> None:
        self.acks.append(request)

    def server_ended(self, tx: ServerTransaction, now: float) -> None:
        self.ended += 1

    def until(self, time: float) -> None:
        """Let time pass from deadline to deadline."""
        while (due := self.table.next_deadline()) is not None and due <= time:
            self.now = due
            self.table.advance(due)
        self.now = time

    def times(self, start: bytes = b"") -> list[float]:
        return [t for t, data in self.sent if data.startswith(start)]


def request(method: str, branch: str = "z9hG4bKone", **headers: str) -> Request:
    rows = [
        ("Via", f"SIP/2.0/UDP 10.0.0.2:5060;branch={branch}"),
        ("Max-Forwards", "70"),
        ("From", "<sip:a@x>;tag=1"),
        ("To", "<sip:b@x>"),
        ("Call-ID", "c1"),
        ("CSeq", f"1 {method}"),
    ]
    rows += [(name.replace("_", "-"), value) for name, value in headers.items()]
    return Request.build(method, "sip:b@x", rows)


def client(user: User, method: str, flow: Flow = UDP, **headers: str) -> ClientTransaction:
    return user.table.request(request(method, **headers), flow, user.now, None)


def server(user: User, method: str, flow: Flow = UDP) -> ServerTransaction:
    tx = user.table.receive_request(request(method), flow, user.now)
    assert tx is not None
    return tx


def reply(tx: Any, status: int) -> Response:
    response: Response = tx.request.respond(status, to_tag="t")
    return response


def answer(user: User, tx: ClientTransaction, status: int) -> None:
    user.table.receive_response(reply(tx, status), user.now)


# --- client INVITE -----------------------------------------------------------------------------
def test_timer_a_doubles_until_timer_b_gives_up() -> None:
    user = User()
    client(user, "INVITE")
    user.until(40)
    assert user.times(b"INVITE") == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert user.timed_out == [32.0]
    assert len(user.table) == 0


def test_a_provisional_ends_retransmission_and_timer_b() -> None:
    user = User()
    tx = client(user, "INVITE")
    user.until(0.6)
    answer(user, tx, 180)
    answer(user, tx, 183)
    user.until(400)
    assert user.times(b"INVITE") == [0, 0.5]
    assert user.responses == [180, 183]
    assert user.timed_out == []
    assert tx.state is State.PROCEEDING


def test_a_failure_is_acked_each_time_it_comes_and_passed_up_once() -> None:
    user = User()
    tx = client(user, "INVITE", Route="<sip:10.0.0.9;lr>")
    answer(user, tx, 486)
    answer(user, tx, 486)
    acks = [data for _, data in user.sent if data.startswith(b"ACK")]
    assert user.responses == [486]
    assert len(acks) == 2
    assert acks[0] == acks[1]
    for piece in (b"branch=z9hG4bKone", b"CSeq: 1 ACK", b"Route: <sip:10.0.0.9;lr>", b";tag=t"):
        assert piece in acks[0]
    user.until(31.9)
    assert len(user.table) == 1
    user.until(32.1)
    assert len(user.table) == 0  # timer D


def test_every_2xx_is_passed_up_until_timer_m() -> None:
    user = User()
    tx = client(user, "INVITE")
    answer(user, tx, 200)
    answer(user, tx, 200)
    user.until(31.9)
    answer(user, tx, 200)
    assert user.responses == [200, 200, 200]
    assert tx.state is State.ACCEPTED
    user.until(32.1)
    assert len(user.table) == 0


def test_over_streams_nothing_is_sent_again_and_a_failure_ends_at_once() -> None:
    user = User()
    tx = client(user, "INVITE", TCP)
    user.until(20)
    assert len(user.sent) == 1
    answer(user, tx, 404)
    assert len(user.table) == 0


def test_a_transport_failure_is_told_once() -> None:
    user = User()
    client(user, "INVITE")
    user.table.transport_failed("z9hG4bKone", 1.0)
    user.table.transport_failed("z9hG4bKone", 2.0)
    assert user.failed == [1.0]
    assert len(user.table) == 0


def test_a_failure_of_a_message_is_found_by_its_branch() -> None:
    user = User()
    client(user, "MESSAGE")
    user.table.transport_failed("z9hG4bKone", 1.0)
    assert user.failed == [1.0]


# --- client non-INVITE ---------------------------------------------------------------------------
def test_timer_e_doubles_up_to_t2_until_timer_f() -> None:
    user = User()
    client(user, "MESSAGE")
    user.until(40)
    assert user.times(b"MESSAGE") == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert user.timed_out == [32.0]


def test_after_a_provisional_timer_e_is_t2() -> None:
    user = User()
    tx = client(user, "MESSAGE")
    user.until(0.1)
    answer(user, tx, 100)
    user.until(13)
    assert user.times(b"MESSAGE") == [0, 0.5, 4.5, 8.5, 12.5]


def test_a_final_is_passed_up_once_and_kept_for_timer_k() -> None:
    user = User()
    tx = client(user, "MESSAGE")
    answer(user, tx, 200)
    answer(user, tx, 200)
    assert user.responses == [200]
    user.until(4.9)
    assert len(user.table) == 1
    user.until(5.1)
    assert len(user.table) == 0
    user = User()
    answer(user, client(user, "MESSAGE", TCP), 404)
    assert len(user.table) == 0


def test_a_stray_response_matches_nothing() -> None:
    user = User()
    assert not user.table.receive_response(request("BYE").respond(200), 0.0)


# --- server INVITE -------------------------------------------------------------------------------
def test_an_invite_nobody_answers_gets_a_100_within_200_ms() -> None:
    user = User()
    server(user, "INVITE")
    user.until(1)
    assert user.times(b"SIP/2.0 100") == [0.15]


def test_an_answered_invite_gets_no_100() -> None:
    user = User()
    tx = server(user, "INVITE")
    tx.respond(reply(tx, 180), 0.1)
    user.until(1)
    assert not user.times(b"SIP/2.0 100")


def test_a_repeated_invite_gets_the_last_provisional_again() -> None:
    user = User()
    tx = server(user, "INVITE")
    tx.respond(reply(tx, 180), 0.0)
    assert user.table.receive_request(request("INVITE"), UDP, 0.5) is None
    assert len(user.times(b"SIP/2.0 180")) == 2


def test_failure_is_resent_with_doubling_interval_until_timer_h() -> None:
    user = User()
    tx = server(user, "INVITE")
    tx.respond(reply(tx, 486), 0.0)
    user.until(12)
    assert user.times(b"SIP/2.0 486") == [0, 0.5, 1.5, 3.5, 7.5, 11.5]
    user.until(33)
    assert len(user.table) == 0


def test_an_ack_ends_the_repetition_and_timer_i_the_rest() -> None:
    user = User()
    tx = server(user, "INVITE")
    tx.respond(reply(tx, 486), 0.0)
    user.until(1)
    user.table.receive_request(request("ACK"), UDP, 1.0)
    user.table.receive_request(request("ACK"), UDP, 1.1)
    user.until(5.9)
    assert user.times(b"SIP/2.0 486") == [0, 0.5]
    assert not user.acks
    assert tx.state is State.CONFIRMED
    user.until(6.1)
    assert len(user.table) == 0
    assert user.ended == 1


def test_over_a_stream_the_ack_ends_everything() -> None:
    user = User()
    tx = server(user, "INVITE", TCP)
    tx.respond(reply(tx, 486), 0.0)
    user.until(10)
    assert len(user.sent) == 1
    user.table.receive_request(request("ACK"), TCP, 10.0)
    assert len(user.table) == 0


def test_accepted_absorbs_the_invite_and_passes_the_ack_up() -> None:
    user = User()
    tx = server(user, "INVITE")
    tx.respond(reply(tx, 200), 0.0)
    assert user.table.receive_request(request("INVITE"), UDP, 0.5) is None
    assert len(user.times(b"SIP/2.0 200")) == 1
    tx.respond(reply(tx, 200), 1.0)
    assert len(user.times(b"SIP/2.0 200")) == 2
    user.table.receive_request(request("ACK"), UDP, 1.5)
    assert len(user.acks) == 1
    user.until(32.1)
    assert len(user.table) == 0  # timer L


# --- server non-INVITE -----------------------------------------------------------------------------
def test_a_repeated_request_gets_the_final_again_until_timer_j() -> None:
    user = User()
    tx = server(user, "MESSAGE")
    assert user.table.receive_request(request("MESSAGE"), UDP, 0.1) is None
    assert not user.sent  # Trying: nothing to repeat, and no 100 (RFC 4320 §4.1)
    tx.respond(reply(tx, 200), 0.2)
    assert user.table.receive_request(request("MESSAGE"), UDP, 0.5) is None
    assert len(user.times(b"SIP/2.0 200")) == 2
    user.until(32.3)
    assert len(user.table) == 0


def test_a_provisional_of_a_message_is_repeated_to_its_retransmission() -> None:
    user = User()
    tx = server(user, "MESSAGE")
    tx.respond(reply(tx, 183), 0.0)
    user.table.receive_request(request("MESSAGE"), UDP, 0.5)
    assert len(user.times(b"SIP/2.0 183")) == 2


def test_over_a_stream_a_final_ends_at_once_and_an_unanswered_request_after_timer_f() -> None:
    user = User()
    tx = server(user, "MESSAGE", TCP)
    tx.respond(reply(tx, 200), 0.0)
    assert len(user.table) == 0
    server(user, "MESSAGE")
    user.until(38)
    assert len(user.table) == 0


def test_a_second_final_is_our_own_mistake() -> None:
    user = User()
    tx = server(user, "MESSAGE")
    tx.respond(reply(tx, 200), 0.0)
    with pytest.raises(LocalProtocolError):
        tx.respond(reply(tx, 404), 0.1)
    tx.respond(reply(tx, 183), 0.2)  # a late provisional is let pass, and not sent
    assert len(user.sent) == 1


# --- matching ------------------------------------------------------------------------------------
def test_a_cancel_finds_its_invite_and_an_unknown_one_nothing() -> None:
    user = User()
    tx = server(user, "INVITE")
    assert user.table.find_invite(request("CANCEL")) is tx
    assert user.table.find_invite(request("CANCEL", "z9hG4bKother")) is None


def test_another_sent_by_is_another_transaction() -> None:
    user = User()
    server(user, "MESSAGE")
    other = request("MESSAGE")
    other.set("Via", "SIP/2.0/UDP 10.0.0.3:5060;branch=z9hG4bKone")
    assert user.table.receive_request(other, UDP, 0.0) is not None


@pytest.mark.parametrize("branch", ["old", "z9hG4bK"])
def test_without_the_magic_cookie_the_old_rules_match(branch: str) -> None:
    user = User()
    first = user.table.receive_request(request("INVITE", branch), UDP, 0.0)
    assert first is not None
    assert user.table.receive_request(request("INVITE", branch), UDP, 0.1) is None
    other = request("INVITE", branch)
    other.set("Call-ID", "c2")
    assert user.table.receive_request(other, UDP, 0.2) is not None
    first.respond(reply(first, 486), 0.3)
    user.table.receive_request(request("ACK", branch), UDP, 0.4)
    assert first.state is State.CONFIRMED


def test_too_many_transactions_are_answered_503() -> None:
    user = User(max_servers=1)
    server(user, "MESSAGE")
    assert user.table.receive_request(request("MESSAGE", "z9hG4bKtwo"), UDP, 0.0) is None
    assert user.sent[-1][1].startswith(b"SIP/2.0 503")


def test_repr_says_kind_key_state_and_next_deadline() -> None:
    user = User()
    text = repr(client(user, "INVITE"))
    assert text == "<InviteClientTransaction 'z9hG4bKone INVITE' CALLING next=0.500>"


# --- the whole table -------------------------------------------------------------------------------
MACHINES = [
    InviteClientTransaction,
    NonInviteClientTransaction,
    InviteServerTransaction,
    NonInviteServerTransaction,
]


@pytest.mark.parametrize(
    ("machine", "state", "event"), list(itertools.product(MACHINES, State, Input))
)
def test_no_input_leaves_the_known_states(machine: Any, state: State, event: Input) -> None:
    user = User()
    invite = "Non" not in machine.__name__
    method = "INVITE" if invite else "MESSAGE"
    tx: Any = client(user, method) if "Client" in machine.__name__ else server(user, method)
    if state not in machine.table:
        return
    tx.state = state
    status = {3: 200, 6: 200, 4: 404, 7: 404}.get(int(event), 180)
    message = reply(tx, status)
    if event in (Input.SEND_1XX, Input.SEND_2XX, Input.SEND_3XX_6XX):
        tx.wire = message.to_bytes()
    row = machine.table[state].get(event)
    tx.apply(event, message, 1.0)
    if row is None:
        assert tx.state is state
    else:
        assert tx.state in (row[0], State.TERMINATED)
