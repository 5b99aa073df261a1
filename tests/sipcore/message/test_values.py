"""Header values and URIs: rows of (wire, value), edits, limits, framing."""

from __future__ import annotations

import pytest

from sipcore.errors import LimitExceeded, MalformedMessage
from sipcore.message import (
    PING,
    Limits,
    Request,
    Response,
    StreamFramer,
    parse_auth_params,
    parse_message,
    parse_name_addr,
    parse_params,
    parse_uri,
    parse_via,
    quote,
    unquote,
)

INVITE = (
    b"INVITE sip:bob@example.com SIP/2.0\r\n"
    b"v: SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bK1, SIP/2.0/TCP 10.0.0.2;branch=z9hG4bK2\r\n"
    b"Via: SIP/2.0/UDP 10.0.0.3;branch=z9hG4bK3\r\n"
    b"f: Anna <sip:anna@example.com>;tag=a1\r\n"
    b"t: <sip:bob@example.com>\r\n"
    b"i: call-1\r\n"
    b"CSEQ:   7\r\n  INVITE\r\n"
    b"m: <sip:anna@10.0.0.1;transport=tcp>;q=0.5, sip:anna@10.0.0.9;expires=30\r\n"
    b"Max-forwards: 68\r\n"
    b"X-Unknown:  any thing, at all \r\n"
    b"l: 4\r\n\r\nbodyEXTRA"
)


def invite() -> Request:
    message = parse_message(INVITE)
    assert isinstance(message, Request)
    return message


def test_compact_folded_and_joined_rows_read_the_same() -> None:
    message = invite()
    assert message.method == "INVITE"
    assert message.branch == "z9hG4bK1"
    assert [parse_via(v).branch for v in message.values("via")] == ["z9hG4bK1", "z9hG4bK2", "z9hG4bK3"]
    assert (message.from_tag, message.to_tag, message.call_id) == ("a1", "", "call-1")
    assert (message.cseq_number, message.cseq_method) == (7, "INVITE")
    assert message.max_forwards == 68
    assert [c.uri_text for c in message.contacts] == [
        "sip:anna@10.0.0.1;transport=tcp",
        "sip:anna@10.0.0.9",
    ]
    assert message.contacts[1].params == {"expires": "30"}
    assert message.body == b"body"


def test_rows_not_touched_come_out_as_they_came_in() -> None:
    message = invite()
    message.push("Via", "SIP/2.0/UDP 10.0.0.9;branch=z9hG4bK0")
    message.set("Max-Forwards", "67")
    wire = message.to_bytes()
    assert b"X-Unknown:  any thing, at all \r\n" in wire
    assert b"CSEQ:   7 INVITE\r\n" in wire
    assert wire.index(b"z9hG4bK0") < wire.index(b"z9hG4bK1")
    assert b"Max-Forwards: 67" in wire


def test_pop_takes_one_value_of_a_joined_row() -> None:
    message = invite()
    assert message.pop("Via") == "SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bK1"
    assert message.branch == "z9hG4bK2"
    assert message.pop("Via") == "SIP/2.0/TCP 10.0.0.2;branch=z9hG4bK2"
    assert message.pop("Via") == "SIP/2.0/UDP 10.0.0.3;branch=z9hG4bK3"
    assert message.pop("Via") is None


def test_a_copy_is_edited_by_itself() -> None:
    message = invite()
    copy = message.copy()
    copy.uri_text = "sip:other@example.com"
    copy.remove("Via")
    copy.append("Subject", "x")
    assert message.uri_text == "sip:bob@example.com"
    assert message.branch == "z9hG4bK1"
    assert message.first("subject") is None
    assert copy.uri.user == "other"


def test_set_leaves_one_row_and_replace_top_one_value() -> None:
    message = invite()
    message.replace_top("Via", "SIP/2.0/UDP new;branch=z9hG4bKn")
    assert len(message.values("via")) == 3
    message.set("Via", "SIP/2.0/UDP only;branch=z9hG4bKo")
    assert message.values("via") == ["SIP/2.0/UDP only;branch=z9hG4bKo"]
    message.set("New-Header", "1")
    assert message.first("new-header") == "1"


