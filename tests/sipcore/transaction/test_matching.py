"""Which message belongs to which transaction: RFC 3261 §17.1.3, §17.2.3, §9.2; RFC 6026 §8.2."""

from __future__ import annotations

import pytest

from sipcore.message import Request, parse_message
from sipcore.transaction import InviteServerTransaction, ServerTransaction, State
from sipcore.transport.flow import Address, Flow
from tests.sipcore.transaction.harness import (
    BRANCH,
    TCP,
    UDP,
    User,
    a_request,
    a_response,
    expect_state,
)

OLD_BRANCHES = ["old", "z9hG4bK", "Z9HG4BKone", ""]
"""Without the magic cookie, or with nothing behind it."""


@pytest.fixture
def user() -> User:
    return User()


def via(text: str) -> tuple[str, str]:
    return ("Via", text)


def old(method: str, *rows: tuple[str, str], branch: str = "old") -> Request:
    return a_request(method, branch, *rows)


# --- requests with the magic cookie --------------------------------------------------------------
@pytest.mark.section("3261 17.2.3")
@pytest.mark.parametrize(
    "same",
    [
        "SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bKone",
        "SIP/2.0/UDP 10.0.0.2;branch=z9hG4bKone",
        "SIP/2.0/UDP 10.0.0.2;rport=1000;received=10.9.9.9;branch=z9hG4bKone",
        "SIP / 2.0 / UDP 10.0.0.2 : 5060 ; branch = z9hG4bKone",
    ],
)
def test_the_same_branch_sent_by_and_method_are_the_same_transaction(user: User, same: str) -> None:
    user.serve("MESSAGE")
    assert user.receive(a_request("MESSAGE", BRANCH, via(same), ("Call-ID", "other"))) is None
    assert len(user.table) == 1


@pytest.mark.section("3261 17.2.3")
@pytest.mark.parametrize(
    "other",
    [
        "SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bKtwo",
        "SIP/2.0/UDP 10.0.0.2:5061;branch=z9hG4bKone",
        "SIP/2.0/UDP 10.0.0.3:5060;branch=z9hG4bKone",
        "SIP/2.0/TLS 10.0.0.2;branch=z9hG4bKone",
    ],
)
def test_another_branch_or_sent_by_is_another_transaction(user: User, other: str) -> None:
    user.serve("MESSAGE")
    assert user.receive(a_request("MESSAGE", BRANCH, via(other))) is not None
    assert len(user.table) == 2


@pytest.mark.section("3261 17.2.3")
def test_sent_by_is_compared_without_case(user: User) -> None:
    assert user.receive(a_request("BYE", BRANCH, via("SIP/2.0/UDP Phone.X;branch=z9hG4bKa")))
    again = a_request("BYE", BRANCH, via("SIP/2.0/UDP phone.x;branch=z9hG4bKa"))
    assert user.receive(again) is None


@pytest.mark.section("3261 17.2.3")
def test_another_method_is_another_transaction(user: User) -> None:
    kinds = {method: type(user.serve(method)) for method in ("INVITE", "CANCEL", "MESSAGE")}
    assert len(user.table) == 3
    assert [kind is InviteServerTransaction for kind in kinds.values()] == [True, False, False]


@pytest.mark.section("3261 17.2.3")
def test_an_ack_belongs_to_the_invite_of_its_branch(user: User) -> None:
    first, second = user.serve("INVITE"), user.serve("INVITE", branch="z9hG4bKtwo")
    user.answer(first, 486)
    user.answer(second, 486)
    user.receive(a_request("ACK", "z9hG4bKtwo"))
    expect_state(first, State.COMPLETED)
    expect_state(second, State.CONFIRMED)


@pytest.mark.section("3261 17.1.1.3")
def test_an_ack_with_a_branch_of_its_own_is_passed_up(user: User) -> None:
    user.answer(user.serve("INVITE"), 200)
    ack = a_request("ACK", "z9hG4bKack")
    assert user.receive(ack) is None
    assert user.told.acks == [ack]
    assert len(user.table) == 1


def test_a_repetition_over_another_flow_is_answered_where_the_first_came_from(user: User) -> None:
    user.answer(user.serve("MESSAGE", UDP), 200)
    user.receive(a_request("MESSAGE"), TCP)
    assert user.flows == [UDP, UDP]


# --- CANCEL --------------------------------------------------------------------------------------
@pytest.mark.section("3261 9.2")
@pytest.mark.parametrize("status", [0, 180, 200, 486])
def test_a_cancel_finds_its_invite_whatever_it_was_answered(user: User, status: int) -> None:
    invite = user.serve("INVITE")
    if status:
        user.answer(invite, status)
    assert user.table.find_invite(a_request("CANCEL"), UDP) is invite


