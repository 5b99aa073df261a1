"""Call contexts, and records as lines of the spool."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sipcore.eventlog import (
    Cause,
    Kind,
    Record,
    Side,
    context_from_bits,
    context_from_bytes,
    context_to_bytes,
    encode_line,
    json_line,
)
from sipcore.eventlog.context import base64url, from_base64url
from sipcore.transport.flow import Flow

ODD = "\udcff"
"""A byte that was no UTF-8, as messages hold it."""


@pytest.mark.parametrize(
    ("bits", "context"),
    [
        (0, "AAAAAAAAAAAAAAAA"),
        (1, "AAAAAAAAAAAAAAAB"),
        ((1 << 96) - 1, "________________"),
        (0xFB << 88, "-wAAAAAAAAAAAAAA"),
    ],
)
def test_the_context_of_96_bits(bits: int, context: str) -> None:
    assert context_from_bits(bits) == context
    assert context_to_bytes(context) == bits.to_bytes(12, "big")
    assert context_from_bytes(context_to_bytes(context)) == context


def test_more_bits_are_no_context() -> None:
    with pytest.raises(OverflowError):
        context_from_bits(1 << 96)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"", ""),
        (b"\xfb", "-w=="),
        (b"\xff\xff", "__8="),
        (b"\xff\xef\xff", "_-__"),
        (b"abcd", "YWJjZA=="),
    ],
)
def test_base64url(raw: bytes, text: str) -> None:
    assert base64url(raw) == text
    assert from_base64url(text) == raw


@pytest.mark.parametrize("text", ["A", "AAA", "\u00e4", ODD])
def test_what_is_no_base64url(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (binascii.Error is one, of many texts)
        from_base64url(text)


@pytest.mark.parametrize(
    ("row", "line"),
    [
        ({}, b"{}"),
        ({"a": 1, "b": "x"}, b'{"a":1,"b":"x"}'),
        ({"a": None, "b": [1.5, True]}, b'{"a":null,"b":[1.5,true]}'),
        ({"a": "\u00e4"}, '{"a":"\u00e4"}'.encode()),
        ({"a": "1\n2"}, b'{"a":"1\\n2"}'),
        ({"a": Side.CALLER}, b'{"a":"caller"}'),
        ({"a": ODD}, b'{"a":"\\udcff"}'),  # escaped, and read back the same
        ({"a": 1 << 64}, b'{"a":18446744073709551616}'),
    ],
    ids=str,
)
def test_one_object_is_one_line(row: dict[str, Any], line: bytes) -> None:
    assert json_line(row) == line + b"\n"
    assert json.loads(line) == row


def test_tuples_with_names_are_arrays() -> None:
    flow = Flow("UDP", ("10.0.0.1", 5060), ("10.0.0.2", 5060))
    expected = b'{"f":["UDP",["10.0.0.1",5060],["10.0.0.2",5060],0,""]}\n'
    assert json_line({"f": flow}) == expected
    assert json_line({"f": flow, "odd": ODD}) == expected[:-2] + b',"odd":"\\udcff"}\n'


@pytest.mark.parametrize(
    ("record", "row"),
    [
        (
            Record(Kind.CALL_BEGIN, "ctx", 1.5, {"from": "a"}),
            {"n": 7, "k": "call.begin", "c": "ctx", "t": 1.5, "from": "a"},
        ),
        (
            Record(Kind.CALL_END, "ctx", 2, {"cause": Cause.BUSY, "by": Side.CALLEE, "x": None}),
            {
                "n": 7,
                "k": "call.end",
                "c": "ctx",
                "t": 2,
                "cause": "busy",
                "by": "callee",
                "x": None,
            },
        ),
        (Record(Kind.AUTH_REFUSED, "", 0.0, {}), {"n": 7, "k": "auth.refused", "c": "", "t": 0.0}),
        # A database would refuse the whole batch for these.
        (
            Record(Kind.CALL_RING, "ctx", 1, {"a": f"x{ODD}y", "n2": 5}),
            {"n": 7, "k": "call.ring", "c": "ctx", "t": 1, "a": "x?y", "n2": 5},
        ),
        (
            Record(Kind.CALL_RING, "ctx", 1, {"a": "x\0y", "n2": None}),
            {"n": 7, "k": "call.ring", "c": "ctx", "t": 1, "a": "x?y", "n2": None},
        ),
        # What only looks like them stays.
        (
            Record(Kind.CALL_RING, "ctx", 1, {"a": "\\udcff", "b": "\\u0000", "c2": "\u00e4"}),
            {
                "n": 7,
                "k": "call.ring",
                "c": "ctx",
                "t": 1,
                "a": "\\udcff",
                "b": "\\u0000",
                "c2": "\u00e4",
            },
        ),
    ],
    ids=["begin", "end", "refused", "odd bytes", "NUL", "backslashes"],
)
def test_a_record_is_one_line(record: Record, row: dict[str, Any]) -> None:
    line = encode_line(7, record)
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
    assert json.loads(line) == row
    assert list(json.loads(line))[:4] == ["n", "k", "c", "t"]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Kind.CALL_BEGIN, "call.begin"),
        (Kind.CALL_RING, "call.ring"),
        (Kind.CALL_ANSWER, "call.answer"),
        (Kind.CALL_END, "call.end"),
        (Kind.REGISTER_NEW, "register.new"),
        (Kind.REGISTER_GONE, "register.gone"),
        (Kind.AUTH_REFUSED, "auth.refused"),
    ],
)
def test_kinds_are_words_that_others_read(kind: Kind, text: str) -> None:
    assert kind == text
