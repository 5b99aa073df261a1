"""Walks the stack's own code: which files a request passes from its arrival to its forwarded bytes.

The rule, the same for every tree that is counted. Control *changes file* when it enters a function
of another file, and when it comes back from there. Not counted is the reading and printing of bytes
(`message/`, `errors.py`), the timer heap, and a function that answers by itself: one that goes on to
no third file is looked up by a reader, not followed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import sipcore

SIPCORE = f"{Path(sipcore.__file__).parent}/"
NOT_COUNTED = ("message/", "errors.py", "transaction/timers.py")


@dataclass(eq=False)
class Call:
    """A call of a function of sipcore."""

    file: str
    function: str
    caller: Call | None
    calls: list[Call] = field(default_factory=list)
    is_passage: bool = False

    def goes_on(self) -> bool:
        """Whether it goes on to another file, by itself or by what it calls."""
        return any(
            (c.file != self.file and not c.file.startswith(NOT_COUNTED)) or c.goes_on()
            for c in self.calls
        )


class Walk:
    """Record what `run` calls, up to the call of `end`; then `passages` has the way."""

    def __init__(self, run: Callable[[], object], end: str) -> None:
        self._end = end
        self._events: list[tuple[bool, Call]] = []
        self._stack: list[Call] = []
        self._last = 0
        sys.setprofile(self._note)
        try:
            run()
        finally:
            sys.setprofile(None)

    def _note(self, frame: FrameType, event: str, _: Any) -> None:
        file = frame.f_code.co_filename.removeprefix(SIPCORE)
        if file == frame.f_code.co_filename or event not in ("call", "return"):
            return
        if event == "return":
            if self._stack:
                self._events.append((False, self._stack.pop()))
            return
        caller = self._stack[-1] if self._stack else None
        call = Call(file, frame.f_code.co_qualname, caller)
        if caller is not None:
            caller.calls.append(call)
        self._stack.append(call)
        self._events.append((True, call))
        if call.function == self._end:
            self._last = len(self._events)

    def passages(self) -> list[str]:
        """One line for each change of file, indented by how deep it leads."""
        lines: list[str] = []
        depth = 0
        for entered, call in self._events[: self._last]:
            if entered:
                call.is_passage = self._changes_file(call)
            if not call.is_passage or call.caller is None:
                continue
            if entered:
                lines.append(f"{'  ' * depth}→ {call.file}  {call.function}")
            depth += 1 if entered else -1
            if not entered:
                lines.append(f"{'  ' * depth}← {call.caller.file}")
        return lines

    def _changes_file(self, call: Call) -> bool:
        caller = call.caller
        if caller is None or call.file == caller.file or call.file.startswith(NOT_COUNTED):
            return False
        if any(self._is_answer(above) for above in self._above(call)):
            return False
        return call.goes_on() or call.function == self._end

    def _is_answer(self, call: Call) -> bool:
        caller = call.caller
        return caller is not None and call.file != caller.file and not call.is_passage

    @staticmethod
    def _above(call: Call) -> list[Call]:
        found = []
        above = call.caller
        while above is not None:
            found.append(above)
            above = above.caller
        return found