@pytest.mark.section("3261 9.2")
def test_a_cancel_finds_nothing_when_there_is_no_such_invite(user: User) -> None:
    user.serve("MESSAGE")
    user.serve("INVITE", branch="z9hG4bKtwo")
    assert user.table.find_invite(a_request("CANCEL"), UDP) is None


@pytest.mark.section("3261 9.2")
def test_a_repeated_cancel_gets_its_answer_again(user: User) -> None:
    user.serve("INVITE")
    user.answer(user.serve("CANCEL"), 200)
    assert user.receive(a_request("CANCEL")) is None
    assert len(user.times("SIP/2.0 200")) == 2


# --- requests of RFC 2543 ------------------------------------------------------------------------
def start_old(user: User, method: str, *rows: tuple[str, str]) -> ServerTransaction:
    tx = user.receive(old(method, *rows))
    assert tx is not None
    return tx


@pytest.mark.section("3261 17.2.3")
@pytest.mark.parametrize("branch", OLD_BRANCHES)
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_without_the_cookie_the_same_headers_are_the_same_transaction(
    user: User, branch: str, method: str
) -> None:
    assert user.receive(old(method, branch=branch)) is not None
    assert user.receive(old(method, branch=branch)) is None
    assert len(user.table) == 1


@pytest.mark.section("3261 17.2.3")
@pytest.mark.parametrize("branch", OLD_BRANCHES)
def test_a_branch_of_the_old_kind_alone_tells_nothing(user: User, branch: str) -> None:
    assert user.receive(old("MESSAGE", branch=branch)) is not None
    assert user.receive(old("MESSAGE", ("Call-ID", "c2"), branch=branch)) is not None


@pytest.mark.section("3261 17.2.3")
def test_a_via_without_any_branch_is_of_the_old_kind(user: User) -> None:
    bare = via("SIP/2.0/UDP 10.0.0.2")
    assert user.receive(old("BYE", bare)) is not None
    assert user.receive(old("BYE", bare)) is None
    assert user.receive(old("BYE", via("SIP/2.0/UDP 10.0.0.4"))) is not None


@pytest.mark.section("3261 17.2.3")
@pytest.mark.parametrize(
    "difference",
    [
        ("To", "<sip:boris@x>;tag=b"),
        ("From", "<sip:anna@x>;tag=2"),
        ("Call-ID", "c2"),
        ("CSeq", "2 INVITE"),
        ("Via", "SIP/2.0/UDP 10.0.0.3:5060;branch=old"),
        ("Via", "SIP/2.0/TCP 10.0.0.2:5060;branch=old"),
        ("Via", "SIP/2.0/UDP 10.0.0.2:5060;branch=older"),
    ],
)
def test_without_the_cookie_any_difference_is_another_transaction(
    user: User, difference: tuple[str, str]
) -> None:
    start_old(user, "INVITE")
    assert user.receive(old("INVITE", difference)) is not None
    assert len(user.table) == 2


@pytest.mark.section("3261 17.2.3")
def test_without_the_cookie_another_request_uri_is_another_transaction(user: User) -> None:
    start_old(user, "INVITE")
    other = old("INVITE")
    other.uri_text = "sip:clara@x"
    assert user.receive(other) is not None


@pytest.mark.section("3261 17.2.3")
@pytest.mark.parametrize(("to_tag", "state"), [("t", State.CONFIRMED), ("other", State.COMPLETED)])
def test_without_the_cookie_an_ack_has_the_to_tag_of_our_response(
    user: User, to_tag: str, state: State
) -> None:
    invite = start_old(user, "INVITE")
    user.answer(invite, 486)
    user.receive(old("ACK", ("To", f"<sip:boris@x>;tag={to_tag}")))
    expect_state(invite, state)
    assert len(user.told.acks) == (to_tag == "other")


@pytest.mark.section("3261 17.2.3")
def test_without_the_cookie_an_ack_inside_a_dialog_has_the_to_tag_of_its_invite(user: User) -> None:
    inside = ("To", "<sip:boris@x>;tag=b")
    invite = start_old(user, "INVITE", inside)
    user.answer(invite, 488)
    user.receive(old("ACK", inside))
    expect_state(invite, State.CONFIRMED)


@pytest.mark.section("6026 7.1")
def test_without_the_cookie_the_ack_of_a_2xx_is_passed_up(user: User) -> None:
    user.answer(start_old(user, "INVITE"), 200)
    user.receive(old("ACK", ("To", "<sip:boris@x>;tag=t")))
    assert len(user.told.acks) == 1


def test_without_the_cookie_an_ack_of_nothing_is_passed_up(user: User) -> None:
    user.receive(old("ACK"))
    assert len(user.told.acks) == 1


