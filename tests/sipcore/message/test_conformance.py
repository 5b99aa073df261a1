"""What RFC 3261 and its relatives ask of the parser, one behaviour per test."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sipcore.errors import LimitExceeded, MalformedMessage
from sipcore.message import (
    DEFAULT_LIMITS,
    PING,
    Limits,
    Request,
    Response,
    StreamFramer,
    parse_auth_params,
    parse_message,
    parse_name_addr,
    parse_uri,
    parse_via,
)
from sipcore.message.scan import _partial

HEAD = (
    "Via: SIP/2.0/UDP h;branch=z9hG4bK1",
    "From: <sip:a@h>;tag=1",
    "To: <sip:b@h>",
    "Call-ID: c",
    "CSeq: 1 OPTIONS",
)


def wire(*rows: str, start: str = "OPTIONS sip:h SIP/2.0", body: bytes = b"") -> bytes:
    return "\r\n".join((start, *rows, "\r\n")).encode() + body


def options(*more: str, start: str = "OPTIONS sip:h SIP/2.0", body: bytes = b"") -> Request:
    message = parse_message(wire(*HEAD, *more, start=start, body=body))
    assert isinstance(message, Request)
    return message


def refusal(data: bytes, limits: Limits = DEFAULT_LIMITS) -> MalformedMessage:
    with pytest.raises(MalformedMessage) as caught:
        parse_message(data, limits)
    return caught.value


# --- names, folding, lists -----------------------------------------------------------------------
@pytest.mark.section("3261 7.3.1")
def test_names_ignore_case_and_quoted_strings_and_methods_do_not() -> None:
    message = options(
        "SUPPORTED: Path", 'cOnTaCt: <sip:a@h>;X="AbC"', start="OPTIONS sip:h SIP/2.0"
    )
    assert message.supported == ["path"]
    assert message.contacts[0].params == {"x": "AbC"}
    rows = [row.replace("OPTIONS", "options") for row in HEAD]
    assert refusal(wire(*rows)).header == "cseq"


@pytest.mark.section("3261 7.3.1")
@pytest.mark.parametrize("fold", ["\r\n ", "\r\n\t", "\r\n   \t", " \r\n "])
def test_a_folded_row_equals_one_with_a_single_space(fold: str) -> None:
    assert options(f"Subject: one{fold}two").first("subject") == "one two"


@pytest.mark.section("3261 7.3.1")
def test_a_fold_may_be_empty_or_stand_first() -> None:
    assert options("Subject:\r\n  one\r\n \r\n two").first("subject") == "one two"


@pytest.mark.section("3261 7.1")
def test_the_start_line_cannot_be_folded() -> None:
    assert refusal(wire(*HEAD, start="OPTIONS sip:h\r\n SIP/2.0")).status == 400
    assert refusal(wire(*HEAD, start="OPTIONS sip:h SIP/2.0\r\n Subject: x")).status == 400


@pytest.mark.section("3261 7.3.1")
def test_rows_and_joined_values_are_the_same_list() -> None:
    apart = options("Route: <sip:a;lr>", "Route: <sip:b>;x=1", "Route: <sip:c>")
    joined = options('Route: <sip:a;lr>, <sip:b>;x=1 ,, "," <sip:c>')
    assert [r.uri_text for r in apart.routes] == [r.uri_text for r in joined.routes]
    assert apart.record_routes == []


@pytest.mark.section("3261 7.3.1")
@pytest.mark.parametrize(
    "name", ["WWW-Authenticate", "Authorization", "Proxy-Authenticate", "Proxy-Authorization"]
)
def test_credentials_and_challenges_never_join(name: str) -> None:
    message = options(f'{name}: Digest a="1", b=2')
    assert message.values(name.lower()) == ['Digest a="1", b=2']
    assert message.pop(name) == 'Digest a="1", b=2'
    message.append(name, "Digest a=1, b=2")
    message.replace_top(name, "Digest c=3")
    assert message.rows(name.lower()) == ["Digest c=3"]


@pytest.mark.section("3261 7.3.3")
@pytest.mark.parametrize(
    ("compact", "name"),
    [
        ("a", "accept-contact"),
        ("b", "referred-by"),
        ("c", "content-type"),
        ("d", "request-disposition"),
        ("e", "content-encoding"),
        ("j", "reject-contact"),
        ("k", "supported"),
        ("m", "contact"),
        ("n", "identity-info"),
        ("o", "event"),
        ("r", "refer-to"),
        ("s", "subject"),
        ("u", "allow-events"),
        ("x", "session-expires"),
        ("y", "identity"),
    ],
)
def test_compact_forms_mean_the_same_field(compact: str, name: str) -> None:
    assert options(f"{compact.upper()}: one", f"{name}: two").rows(name) == ["one", "two"]


def test_content_type_and_option_tags() -> None:
    message = options("c: application/sdp", "Require: 100rel, Path", "Proxy-Require: Foo")
    assert message.content_type == "application/sdp"
    assert (message.require, message.proxy_require) == (["100rel", "path"], ["foo"])
    assert message.supported == []


# --- start lines -------------------------------------------------------------------------------
@pytest.mark.section("3261 7.1")
@pytest.mark.parametrize(
    "start",
    [
        "OPTIONS  sip:h SIP/2.0",
        "OPTIONS sip:h  SIP/2.0",
        "OPTIONS sip:h SIP/2.0 ",
        " OPTIONS sip:h SIP/2.0",
        "OPTIONS sip:h; lr SIP/2.0",
        "OPTIONS sip:h",
        "OPTIONS",
        "OPT(IONS sip:h SIP/2.0",
        "OPTIONS sip:h HTTP/1.1",
        "",
    ],
)
def test_a_request_line_has_three_words_and_single_spaces(start: str) -> None:
    assert refusal(wire(*HEAD, start=start) if start else b"\t\r\n\r\n").status == 400


@pytest.mark.section("3261 7.1")
def test_a_request_uri_in_brackets_or_with_controls_is_no_uri() -> None:
    for text in ("<sip:h>", "sip:a\x01b@h", 'sip:"a"@h', "sip:a\x7f@h"):
        with pytest.raises(MalformedMessage):
            str(options(start=f"OPTIONS {text} SIP/2.0").uri)


@pytest.mark.section("3261 7.1")
def test_the_version_is_read_in_any_case_and_sent_in_upper_case() -> None:
    message = options(start="OPTIONS sip:h sip/2.0")
    assert message.to_bytes().startswith(b"OPTIONS sip:h SIP/2.0\r\n")
    response = parse_message(wire(*HEAD, start="sip/2.0 200 OK"))
    assert response.to_bytes().startswith(b"SIP/2.0 200 OK\r\n")


@pytest.mark.section("3261 21.5.6")
def test_another_version_is_505_and_can_be_answered() -> None:
    error = refusal(wire(*HEAD, start="OPTIONS sip:h SIP/3.0"))
    assert error.status == 505
    assert error.partial is not None
    assert error.partial.respond(505).call_id == "c"


@pytest.mark.section("3261 7.2")
@pytest.mark.parametrize("code", ["099", "700", "20", "2000", "abc", "²00", ""])
def test_a_status_outside_100_to_699_is_refused_without_an_answer(code: str) -> None:
    assert refusal(wire(*HEAD, start=f"SIP/2.0 {code} x")).partial is None


@pytest.mark.section("3261 7.2")
@pytest.mark.parametrize(("code", "reason"), [(100, ""), (699, "Odd  one")])
def test_a_status_line_keeps_its_phrase(code: int, reason: str) -> None:
    message = parse_message(wire(*HEAD, start=f"SIP/2.0 {code} {reason}"))
    assert isinstance(message, Response)
    assert (message.status, message.reason) == (code, reason)


# --- Content-Length and bodies --------------------------------------------------------------------
@pytest.mark.section("3261 7.5")
def test_empty_lines_before_the_start_line_are_skipped() -> None:
    assert isinstance(parse_message(b"\r\n\r\n" + wire(*HEAD)), Request)
    assert StreamFramer().feed(b"\r\n\n\r" + wire(*HEAD, "l: 0")) == [wire(*HEAD, "l: 0")]


@pytest.mark.section("3261 18.3")
def test_without_content_length_the_body_is_the_rest_of_the_datagram() -> None:
    message = options(body=b"\0rest\xff\r\n\r\n")
    assert message.body == b"\0rest\xff\r\n\r\n"
    assert message.to_bytes().endswith(b"Content-Length: 10\r\n\r\n\0rest\xff\r\n\r\n")


@pytest.mark.section("3261 18.3")
def test_bytes_beyond_content_length_are_ignored_and_too_few_are_refused() -> None:
    assert options("Content-Length: 2", body=b"bodyEXTRA").body == b"bo"
    error = refusal(wire(*HEAD, "Content-Length: 9", body=b"short"))
    assert (error.status, error.partial is not None) == (400, True)
    response = refusal(wire(*HEAD, "Content-Length: 9", start="SIP/2.0 200 OK"))
    assert response.partial is None


@pytest.mark.section("3261 20.14")
@pytest.mark.parametrize("value", ["", "-1", "+1", "1.0", "0x1", "٣", "9" * 11, "1 1"])
def test_content_length_is_a_number(value: str) -> None:
    assert refusal(wire(*HEAD, f"Content-Length: {value}", body=b"x")).header == "content-length"


@pytest.mark.section("3261 20.14")
def test_content_length_may_repeat_itself_but_not_differ() -> None:
    assert options("l: 1", "Content-Length: 1", body=b"xy").body == b"x"
    assert refusal(wire(*HEAD, "l: 1", "Content-Length: 2", body=b"xy")).status == 400


# --- what must be there ----------------------------------------------------------------------------
@pytest.mark.section("3261 8.1.1")
@pytest.mark.parametrize("index", range(len(HEAD)))
def test_each_mandatory_header_is_missed(index: int) -> None:
    rows = HEAD[:index] + HEAD[index + 1 :]
    error = refusal(wire(*rows))
    assert (error.status, error.reason) == (400, "missing")
    assert error.header == HEAD[index].partition(":")[0].lower()
    assert (error.partial is None) == (error.header == "via")


@pytest.mark.section("3261 8.1.1")
@pytest.mark.parametrize("index", [1, 2, 3, 4])
def test_each_but_via_stands_once(index: int) -> None:
    error = refusal(wire(*HEAD, HEAD[index]))
    assert (error.status, error.reason) == (400, "more than once")
    assert options(HEAD[0]).values("via") == [HEAD[0][5:]] * 2


@pytest.mark.section("3261 8.1.1.6")
def test_a_missing_max_forwards_is_no_error() -> None:
    assert options().max_forwards is None


@pytest.mark.section("4475 3.1.2.4")
def test_overlarge_numbers_are_not_wrapped() -> None:
    message = options("Max-Forwards: 300", f"Expires: {10**40}")
    assert message.max_forwards is None
    assert message.expires is None
    assert options("Max-Forwards: 0070", f"Expires: {'0' * 30}7").expires == 7
    assert options("Expires: soon").expires is None
    assert options("Expires: 4294967295").expires == 4294967295
    assert options("Expires: 4294967296").expires is None
    assert options().expires is None
    with pytest.raises(MalformedMessage):
        assert options("Max-Forwards: many").max_forwards


@pytest.mark.section("3261 8.1.1.5")
@pytest.mark.parametrize(
    "value", ["4294967296 OPTIONS", "x OPTIONS", "-1 OPTIONS", "1", "1 OPTIONS x", "1 BYE", ""]
)
def test_cseq_is_a_32_bit_number_and_the_method(value: str) -> None:
    error = refusal(wire(*HEAD[:4], f"CSeq: {value}"))
    assert (error.status, error.header, error.partial is not None) == (400, "cseq", True)
    good = parse_message(wire(*HEAD[:4], "CSeq: 4294967295 OPTIONS"))
    assert good.cseq_number == 4294967295


# --- values ----------------------------------------------------------------------------------------
@pytest.mark.section("3261 20")
def test_without_brackets_parameters_belong_to_the_header() -> None:
    assert parse_name_addr("sip:a@h;transport=tcp").params == {"transport": "tcp"}
    assert parse_name_addr("<sip:a@h;transport=tcp>").uri.params == {"transport": "tcp"}
    for text in ("sip:a@h?x=y", "sip:a,b@h", ";tag=1"):
        with pytest.raises(MalformedMessage):
            parse_name_addr(text)


@pytest.mark.section("3261 25.1")
@pytest.mark.parametrize(
    ("text", "display"),
    [
        ("Anna<sip:a@h>", "Anna"),
        ("A. N-n_a! ~x <sip:a@h>", "A. N-n_a! ~x"),
        ('"\\"A\\\\B\\"" <sip:a@h>', '"A\\B"'),
        ("Анна Ли <sip:a@h>", "Анна Ли"),
        ('"" <sip:a@h>', ""),
    ],
)
def test_display_names(text: str, display: str) -> None:
    value = parse_name_addr(text)
    assert value.display == display
    assert parse_name_addr(str(value)).display == display
    assert "sip:a@h" in repr(value)


@pytest.mark.section("3261 19.1.2")
def test_escapes_are_decoded_once() -> None:
    assert parse_uri("sip:a%2541%41%zz%4@h").user_decoded == "a%41A%zz%4"
    assert parse_uri("sip:plain@h").user_decoded == "plain"
    assert parse_uri("sip:%00@h").user_decoded == "\0"
    assert parse_uri("sip:h;%6cr").params == {"lr": None}


@pytest.mark.section("3261 19.1.4")
@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ("sip:a%3Bb@h", "sip:a;b@h", False),  # ';' is reserved: its escape is another character
        ("sip:a%3bb@h", "sip:a%3Bb@h", True),
        ("sip:%61%2541@h", "sip:a%2541@h", True),
        ("sip:a%2541@h", "sip:aA@h", False),
        ("sip:%zz@h", "sip:%zz@h", True),
        ("sip:a@h", "sip:h", False),
        ("sip:a:@h", "sip:a@h", False),
        ("sip:a:%70w@h", "sip:a:pw@h", True),
        ("sip:h;ttl=1", "sip:h", False),
        ("sip:h;user=phone", "sip:h", False),
        ("sip:h;maddr=192.0.2.1", "sip:h", False),
        ("sip:h;method=INVITE", "sip:h", False),
        ("sip:h;lr", "sip:h", True),
        ("sip:h;x=%41", "sip:h;x=a", True),
        ("sip:a@[2001:db8::9:1]", "sip:a@[2001:DB8:0::0009:01]", True),  # RFC 5954 §4.2
        ("sip:a@[::ffff:192.0.2.128]", "sip:a@[::ffff:c000:280]", True),
        ("sip:a@[2001:db8::9:1]", "sip:a@[2001:db8::9:2]", False),
        ("sip:h;x", "sip:h;x=", True),
        ("sip:h?a=1", "sip:h?A=1", True),
        ("sip:h?a=x", "sip:h?a=X", False),
        ("tel:+1-(201).555", "tel:+1201555", True),
        ("tel:1;phone-context=+49-30", "tel:1;phone-context=+4930", True),
        ("tel:1;phone-context=A.example", "tel:1;phone-context=a.example", True),
        ("tel:1;phone-context=a-b", "tel:1;phone-context=ab", False),
        ("tel:1;ext=2-3;isub=x", "tel:1;isub=X;ext=23", True),
        ("tel:1;ext=2", "tel:1", False),
        ("tel:1;;x", "tel:1;x", True),
        ("urn:a:b", "URN:a:b", True),
        ("urn:a:b", "urn:a:B", False),
        ("urn:a", "tel:a", False),
    ],
)
def test_uri_equality_in_its_corners(one: str, two: str, same: bool) -> None:
    assert parse_uri(one).equals(parse_uri(two)) is same
    assert parse_uri(two).equals(parse_uri(one)) is same


@pytest.mark.section("3261 19.1.1")
def test_uri_parts_are_known_and_unknown_ones_kept() -> None:
    uri = parse_uri("SIPS:a:b@H:5061;LR;maddr=m;ttl=1;User=phone;method=x;odd=%41;odd=2?k=v")
    assert (uri.scheme, uri.password, uri.host, uri.port) == ("sips", "b", "h", 5061)
    assert uri.params["odd"] == "%41"
    assert (uri.headers, uri.transport) == ("k=v", "TLS")
    assert parse_uri("sip:h;transport=ws").transport == "WS"
    assert parse_uri("sip:h").transport is None
    assert parse_uri("tel:1").is_tel
    assert "sips" in repr(uri).lower()


@pytest.mark.section("3261 19.1.1")
@pytest.mark.parametrize(
    "text",
    [
        "sip:a@b@h",
        "sip::pw@h",
        "sip:a@h_x!",
        "sip:hö",
        "sip:[::1]x",
        "sip:[]",
        "1sip:h",
        ":h",
        "sip",
    ],
)
def test_ambiguous_or_broken_uris_are_refused(text: str) -> None:
    with pytest.raises(MalformedMessage):
        parse_uri(text)


def test_long_values_are_parsed_but_not_kept() -> None:
    tail = "x" * 1000
    assert parse_uri(f"sip:{tail}@h") is not parse_uri(f"sip:{tail}@h")
    assert parse_via(f"SIP/2.0/UDP h;branch={tail}").branch == tail
    assert parse_name_addr(f"<sip:h>;tag={tail}").tag == tail
    assert parse_uri("sip:short@h") is parse_uri("sip:short@h")


@pytest.mark.section("5118 4.5")
def test_ipv6_needs_brackets_in_hosts_and_not_in_received() -> None:
    assert parse_uri("sip:[2001:DB8::1]:5070").port == 5070
    with pytest.raises(MalformedMessage):
        parse_uri("sip:2001:db8::1")
    for received in ("2001:db8::9", "[2001:db8::9]"):
        via = parse_via(f"SIP/2.0/UDP [2001:db8::1];received={received}")
        assert via.received == "2001:db8::9"
    assert parse_via("SIP/2.0/UDP h").received is None


@pytest.mark.section("5118 4.10")
def test_three_colons_are_tolerated() -> None:
    assert parse_uri("sip:user@[2001:db8:::192.0.2.1]").host == "[2001:db8:::192.0.2.1]"


@pytest.mark.section("3261 7.3.1")
def test_what_is_unknown_or_not_needed_goes_on_unchanged() -> None:
    rows = ("Date: rubbish, no date", "X-Odd:;;,,\x00", "Contact: <broken", "P-Latin: \udcff")
    data = "\r\n".join(("FROB sip:h SIP/2.0", *HEAD[:4], "CSeq: 1 FROB", *rows, "\r\n"))
    message = parse_message(data.encode("utf-8", "surrogateescape"))
    assert message.lines[-4:] == list(rows)
    assert message.to_bytes().startswith(data[:-2].encode("utf-8", "surrogateescape"))
    with pytest.raises(MalformedMessage):
        assert message.contacts


@pytest.mark.section("3261 20.42")
def test_vias_allow_blanks_and_unknown_transports() -> None:
    via = parse_via("SIP / 2.0 / FOO\thost : 99 ; branch = x ; ttl=3;maddr=224.0.0.1 ;hidden")
    assert (via.transport, via.host, via.port, via.branch) == ("FOO", "host", 99, "x")
    assert via.params["hidden"] is None
    assert str(parse_via(str(via))) == str(via)
    assert "FOO" in repr(via)
    assert parse_via('SIP/2.0/UDP h:5060;x="a;b"').params == {"x": "a;b"}
    assert parse_via("SIP/2.0/UDP h:5060").params == {}
    assert parse_via("SIP/2.0/UDP h:1;a;A=2").params == {"a": None}  # the first one counts


@pytest.mark.section("3261 18.1.1")
@pytest.mark.parametrize(
    ("transport", "port"), [("UDP", 5060), ("TCP", 5060), ("TLS", 5061), ("WS", 80), ("WSS", 443)]
)
def test_sent_by_has_the_default_port_of_its_transport(transport: str, port: int) -> None:
    assert parse_via(f"SIP/2.0/{transport} H").sent_by == f"h:{port}"


@pytest.mark.section("3261 18.1.1")
@pytest.mark.parametrize(
    "text",
    [
        "SIP/2.0/ h:5060",
        "SIP/2.0/UDP",
        "SIP/2.0/UDP h:99999",
        "SIP/2.0/UDP h:x",
        "SIP/2.0/UDP h:5060;=x",
        'SIP/2.0/UDP h;x="a',
        "SIP/2.0/UDP <h>",
    ],
)
def test_broken_vias_are_refused(text: str) -> None:
    with pytest.raises(MalformedMessage):
        parse_via(text)
    assert refusal(wire(f"Via: {text}", *HEAD[1:])).status == 400


@pytest.mark.section("3261 20.42")
def test_a_via_of_another_version_is_505() -> None:
    with pytest.raises(MalformedMessage) as caught:
        parse_via("SIP/3.0/UDP h")
    assert caught.value.status == 505


@pytest.mark.section("3261 8.1.1.7")
@pytest.mark.parametrize("branch", ["z9hG4bK", "old-style", ""])
def test_any_branch_can_be_read(branch: str) -> None:
    message = parse_message(wire(f"Via: SIP/2.0/UDP h;branch={branch}", *HEAD[1:]))
    assert message.branch == branch
    assert parse_message(wire("Via: SIP/2.0/UDP h", *HEAD[1:])).branch == ""


@pytest.mark.section("3261 20.10")
def test_a_star_is_told_apart_from_contacts() -> None:
    message = options("Contact: *")
    assert message.contact_is_star
    with pytest.raises(MalformedMessage, match="is for REGISTER"):
        assert message.contacts
    message.set("CSeq", "1 REGISTER")
    assert message.contacts == []
    mixed = options("Contact: *, <sip:a@h>;q=0.123")
    mixed.set("CSeq", "1 REGISTER")
    assert mixed.contact_is_star
    assert mixed.contacts[0].params["q"] == "0.123"
    assert not options("Contact: <sip:*@h>").contact_is_star


# --- limits ------------------------------------------------------------------------------------------
@pytest.mark.section("3261 21.4.11")
@pytest.mark.parametrize(
    ("limits", "name", "status"),
    [
        (Limits(message_bytes=200), "message_bytes", 513),
        (Limits(header_rows=3), "header_rows", 513),
        (Limits(line_length=20), "line_length", 513),
        (Limits(body_bytes=2), "body_bytes", 413),
        (Limits(request_uri_length=4), "request_uri_length", 414),
        (Limits(values_per_row=2), "values_per_row", 400),
        (Limits(params_per_row=2), "params_per_row", 400),
    ],
)
def test_a_passed_limit_is_named_and_can_be_answered(
    limits: Limits, name: str, status: int
) -> None:
    data = wire(*HEAD, "Allow: A,B,C,D", "X: a;b;c;d", body=b"b" * 100)
    error = refusal(data, limits)
    assert isinstance(error, LimitExceeded)
    assert (error.limit, error.status) == (name, status)
    assert error.arrived > error.value
    assert error.partial is not None
    assert error.partial.respond(status, to_tag="t").values("via") == [HEAD[0][5:]]


def test_an_oversized_message_without_a_readable_header_has_no_answer() -> None:
    assert refusal(b"x" * 300, Limits(message_bytes=200)).partial is None
    broken = wire(*HEAD[:4], body=b"x" * 300)
    assert refusal(broken, Limits(message_bytes=200)).partial is not None  # CSeq is missing


class Counted(str):
    """A header name that counts how often it is compared."""

    __slots__ = ()
    __hash__ = str.__hash__
    comparisons = 0

    def __eq__(self, other: object) -> bool:
        Counted.comparisons += 1
        return str.__eq__(self, other)


@pytest.mark.parametrize("count", [100, 1000])
def test_a_refusal_looks_at_each_row_a_few_times_however_many_there_are(count: int) -> None:
    rows = [*["Via: SIP/2.0/UDP h"] * count, *["From: <sip:a@h>"] * count]
    keys: list[str] = [Counted(row.partition(":")[0].lower()) for row in rows]
    Counted.comparisons = 0
    partial = _partial(Request("OPTIONS", "sip:b@h", keys, rows))
    assert partial is not None
    assert (partial.keys.count("via"), partial.keys.count("from")) == (count, 1)
    assert Counted.comparisons < 20 * len(rows)


def test_long_rows_within_the_limits_are_read() -> None:
    assert len(options("Subject: " + "x" * 3000).first("subject") or "") == 3000


# --- what must not come through ------------------------------------------------------------------------
@pytest.mark.parametrize("broken", ["\n", "\r", "x\nVia: SIP/2.0/UDP evil", "x\rTo: y"])
def test_a_bare_cr_or_lf_is_not_passed_on(broken: str) -> None:
    error = refusal(wire(*HEAD, f"Subject: {broken}x"))
    assert (error.status, error.partial) == (400, None)


@pytest.mark.parametrize(
    "row", ["Vi a: x", "Via\x0b: x", "Via\xa0: x", ": x", "(x): y", "no colon"]
)
def test_a_header_name_is_a_token(row: str) -> None:
    assert refusal(wire(*HEAD, row)).reason == "row without a header name"


def test_blanks_may_stand_before_the_colon() -> None:
    assert options("Subject \t: x").first("subject") == "x"
    assert options(f"X-{'y' * 60}: x").first(f"x-{'y' * 60}") == "x"


def test_a_content_length_inside_a_folded_row_does_not_cut_the_stream() -> None:
    data = wire(*HEAD, "Subject: x\r\n Content-Length: 5", "Content-Length: 3", body=b"abc")
    framer = StreamFramer()
    assert framer.feed(data + wire(*HEAD, "L\t: 0")) == [data, wire(*HEAD, "L\t: 0")]
    assert parse_message(data).body == b"abc"
    folded = wire(*HEAD, "Content-Length:\r\n\t3", body=b"abc")
    assert StreamFramer().feed(folded) == [folded]
    similar = wire(*HEAD, "Content-Length-Odd: 9", "Lang: x", "l: 0")
    assert StreamFramer().feed(similar) == [similar]


# --- streams ---------------------------------------------------------------------------------------
@pytest.mark.section("3261 18.3")
@pytest.mark.parametrize(
    "rows", [(), ("l: x",), ("l: 1", "l: 2"), ("l: 99999999999",), ("l: 70000",)]
)
def test_a_request_that_cannot_be_framed_can_still_be_answered(rows: tuple[str, ...]) -> None:
    with pytest.raises(MalformedMessage) as caught:
        StreamFramer().feed(wire(*HEAD, *rows))
    assert caught.value.partial is not None
    assert caught.value.partial.call_id == "c"


@pytest.mark.section("3261 18.3")
def test_what_came_whole_before_an_error_is_given_first() -> None:
    good, bad = wire(*HEAD, "l: 0"), wire(*HEAD)
    framer = StreamFramer()
    assert framer.feed(b"\r\n\r\n" + good + bad) == [PING, good]
    assert framer.failure is not None
    for _ in range(2):
        with pytest.raises(MalformedMessage):
            framer.feed(good)
    assert framer.waiting_bytes == 0
    assert repr(PING) == "PING"


def test_the_header_limit_of_a_stream_does_not_depend_on_its_cut() -> None:
    data = wire(*HEAD, "l: 0")
    for limit, fits in ((len(data) - 4, True), (len(data) - 5, False)):
        for size in (1, 7, len(data)):
            framer = StreamFramer(Limits(header_block_bytes=limit))
            got: list[object] = []
            try:
                for i in range(0, len(data), size):
                    got += framer.feed(data[i : i + size])
            except LimitExceeded:
                assert not fits
            assert (got == [data]) == fits


# --- responses -----------------------------------------------------------------------------------------
@pytest.mark.section("3261 8.2.6.2")
def test_a_response_copies_vias_in_order_and_what_names_the_dialog() -> None:
    request = options("v: SIP/2.0/TCP two, SIP/2.0/TCP three", "Subject: x", "Timestamp: 7")
    response = request.respond(404, to_tag="t", headers=[("Warning", "399 h x")], body=b"b")
    assert response.rows("via") == request.rows("via")
    for key in ("from", "call-id", "cseq"):
        assert response.rows(key) == request.rows(key)
    assert response.to_tag == "t"
    assert response.first("subject") is None
    assert response.first("timestamp") is None
    assert (response.reason, response.first("content-length")) == ("Not Found", "1")
    assert request.respond(100, to_tag="t").first("timestamp") == "7"
    assert request.respond(100, to_tag="t").to_tag == ""
    assert request.respond(499).reason == "Unknown"
    assert request.respond(200, "Fine").reason == "Fine"


@pytest.mark.section("3261 8.2.6.2")
@pytest.mark.parametrize(
    ("row", "to"),
    [
        ("To: <sip:b@h>;tag=old", "<sip:b@h>;tag=old"),
        ("To: sip:b@h ", "sip:b@h;tag=t"),
        ("t: <sip:b@h;tag=uri>", "<sip:b@h;tag=uri>;tag=t"),
    ],
)
def test_to_gets_a_tag_when_it_has_none(row: str, to: str) -> None:
    message = parse_message(wire(*HEAD[:2], row, *HEAD[3:]))
    assert isinstance(message, Request)
    assert message.respond(400, to_tag="t").first("to") == to


@pytest.mark.section("3261 8.2.6.2")
@pytest.mark.parametrize(
    ("row", "to"),
    [("To: <broken", "<broken;tag=t"), ("To: <broken;TAG=old", "<broken;TAG=old")],
)
def test_a_broken_to_is_copied_and_gets_no_second_tag(row: str, to: str) -> None:
    partial = refusal(wire(*HEAD[:2], row, *HEAD[3:])).partial
    assert partial is not None
    assert partial.respond(400, to_tag="t").first("to") == to


@pytest.mark.section("3261 8.2.6.2")
def test_a_response_to_a_request_without_to_has_none() -> None:
    partial = refusal(wire(*HEAD[:2], *HEAD[3:])).partial
    assert partial is not None
    assert partial.respond(400, to_tag="t").first("to") is None


@pytest.mark.section("3261 21.4.1")
@pytest.mark.parametrize(
    ("data", "says"),
    [
        (wire(*HEAD[:4]), "cseq: missing"),
        (wire(*HEAD[:2], 'To: "x <sip:h>', *HEAD[3:]), "to: quote never closed"),
        (wire(*HEAD, "l: x"), "content-length: not a number"),
    ],
)
def test_a_refusal_says_what_is_wrong_where(data: bytes, says: str) -> None:
    assert str(refusal(data)) == says


BROKEN: list[tuple[str, Callable[[Request], object]]] = [
    ('Route: "a', lambda message: message.routes),
    ("Contact: <sip:a@h>, <x", lambda message: message.contacts),
]


@pytest.mark.parametrize(("row", "read"), BROKEN)
def test_a_broken_list_says_its_name(row: str, read: Callable[[Request], object]) -> None:
    message = options(row)
    with pytest.raises(MalformedMessage) as caught:
        read(message)
    assert caught.value.header == row.partition(":")[0].lower()


def test_values_read_once_are_the_same_objects() -> None:
    message = options("Route: <sip:p;lr>", "Contact: <sip:a@h>")
    assert message.routes is message.routes
    assert message.contacts is message.contacts
    assert message.via is message.via


@pytest.mark.section("3261 25.1")
@pytest.mark.parametrize(
    ("text", "params"),
    [
        ("Digest", {"": "digest"}),
        ('DIGEST a = \t "b"', {"": "digest", "a": "b"}),
        ("Digest a=", {"": "digest", "a": ""}),
        ("Digest a=1,, b=2 , rubbish", {"": "digest", "a": "1", "b": "2"}),
        ('Digest A="1" x, a=2', {"": "digest", "a": "1"}),
    ],
)
def test_credentials_in_their_corners(text: str, params: dict[str, str]) -> None:
    assert parse_auth_params(text) == params
