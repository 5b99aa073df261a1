"""The copy that goes out on a branch (RFC 3261 §16.6)."""

from __future__ import annotations

from typing import Final

import pytest

from sipcore.errors import MalformedMessage
from sipcore.proxy import forwarded_request
from sipcore.proxy.forward import (
    next_hop_text,
    read_max_breadth,
    remove_assertions,
    stateless_branch,
)
from tests.sipcore.examples import a_request, a_response, in_words

BOB: Final = "sip:bob@192.0.2.2"


@pytest.mark.section("3261 19.1.1", "3261 16.6")
@pytest.mark.parametrize(
    ("target", "uri"),
    [
        (BOB, BOB),
        (f"{BOB};lr", f"{BOB};lr"),
        (f"{BOB};transport=tcp;x=1", f"{BOB};transport=tcp;x=1"),
        (f"{BOB}:5080;transport=TCP", f"{BOB}:5080;transport=TCP"),
        ("sip:%62ob@Host.Example;x=%41", "sip:%62ob@Host.Example;x=%41"),  # as it was written
        # No Request-URI has a method or headers.
        (f"{BOB};method=INVITE", BOB),
        (f"{BOB};x=1;METHOD=BYE;y=2", f"{BOB};x=1;y=2"),
        (f"{BOB};m%65thod=BYE;y", f"{BOB};y"),
        (f"{BOB}?Subject=x", BOB),
        (f"{BOB}?Subject", BOB),
        (f"{BOB};x=1?Subject=x&Route=y", f"{BOB};x=1"),
        (f"{BOB};method=INVITE;x?Subject=x", f"{BOB};x"),
        ("sip:a;method=b@192.0.2.2;x=1", "sip:a;method=b@192.0.2.2;x=1"),  # in the user part
        ("sip:a?b@192.0.2.2;method=X", "sip:a?b@192.0.2.2"),
        (f"{BOB}?", f"{BOB}?"),
        ("tel:+4930;x=1", "tel:+4930;x=1"),
    ],
)
def test_the_request_uri_of_a_target(target: str, uri: str) -> None:
    assert forwarded_request(a_request(), uri_text=target, record_route=None).uri_text == uri


@pytest.mark.section("3261 16.6")
@pytest.mark.parametrize(
    ("row", "hops"),
    [
        ("Max-Forwards: 70", "69"),
        ("Max-Forwards: 1", "0"),
        ("Max-Forwards: 0255", "254"),
        ("Max-Forwards: 256", "70"),  # not to be trusted
    ],
)
def test_hops_are_counted(row: str, hops: str) -> None:
    copy = forwarded_request(a_request(row), uri_text=BOB, record_route=None)
    assert copy.rows("max-forwards") == [hops]


def test_hops_that_nobody_counted_are_counted_from_here() -> None:
    request = a_request(without="Max-Forwards")
    copy = forwarded_request(request, uri_text=BOB, record_route=None)
    assert copy.rows("max-forwards") == ["70"]


EDGE: Final = "<sip:edge.example;lr>"
STRICT: Final = "<sip:strict.example;x=1>"
OTHER: Final = "<sip:other.example;lr>"


@pytest.mark.section("3261 16.6", "3327 5.3")
@pytest.mark.parametrize(
    ("rows", "path", "uri", "left", "hop"),
    [
        ([], (), BOB, [], BOB),
        ([EDGE], (), BOB, [EDGE], "sip:edge.example;lr"),
        ([f"{EDGE}, {OTHER}"], (), BOB, [EDGE, OTHER], "sip:edge.example;lr"),
        ([], (EDGE, OTHER), BOB, [EDGE, OTHER], "sip:edge.example;lr"),
        ([OTHER], (EDGE,), BOB, [EDGE, OTHER], "sip:edge.example;lr"),
        # A strict router: it is the Request-URI, and the target comes last.
        ([STRICT], (), "sip:strict.example;x=1", [f"<{BOB}>"], "sip:strict.example;x=1"),
        (
            [STRICT, OTHER],
            (),
            "sip:strict.example;x=1",
            [OTHER, f"<{BOB}>"],
            "sip:strict.example;x=1",
        ),
        ([OTHER, STRICT], (), BOB, [OTHER, STRICT], "sip:other.example;lr"),
        (
            [OTHER],
            (STRICT,),
            "sip:strict.example;x=1",
            [OTHER, f"<{BOB}>"],
            "sip:strict.example;x=1",
        ),
    ],
    ids=in_words,
)
def test_the_route_and_the_next_hop(
    rows: list[str], path: tuple[str, ...], uri: str, left: list[str], hop: str
) -> None:
    request = a_request(*(f"Route: {row}" for row in rows))
    copy = forwarded_request(request, uri_text=BOB, record_route=None, path=path)
    assert (copy.uri_text, copy.values("route"), next_hop_text(copy)) == (uri, left, hop)
    assert copy.is_for_strict_router is (uri != BOB)


@pytest.mark.section("3261 16.6")
def test_our_record_route_is_put_on_top_and_the_original_stays_as_it_was() -> None:
    request = a_request("Record-Route: <sip:before.example;lr>", "Subject:  as it  was")
    before = request.to_bytes()
    copy = forwarded_request(request, uri_text=BOB, record_route="<sip:us;lr>", path=(EDGE,))
    assert copy.rows("record-route") == ["<sip:us;lr>", "<sip:before.example;lr>"]
    assert "Subject:  as it  was" in copy.lines
    assert request.to_bytes() == before