@pytest.mark.section("3261 9.2")
def test_without_the_cookie_a_cancel_finds_its_invite(user: User) -> None:
    invite = start_old(user, "INVITE")
    assert user.table.find_invite(old("CANCEL"), UDP) is invite
    assert user.table.find_invite(old("CANCEL", ("Call-ID", "c2")), UDP) is None


def test_an_old_key_cannot_be_made_to_look_like_a_new_one(user: User) -> None:
    start_old(user, "MESSAGE")
    assert all("\n" in key for key in user.table._servers)
    user.serve("MESSAGE")
    assert len(user.table) == 2


# --- responses -----------------------------------------------------------------------------------
@pytest.mark.section("3261 17.1.3")
def test_a_response_belongs_to_the_request_of_its_branch_and_cseq_method(user: User) -> None:
    invite, cancel = user.ask("INVITE"), user.ask("CANCEL")
    user.hear(200, "CANCEL")
    expect_state(invite, State.CALLING)
    expect_state(cancel, State.COMPLETED)
    user.hear(487, "INVITE")
    expect_state(invite, State.COMPLETED)


@pytest.mark.section("6026 8.2")
@pytest.mark.parametrize(
    ("method", "branch"),
    [("MESSAGE", "z9hG4bKtwo"), ("BYE", BRANCH), ("CANCEL", BRANCH), ("INVITE", BRANCH)],
)
def test_a_stray_response_matches_nothing(user: User, method: str, branch: str) -> None:
    tx = user.ask("MESSAGE")
    assert user.hear(200, method, branch) is False
    expect_state(tx, State.TRYING)
    assert user.statuses == []


def test_only_the_topmost_via_of_a_response_counts(user: User) -> None:
    user.ask("MESSAGE")
    response = a_response(200, "MESSAGE", "z9hG4bKother")
    response.append("Via", f"SIP/2.0/UDP 10.0.0.9;branch={BRANCH}")
    assert user.table.receive_response(response, UDP, 0.0) is False
    response.pop("Via")
    assert user.table.receive_response(response, UDP, 0.0) is True


@pytest.mark.section("3261 17.1.3", "3261 8.2.6.2")
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
@pytest.mark.parametrize(
    ("name", "value", "is_taken"),
    [
        ("Call-ID", "C1", False),
        ("Call-ID", "c1 ", True),
        ("CSeq", "2 {method}", False),
        ("CSeq", "001  {method}", True),
        ("From", "<sip:anna@x>;tag=2", False),
        ("From", "<sip:anna@x>", False),
        ("From", '"Anna" <sip:anna@y;a=b>;c=d;tag=1', True),  # re-printed
        ("To", "<sip:anybody@y>;tag=7", True),
    ],
)
def test_a_response_has_the_call_id_from_tag_and_number_of_its_request(
    user: User, method: str, name: str, value: str, is_taken: bool
) -> None:
    user.ask(method)
    response = a_response(200, method)
    response.set(name, value.format(method=method))
    assert user.table.receive_response(response, UDP, 0.0) is is_taken
    assert user.statuses == [200] * is_taken
    if method == "INVITE" and is_taken:  # of an accepted one as well
        response.set("CSeq", "2 INVITE")
        assert user.table.receive_response(response, UDP, 1.0) is False


def test_a_request_without_from_tag_is_answered_without(user: User) -> None:
    request = a_request("MESSAGE", BRANCH, ("From", "<sip:anna@x>"))
    user.table.request(request, UDP, 0.0, user)
    assert user.hear(200, "MESSAGE") is False
    assert user.table.receive_response(request.respond(200, to_tag="t"), UDP, 0.0) is True


@pytest.mark.section("3261 18.1.2")
@pytest.mark.parametrize(
    ("asked", "answers", "is_marked"),
    [
        ("10.0.0.2", "10.0.0.2", False),
        ("10.0.0.2", "10.0.0.3", True),
        ("10.0.0.2", "::ffff:10.0.0.2", False),
        ("2001:db8:0:0:0:0:0:2", "2001:db8::2", False),
        ("2001:DB8::2", "2001:db8::2", False),
        ("fe80::1", "fe80::1%eth0", False),
        ("2001:db8::2", "2001:db8::3", True),
    ],
)
def test_a_response_from_another_host_is_taken_and_marked(
    user: User, asked: str, answers: str, is_marked: bool
) -> None:
    user.ask("MESSAGE", Flow("UDP", ("::", 5060), (asked, 5060)))
    response = a_response(200, "MESSAGE")
    # Another port, or a connection, says nothing.
    flow = Flow("TCP", ("::", 5060), (answers, 40_000), 3)
    assert user.table.receive_response(response, flow, 0.0) is True
    assert response.from_elsewhere is is_marked