def test_a_response_copies_what_the_rfc_says() -> None:
    response = invite().respond(486, to_tag="t1", headers=[("Retry-After", "5")])
    assert response.status == 486
    assert response.reason == "Busy Here"
    assert response.to_tag == "t1"
    assert len(response.values("via")) == 3
    assert response.call_id == "call-1"
    assert response.first("contact") is None
    parsed = parse_message(response.to_bytes())
    assert isinstance(parsed, Response)
    assert (parsed.status, parsed.to_tag, parsed.cseq_number) == (486, "t1", 7)
    assert invite().respond(100, to_tag="t").to_tag == ""


@pytest.mark.parametrize(
    ("wire", "status"),
    [
        (INVITE.replace(b"l: 4", b"l: 40"), 400),
        (INVITE.replace(b"l: 4", b"l: four"), 400),
        (INVITE.replace(b"i: call-1\r\n", b""), 400),
        (INVITE.replace(b"i: call-1\r\n", b"i: a\r\nCall-ID: b\r\n"), 400),
        (INVITE.replace(b"  INVITE\r\n", b"  BYE\r\n"), 400),
        (INVITE.replace(b"SIP/2.0\r\n", b"SIP/7.0\r\n", 1), 505),
        (INVITE.replace(b"INVITE sip", b"INVITE  sip", 1), 400),
        (INVITE.replace(b"X-Unknown:", b"X Unknown"), 400),
        (INVITE.replace(b"\r\n\r\nbodyEXTRA", b"\r\n"), 400),
        (b"SIP/2.0 999 Odd\r\n\r\n", 400),
        (b"SIP/2.0 20 Odd\r\n\r\n", 400),
        (b"SIP/3.0 200 OK\r\n\r\n", 505),
    ],
)
def test_what_cannot_be_read_says_what_to_answer(wire: bytes, status: int) -> None:
    with pytest.raises(MalformedMessage) as caught:
        parse_message(wire)
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("limits", "name", "status"),
    [
        (Limits(message_bytes=100), "message_bytes", 513),
        (Limits(header_block_bytes=100), "header_block_bytes", 513),
        (Limits(header_rows=3), "header_rows", 513),
        (Limits(line_length=20), "line_length", 513),
        (Limits(body_bytes=2), "body_bytes", 413),
        (Limits(request_uri_length=5), "request_uri_length", 414),
    ],
)
def test_every_limit_has_a_name(limits: Limits, name: str, status: int) -> None:
    with pytest.raises(LimitExceeded) as caught:
        parse_message(INVITE, limits)
    assert (caught.value.limit, caught.value.status) == (name, status)
    assert name in str(caught.value)


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtlanTa.CoM;Transport=tcp", True),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5", True),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;newparam=5", True),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
            True,
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
            True,
        ),
        ("SIP:ALICE@AtLanTa.CoM", "sip:alice@AtLanTa.CoM", False),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060", False),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp", False),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp", False),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting", False),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4", False),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off", False),
        ("sip:a@b.c", "sips:a@b.c", False),
        ("sip:a:pw@b.c", "sip:a:PW@b.c", False),
        ("tel:+1-201", "TEL:+1-201", True),
    ],
)
def test_uri_equality_as_in_rfc_3261_19_1_4(one: str, two: str, same: bool) -> None:
    assert parse_uri(one).equals(parse_uri(two)) is same
    assert parse_uri(two).equals(parse_uri(one)) is same


@pytest.mark.parametrize(
    ("text", "user", "host", "port"),
    [
        ("sip:alice@Example.COM:5070;lr", "alice", "example.com", 5070),
        ("sip:[2001:DB8::1]:5060", "", "[2001:db8::1]", 5060),
        ("sip:a;b=c:pw@h", "a;b=c", "h", None),
        ("sip:user;par=u%40example.net@example.com", "user;par=u%40example.net", "example.com", None),
        ("sip:a?b@h", "a?b", "h", None),
    ],
)
def test_uri_parts(text: str, user: str, host: str, port: int | None) -> None:
    uri = parse_uri(text)
    assert (uri.user, uri.host, uri.port) == (user, host, port)
    assert str(uri) == text


@pytest.mark.parametrize(
    "text",
    ["", "nothing", "sip:", "sip:@h", "sip:a@", "sip:a@h:port", "sip:a@h:70000", "sip:a b@h", "sip:[::1", "sip:[zz]"],
)
def test_bad_uris_are_refused(text: str) -> None:
    with pytest.raises(MalformedMessage):
        parse_uri(text)