OURS: Final = 'Digest username="a", realm="campus"'


@pytest.mark.section("3261 22.3")
@pytest.mark.parametrize(
    ("realm", "rows", "left"),
    [
        ("campus", [OURS], []),
        ("campus", ['Digest realm="other"'], ['Digest realm="other"']),
        ("campus", [OURS, 'Digest realm="other"', OURS], ['Digest realm="other"']),
        ("campus", ['Digest  REALM = "campus" , username="a"'], []),
        ("campus", ['Digest realm="Campus"'], ['Digest realm="Campus"']),  # another realm
        ("campus", ['Digest realm="campus.example"'], ['Digest realm="campus.example"']),
        ("campus", ["Digest realm"], ["Digest realm"]),  # nobody's
        ("campus", ['Digest realm="other", ="'], ['Digest realm="other", ="']),
        ("campus", [], []),
        ("campus", ['Digest realm="campus", ="'], []),  # ours, however it goes on
        ("", [OURS], [OURS]),
        ("", ['Digest realm=""'], ['Digest realm=""']),
    ],
    ids=in_words,
)
def test_credentials_for_us_go_no_further(realm: str, rows: list[str], left: list[str]) -> None:
    request = a_request(*(f"Proxy-Authorization: {row}" for row in rows), "Authorization: x")
    copy = forwarded_request(request, uri_text=BOB, record_route=None, own_realm=realm)
    assert copy.rows("proxy-authorization") == left
    assert copy.rows("authorization") == ["x"]  # for the phone


def test_a_path_that_cannot_be_read_is_malformed() -> None:
    with pytest.raises(MalformedMessage):
        forwarded_request(a_request(), uri_text=BOB, record_route=None, path=("<sip:[>",))


@pytest.mark.section("3325 5", "3325 6")
def test_nobody_says_in_our_name_who_somebody_is() -> None:
    said = ("P-Asserted-Identity: <sip:x@y>", "P-Preferred-Identity: <sip:x@y>")
    for message in (
        a_request(*said, said[0], "Remote-Party-ID: <sip:x@y>", "Privacy: id"),
        a_response(200, *said, "remote-party-id: <sip:x@y>", "Privacy: id"),
    ):
        remove_assertions(message)
        assert [key for key in message.keys if "-identity" in key or "party" in key] == []
        assert message.first("privacy") == "id"


@pytest.mark.section("3323 4.2")
@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        ("Subject: nothing is said", False),
        ("Privacy: none", False),
        ("Privacy: NONE", False),
        ("Privacy: id", True),
        ("Privacy: header;user;id", True),
        ("Privacy: critical", True),
        ("Privacy:", True),  # what cannot be understood is no leave to tell
    ],
)
def test_privacy_that_was_asked_for(row: str, wanted: bool) -> None:
    assert a_request(row).wants_privacy is wanted


@pytest.mark.section("5393 5.3.3")
@pytest.mark.parametrize(
    ("row", "breadth"),
    [
        ("Subject: nothing is said", 60),
        ("Max-Breadth: 0", 0),
        ("Max-Breadth: 1", 1),
        ("Max-Breadth: 59", 59),
        ("Max-Breadth: 60", 60),
        ("Max-Breadth: 61", 60),
        ("Max-Breadth: 4294967295", 60),
    ],
)
def test_how_many_branches_a_request_may_have(row: str, breadth: int) -> None:
    assert read_max_breadth(a_request(row)) == breadth


@pytest.mark.parametrize("row", ["Max-Breadth: x", "Max-Breadth:", "Max-Breadth: -1"])
def test_a_breadth_that_is_no_number_is_malformed(row: str) -> None:
    with pytest.raises(MalformedMessage):
        read_max_breadth(a_request(row))


# --- without state -----------------------------------------------------------------------------------
OLD: Final = "Via: SIP/2.0/UDP 192.0.2.9;branch=1"


@pytest.mark.section("3261 16.11")
def test_a_branch_of_the_sender_is_unique_by_itself() -> None:
    assert stateless_branch(a_request(method="ACK")) == "z9hG4bKpeer.ack"


@pytest.mark.section("3261 16.11")
@pytest.mark.parametrize(
    ("rows", "same"),
    [
        ([OLD], True),
        ([OLD, "Subject: other"], True),
        (["Via: SIP/2.0/UDP 192.0.2.9;branch=2"], False),
        (["Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK"], False),  # the cookie alone is no branch
        ([OLD, "From: <sip:anna@campus.example>;tag=other"], False),
        ([OLD, "To: <sip:bob@campus.example>;tag=other"], False),
        ([OLD, "Call-ID: other"], False),
        ([OLD, "CSeq: 2 ACK"], False),
    ],
    ids=in_words,
)
def test_a_branch_of_an_old_sender_is_made_the_same_each_time(rows: list[str], same: bool) -> None:
    made = stateless_branch(a_request(*rows, method="ACK"))
    assert made.startswith("z9hG4bK")
    assert made.endswith(".ack")
    assert len(made) == len("z9hG4bK") + 20 + len(".ack")
    assert (made == stateless_branch(a_request(OLD, method="ACK"))) is same
