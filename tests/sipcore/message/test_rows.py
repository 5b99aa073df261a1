"""The rows of a header: compiled, those of plain messages are found by `_rows.c`, all others in Python.

Whichever it is, the rows are those that a simple reading finds (RFC 3261 §7.3.1), or the message is refused.
"""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipcore.errors import MalformedMessage
from sipcore.message import parse_message
from sipcore.message.names import canonical

START = "OPTIONS sip:bob@campus.example SIP/2.0"
NEEDED = [
    "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1",
    "From: <sip:anna@campus.example>;tag=1",
    "To: <sip:bob@campus.example>",
    "Call-ID: 1@192.0.2.1",
    "CSeq: 1 OPTIONS",
]
LONE = ("\r", "\n")


def simple_reading(rows: list[str]) -> list[tuple[str, str]] | None:
    """Name and whole row of each; None where one has no name, or a line break that is none."""
    found: list[str] = []
    for row in "\r\n".join(rows).split("\r\n"):
        if any(sign in row for sign in LONE):
            return None
        if row[:1] in (" ", "\t") and found:
            before, more = found[-1].rstrip(" \t"), row.strip(" \t")
            found[-1] = f"{before} {more}" if before and more else before or more
        else:
            found.append(row)
    named = [(canonical(row[: row.find(":")]) if ":" in row else "", row) for row in found]
    return None if any(not name for name, _ in named) else named


def rows_of(rows: list[str]) -> list[tuple[str, str]] | None:
    data = "\r\n".join([START, *rows, "", ""]).encode("utf-8", "surrogateescape")
    try:
        message = parse_message(data)
    except MalformedMessage:
        return None
    assert message.to_bytes().startswith(START.encode())
    return list(zip(message.keys, message.lines, strict=True))


names = st.sampled_from(["Subject", "s", "X-Odd", "User-Agent", "Allow", "Subject ", "no name", ""])
values = st.text(st.sampled_from("ab:;, <>\t\"é€\x00\x7f"), max_size=12)
breaks = st.sampled_from(["", "", "", "", "\r\n ", "\r\n\t", "\r", "\n", "\n\r"])
extra = st.builds(
    lambda name, colon, value, at, rest: f"{name}{colon}{value}{at}{rest}",
    names, st.sampled_from([":", ": ", ":", ""]), values, breaks, values,
)  # fmt: skip


@given(st.lists(extra, max_size=6), st.integers(0, len(NEEDED)))
def test_rows_are_those_of_a_simple_reading(more: list[str], at: int) -> None:
    rows = [*NEEDED[:at], *more, *NEEDED[at:]]
    assert rows_of(rows) == simple_reading(rows)


@given(st.lists(st.sampled_from(["Subject: a", "s: b", "Via: SIP/2.0/UDP h", "Allow: INVITE"])))
def test_the_first_row_of_a_name_is_the_one_that_counts(more: list[str]) -> None:
    data = "\r\n".join([START, *NEEDED, *more, "", ""]).encode()
    message = parse_message(data)
    for key, line in zip(reversed(message.keys), reversed(message.lines), strict=True):
        if key not in message.keys[: message.lines.index(line)]:
            assert message.first_row(key) == line


def test_a_header_of_very_many_rows_is_read_as_any_other() -> None:
    rows = [*NEEDED, *(f"Subject: {n}" for n in range(190))]
    assert rows_of(rows) == simple_reading(rows)


@pytest.fixture
def compiled() -> Any:
    """The module of the compiled core."""
    try:
        return importlib.import_module("sipcore.message._rows")
    except ImportError:
        pytest.skip("made by `make compile`: the same test runs on the compiled core")


def plain(*rows: str) -> bytes:
    return "\r\n".join([START, *rows, "", ""]).encode()


def test_a_plain_message_is_split_in_c(compiled: Any) -> None:
    data = plain("Via: a", "Via: b", "f: c")
    end, start, keys, lines, tops = compiled.split(data + b"body\r\n\r\n", 1_000)
    assert end == data.index(b"\r\n\r\n")
    assert (start, keys, lines) == (START, ["via", "via", "from"], ["Via: a", "Via: b", "f: c"])
    assert tops == {"via": "Via: a", "from": "f: c"}


@pytest.mark.parametrize(
    "data",
    [
        plain("Via: a", " b"),
        plain("Via"),
        plain(": a"),
        plain("X-Never-Seen: a"),
        plain("Subject: é"),
        plain("Via: a\rb"),
        plain("Via: a\nFrom: b"),
        b"\n" + plain("Via: a"),
        plain(*["Via: a"] * 129),
        plain("Via: a")[:-2],
        plain("Via: a")[:-3],
        b"\r\n" + plain("Via: a"),
        b"",
        b"\r\n",
        bytearray(plain("Via: a")),
    ],
)
def test_a_message_that_is_not_plain_is_left_to_python(compiled: Any, data: bytes) -> None:
    assert compiled.split(data, 10_000) is None


def test_a_header_beyond_the_limit_is_left_to_python(compiled: Any) -> None:
    data = plain("Via: a")
    end = data.index(b"\r\n\r\n")
    assert compiled.split(data, end) is not None
    assert compiled.split(data, end - 1) is None


@pytest.mark.parametrize("arguments", [(b"a: b", "1"), (b"a: b",), (b"a: b", 1, 2)])
def test_arguments_that_make_no_sense_are_errors(compiled: Any, arguments: tuple[Any, ...]) -> None:
    with pytest.raises((TypeError, ValueError)):
        compiled.split(*arguments)


def test_every_usual_name_is_known_there(compiled: Any) -> None:
    for name in ("Via", "v", "CSeq", "Proxy-Authorization", "P-Asserted-Identity", "x", "RAck"):
        data = plain(f"{name}: a")
        assert compiled.split(data, 1_000)[2] == [canonical(name)]
