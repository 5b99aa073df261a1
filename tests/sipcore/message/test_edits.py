"""Editing a message: what a proxy changes, and that nothing else changes with it."""

from __future__ import annotations

import pytest

from sipcore.errors import LocalProtocolError, MalformedMessage
from sipcore.message import Request, Response, Uri, parse_message, parse_uri, parse_via

WIRE = (
    b"INVITE sip:b@h SIP/2.0\r\n"
    b"v: SIP/2.0/UDP one;branch=z9hG4bK1;rport\r\n"
    b"f:<sip:a@h>;tag=1\r\n"
    b"To: <sip:b@h>\r\n"
    b"Call-ID: c\r\n"
    b"CSeq: 1 INVITE\r\n"
    b"Route: <sip:p;lr>\r\n"
    b"m: <sip:a@x>\r\n"
    b"l: 0\r\n\r\n"
)


def invite() -> Request:
    message = parse_message(WIRE)
    assert isinstance(message, Request)
    return message


def test_a_message_nobody_touched_is_printed_as_it_came() -> None:
    assert invite().to_bytes() == WIRE


def test_every_value_follows_its_row() -> None:
    message = invite()
    assert (message.call_id, message.cseq_number, message.from_tag) == ("c", 1, "1")
    assert len(message.routes) == len(message.contacts) == 1
    message.set("Call-ID", "d")
    message.set("CSeq", "2 ACK")
    message.set("From", "<sip:z@h>;tag=2")
    message.set("To", "<sip:y@h>;tag=3")
    message.set("Via", "SIP/2.0/TCP two;branch=z9hG4bK2")
    message.push("Route", "<sip:q;lr>")
    message.remove("Contact")
    assert (message.call_id, message.cseq_number, message.cseq_method) == ("d", 2, "ACK")
    assert (message.from_.uri.user, message.from_tag, message.to_tag) == ("z", "2", "3")
    assert (message.via.transport, message.branch) == ("TCP", "z9hG4bK2")
    assert [route.uri.host for route in message.routes] == ["q", "p"]
    assert message.contacts == []


def test_a_cseq_set_anew_is_read_by_its_method_too() -> None:
    message = invite()
    message.set("CSeq", "9 BYE")
    assert message.cseq_method == "BYE"
    message.remove("CSeq")
    with pytest.raises(MalformedMessage):
        assert message.cseq_number


def test_a_pushed_row_stands_before_its_like_or_on_top() -> None:
    message = invite()
    message.push("Route", "<sip:first>")
    message.push("Record-Route", "<sip:me;lr>")
    assert message.lines[0] == "Record-Route: <sip:me;lr>"
    assert message.values("route") == ["<sip:first>", "<sip:p;lr>"]


def test_an_empty_list_row_gives_an_empty_value() -> None:
    message = invite()
    message.set("Route", " , ,")
    assert message.values("route") == []
    assert message.pop("Route") == ""
    assert message.pop("Route") is None
    message.append("Route", "")
    assert message.values("route") == []


def test_a_row_with_one_value_and_a_comma_too_many_is_taken_whole() -> None:
    message = invite()
    message.set("Route", "<sip:p;lr>,")
    assert message.pop("Route") == "<sip:p;lr>"
    assert "route" not in message.keys


def test_replacing_the_top_of_nothing_puts_it_there() -> None:
    message = invite()
    message.replace_top("Record-Route", "<sip:me>")
    assert message.record_routes == ["<sip:me>"]


def test_removing_what_is_not_there_changes_nothing() -> None:
    message = invite()
    message.remove("Subject")
    assert message.to_bytes() == WIRE


def test_a_stamped_via_is_read_without_parsing_it_again() -> None:
    message = invite()
    stamped = message.via
    stamped.stamp("192.0.2.1", "5")
    message.stamp_via("SIP/2.0/UDP one;branch=z9hG4bK1;received=192.0.2.1;rport=5", stamped)
    assert message.via is stamped
    assert parse_via(message.values("via")[0]).params == stamped.params
    message.stamp_only_via("SIP/2.0/UDP one;branch=z9hG4bK1")
    assert message.rows("via") == ["SIP/2.0/UDP one;branch=z9hG4bK1"]
    assert message.via is stamped


def test_a_via_is_stamped_in_a_message_that_nobody_has_looked_into() -> None:
    message = Request.build("OPTIONS", "sip:h", [("Via", "SIP/2.0/UDP one;rport")])
    message.stamp_only_via("SIP/2.0/UDP one;rport=5")
    assert message.first("via") == "SIP/2.0/UDP one;rport=5"


@pytest.mark.parametrize("value", ["x\r\nEvil: 1", "x\nEvil: 1", "x\r"])
def test_a_line_break_in_a_row_of_ours_is_loud(value: str) -> None:
    message = invite()
    message.append("Subject", value)
    with pytest.raises(LocalProtocolError):
        message.to_bytes()
    with pytest.raises(LocalProtocolError):
        invite().respond(400, value).to_bytes()
    other = invite()
    other.uri_text = value
    with pytest.raises(LocalProtocolError):
        other.to_bytes()


def test_a_built_request_reads_like_a_received_one() -> None:
    built = Request.build(
        "OPTIONS",
        "sip:h",
        [
            ("Via", "SIP/2.0/UDP h;branch=z9hG4bK1"),
            ("From", "<sip:a@h>;tag=1"),
            ("To", "<sip:h>"),
            ("Call-ID", "c"),
            ("CSeq", "1 OPTIONS"),
        ],
        b"body",
    )
    again = parse_message(built.to_bytes())
    assert isinstance(again, Request)
    assert (again.uri.host, again.body, again.call_id) == ("h", b"body", "c")
    assert "OPTIONS sip:h" in repr(built)


def test_a_copied_response_is_edited_by_itself() -> None:
    response = invite().respond(183, to_tag="t", headers=[("Contact", "<sip:b@y>")])
    copy = response.copy()
    copy.pop("Via")
    copy.remove("Contact")
    assert isinstance(copy, Response)
    assert (copy.status, copy.reason) == (183, "Session Progress")
    assert (response.branch, len(response.contacts)) == ("z9hG4bK1", 1)
    assert "183" in repr(response)


@pytest.mark.parametrize(
    ("uri", "text"),
    [
        (
            Uri("sip", "a", "h", 5070, {"lr": None, "x": "y"}, headers="k=v"),
            "sip:a@h:5070;lr;x=y?k=v",
        ),
        (Uri("sips", "a", "h", password=""), "sips:a:@h"),
        (Uri("sip", host="[::1]"), "sip:[::1]"),
        (Uri("tel", "+49"), "tel:+49"),
    ],
)
def test_a_built_uri_is_printed(uri: Uri, text: str) -> None:
    assert str(uri) == text
    assert parse_uri(text).equals(uri)