@pytest.mark.section("3261 18.4")
@pytest.mark.parametrize(
    ("destination", "fails"),
    [
        (None, True),
        (("10.0.0.2", 5060), True),
        (("::ffff:10.0.0.2", 5060), True),
        (("10.0.0.2", 5061), False),
        (("10.0.0.3", 5060), False),
    ],
)
@pytest.mark.parametrize("flow", [UDP, TCP])
def test_a_network_error_counts_for_datagrams_to_that_address_alone(
    user: User, flow: Flow, destination: Address | None, fails: bool
) -> None:
    user.ask("INVITE", flow)
    user.table.transport_failed(BRANCH, 0.0, destination)
    by_datagram = flow is UDP or destination is None
    assert bool(user.told.failed) is (fails and by_datagram)


# --- too many ------------------------------------------------------------------------------------
def test_too_many_server_transactions_are_answered_503_without_state() -> None:
    user = User(max_servers=2)
    user.table.knows(UDP)
    known = user.serve("INVITE")
    user.serve("MESSAGE")
    for _ in range(2):
        assert user.receive(a_request("MESSAGE", "z9hG4bKtwo"), TCP) is None
    assert len(user.table) == user.table.refused == 2
    assert user.sent[0][1] == user.sent[1][1]  # a repetition gets the same tag (§8.2.7)
    assert user.flows[0] == TCP
    refusal = parse_message(user.sent[0][1])
    assert refusal.to_tag
    assert refusal.first("retry-after") == "10"
    assert refusal.branch == "z9hG4bKtwo"

    user.receive(a_request("INVITE"))  # what is known goes on
    user.answer(known, 486)
    user.receive(a_request("ACK"))
    user.until(100)
    user.serve("MESSAGE", branch="z9hG4bKtwo")


def test_client_transactions_do_not_count_against_the_limit() -> None:
    user = User(max_servers=1)
    user.table.knows(UDP)
    user.ask("MESSAGE", branch="z9hG4bKtwo")
    user.serve("MESSAGE")
    assert len(user.table) == 2


# --- another sent-by -----------------------------------------------------------------------------
LEARNED = via("SIP/2.0/UDP 203.0.113.9:1024;branch=z9hG4bKone")


@pytest.mark.section("3261 9.2")
@pytest.mark.parametrize("status", [0, 180, 486])
@pytest.mark.parametrize("flow", [UDP, TCP])
def test_a_cancel_of_another_sent_by_from_the_same_source_finds_its_invite(
    user: User, status: int, flow: Flow
) -> None:
    invite = user.serve("INVITE", flow)
    if status:
        user.answer(invite, status)
    assert user.table.find_invite(a_request("CANCEL", BRANCH, LEARNED), flow) is invite


@pytest.mark.parametrize(
    "rows",
    [
        [LEARNED, ("Call-ID", "c2")],
        [LEARNED, ("CSeq", "2 CANCEL")],
        [via("SIP/2.0/UDP 203.0.113.9:1024;branch=z9hG4bKtwo")],
    ],
)
@pytest.mark.parametrize("status", [0, 180, 486])
def test_a_cancel_of_another_sent_by_that_differs_otherwise_finds_nothing(
    user: User, rows: list[tuple[str, str]], status: int
) -> None:
    invite = user.serve("INVITE")
    if status:
        user.answer(invite, status)
    assert user.table.find_invite(a_request("CANCEL", BRANCH, *rows), UDP) is None


@pytest.mark.parametrize(
    "flow", [TCP, UDP._replace(remote=("10.0.0.3", 5060)), TCP._replace(connection=8)]
)
def test_a_cancel_of_another_sent_by_from_elsewhere_finds_nothing(user: User, flow: Flow) -> None:
    user.serve("INVITE")
    assert user.table.find_invite(a_request("CANCEL", BRANCH, LEARNED), flow) is None


@pytest.mark.section("3261 17.2.1")
@pytest.mark.parametrize("flow", [UDP, TCP])
def test_an_ack_of_another_sent_by_ends_the_repeats_of_a_refusal(user: User, flow: Flow) -> None:
    invite = user.serve("INVITE", flow)
    user.answer(invite, 486)
    user.receive(a_request("ACK", BRANCH, LEARNED), flow)
    expect_state(invite, State.CONFIRMED if flow is UDP else State.TERMINATED)
    assert user.told.acks == []


def test_an_ack_of_another_sent_by_and_call_is_passed_up(user: User) -> None:
    invite = user.serve("INVITE")
    user.answer(invite, 486)
    ack = a_request("ACK", BRANCH, LEARNED, ("Call-ID", "c2"))
    user.receive(ack)
    expect_state(invite, State.COMPLETED)
    assert user.told.acks == [ack]


def test_nothing_is_kept_of_an_invite_that_is_over(user: User) -> None:
    user.answer(user.serve("INVITE"), 486)
    user.until(100)
    assert user.table._invites == {}
