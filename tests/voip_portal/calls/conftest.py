"""Records of calls, as a node writes them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

START = 1_795_000_000.0
Line = Callable[..., str]


class Tape:
    """Numbers records and gives them as spool lines."""

    def __init__(self) -> None:
        self.n = 0

    def line(self, kind: str, context: str = "", at: float = START, **fields: Any) -> str:
        """The next record as its line."""
        self.n += 1
        return json.dumps({"n": self.n, "k": kind, "c": context, "t": at, **fields}) + "\n"

    def begin(self, context: str, at: float = START, **fields: Any) -> str:
        """A call from line 1 to line 2 begins."""
        said = {
            "call_id": f"{context}@phone",
            "from": "<sip:anna@campus.example>",
            "to": "<sip:boris@campus.example>",
            "dialled": "sip:boris@campus.example",
            "caller_line": 1,
            "callee_line": 2,
            "caller_device": 11,
            "source": "192.0.2.7",
            "node": "n1",
        }
        return self.line("call.begin", context, at, **(said | fields))

    def end(self, context: str, at: float = START + 70, **fields: Any) -> str:
        """The call ends."""
        said = {"cause": "completed", "by": "caller", "status": 200, "reason": ""}
        return self.line(
            "call.end", context, at, **(said | {"ring_s": 4.0, "duration_s": 60.5} | fields)
        )

    def call(self, context: str, at: float = START) -> list[str]:
        """A whole answered call of a minute."""
        return [
            self.begin(context, at),
            self.line("call.ring", context, at + 1),
            self.line("call.answer", context, at + 5, callee_line=2, tag="b"),
            self.end(context, at + 65.5),
        ]


@pytest.fixture
def tape() -> Tape:
    return Tape()