@pytest.mark.parametrize(
    ("text", "display", "uri", "params"),
    [
        ("sip:a@h;tag=1", "", "sip:a@h", {"tag": "1"}),
        ("<sip:a@h;lr>;tag=1", "", "sip:a@h;lr", {"tag": "1"}),
        ('"A \\"B\\", C" <sip:a@h> ; tag = 1', 'A "B", C', "sip:a@h", {"tag": "1"}),
        ("Anna Li<sip:a@h>", "Anna Li", "sip:a@h", {}),
        ('<sip:a@h>;x="a;b,c";y', "", "sip:a@h", {"x": "a;b,c", "y": None}),
    ],
)
def test_name_addr_forms(
    text: str, display: str, uri: str, params: dict[str, str | None]
) -> None:
    value = parse_name_addr(text)
    assert (value.display, value.uri_text, value.params) == (display, uri, params)


@pytest.mark.parametrize("text", ['"A <sip:a@h>', "<sip:a@h", "<sip:a@h> x", 'A"B <sip:a@h>', '"A" sip:a@h', ""])
def test_bad_name_addrs_are_refused(text: str) -> None:
    with pytest.raises(MalformedMessage):
        parse_name_addr(text)


def test_via_forms() -> None:
    via = parse_via("SIP / 2.0 / udp  Host.Example : 5070 ;branch=z9hG4bKx;rport;received=[::1]")
    assert (via.transport, via.host, via.port) == ("UDP", "host.example", 5070)
    assert (via.branch, via.rport, via.received) == ("z9hG4bKx", "", "::1")
    assert parse_via("SIP/2.0/TLS h").sent_by == "h:5061"
    assert parse_via("SIP/2.0/UDP h").rport is None
    for bad in ("SIP/2.0/UDP", "HTTP/1.1/UDP h", "SIP/2.0 h", "SIP/2.0/UDP h;;branch=x"):
        with pytest.raises(MalformedMessage):
            parse_via(bad)


def test_authorization_parameters_with_commas_in_quotes() -> None:
    text = 'Digest username="a,b", realm="x\\"y" ,nc=00000001,qop=auth, uri="sip:h?a=b"'
    assert parse_auth_params(text) == {
        "": "digest",
        "username": "a,b",
        "realm": 'x"y',
        "nc": "00000001",
        "qop": "auth",
        "uri": "sip:h?a=b",
    }
    with pytest.raises(MalformedMessage):
        parse_auth_params('Digest username="a')


def test_parameters_and_quoting() -> None:
    assert parse_params('a=1;B="x;y";c;a=2') == {"a": "1", "b": "x;y", "c": None}
    assert unquote(quote('a"b\\c')) == 'a"b\\c'
    with pytest.raises(MalformedMessage):
        parse_params("=x")


# --- streams -----------------------------------------------------------------------------------
STREAM = INVITE.removesuffix(b"EXTRA")


def test_a_stream_is_cut_by_content_length_whatever_the_pieces() -> None:
    wire = b"\r\n" + STREAM + b"\r\n\r\n" + STREAM
    for size in (1, 2, 3, 7, 50, len(wire)):
        framer = StreamFramer()
        out = []
        for i in range(0, len(wire), size):
            out += framer.feed(wire[i : i + size])
        assert [piece for piece in out if piece is not PING] == [STREAM, STREAM], size
        assert out.count(PING) == 1, size
        assert framer.waiting_bytes == 0


def test_a_ping_in_pieces_is_one_ping() -> None:
    framer = StreamFramer()
    assert framer.feed(b"\r\n") == []
    assert framer.feed(b"\r\n") == [PING]
    assert framer.feed(b"\r\n\r\n\r\n\r\n") == [PING, PING]


@pytest.mark.parametrize(
    "wire",
    [
        STREAM.replace(b"l: 4\r\n", b""),
        STREAM.replace(b"l: 4", b"l: -4"),
        STREAM.replace(b"l: 4", b"l: 4\r\nContent-Length: 5"),
        STREAM.replace(b"l: 4", b"l: 99999999"),
        b"x" * 40_000,
        b"x" * 40_000 + b"\r\n\r\n",
    ],
)
def test_a_stream_that_cannot_be_framed_is_an_error(wire: bytes) -> None:
    with pytest.raises(MalformedMessage):
        StreamFramer().feed(wire)


