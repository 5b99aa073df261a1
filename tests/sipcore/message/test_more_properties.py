"""More of what holds for all inputs: values printed and read again, streams however they are cut."""

from __future__ import annotations

import string
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sipcore.errors import MalformedMessage
from sipcore.message import (
    Limits,
    NameAddr,
    StreamFramer,
    Uri,
    Via,
    parse_name_addr,
    parse_params,
    parse_uri,
    parse_via,
    quote,
    unquote,
)
from sipcore.message.grammar import print_params, split_top

token = st.text(string.ascii_letters + string.digits + "-_.!~*'", min_size=1, max_size=6)
text = st.text(st.characters(blacklist_characters="\r\n", blacklist_categories=["Cs"]), max_size=12)
params = st.dictionaries(token.map(str.lower), st.none() | token | text, max_size=3)
host = st.sampled_from(["h", "a.example", "192.0.2.1", "[2001:db8::1]", "x_y.z-1"])
port = st.none() | st.integers(0, 65535)
escaped = st.lists(
    st.sampled_from(["a", "A", "%61", "%41", "%3b", ";", "%3B", "%25", "%", "%00", "+", "%e4"]),
    min_size=1,
    max_size=4,
).map("".join)
uris = st.builds(
    Uri,
    st.sampled_from(["sip", "sips"]),
    escaped,
    host,
    port,
    st.dictionaries(
        st.sampled_from(["lr", "transport", "user", "ttl", "method", "maddr", "x", "y"]),
        st.none() | escaped.filter(lambda value: ";" not in value),
        max_size=3,
    ),
    password=st.none() | st.just("") | escaped,
    headers=st.sampled_from(["", "a=1&b=2", "b=2&a=1", "A=%31&b=2", "a=1"]),
)
vias = st.builds(Via, st.sampled_from(["UDP", "TLS", "ODD"]), host, port, st.just("?"), params)
name_addrs = st.builds(
    NameAddr, text, st.sampled_from(["sip:a@h", "sip:h;lr?x=y", "tel:+1"]), params.map(print_params)
)


def shape(uri: Uri) -> tuple[Any, ...]:
    return (uri.scheme, uri.user, uri.password, uri.host, uri.port, uri.params, uri.headers)


@given(uris)
def test_every_part_of_a_uri_survives_printing(uri: Uri) -> None:
    assert shape(parse_uri(str(uri))) == shape(uri)


@given(uris, uris)
def test_equality_is_reflexive_and_symmetric_in_all_parts(one: Uri, two: Uri) -> None:
    assert one.equals(one)
    assert one.equals(parse_uri(str(one)))
    assert one.equals(two) == two.equals(one)


@given(vias)
def test_a_printed_via_reads_the_same(via: Via) -> None:
    again = parse_via(str(via))
    default = 5061 if via.transport == "TLS" else 5060
    assert (again.transport, again.host, again.port) == (via.transport, via.host, via.port)
    assert again.params == {name: read_back(value) for name, value in via.params.items()}
    assert again.sent_by == f"{via.host}:{default if via.port is None else via.port}"


def read_back(value: str | None) -> str | None:
    return None if value is None else unquote(quote(value))


@given(name_addrs)
def test_a_printed_name_addr_reads_the_same(value: NameAddr) -> None:
    again = parse_name_addr(str(value))
    assert (again.display, again.uri_text) == (value.display, value.uri_text)
    assert again.params == value.params


@given(params)
def test_printed_parameters_read_the_same(values: dict[str, str | None]) -> None:
    assert parse_params(print_params(values)) == values


@given(st.text(st.sampled_from('a,;"<>\\ '), max_size=30), st.sampled_from(",;"))
def test_a_split_list_can_be_joined_again(value: str, separator: str) -> None:
    try:
        pieces = split_top(value, separator)
    except MalformedMessage:
        return
    joined = separator.join(pieces)
    assert joined.replace(" ", "") == value.replace(" ", "")
    assert split_top(joined, separator) == pieces


chunks = st.lists(
    st.sampled_from(
        [
            b"A sip:h SIP/2.0\r\n",
            b"Content-Length: 3\r\n",
            b"Content-Length:\r\n 2\r\n",
            b"l : 0\r\n",
            b" l: 9\r\n",
            b"Lang: x\r\n",
            b"l: x\r\n",
            b"\r\n",
            b"\r",
            b"\n",
            b"abc",
            b"\r\n\r\n",
        ]
    ),
    max_size=14,
).map(b"".join)


def cut(wire: bytes, size: int) -> tuple[list[object], bool, int]:
    """What a stream gives in pieces of this size, whether it failed, and what is left."""
    framer = StreamFramer(Limits(header_block_bytes=60, body_bytes=8))
    out: list[object] = []
    try:
        for i in range(0, len(wire), size):
            out += framer.feed(wire[i : i + size])
    except MalformedMessage:
        pass
    return out, framer.failure is not None, framer.waiting_bytes


@given(chunks, st.integers(2, 40))
def test_a_stream_gives_the_same_however_it_is_cut(wire: bytes, size: int) -> None:
    single = cut(wire, 1)
    assert cut(wire, len(wire) or 1) == single
    assert cut(wire, size) == single
    assert single[2] <= 60 + 4 + 8
