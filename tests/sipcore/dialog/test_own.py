"""A dialog of which we are an end: what it takes from its INVITE, its 2xx until the ACK, its requests."""

from __future__ import annotations

from typing import Final

import pytest

from sipcore.dialog.own import OwnDialog
from tests.sipcore.examples import a_request, a_response, in_words

INVITE_ROWS: Final = (
    "From: <sip:anna@campus.example>;tag=a",
    "CSeq: 7 INVITE",
    "Contact: <sip:anna@192.0.2.1:5070;x=1>",
    "Record-Route: <sip:near.example;lr>, <sip:far.example;lr>",
)
ROUTES: Final = ["<sip:near.example;lr>", "<sip:far.example;lr>"]


def as_callee(*rows: str) -> OwnDialog:
    invite = a_request(*(rows or INVITE_ROWS))
    return OwnDialog.as_callee(invite, invite.respond(200, to_tag="b"))


def as_caller(*rows: str) -> OwnDialog:
    invite = a_request(*INVITE_ROWS)
    response = a_response(200, "CSeq: 7 INVITE", *rows)
    return OwnDialog.as_caller(invite, response, list(ROUTES))


@pytest.mark.section("3261 12.1.1")
def test_the_called_side() -> None:
    dialog = as_callee()
    assert dialog.key == ("call", "b", "a")
    assert dialog.local_value == "<sip:bob@campus.example>;tag=b"
    assert dialog.remote_value == "<sip:anna@campus.example>;tag=a"
    assert (dialog.local_cseq, dialog.remote_cseq) == (0, 7)
    assert dialog.remote_target == "sip:anna@192.0.2.1:5070;x=1"
    assert dialog.routes == ROUTES  # in order


def test_a_caller_without_contact_is_reached_at_its_from() -> None:
    assert as_callee("Subject: x").remote_target == "sip:anna@campus.example"


@pytest.mark.section("3261 12.1.2")
def test_the_calling_side() -> None:
    dialog = as_caller("Contact: <sip:bob@192.0.2.2>", "Record-Route: <sip:ours;lr>")
    assert dialog.key == ("call", "a", "b")
    assert dialog.local_value == "<sip:anna@campus.example>;tag=a"
    assert dialog.remote_value == "<sip:bob@campus.example>;tag=b"
    assert (dialog.local_cseq, dialog.remote_cseq) == (7, -1)
    assert dialog.remote_target == "sip:bob@192.0.2.2"
    assert dialog.routes == ROUTES  # those that were given
    assert as_caller().remote_target == ""


@pytest.mark.section("3261 12.2.2")
@pytest.mark.parametrize(
    ("cseqs", "in_order"),
    [
        ([8], [True]),
        ([7], [False]),
        ([6], [False]),
        ([8, 8], [True, False]),
        ([20, 9, 21], [True, False, True]),  # numbers may be left out
        ([6, 8], [False, True]),
    ],
    ids=in_words,
)
def test_requests_come_in_order(cseqs: list[int], in_order: list[bool]) -> None:
    dialog = as_callee()
    found = [dialog.in_order(a_request(f"CSeq: {cseq} INFO", method="INFO")) for cseq in cseqs]
    assert found == in_order


def test_the_first_request_of_the_called_side_may_have_any_number() -> None:
    assert as_caller().in_order(a_request("CSeq: 0 BYE", method="BYE"))


# --- our 2xx, until it is acknowledged -----------------------------------------------------------------
def repeated(dialog: OwnDialog, until: float, step: float = 0.25) -> list[float]:
    """When the 2xx was sent again, from 100.0 on."""
    steps = [n * step for n in range(int(until / step) + 1)]
    return [after for after in steps if dialog.advance(100.0 + after) is not None]


@pytest.mark.section("3261 13.3.1.4")
def test_a_2xx_is_repeated_at_intervals_that_double_up_to_t2() -> None:
    dialog, response = as_callee(), a_response(200)
    dialog.await_ack(response, 100.0)
    assert dialog.advance(100.0) is None
    assert dialog.advance(100.5) == response.to_bytes()
    assert repeated(dialog, 20.0) == [1.5, 3.5, 7.5, 11.5, 15.5, 19.5]


@pytest.mark.section("3261 13.3.1.4")
def test_an_ack_ends_the_repeating() -> None:
    dialog = as_callee()
    assert dialog.advance(1e9) is None  # nothing was sent yet
    dialog.await_ack(a_response(200), 100.0)
    assert repeated(dialog, 1.5) == [0.5, 1.5]
    dialog.ack()
    assert repeated(dialog, 64.0) == []
    assert not dialog.given_up(1e9)
    dialog.await_ack(a_response(200), 100.0)  # of a re-INVITE: all begins anew
    assert repeated(dialog, 4.0) == [0.5, 1.5, 3.5]


@pytest.mark.section("3261 13.3.1.4")
@pytest.mark.parametrize(
    ("after_s", "given_up"), [(0, False), (31.9, False), (32, True), (99, True)]
)
def test_an_ack_that_never_comes_ends_the_dialog(after_s: float, given_up: bool) -> None:
    dialog = as_callee()
    assert not dialog.given_up(100.0 + after_s)
    dialog.await_ack(a_response(200), 100.0)
    assert dialog.given_up(100.0 + after_s) is given_up


# --- our requests --------------------------------------------------------------------------------------
@pytest.mark.section("3261 12.2.1.1")
def test_our_requests_inside_the_dialog() -> None:
    dialog = as_callee()
    info = dialog.request("INFO", [("Subject", "x")], b"body")
    assert (info.method, info.uri_text) == ("INFO", "sip:anna@192.0.2.1:5070;x=1")
    assert info.rows("route") == ROUTES
    assert (info.first("from"), info.first("to")) == (dialog.local_value, dialog.remote_value)
    assert (info.call_id, info.max_forwards) == ("call", 70)
    assert (info.first("subject"), info.body) == ("x", b"body")
    assert not info.has("via")


@pytest.mark.section("3261 12.2.1.1", "3261 13.2.2.4")
def test_each_request_counts_but_an_ack() -> None:
    dialog = as_caller()
    rows = [
        dialog.request("ACK", cseq=7).first("cseq"),
        dialog.request("INFO").first("cseq"),
        dialog.request("BYE").first("cseq"),
    ]
    assert rows == ["7 ACK", "8 INFO", "9 BYE"]