@pytest.mark.parametrize("odd", ["\x0c", "\x0b", "\u00a0", "\u2003", "\x85", "\x1c"])
def test_only_blanks_are_white_space(odd: str) -> None:
    """What Python would strip besides is part of a value: it is sent on, and the next hop sees it."""
    for text in (f"sip:anna@10.0.0.1{odd}", f"sip:anna@10.0.0.1:{odd}5060"):
        with pytest.raises(MalformedMessage):
            parse_uri(text)
    for via in (
        f"SIP/2.0/UDP{odd}10.0.0.1",
        f"SIP/2.0/UDP 10.0.0.1{odd}",
        f"SIP/2.0{odd}/UDP 10.0.0.1",
    ):
        with pytest.raises(MalformedMessage):
            parse_via(via)
    raw = odd.encode()
    for right, wrong in (
        (b"l: 4", b"l: " + raw + b"4"),
        (b"CSEQ:   7\r\n  INVITE", b"CSeq: 7" + raw + b"INVITE"),
        (b"CSEQ:   7\r\n  INVITE", b"CSeq: 7 INVITE" + raw),
    ):
        with pytest.raises(MalformedMessage):
            parse_message(INVITE.replace(right, wrong))
    for name in (b"X-Unknown:  any", b"X-Unknown:  thing"):
        changed = parse_message(INVITE.replace(b"X-Unknown:  any thing, at all", name + raw))
        assert changed.first("x-unknown") == name.decode()[12:] + odd
    display = parse_name_addr(f"Anna{odd} <sip:anna@example.com>;tag=1")
    assert display.display == f"Anna{odd}"


def test_a_stream_reads_no_length_that_a_message_would_not() -> None:
    framer = StreamFramer(Limits())
    with pytest.raises(MalformedMessage):
        framer.feed(INVITE.replace(b"l: 4", b"l: \x0c4"))


@pytest.mark.parametrize("blanks", [" ", "\t", "  ", " \t ", "\t\t"])
def test_blanks_of_both_kinds_may_stand_between_words(blanks: str) -> None:
    message = parse_message(
        INVITE.replace(b"CSEQ:   7\r\n  INVITE", f"CSeq:{blanks}7{blanks}INVITE{blanks}".encode())
    )
    assert (message.cseq_number, message.cseq_method) == (7, "INVITE")
    via = parse_via(
        f"SIP{blanks}/{blanks}2.0{blanks}/{blanks}UDP{blanks}10.0.0.1{blanks}:{blanks}5070"
    )
    assert (via.transport, via.host, via.port) == ("UDP", "10.0.0.1", 5070)


def test_letters_that_only_python_takes_for_ascii_are_none() -> None:
    """In upper or lower case a long s is an S and the sign for kelvin a k: not to the next hop."""
    with pytest.raises(MalformedMessage):
        parse_uri("sip:anna@\u212aampus.example")
    assert parse_uri("sip:a@b;transport=tl\u017f").transport == "tl\u017f"
    assert parse_via("SIP/2.0/TL\u017f 10.0.0.1").transport == "TL\u017f"
    with pytest.raises(MalformedMessage):
        parse_via("\u017fIP/2.0/UDP 10.0.0.1")
    with pytest.raises(MalformedMessage):
        parse_message(INVITE.replace(b" SIP/2.0\r\n", " \u017fIP/2.0\r\n".encode(), 1))
    with pytest.raises(MalformedMessage):
        parse_message(INVITE.replace(b"X-Unknown:", "\u212a:".encode()))


@pytest.mark.parametrize(
    ("rows", "next_value", "left"),
    [
        (["Via: ours", "Via: theirs", "Via: far"], "stamped", ["stamped", "far"]),
        (["v: ours", "v: theirs"], "stamped", ["stamped"]),
        (["Via: ours, theirs", "Via: far"], "stamped", ["stamped", "far"]),
        (["Via: ours", "Via: theirs, far"], "stamped", ["stamped", "far"]),
        (["Via: ours", "From: x", "Via: theirs"], "stamped", ["stamped"]),
        (["Via: ours", "Via: theirs"], "", ["theirs"]),
        (["Via: ours"], "stamped", []),
    ],
)
def test_our_via_is_taken_out_of_a_response_and_the_next_has_what_it_needs(
    rows: list[str], next_value: str, left: list[str]
) -> None:
    message = Response(200, "OK", ["from" if r[0] == "F" else "via" for r in rows], rows)
    message.has("via")  # read before
    assert message.pop_via(next_value) is bool(left)
    assert message.values("via") == left
    assert message.to_bytes().count(b"ours") == 0
