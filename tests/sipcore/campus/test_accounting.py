"""What responses say of a call: its cause, its route set, and whether there is too much to keep."""

from __future__ import annotations

from typing import Final

import pytest

from sipcore.apps.campus.accounting import MAX_KEPT, _routes_above, cause_of, is_too_much_to_keep
from sipcore.eventlog import Cause
from tests.sipcore.examples import a_request, a_response, in_words


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        (403, Cause.REJECTED),
        (404, Cause.UNREACHABLE),
        (408, Cause.NO_ANSWER),
        (410, Cause.UNREACHABLE),
        (433, Cause.REJECTED),
        (480, Cause.UNREACHABLE),
        (484, Cause.UNREACHABLE),
        (486, Cause.BUSY),
        (487, Cause.CANCELLED),
        (488, Cause.REJECTED),
        (600, Cause.BUSY),
        (603, Cause.REJECTED),
        (604, Cause.UNREACHABLE),
        # All others say that something went wrong.
        (300, Cause.FAILED),
        (302, Cause.FAILED),
        (400, Cause.FAILED),
        (407, Cause.FAILED),
        (422, Cause.FAILED),
        (440, Cause.FAILED),
        (482, Cause.FAILED),
        (500, Cause.FAILED),
        (503, Cause.FAILED),
        (606, Cause.FAILED),
        (699, Cause.FAILED),
    ],
)
def test_the_cause_of_a_final_response(status: int, cause: Cause) -> None:
    assert cause_of(status) is cause


def test_every_final_response_has_a_cause_that_a_response_can_have() -> None:
    ours = {Cause.COMPLETED, Cause.LOST, Cause.TERMINATED, Cause.VANISHED, Cause.TOO_LONG}
    assert ours.isdisjoint(cause_of(status) for status in range(300, 700))


OURS: Final = "<sip:10.0.0.1:5060;lr;ct=this>"
TLS: Final = "<sip:10.0.0.1:5061;transport=tls;lr;ct=this>"
TURNED: Final = "<sip:10.0.0.1;ct=this;lr>"
BEFORE: Final = "<sip:10.0.0.1:5060;lr;ct=before>"
"""Of the same call, when it came by the first time."""


@pytest.mark.section("3261 12.1.2", "5658")
@pytest.mark.parametrize(
    ("came_with", "response", "above"),
    [
        ([], [OURS], []),
        ([], ["<sip:far>", "<sip:near>", OURS], ["<sip:far>", "<sip:near>"]),
        (["<sip:below>"], ["<sip:near>", OURS, "<sip:below>"], ["<sip:near>"]),
        (["<sip:b>", "<sip:a>"], [OURS, "<sip:b>", "<sip:a>"], []),
        # Ours are two where the transport or the scheme changes.
        ([], ["<sip:near>", TLS, OURS], ["<sip:near>"]),
        (["<sip:below>"], ["<sip:near>", f"{TLS}, {OURS}", "<sip:below>"], ["<sip:near>"]),
        ([], ["<sip:near>", TURNED], ["<sip:near>"]),
        # A call that came by twice: what is above is another token.
        ([], [BEFORE, OURS], [BEFORE]),
        ([BEFORE], ["<sip:near>", OURS, BEFORE], ["<sip:near>"]),
        ([BEFORE, "<sip:x>"], [OURS, "<sip:y>", OURS, BEFORE, "<sip:x>"], [OURS, "<sip:y>"]),
        # The called side has left ours out, or all.
        ([], [], []),
        ([], ["<sip:near>"], ["<sip:near>"]),
        (["<sip:below>"], ["<sip:near>", "<sip:below>"], ["<sip:near>"]),
        (["<sip:b>", "<sip:a>"], ["<sip:a>"], []),
        (["<sip:b>"], [OURS], []),
    ],
    ids=in_words,
)
def test_the_routes_between_us_and_the_callee(
    came_with: list[str], response: list[str], above: list[str]
) -> None:
    request = a_request(*(f"Record-Route: {row}" for row in came_with))
    answer = a_response(200, *(f"Record-Route: {row}" for row in response))
    assert _routes_above(request, answer) == above


@pytest.mark.parametrize(
    ("row", "most", "too_much"),
    [
        ("Subject: " + "x" * 5_000, MAX_KEPT, False),  # is not kept
        ("Contact: <sip:" + "x" * 4_000 + "@h>", MAX_KEPT, False),
        ("Contact: <sip:" + "x" * 4_100 + "@h>", MAX_KEPT, True),
        ("m: <sip:" + "x" * 4_100 + "@h>", MAX_KEPT, True),
        ("Record-Route: <sip:" + "x" * 4_100 + "@h>", MAX_KEPT, True),
        ("Record-Route: <sip:" + "x" * 4_100 + "@h>", 2 * MAX_KEPT, False),
        ("From: <sip:" + "x" * 4_100 + "@h>;tag=a", MAX_KEPT, True),
        ("To: <sip:" + "x" * 4_100 + "@h>", MAX_KEPT, True),
        ("Route: <sip:" + "x" * 4_100 + "@h>", MAX_KEPT, False),
    ],
    ids=lambda value: value.partition("xx")[0] if isinstance(value, str) else None,
)
def test_what_is_too_much_to_keep_of_a_call(row: str, most: int, too_much: bool) -> None:
    assert is_too_much_to_keep(a_request(row), most) is too_much


@pytest.mark.parametrize(("more", "too_much"), [(0, False), (1, True)])
def test_all_rows_count_together_to_the_last_character(more: int, too_much: bool) -> None:
    rows = ["From: <sip:anna@campus.example>;tag=a", "To: <sip:bob@campus.example>"]
    kept = sum(len(row.partition(": ")[2]) for row in rows)
    one = f"<sip:{'x' * 994}>"
    rows += [f"Record-Route: {one}", f"Record-Route: {one}", f"Contact: {one}"]
    rest = f"<sip:{'x' * (MAX_KEPT - kept - 3_000 - 6 + more)}>"
    request = a_request(*rows, f"Contact: {rest}", "Subject: x")
    assert is_too_much_to_keep(request) is too_much
    assert is_too_much_to_keep(request.respond(200)) is False  # it has neither
