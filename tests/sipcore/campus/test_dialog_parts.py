"""What is kept of the messages that make a dialog: route set, flows, and whether it is too much."""

from __future__ import annotations

from typing import Final

import pytest

from sipcore.campus.dialog_parts import flow_behind_contact, is_too_much_to_keep, routes_above_ours
from sipcore.campus.limits import MAX_KEPT
from sipcore.transport.flow import Flow
from tests.sipcore.examples import a_request, a_response, in_words

SOURCE: Final = ("203.0.113.9", 4711)
UDP: Final = Flow("UDP", ("10.0.0.1", 5060), SOURCE)
UDP_6: Final = Flow("UDP", ("2001:db8::1", 5060), ("2001:db8::9", 4711))
TCP: Final = Flow("TCP", ("10.0.0.1", 5060), SOURCE, 7)
TLS: Final = Flow("TLS", ("10.0.0.1", 5061), SOURCE, 8)
OURS: Final = "<sip:10.0.0.1:5060;lr;ct=this>"
OURS_ON_TLS: Final = "<sip:10.0.0.1:5061;transport=tls;lr;ct=this>"
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
        ([], ["<sip:near>", OURS_ON_TLS, OURS], ["<sip:near>"]),
        (["<sip:below>"], ["<sip:near>", f"{OURS_ON_TLS}, {OURS}", "<sip:below>"], ["<sip:near>"]),
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
    assert routes_above_ours(request, answer) == above


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


AT_SOURCE: Final = "Contact: <sip:anna@203.0.113.9:4711>"
ELSEWHERE: Final = "Contact: <sip:anna@192.168.1.2:4711>"
PROXIED: Final = (
    "Via: SIP/2.0/UDP edge.example;branch=z9hG4bK1, SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK2"
)


@pytest.mark.parametrize(
    ("flow", "rows", "needed"),
    [
        (UDP, [AT_SOURCE], False),
        (UDP, ["Contact: <sip:anna@203.0.113.9:9>"], False),  # another port of the same host
        (UDP, [AT_SOURCE, ELSEWHERE], False),  # the first counts
        # Behind a NAT.
        (UDP, [ELSEWHERE], True),
        (UDP, ["Contact: <sip:anna@phone.example>"], True),
        (UDP, [], True),
        # Another proxy is in between: its Record-Route leads back.
        (UDP, [PROXIED, ELSEWHERE], False),
        (UDP, [PROXIED], False),
        # A stream that the sender opened.
        (TCP, [AT_SOURCE], True),
        (TLS, [AT_SOURCE], True),
        (TCP, [PROXIED, ELSEWHERE], True),
        # IPv6: a URI has brackets, a source none.
        (UDP_6, ["Contact: <sip:anna@[2001:db8::9]:1>"], False),
        (UDP_6, ["Contact: <sip:anna@[2001:db8::8]:1>"], True),
    ],
    ids=in_words,
)
def test_a_sender_that_its_contact_does_not_lead_to(
    flow: Flow, rows: list[str], needed: bool
) -> None:
    assert flow_behind_contact(a_request(*rows), flow) == (flow if needed else None)


def test_a_request_of_our_own_comes_by_no_flow() -> None:
    request = a_request(ELSEWHERE)
    request.remove("Via")
    assert flow_behind_contact(request, UDP) is None
