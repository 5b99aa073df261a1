"""What holds for all inputs: nothing but MalformedMessage, round trips, no header lost."""

from __future__ import annotations

import contextlib
import string

from hypothesis import given, settings
from hypothesis import strategies as st

from sipcore.errors import MalformedMessage
from sipcore.message import (
    Request,
    Response,
    StreamFramer,
    Uri,
    parse_message,
    parse_name_addr,
    parse_uri,
    parse_via,
)

token = st.text(string.ascii_letters + string.digits + "-_.", min_size=1, max_size=8)
host = st.from_regex(r"[a-z][a-z0-9]{0,6}(\.[a-z]{2,4})?", fullmatch=True)
uris = st.builds(
    Uri,
    st.sampled_from(["sip", "sips"]),
    token,
    host,
    st.none() | st.integers(1, 65535),
    st.dictionaries(token.map(str.lower), st.none() | token, max_size=3),
)
TYPED = (
    "via",
    "from_",
    "to",
    "contacts",
    "routes",
    "max_forwards",
    "expires",
    "require",
    "supported",
)
WIRE = (
    b"INVITE sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP h:1;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\n"
    b"To: <sip:b@h>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\nContact: <sip:a@h>\r\nContent-Length: 0\r\n\r\n"
)


@given(uris)
def test_a_printed_uri_parses_to_the_same(uri: Uri) -> None:
    again = parse_uri(str(uri))
    assert again.equals(uri)
    assert (again.user, again.host, again.port, again.params) == (
        uri.user,
        uri.host,
        uri.port,
        uri.params,
    )


@given(uris, uris)
def test_uri_equality_is_reflexive_and_symmetric(one: Uri, two: Uri) -> None:
    assert one.equals(one)
    assert one.equals(two) == two.equals(one)


@given(st.binary(max_size=300))
def test_arbitrary_bytes_raise_nothing_but_malformed_message(data: bytes) -> None:
    with contextlib.suppress(MalformedMessage):
        parse_message(data)
    with contextlib.suppress(MalformedMessage):
        StreamFramer().feed(data)


@settings(max_examples=400)
@given(st.data())
def test_a_damaged_message_raises_nothing_but_malformed_message(data: st.DataObject) -> None:
    wire = bytearray(WIRE)
    for _ in range(data.draw(st.integers(1, 4))):
        index = data.draw(st.integers(0, len(wire) - 1))
        wire[index : index + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    try:
        message = parse_message(bytes(wire))
    except MalformedMessage as error:
        if error.partial is not None:
            error.partial.respond(400, to_tag="t").to_bytes()
        return
    for name in TYPED:
        with contextlib.suppress(MalformedMessage):
            getattr(message, name)
    message.to_bytes()


@given(st.text(max_size=60))
def test_values_raise_nothing_but_malformed_message(text: str) -> None:
    for parse in (parse_uri, parse_name_addr, parse_via):
        with contextlib.suppress(MalformedMessage):
            parse(text)


@given(
    st.lists(
        st.tuples(
            token, st.text(string.printable.replace("\r", "").replace("\n", ""), max_size=20)
        ),
        max_size=8,
    )
)
def test_forwarding_edits_lose_no_header(extra: list[tuple[str, str]]) -> None:
    rows = "".join(f"X-{name}: {value.strip()}\r\n" for name, value in extra)
    wire = WIRE.replace(b"Content-Length", rows.encode() + b"Content-Length")
    message = parse_message(wire)
    assert isinstance(message, Request)
    copy = message.copy()
    copy.push("Via", "SIP/2.0/UDP p;branch=z9hG4bKp")
    copy.push("Record-Route", "<sip:p;lr>")
    copy.set("Max-Forwards", "69")
    copy.pop("Via")
    out = parse_message(copy.to_bytes())
    for name, value in extra:
        assert value.strip() in out.rows(f"x-{name}".lower())
    assert out.values("via") == message.values("via")


@given(st.integers(1, 60), st.integers(0, 3))
def test_any_cut_of_a_stream_gives_the_same_messages(size: int, pings: int) -> None:
    wire = (WIRE + b"\r\n\r\n" * pings) * 3
    framer = StreamFramer()
    out = []
    for i in range(0, len(wire), size):
        out += framer.feed(wire[i : i + size])
    messages = [piece for piece in out if isinstance(piece, bytes)]
    assert messages == [WIRE] * 3
    assert len(out) - 3 == pings * 3


@given(st.integers(100, 699), token)
def test_a_response_comes_back_as_it_was_made(status: int, tag: str) -> None:
    request = parse_message(WIRE)
    assert isinstance(request, Request)
    made = request.respond(status, to_tag=tag)
    again = parse_message(made.to_bytes())
    assert isinstance(again, Response)
    assert again.status == status
    assert again.to_tag == ("" if status == 100 else tag)
